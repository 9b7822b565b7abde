package sqlite

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
)

// In a child process, rotateEnv holds the path of the file to open, keysEnv the
// keys, and decryptEnv whether they only open.
const (
	rotateEnv  = "IMAGO_TEST_ROTATE_FILE"
	keysEnv    = "IMAGO_TEST_ROTATE_KEYS"
	decryptEnv = "IMAGO_TEST_ROTATE_DECRYPT"
)

// TestCrashWhileEncrypting kills a process in the middle of encrypting a file,
// again and again at different places, with the keys of the day: nothing is
// lost, and in the end everything is encrypted with the last key.
func TestCrashWhileEncrypting(t *testing.T) {
	path, records := filled(t, 6000, config.Encryption{})
	killEncrypting(t, path, 1, withKeys(1))
	_, err := opening(t, path, withKeys(2))
	require.ErrorContains(t, err, nameOfKey(t, 1), "half encrypted, and the key is gone")
	_, err = opening(t, path, config.Encryption{})
	require.ErrorContains(t, err, nameOfKey(t, 1))

	killEncrypting(t, path, 3, withKeys(1))
	killEncrypting(t, path, 2, withKeys(2, 1)) // another key before the first one is through
	_, err = opening(t, path, withKeys(2))
	require.ErrorContains(t, err, "key "+nameOfKey(t, 1)+" is not configured", "rows of the first key are left")
	killEncrypting(t, path, 4, withKeys(2, 1))
	requireKept(t, path, withKeys(2, 1), records)
	require.Zero(t, tracesAtRest(t, path, records))
	requireKept(t, path, withKeys(2), records)
}

// killEncrypting has a child open a file and kills it after it has committed n
// batches.
func killEncrypting(t *testing.T, path string, n int, e config.Encryption) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEncryptingChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), rotateEnv+"="+path, keysEnv+"="+e.Key.Reveal(), decryptEnv+"="+strconv.FormatBool(e.Decrypt))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	on, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	batches := 0
	for in := bufio.NewScanner(out); in.Scan(); {
		require.Equal(t, "batch", in.Text())
		if batches++; batches == n {
			require.NoError(t, cmd.Process.Kill())
			break
		}
		_, err := on.Write([]byte{'\n'})
		require.NoError(t, err)
	}
	require.ErrorContains(t, cmd.Wait(), "killed")
	require.Equal(t, n, batches)
}

// TestEncryptingChild is what the child runs.
func TestEncryptingChild(t *testing.T) {
	path := os.Getenv(rotateEnv)
	if path == "" {
		return // TestCrashWhileEncrypting runs it
	}
	e := config.Encryption{Key: config.Secret(os.Getenv(keysEnv)), Convert: true, Decrypt: os.Getenv(decryptEnv) == "true"}
	s := configured(config.MemoryStore{Path: path, Encryption: e}, testSpace(128), slog.New(batches{slog.DiscardHandler}))
	require.NoError(t, s.Start(t.Context()))
	closeStore(t, s)
}

// batches is a log handler that prints a line for each batch and waits until the
// parent has read it.
type batches struct{ slog.Handler }

func (batches) Enabled(context.Context, slog.Level) bool { return true }

func (batches) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "encrypted some vectors") {
		_, err := os.Stdout.WriteString("batch\n")
		_, waited := os.Stdin.Read(make([]byte, 1))
		return errors.Join(err, waited)
	}
	return nil
}

// A start that is called off in the middle has not lost anything either.
func TestEncryptingIsCalledOff(t *testing.T) {
	path, records := filled(t, 3000, withKeys(1))
	ctx, cancel := context.WithCancel(t.Context())
	s := configured(config.MemoryStore{Path: path, Encryption: withKeys(2, 1)}, testSpace(128), slog.New(cancelling{slog.DiscardHandler, cancel}))
	t.Cleanup(func() { closeStore(t, s) })
	require.ErrorIs(t, s.Start(ctx), context.Canceled)
	requireKept(t, path, withKeys(2, 1), records)
}

// cancelling is a log handler that ends a context at the first batch.
type cancelling struct {
	slog.Handler
	cancel func()
}

func (cancelling) Enabled(context.Context, slog.Level) bool { return true }

func (c cancelling) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "encrypted some vectors") {
		c.cancel()
	}
	return nil
}
