package transfer_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/transfer"
	"imago/core/vectorstore"
	"imago/ports"
)

// FuzzImport: a file is refused the same whether it is only looked at or read
// into a store; what then is in the store are sound records that stand in the
// file. Where it is accepted, the store holds what the file's sums say, nothing
// else, and importing it again, or what the store then exports, changes nothing.
func FuzzImport(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("{}\n"))
	f.Add(export(f, open(f)))
	f.Add(export(f, filled(f, 2)))
	for _, change := range []func(string) string{
		replace("", ""), replace("Id", "ID"), field("vector", vectorText(0, 1, 0, 0, 0, 0, 0, 0)), field("owner", nil),
		field("end", nil), replace(`"f`, `"\u0066`), func(s string) string { return " " + s + "\r" }, func(s string) string { return s + "\n" + s },
	} {
		for line := 1; line <= 5; line++ {
			f.Add([]byte(damaged(f, line, change)))
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		to := open(t)
		report, err := transfer.Import(t.Context(), bytes.NewReader(file), to, space, quick)
		contents, inspected := transfer.Inspect(t.Context(), bytes.NewReader(file), space)
		if err != nil {
			require.EqualError(t, inspected, err.Error())
			requireFrom(t, file, to, report)
			return
		}
		require.NoError(t, inspected)
		require.Zero(t, report.Conflicts())
		faces := 0
		for i, sum := range contents.Sums {
			there, err := transfer.Checksum(t.Context(), to, sum.Collection)
			require.NoError(t, err)
			require.Equal(t, sum, there)
			require.Equal(t, sum.Faces, report[i].Added)
			faces += sum.Faces
		}
		require.Len(t, stored(t, to, contents), faces)
		requireUnchanged(t, file, to, contents)
	})
}

// requireFrom checks that every record of a store stands in a line of a file, and
// that the report of a broken import tells how many there are.
func requireFrom(t *testing.T, file []byte, store ports.VectorStore, report transfer.Report) {
	type face struct{ Collection, UserID, FaceID, Owner string }
	named := map[face]bool{}
	for line := range bytes.Lines(file) {
		var one face
		if json.Unmarshal(line, &one) == nil {
			named[one] = true
		}
	}
	added, there := 0, 0
	for _, outcome := range report {
		added += outcome.Added
		for r, err := range store.Scan(t.Context(), ports.Everything(outcome.Collection, "")) {
			require.NoError(t, err)
			require.NoError(t, vectorstore.ValidateRecord(r, dimension))
			require.Contains(t, named, face{r.Collection, r.UserID, r.FaceID, r.Owner})
			there++
		}
	}
	require.Equal(t, there, added, "the report tells what was written")
}

// stored returns the records of the collections of a file.
func stored(t *testing.T, store ports.VectorStore, contents transfer.Contents) (records []ports.Record) {
	for _, sum := range contents.Sums {
		for r, err := range store.Scan(t.Context(), ports.Everything(sum.Collection, "")) {
			require.NoError(t, err)
			records = append(records, r)
		}
	}
	return records
}

// requireUnchanged imports a file a second time, and then what the store exports.
func requireUnchanged(t *testing.T, file []byte, store ports.VectorStore, contents transfer.Contents) {
	before := stored(t, store, contents)
	var names []string
	for _, sum := range contents.Sums {
		names = append(names, sum.Collection)
	}
	var exported bytes.Buffer
	sums, err := transfer.Export(t.Context(), &exported, store, space, names, quick)
	require.NoError(t, err)
	require.Equal(t, contents.Sums, sums)
	for _, again := range [][]byte{file, exported.Bytes()} {
		report, err := transfer.Import(t.Context(), bytes.NewReader(again), store, space, quick)
		require.NoError(t, err)
		for _, outcome := range report {
			require.Zero(t, outcome.Added+outcome.Extra+outcome.Conflicts)
		}
	}
	require.Equal(t, before, stored(t, store, contents))
}
