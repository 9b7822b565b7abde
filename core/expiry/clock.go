package expiry

import "time"

// tolerance is by how much the system's clock may be set forward at once without being
// doubted, as time synchronization does.
const tolerance = 10 * time.Second

// reading is what the system's clocks show: the time of day, and how long the process runs,
// which nobody can set.
type reading struct {
	wall    time.Time
	elapsed time.Duration
}

// systemClock returns a function that reads the system's clocks.
func systemClock() func() reading {
	start := time.Now()
	return func() reading {
		now := time.Now()
		return reading{now.Round(0), now.Sub(start)}
	}
}

// steadyClock shows the time of day by which users are erased. It follows the system's clock
// back at once, and forward with the time that the process runs: when the system's clock is
// set forward, it follows only when that has held for a while, in which people can set it
// right. It is for one goroutine at a time.
type steadyClock struct {
	read func() reading
	hold time.Duration // how long the system's clock is doubted

	at      reading       // when the two last agreed; zero for never
	ahead   time.Duration // how far the system's clock is ahead; 0 if they agree
	doubted time.Duration // since when, by the time that the process runs
}

// now returns the time, and whether the system's clock was found ahead just now.
func (c *steadyClock) now() (t time.Time, jumped bool) {
	r := c.read()
	if c.at.wall.IsZero() {
		c.at = r
	}
	steady := c.at.wall.Add(r.elapsed - c.at.elapsed)
	ahead := r.wall.Sub(steady)
	if ahead <= tolerance {
		c.at, c.ahead = r, 0
		return r.wall, false
	}
	if d := ahead - c.ahead; d > tolerance || d < -tolerance {
		c.ahead, c.doubted = ahead, r.elapsed
		return steady, true
	}
	if r.elapsed-c.doubted >= c.hold {
		c.at, c.ahead = r, 0
		return r.wall, false
	}
	return steady, false
}
