package duplicates

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"imago/ports"
)

// direction is the search of the faces of one collection in the same or another one.
type direction struct {
	from, in string
	faces    int // in from
	others   int // faces that each is compared with, at most
	level    *Level
	rules    []HubRule
	floor    float64 // the lowest score that matters
	pairs    bool    // whether pairs are counted, or hubs alone
}

// finder is a run of Find.
type finder struct {
	index      Index
	options    Options
	within     float64 // pairs of faces of two users of the collection counted last
	directions []*direction
	total      int // faces to search

	mu       sync.Mutex // guards what follows
	report   Report
	done     int
	bins     [binCount]int
	closest  ranking[Pair]
	farthest ranking[MixedUser]
	largest  ranking[Hub]
	known    map[Face]bool // whether a face is a hub
}

// binCount is the number of bins of the scores from 0 to 1.
const binCount = 100

// maxKnown bounds the faces whose being a hub is remembered.
const maxKnown = 10_000

// look searches all faces.
func (f *finder) look(ctx context.Context) error {
	f.known = map[Face]bool{}
	f.closest = ranking[Pair]{limit: f.options.Limit, compare: comparePairs}
	f.farthest = ranking[MixedUser]{limit: f.options.Limit, compare: compareMixed}
	f.largest = ranking[Hub]{limit: f.options.Limit, compare: compareHubs}
	for _, d := range f.directions {
		err := f.eachUser(ctx, d.from, everybody, func(ctx context.Context, faces []ports.Record) error { return f.user(ctx, d, faces) })
		if err != nil {
			return err
		}
	}
	return nil
}

func everybody([]ports.Record) bool { return true }

// eachUser calls do with the faces of each user that is picked, in several goroutines.
func (f *finder) eachUser(ctx context.Context, collection string, pick func([]ports.Record) bool, do func(context.Context, []ports.Record) error) error {
	users := make(chan []ports.Record)
	group, ctx := errgroup.WithContext(ctx)
	for range max(1, f.options.Callers) {
		group.Go(func() error {
			for faces := range users {
				if err := do(ctx, faces); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(users)
		return f.read(ctx, collection, pick, users)
	})
	return group.Wait()
}

// read sends the faces of each user that is picked.
func (f *finder) read(ctx context.Context, collection string, pick func([]ports.Record) bool, users chan<- []ports.Record) error {
	send := func(faces []ports.Record) error {
		if !pick(faces) {
			return nil
		}
		select {
		case users <- faces:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var faces []ports.Record
	for r, err := range f.index.Scan(ctx, ports.Everything(collection, "")) {
		if len(faces) > 0 && (err != nil || r.UserID != faces[0].UserID) {
			err = errors.Join(err, send(faces))
			faces = nil
		}
		if err != nil {
			return err
		}
		faces = append(faces, r)
	}
	if len(faces) > 0 {
		return send(faces)
	}
	return nil
}

// seen is what a user's faces resemble.
type seen struct {
	best     map[string]Pair // by the other user, without hubs
	hubPairs map[string]bool // users who reach the threshold through a hub
	hubs     []Hub
	cut      int
}

// user looks at the faces of one user.
func (f *finder) user(ctx context.Context, d *direction, faces []ports.Record) error {
	s := seen{best: map[string]Pair{}, hubPairs: map[string]bool{}}
	for _, r := range faces {
		if err := f.face(ctx, d, r, &s); err != nil {
			return err
		}
	}
	if err := f.dropHubs(ctx, &s); err != nil {
		return err
	}
	f.record(d, faces, s)
	return nil
}

// face searches a face.
func (f *finder) face(ctx context.Context, d *direction, r ports.Record, s *seen) error {
	matches, err := f.search(ctx, d, r, d.floor)
	if err != nil {
		return err
	}
	face := Face{d.from, r.UserID, r.FaceID}
	h, hub, err := f.hub(ctx, d, face, matches)
	if err != nil {
		return err
	}
	switch {
	case hub:
		s.hubs = append(s.hubs, h)
	case full(matches):
		s.cut++
	}
	if !d.pairs {
		return nil
	}
	for _, m := range matches {
		switch {
		case d.from == d.in && m.UserID < face.UserID: // the other user's search has the pair
		case hub:
			s.hubPairs[m.UserID] = s.hubPairs[m.UserID] || m.Score >= f.report.Cosine
		default:
			p := Pair{A: face, B: Face{d.in, m.UserID, m.FaceID}, Score: m.Score}
			if have, ok := s.best[m.UserID]; !ok || comparePairs(p, have) < 0 {
				s.best[m.UserID] = p
			}
		}
	}
	return nil
}

// full reports whether a search may have left out matches. One of the places may be that of the
// face itself.
func full(matches []ports.Match) bool { return len(matches) >= mostMatches-1 }

// search returns the users of whom a face is at least as similar as a score, without its own.
func (f *finder) search(ctx context.Context, d *direction, r ports.Record, floor float64) ([]ports.Match, error) {
	matches, err := f.index.Search(ctx, ports.Query{Collection: d.in, Vector: r.Vector, K: mostMatches, MinScore: floor})
	if err != nil {
		return nil, fmt.Errorf("searching a face of %s in %s: %w", d.from, d.in, err)
	}
	if d.from == d.in {
		matches = slices.DeleteFunc(matches, func(m ports.Match) bool { return m.UserID == r.UserID })
	}
	return matches, nil
}

// dropHubs takes out the pairs whose other face is a hub.
func (f *finder) dropHubs(ctx context.Context, s *seen) error {
	for user, p := range s.best {
		if p.Score < f.report.Cosine {
			continue
		}
		hub, err := f.isHub(ctx, p.B)
		if err != nil {
			return err
		}
		if hub {
			s.hubPairs[user] = true
			delete(s.best, user)
		}
	}
	return nil
}

// isHub reports whether a face that was found is a hub.
func (f *finder) isHub(ctx context.Context, face Face) (bool, error) {
	f.mu.Lock()
	hub, known := f.known[face]
	f.mu.Unlock()
	if known {
		return hub, nil
	}
	v, err := f.vector(ctx, face)
	if err != nil {
		return false, err
	}
	d := f.directions[len(f.directions)-1] // the one that searches from the collection of the face
	matches, err := f.search(ctx, d, ports.Record{UserID: face.UserID, Vector: v}, d.floor)
	if err != nil {
		return false, err
	}
	_, hub, err = f.hub(ctx, d, face, matches)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.known) >= maxKnown {
		clear(f.known)
	}
	f.known[face] = hub
	return hub, err
}

// vector returns that of a face.
func (f *finder) vector(ctx context.Context, face Face) ([]float32, error) {
	records, err := f.index.Get(ctx, ports.UserKey{Collection: face.Collection, UserID: face.UserID})
	if err != nil {
		return nil, fmt.Errorf("reading a face of %s: %w", face.Collection, err)
	}
	i := slices.IndexFunc(records, func(r ports.Record) bool { return r.FaceID == face.FaceID })
	if i < 0 {
		return nil, fmt.Errorf("reading a face of %s: %w", face.Collection, ports.ErrNotFound)
	}
	return records[i].Vector, nil
}

// record adds what was seen of a user to the report.
func (f *finder) record(d *direction, faces []ports.Record, s seen) {
	mixed, isMixed := MixedUser{}, false
	if f.report.Against == "" {
		mixed, isMixed = apart(faces, f.options.Curve.Cosine(f.options.Together))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for user, p := range s.best {
		f.bins[binOf(p.Score)]++
		if p.Score >= f.report.Cosine {
			delete(s.hubPairs, user)
			f.report.Pairs++
			f.closest.add(p)
		}
	}
	for _, reaches := range s.hubPairs {
		if reaches {
			f.report.HubPairs++
		}
	}
	if isMixed {
		f.report.Mixed++
		f.farthest.add(mixed)
	}
	f.report.Hubs += len(s.hubs)
	for _, h := range s.hubs {
		f.largest.add(h)
	}
	f.report.Cut += s.cut
	f.done += len(faces)
	if f.options.Progress != nil {
		f.options.Progress(f.done, f.total)
	}
}

// binOf returns the bin of a score; those below 0 are in the first.
func binOf(score float64) int { return max(0, min(binCount-1, int(score*binCount))) }

// result completes the report.
func (f *finder) result() Report {
	r := f.report
	r.Closest, r.Farthest, r.Largest = f.closest.sorted(), f.farthest.sorted(), f.largest.sorted()
	for i := range r.Closest {
		r.Closest[i].Chance = f.chance(r.Closest[i].Score)
	}
	for _, d := range f.directions {
		r.HubRules = append(r.HubRules, d.rules...)
	}
	if rate, known := modelRate(f.options.Rates, f.options.Curve.Cosine(r.Together)); known {
		r.Hidden = &rate
	}
	for i := max(0, binOf(f.directions[0].floor)); i < binCount; i++ {
		from, to := max(f.directions[0].floor, float64(i)/binCount), float64(i+1)/binCount
		r.Scores = append(r.Scores, Bin{From: from, To: to, Pairs: f.bins[i], Chance: f.between(from, to)})
	}
	return r
}

// The orders of the lists, the worst first. Names decide between equal ones.

func comparePairs(a, b Pair) int {
	return cmp.Or(cmp.Compare(b.Score, a.Score), a.A.compare(b.A), a.B.compare(b.B))
}

func compareMixed(a, b MixedUser) int {
	return cmp.Or(cmp.Compare(a.Score, b.Score), strings.Compare(a.UserID, b.UserID))
}

func compareHubs(a, b Hub) int {
	return cmp.Or(cmp.Compare(b.Users, a.Users), a.Face.compare(b.Face))
}

func (f Face) compare(o Face) int {
	return cmp.Or(strings.Compare(f.Collection, o.Collection), strings.Compare(f.UserID, o.UserID), strings.Compare(f.FaceID, o.FaceID))
}
