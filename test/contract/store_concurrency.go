package contract

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
	"imago/test/history"
)

func concurrentFirst(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	for round := range 5 {
		requireOneWinner(t, fmt.Sprintf("user-%d", round), []ports.VectorStore{s})
	}
}

func concurrentFirstOfTwoInstances(t *testing.T, h StoreHarness) {
	a := openPlane(t, h)
	b := h.Second(t, a)
	for round := range 5 {
		requireOneWinner(t, fmt.Sprintf("user-%d", round), []ports.VectorStore{a, b})
	}
}

// requireOneWinner enrols a user a hundred times at once and checks that one
// call succeeds, that the others are told so, and that the winner's face is the
// one that is kept.
func requireOneWinner(t *testing.T, user string, stores []ports.VectorStore) {
	t.Helper()
	ctx := t.Context()
	errs := fixture.Together(100, func(i int) error {
		return stores[i%len(stores)].Add(ctx, face(user, fmt.Sprintf("face-%d", i), east), ports.NewUser())
	})
	winner := slices.Index(errs, nil)
	require.GreaterOrEqual(t, winner, 0, "nobody won: %v", errs[0])
	for i, err := range errs {
		if i != winner {
			require.ErrorIs(t, err, ports.ErrExists)
		}
	}
	for _, s := range stores {
		got, err := s.Get(ctx, person(user))
		require.NoError(t, err)
		require.Equal(t, []ports.Record{face(user, fmt.Sprintf("face-%d", winner), east)}, got)
	}
}

// concurrentFurther adds different faces to one user, none of which may be
// lost.
func concurrentFurther(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	errs := fixture.Together(50, func(i int) error {
		return s.Add(t.Context(), face("ada", fmt.Sprintf("face-%02d", i/2), north), ports.FurtherFace(ports.Everybody()))
	})
	for i := 0; i < len(errs); i += 2 {
		pair := errs[i : i+2]
		require.Contains(t, pair, error(nil), "neither call for one face succeeded")
		require.ErrorIs(t, errors.Join(pair...), ports.ErrExists)
	}
	got, err := s.Get(t.Context(), person("ada"))
	require.NoError(t, err)
	require.Len(t, got, 26)
}

// concurrentReplacement replaces a face again and again while others look: they
// must always see exactly one.
func concurrentReplacement(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	ctx, stop := context.WithCancel(t.Context())
	errs := fixture.Together(5, func(i int) error {
		if i == 0 {
			defer stop()
			return replaceRepeatedly(t.Context(), s, 100)
		}
		for ctx.Err() == nil {
			if err := seeOneFace(t.Context(), s); err != nil {
				return err
			}
		}
		return nil
	})
	stop()
	require.NoError(t, errors.Join(errs...))
}

// replaceRepeatedly swaps between two faces, of which none matches the other.
func replaceRepeatedly(ctx context.Context, s ports.VectorStore, times int) error {
	for i := range times {
		v, gone := north, east
		if i%2 == 1 {
			v, gone = east, north
		}
		if err := s.Add(ctx, face("ada", fmt.Sprintf("face-%d", i), v), ports.Replacement(ports.Everybody())); err != nil {
			return err
		}
		found, err := s.Search(ctx, ports.Query{Collection: people, Vector: gone, K: 1, MinScore: 0.5})
		if err != nil || len(found) != 0 {
			return fmt.Errorf("the replaced face still matches (error %v)", err)
		}
	}
	return nil
}

// seeOneFace looks for the user from half-way between the two faces.
func seeOneFace(ctx context.Context, s ports.VectorStore) error {
	between := []float32{math.Sqrt2 / 2, math.Sqrt2 / 2}
	found, err := s.Search(ctx, ports.Query{Collection: people, Vector: between, K: 10, MinScore: 0.5})
	if err != nil || len(found) != 1 {
		return fmt.Errorf("a search during a replacement found %d users (error %v)", len(found), err)
	}
	faces, err := s.Get(ctx, person("ada"))
	if err != nil || len(faces) != 1 {
		return fmt.Errorf("a user has %d faces during a replacement (error %v)", len(faces), err)
	}
	n, err := s.Count(ctx, people)
	if err != nil || n != 1 {
		return fmt.Errorf("a collection has %d users during a replacement (error %v)", n, err)
	}
	return nil
}

// concurrentMixture lets writers loose on users of their own, each checked
// against its own oracle step by step, while readers check the form of what
// they see. In the end the store holds what all oracles together hold.
func concurrentMixture(t *testing.T, h StoreHarness) {
	s := h.Open(t, storeSpace(16))
	const writers, readers = 8, 2
	oracles := make([]oracle, writers)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writing sync.WaitGroup
	writing.Add(writers)
	go func() { writing.Wait(); stop() }()
	errs := fixture.Together(writers+readers, func(i int) error {
		if i < writers {
			defer writing.Done()
			return writeAtRandom(t.Context(), s, &oracles[i], i)
		}
		return readAtRandom(ctx, t.Context(), s, seeded(uint64(200+i)))
	})
	require.NoError(t, errors.Join(errs...))

	all := &oracle{}
	for _, o := range oracles {
		all.records = append(all.records, o.records...)
	}
	for _, collection := range []string{people, others} {
		require.Equal(t, all.scan(collection, ""), scanAll(t, s, collection, ""))
		require.Equal(t, all.count(collection), count(t, s, collection))
		q := ports.Query{Collection: collection, Vector: latticeVector(seeded(11)), K: 1000, MinScore: -1}
		found, err := s.Search(t.Context(), q)
		require.NoError(t, err)
		all.requireExact(t, q, found)
	}
}

// writeAtRandom is one writer of concurrentMixture.
func writeAtRandom(ctx context.Context, s ports.VectorStore, want *oracle, writer int) error {
	rng := seeded(uint64(100 + writer))
	for step := range 60 {
		r := randomRecord(rng)
		r.UserID = fmt.Sprintf("%s of writer %d", r.UserID, writer)
		got, expected := writeOnce(ctx, s, want, r, rng)
		if !errors.Is(got, expected) {
			return fmt.Errorf("writer %d, step %d: got error %v, want %v", writer, step, got, expected)
		}
		faces, err := s.Get(ctx, r.User())
		if expected := want.get(r.User()); !slices.EqualFunc(faces, expected, equalRecords) {
			return fmt.Errorf("writer %d, step %d: %d faces where %d are expected (error %v)",
				writer, step, len(faces), len(expected), err)
		}
	}
	return nil
}

func equalRecords(a, b ports.Record) bool { return reflect.DeepEqual(a, b) }

// writeOnce does one random write to both and returns both answers.
func writeOnce(ctx context.Context, s ports.VectorStore, want *oracle, r ports.Record, rng *rand.Rand) (got, expected error) {
	if rng.IntN(4) == 0 {
		removal := randomRemoval(rng, r)
		return s.Remove(ctx, removal, ports.Everybody()), want.remove(removal, ports.Everybody())
	}
	mode := []ports.Mode{ports.NewUser(), ports.FurtherFace(ports.Everybody()), ports.Replacement(ports.Everybody())}[rng.IntN(3)]
	return s.Add(ctx, r, mode), want.add(r, mode)
}

// randomRemoval removes a record or its user.
func randomRemoval(rng *rand.Rand, r ports.Record) ports.Removal {
	if rng.IntN(2) == 0 {
		return ports.OneFace(r.User(), r.FaceID)
	}
	return ports.WholeUser(r.User())
}

// readAtRandom is one reader of concurrentMixture; it reads until done ends.
func readAtRandom(done, ctx context.Context, s ports.VectorStore, rng *rand.Rand) error {
	for done.Err() == nil {
		q := randomQuery(rng)
		found, err := s.Search(ctx, q)
		if err != nil {
			return err
		}
		if wrong := malformed(q, found); wrong != "" {
			return errors.New("a search during writes found " + wrong)
		}
		records, err := collect(s.Scan(ctx, ports.Everything(q.Collection, "")))
		if err != nil {
			return err
		}
		if keys := keysOf(records); !slices.IsSorted(keys) || len(slices.Compact(keys)) != len(records) {
			return errors.New("a scan during writes is out of order or repeats a face")
		}
	}
	return nil
}

// concurrentHistory has many callers of two instances, if there can be two, change and
// search a few users, and looks for an order of all calls that agrees with every answer.
func concurrentHistory(t *testing.T, h StoreHarness) {
	first := openPlane(t, h)
	stores := []ports.VectorStore{first}
	if h.Second != nil && !h.UniquePerInstance {
		stores = append(stores, h.Second(t, first))
	}
	const callers = 8
	told := history.New()
	errs := fixture.Together(callers, func(i int) error {
		c := historian{History: told, store: stores[i%len(stores)], number: i, random: seeded(uint64(i))}
		for range 2 * h.many() / callers {
			if err := c.step(t.Context()); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, errors.Join(errs...))
	told.RequireLinearizable(t)
}

// historian is a caller that writes down what it is told.
type historian struct {
	*history.History
	store  ports.VectorStore
	number int
	random *rand.Rand
	faces  int
}

// step makes a call that is drawn at random.
func (c *historian) step(ctx context.Context) error {
	a := history.Act{User: fmt.Sprintf("user-%d", c.random.IntN(8)), Face: c.random.IntN(3)}
	vector := [][]float32{east, north, west}[a.Face]
	c.faces++
	r := face(a.User, fmt.Sprintf("face-%d-%d", c.number, c.faces), vector)
	call := c.Now()
	var err error
	switch n := c.random.IntN(20); {
	case n < 3:
		a.Kind, err = history.Enrols, c.store.Add(ctx, r, ports.NewUser())
	case n < 5:
		a.Kind, err = history.Replaces, c.store.Add(ctx, r, ports.Replacement(ports.Everybody()))
	case n < 7:
		a.Kind, err = history.Adds, c.store.Add(ctx, r, ports.FurtherFace(ports.Everybody()))
	case n < 10:
		a.Kind, a.Face, err = history.Unenrols, 0, c.store.Remove(ctx, ports.WholeUser(person(a.User)), ports.Everybody())
	default:
		return c.find(ctx, a.Face, vector)
	}
	outcome := history.Yes
	if errors.Is(err, ports.ErrExists) || errors.Is(err, ports.ErrNotFound) {
		outcome, err = history.No, nil
	}
	c.Note(c.number, a, call, c.Now(), outcome)
	return err
}

// find searches, which says of every user whether the face is theirs.
func (c *historian) find(ctx context.Context, number int, vector []float32) error {
	call := c.Now()
	matches, err := c.store.Search(ctx, ports.Query{Collection: people, Vector: vector, K: 1000, MinScore: 0.99})
	back := c.Now()
	for i := range 8 {
		a := history.Act{User: fmt.Sprintf("user-%d", i), Kind: history.Finds, Face: number}
		outcome := history.No
		if slices.Contains(usersOf(matches), a.User) {
			outcome = history.Yes
		}
		c.Note(c.number, a, call, back, outcome)
	}
	return err
}
