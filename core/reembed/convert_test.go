package reembed_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"imago/core/facechip"
	"imago/core/reembed"
	"imago/ports"
)

var (
	former = ports.Space{Model: "former", Digest: "5a", Preprocessing: "arcface-112 similarity alignment, RGB", Dimension: 3}
	newer  = ports.Space{Model: "newer", Digest: "5b", Preprocessing: "arcface-112 similarity alignment, BGR", Dimension: 2}
	key    = [32]byte{1}
	other  = [32]byte{2}
)

// embedder answers the first two pixels of a chip.
type embedder struct {
	err         error
	takes       time.Duration
	running     atomic.Int64
	most, calls atomic.Int64
}

func (e *embedder) Space() ports.Space { return newer }

func (e *embedder) Embed(_ context.Context, chips []*ports.Chip) (vectors [][]float32, err error) {
	e.calls.Add(1)
	now := e.running.Add(1)
	defer e.running.Add(-1)
	for most := e.most.Load(); now > most && !e.most.CompareAndSwap(most, now); most = e.most.Load() {
	}
	time.Sleep(e.takes)
	for _, c := range chips {
		vectors = append(vectors, []float32{float32(c[0]), float32(c[1])})
	}
	return vectors, e.err
}

// face returns a face with a chip that a key seals.
func face(t *testing.T, key [32]byte) ports.Record {
	t.Helper()
	r := ports.Record{
		Collection: "users", UserID: "ada", FaceID: "f", Vector: []float32{1, 0, 0}, Owner: "gateway",
		EnrolledAt: time.Unix(1e9, 0), ExpiresAt: time.Unix(5e9, 0),
	}
	chip := ports.Chip{3, 4}
	sealed, err := facechip.New(key).Seal(&chip, r.User(), r.FaceID)
	require.NoError(t, err)
	r.Chip = sealed
	return r
}

func TestConvert(t *testing.T) {
	r := face(t, key)
	converted := r
	converted.Vector, converted.Chip = []float32{3, 4}, nil
	for name, o := range map[string]reembed.Options{
		"no key":         {From: facechip.New(key)},
		"no chips":       {From: facechip.New(other, key), To: facechip.New(other), Keeps: func(string) bool { return false }},
		"chips":          {From: facechip.New(key), To: facechip.New(other), Keeps: func(c string) bool { return c == "users" }},
		"chips, one key": {From: facechip.New(key), To: facechip.New(key), Keeps: func(string) bool { return true }},
	} {
		o.Workers = 1
		got, reason, err := reembed.New(&embedder{}, o).Convert(t.Context(), r)
		require.NoError(t, err, name)
		require.Empty(t, reason, name)
		if chips := o.Keeps != nil && o.Keeps("users"); chips {
			require.NotEqual(t, r.Chip, got.Chip, name)
			chip, err := o.To.Open(got.Chip, r.User(), r.FaceID)
			require.NoError(t, err, name)
			require.Equal(t, &ports.Chip{3, 4}, chip, name)
			got.Chip = nil
		}
		require.Equal(t, converted, got, name)
	}
}

func TestFacesThatCannotBeConverted(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *ports.Record)
		says   string
	}{
		"no chip":        {func(r *ports.Record) { r.Chip = nil }, reembed.ReasonNoChip},
		"unknown key":    {func(r *ports.Record) { r.Chip = face(t, other).Chip }, "a key that is not configured: its key ID is "},
		"another's chip": {func(r *ports.Record) { r.UserID = "eve" }, "was not encrypted for this face"},
		"damaged": {func(r *ports.Record) {
			r.Chip = bytes.Clone(r.Chip)
			r.Chip[len(r.Chip)-1] ^= 1
		}, "or is damaged"},
		"newer": {func(r *ports.Record) {
			r.Chip = bytes.Clone(r.Chip)
			r.Chip[0]++
		}, "install a newer one"},
	} {
		r, e := face(t, key), &embedder{}
		c.change(&r)
		_, reason, err := reembed.New(e, reembed.Options{From: facechip.New(key), Workers: 1}).Convert(t.Context(), r)
		require.NoError(t, err, name)
		require.Contains(t, reason, c.says, name)
		require.NotContains(t, reason, "ada", name)
		require.Zero(t, e.calls.Load(), name)
	}
}

func TestConvertFails(t *testing.T) {
	o := reembed.Options{From: facechip.New(key), Workers: 1}
	e := &embedder{err: errors.New("broken")}
	_, _, err := reembed.New(e, o).Convert(t.Context(), face(t, key))
	require.ErrorIs(t, err, e.err)

	o.Workers = 0 // nobody is ever served
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = reembed.New(e, o).Convert(ctx, face(t, key))
	require.ErrorIs(t, err, context.Canceled)
}

func TestWorkersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := &embedder{takes: time.Second}, face(t, key)
		c := reembed.New(e, reembed.Options{From: facechip.New(key), Workers: 2})
		var all errgroup.Group
		for range 50 {
			all.Go(func() error {
				_, _, err := c.Convert(t.Context(), r)
				return err
			})
		}
		require.NoError(t, all.Wait())
		require.EqualValues(t, 50, e.calls.Load())
		require.EqualValues(t, 2, e.most.Load())
	})
}

func TestCheck(t *testing.T) {
	require.NoError(t, reembed.Check(former, newer))
	renamed := former
	renamed.Model = "the same under another name"
	require.ErrorContains(t, reembed.Check(former, renamed), "imago migrate")
	aligned := newer
	aligned.Preprocessing = "eyes-96 alignment, RGB"
	err := reembed.Check(former, aligned)
	require.ErrorIs(t, err, ports.ErrSpaceMismatch)
	require.ErrorContains(t, err, "aligned by arcface-112 for former, and newer needs eyes-96")
}
