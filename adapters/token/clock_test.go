package token

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// leapingClock is a clock that can be set while time passes.
type leapingClock struct {
	start        time.Time
	wall, passed time.Duration // what it shows, and how long it has been, since the start
}

func (c *leapingClock) pass(d time.Duration) { c.wall, c.passed = c.wall+d, c.passed+d }

func (c *leapingClock) set(wall time.Duration) { c.wall = wall }

// read returns the time with its two readings, of which only the first one leaps.
func (c *leapingClock) read() time.Time {
	return fixture.Leap(c.start.Add(c.passed), c.wall-c.passed)
}

func TestLeapingClock(t *testing.T) {
	c := &leapingClock{start: time.Now()}
	before := c.read()
	c.pass(time.Second)
	c.set(3 * time.Hour)
	require.Equal(t, time.Second, c.read().Sub(before))
	require.Equal(t, 3*time.Hour, c.read().Round(0).Sub(before.Round(0)))
}

// Whatever the clock does, no token opens twice, none opens that it shows as
// expired, and when it is right again all is as before.
func TestTokensWhenTheClockLeaps(t *testing.T) {
	for name, leap := range map[string]time.Duration{"ahead": 3 * time.Hour, "back": -3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			o := started(t, settings(writeNew(t, setOf(t))), quiet)
			c := &leapingClock{start: time.Now()}
			o.now = c.read
			once := seal(t, "direct", c.start)
			o.opens(t, once)

			c.pass(time.Second)
			c.set(leap)
			want := Expired
			if leap < 0 {
				want = NotYetValid
			}
			o.refuses(t, want, once)
			o.refuses(t, want, seal(t, "direct", c.start))
			o.opens(t, seal(t, "direct", c.start.Add(leap)))
			c.pass(time.Minute)
			o.opens(t, seal(t, "direct", c.start.Add(leap+time.Minute)))

			// Back to where once is valid, by a clock that is set or by waiting.
			if leap > 0 {
				c.set(2 * time.Second)
			} else {
				c.pass(-leap - time.Minute)
			}
			o.opens(t, seal(t, "direct", c.start))
			o.refuses(t, Replayed, once)
		})
	}
}
