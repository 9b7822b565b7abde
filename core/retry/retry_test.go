package retry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/retry"
	"imago/ports"
)

var policy = retry.Policy{FirstWait: time.Second, MaxWait: 4 * time.Second, MaxTotal: 15 * time.Second}

// failing answers errors in turn, then nil, and counts the calls.
func failing(calls *int, errs ...error) func() error {
	return func() error {
		*calls++
		if *calls > len(errs) {
			return nil
		}
		return errs[*calls-1]
	}
}

func TestDoRepeatsWhatMayPass(t *testing.T) {
	unavailable := fmt.Errorf("store: %w", ports.ErrUnavailable)
	other := errors.New("other")
	for name, c := range map[string]struct {
		errs  []error
		want  error
		calls int
		took  time.Duration
	}{
		"success":              {nil, nil, 1, 0},
		"another error":        {[]error{other}, other, 1, 0},
		"back after a while":   {[]error{unavailable, ports.ErrOverloaded, unavailable}, nil, 4, 7 * time.Second},
		"another error later":  {[]error{unavailable, ports.ErrExists}, ports.ErrExists, 2, time.Second},
		"patience at its end":  {[]error{unavailable, unavailable, unavailable, unavailable, unavailable, unavailable, unavailable}, unavailable, 6, 15 * time.Second},
		"cancelled by itself":  {[]error{context.Canceled}, context.Canceled, 1, 0},
		"deadline of its own ": {[]error{context.DeadlineExceeded}, context.DeadlineExceeded, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, began := 0, time.Now()
				require.ErrorIs(t, policy.Do(t.Context(), failing(&calls, c.errs...)), c.want)
				require.Equal(t, c.calls, calls)
				require.Equal(t, c.took, time.Since(began))
			})
		})
	}
}

func TestDoEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		err := policy.Do(ctx, func() error { return ports.ErrUnavailable })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 2*time.Second, time.Since(began))
	})
}

func TestZeroPolicyNeverRepeats(t *testing.T) {
	calls := 0
	require.ErrorIs(t, retry.Policy{}.Do(t.Context(), failing(&calls, ports.ErrUnavailable)), ports.ErrUnavailable)
	require.Equal(t, 1, calls)
}
