package config

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// seeds adds what files hold.
func seeds(f *testing.F, add func(text []byte), patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		require.NoError(f, err)
		require.NotEmpty(f, paths, pattern)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			require.NoError(f, err)
			add(text)
		}
	}
}

// FuzzLoad: a file and a variable are refused in sound lines or give settings
// that are valid, finite and the same every time; and a variable that was heeded
// beats the file.
func FuzzLoad(f *testing.F) {
	variables := []string{
		"IMAGO_INFERENCE_DETECT_SIZES=160,640", "IMAGO_SEARCH_THRESHOLD=1e2", "IMAGO_SERVER_TIMEOUTS_BODY=1h", "IMAGO_SERVER_TRUSTED_PROXIES=10.0.0.0/8, unix",
		"IMAGO_PORT=tcp://10.0.0.1:80", "IMAGO_SERVER_LISTEN=unix:///tmp/x", "IMAGO_SEARCH_TRESHOLD=1", "PATH=/bin", "IMAGO_STORE_MEMORY_ENCRYPTION_KEY=x", "",
	}
	n := 0
	seeds(f, func(text []byte) {
		f.Add(text, variables[n%len(variables)])
		n++
	}, "*.yaml", "testdata/*.yaml")
	path := filepath.Join(f.TempDir(), "fuzzed.yaml")
	f.Fuzz(func(t *testing.T, text []byte, variable string) {
		require.NoError(t, os.WriteFile(path, text, 0o600))
		cfg, err := Load(path, []string{variable})
		again, errAgain := Load(path, []string{variable})
		require.Equal(t, cfg, again)
		require.Equal(t, err, errAgain)
		if err != nil {
			require.Zero(t, cfg)
			requireLines(t, err)
			return
		}
		require.Empty(t, cfg.violations(), "what was loaded is valid")
		requireFinite(t, reflect.ValueOf(cfg))
		if without, err := Load("", []string{variable}); err == nil {
			requireOverridden(t, cfg, without, variable)
		}
	})
}

// requireOverridden checks that the setting of a variable is what the variable
// alone makes it.
func requireOverridden(t *testing.T, cfg, without Config, variable string) {
	all, alone := map[string]setting{}, map[string]setting{}
	collectSettings(all, reflect.ValueOf(&cfg).Elem(), "")
	collectSettings(alone, reflect.ValueOf(&without).Elem(), "")
	name, _, _ := strings.Cut(variable, "=")
	if s, known := all[name]; known {
		require.Equal(t, alone[name].value.Interface(), s.value.Interface())
	}
}

// requireFinite checks that every number is one.
func requireFinite(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Float64:
		require.False(t, math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0))
	case reflect.Struct:
		if !isSection(v.Type()) {
			return
		}
		for i := range v.NumField() {
			requireFinite(t, v.Field(i))
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			requireFinite(t, v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			requireFinite(t, v.Elem())
		}
	}
}

// FuzzManifest: a manifest is refused in sound lines or describes a network that
// can be run, and says the same when it is written down and read again.
func FuzzManifest(f *testing.F) {
	named := regexp.MustCompile(`(?m)^name: .*$`)
	seeds(f, func(text []byte) {
		f.Add(text)
		f.Add(named.ReplaceAll(text, []byte("name: fuzzed")))
	}, "models/*.yaml", "testdata/manifests/*.yaml")
	read := func(text []byte) (Manifest, error) {
		return LoadManifest(fstest.MapFS{"fuzzed.yaml": {Data: text}}, "fuzzed")
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := read(text)
		if err != nil {
			require.Zero(t, m)
			requireLines(t, err)
			return
		}
		requireRunnable(t, m)
		written, err := yaml.Marshal(m)
		require.NoError(t, err)
		again, err := read(written)
		require.NoError(t, err, "%s", written)
		require.Equal(t, canonical(m), canonical(again))
	})
}

// requireRunnable checks what the inference relies on, without the rules.
func requireRunnable(t *testing.T, m Manifest) {
	r := newReport()
	r.validate(&m)
	m.check(r)
	require.Empty(t, r.problems)
	require.Equal(t, "fuzzed", m.Name)
	require.Equal(t, filepath.Base(m.File), m.File, "no path leads out of the folder")
	require.NotContains(t, []string{".", "..", ""}, m.File)
	requireFinite(t, reflect.ValueOf(m))
	for _, std := range m.Input.Std {
		require.Positive(t, std)
	}
	require.True(t, m.Input.Size > 0 || m.Input.Stride > 0, "a size can be chosen")
	if m.Kind == KindEmbedder {
		require.Equal(t, 112, m.Input.Size)
		require.Positive(t, m.Output.Dimension)
		require.NotNil(t, m.Calibration)
		require.Positive(t, m.Calibration.Steepness)
	}
}

// canonical is a manifest without the difference between a list that is empty
// and one that is not there.
func canonical(m Manifest) Manifest {
	if m.Calibration != nil && len(m.Calibration.FMR) == 0 {
		c := *m.Calibration
		c.FMR, m.Calibration = nil, &c
	}
	return m
}

// FuzzKeys: a file of API keys is refused in sound lines, or each hash leads to
// one client and each client has one hash; it says the same when it is written
// down and read again.
func FuzzKeys(f *testing.F) {
	seeds(f, func(text []byte) { f.Add(text) }, "testdata/keys/*.yaml")
	f.Add([]byte("keys: [{name: a, expires: 2030-01-31T00:00:00Z}]"))
	f.Add([]byte("keys:\n- {name: a, sha256: " + strings.Repeat("0f", 32) + ", operations: [read], collections: [users, vip], expires: 2030-01-31T00:00:00Z, rate: 0.5, burst: 3}\n" +
		"- {name: b, sha256: " + strings.Repeat("f0", 32) + ", operations: [all], collections: [all]}\n"))
	f.Add([]byte("keys:\n- name: a\n  sha256:\n  - " + strings.Repeat("0f", 32) + "\n  - {hash: " + strings.Repeat("f0", 32) + ", expires: 2030-01-31T00:00:00Z}\n  collections: [all]\n  operations: [all]\n"))
	path := filepath.Join(f.TempDir(), "keys.yaml")
	read := func(t *testing.T, text []byte) (Keys, error) {
		require.NoError(t, os.WriteFile(path, text, 0o600))
		return LoadKeys(path)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := read(t, text)
		if err != nil {
			require.Zero(t, keys)
			requireLines(t, err)
			return
		}
		owners, hashes := map[string]bool{}, map[string]bool{}
		for _, k := range keys.Keys {
			require.NoError(t, k.Check())
			require.NotEmpty(t, k.SHA256)
			for _, h := range k.SHA256 {
				require.Regexp(t, `^[0-9a-f]{64}$`, h.Hash)
				require.False(t, owners[k.Name] || hashes[h.Hash])
				hashes[h.Hash] = true
			}
			owners[k.Name] = true
		}
		requireFinite(t, reflect.ValueOf(keys))
		written, err := yaml.Marshal(keys)
		require.NoError(t, err)
		for _, k := range keys.Keys {
			require.NotEmpty(t, k.Operations)
			require.NotEmpty(t, k.Collections)
		}
		again, err := read(t, written)
		require.NoError(t, err, "%s", written)
		require.Equal(t, len(keys.Keys), len(again.Keys))
		for i, k := range keys.Keys {
			require.Equal(t, k.Name, again.Keys[i].Name)
			require.Equal(t, len(k.SHA256), len(again.Keys[i].SHA256))
			for j, h := range k.SHA256 {
				require.Equal(t, h.Hash, again.Keys[i].SHA256[j].Hash)
				require.True(t, h.Expires.Equal(again.Keys[i].SHA256[j].Expires))
			}
			require.ElementsMatch(t, k.Operations, again.Keys[i].Operations)
			require.ElementsMatch(t, k.Collections, again.Keys[i].Collections)
			require.True(t, k.Expires.Equal(again.Keys[i].Expires))
		}
	})
}
