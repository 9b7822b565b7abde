package onnx

import (
	"context"
	"errors"
	"fmt"

	"imago/ports"
)

// errNotOpen is what a network answers before Start and after Close.
var errNotOpen = errors.New("the network is not open")

// errNotFinite is what a network with a numeric fault has answered.
var errNotFinite = errors.New("the network answered a number that is not finite")

// classify turns an error of one call into what ports promises: the context's
// own error when it has ended, an ErrInvalid as it is, and ErrUnavailable
// around everything else.
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
