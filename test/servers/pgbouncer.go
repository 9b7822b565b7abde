package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// PgBouncerProgram is the PgBouncer that tests use instead of the installed one, if it
// is set: another version.
const PgBouncerProgram = "IMAGO_TEST_PGBOUNCER"

// PgBouncer starts a PgBouncer in transaction mode in front of a server, for one test, and
// stops it with the test. It returns the connection string of the server's database through
// it; other databases are reached the same way. All clients of a database share poolSize
// connections to the server. Further settings are lines of pgbouncer.ini.
func PgBouncer(tb testing.TB, server *PostgresServer, poolSize int, settings ...string) (dsn string) {
	tb.Helper()
	NeedOwn(tb, PGVector, server.Managed())
	folder, err := os.MkdirTemp("", "imago-pgbouncer-")
	Need(tb, PGVector, err)
	tb.Cleanup(func() { _ = os.RemoveAll(folder) })
	const attempts = 3 // another program may take the port meanwhile
	var failure error
	for range attempts {
		port, process, err := startPgBouncer(folder, server, poolSize, settings)
		if err == nil {
			tb.Cleanup(func() { process.stop(syscall.SIGTERM, patience) })
			return strings.Replace(server.DSN(), fmt.Sprintf(":%d/", server.port), fmt.Sprintf(":%d/", port), 1)
		}
		failure = err
	}
	Need(tb, PGVector, failure)
	return ""
}

func startPgBouncer(folder string, server *PostgresServer, poolSize int, settings []string) (port int, p *process, err error) {
	program := os.Getenv(PgBouncerProgram)
	if program == "" {
		if program, err = installed("pgbouncer", "usr", "sbin", "pgbouncer"); err != nil {
			return 0, nil, err
		}
	}
	ports, err := freePorts(1)
	if err != nil {
		return 0, nil, err
	}
	// Both may be read by the user as which it runs.
	users, file := filepath.Join(folder, "users"), filepath.Join(folder, "pgbouncer.ini")
	err = errors.Join(os.Chmod(folder, 0o755), os.WriteFile(users, []byte(`"imago" ""`), 0o644), os.WriteFile(file, fmt.Appendf(nil, `
[databases]
* = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = trust
auth_file = %s
pool_mode = transaction
default_pool_size = %d
server_login_retry = 1
%s
`, server.port, ports[0], users, poolSize, strings.Join(settings, "\n")), 0o644))
	if err != nil {
		return 0, nil, err
	}
	cmd := exec.Command(program, file)
	// The libraries that the machine lacks are beside it.
	libraries, _ := filepath.Glob(filepath.Join(filepath.Dir(program), "..", "lib", "*"))
	cmd.Env = []string{"LD_LIBRARY_PATH=" + strings.Join(libraries, ":")}
	if os.Geteuid() == 0 { // as which it refuses to run
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	if p, err = launch(cmd); err != nil {
		return 0, nil, err
	}
	if err := p.until(patience, func() error { return dial(ports[0]) }); err != nil {
		p.stop(syscall.SIGTERM, patience)
		return 0, nil, err
	}
	return ports[0], p, nil
}
