package config

import (
	"strconv"
	"strings"
	"time"
)

// Period is a time for which something is kept, in days or as a time.Duration is written:
// 30d, 36h. 0 means no end.
type Period time.Duration

const (
	day = 24 * time.Hour
	// maxPeriod is a hundred years. Whoever wants longer writes 0.
	maxPeriod  = 36525 * day
	periodRule = "must be days such as 90d, or a duration such as 36h, from 1s to 36525d; 0 for no end"
)

// parsePeriod takes whole days, or what time.ParseDuration takes. A number without a unit is
// refused: nobody should have to guess what 30 means where people are erased by it.
func parsePeriod(text string) (time.Duration, error) {
	var period time.Duration
	if days, inDays := strings.CutSuffix(text, "d"); inDays {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, err
		}
		period = time.Duration(n) * day
	} else if d, err := time.ParseDuration(text); err != nil {
		return 0, err
	} else {
		period = d
	}
	if period != 0 && (period < time.Second || period > maxPeriod) {
		return 0, strconv.ErrRange
	}
	return period, nil
}

// String returns the period as a file has it.
func (p Period) String() string {
	switch d := time.Duration(p); {
	case d == 0:
		return "0"
	case d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	default:
		return d.String()
	}
}

// MarshalYAML writes the period as a file has it.
func (p Period) MarshalYAML() (any, error) {
	if p == 0 {
		return 0, nil
	}
	return p.String(), nil
}
