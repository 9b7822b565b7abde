package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// What was answered 200 is there after kill -9, what was removed is not.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	path := "IMAGO_STORE_MEMORY_PATH=" + filepath.Join(t.TempDir(), "gallery", "imago.db")
	s := start(t, path)
	require.Equal(t, http.StatusOK, s.enrol("kept", portrait(t)).status)
	require.Equal(t, http.StatusOK, s.enrol("removed", portrait(t)).status)
	require.Equal(t, http.StatusOK, s.unenrol("removed").status)
	s.kill()

	s = start(t, path)
	found := s.search(portrait(t)).matches(t)
	require.Len(t, found, 1)
	require.Equal(t, "kept", found[0].UserID)
}

// The process is killed in the middle of a stream of enrolments, several times
// over: every one that was acknowledged is found after the restart.
func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	const rounds, writers = 5, 4
	path := "IMAGO_STORE_MEMORY_PATH=" + filepath.Join(t.TempDir(), "imago.db")
	body := faceJSON(portrait(t))
	random := rand.New(rand.NewPCG(1, 2))
	acknowledged := map[string]bool{}
	var mu sync.Mutex
	for round := range rounds {
		s := start(t, path)
		enough := make(chan struct{})
		target := len(acknowledged) + 3 + random.IntN(20)
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for i := 0; ; i++ {
					id := fmt.Sprintf("u-%d-%d-%d", round, w, i)
					a, err := s.call(t.Context(), "POST", "/users/"+id, body)
					if err != nil || a.status != http.StatusOK {
						return
					}
					mu.Lock()
					acknowledged[id] = true
					if len(acknowledged) == target {
						close(enough)
					}
					mu.Unlock()
				}
			})
		}
		<-enough
		s.kill()
		all.Wait()
	}
	s := start(t, path)
	for id := range acknowledged {
		a := s.must("POST", "/users/"+id, body)
		require.Equal(t, duplicate, a.body, "%s was acknowledged and is gone", id)
	}
	t.Logf("%d kills, %d acknowledged enrolments, 0 lost", rounds, len(acknowledged))
}

func TestOneFileServesOneInstance(t *testing.T) {
	t.Parallel()
	path := "IMAGO_STORE_MEMORY_PATH=" + filepath.Join(t.TempDir(), "imago.db")
	start(t, path)
	out := refusesToStart(t, path)
	require.Contains(t, out, "imago.db")
	require.Contains(t, out, "another imago is using it")
}

// A 36-megapixel phone picture is enrolled in bounded memory.
func TestLargePictureInBoundedMemory(t *testing.T) {
	t.Parallel()
	s := start(t)
	rest := s.rss()
	a := s.enrol("large", fixture.Read(t, "001_A.jpg"))
	require.Equal(t, http.StatusOK, a.status, a.body)
	t.Logf("resident memory: %d MiB at rest, %d MiB at the peak", rest>>20, s.peakRSS()>>20)
	require.Less(t, s.peakRSS(), int64(400<<20))
}
