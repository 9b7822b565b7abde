package evaluation_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"imago/core/evaluation"
	"imago/core/extraction"
	"imago/core/quality"
	"imago/ports"
)

// magic is what the content of a picture begins with.
const magic = "\xff\xd8"

// tree makes a file system of pictures that hold their paths, and of texts.
func tree(paths ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for _, p := range paths {
		content := magic + p
		if strings.HasSuffix(p, ".txt") {
			content = p
		}
		fsys[p] = &fstest.MapFile{Data: []byte(content)}
	}
	return fsys
}

func paths(pictures []evaluation.Picture) (all []string) {
	for _, p := range pictures {
		all = append(all, p.Path)
	}
	return all
}

func TestFindPeople(t *testing.T) {
	f, err := evaluation.Find(tree("bob/1.png", "amy/2.jpg", "amy/1.JPEG", "amy/3", "amy/4.jfif", "amy/.hidden.png", ".git/x.png",
		"loose.png", "amy/notes.txt", "amy/more/3.png"), evaluation.GroupsAuto)
	require.NoError(t, err)
	require.False(t, f.Grouped)
	require.Equal(t, []evaluation.Picture{
		{Path: "amy/1.JPEG", Person: "amy"}, {Path: "amy/2.jpg", Person: "amy"}, {Path: "amy/3", Person: "amy"}, {Path: "amy/4.jfif", Person: "amy"}, {Path: "bob/1.png", Person: "bob"},
	}, f.Pictures)
	require.Equal(t, []evaluation.Failure{
		{Picture: evaluation.Picture{Path: "amy/more", Person: "amy"}, Kind: evaluation.PassedOver, Reasons: []string{"folders in a person's folder are not looked into"}},
		{Picture: evaluation.Picture{Path: "amy/notes.txt", Person: "amy"}, Kind: evaluation.PassedOver, Reasons: []string{"unsupported image format: only JPEG and PNG are supported"}},
		{Picture: evaluation.Picture{Path: "loose.png"}, Kind: evaluation.PassedOver, Reasons: []string{"does not lie in a person's folder"}},
	}, f.PassedOver)
}

// A link to a folder elsewhere is named, not followed.
func TestFindFollowsNoLinks(t *testing.T) {
	fsys := tree("amy/1.png")
	fsys["bob"] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("amy")}
	f, err := evaluation.Find(fsys, evaluation.GroupsAuto)
	require.NoError(t, err)
	require.Len(t, f.Pictures, 1)
	require.Equal(t, []string{"symbolic links are not followed"}, f.PassedOver[0].Reasons)
}

func TestPairsOfAFolder(t *testing.T) {
	for want, paths := range map[[2]int][]string{
		{0, 0}: {"amy/1.png"}, {0, 1}: {"amy/1.png", "bob/1.png"}, {1, 0}: {"amy/1.png", "amy/2.png"},
		{4, 6}: {"amy/1.png", "amy/2.png", "amy/3.png", "bob/1.png", "bob/2.png"}, {0, 3}: {"x/amy/1.png", "y/amy/1.png", "y/bob/1.png"},
	} {
		f, err := evaluation.Find(tree(paths...), evaluation.GroupsAuto)
		require.NoError(t, err)
		mated, strangers := f.Pairs()
		require.Equal(t, want, [2]int{mated, strangers})
	}
}

func TestFindGroups(t *testing.T) {
	fsys := tree("x/amy/1.png", "y/amy/1.png", "y/bob/1.png", "x/loose.txt")
	f, err := evaluation.Find(fsys, evaluation.GroupsAuto)
	require.NoError(t, err)
	require.True(t, f.Grouped)
	require.Equal(t, []string{"x/amy/1.png", "y/amy/1.png", "y/bob/1.png"}, paths(f.Pictures))
	require.Equal(t, evaluation.Picture{Path: "y/bob/1.png", Group: "y", Person: "bob"}, f.Pictures[2])
	require.Len(t, f.PassedOver, 1)

	f, err = evaluation.Find(fsys, evaluation.GroupsNo)
	require.NoError(t, err)
	require.Empty(t, f.Pictures)
	f, err = evaluation.Find(tree("amy/1.png"), evaluation.GroupsYes)
	require.NoError(t, err)
	require.Empty(t, f.Pictures)

	many := fstest.MapFS{}
	for i := range evaluation.MaxGroups + 1 {
		many[fmt.Sprintf("%d/amy/1.png", i)] = &fstest.MapFile{}
	}
	_, err = evaluation.Find(many, evaluation.GroupsAuto)
	require.ErrorIs(t, err, evaluation.ErrTooManyGroups)
}

type examineFunc func(ctx context.Context, picture []byte, gate quality.Gate) ([]float32, []string, error)

func (f examineFunc) Examine(ctx context.Context, picture []byte, gate quality.Gate) ([]float32, []string, error) {
	return f(ctx, picture, gate)
}

func TestExtract(t *testing.T) {
	fsys := tree("a/1.png", "a/2.png", "a/3.png", "a/4.png", "a/too large.png")
	f, err := evaluation.Find(fsys, evaluation.GroupsAuto)
	require.NoError(t, err)
	examine := func(_ context.Context, picture []byte, gate quality.Gate) ([]float32, []string, error) {
		if gate.MinFaceWidth != 7 {
			return nil, nil, errors.New("another gate")
		}
		switch strings.TrimPrefix(string(picture), magic) {
		case "a/2.png":
			return nil, nil, ports.Refuse(ports.ErrInvalid, extraction.ReasonNoFace)
		case "a/3.png":
			return nil, nil, ports.Refuse(ports.ErrInvalid, "damaged")
		case "a/4.png":
			return []float32{4}, []string{quality.ReasonBlurred}, nil
		}
		return []float32{1}, nil, nil
	}
	var done []int
	o := evaluation.Options{Workers: 3, ImageBytes: len(magic) + 10, Gate: quality.Gate{MinFaceWidth: 7}, Progress: func(n int) { done = append(done, n) }}
	templates, failures, err := evaluation.Extract(t.Context(), fsys, f.Pictures, examineFunc(examine), o)
	require.NoError(t, err)
	require.Equal(t, []int{1, 2, 3, 4, 5}, done)
	require.Len(t, templates, 2)
	require.Equal(t, "a/1.png", templates[0].Path)
	require.Equal(t, []float32{4}, templates[1].Vector, "what the gate refuses is evaluated")
	var kinds []string
	for _, f := range failures {
		kinds = append(kinds, fmt.Sprint(f.Path, ": ", f.Kind, ": ", f.Reasons[0]))
	}
	require.Equal(t, []string{
		"a/2.png: no face: " + extraction.ReasonNoFace, "a/3.png: unusable: damaged", "a/4.png: refused: " + quality.ReasonBlurred,
		"a/too large.png: unusable: the file is larger than 12 bytes",
	}, kinds)
}

func TestExtractEndsWhereTheExaminerFails(t *testing.T) {
	broken := errors.New("broken")
	examine := examineFunc(func(context.Context, []byte, quality.Gate) ([]float32, []string, error) { return nil, nil, broken })
	fsys := fstest.MapFS{}
	for i := range 100 {
		fsys[fmt.Sprintf("a/%03d.png", i)] = &fstest.MapFile{Data: []byte(magic)}
	}
	f, err := evaluation.Find(fsys, evaluation.GroupsAuto)
	require.NoError(t, err)
	_, _, err = evaluation.Extract(t.Context(), fsys, f.Pictures, examine, evaluation.Options{Workers: 2, ImageBytes: 9})
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "a/0")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = evaluation.Extract(ctx, fsys, f.Pictures, examine, evaluation.Options{Workers: 2, ImageBytes: 9})
	require.ErrorIs(t, err, context.Canceled)
}

// A folder that cannot be read is not passed over.
func TestFindFails(t *testing.T) {
	_, err := evaluation.Find(unreadable{tree("a/1.png", "b/1.png")}, evaluation.GroupsNo)
	require.ErrorIs(t, err, fs.ErrPermission)
}

type unreadable struct{ fstest.MapFS }

func (u unreadable) ReadDir(name string) ([]fs.DirEntry, error) {
	if slices.Contains([]string{"b"}, name) {
		return nil, fs.ErrPermission
	}
	return u.MapFS.ReadDir(name)
}
