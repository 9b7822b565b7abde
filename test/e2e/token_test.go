package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// tokenRefused is the one answer to every token that is not accepted.
const tokenRefused = `{"status":400,"title":"Bad Request","detail":"Invalid request.",` +
	`"type":"https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/400","errors":["provided token is not valid"]}`

// output runs imago and returns what it prints.
func output(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), imago(t), args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return strings.TrimSpace(string(out))
}

// device is what a capture device has: keys of imago in files.
type device struct {
	t    *testing.T
	dir  string
	keys string // the file that imago opens tokens with
}

func newDevice(t *testing.T) device {
	dir := t.TempDir()
	return device{t, dir, filepath.Join(dir, "keys.json")}
}

// add makes a key that imago is to know.
func (d device) add(kid, algorithm string) {
	output(d.t, "token", "keygen", d.keys, "--kid", kid, "--alg", algorithm, "--device", d.jwk(kid))
}

func (d device) jwk(kid string) string { return filepath.Join(d.dir, kid+".json") }

// seal encrypts the portrait with the command.
func (d device) seal(kid string) string {
	d.t.Helper()
	picture := filepath.Join(fixture.Root(d.t), "test", "testdata", "portrait.jpg")
	return output(d.t, "token", "seal", picture, "--jwk", d.jwk(kid), "--ttl", "10m")
}

// encrypt encrypts the portrait with the library, so that the header can say
// what the command never would.
func (d device) encrypt(kid string, algorithm jose.KeyAlgorithm, options *jose.EncrypterOptions) string {
	d.t.Helper()
	data, err := os.ReadFile(d.jwk(kid))
	require.NoError(d.t, err)
	var key jose.JSONWebKey
	require.NoError(d.t, json.Unmarshal(data, &key))
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: algorithm, Key: key.Key, KeyID: kid}, options)
	require.NoError(d.t, err)
	object, err := encrypter.Encrypt(portrait(d.t))
	require.NoError(d.t, err)
	token, err := object.CompactSerialize()
	require.NoError(d.t, err)
	return token
}

// issued are options of a token from now less the age.
func issued(age time.Duration) *jose.EncrypterOptions {
	now := time.Now()
	return new(jose.EncrypterOptions).WithHeader("iat", now.Add(-age).Unix()).WithHeader("jti", fmt.Sprint("e2e-", now.UnixNano()))
}

func tokenJSON(token string) string { return `{"face":"` + token + `"}` }

func TestTokens(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	for kid, algorithm := range map[string]string{"direct": "dir", "wrap": "A256KW", "rsa": "RSA-OAEP-256", "ec": "ECDH-ES+A256KW"} {
		d.add(kid, algorithm)
	}
	s := start(t, "IMAGO_TOKEN_KEYS_FILE="+d.keys, "IMAGO_TOKEN_MAX_AGE=10m")
	for _, kid := range []string{"direct", "wrap", "rsa", "ec"} {
		enrolment := tokenJSON(d.seal(kid))
		a := s.must("POST", "/users/"+kid, enrolment)
		require.Equal(t, http.StatusOK, a.status, "%s: %s", kid, a.body)
		a = s.must("POST", "/users/again", enrolment)
		require.Equal(t, tokenRefused, a.body, "a token is accepted once")

		a = s.must("PUT", "/users/"+kid, tokenJSON(d.seal(kid)))
		require.Equal(t, http.StatusOK, a.status, a.body)
		a = s.must("POST", "/users/"+kid+"/faces", tokenJSON(d.seal(kid)))
		require.Equal(t, http.StatusOK, a.status, a.body)
		found := s.must("POST", "/users/search", tokenJSON(d.seal(kid))).matches(t)
		require.Equal(t, kid, found[0].UserID)
		require.InDelta(t, 99.9995, found[0].Similarity, 0.001)
		require.Equal(t, http.StatusOK, s.unenrol(kid).status)
	}
	require.Equal(t, http.StatusOK, s.enrol("plain", portrait(t)).status, "nothing requires tokens here")
}

// What no server would take for a picture is not sealed, and a picture is whatever
// its file is called.
func TestSealJudgesFilesByContent(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	d.add("ec", "ECDH-ES+A256KW")
	for name, c := range map[string]struct {
		content []byte
		says    string
	}{
		"face.jfif": {portrait(t), ""}, "face": {portrait(t), ""}, "face.png": {portrait(t), ""},
		"notes.jpg": {[]byte("text"), "only JPEG and PNG are supported"}, "empty.jpg": {nil, "is empty"},
	} {
		path := filepath.Join(d.dir, name)
		require.NoError(t, os.WriteFile(path, c.content, 0o600))
		out, err := exec.CommandContext(t.Context(), imago(t), "token", "seal", path, "--jwk", d.jwk("ec")).CombinedOutput()
		if c.says == "" {
			require.NoError(t, err, "%s", out)
			require.Equal(t, 4, strings.Count(string(out), "."))
			continue
		}
		var failed *exec.ExitError
		require.ErrorAs(t, err, &failed, name)
		require.Equal(t, 2, failed.ExitCode())
		require.Contains(t, string(out), c.says)
	}
}

// Every bad token has the same answer; the log says why.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	d.add("ec", "ECDH-ES+A256KW")
	d.add("rsa", "RSA-OAEP-256")
	d.add("direct", "dir")
	other := newDevice(t)
	other.add("ec", "ECDH-ES+A256KW")
	other.add("stranger", "ECDH-ES+A256KW")
	s := start(t, "IMAGO_TOKEN_KEYS_FILE="+d.keys, "IMAGO_TOKEN_MAX_AGE=10m", "IMAGO_TOKEN_CLOCK_SKEW=5s")
	good := d.seal("ec")
	compressed := issued(0)
	compressed.Compression = jose.DEFLATE
	bad := []struct{ name, reason, token string }{
		{"expired", "expired", d.encrypt("ec", jose.ECDH_ES_A256KW, issued(20*time.Minute))},
		{"from the future", "not_yet_valid", d.encrypt("ec", jose.ECDH_ES_A256KW, issued(-time.Hour))},
		{"past its exp", "expired", d.encrypt("ec", jose.ECDH_ES_A256KW, issued(30*time.Second).WithHeader("exp", time.Now().Add(-10*time.Second).Unix()))},
		{"wrong key", "undecryptable", other.seal("ec")},
		{"unknown key", "unknown_key", other.seal("stranger")},
		{"compressed", "unsupported", d.encrypt("ec", jose.ECDH_ES_A256KW, compressed)},
		{"critical", "unsupported", d.encrypt("ec", jose.ECDH_ES_A256KW, issued(0).WithHeader("crit", []string{"exp"}))},
		{"RSA with PKCS #1 v1.5", "unsupported", d.encrypt("rsa", jose.RSA1_5, issued(0))},
		{"RSA-OAEP with SHA-1", "unsupported", d.encrypt("rsa", jose.RSA_OAEP, issued(0))},
		{"the direct key as one that wraps", "wrong_algorithm", d.encrypt("direct", jose.A256KW, issued(0))},
		{"a modulus as a symmetric key", "wrong_algorithm", modulusAsKey(t, d)},
		{"changed", "undecryptable", good[:len(good)-30] + "AAAA" + good[len(good)-26:]},
		{"cut", "malformed", good[:len(good)-3]},
		{"no time", "no_time", d.encrypt("direct", jose.DIRECT, new(jose.EncrypterOptions))},
	}
	requests := map[string]string{}
	for _, c := range bad {
		t.Run(c.name, func(t *testing.T) {
			a, err := s.call(t.Context(), "POST", "/users/x", tokenJSON(c.token))
			require.NoError(t, err)
			require.Equal(t, http.StatusBadRequest, a.status)
			require.Equal(t, tokenRefused, a.body)
			requests[c.name] = a.header.Get("x-request-id")
		})
	}
	require.Equal(t, http.StatusNotFound, s.must("GET", "/users/x", "").status, "nothing was enrolled")
	require.Equal(t, http.StatusOK, s.must("POST", "/users/x", tokenJSON(good)).status, "what was made of it has not spent it")
	s.stop() // then the log is complete
	for _, c := range bad {
		line := lineWith(s.log.String(), requests[c.name], "token refused")
		require.Contains(t, line, "token: "+c.reason+":", c.name)
		require.NotContains(t, line, c.token[:40])
	}
	for _, file := range []string{"ec", "rsa", "direct"} {
		require.NotContains(t, s.log.String(), secretOf(t, d, file))
	}
}

// lineWith is the line of a log that has both words.
func lineWith(log, one, other string) string {
	for line := range strings.Lines(log) {
		if strings.Contains(line, one) && strings.Contains(line, other) {
			return line
		}
	}
	return ""
}

// modulusAsKey is a token that says that it was encrypted with a key that
// everybody knows: 32 bytes of the public RSA key.
func modulusAsKey(t *testing.T, d device) string {
	data, err := os.ReadFile(d.jwk("rsa"))
	require.NoError(t, err)
	var public struct{ N string }
	require.NoError(t, json.Unmarshal(data, &public))
	modulus, err := base64.RawURLEncoding.DecodeString(public.N)
	require.NoError(t, err)
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: modulus[:32], KeyID: "rsa"}, issued(0))
	require.NoError(t, err)
	object, err := encrypter.Encrypt(portrait(t))
	require.NoError(t, err)
	token, err := object.CompactSerialize()
	require.NoError(t, err)
	return token
}

// secretOf is the secret member of a key in the file of imago.
func secretOf(t *testing.T, d device, kid string) string {
	data, err := os.ReadFile(d.keys)
	require.NoError(t, err)
	var set struct{ Keys []map[string]string }
	require.NoError(t, json.Unmarshal(data, &set))
	for _, key := range set.Keys {
		if key["kid"] == kid {
			return key["d"] + key["k"]
		}
	}
	t.Fatalf("no key %s", kid)
	return ""
}

func TestTokensAreRequired(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	d.add("ec", "ECDH-ES+A256KW")
	settings := filepath.Join(d.dir, "imago.yaml")
	require.NoError(t, os.WriteFile(settings, []byte("token:\n  keys_file: "+d.keys+"\n  require_in_inventory: true\n"+
		"collections:\n  - name: sealed\n    require_token: true\n  - name: open\n"), 0o600))
	s := start(t, "IMAGO_CONFIG="+settings)
	plain := faceJSON(portrait(t))
	for _, path := range []string{"/users/u", "/users/search", "/users/sealed/u", "/users/sealed/search", "/users/u/faces"} {
		a := s.must("POST", path, plain)
		require.Equal(t, http.StatusBadRequest, a.status, path)
		require.Contains(t, a.problem(t).Errors[0], "plain pictures are not accepted here")
	}
	require.Equal(t, http.StatusOK, s.must("POST", "/users/open/u", plain).status)
	for _, path := range []string{"/users/u", "/users/sealed/u"} {
		require.Equal(t, http.StatusOK, s.must("POST", path, tokenJSON(d.seal("ec"))).status)
	}
}

// A key is taken into use, and another out of it, while imago runs.
func TestTokenKeysAreRotated(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	d.add("old", "ECDH-ES+A256KW")
	s := start(t, "IMAGO_TOKEN_KEYS_FILE="+d.keys)
	require.Equal(t, http.StatusOK, s.must("POST", "/users/u", tokenJSON(d.seal("old"))).status)

	d.add("new", "A256KW")
	s.eventually(http.StatusOK, func() string { return d.seal("new") })
	require.Equal(t, http.StatusOK, s.must("POST", "/users/search", tokenJSON(d.seal("old"))).status, "both are in use")

	onlyNew, err := os.ReadFile(d.jwk("new")) // symmetric: both sides have the same
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(d.keys+".next", []byte(`{"keys":[`+string(onlyNew)+`]}`), 0o600))
	require.NoError(t, os.Rename(d.keys+".next", d.keys))
	s.eventually(http.StatusBadRequest, func() string { return d.seal("old") })
	require.Equal(t, http.StatusOK, s.must("POST", "/users/search", tokenJSON(d.seal("new"))).status)
}

// eventually searches with tokens until the answer has a status.
func (s *server) eventually(status int, token func() string) {
	s.t.Helper()
	deadline := time.Now().Add(callTimeout)
	for time.Now().Before(deadline) {
		if s.must("POST", "/users/search", tokenJSON(token())).status == status {
			return
		}
	}
	s.t.Fatalf("no answer %d:\n%s", status, s.log)
}

func TestTokensWithoutKeys(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	d.add("ec", "ECDH-ES+A256KW")
	s := start(t)
	require.Equal(t, tokenRefused, s.must("POST", "/users/u", tokenJSON(d.seal("ec"))).body)
	s.stop()
	require.Contains(t, s.log.String(), "token: not_enabled:")

	require.NoError(t, os.WriteFile(d.keys, []byte(`{"keys":[{"kty":"oct","kid":"a","alg":"dir","k":"c2VjcmV0"}]}`), 0o600))
	out := refusesToStart(t, "IMAGO_TOKEN_KEYS_FILE="+d.keys)
	require.Contains(t, out, "keys[0] must be a symmetric key (kty oct) of 32 bytes for dir")
	require.NotContains(t, out, "c2VjcmV0")
	require.Contains(t, refusesToStart(t, "IMAGO_TOKEN_REQUIRE_IN_INVENTORY=true"), "token.keys_file: is required")
}
