package token

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josecipher "github.com/go-jose/go-jose/v4/cipher"
	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
)

func TestOpensEveryAlgorithm(t *testing.T) {
	o := started(t, settings(writeNew(t, setOf(t))), quiet)
	for kid := range testKeys() {
		o.opens(t, seal(t, kid, noon))
	}
}

// Tokens that another implementation makes, here one on the standard library.
func TestOpensForeignTokens(t *testing.T) {
	o := started(t, settings(writeNew(t, setOf(t))), quiet)
	content := make([]byte, 32)
	_, _ = rand.Read(content)

	o.opens(t, direct(t, claims()))
	o.opens(t, direct(t, claims()+`,"typ":"JWT","cty":"image/jpeg","unknown":{"a":[1]}`))

	encrypted, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &testKeys()["rsa"].Key.(*rsa.PrivateKey).PublicKey, content, nil)
	require.NoError(t, err)
	o.opens(t, forge(t, `{"kid":"rsa","enc":"A256GCM","alg":"RSA-OAEP-256"`+claims()+`}`, content, encrypted, picture))

	block, err := aes.NewCipher(testKeys()["wrap"].Key.([]byte))
	require.NoError(t, err)
	wrapped, err := josecipher.KeyWrap(block, content)
	require.NoError(t, err)
	o.opens(t, forge(t, ` { "kid":"wrap","enc":"A256GCM","alg":"A256KW"`+claims()+`} `, content, wrapped, picture))
}

// part returns a token with one of its five parts replaced.
func part(token string, i int, text string) string {
	parts := strings.Split(token, ".")
	parts[i] = text
	return strings.Join(parts, ".")
}

func TestRefuses(t *testing.T) {
	o := started(t, settings(writeNew(t, setOf(t))), quiet)
	good := direct(t, claims())
	parts := strings.Split(good, ".")
	own := testKeys()["direct"].Key.([]byte)
	modulus := testKeys()["rsa"].Key.(*rsa.PrivateKey)
	der := x509.MarshalPKCS1PublicKey(&modulus.PublicKey)
	publicBytes := sha256.Sum256(der)
	// head forges a token by the key direct with any alg, kid and members.
	head := func(alg, kid, members string) string {
		return forge(t, fmt.Sprintf(`{"alg":%q,"enc":"A256GCM","kid":%q%s}`, alg, kid, claims()+members), own, nil, picture)
	}
	for name, tt := range map[string]struct {
		want  Reason
		token string
	}{
		"empty":                    {Malformed, ""},
		"four parts":               {Malformed, strings.Join(parts[:4], ".")},
		"six parts":                {Malformed, good + ".AA"},
		"dots":                     {Malformed, "...."},
		"no ciphertext":            {Malformed, part(good, 3, "")},
		"no iv":                    {Malformed, part(good, 2, "")},
		"long iv":                  {Malformed, part(good, 2, parts[2]+"AAAA")},
		"short tag":                {Malformed, part(good, 4, parts[4][:20])},
		"tag with a byte too many": {Malformed, part(good, 4, parts[4]+"AA")},
		"header not base64":        {Malformed, part(good, 0, "{}")},
		"header with padding":      {Malformed, part(good, 0, encode([]byte(`{"alg":"dir"}`))+"==")},
		"header with a break":      {Malformed, part(good, 0, parts[0][:4]+"\n"+parts[0][4:])},
		"empty header":             {Malformed, part(good, 0, "")},
		"header no JSON":           {Malformed, part(good, 0, encode([]byte("alg")))},
		"header an array":          {Malformed, part(good, 0, encode([]byte("[1]")))},
		"member twice":             {Malformed, direct(t, claims()+`,"kid":"direct2"`)},
		"kid a number":             {Malformed, part(good, 0, encode([]byte(`{"alg":"dir","enc":"A256GCM","kid":1}`)))},
		"iat a text":               {Malformed, direct(t, `,"iat":"1800000000","jti":"x"`)},
		"jwk header private":       {Malformed, direct(t, claims()+`,"jwk":{"kty":"oct","k":"AAAA"}`)},
		"encrypted key with dir":   {Malformed, part(good, 1, "AAAA")},
		"ciphertext no base64":     {Malformed, part(good, 3, "§§")},

		"header too long":        {TooLarge, direct(t, claims()+`,"x":"`+strings.Repeat("x", 4000)+`"`)},
		"encrypted key too long": {TooLarge, part(good, 1, strings.Repeat("A", maxKey+1))},
		"picture too large":      {TooLarge, forge(t, `{"alg":"dir","enc":"A256GCM","kid":"direct"`+claims()+`}`, own, nil, make([]byte, imageBytes+1))},
		"endless":                {TooLarge, strings.Repeat("A", 2*imageBytes)},

		"no alg":                  {Unsupported, forge(t, `{"enc":"A256GCM","kid":"direct"`+claims()+`}`, own, nil, picture)},
		"null":                    {Unsupported, part(good, 0, encode([]byte("null")))},
		"alg none":                {Unsupported, head("none", "direct", "")},
		"RSA1_5":                  {Unsupported, head("RSA1_5", "rsa", "")},
		"RSA-OAEP with SHA-1":     {Unsupported, head("RSA-OAEP", "rsa", "")},
		"PBES2":                   {Unsupported, head("PBES2-HS256+A128KW", "direct", `,"p2s":"AAAA","p2c":1000000`)},
		"A128KW":                  {Unsupported, head("A128KW", "wrap", "")},
		"A256GCMKW":               {Unsupported, head("A256GCMKW", "wrap", "")},
		"ECDH-ES without a wrap":  {Unsupported, head("ECDH-ES", "ec", "")},
		"alg in small letters":    {Unsupported, head("DIR", "direct", "")},
		"no enc":                  {Unsupported, forge(t, `{"alg":"dir","kid":"direct"`+claims()+`}`, own, nil, picture)},
		"A128GCM":                 {Unsupported, forge(t, `{"alg":"dir","enc":"A128GCM","kid":"direct"`+claims()+`}`, own[:16], nil, picture)},
		"A256CBC-HS512":           {Unsupported, forge(t, `{"alg":"dir","enc":"A256CBC-HS512","kid":"direct"`+claims()+`}`, own, nil, picture)},
		"compressed":              {Unsupported, direct(t, claims()+`,"zip":"DEF"`)},
		"zip is null":             {Unsupported, direct(t, claims()+`,"zip":null`)},
		"zip is empty":            {Unsupported, direct(t, claims()+`,"zip":""`)},
		"critical":                {Unsupported, direct(t, claims()+`,"crit":["exp"],"exp":1800000030`)},
		"critical, unknown":       {Unsupported, direct(t, claims()+`,"crit":["b64"],"b64":false`)},
		"critical, empty":         {Unsupported, direct(t, claims()+`,"crit":[]`)},
		"critical is null":        {Unsupported, direct(t, claims()+`,"crit":null`)},
		"nested token":            {Unsupported, direct(t, claims()+`,"cty":"JWT"`)},
		"nested token in letters": {Unsupported, direct(t, claims()+`,"cty":"jwt"`)},
		"a signed token's header": {Unsupported, head("HS256", "direct", "")},

		"no kid":      {UnknownKey, forge(t, `{"alg":"dir","enc":"A256GCM"`+claims()+`}`, own, nil, picture)},
		"unknown kid": {UnknownKey, head("dir", "nobody", "")},
		"Kid":         {UnknownKey, forge(t, `{"alg":"dir","enc":"A256GCM","Kid":"direct"`+claims()+`}`, own, nil, picture)},

		"dir by the RSA key":       {WrongAlgorithm, forge(t, `{"alg":"dir","enc":"A256GCM","kid":"rsa"`+claims()+`}`, publicBytes[:], nil, picture)},
		"A256KW by the RSA key":    {WrongAlgorithm, head("A256KW", "rsa", "")},
		"dir by the wrapping key":  {WrongAlgorithm, head("dir", "wrap", "")},
		"A256KW by the direct key": {WrongAlgorithm, head("A256KW", "direct", "")},
		"ECDH by the RSA key":      {WrongAlgorithm, head("ECDH-ES+A256KW", "rsa", "")},
		"RSA by the EC key":        {WrongAlgorithm, head("RSA-OAEP-256", "ec", "")},

		"another key's content":     {Undecryptable, head("dir", "direct2", "")},
		"the key in its own header": {Undecryptable, forge(t, `{"alg":"dir","enc":"A256GCM","kid":"direct2","jwk":`+embedded(t)+claims()+`}`, own, nil, picture)},
		"another header":            {Undecryptable, part(good, 0, strings.Split(direct(t, claims()), ".")[0])},
		"another iv":                {Undecryptable, part(good, 2, flip(parts[2]))},
		"another ciphertext":        {Undecryptable, part(good, 3, flip(parts[3]))},
		"another tag":               {Undecryptable, part(good, 4, flip(parts[4]))},
		"no encrypted key, A256KW":  {Undecryptable, part(seal(t, "wrap", noon), 1, "")},
		"another key, A256KW":       {Undecryptable, part(seal(t, "wrap", noon), 1, flip(strings.Split(seal(t, "wrap", noon), ".")[1]))},
		"no encrypted key, RSA":     {Undecryptable, part(seal(t, "rsa", noon), 1, "")},
		"no ephemeral key":          {Undecryptable, head("ECDH-ES+A256KW", "ec", "")},
		"ephemeral key off curve": {Undecryptable, head("ECDH-ES+A256KW", "ec",
			`,"epk":{"kty":"EC","crv":"P-384","x":"`+encode(bytes.Repeat([]byte{1}, 48))+`","y":"`+encode(bytes.Repeat([]byte{2}, 48))+`"}`)},
		"ephemeral key of another curve": {Undecryptable, head("ECDH-ES+A256KW", "ec", `,"epk":`+embedded(t))},

		"no iat":     {NoTime, direct(t, `,"jti":"x"`)},
		"iat null":   {NoTime, direct(t, `,"iat":null,"jti":"x"`)},
		"old":        {Expired, direct(t, fmt.Sprintf(`,"iat":%d,"jti":"x"`, noon.Add(-time.Hour).Unix()))},
		"from ahead": {NotYetValid, direct(t, fmt.Sprintf(`,"iat":%d,"jti":"x"`, noon.Add(time.Hour).Unix()))},

		"no jti":       {NoID, direct(t, fmt.Sprintf(`,"iat":%d`, noon.Unix()))},
		"jti too long": {NoID, direct(t, fmt.Sprintf(`,"iat":%d,"jti":%q`, noon.Unix(), strings.Repeat("x", maxID+1)))},
	} {
		t.Run(name, func(t *testing.T) { o.refuses(t, tt.want, tt.token) })
	}
	o.opens(t, good)
}

// One header has one text: base64 whose last character has bits to spare is
// refused when they are set.
func TestHeadersHaveOneText(t *testing.T) {
	o := started(t, settings(writeNew(t, setOf(t))), quiet)
	for _, padding := range []string{"", " ", "  "} {
		good := direct(t, claims()+padding)
		head, rest, _ := strings.Cut(good, ".")
		if len(head)%4 == 0 {
			continue
		}
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		at := strings.IndexByte(alphabet, head[len(head)-1])
		o.refuses(t, Malformed, head[:len(head)-1]+alphabet[at+1:at+2]+"."+rest)
		o.opens(t, good)
	}
}

// flip changes the first character of a part.
func flip(text string) string {
	first := "A"
	if text[0] == 'A' {
		first = "B"
	}
	return first + text[1:]
}

// embedded is a public JWK on another curve than the key ec has.
func embedded(t *testing.T) string {
	pair, err := Generate("ECDH-ES+A256KW", "mine")
	require.NoError(t, err)
	data, err := json.Marshal(jose.JSONWebKey{Key: public(pair.private.Key)})
	require.NoError(t, err)
	return string(data)
}

// What a broken RSA key looks like from outside is what a broken content looks
// like (RFC 7516, section 11.5): the content is decrypted with a random key.
func TestBrokenRSAKeysAreSubstituted(t *testing.T) {
	key := testKeys()["rsa"].Key.(*rsa.PrivateKey)
	wrapped := func(content []byte) []byte {
		encrypted, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, content, nil)
		require.NoError(t, err)
		return encrypted
	}
	o := started(t, settings(writeNew(t, setOf(t, "rsa"))), quiet)
	good := seal(t, "rsa", noon)
	want := o.refuses(t, Undecryptable, part(good, 4, flip(strings.Split(good, ".")[4])))
	seen := map[string]bool{}
	for name, encrypted := range map[string][]byte{
		"empty": nil, "short": {1}, "zeros": make([]byte, 256), "beyond the modulus": bytes.Repeat([]byte{255}, 256),
		"long": make([]byte, 512), "key of 16 bytes": wrapped(make([]byte, 16)), "no key": wrapped(nil),
	} {
		content, err := oaep{key}.DecryptKey(encrypted, jose.Header{})
		require.NoError(t, err, name)
		require.Len(t, content, symmetricBytes, name)
		require.False(t, seen[string(content)], "%s: a key that can be foreseen", name)
		seen[string(content)] = true
		require.Equal(t, want, o.refuses(t, Undecryptable, part(good, 1, encode(encrypted))), name)
	}
	content, err := oaep{key}.DecryptKey(wrapped(picture[:1]), jose.Header{})
	require.NoError(t, err)
	require.NotEqual(t, picture[:1], content)
}

func TestNothingIsOpenedWithoutKeys(t *testing.T) {
	o := started(t, config.Token{}, quiet)
	o.refuses(t, NotEnabled, direct(t, claims()))
	require.NoError(t, o.Reload())

	unstarted := New(settings("keys.json"), imageBytes, quiet)
	_, err := unstarted.Open(t.Context(), []byte(direct(t, claims())), ports.Purpose{})
	require.ErrorContains(t, err, "not_enabled")
}

// The largest picture that is allowed fits, sealed by each algorithm.
func TestLargestPicture(t *testing.T) {
	o := started(t, settings(writeNew(t, setOf(t))), quiet)
	largest := bytes.Repeat([]byte("picture!"), imageBytes/8)
	for kid, key := range testKeys() {
		key.Key = public(key.Key)
		token, err := (&Sealer{key}).Seal(largest, noon, time.Minute, ports.Purpose{})
		require.NoError(t, err)
		opened, err := o.Open(t.Context(), []byte(token), ports.Purpose{})
		require.NoError(t, err, kid)
		require.True(t, bytes.Equal(largest, opened))
	}
}

// A caller that has gone waits for no place among those who decrypt.
func TestOpenGivesUpWithItsContext(t *testing.T) {
	o := started(t, settings(writeNew(t, setOf(t))), quiet)
	for range runtime.GOMAXPROCS(0) {
		o.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	good := direct(t, claims())
	_, err := o.Open(ctx, []byte(good), ports.Purpose{})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, o.reasons)
	<-o.slots
	o.opens(t, good)
}

func BenchmarkOpen(b *testing.B) {
	o := New(config.Token{KeysFile: writeNew(b, setOf(b)), MaxAge: time.Minute}, 5<<20, quiet)
	o.now = func() time.Time { return noon }
	require.NoError(b, o.Start(b.Context()))
	b.Cleanup(func() { _ = o.Close(context.Background()) })
	large := bytes.Repeat([]byte("picture!"), 5<<20/8)
	for kid, key := range testKeys() {
		key.Key = public(key.Key)
		token, err := (&Sealer{key}).Seal(large, noon, time.Minute, ports.Purpose{})
		require.NoError(b, err)
		b.Run(kid, func(b *testing.B) {
			b.SetBytes(int64(len(large)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := o.Open(b.Context(), []byte(token), ports.Purpose{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A token that is bound to a purpose opens for no other, and is not spent by the attempt.
func TestPurposes(t *testing.T) {
	key := testKeys()["wrap"]
	enrolUsers := ports.Purpose{Operation: ports.OpEnrol, Collection: "users"}
	for name, c := range map[string]struct{ bound, asked ports.Purpose }{
		"another operation":  {enrolUsers, ports.Purpose{Operation: ports.OpSearch, Collection: "users"}},
		"another collection": {enrolUsers, ports.Purpose{Operation: ports.OpEnrol, Collection: "blacklist"}},
		"no collection":      {ports.Purpose{Collection: "users"}, ports.Purpose{Operation: ports.OpSearch}},
		"operation alone":    {ports.Purpose{Operation: ports.OpSearch}, enrolUsers},
	} {
		o := bound(t, 10)
		sealed, err := (&Sealer{key}).Seal(picture, noon, time.Minute, c.bound)
		require.NoError(t, err)
		_, err = o.Open(t.Context(), []byte(sealed), c.asked)
		require.ErrorIs(t, err, ports.ErrInvalid, name)
		require.ErrorContains(t, err, string(WrongPurpose), name)
		opened, err := o.Open(t.Context(), []byte(sealed), c.bound)
		require.NoError(t, err, name)
		require.Equal(t, picture, opened)
	}
	o := bound(t, 0)
	free, err := (&Sealer{key}).Seal(picture, noon, time.Minute, ports.Purpose{})
	require.NoError(t, err)
	_, err = o.Open(t.Context(), []byte(free), enrolUsers)
	require.NoError(t, err, "one that is bound to nothing is good for all")
	for _, bad := range []string{`1`, `["enrol"]`, `""`, `"Enrol"`} {
		_, err := o.Open(t.Context(), []byte(direct(t, claims()+`,"op":`+bad)), enrolUsers)
		require.ErrorIs(t, err, ports.ErrInvalid, bad)
	}
}

// bound returns an Opener with the test keys.
func bound(t *testing.T, replays int) *opener {
	t.Helper()
	path := write(t, filepath.Join(t.TempDir(), "keys.json"), setOf(t))
	return started(t, config.Token{KeysFile: path, MaxAge: time.Hour, ReplayCache: replays}, quiet)
}
