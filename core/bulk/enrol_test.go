package bulk_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"imago/core/bulk"
	"imago/core/gallery"
	"imago/ports"
)

func TestEnrolsFilesAndFolders(t *testing.T) {
	p := open(t)
	out := enrol(t.Context(), folder(map[string]string{
		"anna.jpg": "a", "bob.PNG": "b", "carl.jpeg": "c",
		"dora/1.jpg": "d1", "dora/2.png": "d2", "dora/10.jpg": "d10",
		"anna/second.jpg": "a2", "carl.png": "c2",
		"a b'c\".jpg": "odd", "日本.jpg": "jp",
		"emil.jfif": "e", "fritz.JPE": "f", "gerd": "g", "john.smith": "j", "john.doe": "jd", "ida.webp": "i", "dora/11": "d11",
	}), p)
	require.NoError(t, out.err)
	require.Empty(t, out.refused)
	require.Equal(t, bulk.Tally{Users: 12, UsersDone: 12, Enrolled: 17}, out.Tally)
	require.Equal(t, map[string]int{"anna": 2, "bob": 1, "carl": 2, "dora": 4, "a b'c\"": 1, "日本": 1,
		"emil": 1, "fritz": 1, "gerd": 1, "john.smith": 1, "john.doe": 1, "ida": 1}, p.users(t, "users"))
	records, err := p.store.Get(t.Context(), ports.UserKey{Collection: "users", UserID: "bob"})
	require.NoError(t, err)
	require.Equal(t, bulk.FaceID([]byte(magic+"b")), records[0].FaceID)
	require.Equal(t, "gateway", records[0].Owner)
}

func TestFaceID(t *testing.T) {
	// SHA-256 of "abc" (FIPS 180-2, appendix B.1) begins with ba7816bf 8f01cfea
	// 414140de 5dae2223 b0.
	require.Equal(t, "XJ4BNP4PAHH6UQKBIDPF3LRCEO", bulk.FaceID([]byte("abc")))
}

// Whatever is not enrolled is told, with the reason.
func TestRefusals(t *testing.T) {
	p := open(t)
	require.NoError(t, p.Enrol(t.Context(), gateway, gallery.Enrolment{Collection: "users", UserID: "known", Picture: []byte("else")}))
	fsys := folder(map[string]string{
		"good.jpg": "g", "bad.jpg": "bad", "README.md": "text", "big.png": strings.Repeat("x", 101), "fits.png": strings.Repeat("x", 100),
		"search.jpg": "reserved", "blacklist.jpg": "reserved", "known.jpg": "k", "noext": "text", "text.jpg": "text", "text.gif": "text", "x/notes.txt": "text", "x/y/1.jpg": "deep",
		"y/1.jpg": "bad 1", "y/2.jpg": "y2", "y/3.jpg": "bad 3",
		".hidden.jpg": "h", ".git/config.jpg": "h", "y/.DS_Store": "h",
		strings.Repeat("l", 257) + ".jpg": "long", "nonutf\xff.jpg": "u",
	})
	fsys["empty"] = &fstest.MapFile{Mode: fs.ModeDir | 0o700}
	fsys["link.jpg"] = &fstest.MapFile{Data: []byte("good.jpg"), Mode: fs.ModeSymlink | 0o700}
	fsys["y/pipe.jpg"] = &fstest.MapFile{Mode: fs.ModeNamedPipe | 0o600}
	out := enrol(t.Context(), fsys, p)
	require.NoError(t, out.err)
	long := strings.Repeat("l", 257)
	require.Equal(t, []string{
		"README.md: : unsupported image format: only JPEG and PNG are supported",
		"bad.jpg: bad: no face; blurred",
		"big.png: big: the file is larger than 102 bytes",
		`blacklist.jpg: blacklist: userId "blacklist" is reserved`,
		"empty: empty: the folder has no picture",
		"known.jpg: known: provided userId already exists",
		"link.jpg: link: symbolic links are not followed",
		long + ".jpg: " + long + ": userId must not be longer than 256 bytes",
		"noext: : unsupported image format: only JPEG and PNG are supported",
		"nonutf\xff.jpg: nonutf\xff: its name is not valid UTF-8",
		`search.jpg: search: userId "search" is reserved`,
		"text.gif: text: unsupported image format: only JPEG and PNG are supported",
		"text.jpg: text: unsupported image format: only JPEG and PNG are supported",
		"x/notes.txt: x: unsupported image format: only JPEG and PNG are supported",
		"x/y: x: folders in a user's folder are not looked into",
		"x: x: the folder has no picture",
		"y/1.jpg: y: no face; blurred",
		"y/3.jpg: y: no face; blurred",
		"y/pipe.jpg: y: not a regular file",
	}, out.refused)
	require.Equal(t, len(out.refused), out.Refused)
	require.Equal(t, 3, out.Enrolled)
	require.Equal(t, map[string]int{"good": 1, "fits": 1, "y": 1, "known": 1}, p.users(t, "users"))
}

// Repeating a run reads the pictures and does no more; what is new in the folder
// is added.
func TestRepeatedRunsAddOnlyWhatIsNew(t *testing.T) {
	p := open(t)
	fsys := folder(map[string]string{"anna.jpg": "a", "bob/1.jpg": "b1", "bob/2.jpg": "b2", "carl.jpg": "bad"})
	require.Equal(t, 3, enrol(t.Context(), fsys, p).Enrolled)
	before := p.extractor.total()
	out := enrol(t.Context(), fsys, p)
	require.NoError(t, out.err)
	require.Equal(t, bulk.Tally{Users: 3, UsersDone: 3, Present: 3, Refused: 1}, out.Tally)
	require.Equal(t, before+1, p.extractor.total(), "only the refused picture is looked at again")

	fsys["bob/0.jpg"] = file("b0")
	fsys["dora.jpg"] = file("d")
	out = enrol(t.Context(), fsys, p)
	require.Equal(t, 2, out.Enrolled)
	require.Equal(t, map[string]int{"anna": 1, "bob": 3, "dora": 1}, p.users(t, "users"))
}

// The same picture twice under one user is one face; under two users it is two.
func TestTheSamePictureTwice(t *testing.T) {
	p := open(t)
	out := enrol(t.Context(), folder(map[string]string{"anna/1.jpg": "a", "anna/2.jpg": "a", "bob.jpg": "a"}), p)
	require.NoError(t, out.err)
	require.Equal(t, bulk.Tally{Users: 2, UsersDone: 2, Enrolled: 2, Present: 1}, out.Tally)
}

// A user who is enrolled with other faces may be somebody else.
func TestExistingUsers(t *testing.T) {
	p := open(t)
	require.NoError(t, p.Enrol(t.Context(), gateway, gallery.Enrolment{Collection: "users", UserID: "anna", Picture: []byte("else")}))
	fsys := folder(map[string]string{"anna.jpg": "a", "anna/2.jpg": "a2"})
	out := enrol(t.Context(), fsys, p)
	require.Equal(t, []string{
		"anna.jpg: anna: provided userId already exists", "anna/2.jpg: anna: provided userId already exists",
	}, out.refused)
	require.Equal(t, 1, p.extractor.total(), "refused without a look at the picture")
	require.Equal(t, map[string]int{"anna": 1}, p.users(t, "users"))

	out = enrol(t.Context(), fsys, p, func(o *bulk.Options) { o.Extend = true })
	require.Empty(t, out.refused)
	require.Equal(t, map[string]int{"anna": 3}, p.users(t, "users"))
}

func TestSharedCollectionsBelongToTheirClients(t *testing.T) {
	p := open(t)
	fsys := folder(map[string]string{"anna.jpg": "a", "bob.jpg": "b"})
	list := func(client string) func(*bulk.Options) {
		return func(o *bulk.Options) { o.Collection, o.Client = "blacklist", ports.Client{Name: client} }
	}
	require.Empty(t, enrol(t.Context(), fsys, p, list("one")).refused)
	require.Len(t, p.users(t, "blacklist"), 2)
	out := enrol(t.Context(), fsys, p, list("two"))
	require.NoError(t, out.err)
	require.Equal(t, []string{
		"anna.jpg: anna: another client enrolled this userId in a shared collection",
		"bob.jpg: bob: another client enrolled this userId in a shared collection",
	}, out.refused)
}

// many returns a folder of users with one to three pictures each.
func many(users int) (fsys fstest.MapFS, pictures int) {
	files := map[string]string{}
	for i := range users {
		for f := range 1 + i%3 {
			files[fmt.Sprintf("user-%03d/%d.jpg", i, f)] = fmt.Sprintf("%d/%d", i, f)
		}
	}
	return folder(files), len(files)
}

// The run is cut off again and again and goes on where it stopped; no picture is
// enrolled twice.
func TestRunGoesOnAfterCancellation(t *testing.T) {
	p := open(t)
	fsys, pictures := many(100)
	enrolled, runs := 0, 0
	for {
		ctx, cancel := context.WithCancel(t.Context())
		out := enrol(ctx, fsys, p, func(o *bulk.Options) {
			o.Progress = func(t bulk.Tally) {
				if t.Enrolled == 30 {
					cancel()
				}
			}
		})
		cancel()
		enrolled += out.Enrolled
		runs++
		require.Empty(t, out.refused)
		if out.err == nil {
			break
		}
		require.ErrorIs(t, out.err, context.Canceled)
	}
	require.Greater(t, runs, 3)
	require.Len(t, p.users(t, "users"), 100)
	total := 0
	for _, faces := range p.users(t, "users") {
		total += faces
	}
	require.Equal(t, pictures, total)
	// A write that was cut off may have taken effect without being counted.
	require.LessOrEqual(t, enrolled, pictures)
}

// lossy is a gallery whose answers get lost now and then.
type lossy struct {
	bulk.Gallery
	every int64
	calls atomic.Int64
}

func (l *lossy) lose(err error) error {
	if l.calls.Add(1)%l.every == 0 {
		return fmt.Errorf("store: %w", ports.ErrUnavailable)
	}
	return err
}

func (l *lossy) User(ctx context.Context, c ports.Client, collection, id string) (gallery.User, error) {
	user, err := l.Gallery.User(ctx, c, collection, id)
	return user, l.lose(err)
}

func (l *lossy) Enrol(ctx context.Context, c ports.Client, e gallery.Enrolment) error {
	return l.lose(l.Gallery.Enrol(ctx, c, e))
}

func (l *lossy) AddFace(ctx context.Context, c ports.Client, e gallery.Enrolment) error {
	return l.lose(l.Gallery.AddFace(ctx, c, e))
}

func TestRunLivesThroughOutages(t *testing.T) {
	for _, every := range []int64{3, 5, 17} {
		p := open(t)
		fsys, pictures := many(60)
		out := enrol(t.Context(), fsys, &lossy{Gallery: p, every: every})
		require.NoError(t, out.err)
		require.Empty(t, out.refused)
		require.Equal(t, bulk.Tally{Users: 60, UsersDone: 60, Enrolled: pictures}, out.Tally)
	}
}

func TestRunStopsWhenTheStoreStaysAway(t *testing.T) {
	p := open(t)
	fsys, _ := many(200)
	l := &lossy{Gallery: p, every: 1}
	out := enrol(t.Context(), fsys, l)
	require.ErrorIs(t, out.err, ports.ErrUnavailable)
	require.ErrorContains(t, out.err, "user-")
	require.LessOrEqual(t, l.calls.Load(), int64(2*4*21), "a worker may be handed one more")
	require.Empty(t, out.refused)
}

func TestRunStopsInAnUnknownCollection(t *testing.T) {
	out := enrol(t.Context(), folder(map[string]string{"anna.jpg": "a"}), open(t), func(o *bulk.Options) { o.Collection = "nope" })
	require.ErrorIs(t, out.err, ports.ErrNotFound)
}

func TestRunStopsWhenTheReportCannotBeWritten(t *testing.T) {
	full := errors.New("disk full")
	fsys, _ := many(50)
	fsys["user-000/x.txt"] = &fstest.MapFile{}
	out := enrol(t.Context(), fsys, open(t), func(o *bulk.Options) {
		o.Refused = func(bulk.Refusal) error { return full }
	})
	require.ErrorIs(t, out.err, full)
	fsys["z.txt"] = &fstest.MapFile{}
	out = enrol(t.Context(), fsys, open(t), func(o *bulk.Options) {
		o.Refused = func(bulk.Refusal) error { return full }
	})
	require.ErrorIs(t, out.err, full)
}

// racing enrols the user behind the run's back.
type racing struct {
	bulk.Gallery
	behind func(gallery.Enrolment)
}

func (r racing) Enrol(ctx context.Context, c ports.Client, e gallery.Enrolment) error {
	r.behind(e)
	return r.Gallery.Enrol(ctx, c, e)
}

func TestAnotherWriter(t *testing.T) {
	for face, refused := range map[string]int{"else": 1, "": 0} {
		p := open(t)
		out := enrol(t.Context(), folder(map[string]string{"anna.jpg": "a"}), racing{p, func(e gallery.Enrolment) {
			if face != "" {
				e.FaceID = face
			}
			require.NoError(t, p.Enrol(t.Context(), gateway, e))
		}})
		require.NoError(t, out.err)
		require.Equal(t, refused, out.Refused)
		require.Equal(t, map[string]int{"anna": 1}, p.users(t, "users"))
	}
}

// denied is a file system in which some files cannot be opened or read.
type denied struct{ fstest.MapFS }

func (d denied) Open(name string) (fs.File, error) {
	if strings.Contains(name, "denied") {
		return nil, &fs.PathError{Op: "open", Path: "/secret/" + name, Err: fs.ErrPermission}
	}
	return d.MapFS.Open(name)
}

func (d denied) ReadDir(name string) ([]fs.DirEntry, error) {
	if strings.Contains(name, "denied") {
		return nil, &fs.PathError{Op: "open", Path: "/secret/" + name, Err: fs.ErrPermission}
	}
	return d.MapFS.ReadDir(name)
}

func TestUnreadableFiles(t *testing.T) {
	p := open(t)
	out := enrol(t.Context(), denied{folder(map[string]string{"anna.jpg": "a", "denied.jpg": "d", "denied dir/1.jpg": "x"})}, p)
	require.NoError(t, out.err)
	require.Equal(t, []string{
		"denied dir: denied dir: cannot be read: permission denied",
		"denied.jpg: denied: cannot be read: permission denied",
	}, out.refused)
	require.Equal(t, 1, out.Enrolled)

	sub, err := fs.Sub(fstest.MapFS{}, "none")
	require.NoError(t, err)
	require.ErrorIs(t, enrol(t.Context(), sub, p).err, fs.ErrNotExist)
}

// growing is a file system whose files are larger than it says.
type growing struct{ fstest.MapFS }

type growingFile struct{ fs.File }

func (f growingFile) Stat() (fs.FileInfo, error) { return nil, fs.ErrInvalid }

func (g growing) Open(name string) (fs.File, error) {
	file, err := g.MapFS.Open(name)
	return growingFile{file}, err
}

func TestSizeIsBoundedByWhatIsRead(t *testing.T) {
	p := open(t)
	out := enrol(t.Context(), growing{folder(map[string]string{"a.jpg": strings.Repeat("x", 101), "b.jpg": strings.Repeat("x", 100)})}, p)
	require.NoError(t, out.err)
	require.Equal(t, []string{"a.jpg: a: the file is larger than 102 bytes"}, out.refused)
	require.Equal(t, map[string]int{"b": 1}, p.users(t, "users"))
}
