package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"imago/ports"
)

// The exit codes, for scripts. Those of the shells, 126 and above, are not used
// for anything else.
const (
	exitFailed      = 1   // the command was understood and failed
	exitUsage       = 2   // the command line or the configuration is wrong
	exitPartial     = 3   // the command is done, but something was refused
	exitUnavailable = 4   // a server or store does not answer now
	exitSignal      = 128 // and the number of the signal that ended the command
)

// exitCodes is the part of the help that explains them.
const exitCodes = "Exit codes: 0 done; 1 failed; 2 the command line or the configuration is wrong;\n" +
	"3 done but for something that is listed; 4 a server or store does not answer now,\n" +
	"try again; 130 and 143 ended by Ctrl-C (SIGINT) or SIGTERM before it was done."

// usageError marks an error that is the caller's to mend.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// partialError marks an error that says what a command has left out.
type partialError struct{ error }

func (e partialError) Unwrap() error { return e.error }

// unavailableError marks an error that may have gone by the next attempt.
type unavailableError struct{ error }

func (e unavailableError) Unwrap() error { return e.error }

// interruption is the cause for which a signal ends a command's context.
type interruption struct{ signal syscall.Signal }

func (i interruption) Error() string { return "interrupted by a signal: " + i.signal.String() }

// stopLimit is how long a command may take to end after a signal, unless it says
// otherwise by extendStop: whatever it waits for then, a file system that hangs or
// a pipe that nobody reads, it does not keep the process.
const stopLimit = closeTimeout + 30*time.Second

type stopLimitKey struct{}

// extendStop gives a command longer to end.
func extendStop(ctx context.Context, limit time.Duration) {
	if own, ok := ctx.Value(stopLimitKey{}).(*atomic.Int64); ok {
		own.Store(int64(limit))
	}
}

// interruptible returns a context that SIGINT or SIGTERM ends, with an
// interruption as its cause. The second signal ends the process at once, and so
// does a stop that takes too long: nothing that imago writes needs a proper end to
// stay whole.
func interruptible(parent context.Context) (context.Context, func()) {
	limit := new(atomic.Int64)
	limit.Store(int64(stopLimit))
	ctx, cancel := context.WithCancelCause(context.WithValue(parent, stopLimitKey{}, limit))
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for first := true; ; first = false {
			select {
			case s := <-signals:
				number := s.(syscall.Signal)
				if !first {
					os.Exit(exitSignal + int(number))
				}
				cancel(interruption{number})
				time.AfterFunc(time.Duration(limit.Load()), func() { os.Exit(exitSignal + int(number)) })
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// exitCode is what a command's error means to a script. Where a signal came too
// late to keep the command from its end there is no error.
func exitCode(ctx context.Context, err error) int {
	var by interruption
	switch {
	case err == nil:
		return 0
	case errors.As(context.Cause(ctx), &by):
		return exitSignal + int(by.signal)
	case errors.As(err, new(usageError)):
		return exitUsage
	case errors.As(err, new(partialError)):
		return exitPartial
	case errors.As(err, new(unavailableError)), errors.Is(err, ports.ErrUnavailable):
		return exitUnavailable
	}
	return exitFailed
}

// sentence is an error for people. Of a command that a signal has ended it does
// not tell what that broke off.
func sentence(ctx context.Context, err error) string {
	var by interruption
	if errors.As(context.Cause(ctx), &by) && errors.Is(err, context.Canceled) {
		return by.Error()
	}
	return err.Error()
}
