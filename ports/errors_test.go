package ports_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// A deadline that has passed counts even where the context's own timer has not
// fired yet.
func TestEndedByTheClock(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, ports.Ended(cancelled), context.Canceled)
	require.NoError(t, ports.Ended(t.Context()))
	require.ErrorIs(t, ports.Ended(passed{t.Context()}), context.DeadlineExceeded)
}

// passed is a context with a deadline behind it that has not noticed.
type passed struct{ context.Context }

func (passed) Deadline() (time.Time, bool) { return time.Unix(0, 0), true }

// A backend's own time limit is not taken for the caller's; any other cause stays
// visible.
func TestUnavailable(t *testing.T) {
	for _, cause := range []error{io.ErrUnexpectedEOF, context.Canceled, context.DeadlineExceeded} {
		err := ports.Unavailable(cause)
		require.ErrorIs(t, err, ports.ErrUnavailable)
		require.ErrorContains(t, err, cause.Error())
		require.Equal(t, errors.Is(cause, io.ErrUnexpectedEOF), errors.Is(err, cause))
	}
}
