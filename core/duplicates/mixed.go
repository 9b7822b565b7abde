package duplicates

import (
	"cmp"
	"slices"

	"imago/ports"
)

// MixedUser is a user whose faces fall into groups that do not resemble each other.
type MixedUser struct {
	UserID string
	// Score is the highest of two faces of two groups.
	Score float64
	// Groups are the IDs of the faces, the largest group first.
	Groups [][]string
}

// apart splits the faces of a user by single linkage: two faces that reach a score are of one
// group, and so are all that such pairs connect.
func apart(faces []ports.Record, score float64) (MixedUser, bool) {
	group := make([]int, len(faces))
	for i := range group {
		group[i] = i
	}
	for i := range faces {
		for j := range i {
			if group[i] != group[j] && product(faces[i].Vector, faces[j].Vector) >= score {
				merge(group, group[i], group[j])
			}
		}
	}
	m := MixedUser{UserID: faces[0].UserID, Score: -1, Groups: named(faces, group)}
	if len(m.Groups) < 2 {
		return MixedUser{}, false
	}
	for i := range faces {
		for j := range i {
			if group[i] != group[j] {
				m.Score = max(m.Score, product(faces[i].Vector, faces[j].Vector))
			}
		}
	}
	return m, true
}

// merge gives all faces of one group the number of another.
func merge(group []int, from, to int) {
	for i := range group {
		if group[i] == from {
			group[i] = to
		}
	}
}

// named returns the IDs of the faces of each group, the largest group first, then by ID.
func named(faces []ports.Record, group []int) [][]string {
	byGroup := map[int][]string{}
	for i, r := range faces {
		byGroup[group[i]] = append(byGroup[group[i]], r.FaceID)
	}
	var all [][]string
	for _, ids := range byGroup {
		all = append(all, ids)
	}
	slices.SortFunc(all, func(a, b []string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a[0], b[0]))
	})
	return all
}

// product returns the scalar product of unit vectors.
func product(a, b []float32) float64 {
	var sum float32
	b = b[:len(a)]
	for i := range a {
		sum += a[i] * b[i]
	}
	return float64(sum)
}
