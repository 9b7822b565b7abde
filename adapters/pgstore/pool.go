package pgstore

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"imago/ports"
)

// limitPause is how long no further connection is asked for after the server has
// refused one because of its limit.
const limitPause = 200 * time.Millisecond

// pool are the connections. Where the server's limit leaves it fewer than it may have,
// callers wait for one of those it has.
type pool struct {
	*pgxpool.Pool
	released chan struct{}         // a connection has become free
	limit    atomic.Pointer[limit] // the last refusal
}

// limit is a refusal of the server, and how long it is believed.
type limit struct {
	err   error
	until time.Time
}

func openPool(ctx context.Context, cfg *pgxpool.Config) (*pool, error) {
	p := &pool{released: make(chan struct{}, cfg.MaxConns)}
	cfg.BeforeConnect = func(context.Context, *pgx.ConnConfig) error {
		if l := p.limit.Load(); l != nil && time.Now().Before(l.until) {
			return l.err
		}
		return nil
	}
	var err error
	p.Pool, err = pgxpool.NewWithConfig(ctx, cfg)
	return p, err
}

// use runs f with a connection.
func (p *pool) use(ctx context.Context, f func(*pgxpool.Conn) error) error {
	conn, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	defer func() {
		conn.Release()
		select {
		case p.released <- struct{}{}:
		default:
		}
	}()
	return f(conn)
}

// acquire returns a connection. When the server's limit allows no further one it waits,
// as long as ctx lets it, for one that is in use here; if there is none the refusal
// stands.
func (p *pool) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	for {
		conn, err := p.Acquire(ctx)
		if sqlState(err) != tooManyConnections {
			return conn, err
		}
		if l := p.limit.Load(); l == nil || time.Now().After(l.until) {
			p.limit.Store(&limit{err, time.Now().Add(limitPause)})
		}
		if p.Stat().TotalConns() == 0 {
			return nil, err
		}
		select {
		case <-p.released:
		case <-time.After(limitPause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// begin runs f in a transaction that changes something: writing or sharing.
func (p *pool) begin(ctx context.Context, kind pgx.TxOptions, f func(pgx.Tx) error) error {
	return p.use(ctx, func(conn *pgxpool.Conn) error { return pgx.BeginTxFunc(ctx, conn, kind, f) })
}

// write runs what queue queues in a transaction of its own with settings, in one round trip.
func (p *pool) write(ctx context.Context, settings string, queue func(*pgx.Batch)) error {
	var batch pgx.Batch
	batch.Queue(beginWrite)
	batch.Queue(settings)
	queue(&batch)
	batch.Queue(`COMMIT`)
	return p.use(ctx, func(conn *pgxpool.Conn) error {
		err := conn.SendBatch(ctx, &batch).Close()
		if conn.Conn().PgConn().TxStatus() != 'I' {
			_, _ = conn.Exec(ctx, `ROLLBACK`)
		}
		return err
	})
}

// collect runs a query with settings, in one round trip, and reads its rows.
func collect[T any](ctx context.Context, d *Driver, settings string, read pgx.RowToFunc[T], query string, args ...any) (all []T, err error) {
	var standby bool
	var batch pgx.Batch
	batch.Queue(settings).QueryRow(func(row pgx.Row) error { return row.Scan(&standby, nil) })
	batch.Queue(d.sql(query), args...).Query(func(rows pgx.Rows) error {
		all, err = pgx.CollectRows(rows, read)
		return err
	})
	err = d.pool.use(ctx, func(conn *pgxpool.Conn) error { return conn.SendBatch(ctx, &batch).Close() })
	if err == nil && standby {
		return nil, ports.Unavailable(errStandby)
	}
	return all, err
}
