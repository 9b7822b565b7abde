package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// pathsFile sets every path to the same one.
const pathsFile = `server: {tls: {cert_file: P, key_file: P, client_ca_file: P, client_auth: require}}
auth: {keys_file: P}
token: {keys_file: P}
models: {dir: P}
inference: {library: P}
store: {memory: {path: P, encryption: {key_file: P}}, milvus: {ca_file: P}}
audit: {path: P}
chips: {key_file: P}
`

func pathsFileWith(t *testing.T, value string) string {
	t.Helper()
	return write(t, regexp.MustCompile(`\bP\b`).ReplaceAllString(pathsFile, value))
}

// Whatever setting ends like a path is one, and the file above has it.
func TestEveryPathIsConfigured(t *testing.T) {
	known := configuredPaths(new(Config))
	for path := range paths(reflect.ValueOf(Config{})) {
		if regexp.MustCompile(`(_file|path|dir|library)$`).MatchString(path) {
			require.Contains(t, known, path)
		}
	}
	cfg, err := Load(pathsFileWith(t, "/x/y"), nil)
	require.NoError(t, err)
	for path, value := range configuredPaths(&cfg) {
		require.Equal(t, "/x/y", *value, path)
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	t.Chdir(t.TempDir())
	file := pathsFileWith(t, "sub/x")
	cfg, err := Load(file, nil)
	require.NoError(t, err)
	for path, value := range configuredPaths(&cfg) {
		require.Equal(t, filepath.Join(filepath.Dir(file), "sub/x"), *value, path)
	}
	cfg, err = Load(file, []string{"IMAGO_STORE_MEMORY_PATH=mine.db"})
	require.NoError(t, err)
	require.Equal(t, "mine.db", cfg.Store.Memory.Path, "relative to the working directory")
	cfg, err = Load(write(t, "audit: {path: '-'}\ninference: {library: libonnxruntime.so}\n"), nil)
	require.NoError(t, err)
	require.Equal(t, "-", cfg.Audit.Path)
	require.Equal(t, "libonnxruntime.so", cfg.Inference.Library)
	require.Equal(t, Default().Store, cfg.Store, "defaults too")
	require.Equal(t, Default().Models, cfg.Models)

	relative, err := filepath.Rel(must(os.Getwd()), file)
	require.NoError(t, err)
	cfg, err = Load(relative, nil)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(filepath.Dir(relative), "sub/x"), cfg.Auth.KeysFile)
}

// Who relied on the working directory is told so, and no empty store is opened.
func TestPathsThatTheWorkingDirectoryHas(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("here", nil, 0o600))
	file := pathsFileWith(t, "./here")
	_, err := Load(file, nil)
	all := problems(t, err)
	require.Len(t, all, len(configuredPaths(new(Config))))
	for _, problem := range all {
		require.Regexp(t, `^[a-z_.]+: is relative to the configuration file, where there is nothing, but the working directory has it: .* \(line \d\)$`, problem)
	}
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(file), "here"), nil, 0o600))
	_, err = Load(file, nil)
	require.NoError(t, err, "the one beside the file is meant")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
