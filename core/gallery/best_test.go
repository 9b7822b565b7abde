package gallery_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/calibration"
	"imago/core/gallery"
	"imago/ports"
)

var mobilefacenet = calibration.Curve{Midpoint: 0.414, Steepness: 20.9}

// scored is a store whose most similar user has a score; it notes the questions.
type scored struct {
	store
	mu      sync.Mutex
	score   float64
	asked   []ports.Query
	blocked func() error // of the questions for one user
}

func (s *scored) Search(_ context.Context, q ports.Query) ([]ports.Match, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, q)
	if s.blocked != nil && q.K == 1 {
		if err := s.blocked(); err != nil {
			return nil, err
		}
	}
	if s.score < q.MinScore {
		return nil, nil
	}
	return []ports.Match{{UserID: "u1", Owner: "bob", Score: s.score}}, nil
}

func measuring(s ports.VectorStore, now func() time.Time) *gallery.Gallery {
	return gallery.New(extractor{string(picture): anna}, s, gallery.Options{
		Lists: []gallery.Collection{{Name: "whitelist", Threshold: 95}}, Threshold: 80, Curve: mobilefacenet, Now: now,
	})
}

// The outcome is that by the collection's own threshold, whatever the search asks for.
func TestBestIsByTheThresholdOfTheCollection(t *testing.T) {
	for _, tt := range []struct {
		collection string
		percent    float64 // of the most similar user
		outcome    gallery.Outcome
	}{
		{"users", 99.9, gallery.Matched}, {"users", 80.001, gallery.Matched},
		{"users", 79.9, gallery.NearMiss}, {"users", 40.1, gallery.NearMiss},
		{"users", 39.9, gallery.NoMatch}, {"users", 3, gallery.NoMatch},
		{"whitelist", 95.001, gallery.Matched}, {"whitelist", 94.9, gallery.NearMiss},
		{"whitelist", 76.1, gallery.NearMiss}, {"whitelist", 75.9, gallery.NoMatch},
	} {
		for _, threshold := range []float64{0, 30, 70, 80, 95, 100} {
			s := &scored{score: mobilefacenet.Cosine(tt.percent)}
			p := gallery.Probe{Collection: tt.collection, Picture: picture, Threshold: threshold, Limit: 7}
			plain, err := measuring(s, nil).Search(t.Context(), alice, p)
			require.NoError(t, err)
			require.Nil(t, plain.Best)
			require.Len(t, s.asked, 1)

			p.Measure = true
			got, err := measuring(s, nil).Search(t.Context(), alice, p)
			require.NoError(t, err)
			require.Equal(t, plain.Matches, got.Matches)
			require.Equal(t, s.asked[0], s.asked[1], "the question that is answered stays the same")
			require.Equal(t, tt.outcome, got.Best.Outcome, "%s %v at %v", tt.collection, tt.percent, threshold)
			if tt.outcome == gallery.NoMatch {
				require.Zero(t, got.Best.Similarity)
			} else {
				require.InDelta(t, tt.percent, got.Best.Similarity, 2e-5)
			}
			if len(got.Matches) > 0 {
				require.Len(t, s.asked, 2, "the answer tells")
			}
		}
	}
}

// A store that fails when it is asked for the nearest user takes nothing from the answer.
func TestBestIsNotWorthAnError(t *testing.T) {
	s := &scored{blocked: func() error { return ports.ErrUnavailable }}
	got, err := measuring(s, nil).Search(t.Context(), alice, gallery.Probe{Collection: "users", Picture: picture, Threshold: 80, Limit: 7, Measure: true})
	require.NoError(t, err)
	require.Empty(t, got.Matches)
	require.Nil(t, got.Best)
	require.Len(t, s.asked, 2)
}

// A hundredth of the time is spent, in each collection by itself. Meanwhile no search is
// measured, whatever it finds.
func TestBestIsMeasuredAHundredthOfTheTime(t *testing.T) {
	var passed atomic.Int64 // the time since then
	later := func(d time.Duration) { passed.Add(int64(d)) }
	s := &scored{blocked: func() error { later(20 * time.Millisecond); return nil }}
	g := measuring(s, func() time.Time { return when.Add(time.Duration(passed.Load())) })
	measured := func(collection string) bool {
		t.Helper()
		got, err := g.Search(t.Context(), alice, gallery.Probe{Collection: collection, Picture: picture, Threshold: 80, Limit: 7, Measure: true})
		require.NoError(t, err)
		return got.Best != nil
	}
	require.True(t, measured("users"))
	require.False(t, measured("users"))
	require.True(t, measured("whitelist"))
	s.score = 1
	require.False(t, measured("users"), "a match is not counted either")
	later(99*20*time.Millisecond - time.Millisecond - 20*time.Millisecond)
	require.False(t, measured("users"))
	later(time.Millisecond)
	require.True(t, measured("users"))
	require.True(t, measured("users"), "a match costs nothing")

	s.score = 0
	faces := gallery.FacesProbe{
		Collections: []gallery.CollectionProbe{{Collection: "users", Threshold: 80}},
		Picture:     []byte(string(picture) + " " + string(picture)), All: true, Limit: 7, Measure: true,
	}
	got, err := g.SearchFaces(t.Context(), alice, faces)
	require.NoError(t, err)
	require.NotNil(t, got[0].Results[0].Best)
	require.NotNil(t, got[1].Results[0].Best, "all faces of a picture are measured or none")
	got, err = g.SearchFaces(t.Context(), alice, faces)
	require.NoError(t, err)
	require.Nil(t, got[0].Results[0].Best)
	later(2*99*20*time.Millisecond - time.Millisecond - 20*time.Millisecond)
	require.False(t, measured("users"), "what runs at the same time adds up")
	later(99*20*time.Millisecond + time.Millisecond) // one may have waited for the other
	require.True(t, measured("users"))
}
