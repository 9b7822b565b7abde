package sqlite

import (
	"cmp"
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/records"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// What these tests enrol.
const users = records.Users

var (
	testSpace  = records.Space
	seeded     = records.Rand
	unitVector = fixture.UnitVector
	record     = records.New
	crowd      = records.Crowd
	addChips   = records.AddChips
	traces     = records.Traces
	outside    = records.OpenSQLite
	ignore     = records.Ignore
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// store is the smallest user of a file. It remembers what it has read and committed.
type store struct {
	cfg   config.MemoryStore
	space ports.Space
	log   *slog.Logger
	file  *File
	faces map[ports.UserKey][]ports.Record
}

func newStore(path string, space ports.Space) *store {
	return configured(config.MemoryStore{Path: path}, space, discard())
}

func configured(cfg config.MemoryStore, space ports.Space, log *slog.Logger) *store {
	return &store{cfg: cfg, space: space, log: log}
}

func (s *store) Start(ctx context.Context) (err error) {
	s.faces = map[ports.UserKey][]ports.Record{}
	s.file, err = Open(ctx, s.cfg, s.space, s.log, func(r ports.Record) {
		r.Vector = slices.Clone(r.Vector)
		r.EnrolledAt = r.EnrolledAt.UTC()
		s.faces[r.User()] = append(s.faces[r.User()], r)
	})
	return err
}

// Close may be called again, and on a store that did not open.
func (s *store) Close() error {
	f := s.file
	if s.file = nil; f == nil {
		return nil
	}
	return f.Close()
}

func (s *store) commit(changes ...Change) error {
	if err := s.file.Commit(changes); err != nil {
		return err
	}
	for _, c := range changes {
		if c.Remove {
			delete(s.faces, c.Face.User())
		}
		if c.Add {
			s.faces[c.Face.User()] = append(s.faces[c.Face.User()], c.Face)
		}
	}
	return nil
}

func (s *store) add(r ports.Record) error { return s.commit(Change{Face: r, Add: true}) }
func (s *store) replace(r ports.Record) error {
	return s.commit(Change{Face: r, Remove: true, Add: true})
}
func (s *store) remove(user string) error {
	return s.commit(Change{Face: ports.Record{Collection: users, UserID: user}, Remove: true})
}

func closeStore(tb testing.TB, s *store) {
	tb.Helper()
	require.NoError(tb, s.Close())
}

// started returns an open store that the end of the test closes.
func started(tb testing.TB, path string, space ports.Space) *store {
	tb.Helper()
	s := newStore(path, space)
	require.NoError(tb, s.Start(tb.Context()))
	tb.Cleanup(func() { closeStore(tb, s) })
	return s
}

func durable(tb testing.TB, dimension int) *store {
	tb.Helper()
	return started(tb, filepath.Join(tb.TempDir(), "imago.db"), testSpace(dimension))
}

// enrol adds records some at a time.
func enrol(tb testing.TB, s *store, all []ports.Record) {
	tb.Helper()
	for some := range slices.Chunk(all, 10) {
		var changes []Change
		for _, r := range some {
			changes = append(changes, Change{Face: r, Add: true})
		}
		require.NoError(tb, s.commit(changes...))
	}
}

// contents returns all records in order.
func contents(tb testing.TB, s *store) (all []ports.Record) {
	tb.Helper()
	for _, faces := range s.faces {
		all = append(all, faces...)
	}
	slices.SortFunc(all, func(a, b ports.Record) int { return cmp.Or(compareKeys(a, b)) })
	return all
}

// reopened closes a store and opens its file again.
func reopened(tb testing.TB, s *store) *store {
	tb.Helper()
	closeStore(tb, s)
	return started(tb, s.cfg.Path, s.space)
}
