package onnx

import (
	"context"
	"errors"
	"fmt"

	"imago/ports"
)

// errNotOpen is the error before Start and after Close.
var errNotOpen = errors.New("the network is not open")

// errNotFinite is the error for outputs that are not finite.
var errNotFinite = errors.New("the network returned a number that is not finite")

// classify wraps an error as ports promises: the context's error when it has ended, an
// ErrInvalid as it is, and anything else as ErrUnavailable.
func classify(ctx context.Context, call string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ports.ErrInvalid):
		return err
	default:
		return fmt.Errorf("onnx: %s: %w: %w", call, ports.ErrUnavailable, err)
	}
}
