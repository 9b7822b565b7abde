package expiry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A clock that is set forward is believed when it has stood for a while, one that is set back
// at once; small steps, as of time synchronization, are followed.
func TestSteadyClock(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	var r reading
	c := steadyClock{read: func() reading { return r }, hold: time.Hour}
	for _, step := range []struct {
		name    string
		elapsed time.Duration // since the start
		wall    time.Duration // since noon
		want    time.Duration
		jumped  bool
	}{
		{"it starts", 0, 0, 0, false},
		{"time passes", time.Minute, time.Minute, time.Minute, false},
		{"a step of seconds", 2 * time.Minute, 2*time.Minute + 9*time.Second, 2*time.Minute + 9*time.Second, false},
		{"another", 3 * time.Minute, 3*time.Minute + 18*time.Second, 3*time.Minute + 18*time.Second, false},
		{"a year ahead", 4 * time.Minute, 8760 * time.Hour, 4*time.Minute + 18*time.Second, true},
		{"it stands", 5 * time.Minute, 8760*time.Hour + time.Minute, 5*time.Minute + 18*time.Second, false},
		{"it is set right", 6 * time.Minute, 6 * time.Minute, 6 * time.Minute, false},
		{"an hour ahead", 10 * time.Minute, 70 * time.Minute, 10 * time.Minute, true},
		{"it stands for less than the time", 69 * time.Minute, 129 * time.Minute, 69 * time.Minute, false},
		{"it stands for the time", 70 * time.Minute, 130 * time.Minute, 130 * time.Minute, false},
		{"an hour ahead again", 80 * time.Minute, 200 * time.Minute, 140 * time.Minute, true},
		{"and two more before it was believed", 130 * time.Minute, 370 * time.Minute, 190 * time.Minute, true},
		{"the time counts anew", 150 * time.Minute, 390 * time.Minute, 210 * time.Minute, false},
		{"a year back", 160 * time.Minute, -8760 * time.Hour, -8760 * time.Hour, false},
		{"time passes there", 170 * time.Minute, -8760*time.Hour + 10*time.Minute, -8760*time.Hour + 10*time.Minute, false},
		{"it is set right from there", 180 * time.Minute, 180 * time.Minute, -8760*time.Hour + 20*time.Minute, true},
		{"and believed after the time", 240 * time.Minute, 240 * time.Minute, 240 * time.Minute, false},
	} {
		r = reading{noon.Add(step.wall), step.elapsed}
		at, jumped := c.now()
		require.Equal(t, step.want, at.Sub(noon), step.name)
		require.Equal(t, step.jumped, jumped, step.name)
	}
}

func TestSystemClock(t *testing.T) {
	read := systemClock()
	first, second := read(), read()
	require.GreaterOrEqual(t, second.elapsed, first.elapsed)
	require.WithinDuration(t, time.Now(), second.wall, time.Minute)
}
