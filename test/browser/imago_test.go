package browser

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

const (
	apiKey       = "browser-key-of-at-least-sixteen-characters"
	startTimeout = 60 * time.Second
)

// built is the folder of the binary, empty before there is one.
var built string

// build builds imago once for all tests of the run.
var build = sync.OnceValues(func() (path string, err error) {
	if built, err = os.MkdirTemp("", "imago-browser-"); err != nil {
		return "", err
	}
	path = filepath.Join(built, "imago")
	if out, err := exec.Command("go", "build", "-o", path, "imago/cmd/imago").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	closeBrowser()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

var listening = regexp.MustCompile(`"msg":"listening","address":"([^"]+)"`)

// imago runs `imago serve` over an empty gallery in RAM until the test ends, and
// returns its URL once it is ready.
func imago(t *testing.T, env ...string) string {
	t.Helper()
	_, err := program()
	need(t, err)
	binary, err := build()
	require.NoError(t, err)
	cmd := exec.Command(binary, "serve")
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		"IMAGO_MODELS_DIR=" + fixture.Models(t), "IMAGO_ONNXRUNTIME_LIB=" + fixture.ONNXRuntime(t),
		"IMAGO_SERVER_LISTEN=127.0.0.1:0", "IMAGO_STORE_MEMORY_PATH=", "IMAGO_API_KEY=" + apiKey,
	}, env...)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	address, exited := make(chan string, 1), make(chan string, 1)
	go func() {
		log := follow(stderr, address)
		_ = cmd.Wait()
		exited <- log
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(startTimeout):
			_ = cmd.Process.Kill()
			t.Error("imago did not stop")
		}
	})
	select {
	case a := <-address:
		waitReady(t, "http://"+a)
		return "http://" + a
	case log := <-exited:
		exited <- log
		t.Fatalf("imago stopped at start:\n%s", log)
	case <-time.After(startTimeout):
		t.Fatal("imago does not listen")
	}
	return ""
}

// follow reads the log until the process ends and returns it.
func follow(stderr io.Reader, address chan<- string) string {
	var log bytes.Buffer
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		log.WriteString(lines.Text() + "\n")
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			select {
			case address <- m[1]:
			default:
			}
		}
	}
	return log.String()
}

func waitReady(t *testing.T, url string) {
	t.Helper()
	require.Eventually(t, func() bool {
		res, err := http.Get(url + "/readyz")
		if err != nil {
			return false
		}
		return res.Body.Close() == nil && res.StatusCode == http.StatusOK
	}, startTimeout, 20*time.Millisecond)
}

// portrait is the path of a drawn face that comes with the source.
func portrait(t *testing.T) string {
	t.Helper()
	return filepath.Join(fixture.Root(t), "test", "testdata", "portrait.jpg")
}
