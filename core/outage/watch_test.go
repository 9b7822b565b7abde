package outage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var errLost = errors.New("connection refused")

// watched returns a Watch with a clock, and what it has logged.
func watched(t *testing.T) (w *Watch, clock *time.Time, log func() []string) {
	t.Helper()
	var buf bytes.Buffer
	now := time.Unix(1_700_000_000, 0)
	w = New(slog.New(slog.NewJSONHandler(&buf, nil)), Words{Level: slog.LevelError, Lost: "store lost", Action: "mend it", Back: "store back"})
	w.now = func() time.Time { return now }
	return w, &now, func() (lines []string) {
		for line := range strings.Lines(buf.String()) {
			var l struct {
				Level, Msg string
				DurationMS int `json:"duration_ms"`
				Failures   int
			}
			require.NoError(t, json.Unmarshal([]byte(line), &l))
			lines = append(lines, strings.TrimSpace(fmt.Sprint(l.Level, " ", l.Msg, " ", l.DurationMS, " ", l.Failures)))
		}
		return lines
	}
}

func TestOneOutageIsTwoEvents(t *testing.T) {
	w, now, log := watched(t)
	w.Succeeded("search")
	require.Empty(t, log())
	for range 271 {
		err := w.Failed("search", fmt.Errorf("pgstore: %w", errLost))
		require.ErrorIs(t, err, errLost)
		require.True(t, Reported(fmt.Errorf("gallery: %w", err)))
		*now = now.Add(100 * time.Millisecond)
	}
	w.Succeeded("search")
	require.Equal(t, []string{"ERROR store lost 0 0"}, log(), "it may be lost again in a moment")
	*now = now.Add(calm)
	w.Succeeded("search")
	w.Succeeded("search")
	require.Equal(t, []string{"ERROR store lost 0 0", "INFO store back 27100 271"}, log())
	require.Error(t, w.Failed("add", errLost))
	require.Len(t, log(), 3)
}

// A part of which some calls fail and others do not is lost for as long.
func TestSomeCallsFail(t *testing.T) {
	w, now, log := watched(t)
	for range 40 {
		_ = w.Failed("add", errLost)
		*now = now.Add(5 * time.Second)
		w.Succeeded("search")
		w.Healthy("search", "health")
	}
	require.Equal(t, []string{
		"ERROR store lost 0 0", "WARN store lost, still 0 13", "WARN store lost, still 0 25", "WARN store lost, still 0 37",
	}, log())
	*now = now.Add(forget)
	w.Healthy("search", "health")
	require.Len(t, log(), 5, "nobody adds any more, and all is well")
}

// A part that comes and goes does not fill the log.
func TestFlicker(t *testing.T) {
	w, now, log := watched(t)
	for range 100 {
		_ = w.Failed("search", errLost)
		*now = now.Add(100 * time.Millisecond)
		w.Succeeded("search")
	}
	require.Len(t, log(), 1)
}

func TestNoWatch(t *testing.T) {
	var w *Watch
	require.Equal(t, errLost, w.Failed("search", errLost))
	require.False(t, Reported(errLost))
	w.Succeeded("search")
	w.Healthy()
}
