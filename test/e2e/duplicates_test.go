package e2e

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// looked is what the tests need of the result of `imago duplicates`.
type looked struct {
	Collections []struct {
		Collection, Against string
		Size, AgainstSize   struct{ Users, Faces int }
		Pairs               lookedPairs
		Mixed               *struct {
			Found int
			List  []struct {
				UserID string
				Groups [][]string
			}
		}
		Hubs struct {
			Found int
			List  []struct {
				Face    struct{ UserID string }
				Users   int
				Closest []struct{ UserID string }
			}
		}
	}
}

type lookedPairs struct {
	Similarity           float64
	Found, LeftOutByHubs int
	Chance               struct{ Model *struct{ Value float64 } }
	List                 []struct {
		A, B struct{ Collection, UserID string }
	}
}

// names returns the users of each pair.
func (p lookedPairs) names() (all []string) {
	for _, one := range p.List {
		all = append(all, one.A.UserID+" "+one.B.UserID)
	}
	return all
}

// duplicatesOf runs `imago duplicates` over a store at path.
func duplicatesOf(t testing.TB, path string, env []string, args ...string) looked {
	t.Helper()
	r := finish(t, command(t, path, env, append([]string{"duplicates", "--format", "json"}, args...)...))
	require.Zero(t, r.code, r.err)
	var found looked
	require.NoError(t, json.Unmarshal([]byte(r.out), &found))
	return found
}

// requirePlanted checks that users has one pair, one mixed user and one hub, and nothing else.
func requirePlanted(t testing.TB, found looked, a, b, mixed string, groups []int, hub string, resembled ...string) {
	t.Helper()
	users := found.Collections[0]
	require.Equal(t, "users", users.Collection)
	require.Equal(t, 1, users.Pairs.Found, "%v", users.Pairs)
	require.Equal(t, []string{a + " " + b}, users.Pairs.names())
	require.GreaterOrEqual(t, users.Pairs.Similarity, 80.)
	require.Less(t, users.Pairs.Chance.Model.Value, 0.5)
	require.Equal(t, 1, users.Mixed.Found, "%v", users.Mixed)
	require.Equal(t, mixed, users.Mixed.List[0].UserID)
	var sizes []int
	for _, g := range users.Mixed.List[0].Groups {
		sizes = append(sizes, len(g))
	}
	require.Equal(t, groups, sizes)
	require.Equal(t, 1, users.Hubs.Found, "%v", users.Hubs)
	require.Equal(t, hub, users.Hubs.List[0].Face.UserID)
	var closest []string
	for _, c := range users.Hubs.List[0].Closest[:len(resembled)] {
		closest = append(closest, c.UserID)
	}
	require.ElementsMatch(t, resembled, closest)
	for _, list := range found.Collections[1:] {
		require.Zero(t, list.Pairs.Found+list.Mixed.Found+list.Hubs.Found)
	}
}

// firstFaces returns the vector of the first face of each user of a store.
func firstFaces(t testing.TB, path string) map[string][]float32 {
	t.Helper()
	all := map[string][]float32{}
	for line := range strings.Lines(exported(t, path)) {
		var face struct{ UserID, Vector string }
		require.NoError(t, json.Unmarshal([]byte(line), &face))
		if _, known := all[face.UserID]; known || face.UserID == "" {
			continue
		}
		data, err := base64.StdEncoding.DecodeString(face.Vector)
		require.NoError(t, err)
		for i := 0; i < len(data); i += 4 {
			all[face.UserID] = append(all[face.UserID], math.Float32frombits(binary.LittleEndian.Uint32(data[i:])))
		}
	}
	return all
}

// blend returns the template of several people in one.
func blend(vectors ...[]float32) []float32 {
	sum := make([]float32, len(vectors[0]))
	for _, v := range vectors {
		for i := range v {
			sum[i] += v[i]
		}
	}
	return fixture.Normalise(sum)
}

// Among real faces of eight people, one who is enrolled under two IDs, two under one ID, and a
// template of four people in one are found, and nothing else is. A further look at a list
// finds who of the users is on it.
func TestDuplicatesOfTheCast(t *testing.T) {
	t.Parallel()
	dir, path := castFolder(t, 1, 2, 3), database(t, false)
	env := append(pipelineEnvironment(t), "IMAGO_INVENTORY_SAME_PERSON=0")
	for _, n := range []string{"4", "5"} {
		picture(t, filepath.Join(dir, "amy again", n+".png"), "cast", "amy"+n+".png")
	}
	for _, n := range []string{"1", "2"} {
		require.NoError(t, os.Rename(filepath.Join(dir, "stuart", n+".png"), filepath.Join(dir, "penny", "s"+n+".png")))
	}
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "stuart")))
	r := finish(t, command(t, path, env, "enroll", dir))
	require.Zero(t, r.code, r.out+r.err)
	clean := firstFaces(t, path)
	victims := []string{"howard", "leonard", "raj", "sheldon"}
	var mixed [][]float32
	for _, name := range victims {
		mixed = append(mixed, clean[name])
	}
	done(t, path, "import", write(t, galleryFile(t, []enrolledFace{{user: "hub", face: "f", vector: blend(mixed...)}})))

	out := filepath.Join(t.TempDir(), "new", "results")
	found := duplicatesOf(t, path, env, "--out", out)
	requirePlanted(t, found, "amy", "amy again", "penny", []int{3, 2}, "hub", victims...)
	require.Equal(t, 26, found.Collections[0].Size.Faces)
	for _, name := range []string{"duplicates.html", "duplicates.json"} {
		info, err := os.Stat(filepath.Join(out, name))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode(), "users are named in it")
	}
	html, err := os.ReadFile(filepath.Join(out, "duplicates.html"))
	require.NoError(t, err)
	require.Contains(t, string(html), "amy again")
	require.NotContains(t, string(html), "http")

	listed := t.TempDir()
	picture(t, filepath.Join(listed, "wanted", "1.png"), "cast", "raj5.png")
	picture(t, filepath.Join(listed, "unknown", "1.png"), "cast", "stuart3.png")
	done := finish(t, command(t, path, env, "enroll", "--collection", "blacklist", "--client", "gateway", listed))
	require.Zero(t, done.code, done.err)
	against := duplicatesOf(t, path, env, "--against", "blacklist").Collections
	require.Len(t, against, 1)
	require.ElementsMatch(t, []string{"raj wanted", "penny unknown"}, against[0].Pairs.names())
	require.Equal(t, "blacklist", against[0].Pairs.List[0].B.Collection)
}

// planted is a gallery of vectors: a hundred people who have nothing in common, of whom one has
// two IDs, one two people's faces, and one the template of five others.
func planted(t testing.TB) string {
	t.Helper()
	const dimension = 128
	axis := func(i int) []float32 {
		v := make([]float32, dimension)
		v[i] = 1
		return v
	}
	faces := []enrolledFace{
		{user: "again", face: "f", vector: blend(axis(7), axis(7), axis(7), axis(120))},
		{user: "hub", face: "f", vector: blend(axis(1), axis(2), axis(3), axis(4), axis(5))},
		{user: "mixed", face: "f0", vector: axis(101)}, {user: "mixed", face: "f1", vector: axis(102)},
	}
	for i := range 100 {
		faces = append(faces, enrolledFace{user: fmt.Sprintf("user-%03d", i), face: "f", vector: axis(i)})
	}
	return galleryFile(t, faces)
}

// The same is found on every backend, by pictures of two presidents beside vectors, and the log says
// that the faces were read. What was found is not changed.
func TestDuplicatesOnEveryBackend(t *testing.T) {
	t.Parallel()
	pictures := folderOf(t, map[string]string{"obama/1.jpg": "obama.jpg", "obama again/1.jpg": "obama2.jpg", "two/1.jpg": "biden.jpg"})
	require.NoError(t, os.WriteFile(filepath.Join(pictures, "two", "2.jpg"), portrait(t), 0o600))
	file := write(t, planted(t))
	for _, name := range slices.Sorted(maps.Keys(backends)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, log := database(t, false), filepath.Join(t.TempDir(), "audit.log")
			env := slices.Concat(pipelineEnvironment(t), backends[name](t), []string{"IMAGO_INVENTORY_SAME_PERSON=0", "IMAGO_AUDIT_PATH=" + log})
			run := func(args ...string) result {
				t.Helper()
				r := finish(t, command(t, path, env, args...))
				require.Zero(t, r.code, r.out+r.err)
				return r
			}
			run("import", file)
			before := run("export").out
			requirePlanted(t, duplicatesOf(t, path, env), "again", "user-007", "mixed", []int{1, 1}, "hub", "user-001", "user-002", "user-003", "user-004", "user-005")
			require.Equal(t, before, run("export").out)

			run("enroll", pictures)
			users := duplicatesOf(t, path, env, "--collection", "users").Collections[0]
			require.ElementsMatch(t, []string{"again user-007", "obama obama again"}, users.Pairs.names())
			require.Equal(t, 2, users.Mixed.Found)

			lines, err := os.ReadFile(log)
			require.NoError(t, err)
			require.Contains(t, string(lines), `"phase":"intent"`)
			require.Regexp(t, `"phase":"outcome".*"operation":"duplicates","collection":"users","faces":104`, string(lines))
			require.Regexp(t, `"operation":"duplicates","collection":"whitelist"`, string(lines))
		})
	}
}

// What is wrong with the command line is said, and what cannot be done.
func TestDuplicatesSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	path := database(t, false)
	done(t, path, "import", write(t, planted(t)))
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--collection", "vip"}, 2, `--collection: no collection "vip" is configured`},
		{[]string{"--against", "users"}, 2, "users is the collection itself"},
		{[]string{"--threshold", "101"}, 2, "--threshold must be a number from 0 to 100"},
		{[]string{"--same-person", "NaN"}, 2, "--same-person must be a number from 0 to 100"},
		{[]string{"--limit", "0"}, 2, "--limit must be 1 to 10000"},
		{[]string{"--out", path}, 2, "not a directory"},
		{[]string{"users"}, 2, "the usage is"},
	} {
		r := attempt(t, path, append([]string{"duplicates"}, c.args...)...)
		require.Equal(t, c.code, r.code, "%v: %s", c.args, r.err)
		require.Contains(t, r.err, c.says)
		require.Empty(t, r.out)
	}
	require.Equal(t, 2, attempt(t, filepath.Join(t.TempDir(), "none.db"), "duplicates").code)

	text := done(t, path, "duplicates")
	require.Contains(t, text.out, "users: users 103, faces 104; 5,355 pairs of faces compared\n")
	require.Contains(t, text.out, `"again"`)
	require.Contains(t, text.out, `"f0" | "f1"`)
	require.Contains(t, text.out, "blacklist: nothing to compare, users 0, faces 0\n")
	limited := done(t, path, "duplicates", "--threshold", "60", "--limit", "1")
	require.Contains(t, limited.out, "5 more through a hub, not counted\n")

	s := start(t, "IMAGO_STORE_MEMORY_PATH="+path)
	busy := attempt(t, path, "duplicates")
	require.NotZero(t, busy.code)
	require.Contains(t, busy.err, "another imago is using it")
	s.kill()
}
