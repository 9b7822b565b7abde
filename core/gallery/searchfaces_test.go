package gallery_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/calibration"
	"imago/core/gallery"
	"imago/core/quality"
	"imago/ports"
)

// several is a store whose collections have matches of their own.
type several struct {
	store
	search func(ctx context.Context, q ports.Query) ([]ports.Match, error)
}

func (s *several) Search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	return s.search(ctx, q)
}

func searchingFaces(s ports.VectorStore) *gallery.Gallery {
	return gallery.New(extractor{"anna": anna, "bert": {0, 1}}, s, gallery.Options{
		Lists: []gallery.Collection{{Name: "blacklist", Shared: true}, {Name: "whitelist"}},
		Curve: calibration.Curve{Midpoint: 0.414, Steepness: 20.9}, Gate: quality.Gate{MinFaceWidth: 40},
	})
}

// Each collection answers what a search of it would: by its own threshold, with the user
// IDs that the client may know.
func TestSearchFacesAnswersAsSearchesDo(t *testing.T) {
	s := &several{search: func(_ context.Context, q ports.Query) ([]ports.Match, error) {
		if q.Vector[0] == 0 {
			return nil, nil // bert
		}
		return []ports.Match{{UserID: "b1", Owner: "bob", Score: 1}, {UserID: "a1", Owner: "alice", Score: 0.5}}, nil
	}}
	g := searchingFaces(s)
	asked := []gallery.CollectionProbe{{"blacklist", 80}, {"users", 90}, {"whitelist", 80}}
	p := gallery.FacesProbe{Collections: asked, Picture: []byte("anna bert"), Limit: 7}
	got, err := g.SearchFaces(t.Context(), alice, p)
	require.NoError(t, err)
	require.Len(t, got, 1, "the largest face")
	require.Nil(t, got[0].Explanation)
	for i, one := range got[0].Results {
		require.Equal(t, asked[i], one.CollectionProbe)
		single, err := g.Search(t.Context(), alice, gallery.Probe{Collection: asked[i].Collection, Picture: picture, Threshold: asked[i].Threshold, Limit: 7})
		require.NoError(t, err)
		require.Equal(t, single.Matches, one.Matches)
	}
	require.Equal(t, []gallery.Match{{Similarity: 99.99952}, {UserID: "a1", Similarity: 85.78321}}, got[0].Results[0].Matches)

	p.All, p.Explain, p.Assess = true, true, true
	got, err = g.SearchFaces(t.Context(), alice, p)
	require.NoError(t, err)
	require.Len(t, got, 2)
	for i, face := range got {
		require.Equal(t, ports.Box{X1: float64(100 - i), Y1: 60}, face.Box)
		require.Equal(t, seen.Reasons, face.Explanation.Reasons)
		require.Len(t, face.Results, 3)
		require.Equal(t, "users", face.Results[1].Assessment.Collection)
		require.Equal(t, 90.0, face.Results[1].Assessment.Threshold)
		require.Equal(t, i == 1, len(face.Results[1].Matches) == 0)
	}
}

// One collection that cannot be searched, or may not be, and none is.
func TestSearchFacesIsRefusedAsAWhole(t *testing.T) {
	searched := false
	s := &several{search: func(context.Context, ports.Query) ([]ports.Match, error) { searched = true; return nil, nil }}
	g := searchingFaces(s)
	limited := alice
	limited.MinThreshold = 85
	for kind, p := range map[error]gallery.FacesProbe{
		ports.ErrNotFound:  {Collections: []gallery.CollectionProbe{{"users", 90}, {"nope", 90}}, Limit: 1},
		ports.ErrForbidden: {Collections: []gallery.CollectionProbe{{"users", 90}, {"whitelist", 84.9}}, Limit: 1},
		ports.ErrInvalid:   {Collections: []gallery.CollectionProbe{{"users", 90}, {"whitelist", 90}}, Limit: 101},
	} {
		p.Picture = picture
		_, err := g.SearchFaces(t.Context(), limited, p)
		require.ErrorIs(t, err, kind)
	}
	require.False(t, searched)
	_, err := g.SearchFaces(t.Context(), alice, gallery.FacesProbe{Collections: []gallery.CollectionProbe{{"users", 90}}, Limit: 1, Picture: []byte("unusable")})
	require.ErrorIs(t, err, ports.ErrInvalid)
	s.search = func(_ context.Context, q ports.Query) ([]ports.Match, error) {
		if q.Collection == "whitelist" {
			return nil, ports.ErrUnavailable
		}
		return nil, nil
	}
	_, err = g.SearchFaces(t.Context(), alice, gallery.FacesProbe{Collections: []gallery.CollectionProbe{{"users", 90}, {"whitelist", 90}}, Limit: 1, Picture: picture})
	require.ErrorIs(t, err, ports.ErrUnavailable)
	s.search = func(_ context.Context, q ports.Query) ([]ports.Match, error) {
		if q.Collection == "whitelist" {
			panic("broken")
		}
		return nil, nil
	}
	require.PanicsWithValue(t, "broken", func() {
		_, _ = g.SearchFaces(t.Context(), alice, gallery.FacesProbe{Collections: []gallery.CollectionProbe{{"users", 90}, {"whitelist", 90}}, Limit: 1, Picture: picture})
	})
}

// The collections are searched at the same time: each search waits for the others.
func TestSearchFacesSearchesSideBySide(t *testing.T) {
	arrived := make(chan struct{})
	s := &several{search: func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
		if q.Collection == "users" {
			select {
			case <-arrived:
				return nil, nil
			case <-ctx.Done():
				return nil, errors.New("the other search did not begin")
			}
		}
		close(arrived)
		return nil, nil
	}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := searchingFaces(s).SearchFaces(ctx, alice, gallery.FacesProbe{Collections: []gallery.CollectionProbe{{"users", 90}, {"whitelist", 90}}, Limit: 1, Picture: picture})
	require.NoError(t, err)
}
