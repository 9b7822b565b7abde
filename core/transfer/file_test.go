package transfer_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/transfer"
	"imago/ports"
)

func export(tb testing.TB, s ports.VectorStore) []byte {
	tb.Helper()
	var file bytes.Buffer
	_, err := transfer.Export(tb.Context(), &file, s, space, collections, quick)
	require.NoError(tb, err)
	return file.Bytes()
}

func TestExportThenImportIsTheSame(t *testing.T) {
	from, to := filled(t, 200), open(t)
	file := export(t, from)
	for round := range 2 {
		report, err := transfer.Import(t.Context(), bytes.NewReader(file), to, space, quick)
		require.NoError(t, err)
		for _, o := range report {
			require.Equal(t, 200, o.Users)
			require.Equal(t, o.Faces, []int{o.Added, o.Same}[round])
		}
		require.Equal(t, all(t, from), all(t, to))
		require.Equal(t, file, export(t, to), "byte for byte")
	}
	contents, err := transfer.Inspect(t.Context(), bytes.NewReader(file), space)
	require.NoError(t, err)
	require.Equal(t, "suite", contents.Model)
	require.Equal(t, 600, contents.Users())
	sums, err := transfer.Verify(t.Context(), from, to, collections, quick)
	require.NoError(t, err)
	require.Equal(t, sums, contents.Sums)
}

func TestExportOfAnEmptyStore(t *testing.T) {
	file := export(t, open(t))
	require.Equal(t, 2, bytes.Count(file, []byte("\n")))
	contents, err := transfer.Inspect(t.Context(), bytes.NewReader(file), space)
	require.NoError(t, err)
	require.Zero(t, contents.Users())

	var none bytes.Buffer
	_, err = transfer.Export(t.Context(), &none, open(t), space, nil, quick)
	require.NoError(t, err)
}

// The lines as they are documented.
func TestFileFormat(t *testing.T) {
	s := open(t)
	add(t, s, ports.Record{
		Collection: "blacklist", UserID: `<a"é>`, FaceID: "f", Owner: "gateway",
		Vector: []float32{1, 0, 0, 0, 0, 0, 0, 0}, EnrolledAt: time.UnixMicro(1_700_000_000_000_007),
	})
	sum, err := transfer.Checksum(t.Context(), s, "blacklist")
	require.NoError(t, err)
	lines := strings.Split(string(export(t, s)), "\n")
	require.Len(t, lines, 4)
	require.Equal(t, fmt.Sprintf(`{"format":"imago-gallery","version":1,"space":%q,"model":"suite","collections":["users","blacklist","whitelist"]}`, space.ID()), lines[0])
	vector := base64.StdEncoding.EncodeToString(append([]byte{0, 0, 0x80, 0x3f}, make([]byte, 28)...))
	require.Equal(t, `{"collection":"blacklist","userId":"<a\"é>","faceId":"f","owner":"gateway","enrolledAt":"2023-11-14T22:13:20.000007Z","vector":"`+vector+`"}`, lines[1])
	var end struct{ End []map[string]any }
	require.NoError(t, json.Unmarshal([]byte(lines[2]), &end))
	require.Equal(t, map[string]any{"collection": "blacklist", "users": 1.0, "faces": 1.0, "sha256": fmt.Sprintf("%x", sum.SHA256)}, end.End[1])
}

func TestExportRefusesWhatImportCouldNotRead(t *testing.T) {
	for name, change := range map[string]func(*ports.Record){
		"a vector that is none": func(r *ports.Record) { r.Vector = []float32{float32(math.NaN())} },
		"an ID that is none":    func(r *ports.Record) { r.UserID = "\xff" },
		"a year beyond 9999":    func(r *ports.Record) { r.EnrolledAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		broken := generator{users: 3, change: change}
		_, err := transfer.Export(t.Context(), io.Discard, broken, space, collections, quick)
		require.ErrorIs(t, err, ports.ErrInvalid, name)
	}
}

type brokenWriter struct{ left int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

func TestExportReportsAFullDisk(t *testing.T) {
	for _, room := range []int{0, 1 << 16} {
		_, err := transfer.Export(t.Context(), &brokenWriter{room}, filled(t, 300), space, collections, quick)
		require.ErrorContains(t, err, "disk full")
	}
}

func TestImportRefusesAnotherSpace(t *testing.T) {
	file := export(t, filled(t, 2))
	other := space
	other.Model, other.Digest = "newer", "77"
	_, err := transfer.Import(t.Context(), bytes.NewReader(file), open(t), other, quick)
	require.ErrorIs(t, err, ports.ErrSpaceMismatch)
	require.ErrorContains(t, err, space.ID())
	require.ErrorContains(t, err, "newer ("+other.ID()+")")
	renamed := space
	renamed.Model = "the same under another name"
	_, err = transfer.Import(t.Context(), bytes.NewReader(file), open(t), renamed, quick)
	require.NoError(t, err)
}

func TestImportRefusesAUserOfTooManyFaces(t *testing.T) {
	crowd := filled(t, 1)
	lines := strings.SplitAfter(string(export(t, crowd)), "\n")
	var file strings.Builder
	file.WriteString(lines[0])
	for i := range 1001 {
		file.WriteString(field("faceId", fmt.Sprintf("%04d", i))(lines[1]) + "\n")
	}
	_, err := transfer.Inspect(t.Context(), strings.NewReader(file.String()), space)
	require.ErrorIs(t, err, ports.ErrInvalid)
	require.ErrorContains(t, err, "line 1002: invalid input: a user has more than 1000 faces")
}

func TestInspectEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := transfer.Inspect(ctx, bytes.NewReader(export(t, filled(t, 2))), space)
	require.ErrorIs(t, err, context.Canceled)
}

func TestImportReportsAReaderThatFails(t *testing.T) {
	file := export(t, filled(t, 20))
	broken := errors.New("broken pipe")
	r := io.MultiReader(bytes.NewReader(file[:len(file)/2]), iotest.ErrReader(broken))
	_, err := transfer.Import(t.Context(), r, open(t), space, quick)
	require.ErrorIs(t, err, broken)
}

// An interrupted import is repeated, into a store that is unavailable now and
// then.
func TestImportGoesOnAfterCancellation(t *testing.T) {
	from, to := filled(t, 100), open(t)
	file := export(t, from)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := quick
	o.Progress = func(done, total int) {
		require.Zero(t, total)
		if done == 150 {
			cancel()
		}
	}
	_, err := transfer.Import(ctx, bytes.NewReader(file), to, space, o)
	require.ErrorIs(t, err, context.Canceled)
	require.NotEmpty(t, all(t, to))
	o = quick
	o.Retry.MaxTotal = time.Millisecond
	_, err = transfer.Import(t.Context(), bytes.NewReader(file), &flaky{VectorStore: to, every: 101}, space, o)
	require.NoError(t, err)
	require.Equal(t, file, export(t, to))
}

// A backup goes into a store that lives on: what is newer there stays, and a
// user who has other faces now does not get the old ones back.
func TestImportIntoAStoreThatLivesOn(t *testing.T) {
	s := filled(t, 30)
	file := export(t, s)
	faces, err := s.Get(t.Context(), ports.UserKey{Collection: "users", UserID: "user-0020"})
	require.NoError(t, err)
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(ports.UserKey{Collection: "users", UserID: "user-0020"}), ports.Everybody()))
	replaced := faces[0]
	replaced.FaceID = "new"
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(ports.UserKey{Collection: "users", UserID: "user-0021"}), ports.Everybody()))
	add(t, s, replaced)
	before := all(t, s)
	report, err := transfer.Import(t.Context(), bytes.NewReader(file), s, space, quick)
	require.NoError(t, err)
	require.Equal(t, len(faces), report.Conflicts())
	require.Equal(t, 1, report[0].Extra)
	require.NotZero(t, report[0].Added)
	require.Subset(t, all(t, s), before)
	now, err := s.Get(t.Context(), ports.UserKey{Collection: "users", UserID: "user-0020"})
	require.NoError(t, err)
	require.Equal(t, []ports.Record{replaced}, now)
}

// The end of an import is a proof: a store that lost a write is found out.
func TestImportProvesThatTheStoreHoldsIt(t *testing.T) {
	file := export(t, filled(t, 30))
	to := open(t)
	_, err := transfer.Import(t.Context(), bytes.NewReader(file), hooked{to, func(ctx context.Context, r ports.Record, mode ports.Mode) error {
		if r.UserID == "user-0020" {
			return nil
		}
		return to.Add(ctx, r, mode)
	}}, space, quick)
	require.ErrorContains(t, err, "instead of users")
}
