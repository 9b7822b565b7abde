package servers

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// milvusPatience is how long a Milvus server may take until it is ready: cold 2
// to 3 seconds on an idle machine, and after a kill until the session of the
// killed one has lapsed.
const milvusPatience = 90 * time.Second

// MilvusOptions say what a server is to be like. The zero value is right for all
// tests but few.
type MilvusOptions struct {
	// SessionLapse is how long a server that was killed counts as alive, which
	// delays its restart by about that plus 4 seconds; 0 means 30 seconds. A
	// server on a loaded machine that misses its own session ends itself, so
	// that less than 5 seconds is risky.
	SessionLapse time.Duration
	// Authorization has the server ask for a user name and a password, which
	// are root and Milvus.
	Authorization bool
	// TLS has the server encrypt, with a certificate for 127.0.0.1 of an authority
	// of its own; see Authority.
	TLS bool
	// Durable has the server's metadata wait for the disk, as in production. The
	// log of the faces never does in a standalone server.
	Durable bool
}

// MilvusServer is a standalone Milvus. Its methods must not be called at the
// same time, except Address and Managed.
type MilvusServer struct {
	options MilvusOptions
	program string // "" for an operator's own server
	folder  string // where it runs, with its configuration and data
	address string
	metrics int // the port that tells whether it is ready
	process *process
}

// OwnMilvus starts a server for one test, which may kill it, and stops it with
// the test. An operator's own server is not there to be killed: a test that
// finds only IMAGO_TEST_MILVUS_ADDRESS is skipped. See Need for a server that
// cannot be had.
func OwnMilvus(tb testing.TB, options MilvusOptions) *MilvusServer {
	tb.Helper()
	m, err := StartMilvus(options)
	Need(tb, Milvus, err)
	tb.Cleanup(m.Stop)
	NeedOwn(tb, Milvus, m.Managed())
	return m
}

// StartMilvus is for servers that all tests of a package share: whoever starts
// one stops it. Where IMAGO_TEST_MILVUS_ADDRESS is set it returns that server and
// starts none. Tests hand the error to Need.
func StartMilvus(options MilvusOptions) (*MilvusServer, error) {
	if address := os.Getenv("IMAGO_TEST_MILVUS_ADDRESS"); address != "" {
		return &MilvusServer{address: address}, nil
	}
	program, err := installed("milvus", "bin", "milvus")
	if err != nil {
		return nil, err
	}
	const attempts = 3 // another program may take a port meanwhile
	for range attempts {
		m := &MilvusServer{options: options, program: program}
		if err = m.setUp(); err == nil {
			err = m.Restart()
		}
		if err == nil {
			return m, nil
		}
		m.Stop()
	}
	return nil, err
}

// Address returns host:port of the gRPC service.
func (m *MilvusServer) Address() string { return m.address }

// Authority returns the path of the certificate, in PEM form, that a client of a
// server with TLS has to trust.
func (m *MilvusServer) Authority() string { return filepath.Join(m.folder, "configs", certificateFile) }

// Managed reports whether the server was started here and may be killed.
func (m *MilvusServer) Managed() bool { return m.program != "" }

// PID returns the process ID of a server that is Managed.
func (m *MilvusServer) PID() int { return m.process.cmd.Process.Pid }

// Kill ends the server the hard way, as kill -9 or a lack of memory would. It
// returns when the server is gone.
func (m *MilvusServer) Kill() { m.process.stop(syscall.SIGKILL, milvusPatience) }

// Restart starts the server again on the same data and ports, after Kill. Its
// collections may take some seconds more to be loaded.
func (m *MilvusServer) Restart() error {
	cmd := exec.Command(m.program, "run", "standalone")
	cmd.Dir = m.folder
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + m.folder,
		"DEPLOY_MODE=STANDALONE",
		"METRICS_PORT=" + strconv.Itoa(m.metrics),
		"MILVUS_RUN_DIR=" + filepath.Join(m.folder, "run"),
		"LD_LIBRARY_PATH=" + filepath.Dir(m.program),
	}
	process, err := launch(cmd)
	if err != nil {
		return err
	}
	m.process = process
	return process.until(milvusPatience, m.ready)
}

// Stop kills the server, which does not end when it is asked to, and removes its
// data. It does nothing to an operator's own server and nothing the second
// time.
func (m *MilvusServer) Stop() {
	if m.process != nil {
		m.Kill()
		m.process = nil
	}
	if m.folder != "" {
		_ = os.RemoveAll(m.folder)
		m.folder = ""
	}
}

func (m *MilvusServer) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/healthz", m.metrics), nil)
	if err != nil {
		return err
	}
	request.Close = true // a connection that is kept would outlive the server
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 256))
	if err == nil && !bytes.HasPrefix(body, []byte("OK")) {
		err = fmt.Errorf("the server says %q", body)
	}
	return err
}

// setUp makes the working folder and chooses the ports.
func (m *MilvusServer) setUp() (err error) {
	ports, err := freePorts(11)
	if err != nil {
		return err
	}
	if m.folder, err = os.MkdirTemp("", "imago-milvus-"); err != nil {
		return err
	}
	m.address, m.metrics = fmt.Sprintf("127.0.0.1:%d", ports[0]), ports[10]
	for _, folder := range []string{"configs", "data", "logs"} {
		if err := os.Mkdir(filepath.Join(m.folder, folder), 0o700); err != nil {
			return err
		}
	}
	if m.options.TLS {
		if err := writeCertificate(filepath.Join(m.folder, "configs")); err != nil {
			return err
		}
	}
	return m.configure(ports)
}

func (m *MilvusServer) configure(ports []int) error {
	source, err := installed("milvus", "glog.conf")
	if err != nil {
		return err
	}
	glog, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"glog.conf":   string(glog),
		"etcd.yaml":   m.fill(etcdSettings, ports),
		"milvus.yaml": m.fill(milvusSettings, ports),
	} {
		if err := os.WriteFile(filepath.Join(m.folder, "configs", name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// fill puts values in the place of the words in capitals, and the ports for P0 to
// P9.
func (m *MilvusServer) fill(settings string, ports []int) string {
	lapse := cmp.Or(m.options.SessionLapse, 30*time.Second)
	mode := map[bool]string{false: "0", true: "1"}
	values := []string{
		"TLSMODE", mode[m.options.TLS],
		"FOLDER", m.folder,
		"LAPSE", strconv.Itoa(int(lapse.Seconds())),
		"UNSYNCED", strconv.FormatBool(!m.options.Durable),
		"AUTHORIZATION", strconv.FormatBool(m.options.Authorization),
	}
	for i, port := range ports[:10] {
		values = append(values, fmt.Sprintf("P%d", i), strconv.Itoa(port))
	}
	return strings.NewReplacer(values...).Replace(settings)
}

// Writes need not reach the disk: a kill of the process loses nothing that the
// system has been given.
const etcdSettings = `name: default
data-dir: FOLDER/data/etcd
listen-client-urls: http://127.0.0.1:P1
advertise-client-urls: http://127.0.0.1:P1
listen-peer-urls: http://127.0.0.1:P2
initial-advertise-peer-urls: http://127.0.0.1:P2
initial-cluster: default=http://127.0.0.1:P2
unsafe-no-fsync: UNSYNCED
`

// The time tick is what a strongly consistent read waits for: 20 ms instead of
// the 200 ms that Milvus has as its default make the tests as much faster.
const milvusSettings = `etcd:
  endpoints: 127.0.0.1:P1
  rootPath: by-dev
  log: {level: warn, path: FOLDER/logs/etcd.log}
  use: {embed: true}
  data: {dir: FOLDER/data/etcd}
  config: {path: FOLDER/configs/etcd.yaml}
metastore: {type: etcd}
localStorage: {path: FOLDER/data}
mq: {type: rocksmq}
rocksmq: {path: FOLDER/data/rocksmq}
common: {storageType: local, session: {ttl: LAPSE}, security: {authorizationEnabled: AUTHORIZATION, tlsMode: TLSMODE}}
tls: {serverPemPath: FOLDER/configs/certificate.pem, serverKeyPath: FOLDER/configs/key.pem}
proxy: {timeTickInterval: 20, ip: 127.0.0.1, port: P0, internalPort: P3, http: {enabled: false}}
rootCoord: {dmlChannelNum: 4, ip: 127.0.0.1, port: P4}
queryCoord: {ip: 127.0.0.1, port: P5}
queryNode: {ip: 127.0.0.1, port: P6}
indexNode: {ip: 127.0.0.1, port: P7}
indexCoord: {bindIndexNodeMode: {enable: false, address: 127.0.0.1:P8}}
dataCoord: {ip: 127.0.0.1, port: P8}
dataNode: {ip: 127.0.0.1, port: P9}
log: {level: warn, file: {rootPath: ""}, stdout: true}
`
