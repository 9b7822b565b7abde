package token

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"imago/config"
	"imago/ports"
)

func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"missing": "", "garbage": "{", "no keys": "{}", "a JWK": `{"kty":"oct"}`} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "missing.json")
			if text != "" {
				path = writeNew(t, text)
			}
			o := New(settings(path), imageBytes, quiet)
			require.ErrorContains(t, o.Start(t.Context()), path)
			require.NoError(t, o.Close(t.Context()))
		})
	}
}

// Rotation: the new key is added, then the old one removed; what cannot be used
// leaves the current keys in place.
func TestRotation(t *testing.T) {
	var log bytes.Buffer
	path := writeNew(t, setOf(t, "direct"))
	o := started(t, settings(path), slog.New(slog.NewTextHandler(&log, nil)))
	var reloads []error
	o.OnReload(func(err error) { reloads = append(reloads, err) })
	o.refuses(t, UnknownKey, seal(t, "ec", noon))

	o.Poll()
	require.Empty(t, reloads, "an unchanged file is not read")

	write(t, path, setOf(t, "direct", "ec"))
	o.Poll()
	o.opens(t, seal(t, "direct", noon))
	o.opens(t, seal(t, "ec", noon))

	for _, garbage := range []string{"", "{", `{"keys":[{"kty":"oct","kid":"x","alg":"dir","k":"c2VjcmV0"}]}`} {
		reloads = nil
		log.Reset()
		write(t, path, garbage)
		o.Poll()
		o.Poll()
		require.Len(t, reloads, 1, "each change is reported once")
		require.Error(t, reloads[0])
		require.Equal(t, 1, strings.Count(log.String(), "level=ERROR"))
		require.NotContains(t, log.String(), "c2VjcmV0")
		o.opens(t, seal(t, "direct", noon))
	}
	require.Error(t, o.Reload(), "asked for, the same failure is told again")
	require.NoError(t, os.Remove(path))
	require.ErrorIs(t, o.Reload(), os.ErrNotExist)
	o.opens(t, seal(t, "direct", noon))

	write(t, path, setOf(t, "ec"))
	require.NoError(t, o.Reload())
	o.refuses(t, UnknownKey, seal(t, "direct", noon))
	o.opens(t, seal(t, "ec", noon))

	write(t, path, `{"keys":[]}`)
	o.Poll()
	o.refuses(t, UnknownKey, seal(t, "ec", noon))
}

func TestWarnsOfKeysThatEverybodyCanRead(t *testing.T) {
	path := writeNew(t, setOf(t, "direct"))
	var log bytes.Buffer
	o := started(t, settings(path), slog.New(slog.NewTextHandler(&log, nil)))
	require.NotContains(t, log.String(), "WARN")
	require.NoError(t, os.Chmod(path, 0o604))
	require.NoError(t, o.Reload())
	require.Contains(t, log.String(), "can be read by every user")
}

// The whole with its goroutine, under fx, while tokens are opened.
func TestModuleWatchesTheFile(t *testing.T) {
	path := writeNew(t, setOf(t, "direct"))
	var o *Opener
	app := fxtest.New(t, Module, fx.NopLogger,
		fx.Supply(settings(path), config.Limits{ImageBytes: imageBytes}, quiet), fx.Populate(&o))
	o.Interval = time.Millisecond
	app.RequireStart()
	defer app.RequireStop()
	write(t, path, setOf(t, "ec"))
	require.Eventually(t, func() bool {
		_, err := o.Open(t.Context(), []byte(seal(t, "ec", time.Now())), ports.Purpose{})
		return err == nil
	}, 30*time.Second, time.Millisecond)
}
