package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// best returns how many searches of the inventory had a result, and how many of them a best
// score of at most some percent.
func (s *server) best(result, percent string) (all, most int) {
	s.t.Helper()
	const name = "imago_search_best_similarity"
	labels := fmt.Sprintf(`collection="users",result=%q`, result)
	return int(s.metric(name + "_count{" + labels + "}")), int(s.metric(fmt.Sprintf("%s_bucket{%s,le=%q}", name, labels, percent)))
}

// The best score of a search is counted by the threshold of its collection, whatever the
// search asks for, and without a trace of who it was.
func TestBestScoresAreCounted(t *testing.T) {
	t.Parallel()
	enrolled, again, stranger := fixture.ReadPortrait(t, "obama.jpg"), fixture.ReadPortrait(t, "obama2.jpg"), fixture.ReadPortrait(t, "biden.jpg")
	s := start(t, pipelineEnvironment(t)...)
	require.Equal(t, http.StatusOK, s.enrol("drifting-person", enrolled).status)
	found := s.search(again).matches(t)
	require.Len(t, found, 1)
	require.Equal(t, http.StatusOK, s.search(enrolled).status)
	all, most := s.best("match", "99.99")
	require.Equal(t, []int{2, 1}, []int{all, most}, "a picture against itself reads 99.9995")

	require.Equal(t, http.StatusNotFound, s.search(stranger).status)
	all, most = s.best("no_match", "20")
	require.Equal(t, []int{1, 1}, []int{all, most})
	const closest = `,"threshold":0,"purpose":"closest"}`
	require.Equal(t, http.StatusOK, s.must("POST", "/users/search", strings.TrimSuffix(faceJSON(stranger), "}")+closest).status)
	all, _ = s.best("near_miss", "100")
	require.Zero(t, all)

	text := s.must("GET", "/metrics", "").body
	require.NotContains(t, text, "drifting-person")
	require.NotContains(t, s.mustAs("", "GET", "/metrics").body, "best_similarity", "a way to approach a face step by step")

	// Where the threshold is of twice the odds, the same face misses it narrowly.
	odds := 2 * found[0].Similarity / (100 - found[0].Similarity)
	s = start(t, append(pipelineEnvironment(t), fmt.Sprintf("IMAGO_SEARCH_THRESHOLD=%v", 100*odds/(1+odds)))...)
	require.Equal(t, http.StatusOK, s.enrol("drifting-person", enrolled).status)
	require.Equal(t, http.StatusNotFound, s.search(again).status)
	all, most = s.best("near_miss", "20")
	require.Equal(t, []int{1, 0}, []int{all, most})
	require.Eventually(t, func() bool { // the store has a pause after it was asked twice
		lower := strings.TrimSuffix(faceJSON(again), "}") + `,"threshold":50}`
		require.Equal(t, http.StatusOK, s.must("POST", "/users/search", lower).status)
		all, _ := s.best("near_miss", "100")
		return all == 2
	}, startTimeout, time.Millisecond)
	all, _ = s.best("match", "100")
	require.Zero(t, all)
}
