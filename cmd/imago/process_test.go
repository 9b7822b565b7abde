package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/cmd/imago/cli"
)

// A process tells a script by its exit code and a person by one line on standard
// error what went wrong; standard output has results only.
func TestProcessesSayWhatWentWrong(t *testing.T) {
	imago, dir := self(t), t.TempDir()
	closed := closedPort(t)
	broken := filepath.Join(dir, "broken.yaml")
	require.NoError(t, os.WriteFile(broken, []byte("nonsense: true\n"), 0o600))
	damaged := filepath.Join(dir, "damaged.jsonl")
	require.NoError(t, os.WriteFile(damaged, []byte("{}\n"), 0o600))
	for _, c := range []struct {
		line, env, says string
		code            int
	}{
		{"version", "", "", 0},
		{"--version", "", "", 0},
		{"nonsense", "", "unknown command", cli.ExitUsage},
		{"serve --config " + broken, "", "nonsense", cli.ExitUsage},
		{"check --config " + broken, "", "nonsense", cli.ExitUsage},
		{"import " + damaged, "", "damaged.jsonl", cli.ExitFailed},
		{"models verify", "", "models pull", cli.ExitFailed},
		{"healthcheck", "IMAGO_SERVER_LISTEN=" + closed, "no answer at " + closed, cli.ExitUnavailable},
		{"bench --url " + closed, "IMAGO_API_KEY=a-key-of-sixteen-characters", "no answer at", cli.ExitUnavailable},
		{"models pull", "https_proxy=http://" + closed, "pull", cli.ExitUnavailable},
	} {
		cmd := imago.command(t, strings.Fields(c.line)...)
		cmd.Env = append(cmd.Env, c.env)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		require.Equal(t, c.code, cmd.ProcessState.ExitCode(), "%s: %v: %s", c.line, err, errs.String())
		if c.code == 0 {
			require.Empty(t, errs.String(), c.line)
			require.NotEmpty(t, out.String(), c.line)
			continue
		}
		require.Empty(t, out.String(), c.line)
		require.Contains(t, errs.String(), c.says, c.line)
		require.True(t, strings.HasPrefix(errs.String(), "imago: "), errs.String())
		require.NotContains(t, errs.String(), "\nimago:", "once")
	}
}

// A signal ends a command that waits, with the code that shells give it.
func TestSignalsEndCommands(t *testing.T) {
	imago := self(t)
	for signal, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		cmd := imago.command(t, "import", "-")
		_, err := cmd.StdinPipe()
		require.NoError(t, err)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		require.NoError(t, cmd.Start())
		// Once it waits for its input it has made the file.
		require.Eventually(t, func() bool {
			_, err := os.Stat(filepath.Join(cmd.Dir, "data", "imago.db-wal"))
			return err == nil
		}, eventually, tick)
		require.NoError(t, cmd.Process.Signal(signal))
		require.Error(t, cmd.Wait())
		require.Equal(t, code, cmd.ProcessState.ExitCode(), errs.String())
		require.Contains(t, errs.String(), "imago: interrupted")
	}
}

// A read that already waits for input ends with the context.
func TestInterruptibly(t *testing.T) {
	in, out, err := os.Pipe()
	require.NoError(t, err)
	defer in.Close()
	defer out.Close()
	_ = in.Fd() // takes it from the poller, as standard input is
	ctx, cancel := context.WithCancel(t.Context())
	stream := cancellableReader(ctx, in)
	_, err = out.WriteString("a")
	require.NoError(t, err)
	one := make([]byte, 1)
	_, err = stream.Read(one)
	require.NoError(t, err)
	require.Equal(t, "a", string(one))
	cancel()
	_, err = stream.Read(one)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, out.Close()) // lets the goroutine go
}

// closedPort returns an address that refuses connections until the test ends: a
// socket has it and does not listen.
func closedPort(t *testing.T) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, syscall.Close(socket)) })
	require.NoError(t, syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	name, err := syscall.Getsockname(socket)
	require.NoError(t, err)
	return fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
}
