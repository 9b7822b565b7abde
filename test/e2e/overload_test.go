package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// overloadFor is how long the server is flooded: a few seconds, or as long as
// IMAGO_BENCH_OVERLOAD says, for figures.
func overloadFor(t *testing.T) (d time.Duration, measured bool) {
	t.Helper()
	text := os.Getenv("IMAGO_BENCH_OVERLOAD")
	if text == "" {
		return 4 * time.Second, false
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "IMAGO_BENCH_OVERLOAD")
	return d, true
}

// generator sends one search again and again over connections that it keeps. It
// shares the cores with the server, so it does as little as it can.
type generator struct {
	address string
	message []byte
	idle    chan *wire

	mu       sync.Mutex
	done     map[int][]time.Duration // by status
	failures map[string]int
	waits    bool // every refusal says when to come back
}

// wire is a connection with its reader.
type wire struct {
	net.Conn
	in *bufio.Reader
}

func newGenerator(s *server, body string) *generator {
	address := strings.TrimPrefix(s.url, "http://")
	return &generator{
		address: address, idle: make(chan *wire, 1024),
		message: fmt.Appendf(nil, "POST /users/search HTTP/1.1\r\nHost: %s\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\n"+
			"Content-Length: %d\r\n\r\n%s", address, apiKey, len(body), body),
		done: map[int][]time.Duration{}, failures: map[string]int{}, waits: true,
	}
}

func (g *generator) close() {
	for {
		select {
		case w := <-g.idle:
			_ = w.Close()
		default:
			return
		}
	}
}

func (g *generator) open() (*wire, error) {
	select {
	case w := <-g.idle:
		return w, nil
	default:
	}
	conn, err := net.DialTimeout("tcp", g.address, callTimeout)
	if err != nil {
		return nil, err
	}
	return &wire{conn, bufio.NewReader(conn)}, nil
}

// search makes one call and notes how it ended.
func (g *generator) search() {
	began := time.Now()
	r, err := g.exchange()
	took := time.Since(began)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.failures[err.Error()]++
		return
	}
	g.done[r.StatusCode] = append(g.done[r.StatusCode], took)
	if r.StatusCode == http.StatusServiceUnavailable && r.Header.Get("Retry-After") == "" {
		g.waits = false
	}
}

func (g *generator) exchange() (*http.Response, error) {
	w, err := g.open()
	if err != nil {
		return nil, err
	}
	_ = w.SetDeadline(time.Now().Add(callTimeout))
	if _, err := w.Write(g.message); err != nil {
		_ = w.Close()
		return nil, err
	}
	r, err := http.ReadResponse(w.in, nil)
	if err != nil {
		_ = w.Close()
		return nil, err
	}
	_, err = w.in.Discard(int(max(r.ContentLength, 0)))
	select {
	case g.idle <- w:
	default:
		_ = w.Close()
	}
	return r, err
}

// closed has some callers search one time after another, and returns how many
// were answered each second.
func (g *generator) closed(callers int, d time.Duration) float64 {
	var all sync.WaitGroup
	began := time.Now()
	for range callers {
		all.Go(func() {
			for time.Since(began) < d {
				g.search()
			}
		})
	}
	all.Wait()
	return float64(len(g.take()[http.StatusOK])) / time.Since(began).Seconds()
}

// flood searches rate times a second, whatever becomes of the searches before.
func (g *generator) flood(rate float64, d time.Duration, every time.Duration, watch func()) {
	const most = 900 // below the limit on connections, so that refusals come from imago
	var running atomic.Int64
	var all sync.WaitGroup
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	began, sent, looked := time.Now(), 0, time.Now()
	for now := range tick.C {
		elapsed := now.Sub(began)
		if elapsed > d {
			break
		}
		for ; float64(sent) < rate*elapsed.Seconds(); sent++ {
			if running.Load() < most {
				running.Add(1)
				all.Go(func() { defer running.Add(-1); g.search() })
			}
		}
		if now.Sub(looked) >= every {
			looked = now
			watch()
		}
	}
	all.Wait()
}

// take returns what was noted since the last time.
func (g *generator) take() map[int][]time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	done := g.done
	g.done = map[int][]time.Duration{}
	return done
}

// spread describes durations by their percentiles.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "none"
	}
	slices.Sort(d)
	at := func(p float64) time.Duration {
		return d[min(len(d)-1, int(p*float64(len(d))))].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("%d: median %v, 99 %% %v, 99.9 %% %v, longest %v", len(d), at(0.5), at(0.99), at(0.999), at(1))
}

// open counts the files and connections that the process holds.
func (s *server) open() int {
	s.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	require.NoError(s.t, err)
	return len(entries)
}

// At ten times the load that it can bear imago goes on answering as many as it can,
// refuses the others at once and in order, and does not grow. With
// IMAGO_BENCH_OVERLOAD=10m the figures are worth something.
func TestOverload(t *testing.T) {
	d, measured := overloadFor(t)
	var env []string
	if !measured { // most are refused then, however slow the machine is
		env = append(env, "IMAGO_INFERENCE_QUEUE=16")
	}
	s := start(t, env...)
	portrait := portrait(t)
	require.Equal(t, http.StatusOK, s.enrol("somebody", portrait).status)
	g := newGenerator(s, faceJSON(portrait))
	defer g.close()
	g.closed(4, d/4)
	best := g.closed(4, max(d/10, 2*time.Second))
	require.Positive(t, best)
	rest, files := s.rss(), s.open()

	var refused, answered []time.Duration
	var memory []string
	note := func(done map[int][]time.Duration) {
		refused, answered = append(refused, done[http.StatusServiceUnavailable]...), append(answered, done[http.StatusOK]...)
		for status := range done {
			require.Contains(t, []int{http.StatusOK, http.StatusServiceUnavailable}, status)
		}
	}
	began := time.Now()
	g.flood(10*best, d, max(d/20, time.Second), func() {
		note(g.take())
		memory = append(memory, fmt.Sprint(s.rss()>>20))
	})
	note(g.take())
	// Those who waited at the end were answered behind it.
	rate := float64(len(answered)) / time.Since(began).Seconds()
	t.Logf("capacity %.1f/s; offered %.1f/s for %v: answered %.1f/s (%.0f %%), refused %.1f/s",
		best, float64(len(answered)+len(refused))/d.Seconds(), d, rate, 100*rate/best, float64(len(refused))/d.Seconds())
	t.Logf("refused: %s", spread(refused))
	t.Logf("answered: %s", spread(answered))
	late := 0
	for _, took := range refused {
		if took > 50*time.Millisecond {
			late++
		}
	}
	t.Logf("refused after more than 50 ms: %d", late)
	t.Logf("resident memory in MiB: %d before, then %s", rest>>20, strings.Join(memory, " "))
	require.Empty(t, g.failures)
	require.True(t, g.waits, "every refusal has Retry-After")
	require.Greater(t, len(refused), len(answered))
	after := g.closed(4, time.Second) // the machine may have become slower by itself
	require.Greater(t, rate, min(best, after)/4, "throughput collapsed")
	require.Less(t, s.peakRSS(), rest+256<<20, "memory")
	g.close()
	s.client.CloseIdleConnections()
	require.Eventually(t, func() bool { return s.open() <= files }, startTimeout, 100*time.Millisecond, "connections are left over")
	require.Len(t, s.search(portrait).matches(t), 1)
	if measured {
		require.Greater(t, rate, 0.9*best)
		require.LessOrEqual(t, late, len(refused)/1000, "refused after more than 50 ms")
	}
}

// Whoever hangs up is not worked for: the pictures that waited when their clients
// left are never embedded.
func TestTheGoneCostNothing(t *testing.T) {
	t.Parallel()
	s := start(t, "IMAGO_INFERENCE_WORKERS=1", "IMAGO_SERVER_LIMITS_IN_FLIGHT=512")
	const clients = 100
	body := faceJSON(portrait(t))
	g := newGenerator(s, body)
	var wires []*wire
	for range clients {
		w, err := g.open()
		require.NoError(t, err)
		_, err = w.Write(g.message)
		require.NoError(t, err)
		wires = append(wires, w)
	}
	require.Eventually(t, func() bool { return s.metric("imago_inference_queue_depth") > clients/4 }, startTimeout, time.Millisecond)
	for _, w := range wires {
		require.NoError(t, w.Close())
	}
	require.Equal(t, http.StatusNotFound, s.must("POST", "/users/search", body).status)
	require.Eventually(t, func() bool { return s.metric("imago_inference_queue_depth") == 0 }, startTimeout, time.Millisecond)
	worked := s.metric(`imago_stage_duration_seconds_count{stage="embed"}`)
	t.Logf("%v of %d pictures were embedded", worked, clients+1)
	require.Less(t, worked, float64(clients))
}

// The stop of an imago that is busy loses nothing: what has begun is answered, and
// nobody sees a connection break. It is bounded all the same.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	s := start(t, "IMAGO_SERVER_TIMEOUTS_DRAIN_DELAY=500ms")
	body := faceJSON(portrait(t))
	var all sync.WaitGroup
	var answered, refused atomic.Int64
	broken := make(chan error, 8)
	ready := make(chan struct{})
	enough := sync.OnceFunc(func() { close(ready) })
	for range 8 {
		all.Go(func() {
			for {
				// A new connection each time, as from a gateway that keeps none.
				g := newGenerator(s, body)
				conn, err := net.Dial("tcp", g.address)
				if err != nil {
					refused.Add(1) // it has stopped listening: nothing was sent
					return
				}
				_, err = conn.Write(g.message)
				if err == nil {
					var r *http.Response
					if r, err = http.ReadResponse(bufio.NewReader(conn), nil); err == nil && r.StatusCode != http.StatusNotFound {
						err = fmt.Errorf("status %d", r.StatusCode)
					}
				}
				_ = conn.Close()
				if err != nil {
					broken <- err
					return
				}
				if answered.Add(1) > 20 {
					enough()
				}
			}
		})
	}
	select {
	case <-ready:
	case err := <-broken:
		t.Fatal(err)
	case <-time.After(startTimeout):
		t.Fatal("no answers")
	}
	s.stop()
	all.Wait()
	require.Empty(t, broken)
	require.EqualValues(t, 8, refused.Load())
	require.NotContains(t, s.log.String(), "closing connections with requests in progress")
}

// Many large pictures at once are no more than imago has memory for.
func TestFloodOfLargePictures(t *testing.T) {
	t.Parallel()
	s := start(t, "IMAGO_SERVER_TIMEOUTS_BODY=3m") // 1.4 GB take a while
	picture := make([]byte, 5<<20)
	copy(picture, portrait(t))
	g := newGenerator(s, faceJSON(picture))
	defer g.close()
	rest := s.rss()
	var all sync.WaitGroup
	for range 200 {
		all.Go(g.search)
	}
	all.Wait()
	done := g.take()
	t.Logf("answered %d, refused %d; resident memory %d MiB before, %d MiB at the peak",
		len(done[http.StatusNotFound]), len(done[http.StatusServiceUnavailable]), rest>>20, s.peakRSS()>>20)
	require.Empty(t, g.failures)
	require.Equal(t, 200, len(done[http.StatusNotFound])+len(done[http.StatusServiceUnavailable]))
	require.NotEmpty(t, done[http.StatusNotFound])
	require.Less(t, s.peakRSS(), rest+1024<<20)
}
