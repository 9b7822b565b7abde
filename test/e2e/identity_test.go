package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/memstore"
	"imago/adapters/modelzoo"
	"imago/adapters/onnx"
	"imago/config"
	"imago/core/naming"
	"imago/core/vectorstore"
	"imago/ports"
)

// outlawed are IDs that no user may have: they look like another, like nothing, or like
// a path of the API.
var outlawed = []string{
	"Jose\u0301", "A\u030a", "\u212b", "trailing ", " leading", "tab\t", "\u00a0nbsp", "wide\u3000", "zero\u200bwidth", "\u200bfirst", "last\u200b",
	"joiner\u200d", "\u202eoverride", "mark\u200f", "isolate\u2066", "\ufeffbom", "soft\u00adhyphen", "tag\U000e0041", "selector\ufe0f",
	"filler\u3164", "null\x00", "line\u2028", "noncharacter\ufffe", "\u0301mark", "\xff",
	"Search", "SEARCH", "Faces", "verify", "Verify", "users", "Users", "Blacklist", "WHITELIST", " search", "search ",
	"ſearch", "ｓｅａｒｃｈ",
}

// Every call refuses an ID that is not of the one form, and says why.
func TestUserIDsHaveOneForm(t *testing.T) {
	t.Parallel()
	s := start(t)
	face := faceJSON(portrait(t))
	for _, id := range outlawed {
		for _, list := range []string{"", "blacklist/"} {
			path := "/users/" + list + url.PathEscape(id)
			for _, call := range []string{"POST", "PUT", "DELETE", "GET", "POST faces"} {
				method, suffix, _ := strings.Cut(call, " ")
				body := face
				if method == "GET" || method == "DELETE" {
					body = ""
				}
				if suffix != "" {
					suffix = "/" + suffix
				}
				a := s.must(method, path+suffix, body)
				if list != "" && id == "verify" && method != "POST" {
					require.Equal(t, http.StatusMethodNotAllowed, a.status, "the path is that of comparing with a user named as the list")
					continue
				}
				require.Equal(t, http.StatusBadRequest, a.status, "%s %q: %s", call, list+id, a.body)
				require.NotEmpty(t, a.problem(t).Errors, "%s %q", call, list+id)
			}
		}
	}
	require.JSONEq(t, `{"users":[]}`, s.must("GET", "/users", "").body, "nobody was enrolled by mistake")
	require.JSONEq(t, `{"users":[]}`, s.must("GET", "/users/blacklist", "").body)
	for _, id := range []string{"José", "山田　太郎", "שלום", "searching", "ⅷ"} {
		require.Equal(t, http.StatusOK, s.enrol(id, portrait(t)).status, id)
		require.Equal(t, http.StatusOK, s.unenrol(id).status, id)
	}
}

// lists writes a configuration with a store at path and some lists.
func lists(t *testing.T, path, names string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "imago.yaml")
	require.NoError(t, os.WriteFile(file, []byte("store:\n  memory:\n    path: "+path+"\ncollections:\n"+names), 0o600))
	return file
}

// A list that gets the name of a user, in any case, would make the user unreachable: the
// start says so and what to do, and then the operator can.
func TestListsWithTheNameOfAUser(t *testing.T) {
	t.Parallel()
	path := database(t, false)
	s := start(t, "IMAGO_STORE_MEMORY_PATH="+path)
	require.Equal(t, http.StatusOK, s.enrol("VIP", portrait(t)).status)
	require.Equal(t, http.StatusOK, s.enrol("vip2", portrait(t)).status)
	s.stop()
	file, log := lists(t, path, "  - name: vip\n"), filepath.Join(t.TempDir(), "audit.log")
	env := append(pipelineEnvironment(t), "IMAGO_API_KEY="+apiKey, "IMAGO_SERVER_LISTEN=127.0.0.1:0", "IMAGO_AUDIT_PATH="+log)
	run := func(args ...string) result {
		cmd := command(t, path, env, append(args, "--config", file)...)
		return finish(t, cmd)
	}
	for _, name := range []string{"check", "serve"} {
		r := run(name)
		require.Equal(t, 1, r.code, "%s: %s%s", name, r.out, r.err)
		require.Contains(t, r.out+r.err, `1 enrolled users have the name of a list, so that no request could reach them and nobody erase them: "VIP" in users (the list vip)`)
		require.Contains(t, r.out+r.err, "imago unenrol USER --collection LIST")
	}
	r := run("unenrol", "VIP")
	require.Zero(t, r.code, r.err)
	require.Equal(t, `removed "VIP" from users: 1 faces`+"\n", r.out)
	r = run("unenrol", "VIP")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, `there is no user "VIP" in users`)
	require.Zero(t, run("check").code)

	data, err := os.ReadFile(log)
	require.NoError(t, err)
	var told []trail
	for line := range strings.Lines(string(data)) {
		var one trail
		require.NoError(t, json.Unmarshal([]byte(line), &one))
		told = append(told, one)
	}
	require.Len(t, told, 4)
	for i, one := range told {
		require.Equal(t, "operator_unenrol", one.Operation)
		require.Equal(t, "users", one.Collection)
		require.Equal(t, "VIP", one.UserID)
		require.Equal(t, []string{"intent", "outcome"}[i%2], one.Phase)
	}
	require.Equal(t, 1, told[1].Faces)
	require.Equal(t, []string{"failed"}, told[3].Reasons)

	// A list that is taken out of the configuration leaves its users behind.
	removed := earlier(t, ports.Record{Collection: "vip", UserID: "left", FaceID: "f", Owner: "gateway"})
	r = finish(t, command(t, removed, env, "check"))
	require.Zero(t, r.code, r.out)
	require.Contains(t, r.out, `1 users are in collections that are not configured`)
	require.Contains(t, r.out, `"left" in vip`)
	done(t, removed, "unenrol", "--collection", "vip", "left")

	again := start(t, "IMAGO_STORE_MEMORY_PATH="+path, "IMAGO_CONFIG="+file)
	require.Equal(t, http.StatusBadRequest, again.enrol("Vip", portrait(t)).status)
	require.Len(t, read[roster](t, again.must("GET", "/users", "")).Users, 1)
	inUse := run("unenrol", "vip2")
	require.Equal(t, 1, inUse.code)
	require.Contains(t, inUse.err, "another imago is using it")
}

// developmentSpace is that of the model which serve uses by default.
func developmentSpace(t *testing.T) ports.Space {
	t.Helper()
	cfg := config.Default()
	entries, err := modelzoo.New(t.TempDir(), config.BuiltinModels).List()
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name == cfg.Models.Embedder {
			return onnx.NewEmbedder(onnx.NewRuntime(cfg.Inference, slog.New(slog.DiscardHandler)), cfg.Inference, onnx.Model{Manifest: e.Manifest}).Space()
		}
	}
	t.Fatal("the default embedder is no model")
	return ports.Space{}
}

// earlier returns the file of a store with users whom an imago of another time has
// enrolled.
func earlier(t *testing.T, users ...ports.Record) string {
	t.Helper()
	path, space := database(t, false), developmentSpace(t)
	store := vectorstore.New("memstore", memstore.New(config.MemoryStore{Path: path}, space, slog.New(slog.DiscardHandler)), space)
	require.NoError(t, store.Start(t.Context()))
	seen := map[string]bool{}
	for i, r := range users {
		r.Vector = make([]float32, space.Dimension)
		r.Vector[i%space.Dimension] = 1
		r.EnrolledAt = time.UnixMicro(1_700_000_000_000_000 + int64(i)).UTC()
		mode := ports.NewUser()
		if seen[r.Collection+"/"+r.UserID] {
			mode = ports.FurtherFace(ports.Everybody())
		}
		seen[r.Collection+"/"+r.UserID] = true
		require.NoError(t, store.Add(t.Context(), r, mode))
	}
	require.NoError(t, store.Close(context.Background()))
	return path
}

// Users whom an earlier imago took under IDs that are not accepted any more: operators
// are told of them, and can remove each.
func TestUsersOfAnEarlierImago(t *testing.T) {
	t.Parallel()
	var old []ports.Record
	for _, id := range outlawed {
		if naming.CheckID(id) == nil && !slices.Contains([]string{"blacklist", "whitelist"}, naming.Reserved(id, "blacklist", "whitelist")) {
			old = append(old, ports.Record{Collection: "users", UserID: id, FaceID: "f", Owner: "gateway"})
		}
	}
	n := len(old)
	old = append(old, ports.Record{Collection: "users", UserID: "fine", FaceID: "f", Owner: "gateway"},
		ports.Record{Collection: "blacklist", UserID: "orphan", FaceID: "f"},
		ports.Record{Collection: "blacklist", UserID: "torn", FaceID: "f", Owner: "a"}, ports.Record{Collection: "blacklist", UserID: "torn", FaceID: "g", Owner: "b"},
		ports.Record{Collection: "whitelist", UserID: "not-shared", FaceID: "f"})
	path := earlier(t, old...)

	s := start(t, "IMAGO_STORE_MEMORY_PATH="+path)
	require.Contains(t, s.log.String(), fmt.Sprintf("%d users have IDs that are not accepted any more", n))
	require.Contains(t, s.log.String(), "2 users of shared lists belong to no client or to several")
	require.NotContains(t, s.log.String(), "orphan", "the log names nobody")
	s.stop()

	env := append(pipelineEnvironment(t), "IMAGO_API_KEY="+apiKey)
	check := finish(t, command(t, path, env, "check"))
	require.Zero(t, check.code, check.out+check.err)
	require.Contains(t, check.out, `"orphan" in blacklist`)
	require.Contains(t, check.out, `"torn" in blacklist`)
	require.Contains(t, check.out, fmt.Sprintf("and %d more", n-5))
	for _, r := range check.out {
		require.True(t, r == '\n' || r >= ' ' && r < 0x7f, "%q is escaped", r)
	}
	for _, r := range old[:n] {
		done(t, path, "unenrol", "--", r.UserID)
	}
	done(t, path, "unenrol", "--collection", "blacklist", "orphan")
	done(t, path, "unenrol", "--collection", "blacklist", "torn")
	require.NotContains(t, finish(t, command(t, path, env, "check")).out, "users of shared lists")
	require.Equal(t, 2, strings.Count(exported(t, path), `"faceId"`), "the others are there")
}

// An import takes nobody whom no request would reach, says whom and why, and can give
// users without an owner to a client.
func TestImportRefusesUsersWhomNobodyReaches(t *testing.T) {
	t.Parallel()
	bad := earlier(t,
		ports.Record{Collection: "users", UserID: "fine", FaceID: "f", Owner: "gateway"},
		ports.Record{Collection: "users", UserID: "Search", FaceID: "f", Owner: "gateway"},
		ports.Record{Collection: "users", UserID: "Jose\u0301", FaceID: "f", Owner: "gateway"},
		ports.Record{Collection: "blacklist", UserID: "mine", FaceID: "f", Owner: "gateway"},
		ports.Record{Collection: "blacklist", UserID: "orphan", FaceID: "f"},
		ports.Record{Collection: "blacklist", UserID: "torn", FaceID: "f", Owner: "a"},
		ports.Record{Collection: "blacklist", UserID: "torn", FaceID: "g", Owner: "b"},
		ports.Record{Collection: "whitelist", UserID: "not-shared", FaceID: "f"})
	file := write(t, exported(t, bad))
	target := database(t, false)
	r := attempt(t, target, "import", file)
	require.Equal(t, 3, r.code, r.err)
	for _, says := range []string{
		`user "Search", face "f": its ID is not accepted: userId "Search" is reserved`,
		`user "Jose\u0301", face "f": its ID is not accepted: userId must be in Unicode normalization form C (NFC)`,
		`user "orphan", face "f": it has a face without an owner`, `user "torn", face "g": its faces have several owners`, "--owner",
	} {
		require.Contains(t, r.err, says)
	}
	require.Equal(t, 3, strings.Count(exported(t, target), `"faceId"`))

	r = attempt(t, target, "import", "--owner", "gateway", file)
	require.Equal(t, 3, r.code, r.err)
	file2 := exported(t, target)
	require.Equal(t, 6, strings.Count(file2, `"faceId"`))
	require.NotContains(t, file2, `"userId":"Search"`)
	require.Contains(t, file2, `"userId":"torn","faceId":"g","owner":"gateway"`)
	r = attempt(t, target, "import", "--owner", "gateway", file)
	require.Equal(t, 3, r.code, r.err)
	require.Equal(t, file2, exported(t, target), "an import can be repeated")
	require.Equal(t, 2, attempt(t, target, "import", "--owner", "", file).code)

	moved := database(t, false)
	r = finish(t, migrateCommand(t, memoryYAML(t, bad), memoryYAML(t, moved)))
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, `userId "Search" is reserved`)
	require.Equal(t, 3, strings.Count(exported(t, moved), `"faceId"`))
}

// What a client of a shared list sees does not depend on other clients' users: neither
// the pages nor their cursors, nor errors, nor numbers.
func TestSharedListsTellNothingOfOthers(t *testing.T) {
	t.Parallel()
	owner, ownerStanza := newKey(t, "owner")
	spy, spyStanza := newKey(t, "spy")
	writer, writerStanza := newKey(t, "writer", "--operations", "enrol")
	keys := filepath.Join(t.TempDir(), "keys.yaml")
	writeKeys(t, keys, "keys:\n"+ownerStanza+spyStanza+writerStanza)
	s := start(t, "IMAGO_AUTH_KEYS_FILE="+keys)
	face, useless := faceJSON(portrait(t)), `{"face":"/9j/4AAQSkZJRg=="}`

	look := func() string {
		all := new(bytes.Buffer)
		ask := func(key, method, path, body string) {
			a := s.withKey(key, method, path, body)
			fmt.Fprintln(all, method, path, a.status, a.body, a.header.Get("X-Imago-Warning"))
		}
		for _, cursor := range []string{"", "a", "b1", "b3", "b3x", "zz"} {
			for _, limit := range []string{"1", "2", "100"} {
				ask(spy, "GET", "/users/blacklist?limit="+limit+"&cursor="+base64.RawURLEncoding.EncodeToString([]byte(cursor)), "")
			}
		}
		ask(spy, "GET", "/calibration/blacklist", "")
		ask(spy, "GET", "/calibration/blacklist?threshold=0", "")
		ask(spy, "GET", "/collections", "")
		for _, id := range []string{"b1", "b3", "c", "zz"} {
			path := "/users/blacklist/" + id
			ask(spy, "GET", path, "")
			ask(spy, "DELETE", path, "")
			for _, key := range []string{spy, writer} {
				ask(key, "PUT", path, face)
				ask(key, "PUT", path, useless)
				ask(key, "POST", path+"/faces", face)
				ask(key, "POST", path+"/faces", useless)
				ask(key, "POST", path, useless)
			}
		}
		return all.String()
	}
	mine := []string{"b2", "m"}
	for _, id := range mine {
		require.Equal(t, http.StatusOK, s.withKey(spy, "POST", "/users/blacklist/"+id, face).status)
	}
	before := look()
	for _, id := range []string{"a", "b1", "b3", "c", "n", "zz"} {
		require.Equal(t, http.StatusOK, s.withKey(owner, "POST", "/users/blacklist/"+id, face).status)
	}
	require.Equal(t, before, look())

	var seen []string
	for cursor, pages := "", 0; ; pages++ {
		require.Less(t, pages, 3)
		page := read[roster](t, s.withKey(spy, "GET", "/users/blacklist?limit=1&cursor="+cursor, ""))
		for _, u := range page.Users {
			seen = append(seen, u.UserID)
		}
		if cursor = page.Cursor; cursor == "" {
			break
		}
		named, err := base64.RawURLEncoding.DecodeString(cursor)
		require.NoError(t, err)
		require.Contains(t, mine, string(named))
	}
	require.Equal(t, mine, seen)
	require.Equal(t, `{"users":[]}`, s.withKey(apiKey, "GET", "/users/blacklist?limit=1", "").body)
	for _, bad := range []string{"%FF", "YQ%0A", "YR", "AA", strings.Repeat("A", 400)} {
		require.Equal(t, http.StatusBadRequest, s.withKey(spy, "GET", "/users/blacklist?cursor="+bad, "").status, bad)
	}
	// Whether a user exists is told to no key that may not read, by a useless picture.
	require.Equal(t, http.StatusOK, s.enrol("there", portrait(t)).status)
	for _, call := range []string{"POST /users/%s", "PUT /users/%s", "POST /users/%s/faces"} {
		method, path, _ := strings.Cut(call, " ")
		there, absent := s.withKey(writer, method, fmt.Sprintf(path, "there"), useless), s.withKey(writer, method, fmt.Sprintf(path, "absent"), useless)
		require.Equal(t, absent.status, there.status, call)
		require.Equal(t, absent.body, there.body, call)
	}
}

// A key with a least threshold cannot ask for those who resemble a face a little.
func TestLeastThreshold(t *testing.T) {
	t.Parallel()
	kiosk, stanza := newKey(t, "kiosk", "--operations", "search", "--min-threshold", "85.5")
	keys := filepath.Join(t.TempDir(), "keys.yaml")
	writeKeys(t, keys, "keys:\n"+stanza)
	s := start(t, "IMAGO_AUTH_KEYS_FILE="+keys)
	require.Equal(t, http.StatusOK, s.enrol("alice", portrait(t)).status)
	for body, want := range map[string]int{`,"threshold":0,"limit":100`: 403, `,"threshold":85.4`: 403, `,"threshold":85.5`: 200, `,"threshold":100`: 404, ``: 200} {
		face := strings.TrimSuffix(faceJSON(portrait(t)), "}") + body + "}"
		a := s.withKey(kiosk, "POST", "/users/search", face)
		require.Equal(t, want, a.status, "%s: %s", body, a.body)
		if want == 403 {
			require.Contains(t, a.problem(t).Errors[0], "is below 85.5, the least that this key may search with")
		}
		require.NotEqual(t, 403, s.must("POST", "/users/search", face).status)
	}
	require.Equal(t, 2, attempt(t, "", "keys", "new", "x", "--min-threshold", "101").code)
	listed := finish(t, command(t, "", []string{"IMAGO_AUTH_KEYS_FILE=" + keys}, "keys", "list"))
	require.Contains(t, listed.out, "search (search from 85.5 %)")
}

// A token that was sealed for one operation or collection is good for no other.
func TestTokensForOnePurpose(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	d.add("door", "ECDH-ES+A256KW")
	s := start(t, "IMAGO_TOKEN_KEYS_FILE="+filepath.Join(d.dir, "keys.json"))
	picture := filepath.Join(t.TempDir(), "face.jpg")
	require.NoError(t, os.WriteFile(picture, portrait(t), 0o600))
	seal := func(args ...string) string {
		return tokenJSON(strings.TrimSpace(output(t, append([]string{"token", "seal", picture, "--jwk", d.jwk("door")}, args...)...)))
	}
	search := seal("--operation", "search", "--collection", "users")
	for _, path := range []string{"/users/alice", "/users/blacklist/search", "/users/blacklist/alice"} {
		a := s.must("POST", path, search)
		require.Equal(t, http.StatusBadRequest, a.status, path)
		require.Equal(t, []string{"provided token is not valid"}, a.problem(t).Errors)
	}
	require.Equal(t, http.StatusOK, s.must("POST", "/users/alice", seal("--operation", "enrol")).status)
	require.Equal(t, http.StatusOK, s.must("POST", "/users/search", search).status)
	require.Equal(t, http.StatusOK, s.must("POST", "/users/search", seal()).status)
	for _, args := range [][]string{{"--operation", "read"}, {"--operation", ""}, {"--collection", ""}, {"--collection", "No"}} {
		r := attempt(t, "", append([]string{"token", "seal", picture, "--jwk", d.jwk("door")}, args...)...)
		require.Equal(t, 2, r.code, "%v: %s", args, r.err)
	}
}
