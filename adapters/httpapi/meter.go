package httpapi

import (
	"context"
	"sync/atomic"
	"time"
)

// callTime is the processor time that a request may take for the price of one. An
// ordinary picture takes a tenth of it.
const callTime = 250 * time.Millisecond

type meterKey struct{}

// Spend notes processor time for the request that a context belongs to, where it
// belongs to one.
func Spend(ctx context.Context, took time.Duration) {
	if spent, ok := ctx.Value(meterKey{}).(*atomic.Int64); ok {
		spent.Add(int64(took))
	}
}

// withMeter returns a context for the work on a client's request. When that is done,
// settle is to be called: the client pays for each full callTime beyond what every
// request has.
func withMeter(ctx context.Context, client string, charge func(client string, calls int)) (_ context.Context, settle func()) {
	spent := new(atomic.Int64)
	return context.WithValue(ctx, meterKey{}, spent), func() {
		if calls := int(time.Duration(spent.Load()) / callTime); calls > 0 {
			charge(client, calls)
		}
	}
}
