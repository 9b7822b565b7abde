package bench

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

const (
	collectionRounds = 200 // searches of each kind
	collectionUsers  = 50  // in each collection
)

// BenchmarkCollections takes turns between the search of one collection and that of three
// at once, with one picture, over HTTP, and reports the medians and their quotient, which
// is to be at most 1.1.
func BenchmarkCollections(b *testing.B) {
	server := serve(b)
	face := base64.StdEncoding.EncodeToString(fixture.Drawing(b))
	ask := func(path, members string) time.Duration {
		began := time.Now()
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+server.address+path, bytes.NewReader([]byte(`{"face":"`+face+`"`+members+`}`)))
		require.NoError(b, err)
		r.Header.Set("X-Api-Key", benchKey)
		answer, err := http.DefaultClient.Do(r)
		require.NoError(b, err)
		_, err = io.Copy(io.Discard, answer.Body)
		require.NoError(b, err)
		require.NoError(b, answer.Body.Close())
		require.Equal(b, http.StatusOK, answer.StatusCode)
		return time.Since(began)
	}
	for i := range collectionUsers {
		for _, path := range []string{"/users/%d", "/users/blacklist/%d", "/users/whitelist/%d"} {
			ask(fmt.Sprintf(path, i), "")
		}
	}
	var one, three []time.Duration
	for i := range collectionRounds {
		order := []func(){
			func() { one = append(one, ask("/faces/search", `,"collections":["users"]`)) },
			func() {
				three = append(three, ask("/faces/search", `,"collections":["users","blacklist","whitelist"]`))
			},
		}
		order[i%2]()
		order[1-i%2]()
	}
	slices.Sort(one)
	slices.Sort(three)
	median := func(all []time.Duration) float64 { return float64(all[len(all)/2].Microseconds()) / 1000 }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(one), "one-ms")
	b.ReportMetric(median(three), "three-ms")
	b.ReportMetric(median(three)/median(one), "three/one")
}
