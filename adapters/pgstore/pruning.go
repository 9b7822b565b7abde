package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// logAge is for how long the change log keeps a change: so long a copy of the faces may be
// asleep without having to be made again, and so long the ID of a removed user is kept.
const logAge = 10 * time.Minute

// pruneEvery is how often the log is pruned, and how long that may take.
const pruneEvery = time.Minute

// prune drops what is older, but for the last commit of it, whose row stands for the
// position before the next one. Of several imagos one does it.
const prune = `
	WITH old AS MATERIALIZED (
		SELECT max(number) AS last FROM {schema}.commits
		WHERE committed_at < clock_timestamp() - $1::interval AND pg_try_advisory_xact_lock($2)),
	users AS (DELETE FROM {schema}.changed_users AS users USING {schema}.commits, old WHERE users.xid = commits.xid AND number <= last)
	DELETE FROM {schema}.commits USING old WHERE number < last`

// pruneLock is the key of the advisory lock of prune; "imagolog" in ASCII.
const pruneLock = 0x696d61676f6c6f67

// pruner prunes the change log in the background.
type pruner struct {
	stop    context.CancelFunc
	stopped chan struct{}
}

func startPruner(d *Driver) *pruner {
	ctx, stop := context.WithCancel(context.Background())
	r := &pruner{stop: stop, stopped: make(chan struct{})}
	go func() {
		defer close(r.stopped)
		for ticker := time.NewTicker(pruneEvery); ; {
			select {
			case <-ticker.C:
				if err := d.prune(ctx, logAge); err != nil && ctx.Err() == nil {
					d.log.Warn("cannot shorten the change log, trying again; it grows until then", "error", readable(err))
				}
			case <-ctx.Done():
				ticker.Stop()
				return
			}
		}
	}()
	return r
}

func (r *pruner) close() {
	r.stop()
	<-r.stopped
}

// prune drops what is older than an age.
func (d *Driver) prune(ctx context.Context, age time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, pruneEvery)
	defer cancel()
	return d.pool.write(ctx, writeSettings, func(b *pgx.Batch) { b.Queue(d.sql(prune), age, pruneLock) })
}
