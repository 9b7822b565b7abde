package duplicates

import (
	"context"
	"slices"

	"imago/ports"
)

// Hub is a face that resembles far more users than chance explains, and not because they are one
// person.
type Hub struct {
	Face Face
	// Users is how many it resembles from Cosine on; More means that a search returned no
	// more than these.
	Users  int
	Cosine float64
	More   bool
	// Probability bounds that of any face of the collection resembling as many by chance.
	Probability float64
	// Closest are those whom it resembles most, Scores how much.
	Closest []Face
	Scores  []float64
}

// HubRule is one of those that say which faces of a collection are hubs: any of them is enough. The
// more users, the lower the score.
type HubRule struct {
	Collection string
	// Users is how many users a hub resembles from Cosine on, where chance gives a face
	// Expected.
	Users    int
	Cosine   float64
	Expected float64
}

const (
	// hubUsers is how many users chance gives a face at the lowest score of a rule: enough
	// to tell many from few, few enough for a fast search.
	hubUsers = 5
	// hubRate is the highest false match rate of that score: where it is higher, strangers
	// resemble each other by rule.
	hubRate = 1e-3
	// hubTimes is how many times as many as expected make a hub: people differ in how many
	// others they resemble, which a Poisson distribution leaves out.
	hubTimes = 10
	// hubLeast is the least number of users that make a hub.
	hubLeast = 3
	// hubProbability is that of any face of a collection being taken for a hub by chance.
	hubProbability = 0.01
	// hubShown is how many of the users are named, and hubCompared how many are compared
	// with each other.
	hubShown    = 5
	hubCompared = 12
	// mostIDs is under how many IDs one person may be enrolled by mistake. More users who
	// resemble each other as well have pictures that say little of a face.
	mostIDs = 20
)

// setRules sets the rules of a direction, if anything is known of chance. They are tests
// that the k-th closest user, for each k, is not closer than chance explains.
func (f *finder) setRules(d *direction) {
	low := f.hubCosine(d)
	if _, known := d.expectedHub(f, low); !known || d.others == 0 {
		return
	}
	for users := hubLeast; users < mostMatches; users++ {
		cosine := low
		if !d.unlikely(f, users, low) {
			cosine = bisect(low, 1, func(c float64) bool { return d.unlikely(f, users, c) })
		}
		expected, _ := d.expectedHub(f, cosine)
		d.rules = append(d.rules, HubRule{Collection: d.from, Users: users, Cosine: cosine, Expected: expected})
		if cosine == low {
			return
		}
	}
}

// unlikely reports whether chance does not explain so many users at a score. Of hubProbability
// and the faces of the collection, each has an equal part (Bonferroni's correction); of that of
// a face, each number of users k has the part 2/(k(k-1)), which add up to 1 from 3 on.
func (d *direction) unlikely(f *finder, users int, cosine float64) bool {
	expected, _ := d.expectedHub(f, cosine)
	k := float64(users)
	return k >= hubTimes*expected && poissonAtLeast(users, expected) <= hubProbability/float64(d.faces)*2/(k*(k-1))
}

// expectedHub is how many users chance gives a face, by the rates of the network or by the gallery's level,
// whichever makes a hub less likely.
func (d *direction) expectedHub(f *finder, cosine float64) (float64, bool) {
	expected, known := d.expected(f.options.Rates, cosine)
	if model, ok := modelRate(f.options.Rates, cosine); ok {
		expected = max(expected, model.Value*float64(d.others))
	}
	return expected, known
}

// hubCosine is the score at which chance gives a face few users.
func (f *finder) hubCosine(d *direction) float64 { return f.chanceCosine(d, hubUsers) }

// chanceCosine is the score at which chance gives a face some users, by hubRate at most; that
// of 80 % where nothing is known of chance.
func (f *finder) chanceCosine(d *direction, users float64) float64 {
	cosine := d.cosineOf(f.options.Rates, min(hubRate, users/max(1, float64(d.others))))
	if cosine == -1 {
		return f.options.Curve.Cosine(lowestChosen)
	}
	return cosine
}

// hub reports whether a face with some matches, best first, is a hub, and describes it.
func (f *finder) hub(ctx context.Context, d *direction, face Face, matches []ports.Match) (h Hub, is bool, err error) {
	for _, rule := range d.rules {
		if rule.Users > len(matches) || matches[rule.Users-1].Score < rule.Cosine {
			continue
		}
		found := matches[:count(matches, rule.Cosine)]
		p := poissonAtLeast(len(found), rule.Expected)
		if is && p >= h.Probability {
			continue
		}
		one, err := f.onePerson(ctx, d.in, found)
		if err != nil {
			return Hub{}, false, err
		}
		if !one {
			is = true
			h = Hub{Face: face, Users: len(found), Cosine: rule.Cosine, More: full(found), Probability: p}
		}
	}
	if !is {
		return Hub{}, false, nil
	}
	h.Probability = min(1, h.Probability*float64(d.faces)*float64(h.Users*(h.Users-1))/2)
	for _, m := range matches[:min(len(matches), hubShown)] {
		h.Closest = append(h.Closest, Face{d.in, m.UserID, m.FaceID})
		h.Scores = append(h.Scores, m.Score)
	}
	return h, true, nil
}

// count returns how many matches, best first, reach a cosine.
func count(matches []ports.Match, cosine float64) int {
	i := slices.IndexFunc(matches, func(m ports.Match) bool { return m.Score < cosine })
	if i < 0 {
		return len(matches)
	}
	return i
}

// onePerson reports whether users who resemble a face are one person. If they are, they resemble
// each other as much as they resemble the face: with a cosine of about c. If they have
// nothing else in common, that is about c*c, the product of their parts in the direction of the
// face. The limit is halfway.
func (f *finder) onePerson(ctx context.Context, collection string, matches []ports.Match) (bool, error) {
	if len(matches) > mostIDs {
		return false, nil
	}
	var vectors [][]float32
	var scores, between float64
	for _, m := range matches[:min(len(matches), hubCompared)] {
		v, err := f.vector(ctx, Face{collection, m.UserID, m.FaceID})
		if err != nil {
			return false, err
		}
		for _, other := range vectors {
			between += product(v, other)
		}
		vectors = append(vectors, v)
		scores += m.Score
	}
	n := float64(len(vectors))
	c := scores / n
	return between/(n*(n-1)/2) >= (c+c*c)/2, nil
}
