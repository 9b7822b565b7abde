package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/cmd/imago/cli"
	"imago/core/reembed"
	"imago/core/transfer"
	"imago/ports"
)

// writeSide writes the configuration of one side into a folder.
func writeSide(t *testing.T, dir, name, more string) string {
	t.Helper()
	path := filepath.Join(dir, name+".yaml")
	text := fmt.Sprintf("store: {memory: {path: %s.db}}\n%s", name, more)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// What cannot work is refused before a store is opened.
func TestReembedRefuses(t *testing.T) {
	t.Setenv("IMAGO_MODELS_DIR", t.TempDir())
	const key, otherKey = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "short"
	const mobilefacenet, sface = "models: {embedder: mobilefacenet}\n", "models: {embedder: opencv-sface}\n"
	chips := func(key string) string { return fmt.Sprintf("chips: {key: %q}\n", key) }
	for name, c := range map[string]struct {
		from, to, says string
		code           int
		absent         bool // there is no store to read
	}{
		"the same embedder":  {mobilefacenet + chips(key), mobilefacenet, "both sides have the embedder mobilefacenet, there is nothing to convert: imago migrate", cli.ExitUsage, false},
		"no key":             {mobilefacenet, sface, "--from: chips has no key", cli.ExitUsage, false},
		"no key of the two":  {mobilefacenet + chips(otherKey), sface, "--from: key 1 of chips is not 32 bytes", cli.ExitUsage, false},
		"no key of the new":  {mobilefacenet + chips(key), sface + chips(otherKey), "--to: key 1 of chips is not 32 bytes", cli.ExitUsage, false},
		"no store":           {mobilefacenet + chips(key), sface, "there is no file", cli.ExitUsage, true},
		"no embedder":        {mobilefacenet + chips(key), "models: {embedder: yunet}\n", "--to: models.embedder: yunet is a detector", cli.ExitUsage, false},
		"a model not pulled": {mobilefacenet + chips(key), sface, "--to: ", cli.ExitFailed, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			from, to := writeSide(t, dir, "old", c.from), writeSide(t, dir, "new", c.to)
			if !c.absent {
				require.NoError(t, os.WriteFile(filepath.Join(dir, "old.db"), nil, 0o600))
			}
			cmd := root()
			var out bytes.Buffer
			cmd.SetOut(&out)
			cmd.SetErr(io.Discard)
			cmd.SetArgs([]string{"reembed", "--from", from, "--to", to})
			err := cmd.ExecuteContext(t.Context())
			require.ErrorContains(t, err, c.says)
			require.Equal(t, c.code, cli.ExitCode(t.Context(), err), err)
			require.Empty(t, out.String())
			require.NoFileExists(t, filepath.Join(dir, "new.db"))
		})
	}
}

// imago migrate names the command that can.
func TestMigrateNamesReembed(t *testing.T) {
	dir := t.TempDir()
	from, to := writeSide(t, dir, "old", "models: {embedder: mobilefacenet}\n"), writeSide(t, dir, "new", "")
	_, _, err := accessBoth(from, to, sameSpace)
	require.ErrorIs(t, err, ports.ErrSpaceMismatch)
	require.ErrorContains(t, err, "imago reembed")
}

func TestWhichCollectionsGetChips(t *testing.T) {
	dir := t.TempDir()
	from := writeSide(t, dir, "old", "models: {embedder: mobilefacenet}\nchips: {key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=}\n")
	to := writeSide(t, dir, "new", "chips: {key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=}\n"+
		"collections: [{name: blacklist, keep_chips: true, threshold: 90}, {name: vip}]\n")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "old.db"), nil, 0o600))
	a, b, err := accessBoth(from, to, convertible)
	require.NoError(t, err)
	o, err := converterOptions(a.cfg, b.cfg)
	require.NoError(t, err)
	for collection, keeps := range map[string]bool{"users": false, "blacklist": true, "vip": false, "whitelist": false} {
		require.Equal(t, keeps, o.Keeps(collection), collection)
	}
	require.NotNil(t, o.To)
	require.Positive(t, o.Workers)
	require.InDelta(t, 80, b.threshold("users").Percent, 0)
	require.InDelta(t, 90, b.threshold("blacklist").Percent, 0)
	require.Greater(t, b.threshold("blacklist").Cosine, b.threshold("users").Cosine)
	require.NotEqual(t, a.threshold("users").Cosine, b.threshold("users").Cosine, "the embedders have calibrations of their own")
}

func TestLeftOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "left.jsonl")
	for name, path := range map[string]string{"without a file": "", "with a file": path} {
		l, err := newLeftOut(path)
		require.NoError(t, err, name)
		require.NoError(t, l.err(), name)
		for i := range maxListedFaces + 5 {
			require.NoError(t, l.addFace(transfer.Conflict{Collection: "users", UserID: fmt.Sprintf("u<%d>", i), FaceID: "f", Reason: "no chip"}), name)
		}
		require.Len(t, l.first, maxListedFaces, name)
		var shown bytes.Buffer
		l.print(&shown)
		require.Equal(t, maxShownRefusals+1, bytes.Count(shown.Bytes(), []byte("\n")), name)
		require.Contains(t, shown.String(), `left out of users: user "u<0>", face "f": no chip`, name)
		require.Contains(t, shown.String(), "left out: 985 more\n", name)
		require.ErrorContains(t, l.err(), "1005 faces were left out", name)
		require.Equal(t, cli.ExitPartial, cli.ExitCode(context.Background(), l.err()), name)
		require.NoError(t, l.close(), name)
	}
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	require.Len(t, lines, maxListedFaces+5)
	var face leftOutFace
	require.NoError(t, json.Unmarshal(lines[7], &face))
	require.Equal(t, leftOutFace{"users", "u<7>", "f", "no chip"}, face)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
}

func TestComparisonsText(t *testing.T) {
	require.Empty(t, comparisonsText([]reembed.Comparison{{Collection: "users"}}))
	require.Equal(t, "users: pairs of one user's faces that reach the threshold: 8 of 10 before (80 %), 9 after (82.5 %)\n"+
		"users: pairs of different users' faces that reach the threshold: 2 of 300 before (80 %), 1 after (82.5 %)\n",
		comparisonsText([]reembed.Comparison{{
			Collection: "users", Before: 80, After: 82.5,
			SamePerson: reembed.Pairs{Pairs: 10, Before: 8, After: 9}, Strangers: reembed.Pairs{Pairs: 300, Before: 2, After: 1},
		}}))
}
