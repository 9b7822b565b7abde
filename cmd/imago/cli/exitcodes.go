package cli

import (
	"context"
	"errors"
	"fmt"

	"imago/ports"
)

// The exit codes, for scripts. Those of the shells, 126 and above, are not used
// for anything else.
const (
	ExitFailed      = 1   // the command was understood and failed
	ExitUsage       = 2   // the command line or the configuration is wrong
	ExitPartial     = 3   // the command is done, but something was refused
	ExitUnavailable = 4   // a server or store does not answer now
	ExitSignal      = 128 // and the number of the signal that ended the command
)

// ExitCodes is the part of the help that explains them.
const ExitCodes = "Exit codes: 0 done; 1 failed; 2 the command line or the configuration is wrong;\n" +
	"3 done but for something that is listed; 4 a server or store does not answer now,\n" +
	"try again; 130 and 143 ended by Ctrl-C (SIGINT) or SIGTERM before it was done."

// The marks of errors that decide the exit code, beside ports.ErrUnavailable. Their texts
// are never shown.
var (
	ErrUsage   = errors.New("usage error")
	ErrPartial = errors.New("partly done")
)

// marked is an error with a mark for ExitCode.
type marked struct {
	error
	mark error
}

// Unwrap lets errors.Is find both.
func (m marked) Unwrap() []error { return []error{m.error, m.mark} }

// Usage marks an error as one of the command line or the configuration.
func Usage(err error) error { return marked{err, ErrUsage} }

// Usagef is Usage for a message.
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// Partialf returns the error of a command that is done but for something.
func Partialf(format string, args ...any) error {
	return marked{fmt.Errorf(format, args...), ErrPartial}
}

// Unavailablef returns an error that may be gone at the next attempt.
func Unavailablef(format string, args ...any) error {
	return marked{fmt.Errorf(format, args...), ports.ErrUnavailable}
}

// ExitCode returns the exit code for a command's error, also for none: a signal may come
// too late to interrupt the command.
func ExitCode(ctx context.Context, err error) int {
	var by signalError
	switch {
	case err == nil:
		return 0
	case errors.As(context.Cause(ctx), &by):
		return ExitSignal + int(by.signal)
	case errors.Is(err, ErrUsage):
		return ExitUsage
	case errors.Is(err, ErrPartial):
		return ExitPartial
	case errors.Is(err, ports.ErrUnavailable):
		return ExitUnavailable
	}
	return ExitFailed
}

// message is an error for people. If a signal has interrupted the command, what it
// interrupted is of no interest.
func message(ctx context.Context, err error) string {
	var by signalError
	if errors.As(context.Cause(ctx), &by) && errors.Is(err, context.Canceled) {
		return by.Error()
	}
	return err.Error()
}
