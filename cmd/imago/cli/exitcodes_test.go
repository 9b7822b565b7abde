package cli

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

func TestExitCodes(t *testing.T) {
	for code, said := range map[int]string{ExitFailed: "1 failed", ExitUsage: "2 the command line", ExitPartial: "3 done but", ExitUnavailable: "4 a server", ExitSignal + 2: "130 and"} {
		require.Contains(t, ExitCodes, said, code)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(signalError{syscall.SIGTERM})
	require.Equal(t, 143, ExitCode(ctx, ctx.Err()))
	require.Equal(t, "interrupted by a signal: terminated", message(ctx, ctx.Err()))
	require.Zero(t, ExitCode(ctx, nil), "it came too late")
}

// The error that the caller can mend decides, and a mark changes no text.
func TestExitCodesOfErrors(t *testing.T) {
	failed, unavailable := errors.New("failed"), fmt.Errorf("store: %w", ports.ErrUnavailable)
	for code, errs := range map[int][]error{
		ExitFailed:      {failed},
		ExitUnavailable: {unavailable, fmt.Errorf("x: %w", Unavailablef("y")), errors.Join(failed, unavailable)},
		ExitPartial:     {Partialf("left out"), errors.Join(unavailable, Partialf("left out"))},
		ExitUsage:       {Usage(failed), Usagef("--x: %w", failed), errors.Join(Partialf("left out"), unavailable, Usage(failed))},
	} {
		for _, err := range errs {
			require.Equal(t, code, ExitCode(t.Context(), err), err)
		}
	}
	require.Equal(t, "--x: failed", Usagef("--x: %w", failed).Error())
	require.ErrorIs(t, Usagef("--x: %w", failed), failed)
}
