package servers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The backends, as IMAGO_REQUIRE and the setting store.driver call them.
const (
	PGVector = "pgvector"
	Milvus   = "milvus"
)

// errAbsent says that no server was provided for, which is no failure where
// nobody requires one.
var errAbsent = errors.New("IMAGO_TEST_SERVERS names no folder with servers (run make servers)")

// Need ends a test that cannot have its server, given the error of starting it:
// the test is skipped where nothing was provided and nobody requires the
// backend, and fails otherwise. A backend is required where IMAGO_REQUIRE, a
// list separated by commas, names it and wherever CI is set. Need does nothing
// when err is nil.
func Need(tb testing.TB, backend string, err error) {
	tb.Helper()
	switch {
	case err == nil:
	case errors.Is(err, errAbsent) && !required(backend):
		tb.Skipf("%s: %v", backend, err)
	default:
		tb.Fatalf("%s: %v", backend, err)
	}
}

// NeedOwn ends a test that kills its server or makes databases in it where the server
// is an operator's, named by IMAGO_TEST_PGVECTOR_DSN or IMAGO_TEST_MILVUS_ADDRESS: the
// test is skipped, and fails wherever CI is set.
func NeedOwn(tb testing.TB, backend string, own bool) {
	tb.Helper()
	switch {
	case own:
	case os.Getenv("CI") != "":
		tb.Fatalf("%s: CI needs servers of its own: unset IMAGO_TEST_PGVECTOR_DSN and IMAGO_TEST_MILVUS_ADDRESS", backend)
	default:
		tb.Skipf("%s: this test needs a server of its own, and this one is somebody's", backend)
	}
}

func required(backend string) bool {
	return os.Getenv("CI") != "" || slices.Contains(strings.Split(os.Getenv("IMAGO_REQUIRE"), ","), backend)
}

// installed returns the path of a program or folder below IMAGO_TEST_SERVERS,
// the folder that test/servers/install has filled.
func installed(elem ...string) (string, error) {
	folder := os.Getenv("IMAGO_TEST_SERVERS")
	if folder == "" {
		return "", errAbsent
	}
	if !filepath.IsAbs(folder) {
		return "", fmt.Errorf("IMAGO_TEST_SERVERS is %q, not an absolute path", folder)
	}
	path := filepath.Join(append([]string{folder}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("IMAGO_TEST_SERVERS has no servers (run make servers): %w", err)
	}
	return path, nil
}

// Ports are chosen below the range from which systems take the near end of
// outgoing connections (32768 up on Linux), so that none takes the place of a
// server that is being restarted. A client that keeps dialling a port of that
// range while nobody listens there even gets connected to itself.
const firstPort, endPort = 15000, 32000

// FreePorts returns n different ports for programs that a test starts itself, on
// which nobody listened a moment ago.
func FreePorts(tb testing.TB, n int) []int {
	tb.Helper()
	ports, err := freePorts(n)
	if err != nil {
		tb.Fatal(err)
	}
	return ports
}

// given are the ports that freePorts has returned in this process.
var given sync.Map

// freePorts returns n ports that it has not returned before and that nobody listened
// on a moment ago, on any interface. Whoever starts a server on one tries another
// when it has been taken meanwhile.
func freePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range 100 * n {
		port := firstPort + rand.IntN(endPort-firstPort)
		if _, before := given.LoadOrStore(port, true); before || !free(port) {
			continue
		}
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports from %d to %d", n, firstPort, endPort)
}

func free(port int) bool {
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
