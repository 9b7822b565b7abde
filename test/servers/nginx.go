package servers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nginx is the name of the gateway in IMAGO_REQUIRE.
const Nginx = "nginx"

// NginxServer is a running nginx. Its methods are safe for concurrent use.
type NginxServer struct {
	folder  string
	port    int
	process *process
}

// OwnNginx starts an nginx for one test and stops it with the test. The
// configuration is that of docker/nginx.conf, perhaps changed, and what
// its upstream.conf says; it listens on a free port of loopback instead of 8000,
// and writes to a temporary folder instead of /tmp. See Need for an nginx that
// cannot be had.
func OwnNginx(tb testing.TB, configuration, upstream string) *NginxServer {
	tb.Helper()
	s, err := startNginx(configuration, upstream)
	Need(tb, Nginx, err)
	tb.Cleanup(s.stop)
	return s
}

// NginxProgram returns the path of nginx, for tests that start it themselves. See
// Need for an nginx that cannot be had.
func NginxProgram(tb testing.TB) string {
	tb.Helper()
	program, err := installed("nginx", "usr", "sbin", "nginx")
	Need(tb, Nginx, err)
	return program
}

func startNginx(configuration, upstream string) (*NginxServer, error) {
	program, err := installed("nginx", "usr", "sbin", "nginx")
	if err != nil {
		return nil, err
	}
	const attempts = 3 // another program may take the port meanwhile
	for range attempts {
		s := &NginxServer{}
		if err = s.start(program, configuration, upstream); err == nil {
			return s, nil
		}
		s.stop()
	}
	return nil, err
}

func (s *NginxServer) start(program, configuration, upstream string) (err error) {
	if s.folder, err = os.MkdirTemp("", "imago-nginx-"); err != nil {
		return err
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	s.port = ports[0]
	configuration = strings.NewReplacer(
		"listen 8000;", fmt.Sprintf("listen 127.0.0.1:%d;", s.port),
		"/tmp/", s.folder+"/",
		"access_log /dev/stdout", "access_log "+s.accessLog(),
	).Replace(configuration)
	if os.Geteuid() == 0 { // nginx would leave the user that may read the folder
		configuration = "user root;\n" + configuration
	}
	file := filepath.Join(s.folder, "nginx.conf")
	if err := errors.Join(
		os.WriteFile(file, []byte(configuration), 0o600),
		os.WriteFile(filepath.Join(s.folder, "upstream.conf"), []byte(upstream), 0o600),
	); err != nil {
		return err
	}
	// One process, so that it ends with the tests however these end.
	cmd := exec.Command(program, "-p", s.folder, "-c", file, "-e", "stderr", "-g", "daemon off; master_process off;")
	if s.process, err = launch(cmd); err != nil {
		return err
	}
	return s.process.until(patience, s.answer)
}

// URL returns where it listens.
func (s *NginxServer) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", s.port) }

// AccessLog returns the lines written so far.
func (s *NginxServer) AccessLog() (string, error) {
	data, err := os.ReadFile(s.accessLog())
	return string(data), err
}

func (s *NginxServer) accessLog() string { return filepath.Join(s.folder, "access.log") }

func (s *NginxServer) answer() error { return dial(s.port) }

// dial connects to a port of loopback.
func dial(port int) error {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

func (s *NginxServer) stop() {
	if s.process != nil {
		s.process.stop(syscall.SIGTERM, patience)
		s.process = nil
	}
	if s.folder != "" {
		_ = os.RemoveAll(s.folder)
		s.folder = ""
	}
}
