package token

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"imago/ports"
)

// jwk writes a key with changes to its members; nil removes one.
func jwk(t *testing.T, key any, changes map[string]any) string {
	t.Helper()
	data, err := json.Marshal(jose.JSONWebKey{Key: key})
	require.NoError(t, err)
	members := map[string]any{}
	require.NoError(t, json.Unmarshal(data, &members))
	for name, value := range changes {
		if members[name] = value; value == nil {
			delete(members, name)
		}
	}
	data, err = json.Marshal(members)
	require.NoError(t, err)
	return string(data)
}

func TestParseKeyset(t *testing.T) {
	keys, err := parseKeyset([]byte(setOf(t)))
	require.NoError(t, err)
	require.Len(t, keys, len(testKeys()))
	keys, err = parseKeyset([]byte(` {"keys":[], "more":1} `))
	require.NoError(t, err)
	require.Empty(t, keys)
}

func TestParseKeysetRefuses(t *testing.T) {
	material := map[string]any{}
	for kid, key := range testKeys() {
		material[kid] = key.Key
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	as := func(kid, alg string) map[string]any { return map[string]any{"kid": kid, "alg": alg} }
	with := func(m map[string]any, name string, value any) map[string]any {
		m[name] = value
		return m
	}
	for name, tt := range map[string]struct{ key, want string }{
		"no kid":               {jwk(t, material["direct"], as("", "dir")), "kid"},
		"long kid":             {jwk(t, material["direct"], as(strings.Repeat("k", 129), "dir")), "kid"},
		"no alg":               {jwk(t, material["direct"], as("a", "")), "needs an alg, one of [dir A256KW RSA-OAEP-256 ECDH-ES+A256KW]"},
		"alg for signatures":   {jwk(t, material["direct"], as("a", "HS256")), "needs an alg"},
		"RSA1_5":               {jwk(t, material["rsa"], as("a", "RSA1_5")), "needs an alg"},
		"for signatures":       {jwk(t, material["direct"], with(as("a", "dir"), "use", "sig")), "use must be enc"},
		"short symmetric key":  {jwk(t, make([]byte, 16), as("a", "dir")), "32 bytes for dir"},
		"long symmetric key":   {jwk(t, make([]byte, 64), as("a", "A256KW")), "32 bytes for A256KW"},
		"symmetric for RSA":    {jwk(t, material["direct"], as("a", "RSA-OAEP-256")), "must be an RSA key"},
		"symmetric for EC":     {jwk(t, material["direct"], as("a", "ECDH-ES+A256KW")), "must be an EC key"},
		"RSA as symmetric":     {jwk(t, material["rsa"], as("a", "dir")), "must be a symmetric key"},
		"EC as RSA":            {jwk(t, material["ec"], as("a", "RSA-OAEP-256")), "must be an RSA key"},
		"small RSA":            {jwk(t, small, as("a", "RSA-OAEP-256")), "2048 to 4096 bits"},
		"public RSA":           {jwk(t, public(material["rsa"]), as("a", "RSA-OAEP-256")), "is a public key"},
		"public EC":            {jwk(t, public(material["ec"]), as("a", "ECDH-ES+A256KW")), "is a public key"},
		"RSA without p":        {jwk(t, material["rsa"], with(as("a", "RSA-OAEP-256"), "p", nil)), "a private one with p and q"},
		"RSA with another p":   {jwk(t, material["rsa"], with(as("a", "RSA-OAEP-256"), "p", "Aw")), "no JWK that can be used"},
		"EC off its curve":     {jwk(t, material["ec"], with(as("a", "ECDH-ES+A256KW"), "x", encode(make([]byte, 48)))), "no JWK that can be used"},
		"EC with another d":    {jwk(t, material["ec"], with(as("a", "ECDH-ES+A256KW"), "d", encode(bytes.Repeat([]byte{9}, 48)))), "does not match its public key"},
		"EC with no d to use":  {jwk(t, material["ec"], with(as("a", "ECDH-ES+A256KW"), "d", encode(make([]byte, 48)))), "is invalid for its curve"},
		"Ed25519":              {jwk(t, signing, as("a", "ECDH-ES+A256KW")), "must be an EC key"},
		"unknown kty":          {`{"kty":"XYZ","kid":"a","alg":"dir"}`, "no JWK that can be used"},
		"no kty":               {`{"kid":"a","alg":"dir","k":"c2VjcmV0"}`, "no JWK that can be used"},
		"k a number":           {`{"kty":"oct","kid":"a","alg":"dir","k":123456789}`, "no JWK that can be used"},
		"k not base64":         {`{"kty":"oct","kid":"a","alg":"dir","k":"secret+++"}`, "no JWK that can be used"},
		"not an object":        {`"c2VjcmV0"`, "no JWK that can be used"},
		"a kid that is there":  {jwk(t, make([]byte, 32), as("direct", "dir")), "another key has"},
		"a member that is two": {`{"kty":"oct","kid":"a","alg":"dir","k":"c2VjcmV0","k":"c2VjcmV0"}`, "no JWK that can be used"},
	} {
		t.Run(name, func(t *testing.T) {
			first := jwk(t, material["direct"], as("direct", "dir"))
			_, err := parseKeyset([]byte(`{"keys":[` + first + "," + tt.key + `]}`))
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, "keys[1] ")
			for _, secret := range []string{"c2VjcmV0", "123456789", "secret", encode(material["direct"].([]byte))} {
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
	many := strings.TrimSuffix(strings.Repeat(`{},`, maxKeys+1), ",")
	_, err = parseKeyset([]byte(`{"keys":[` + many + `]}`))
	require.ErrorContains(t, err, "more than 256")
	for _, text := range []string{"", "null", "[]", `{"keys":null}`, `{"keys":{}}`, "{}", "{} {}"} {
		_, err := parseKeyset([]byte(text))
		require.ErrorContains(t, err, "no JWK Set", text)
	}
}

func TestFilesAreBounded(t *testing.T) {
	padded := setOf(t, "direct") + strings.Repeat(" ", maxFile)
	o := New(settings(writeNew(t, padded)), imageBytes, quiet)
	require.ErrorContains(t, o.Start(t.Context()), "larger than 1048576 bytes")
}

// What is generated goes into a file of keys, and its device's half seals what
// that file opens.
func TestGenerate(t *testing.T) {
	dir := t.TempDir()
	keys, device := filepath.Join(dir, "keys.json"), filepath.Join(dir, "device.json")
	for i, algorithm := range Algorithms() {
		pair, err := Generate(algorithm, fmt.Sprint("kid-", i))
		require.NoError(t, err)
		require.NoError(t, pair.AddTo(keys))
		require.ErrorContains(t, pair.AddTo(keys), "another key has")

		half, err := pair.Device()
		require.NoError(t, err)
		_, symmetric := pair.private.Key.([]byte)
		require.Equal(t, symmetric, strings.Contains(string(half), `"k":`))
		require.NotContains(t, string(half), `"d":`)

		o := started(t, settings(keys), quiet)
		for path, kid := range map[string]string{write(t, device, string(half)): "", keys: fmt.Sprint("kid-", i)} {
			sealer, err := LoadSealer(path, kid)
			require.NoError(t, err)
			token, err := sealer.Seal(picture, noon, time.Minute, ports.Purpose{})
			require.NoError(t, err)
			o.opens(t, token)
		}
	}
	info, err := os.Stat(keys)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing is left behind")
}

func TestGenerateRefuses(t *testing.T) {
	_, err := Generate("RSA1_5", "a")
	require.ErrorContains(t, err, "one of [dir")
	_, err = Generate("dir", "")
	require.ErrorContains(t, err, "kid")
	pair, err := Generate("dir", "a")
	require.NoError(t, err)
	require.ErrorContains(t, pair.AddTo(writeNew(t, "garbage")), "no JWK Set")
	require.ErrorIs(t, pair.AddTo(filepath.Join(t.TempDir(), "no", "folder")), os.ErrNotExist)
}

func TestLoadSealerRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ text, kid, want string }{
		"two keys and no kid": {setOf(t, "direct", "ec"), "", "has 2 keys"},
		"unknown kid":         {setOf(t, "direct"), "ec", `no key with the kid "ec"`},
		"no JWK":              {`[1]`, "", "neither a JWK nor a JWK Set"},
		"no alg":              {`{"kty":"oct","kid":"a","k":"AAAA"}`, "", "needs an alg"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := LoadSealer(writeNew(t, tt.text), tt.kid)
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err := LoadSealer(filepath.Join(t.TempDir(), "missing"), "")
	require.ErrorIs(t, err, os.ErrNotExist)
}
