package extraction

import (
	"context"
	"fmt"

	"imago/ports"
)

// admission lets a bounded number of pictures be worked on at once and a
// bounded number wait.
type admission struct {
	workers chan struct{}
	waiting chan struct{}
}

func newAdmission(workers, queue int) *admission {
	return &admission{workers: make(chan struct{}, workers), waiting: make(chan struct{}, queue)}
}

// enter waits for a worker. On success leave must be called. It answers
// ErrOverloaded at once when as many wait already as may.
func (a *admission) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case a.workers <- struct{}{}:
		return nil
	default:
	}
	select {
	case a.waiting <- struct{}{}:
		defer func() { <-a.waiting }()
	default:
		return fmt.Errorf("extraction: %w: %d pictures in work and %d waiting", ports.ErrOverloaded, cap(a.workers), cap(a.waiting))
	}
	select {
	case a.workers <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *admission) leave() { <-a.workers }
