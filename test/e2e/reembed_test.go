package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/test/fixture"
	"imago/test/servers"
)

// reembedding is a folder with two configurations, old.yaml and new.yaml, of two embedders.
type reembedding struct {
	t      *testing.T
	dir    string
	models string // the folder
	former string // the embedder of old.yaml
}

// newReembedding makes the folder. Stores are the sections of both sides; more is what
// old.yaml says beside them.
func newReembedding(t *testing.T, oldStore, newStore string) *reembedding {
	t.Helper()
	r := &reembedding{t: t, dir: t.TempDir(), models: t.TempDir()}
	for _, name := range []string{detectorFile, embedderFile} {
		require.NoError(t, os.Symlink(filepath.Join(fixture.Models(t), name), filepath.Join(r.models, name)))
	}
	r.former = r.formerEmbedder()
	for name, embedder := range map[string]string{"old": r.former, "new": "opencv-sface"} {
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		r.file(name+".key", base64.StdEncoding.EncodeToString(key)+"\n")
		r.file(name+".yaml", fmt.Sprintf("models: {dir: %q, embedder: %s}\ninventory: {keep_chips: true}\nchips: {key_file: %s.key}\nstore: %s\n",
			r.models, embedder, name, map[string]string{"old": oldStore, "new": newStore}[name]))
	}
	return r
}

// formerEmbedder returns mobilefacenet, or where its file is not there, the default embedder
// with channels swapped, whose space is another one too.
func (r *reembedding) formerEmbedder() string {
	r.t.Helper()
	if path, found := fixture.FastModel(r.t, "mobilefacenet.onnx"); found {
		require.NoError(r.t, os.Symlink(path, filepath.Join(r.models, "mobilefacenet.onnx")))
		return "mobilefacenet"
	}
	manifest, err := fs.ReadFile(config.BuiltinModels, "opencv-sface.yaml")
	require.NoError(r.t, err)
	swapped := strings.NewReplacer("name: opencv-sface", "name: swapped", "colour: RGB", "colour: BGR").Replace(string(manifest))
	require.NoError(r.t, os.WriteFile(filepath.Join(r.models, "swapped.yaml"), []byte(swapped), 0o600))
	return "swapped"
}

func (r *reembedding) file(name, content string) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	require.NoError(r.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// change replaces text in a file.
func (r *reembedding) change(name, from, to string) {
	r.t.Helper()
	rewrite(r.t, filepath.Join(r.dir, name), func(b []byte) []byte {
		require.Contains(r.t, string(b), from)
		return []byte(strings.ReplaceAll(string(b), from, to))
	})
}

// command prepares a command in the folder.
func (r *reembedding) command(args ...string) *exec.Cmd {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), imago(r.t), args...)
	cmd.Dir = r.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "IMAGO_ONNXRUNTIME_LIB=" + fixture.ONNXRuntime(r.t)}
	return cmd
}

func (r *reembedding) run(code int, args ...string) result {
	r.t.Helper()
	done := finish(r.t, r.command(args...))
	require.Equal(r.t, code, done.code, "%v:\n%s%s", args, done.out, done.err)
	return done
}

// reembed carries the gallery over.
func (r *reembedding) reembed(code int, args ...string) result {
	r.t.Helper()
	return r.run(code, append([]string{"reembed", "--from", "old.yaml", "--to", "new.yaml"}, args...)...)
}

// faces returns the faces of a configuration by collection, user and face, without their
// vectors, and the vectors.
func (r *reembedding) faces(config string) (faces map[string]string, vectors map[string][]float32) {
	r.t.Helper()
	faces, vectors = map[string]string{}, map[string][]float32{}
	for line := range strings.Lines(r.run(0, "export", "--config", config).out) {
		var face struct{ Collection, UserID, FaceID, Owner, EnrolledAt, ExpiresAt, Vector string }
		require.NoError(r.t, json.Unmarshal([]byte(line), &face))
		if face.UserID == "" {
			continue
		}
		key := face.Collection + "/" + face.UserID + "/" + face.FaceID
		data, err := base64.StdEncoding.DecodeString(face.Vector)
		require.NoError(r.t, err)
		vector := make([]float32, len(data)/4)
		for i := range vector {
			vector[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		vectors[key] = vector
		face.Vector = ""
		faces[key] = fmt.Sprintf("%+v", face)
	}
	return faces, vectors
}

// serve serves a configuration.
func (r *reembedding) serve(config, memory string) *server {
	r.t.Helper()
	return start(r.t, "IMAGO_CONFIG="+filepath.Join(r.dir, config), "IMAGO_MODELS_DIR="+r.models, "IMAGO_STORE_MEMORY_PATH="+memory)
}

// who returns whom pictures find first, "" for nobody.
func who(s *server, pictures map[string][]byte) map[string]string {
	s.t.Helper()
	found := map[string]string{}
	for name, picture := range pictures {
		if a := s.search(picture); a.status == 200 {
			found[name] = a.matches(s.t)[0].UserID
		}
	}
	return found
}

// people returns a folder of people, and one more picture of each.
func people(t *testing.T) (dir string, more map[string][]byte) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(fixture.Root(t), "..", "shared", "faces", "cast")); err != nil {
		return presidents(t), map[string][]byte{"obama": fixture.ReadPortrait(t, "obama_partial_face.jpg")}
	}
	more = map[string][]byte{}
	for _, name := range castNames {
		more[name] = fixture.Read(t, "cast", name+"5.png")
	}
	return castFolder(t, 1, 2, 3, 4), more
}

// A gallery is carried over to another embedder on each backend: everybody who was found is
// found, the templates are those that the pictures would give, and the old store stays as
// it was.
func TestReembed(t *testing.T) {
	t.Parallel()
	for backend, stores := range map[string]func(t *testing.T) (former, next string){
		"memory": func(*testing.T) (string, string) {
			return "{memory: {path: old.db}}", "{memory: {path: new.db}}"
		},
		"pgvector": func(t *testing.T) (string, string) {
			const store = "{driver: pgvector, pgvector: {dsn: %q, schema: %s}}"
			dsn := servers.Postgres(t).DSN()
			return fmt.Sprintf(store, dsn, "former"), fmt.Sprintf(store, dsn, "next")
		},
		"milvus": func(t *testing.T) (string, string) {
			const store = "{driver: milvus, milvus: {address: %q, collection: %s}}"
			address := servers.OwnMilvus(t, servers.MilvusOptions{}).Address()
			return fmt.Sprintf(store, address, "former"), fmt.Sprintf(store, address, "next")
		},
	} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			former, next := stores(t)
			r := newReembedding(t, former, next)
			requireReembedded(t, r, backend == "memory")
			if backend == "memory" {
				requireSameTemplates(t, r)
			}
		})
	}
}

func requireReembedded(t *testing.T, r *reembedding, inFile bool) {
	t.Helper()
	dir, more := people(t)
	memory := func(name string) string {
		if !inFile {
			return ""
		}
		return filepath.Join(r.dir, name)
	}
	r.run(0, "enroll", "--config", "old.yaml", "--expires-at", "2100-01-01T00:00:00Z", dir)
	r.run(0, "enroll", "--config", "old.yaml", "--collection", "whitelist", "--client", "gate", dir) // without chips
	former := r.serve("old.yaml", memory("old.db"))
	found := who(former, more)
	former.stop()
	require.NotEmpty(t, found)
	before, oldVectors := r.faces("old.yaml")

	done := r.reembed(3, "--format", "json")
	var got struct {
		Collections []struct {
			Collection                             string
			Faces, Added, Same, LeftOut, Conflicts int
		}
		LeftOutFaces []struct{ Collection, UserID, FaceID, Reason string }
		Verified     []struct {
			Collection string
			Faces      int
		}
		Comparison []struct {
			Collection            string
			SamePerson, Strangers struct{ Pairs, ReachBefore, ReachAfter int }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(done.out), &got), done.out)
	faces := len(before) / 2
	for _, c := range got.Collections {
		added, left := faces, 0
		if c.Collection != "users" {
			added = 0
		}
		if c.Collection == "whitelist" {
			left = faces
		}
		require.Equal(t, []int{added, 0, left, 0}, []int{c.Added, c.Same, c.LeftOut, c.Conflicts}, c.Collection)
	}
	require.Equal(t, faces, got.Verified[0].Faces)
	require.Zero(t, got.Verified[2].Faces)
	require.Len(t, got.LeftOutFaces, faces)
	for _, f := range got.LeftOutFaces {
		require.Equal(t, "whitelist", f.Collection)
		require.Contains(t, f.Reason, "no chip")
	}
	require.Len(t, got.Comparison, 1)
	t.Logf("%+v", got.Comparison[0])
	require.GreaterOrEqual(t, got.Comparison[0].SamePerson.ReachAfter, got.Comparison[0].SamePerson.ReachBefore/2)
	require.NotContains(t, done.err, dir)

	after, newVectors := r.faces("new.yaml")
	require.Len(t, after, faces)
	for key, face := range after {
		require.Equal(t, before[key], face)
		require.NotEqual(t, oldVectors[key], newVectors[key])
	}
	still, sameVectors := r.faces("old.yaml")
	require.Equal(t, before, still)
	require.Equal(t, oldVectors, sameVectors)

	// Once more embeds nothing.
	require.Contains(t, r.reembed(3).out, fmt.Sprintf("users: users %d, faces %d: 0 added, %d there already", len(usersOf(after)), faces, faces))

	next := r.serve("new.yaml", memory("new.db"))
	nowFound := who(next, more)
	for name, user := range found {
		require.Equal(t, user, nowFound[name])
		require.Equal(t, name, user)
	}
	next.stop()
}

// usersOf returns the users of faces.
func usersOf(faces map[string]string) map[string]bool {
	users := map[string]bool{}
	for key := range faces {
		users[key[:strings.LastIndex(key, "/")]] = true
	}
	return users
}

// The templates are those that the pictures give. The chips have come along, too: the way
// back works with the keys of the new side, and ends where it began.
func requireSameTemplates(t *testing.T, r *reembedding) {
	t.Helper()
	_, carried := r.faces("new.yaml")
	r.file("anew.yaml", fmt.Sprintf("models: {dir: %q}\nstore: {memory: {path: anew.db}}\n", r.models))
	dir, _ := people(t)
	r.run(0, "enroll", "--config", "anew.yaml", dir)
	_, anew := r.faces("anew.yaml")
	require.Len(t, anew, len(carried))
	for key, vector := range anew {
		require.InDelta(t, 1, cosine(vector, carried[key]), 1e-4, key)
	}

	r.file("back.yaml", fmt.Sprintf("models: {dir: %q, embedder: %s}\nstore: {memory: {path: back.db}}\n", r.models, r.former))
	r.run(0, "reembed", "--from", "new.yaml", "--to", "back.yaml")
	_, former := r.faces("old.yaml")
	_, back := r.faces("back.yaml")
	require.Len(t, back, len(carried))
	for key, vector := range back {
		require.InDelta(t, 1, cosine(vector, former[key]), 1e-6, key)
	}
}

// The command is killed again and again, and ends with everybody; the old file stays as it
// was byte for byte.
func TestKilledReembedGoesOn(t *testing.T) {
	t.Parallel()
	r := newReembedding(t, "{memory: {path: old.db}}", "{memory: {path: new.db}}")
	const users = 300
	pictures := filepath.Join(r.dir, "pictures")
	require.NoError(t, os.Mkdir(pictures, 0o700))
	for i := range users {
		require.NoError(t, os.WriteFile(filepath.Join(pictures, fmt.Sprintf("user-%03d.jpg", i)), portrait(t), 0o600))
	}
	r.run(0, "enroll", "--config", "old.yaml", pictures)
	before, _ := r.faces("old.yaml")
	require.Len(t, before, users)
	content := func() string {
		data, err := os.ReadFile(filepath.Join(r.dir, "old.db"))
		require.NoError(t, err)
		return string(data)
	}
	file := content()

	kills := 0
	for ; kills < 5; kills++ {
		if !killWhenGrown(t, r.command("reembed", "--from", "old.yaml", "--to", "new.yaml"), filepath.Join(r.dir, "new.db-wal"), 512<<10) {
			break
		}
	}
	require.Positive(t, kills)
	done := r.reembed(0)
	var added, there int
	_, err := fmt.Sscanf(done.out, "users: users 300, faces 300: %d added, %d there already", &added, &there)
	require.NoError(t, err, done.out)
	t.Logf("after %d kills: %d faces were there, %d added", kills, there, added)
	require.Equal(t, users, added+there)
	require.Positive(t, there, "what was written before a kill is not embedded again")
	after, _ := r.faces("new.yaml")
	require.Equal(t, before, after)
	require.True(t, file == content(), "the old store has changed")
}

// What keys do not open is left out and listed, and comes along once they do. Both sides
// have it in their audit logs.
func TestReembedWithoutTheFormerKey(t *testing.T) {
	t.Parallel()
	r := newReembedding(t, "{memory: {path: old.db}}\naudit: {path: audit.log, required: true}", "{memory: {path: new.db}}\naudit: {path: audit.log, required: true}")
	r.run(0, "enroll", "--config", "old.yaml", folderOf(t, map[string]string{"obama/1.jpg": "obama.jpg", "biden.jpg": "biden.jpg"}))
	former, err := os.ReadFile(filepath.Join(r.dir, "old.key"))
	require.NoError(t, err)
	r.file("old.key", strings.TrimSpace(runOpenSSL(t))+" # the new one\n")
	r.run(0, "enroll", "--config", "old.yaml", "--add", folderOf(t, map[string]string{"obama/2.jpg": "obama2.jpg"}))

	require.NoError(t, os.Remove(filepath.Join(r.dir, "audit.log")))
	done := r.reembed(3, "--left-out", "left.jsonl")
	require.Contains(t, done.out, "users: users 2, faces 3: 1 added, 0 there already, 0 in conflict; 1 with their chips; 2 were left out, and with them all of 1 users\n")
	require.Contains(t, done.err, "imago: 2 faces were left out; left.jsonl lists them")
	require.Contains(t, done.err, `left out of users: user "biden", face `)
	data, err := os.ReadFile(filepath.Join(r.dir, "left.jsonl"))
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(string(data), `"reason":"the chip was encrypted with a key that is not configured: its key ID is `), "%s", data)
	require.Equal(t, []told{
		{"intent", "reembed_out", "", 0, ""},
		{"intent", "reembed_in", "", 0, ""},
		{"outcome", "reembed_out", "users", 3, ""},
		{"outcome", "reembed_out", "blacklist", 0, ""},
		{"outcome", "reembed_out", "whitelist", 0, ""},
		{"outcome", "reembed_in", "users", 1, "partial"},
		{"outcome", "reembed_in", "blacklist", 0, ""},
		{"outcome", "reembed_in", "whitelist", 0, ""},
	}, commandTrail(t, filepath.Join(r.dir, "audit.log")))

	r.change("old.key", "\n", "\n"+string(former))
	require.Contains(t, r.reembed(0).out, "users: users 2, faces 3: 2 added, 1 there already, 0 in conflict; 2 with their chips\n")

	// A target of another embedder than its configuration says is refused.
	r.file("other.yaml", fmt.Sprintf("models: {dir: %q, embedder: %s}\nstore: {memory: {path: other.db}}\n", r.models, r.former))
	r.run(0, "enroll", "--config", "other.yaml", folderOf(t, map[string]string{"biden.jpg": "biden.jpg"}))
	r.file("wrong.yaml", fmt.Sprintf("models: {dir: %q}\nstore: {memory: {path: other.db}}\n", r.models))
	require.Contains(t, r.run(1, "reembed", "--from", "old.yaml", "--to", "wrong.yaml").err, "--to: ")
}

// runOpenSSL makes a key as the page says.
func runOpenSSL(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "openssl", "rand", "-base64", "32").Output()
	require.NoError(t, err)
	return string(out)
}

// The page's commands do what it says.
func TestChangeOfTheEmbedderAsOnThePage(t *testing.T) {
	t.Parallel()
	r := newReembedding(t, "{memory: {path: old.db}}", "{memory: {path: new.db}}")
	dir := folderOf(t, map[string]string{"obama.jpg": "obama.jpg"})
	r.change("old.yaml", "old.key", "chips.key")
	ran := 0
	for _, step := range pageSteps(t, "config/models/README.md", "## Change the embedder") {
		if strings.Contains(step.commands, "imago reembed") {
			r.run(0, "enroll", "--config", "old.yaml", dir)
		}
		bash := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", step.commands)
		bash.Dir = r.dir
		bash.Env = []string{"PATH=" + filepath.Dir(imago(t)) + ":" + os.Getenv("PATH"), "IMAGO_ONNXRUNTIME_LIB=" + fixture.ONNXRuntime(t)}
		out, err := bash.CombinedOutput()
		require.NoError(t, err, "%s\n%s", step.commands, out)
		ran++
	}
	require.Equal(t, 2, ran)
	faces, _ := r.faces("new.yaml")
	require.Len(t, faces, 1)
	require.FileExists(t, filepath.Join(r.dir, "left-out.jsonl"))
}
