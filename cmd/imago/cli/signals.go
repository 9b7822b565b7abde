package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// stopTimeout is how long a command may take to end after a signal, unless it calls
// ExtendStop. Then the process exits, even if a file system or a pipe blocks it.
const stopTimeout = time.Minute

type stopTimeoutKey struct{}

// ExtendStop gives a command that Main runs longer to end after a signal.
func ExtendStop(ctx context.Context, timeout time.Duration) {
	if own, ok := ctx.Value(stopTimeoutKey{}).(*atomic.Int64); ok {
		own.Store(int64(timeout))
	}
}

// signalError is the cause for which a signal ends a command's context.
type signalError struct{ signal syscall.Signal }

func (e signalError) Error() string { return "interrupted by a signal: " + e.signal.String() }

// Main executes the command line, prints an error, if there is one, to standard error,
// and returns the exit code.
//
// SIGINT and SIGTERM cancel the command's context. A second signal ends the process at
// once, and so does a stop that takes too long: no file of imago is damaged by that.
func Main(root *cobra.Command) int {
	timeout := new(atomic.Int64)
	timeout.Store(int64(stopTimeout))
	ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), stopTimeoutKey{}, timeout))
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() { // ends with the process
		first := (<-signals).(syscall.Signal)
		cancel(signalError{first})
		time.AfterFunc(time.Duration(timeout.Load()), func() { os.Exit(ExitSignal + int(first)) })
		os.Exit(ExitSignal + int((<-signals).(syscall.Signal)))
	}()
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "imago:", message(ctx, err))
	}
	return ExitCode(ctx, err)
}
