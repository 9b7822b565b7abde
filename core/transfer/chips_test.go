package transfer_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/memstore"
	"imago/config"
	"imago/core/transfer"
	"imago/core/vectorstore"
	"imago/ports"
)

// keepingChips are options that have the chips of the inventory kept.
func keepingChips() transfer.Options {
	o := quick
	o.KeepChips = func(collection string) bool { return collection == "users" }
	return o
}

// openFile returns an empty store that keeps chips.
func openFile(t *testing.T) *vectorstore.Store {
	t.Helper()
	cfg := config.MemoryStore{Path: filepath.Join(t.TempDir(), "imago.db")}
	s := vectorstore.New("memstore", memstore.New(cfg, space, slog.New(slog.DiscardHandler)), space)
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, s.Close(context.Background())) })
	return s
}

// withSomeChips returns a store every other face of which has a chip, in all collections.
func withSomeChips(t *testing.T) *vectorstore.Store {
	t.Helper()
	s, records := openFile(t), gallery(20)
	for i := range records {
		if i%2 == 0 {
			records[i].Chip = bytes.Repeat([]byte{byte(i)}, 1+i*10)
		}
	}
	add(t, s, records...)
	return s
}

// chips returns the chips of a collection by user and face.
func chips(t *testing.T, s ports.VectorStore, collection string) map[[2]string][]byte {
	t.Helper()
	selection, found := ports.Everything(collection, ""), map[[2]string][]byte{}
	selection.WithChips = true
	for r, err := range s.Scan(t.Context(), selection) {
		require.NoError(t, err)
		if len(r.Chip) > 0 {
			found[[2]string{r.UserID, r.FaceID}] = r.Chip
		}
	}
	return found
}

func exportWith(t *testing.T, s ports.VectorStore, o transfer.Options) ([]byte, []transfer.Sum) {
	t.Helper()
	var file bytes.Buffer
	sums, err := transfer.Export(t.Context(), &file, s, space, collections, o)
	require.NoError(t, err)
	return file.Bytes(), sums
}

// Chips are exported and imported where that is wanted, as they are.
func TestChipsOfAnExport(t *testing.T) {
	from := withSomeChips(t)
	plain, sums := exportWith(t, from, quick)
	require.NotContains(t, string(plain), `chip`)
	require.Contains(t, string(plain), `"version":1,`)
	require.Zero(t, sums[0].Chips)

	file, sums := exportWith(t, from, keepingChips())
	kept := chips(t, from, "users")
	require.Contains(t, string(file), `"version":2,`)
	require.Equal(t, len(kept), sums[0].Chips)
	require.Contains(t, sums[0].String(), ", chips ")
	require.Zero(t, sums[1].Chips)
	contents, err := transfer.Inspect(t.Context(), bytes.NewReader(file), space)
	require.NoError(t, err)
	require.Equal(t, sums, contents.Sums)

	to := openFile(t)
	for _, added := range []int{len(kept), 0} {
		report, err := transfer.Import(t.Context(), bytes.NewReader(file), to, space, keepingChips())
		require.NoError(t, err)
		require.Equal(t, added, report[0].Chips)
		require.Zero(t, report[0].ChipsLeft)
	}
	require.Equal(t, kept, chips(t, to, "users"))
	again, _ := exportWith(t, to, keepingChips())
	require.Equal(t, file, again, "byte for byte")

	without := open(t) // which could not keep them
	report, err := transfer.Import(t.Context(), bytes.NewReader(file), without, space, quick)
	require.NoError(t, err)
	require.Equal(t, len(kept), report[0].ChipsLeft)
	require.Zero(t, report[0].Chips)
	again, _ = exportWith(t, without, quick)
	require.Equal(t, plain, again)
}

// A chip is as strictly read as all else.
func TestImportRefusesChips(t *testing.T) {
	file, _ := exportWith(t, withSomeChips(t), keepingChips())
	text := string(file)
	at := strings.Index(text, `"chip":"`)
	for name, c := range map[string]struct{ file, want string }{
		"of an export without": {strings.Replace(text, `"version":2`, `"version":1`, 1), "a chip in an export of version 1"},
		"that is no base64":    {text[:at] + `"chip":"!` + text[at+len(`"chip":"`):], "chip is not valid base64"},
		"with a line break":    {text[:at] + `"chip":"\n` + text[at+len(`"chip":"`):], "chip is not valid base64"},
		"that is missing":      {text[:at-1] + text[at+strings.Index(text[at:], `}`):], "the file is corrupt"},
	} {
		_, err := transfer.Inspect(t.Context(), strings.NewReader(c.file), space)
		require.ErrorIs(t, err, ports.ErrInvalid, name)
		require.ErrorContains(t, err, c.want, name)
	}
}

// A copy carries the chips of the collections that keep them in the target.
func TestCopyCarriesChips(t *testing.T) {
	from, to := withSomeChips(t), openFile(t)
	report, err := transfer.Copy(t.Context(), from, to, collections, keepingChips())
	require.NoError(t, err)
	require.Equal(t, len(chips(t, from, "users")), report[0].Chips)
	require.Equal(t, chips(t, from, "users"), chips(t, to, "users"))
	require.Empty(t, chips(t, to, "blacklist"))
	_, err = transfer.Verify(t.Context(), from, to, collections, keepingChips())
	require.NoError(t, err)
}
