package pgstore

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pgvector/pgvector-go"

	"imago/ports"
)

// maxBatch is how many writes may share a transaction, and queueLength how many may wait
// for the one after: a caller beyond that waits for room.
const (
	maxBatch    = 256
	queueLength = 256
)

// chipBytes is how many bytes of chips the new users of a transaction bring, but for the last of
// them: they are the arguments of one statement, and the server copies those several times,
// into temporary files where they exceed its work_mem (4 MB).
const chipBytes = 1 << 20

// batchTime bounds a shared transaction; see also sharedSettings.
const batchTime = 30 * time.Second

// write is a change that waits for its turn. It is made in a transaction, its own or one
// that others share; it answers an error that is none of the server's only when it has
// changed nothing.
type write struct {
	ctx     context.Context
	newUser *ports.Record // what it adds, if that is all it does
	run     func(ctx context.Context, q querier) error
	claimed atomic.Bool // by the committer that took it or the caller that left
	answer  chan answer
}

// answer is how a write ended in a shared transaction.
type answer struct {
	err    error
	undone bool // the transaction was; the write is to be tried alone
}

// querier is a connection or a transaction.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// committer has the writes that wait at the same time share a transaction: they share the
// wait for the disk, and the lock of the commit counter.
type committer struct {
	driver  *Driver
	queue   chan *write
	closing chan struct{}
	stopped chan struct{}
}

func startCommitter(d *Driver) *committer {
	c := &committer{driver: d, queue: make(chan *write, queueLength), closing: make(chan struct{}), stopped: make(chan struct{})}
	go c.work()
	return c
}

// close ends the committer. Nobody waits for an answer then.
func (c *committer) close() {
	close(c.closing)
	<-c.stopped
}

// submit has a change made. When the context ends before its turn it is never made.
func (c *committer) submit(ctx context.Context, newUser *ports.Record, run func(context.Context, querier) error) error {
	w := &write{ctx: ctx, newUser: newUser, run: run, answer: make(chan answer, 1)}
	select {
	case c.queue <- w:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case a := <-w.answer:
		if a.undone {
			return c.alone(ctx, run)
		}
		return a.err
	case <-ctx.Done():
		w.claimed.Store(true)
		return ctx.Err()
	}
}

// alone makes a change in a transaction of its own.
func (c *committer) alone(ctx context.Context, run func(context.Context, querier) error) error {
	return retry(ctx, func() error {
		return c.driver.pool.begin(ctx, writing, func(tx pgx.Tx) error { return run(ctx, tx) })
	})
}

func (c *committer) work() {
	defer close(c.stopped)
	for {
		select {
		case w := <-c.queue:
			if batch := c.collect(w); len(batch) > 0 {
				c.process(batch)
			}
		case <-c.closing:
			return
		}
	}
}

// collect takes what waits behind a first write, and leaves out what was given up.
func (c *committer) collect(first *write) (batch []*write) {
	chips := 0
	for w := first; ; {
		if w.claimed.CompareAndSwap(false, true) {
			batch = append(batch, w)
			if w.newUser != nil {
				chips += len(w.newUser.Chip)
			}
		}
		if len(batch) == maxBatch || chips >= chipBytes {
			return batch
		}
		select {
		case w = <-c.queue:
		default:
			return batch
		}
	}
}

// process commits a batch and answers. After a failure that has not undone it for certain it
// may have been committed.
func (c *committer) process(batch []*write) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTime)
	defer cancel()
	if len(batch) == 1 {
		ctx = batch[0].ctx
	}
	answers, err := c.together(ctx, batch)
	for i, w := range batch {
		if err == nil {
			w.answer <- answer{err: answers[i]}
		} else {
			w.answer <- answer{err: mapError(err), undone: undone(err)}
		}
	}
}

// together makes all changes in one transaction.
func (c *committer) together(ctx context.Context, batch []*write) (answers []error, err error) {
	answers = make([]error, len(batch))
	var newUsers, others []int
	for i, w := range batch {
		if w.newUser != nil {
			newUsers = append(newUsers, i)
		} else {
			others = append(others, i)
		}
	}
	if len(others) == 0 {
		return answers, c.driver.pool.write(ctx, sharedSettings, func(b *pgx.Batch) { c.queueNewUsers(b, batch, newUsers, answers) })
	}
	return answers, c.driver.pool.begin(ctx, sharing, func(tx pgx.Tx) error {
		if len(newUsers) > 0 {
			var first pgx.Batch
			c.queueNewUsers(&first, batch, newUsers, answers)
			if err := tx.SendBatch(ctx, &first).Close(); err != nil {
				return err
			}
		}
		for _, i := range others {
			if answers[i] = batch[i].run(ctx, tx); sqlState(answers[i]) != "" || ctx.Err() != nil {
				return cmp.Or(answers[i], ctx.Err())
			}
		}
		return nil
	})
}

// queueNewUsers adds the new users with one statement: of 64, with the change log, it takes a
// tenth of the time of 64.
func (c *committer) queueNewUsers(b *pgx.Batch, batch []*write, newUsers []int, answers []error) {
	if len(newUsers) == 1 {
		i := newUsers[0]
		b.Queue(c.driver.sql(insertFirst), columns(*batch[i].newUser)...).Exec(func(tag pgconn.CommandTag) error {
			answers[i] = changed(ports.ErrExists)(tag, nil)
			return nil
		})
		return
	}
	// Two transactions that add the same users do so in the same order.
	slices.SortStableFunc(newUsers, func(a, b int) int { return compareUsers(batch[a].newUser, batch[b].newUser) })
	var rows newUserRows
	first := map[ports.UserKey]int{}
	for _, i := range newUsers {
		answers[i] = ports.ErrExists // until the statement says that it was added
		if _, taken := first[batch[i].newUser.User()]; !taken {
			first[batch[i].newUser.User()] = i
			rows.append(*batch[i].newUser)
		}
	}
	b.Queue(c.driver.sql(insertNewUsers), rows.columns()...).Query(func(added pgx.Rows) error {
		for added.Next() {
			var key ports.UserKey
			if err := added.Scan(&key.Collection, &key.UserID); err != nil {
				return err
			}
			answers[first[key]] = nil
		}
		return added.Err()
	})
}

func compareUsers(a, b *ports.Record) int {
	return cmp.Or(cmp.Compare(a.Collection, b.Collection), cmp.Compare(a.UserID, b.UserID))
}

// newUserRows are the arguments of insertNewUsers.
type newUserRows struct {
	collections, users, faces, owners []string
	enrolledAt                        []time.Time
	expiresAt                         []*time.Time
	vectors                           []pgvector.Vector
	chips                             [][]byte
}

func (n *newUserRows) append(r ports.Record) {
	n.collections, n.users = append(n.collections, r.Collection), append(n.users, r.UserID)
	n.faces, n.owners = append(n.faces, r.FaceID), append(n.owners, r.Owner)
	n.enrolledAt, n.expiresAt = append(n.enrolledAt, r.EnrolledAt), append(n.expiresAt, nullable(r.ExpiresAt))
	n.vectors, n.chips = append(n.vectors, pgvector.NewVector(r.Vector)), append(n.chips, chipOf(r))
}

func (n *newUserRows) columns() []any {
	return []any{n.collections, n.users, n.faces, n.owners, n.enrolledAt, n.expiresAt, n.vectors, n.chips}
}
