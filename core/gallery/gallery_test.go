package gallery_test

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/calibration"
	"imago/core/extraction"
	"imago/core/gallery"
	"imago/core/quality"
	"imago/ports"
)

// extractor reads the template straight from the picture's name.
type extractor map[string][]float32

func (e extractor) Probe(_ context.Context, picture []byte) ([]float32, error) {
	if v, ok := e[string(picture)]; ok {
		return v, nil
	}
	return nil, ports.Refuse(ports.ErrInvalid, "no face")
}

// seen is what the extractor explains.
var seen = extraction.Explanation{Box: ports.Box{X1: 50, Y1: 60}, Faces: 2, Turn: 90, Reasons: []string{quality.ReasonBlurred}}

func (e extractor) Explain(ctx context.Context, picture []byte, gate quality.Gate) ([]float32, extraction.Explanation, error) {
	v, err := e.Probe(ctx, picture)
	if gate.MinFaceWidth == 0 {
		return v, extraction.Explanation{}, err
	}
	return v, seen, err
}

// ProbeAll reads a template of each word of the picture's name, the first of the largest
// face.
func (e extractor) ProbeAll(ctx context.Context, picture []byte, most int, gate quality.Gate) (all []extraction.Template, err error) {
	for i, word := range strings.Fields(string(picture)) {
		if i == most {
			break
		}
		v, told, err := e.Explain(ctx, []byte(word), gate)
		if err != nil {
			return nil, err
		}
		told.Box = ports.Box{X1: float64(100 - i), Y1: 60}
		all = append(all, extraction.Template{Vector: v, Explanation: told})
	}
	return all, nil
}

func (e extractor) Enrol(ctx context.Context, picture []byte, _ quality.Gate) (extraction.Template, error) {
	v, err := e.Probe(ctx, picture)
	return extraction.Template{Vector: v, Explanation: extraction.Explanation{Faces: 1}, Chip: new(ports.Chip)}, err
}

// store is the simplest store that keeps what the gallery gives it.
type store struct {
	records []ports.Record
	query   ports.Query
	matches []ports.Match
	err     error
	got     func() // runs at the end of Get
}

func (s *store) Add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	if err := mode.CheckUnlike(ctx, s, r); err != nil {
		return err
	}
	if mode.Kind() != ports.KindNewUser && !s.allOf(r.User(), mode.Owners()) {
		return ports.ErrForbidden
	}
	if mode.Kind() == ports.KindReplacement {
		s.records = slices.DeleteFunc(s.records, func(o ports.Record) bool { return o.User() == r.User() })
	}
	s.records = append(s.records, r)
	return s.err
}

func (s *store) Remove(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
	user := removal.User()
	faces, err := s.Get(ctx, user)
	if err != nil {
		return err
	}
	face, one := removal.Face()
	if !s.allOf(user, owners) {
		return ports.ErrForbidden
	}
	if one && len(faces) == 1 {
		return ports.ErrOnlyFace
	}
	s.records = slices.DeleteFunc(s.records, func(r ports.Record) bool { return r.User() == user && (!one || r.FaceID == face) })
	return nil
}

func (s *store) allOf(user ports.UserKey, owners ports.Owners) bool {
	return !slices.ContainsFunc(s.records, func(r ports.Record) bool { return r.User() == user && !owners.Include(r.Owner) })
}

func (s *store) Get(_ context.Context, user ports.UserKey) ([]ports.Record, error) {
	var found []ports.Record
	for _, r := range s.records {
		if r.User() == user {
			found = append(found, r)
		}
	}
	if s.got != nil {
		s.got()
	}
	if len(found) == 0 {
		return nil, ports.ErrNotFound
	}
	return found, nil
}

func (s *store) Search(_ context.Context, q ports.Query) ([]ports.Match, error) {
	s.query = q
	return s.matches, s.err
}

func (s *store) Scan(_ context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		sorted := slices.Clone(s.records)
		slices.SortFunc(sorted, func(a, b ports.Record) int {
			return cmp.Or(cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.FaceID, b.FaceID))
		})
		for _, r := range sorted {
			if r.Collection == selection.Collection && r.UserID >= selection.From && selection.Owners.Include(r.Owner) && !yield(r, s.err) {
				return
			}
		}
	}
}

func (s *store) Count(context.Context, string) (int, error) { return len(s.records), nil }

var (
	alice   = ports.Client{Name: "alice"}
	bob     = ports.Client{Name: "bob"}
	anna    = []float32{1, 0}
	picture = []byte("anna")
	when    = time.Date(2026, 1, 2, 3, 4, 5, 6789, time.FixedZone("CET", 3600))
)

func newGallery() (*gallery.Gallery, *store) {
	s := new(store)
	return gallery.New(extractor{"anna": anna}, s, gallery.Options{
		Lists: []gallery.Collection{{Name: "blacklist", Shared: true}, {Name: "whitelist"}},
		Curve: calibration.Curve{Midpoint: 0.414, Steepness: 20.9},
		Now:   func() time.Time { return when },
	}), s
}

func TestEnrolStoresARecord(t *testing.T) {
	g, s := newGallery()
	require.NoError(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: "u1", Picture: picture}))
	require.NoError(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "whitelist", UserID: "u1", Picture: picture}))
	require.Len(t, s.records, 2)
	r := s.records[0]
	require.NotEmpty(t, r.FaceID)
	require.NotEqual(t, r.FaceID, s.records[1].FaceID)
	r.FaceID = ""
	require.Equal(t, ports.Record{
		Collection: "users", UserID: "u1", Vector: anna, Owner: "alice",
		EnrolledAt: when.UTC().Truncate(time.Microsecond),
	}, r)
}

func TestEnrolRefusesAKnownUserWithoutWork(t *testing.T) {
	g, _ := newGallery()
	require.NoError(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: "u1", Picture: picture}))
	require.ErrorIs(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: "u1", Picture: []byte("unusable")}), ports.ErrExists)
}

func TestUserIDs(t *testing.T) {
	for _, id := range []string{
		"u1", `a"b`, `a\b`, "50%", "a/b", "..", "日本", "🙂", strings.Repeat("x", 256), "searching",
	} {
		g, _ := newGallery()
		require.NoError(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: id, Picture: picture}), "%q", id)
		require.NoError(t, g.Unenrol(t.Context(), alice, "users", id), "%q", id)
	}
	for _, id := range []string{
		"", strings.Repeat("x", 257), "a\x00b", "a\nb", "a\u0085b", "a\xffb", " ", "search", "Search", "faces", "Blacklist", "whitelist", "verify", "users", "Jose\u0301", "a\u200b",
	} {
		g, s := newGallery()
		require.ErrorIs(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: id, Picture: picture}), ports.ErrInvalid, "%q", id)
		require.ErrorIs(t, g.Unenrol(t.Context(), alice, "users", id), ports.ErrInvalid, "%q", id)
		require.Empty(t, s.records)
	}
}

func TestUnknownCollection(t *testing.T) {
	g, _ := newGallery()
	require.ErrorIs(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "nope", UserID: "u1", Picture: picture}), ports.ErrNotFound)
	require.ErrorIs(t, g.Unenrol(t.Context(), alice, "nope", "u1"), ports.ErrNotFound)
	_, err := g.Search(t.Context(), alice, gallery.Probe{Collection: "nope", Picture: picture, Threshold: 80, Limit: 1})
	require.ErrorIs(t, err, ports.ErrNotFound)
}

func search(t *testing.T, matches []ports.Match, client ports.Client, p gallery.Probe) ([]gallery.Match, ports.Query, error) {
	t.Helper()
	g, s := newGallery()
	s.matches = matches
	p.Picture = picture
	result, err := g.Search(t.Context(), client, p)
	require.Nil(t, result.Assessment, "it was not asked for")
	return result.Matches, s.query, err
}

func TestSearchAsksTheStoreForTheThreshold(t *testing.T) {
	got, q, err := search(t, []ports.Match{{UserID: "u1", Score: 1}, {UserID: "u2", Score: 0.5}}, alice,
		gallery.Probe{Collection: "users", Threshold: 80, Limit: 7})
	require.NoError(t, err)
	require.Equal(t, []gallery.Match{{UserID: "u1", Similarity: 99.99952}, {UserID: "u2", Similarity: 85.78321}}, got)
	require.Equal(t, 7, q.K)
	require.Equal(t, anna, q.Vector)
	require.InDelta(t, 0.4803, q.MinScore, 1e-4)
}

// The store's minimum is a shade below the threshold so that rounding loses
// nobody; what then reads less than the threshold is not a match.
func TestSearchThresholdIsInclusiveInWhatTheClientReads(t *testing.T) {
	score := 0.48034
	got, _, err := search(t, []ports.Match{{UserID: "u1", Score: score}}, alice, gallery.Probe{Collection: "users", Limit: 1})
	require.NoError(t, err)
	exact := got[0].Similarity
	_, q, err := search(t, []ports.Match{{UserID: "u1", Score: score}}, alice, gallery.Probe{Collection: "users", Threshold: exact, Limit: 1})
	require.NoError(t, err)
	require.LessOrEqual(t, q.MinScore, score)
	got, _, err = search(t, []ports.Match{{UserID: "u1", Score: score}}, alice, gallery.Probe{Collection: "users", Threshold: exact + 1e-5, Limit: 1})
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestSearchBounds(t *testing.T) {
	nan := func() float64 { var z float64; return z / z }()
	for _, p := range []gallery.Probe{
		{Threshold: -0.1, Limit: 1}, {Threshold: 100.01, Limit: 1}, {Threshold: nan, Limit: 1},
		{Threshold: 80, Limit: 0}, {Threshold: 80, Limit: 101},
	} {
		p.Collection = "users"
		_, _, err := search(t, nil, alice, p)
		require.ErrorIs(t, err, ports.ErrInvalid, "%+v", p)
	}
	for _, p := range []gallery.Probe{{Threshold: 0, Limit: 1}, {Threshold: 100, Limit: 100}} {
		p.Collection = "users"
		got, q, err := search(t, nil, alice, p)
		require.NoError(t, err)
		require.Empty(t, got, "nobody matches")
		require.LessOrEqual(t, q.MinScore, 1.0)
		require.GreaterOrEqual(t, q.MinScore, -1.0)
	}
}

// A key with a least threshold cannot ask who resembles a face a little.
func TestSearchBelowTheLeastThresholdOfTheKey(t *testing.T) {
	limited := alice
	limited.MinThreshold = 75.5
	matches := []ports.Match{{UserID: "u1", Score: 0.9}}
	for threshold, allowed := range map[float64]bool{0: false, 75.4999: false, 75.5: true, 80: true, 100: true} {
		_, q, err := search(t, matches, limited, gallery.Probe{Collection: "users", Threshold: threshold, Limit: 100})
		require.Equal(t, allowed, !errors.Is(err, ports.ErrForbidden), "%v: %v", threshold, err)
		if !allowed {
			require.Zero(t, q, "the store is not asked")
			require.ErrorContains(t, err, "is below 75.5, the least that this key may search with")
		}
	}
}

func TestSharedCollectionShowsOnlyOnesOwn(t *testing.T) {
	matches := []ports.Match{{UserID: "b1", Owner: "bob", Score: 1}, {UserID: "a1", Owner: "alice", Score: 0.9}}
	p := gallery.Probe{Collection: "blacklist", Threshold: 80, Limit: 10}
	got, _, err := search(t, matches, alice, p)
	require.NoError(t, err)
	require.Equal(t, "", got[0].UserID)
	require.Equal(t, "a1", got[1].UserID)
	p.Collection = "whitelist"
	got, _, err = search(t, matches, alice, p)
	require.NoError(t, err)
	require.Equal(t, "b1", got[0].UserID)
}

func TestSharedCollectionUnenrolsOnlyOnesOwn(t *testing.T) {
	g, s := newGallery()
	require.NoError(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "blacklist", UserID: "u1", Picture: picture}))
	require.ErrorIs(t, g.Unenrol(t.Context(), bob, "blacklist", "u1"), ports.ErrNotFound)
	require.Len(t, s.records, 1)
	require.NoError(t, g.Unenrol(t.Context(), alice, "blacklist", "u1"))
	require.ErrorIs(t, g.Unenrol(t.Context(), alice, "blacklist", "u1"), ports.ErrNotFound)
}

func TestStoreErrorsPass(t *testing.T) {
	g, s := newGallery()
	s.err = ports.ErrUnavailable
	require.ErrorIs(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: "u1", Picture: picture}), ports.ErrUnavailable)
	_, err := g.Search(t.Context(), alice, gallery.Probe{Collection: "users", Picture: picture, Threshold: 80, Limit: 1})
	require.ErrorIs(t, err, ports.ErrUnavailable)
}
