package ports

import "time"

// Expiry returns when a user with those faces expires: the user's ExpiresAt or, where there
// is a retention, that time after the last enrolment of a face, whichever comes first. Zero
// means never.
func Expiry(faces []Record, retention time.Duration) time.Time {
	var at, last time.Time
	for _, r := range faces {
		at = earlier(at, r.ExpiresAt)
		if r.EnrolledAt.After(last) {
			last = r.EnrolledAt
		}
	}
	if retention > 0 && len(faces) > 0 {
		at = earlier(at, last.Add(retention))
	}
	return at
}

// earlier returns the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Microseconds returns a time that may be none as the microseconds since 1970, 0 for none.
// TimeOf is the opposite.
func Microseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// TimeOf returns the UTC time of so many microseconds since 1970, zero for 0.
func TimeOf(microseconds int64) time.Time {
	if microseconds == 0 {
		return time.Time{}
	}
	return time.UnixMicro(microseconds).UTC()
}

// Cutoff says which users of a collection have expired at a moment: those whose ExpiresAt is
// not later than At, and those without a face that was enrolled after EnrolledAt. A zero time
// expires nobody.
type Cutoff struct{ At, EnrolledAt time.Time }

// CutoffAt returns the cutoff of a moment in a collection of that retention, 0 for none.
func CutoffAt(now time.Time, retention time.Duration) Cutoff {
	c := Cutoff{At: now.UTC().Truncate(time.Microsecond)}
	if retention > 0 {
		c.EnrolledAt = c.At.Add(-retention)
	}
	return c
}

// Expired reports whether the user with those faces, which are all of the user's, has
// expired. Nobody without a face has.
func (c Cutoff) Expired(faces []Record) bool {
	for _, r := range faces {
		if c.Reached(r.ExpiresAt) {
			return true
		}
	}
	for _, r := range faces {
		if !c.Outdated(r.EnrolledAt) {
			return false
		}
	}
	return len(faces) > 0
}

// Reached reports whether a user of that ExpiresAt has expired.
func (c Cutoff) Reached(expiresAt time.Time) bool {
	return !c.At.IsZero() && !expiresAt.IsZero() && !expiresAt.After(c.At)
}

// Outdated reports whether a face that was enrolled then keeps its user no longer.
func (c Cutoff) Outdated(enrolledAt time.Time) bool {
	return !c.EnrolledAt.IsZero() && !enrolledAt.After(c.EnrolledAt)
}
