package browser

import (
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

const apiKey = "browser-key-of-at-least-sixteen-characters"

// built is the folder of the binary, empty before there is one.
var built string

// build builds imago once for all tests of the run.
var build = sync.OnceValues(func() (path string, err error) {
	if built, err = os.MkdirTemp("", "imago-browser-"); err != nil {
		return "", err
	}
	path = filepath.Join(built, "imago")
	return path, fixture.Build(path)
})

func TestMain(m *testing.M) {
	code := m.Run()
	closeBrowser()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// imago runs `imago serve` over an empty gallery in RAM until the test ends, and
// returns its URL once it is ready.
func imago(t *testing.T, env ...string) string {
	t.Helper()
	_, err := program()
	need(t, err)
	binary, err := build()
	require.NoError(t, err)
	p := fixture.Serve(t, binary, apiKey, env...)
	url := "http://" + p.Address
	require.True(t, fixture.Ready(http.DefaultClient, url), "imago does not get ready:\n%s", p.Log)
	return url
}

// portrait is the path of a drawn face that comes with the source.
func portrait(t *testing.T) string {
	t.Helper()
	return filepath.Join(fixture.Root(t), "test", "testdata", "portrait.jpg")
}
