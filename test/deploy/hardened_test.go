package deploy

import (
	"debug/elf"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// What `make build` makes, for the image and for everybody, is position-independent,
// binds its functions at the start, lets no memory be written and executed, and
// guards the stack of its C code and what that copies.
func TestTheBinaryIsHardened(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "make", "--no-print-directory", "build", "VERSION=v1.2.3", "BIN="+dir, "IMAGO_ONNXRUNTIME_LIB="+fixture.ONNXRuntime(t))
	cmd.Dir = fixture.Root(t)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.CommandContext(t.Context(), filepath.Join(dir, "imago"), "version").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "v1.2.3", "the version that the image is built with")
	binary, err := elf.Open(filepath.Join(dir, "imago"))
	require.NoError(t, err)
	defer binary.Close()

	require.Equal(t, elf.ET_DYN, binary.Type, "position-independent")
	flags, err := binary.DynValue(elf.DT_FLAGS)
	require.NoError(t, err)
	flags1, err := binary.DynValue(elf.DT_FLAGS_1)
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(flags, func(f uint64) bool { return elf.DynFlag(f)&elf.DF_BIND_NOW != 0 }) ||
		slices.ContainsFunc(flags1, func(f uint64) bool { return elf.DynFlag1(f)&elf.DF_1_NOW != 0 }), "bound at the start")
	require.True(t, slices.ContainsFunc(flags1, func(f uint64) bool { return elf.DynFlag1(f)&elf.DF_1_PIE != 0 }), "an executable")

	segments := map[elf.ProgType]elf.ProgFlag{}
	for _, p := range binary.Progs {
		segments[p.Type] = p.Flags
		require.False(t, p.Type == elf.PT_LOAD && p.Flags&(elf.PF_W|elf.PF_X) == elf.PF_W|elf.PF_X, "writable code")
	}
	require.Contains(t, segments, elf.PT_GNU_RELRO)
	require.Contains(t, segments, elf.PT_GNU_STACK)
	require.Zero(t, segments[elf.PT_GNU_STACK]&elf.PF_X, "an executable stack")

	symbols, err := binary.ImportedSymbols()
	require.NoError(t, err)
	imported := func(name string) bool {
		return slices.ContainsFunc(symbols, func(s elf.ImportedSymbol) bool { return s.Name == name })
	}
	require.True(t, imported("__stack_chk_fail"), "guarded stacks")
	require.True(t, imported("__memcpy_chk"), "checked copies")
}
