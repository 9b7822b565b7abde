package memstore

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/adapters/memstore/sqlite"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/records"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func closeStore(tb testing.TB, s *store) {
	tb.Helper()
	// The test's context has ended when clean-ups run.
	require.NoError(tb, s.Close(context.WithoutCancel(tb.Context())))
}

// pageSize is that of the file, in bytes.
const pageSize = 8192

// What these tests enrol.
const users = records.Users

var (
	testSpace  = records.Space
	seeded     = records.Rand
	unitVector = fixture.UnitVector
	userKey    = records.Key
	record     = records.New
	crowd      = records.Crowd
	addChips   = records.AddChips
	until      = fixture.Until
	traces     = records.Traces
	outside    = records.OpenSQLite
)

// enrol adds records many at a time.
func enrol(tb testing.TB, s *store, records []ports.Record) {
	tb.Helper()
	const callers = 64
	require.NoError(tb, errors.Join(fixture.Together(callers, func(caller int) error {
		for i := caller; i < len(records); i += callers {
			if err := s.Add(tb.Context(), records[i], ports.NewUser()); err != nil {
				return err
			}
		}
		return nil
	})...))
}

// contents returns all records of the collection of the tests, without their chips.
func contents(tb testing.TB, s *store) []ports.Record {
	tb.Helper()
	var all []ports.Record
	for r, err := range s.Scan(tb.Context(), ports.Everything(users, "")) {
		require.NoError(tb, err)
		all = append(all, r)
	}
	return all
}

// reopened closes a store and opens its file again.
func reopened(tb testing.TB, s *store) *store {
	tb.Helper()
	closeStore(tb, s)
	return started(tb, s.driver.cfg.Path, s.driver.space)
}

// gate is a file whose commits wait until it is opened.
type gate struct {
	file
	waiting atomic.Bool
	open    chan struct{}
}

func (g *gate) Commit(changes []sqlite.Change) error {
	g.waiting.Store(true)
	<-g.open
	return g.file.Commit(changes)
}

// blockCommits keeps the writer from committing until release is called. It is for a store
// that has just been opened, whose writer has not used its file yet or rests.
func blockCommits(s *store) (release func()) {
	g := &gate{file: s.driver.writer.file, open: make(chan struct{})}
	s.driver.writer.file = g
	return func() { close(g.open) }
}

// submit hands a change to the writer, whose commits are blocked, and returns once
// it is being committed, alone.
func submit(tb testing.TB, s *store, c change) *write {
	tb.Helper()
	op := &write{change: c, answer: make(chan error, 1)}
	s.driver.writer.queue <- op
	until(tb, "the write is taken up", s.driver.writer.file.(*gate).waiting.Load)
	return op
}
