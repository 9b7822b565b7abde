package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// pipelineEnvironment lets a command find the networks.
func pipelineEnvironment(t testing.TB) []string {
	t.Helper()
	return []string{"IMAGO_MODELS_DIR=" + fixture.Models(t), "IMAGO_ONNXRUNTIME_LIB=" + fixture.ONNXRuntime(t)}
}

func enrolDir(t testing.TB, path, dir string, args ...string) result {
	t.Helper()
	return finish(t, command(t, path, pipelineEnvironment(t), append([]string{"enroll", dir}, args...)...))
}

var castNames = []string{"amy", "bernadette", "howard", "leonard", "penny", "raj", "sheldon", "stuart"}

// castFolder makes a folder with a folder of pictures for each of the cast:
// those with the given numbers.
func castFolder(t testing.TB, numbers ...int) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range castNames {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		for _, n := range numbers {
			picture(t, filepath.Join(dir, name, fmt.Sprintf("%d.png", n)), "cast", fmt.Sprintf("%s%d.png", name, n))
		}
	}
	return dir
}

// folderOf makes a folder with copies of portraits.
func folderOf(t testing.TB, portraits map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, name := range portraits {
		path = filepath.Join(dir, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, fixture.ReadPortrait(t, name), 0o600))
	}
	return dir
}

// presidents makes a folder of two people in four pictures.
func presidents(t testing.TB) string {
	t.Helper()
	return folderOf(t, map[string]string{
		"obama/1.jpg": "obama.jpg", "obama/2.jpg": "obama2.jpg", "obama/3.jpg": "obama3.jpg", "biden/1.jpg": "biden.jpg",
	})
}

// picture copies one of the labelled pictures, into a new folder where need be.
func picture(t testing.TB, path string, elem ...string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, fixture.Read(t, elem...), 0o600))
}

// enrolledFaces returns user/face of all faces of a store.
func enrolledFaces(t testing.TB, path string) []string {
	t.Helper()
	var faces []string
	for line := range strings.Lines(exported(t, path)) {
		var face struct{ UserID, FaceID string }
		require.NoError(t, json.Unmarshal([]byte(line), &face))
		if face.UserID != "" {
			faces = append(faces, face.UserID+"/"+face.FaceID)
		}
	}
	return faces
}

type refusal struct{ Path, UserID, Reason string }

func refusals(t testing.TB, path string) []refusal {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	var all []refusal
	for line := range strings.Lines(string(content)) {
		var r refusal
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b refusal) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// What was enrolled from a folder is what the API finds.
func TestEnrolFolder(t *testing.T) {
	t.Parallel()
	path, dir := database(t, false), presidents(t)
	r := enrolDir(t, path, dir)
	require.Zero(t, r.code, r.err)
	require.Equal(t, "users: users 2: 4 enrolled, 0 there already, 0 refused\n", r.out)
	again := enrolDir(t, path, dir)
	require.Zero(t, again.code, again.err)
	require.Equal(t, "users: users 2: 0 enrolled, 4 there already, 0 refused\n", again.out)
	require.Len(t, enrolledFaces(t, path), 4)

	s := start(t, "IMAGO_STORE_MEMORY_PATH="+path)
	for name, want := range map[string]string{"obama_partial_face.jpg": "obama", "32bit.png": "obama", "biden.jpg": "biden"} {
		found := s.search(fixture.ReadPortrait(t, name)).matches(t)
		require.Len(t, found, 1, name)
		require.Equal(t, want, found[0].UserID)
	}
}

// The run is killed again and again. Each goes on where the one before was, and
// in the end every picture is enrolled once, under the same face ID as in a run
// that nobody disturbed.
func TestKilledEnrolGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name string, content []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	for i := range 40 {
		put(fmt.Sprintf("person-%02d.jpg", i), portrait(t))
	}
	put("landscape.jpg", fixture.Landscape(t))
	put("pair.jpg", fixture.Pair(t))
	put("notes.txt", nil)
	undisturbed, path := database(t, false), database(t, false)
	require.Equal(t, 3, enrolDir(t, undisturbed, dir).code)
	want := enrolledFaces(t, undisturbed)
	require.Len(t, want, 40)

	kills, had := 0, 0
	for {
		cmd := command(t, path, pipelineEnvironment(t), "enroll", dir)
		// A face takes about two pages of the log.
		if killed := killWhenGrown(t, cmd, path+"-wal", 64<<10); !killed {
			break
		}
		kills++
		faces := enrolledFaces(t, path)
		require.GreaterOrEqual(t, len(faces), had, "nothing is lost")
		require.Subset(t, want, append(faces, want[0]))
		had = len(faces)
	}
	t.Logf("%d kills, %d faces at the last", kills, had)
	require.Positive(t, kills)
	require.Equal(t, want, enrolledFaces(t, path))
	require.Equal(t, "users: users 42: 0 enrolled, 40 there already, 3 refused\n", enrolDir(t, path, dir).out)
}

// Every file that is not enrolled is in the report with its reason.
func TestEnrolReportsRefusals(t *testing.T) {
	t.Parallel()
	path, report := database(t, false), filepath.Join(t.TempDir(), "refusals.jsonl")
	dir := folderOf(t, map[string]string{"obama.jpg": "obama.jpg", "biden.jpg": "biden.jpg"})
	for name, content := range map[string]string{
		"corrupted.png": "\x89PNG\r\n\x1a\n\x00" + string(fixture.ReadPortrait(t, "32bit.png")[8:]), "truncated.jpg": string(fixture.Truncated(t)),
		"drawing.bmp": "BM", "drawing.gif": "GIF89a", "drawing.webp": "RIFF", "empty.png": "test\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	r := enrolDir(t, path, dir, "--report", report)
	require.Equal(t, 3, r.code, r.err)
	require.Equal(t, "users: users 4: 2 enrolled, 0 there already, 6 refused\n", r.out)
	require.Contains(t, r.err, "6 files were refused; the reasons are in "+report)
	require.Contains(t, r.err, `refused: "truncated.jpg": the provided image is damaged or incomplete`)
	const noPicture = "unsupported image format: only JPEG and PNG are supported"
	require.Equal(t, []refusal{
		{"corrupted.png", "corrupted", "the provided image is damaged or incomplete"},
		{"drawing.bmp", "drawing", noPicture}, {"drawing.gif", "drawing", noPicture}, {"drawing.webp", "drawing", noPicture},
		{"empty.png", "empty", noPicture},
		{"truncated.jpg", "truncated", "the provided image is damaged or incomplete"},
	}, refusals(t, report))
	info, err := os.Stat(report)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

// A picture is one whatever its file is called, and only a picture is.
func TestEnrolChecksFilesByContent(t *testing.T) {
	t.Parallel()
	path, dir, report := database(t, false), t.TempDir(), filepath.Join(t.TempDir(), "refusals.jsonl")
	face := portrait(t)
	for name, content := range map[string][]byte{
		"a.jfif": face, "b.jpe": face, "c.png": face, "d": face, "john.smith": face, "john.doe": face, "e/1": face, "e/2.JPEG": face[:len(face)-2],
		"notes.txt": []byte("text"), "f.jpg": []byte("GIF89a"), "e/3.png": nil,
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	r := enrolDir(t, path, dir, "--report", report)
	require.Equal(t, 3, r.code, r.err)
	require.Equal(t, "users: users 7: 8 enrolled, 0 there already, 3 refused\n", r.out)
	require.Equal(t, []refusal{
		{"e/3.png", "e", "the provided image is empty"},
		{"f.jpg", "f", "unsupported image format: only JPEG and PNG are supported"},
		{"notes.txt", "", "unsupported image format: only JPEG and PNG are supported"},
	}, refusals(t, report))
	require.Contains(t, r.err, `refused: "notes.txt": unsupported image format`)
	s := start(t, "IMAGO_STORE_MEMORY_PATH="+path)
	var ids []string
	for _, m := range s.search(face).matches(t) {
		ids = append(ids, m.UserID)
	}
	require.Equal(t, []string{"a", "b", "c", "d", "e", "john.doe", "john.smith"}, ids)
}

// A user who came by another way is left alone unless told otherwise, and a
// shared list belongs to the client that is named.
func TestEnrolUsersWhoAreThere(t *testing.T) {
	t.Parallel()
	path, report := database(t, false), filepath.Join(t.TempDir(), "refusals.jsonl")
	require.Zero(t, enrolDir(t, path, folderOf(t, map[string]string{"obama/1.jpg": "obama.jpg"})).code)
	dir := folderOf(t, map[string]string{"obama/2.jpg": "obama2.jpg", "obama/3.jpg": "obama3.jpg"})
	r := enrolDir(t, path, dir, "--report", report)
	require.Equal(t, 3, r.code)
	require.Len(t, refusals(t, report), 2)
	require.Equal(t, refusal{"obama/2.jpg", "obama", "provided userId already exists"}, refusals(t, report)[0])
	require.Len(t, enrolledFaces(t, path), 1)
	added := enrolDir(t, path, dir, "--add", "--report", report)
	require.Zero(t, added.code, added.err)
	require.Empty(t, refusals(t, report))
	require.Len(t, enrolledFaces(t, path), 3)

	require.Equal(t, 2, enrolDir(t, path, dir, "--collection", "blacklist").code)
	require.Zero(t, enrolDir(t, path, dir, "--collection", "blacklist", "--client", "kiosk").code)
	s := start(t, "IMAGO_STORE_MEMORY_PATH="+path)
	found := s.must("POST", "/users/blacklist/search", faceJSON(fixture.ReadPortrait(t, "obama2.jpg"))).matches(t)
	require.Empty(t, found[0].UserID, "kiosk's, and nobody else is told")
}

func TestEnrolSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	path, dir := database(t, false), t.TempDir()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"enroll", filepath.Join(dir, "none")}, 2, "none"},
		{[]string{"enroll"}, 2, "arg"},
		{[]string{"enroll", dir, "--collection", "vip"}, 2, `"vip"`},
		{[]string{"enroll", dir, "--collection", "blacklist"}, 2, "--client is required"},
		{[]string{"enroll", dir, "--report", filepath.Join(dir, "none", "x")}, 2, "none"},
	} {
		r := finish(t, command(t, path, pipelineEnvironment(t), c.args...))
		require.Equal(t, c.code, r.code, "%v: %s", c.args, r.err)
		require.Contains(t, r.err, c.says)
		require.Equal(t, 1, strings.Count(r.err, "\n"), "one line:\n%s", r.err)
	}
	r := finish(t, command(t, path, []string{"IMAGO_MODELS_DIR=" + dir}, "enroll", dir))
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "models pull")
}
