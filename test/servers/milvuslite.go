package servers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// MilvusLite is the server of milvus-lite, a rewrite of Milvus in Python that speaks
// the same protocol: the newest engine of that name in a package registry. It has no
// users and no TLS. Its methods must not be called at the same time, except Address.
type MilvusLite struct {
	packages string // folder of Python packages
	folder   string // its data
	port     int
	process  *process
}

// OwnMilvusLite starts a server for one test, which may kill it, and stops it with the
// test. See Need for a server that cannot be had.
func OwnMilvusLite(tb testing.TB) *MilvusLite {
	tb.Helper()
	m, err := startMilvusLite()
	Need(tb, Milvus, err)
	tb.Cleanup(m.stop)
	return m
}

func startMilvusLite() (*MilvusLite, error) {
	packages, err := installed("milvus-lite")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "imago-milvus-lite-")
	if err != nil {
		return nil, err
	}
	m := &MilvusLite{packages: packages, folder: folder, port: ports[0]}
	if err := m.Restart(); err != nil {
		m.stop()
		return nil, err
	}
	return m, nil
}

// Address returns host:port of the gRPC service.
func (m *MilvusLite) Address() string { return fmt.Sprintf("127.0.0.1:%d", m.port) }

// Kill ends the server the hard way, as kill -9 would, and returns when it is gone.
func (m *MilvusLite) Kill() { m.process.stop(syscall.SIGKILL, patience) }

// Restart starts the server again on the same data and port, after Kill.
func (m *MilvusLite) Restart() error {
	cmd := exec.Command("python3", "-m", "milvus_lite", "server",
		"--host", "127.0.0.1", "--port", strconv.Itoa(m.port), "--data-dir", filepath.Join(m.folder, "data"))
	cmd.Dir = m.folder
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.folder, "PYTHONPATH=" + m.packages, "PYTHONDONTWRITEBYTECODE=1"}
	process, err := launch(cmd)
	if err != nil {
		return err
	}
	m.process = process
	return process.until(patience, func() error {
		connection, err := net.DialTimeout("tcp", m.Address(), time.Second)
		if err != nil {
			return err
		}
		return connection.Close()
	})
}

// stop ends the server and removes its data.
func (m *MilvusLite) stop() {
	if m.process != nil {
		m.Kill()
	}
	_ = os.RemoveAll(m.folder)
}
