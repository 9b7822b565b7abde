package httpapi

import (
	"context"
	"sync/atomic"
	"time"
)

// callTime is the processor time that a request may take for the price of one. An
// ordinary picture takes a tenth of it.
const callTime = 250 * time.Millisecond

// ChargeFunc takes further calls from what a client's rate allows.
type ChargeFunc func(client string, calls int)

type meterKey struct{}

// Spend notes processor time for the request that a context belongs to, where it
// belongs to one.
func Spend(ctx context.Context, took time.Duration) {
	if spent, ok := ctx.Value(meterKey{}).(*atomic.Int64); ok {
		spent.Add(int64(took))
	}
}

// metered returns a context for the work on a request. When that is done, charge is
// to be called: the client pays for each full callTime beyond what every request has.
func (s *Server) metered(ctx context.Context, client string) (_ context.Context, charge func()) {
	if s.charge == nil {
		return ctx, func() {}
	}
	spent := new(atomic.Int64)
	return context.WithValue(ctx, meterKey{}, spent), func() {
		if calls := int(time.Duration(spent.Load()) / callTime); calls > 0 {
			s.charge(client, calls)
		}
	}
}
