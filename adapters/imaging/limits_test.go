package imaging

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
)

// declares returns a whole PNG of almost nothing that declares the given sides.
func declares(t *testing.T, width, height int) []byte {
	t.Helper()
	head := binary.BigEndian.AppendUint32(nil, uint32(width))
	head = binary.BigEndian.AppendUint32(head, uint32(height))
	out := appendChunk([]byte(pngSignature), "IHDR", append(head, 8, 2, 0, 0, 0))
	out = appendChunk(out, "IDAT", deflate(t, make([]byte, 1<<20)))
	return appendChunk(out, "IEND", nil)
}

// resized returns a JPEG that declares other sides than it has.
func resized(t *testing.T, width, height int) []byte {
	t.Helper()
	data := bytes.Clone(testdata(t, "420.jpg"))
	sof := data[bytes.Index(data, []byte{0xFF, markerSOF0}):]
	binary.BigEndian.PutUint16(sof[5:], uint16(height))
	binary.BigEndian.PutUint16(sof[7:], uint16(width))
	return data
}

func TestDeclaredSize(t *testing.T) {
	tests := map[string]struct {
		data   []byte
		kind   error
		reason string
	}{
		"PNG bomb":         {declares(t, 60000, 60000), ports.ErrTooLarge, "image is 60000x60000 pixels: at most 64 megapixels are supported"},
		"PNG just over":    {declares(t, 8001, 8000), ports.ErrTooLarge, "image is 8001x8000 pixels: at most 64 megapixels are supported"},
		"PNG just allowed": {declares(t, 8000, 8000), ports.ErrInvalid, reasonDamaged},
		"PNG greatest":     {declares(t, 1<<31-1, 1<<31-1), ports.ErrTooLarge, "image is 2147483647x2147483647 pixels: at most 65500 pixels on a side are supported"},
		"PNG long":         {declares(t, 65501, 1), ports.ErrTooLarge, "image is 65501x1 pixels: at most 65500 pixels on a side are supported"},
		"PNG no width":     {declares(t, 0, 10), ports.ErrInvalid, "the provided image has no pixels"},
		"PNG no height":    {declares(t, 10, 0), ports.ErrInvalid, "the provided image has no pixels"},
		"JPEG bomb":        {resized(t, 60000, 60000), ports.ErrTooLarge, "image is 60000x60000 pixels: at most 64 megapixels are supported"},
		"JPEG long":        {resized(t, 1, 65535), ports.ErrTooLarge, "image is 1x65535 pixels: at most 65500 pixels on a side are supported"},
		"JPEG no width":    {resized(t, 0, 10), ports.ErrInvalid, "the provided image has no pixels"},
		"JPEG no height":   {resized(t, 10, 0), ports.ErrInvalid, "the provided image has no pixels"},
		"JPEG too little":  {resized(t, 640, 480), ports.ErrInvalid, reasonDamaged},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := newDecoder().Decode(t.Context(), test.data, 640)
			requireRefused(t, err, test.kind, test.reason)
		})
	}
}

// A bomb is refused before anything of its size is allocated, in Go or in C.
func TestBombTakesNoMemory(t *testing.T) {
	for name, data := range map[string][]byte{"PNG": declares(t, 60000, 60000), "JPEG": resized(t, 60000, 60000)} {
		t.Run(name, func(t *testing.T) {
			d := newDecoder()
			require.NoError(t, d.budget.Acquire(t.Context(), d.size)) // whatever it asked for would have to wait
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := d.Decode(t.Context(), data, 640)
			runtime.ReadMemStats(&after)
			require.ErrorIs(t, err, ports.ErrTooLarge)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<10))
		})
	}
}

// peak returns how far the resident memory rises above its start, in MiB.
func peak(t *testing.T, work func()) float64 {
	t.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("the peak of resident memory must be known: %v", err)
		}
		t.Skipf("the peak of resident memory cannot be reset here: %v", err)
	}
	before := residentPeak(t)
	work()
	return residentPeak(t) - before
}

func residentPeak(t *testing.T) float64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(status), "VmHWM:")
	require.True(t, ok)
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(t, err)
	return float64(kib) / 1024
}

// peakCases are pictures and what decoding each may take.
func peakCases() map[string]peakCase {
	large := pngSpec{width: 2000, height: 1500, depth: 8, colour: 0, sample: noise(3)}
	interlaced := large
	interlaced.interlaced = true
	file := func(t *testing.T) []byte { return largeJPEG(t) }
	return map[string]peakCase{
		"36 megapixels at 640":  {file, 640, 8},
		"36 megapixels at 1280": {file, 1280, 16},
		"36 megapixels whole":   {file, 0, 120},
		"PNG at 640":            {func(t *testing.T) []byte { return large.encode(t) }, 640, 4},
		"interlaced PNG at 640": {func(t *testing.T) []byte { return interlaced.encode(t) }, 640, 13},
		"PNG with 280 MB of text": {func(t *testing.T) []byte {
			text := large
			text.width, text.height = 100, 100
			text.before = slices.Repeat([][2]string{{"zTXt", "k\x00\x00" + string(deflate(t, make([]byte, 7<<20)))}}, 40)
			return text.encode(t)
		}, 0, 4},
	}
}

// largeJPEG returns a JPEG of 36 megapixels, 4912 x 7360.
func largeJPEG(t *testing.T) []byte {
	t.Helper()
	img := image.NewYCbCr(image.Rect(0, 0, 4912, 7360), image.YCbCrSubsampleRatio420)
	for i := range img.Y {
		img.Y[i] = byte(i>>3 ^ i>>14)
	}
	return fixture.JPEG(t, img, 80)
}

type peakCase struct {
	data     func(t *testing.T) []byte
	longSide int
	most     float64 // MiB
}

// peakEnv names, in a child process, the case to be measured.
const peakEnv = "IMAGO_TEST_PEAK"

// The memory that decoding takes stays below what it was estimated to. Each picture
// is the first of a process, which has no memory left over from another, and has
// three attempts: what the process does besides only ever adds to its memory.
func TestPeakMemory(t *testing.T) {
	if name := os.Getenv(peakEnv); name != "" {
		measurePeak(t, peakCases()[name])
		return
	}
	for name := range peakCases() {
		t.Run(name, func(t *testing.T) {
			var out []byte
			for range 3 {
				child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPeakMemory$", "-test.v")
				child.Env = append(os.Environ(), peakEnv+"="+name, "GORACE=atexit_sleep_ms=0")
				var err error
				if out, err = child.CombinedOutput(); err == nil {
					t.Logf("%s", out)
					return
				}
			}
			t.Errorf("%s", out)
		})
	}
}

func measurePeak(t *testing.T, c peakCase) {
	data := c.data(t)
	p, err := open(data)
	require.NoError(t, err)
	estimate := float64(p.plan(c.longSide)) / (1 << 20)
	d := newDecoder()
	got := peak(t, func() {
		_, err := d.Decode(t.Context(), data, c.longSide)
		require.NoError(t, err)
	})
	t.Logf("%.1f MiB, estimated %.1f MiB", got, estimate)
	const slack = 3 // the test's and the runtime's own
	require.LessOrEqual(t, got, min(estimate+slack, c.most))
}

func TestBudgetIsWaitedFor(t *testing.T) {
	data := testdata(t, "420.jpg")
	synctest.Test(t, func(t *testing.T) {
		d := newDecoder()
		require.NoError(t, d.budget.Acquire(t.Context(), d.size))
		done := make(chan error, 1)
		go func() {
			_, err := d.Decode(t.Context(), data, 0)
			done <- err
		}()
		synctest.Wait()
		select {
		case <-done:
			require.Fail(t, "decoded over the budget")
		default:
		}
		d.budget.Release(d.size)
		require.NoError(t, <-done)
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	data := testdata(t, "420.jpg")
	synctest.Test(t, func(t *testing.T) {
		d := newDecoder()
		require.NoError(t, d.budget.Acquire(t.Context(), 1<<20))
		require.NoError(t, d.budget.Acquire(t.Context(), d.size-1<<20))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := d.Decode(ctx, data, 0)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, ports.ErrUnavailable)
	})
}

// The budget is whole again after every kind of end, and a picture that needs
// more than all of it is decoded nevertheless.
func TestBudgetIsReturned(t *testing.T) {
	limits := config.Default().Server.Limits
	limits.DecodeMiB = 1
	d := New(limits)
	whole := pngSpec{width: 900, height: 900, depth: 8, colour: 2, sample: noise(3)}.encode(t)
	p, err := open(whole)
	require.NoError(t, err)
	require.Greater(t, p.plan(0), d.size)
	for _, data := range [][]byte{whole, rowsMissing(t), testdata(t, "420.jpg"), testdata(t, "420.jpg")[:500], testdata(t, "cmyk.jpg"), nil} {
		_, _ = d.Decode(t.Context(), data, 0)
		require.True(t, d.budget.TryAcquire(d.size))
		d.budget.Release(d.size)
	}
	_, err = d.Decode(t.Context(), whole, 0)
	require.NoError(t, err)
}

func TestEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, data := range [][]byte{testdata(t, "420.jpg"), rgbPNG(t, draw("ABC DEF", 8)), []byte("x")} {
		_, err := newDecoder().Decode(ctx, data, 0)
		require.ErrorIs(t, err, context.Canceled)
	}
}

// endingContext ends after it has been asked for its error a number of times, or
// as soon as someone wants to be called back at its end, unless it is silent.
type endingContext struct {
	context.Context
	left   int
	silent bool
	done   chan struct{}
}

func newEndingContext(t *testing.T, left int) *endingContext {
	return &endingContext{Context: t.Context(), left: left, done: make(chan struct{})}
}

func (c *endingContext) Done() <-chan struct{} { return c.done }

func (c *endingContext) Err() error {
	if c.left <= 0 {
		return context.Canceled
	}
	c.left--
	return nil
}

// AfterFunc is what context.AfterFunc prefers to Done.
func (c *endingContext) AfterFunc(f func()) func() bool {
	if c.silent {
		return func() bool { return true }
	}
	c.left = 0
	go f()
	return func() bool { return false }
}

// The end of the context reaches into libjpeg. The picture is large enough for
// the goroutine that carries the news to run before it is decoded, on a machine that
// is not all too busy.
func TestCancelledWhileDecodingJPEG(t *testing.T) {
	data := fixture.JPEG(t, image.NewGray(image.Rect(0, 0, 6000, 6000)), 1)
	for range 10 {
		img, err := newDecoder().Decode(newEndingContext(t, 1), data, 0)
		if err == nil {
			continue
		}
		require.ErrorIs(t, err, context.Canceled)
		require.Nil(t, img)
		return
	}
	require.Fail(t, "it is decoded to its end")
}

// Whenever the context ends, decoding a PNG ends with its error; the context is
// looked at before every batch of rows that libpng reads and every row made.
func TestCancelledWhileDecodingPNG(t *testing.T) {
	for _, interlaced := range []bool{false, true} {
		data := pngSpec{width: 30, height: 10 * pngBatch, depth: 8, colour: 2, interlaced: interlaced, sample: noise(8)}.encode(t)
		for _, longSide := range []int{0, 50} {
			looks := 0
			for ; ; looks++ {
				ctx := newEndingContext(t, looks)
				ctx.silent = true
				img, err := newDecoder().Decode(ctx, data, longSide)
				if err == nil {
					requireSound(t, img, longSide)
					break
				}
				require.ErrorIs(t, err, context.Canceled)
				require.Nil(t, img)
			}
			passes, rows := 1, 10*pngBatch
			if interlaced {
				passes = len(adam7)
			}
			if longSide > 0 {
				rows = ceilDiv(rows, pngReduction(rows, longSide))
			}
			require.GreaterOrEqual(t, looks, 10*passes+rows)
		}
	}
}

func TestConcurrentDecoding(t *testing.T) {
	limits := config.Default().Server.Limits
	limits.DecodeMiB = 1
	d := New(limits)
	var files [][]byte
	for _, name := range jpegKinds {
		files = append(files, testdata(t, name+".jpg"))
	}
	files = append(files,
		rgbPNG(t, draw("ABC DEF", 16)),
		pngSpec{width: 64, height: 64, depth: 16, colour: 6, interlaced: true, sample: noise(16)}.encode(t),
		rowsMissing(t),
	)
	type result struct{ image, err string }
	decode := func(data []byte) result {
		img, err := d.Decode(context.Background(), data, 40)
		return result{fmt.Sprint(img), fmt.Sprint(err)}
	}
	want := make([]result, len(files))
	for i, data := range files {
		want[i] = decode(data)
	}
	const workers = 8
	got := make([][]result, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := range files {
				got[w] = append(got[w], decode(files[(i+w)%len(files)]))
			}
		})
	}
	group.Wait()
	for w := range workers {
		for i := range files {
			require.Equal(t, want[(i+w)%len(files)], got[w][i])
		}
	}
}
