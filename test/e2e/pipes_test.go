package e2e

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/test/fixture"
)

// pipe makes a pipe that nobody writes to or reads from: whoever opens it in the
// ordinary way waits forever.
func pipe(t testing.TB, elem ...string) string {
	t.Helper()
	if len(elem) == 0 {
		elem = []string{t.TempDir(), "pipe"}
	}
	path := filepath.Join(elem...)
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	return path
}

// modelsWithPipes is a folder of models in which all that the configuration uses are
// pipes: the manifests, or the networks.
func modelsWithPipes(t *testing.T, networks bool) string {
	t.Helper()
	dir, models := t.TempDir(), config.Default().Models
	for _, name := range []string{models.Detector, models.Embedder} {
		if !networks {
			pipe(t, dir, name+".yaml")
			continue
		}
		manifest, err := config.LoadManifest(config.BuiltinModels, name)
		require.NoError(t, err)
		pipe(t, dir, manifest.File)
	}
	return dir
}

// A pipe in the place of any file that imago is told to use is refused, at the start
// and by every command, in a sentence and without waiting for its other side.
func TestPipesAreNoFiles(t *testing.T) {
	t.Parallel()
	d, dir, a := newDevice(t), t.TempDir(), fixture.NewAuthority(t, "test authority")
	d.add("first", "A256KW")
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, a, dir, "server")
	besideStore := func(suffix string) string {
		path := filepath.Join(t.TempDir(), "imago.db")
		pipe(t, path+suffix)
		return path
	}
	picture := filepath.Join(dir, "face.jpg")
	require.NoError(t, os.WriteFile(picture, portrait(t), 0o600))
	charts := t.TempDir()
	pipe(t, charts, "evaluation.json")
	tls := []string{"IMAGO_SERVER_TLS_CERT_FILE=" + cert, "IMAGO_SERVER_TLS_KEY_FILE=" + key}
	for name, c := range map[string]struct {
		env  []string
		args string
	}{
		"configuration":         {nil, "serve --config " + pipe(t)},
		"keys":                  {[]string{"IMAGO_AUTH_KEYS_FILE=" + pipe(t)}, "serve"},
		"token keys":            {[]string{"IMAGO_TOKEN_KEYS_FILE=" + pipe(t)}, "serve"},
		"certificate":           {[]string{tls[1], "IMAGO_SERVER_TLS_CERT_FILE=" + pipe(t)}, "serve"},
		"its key":               {[]string{tls[0], "IMAGO_SERVER_TLS_KEY_FILE=" + pipe(t)}, "serve"},
		"authorities":           {append(tls, "IMAGO_SERVER_TLS_CLIENT_AUTH=require", "IMAGO_SERVER_TLS_CLIENT_CA_FILE="+pipe(t)), "serve"},
		"audit log":             {[]string{"IMAGO_AUDIT_PATH=" + pipe(t)}, "serve"},
		"store":                 {[]string{"IMAGO_STORE_MEMORY_PATH=" + pipe(t)}, "serve"},
		"commits of the store":  {[]string{"IMAGO_STORE_MEMORY_PATH=" + besideStore(".commits")}, "serve"},
		"encryption keys":       {[]string{"IMAGO_STORE_MEMORY_PATH=" + database(t, false), "IMAGO_STORE_MEMORY_ENCRYPTION_KEY_FILE=" + pipe(t)}, "serve"},
		"authorities of Milvus": {[]string{"IMAGO_STORE_DRIVER=milvus", "IMAGO_STORE_MILVUS_ADDRESS=127.0.0.1:1", "IMAGO_STORE_MILVUS_TLS=true", "IMAGO_STORE_MILVUS_CA_FILE=" + pipe(t)}, "serve"},
		"manifests":             {[]string{"IMAGO_MODELS_DIR=" + modelsWithPipes(t, false)}, "serve"},
		"networks":              {[]string{"IMAGO_MODELS_DIR=" + modelsWithPipes(t, true)}, "serve"},
		"ONNX Runtime":          {[]string{"IMAGO_ONNXRUNTIME_LIB=" + pipe(t)}, "serve"},

		"check a store":          {[]string{"IMAGO_STORE_MEMORY_PATH=" + pipe(t)}, "check"},
		"check keys":             {[]string{"IMAGO_AUTH_KEYS_FILE=" + pipe(t)}, "check"},
		"check manifests":        {[]string{"IMAGO_MODELS_DIR=" + modelsWithPipes(t, false)}, "check"},
		"list models":            {[]string{"IMAGO_MODELS_DIR=" + pipe(t)}, "models list"},
		"verify networks":        {[]string{"IMAGO_MODELS_DIR=" + modelsWithPipes(t, true)}, "models verify"},
		"list keys":              {[]string{"IMAGO_AUTH_KEYS_FILE=" + pipe(t)}, "keys list"},
		"healthcheck":            {nil, "healthcheck --config " + pipe(t)},
		"import":                 {nil, "import " + pipe(t)},
		"export":                 {[]string{"IMAGO_STORE_MEMORY_PATH=" + database(t, true)}, "export " + pipe(t)},
		"enrol a folder":         {nil, "enroll " + pipe(t)},
		"report":                 {nil, "enroll --report " + pipe(t) + " " + dir},
		"evaluate":               {nil, "evaluate " + pipe(t)},
		"evaluation":             {nil, "evaluate --out " + charts + " " + evaluable(t)},
		"migrate from":           {nil, "migrate --from " + pipe(t) + " --to " + memoryYAML(t, database(t, false))},
		"migrate to":             {nil, "migrate --from " + memoryYAML(t, database(t, true)) + " --to " + pipe(t)},
		"seal a picture":         {nil, "token seal --jwk " + d.jwk("first") + " " + pipe(t)},
		"seal with a key":        {nil, "token seal --jwk " + pipe(t) + " " + picture},
		"add a token key":        {nil, "token keygen " + pipe(t)},
		"key for a device":       {nil, "token keygen --device " + pipe(t) + " " + filepath.Join(t.TempDir(), "keys.json")},
		"bench with a key":       {nil, "bench --key-file " + pipe(t)},
		"bench with authorities": {nil, "bench --url https://127.0.0.1:1 --ca-file " + pipe(t)},
		"bench with pictures":    {nil, "bench --pictures " + pipe(t)},
	} {
		t.Run(name, func(t *testing.T) {
			path := imago(t)
			ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
			defer cancel()
			cmd := exec.CommandContext(ctx, path, strings.Fields(c.args)...)
			cmd.Dir = t.TempDir()
			cmd.Env = append(append([]string{
				"PATH=" + os.Getenv("PATH"), "IMAGO_API_KEY=" + apiKey, "IMAGO_SERVER_LISTEN=127.0.0.1:0", "IMAGO_STORE_MEMORY_PATH=" + database(t, false),
			}, pipelineEnvironment(t)...), c.env...)
			out, err := cmd.CombinedOutput()
			require.NoError(t, ctx.Err(), "it waits for the other side of the pipe:\n%s", out)
			require.Error(t, err, "%s", out)
			require.NotContains(t, string(out), "panic")
			require.NotEmpty(t, out)
		})
	}
}

// evaluable is a folder that imago evaluate makes charts of.
func evaluable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, person := range []string{"one", "two"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, person), 0o700))
		for _, name := range []string{"a.jpg", "b.jpg"} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, person, name), append(portrait(t), person+name...), 0o600))
		}
	}
	return dir
}

// Whatever becomes a pipe while imago runs, reloads of the rest go on and a stop is
// a stop.
func TestPipesWhileImagoRuns(t *testing.T) {
	t.Parallel()
	key, stanza := newKey(t, "steady")
	d, a, dir := newDevice(t), fixture.NewAuthority(t, "test authority"), t.TempDir()
	d.add("first", "A256KW")
	keys, audit := filepath.Join(dir, "keys.yaml"), filepath.Join(dir, "audit.log")
	writeKeys(t, keys, "keys:\n"+stanza)
	s := startTLS(t, a, dir, nil, "IMAGO_AUTH_KEYS_FILE="+keys, "IMAGO_TOKEN_KEYS_FILE="+d.keys, "IMAGO_AUDIT_PATH="+audit)
	for path, metric := range map[string]string{
		keys: "imago_key_reloads_total", d.keys: "imago_token_reloads_total", filepath.Join(dir, "key.pem"): "imago_tls_reloads_total", audit: "",
	} {
		require.NoError(t, os.Remove(path))
		pipe(t, path)
		s.hup()
		if metric != "" {
			require.Positive(t, s.counted(metric+`{result="error"}`), path)
		}
		require.Equal(t, http.StatusOK, s.mustAs(key, "GET", "/users").status)
	}
	s.stop() // fails the test where it takes too long
	require.True(t, s.cmd.ProcessState.Success(), "%s", s.log)
}
