package token

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/config"
	"imago/ports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// picture is what the tokens of these tests hold.
var picture = []byte("\xff\xd8\xff not much of a picture")

const imageBytes = 1 << 20

// noon is when it is in these tests.
var noon = time.Unix(1_800_000_000, 0)

// testKeys has one key for each algorithm and a second one for dir, by kid.
var testKeys = sync.OnceValue(func() map[string]jose.JSONWebKey {
	must := func(key any, err error) any {
		if err != nil {
			panic(err)
		}
		return key
	}
	keys := map[string]jose.JSONWebKey{}
	for kid, key := range map[string]jose.JSONWebKey{
		"direct":  {Algorithm: "dir", Key: bytes.Repeat([]byte{1}, 32)},
		"direct2": {Algorithm: "dir", Key: bytes.Repeat([]byte{2}, 32)},
		"wrap":    {Algorithm: "A256KW", Key: bytes.Repeat([]byte{3}, 32)},
		"rsa":     {Algorithm: "RSA-OAEP-256", Key: must(rsa.GenerateKey(rand.Reader, 2048))},
		"ec":      {Algorithm: "ECDH-ES+A256KW", Key: must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))},
	} {
		key.KeyID = kid
		keys[kid] = key
	}
	return keys
})

// setOf is a file with some of the keys, or all.
func setOf(t testing.TB, kids ...string) string {
	t.Helper()
	set := jose.JSONWebKeySet{}
	for kid, key := range testKeys() {
		if len(kids) == 0 || slices.Contains(kids, kid) {
			set.Keys = append(set.Keys, key)
		}
	}
	data, err := json.Marshal(set)
	require.NoError(t, err)
	return string(data)
}

// write replaces a file as careful writers do, and returns its path.
func write(t testing.TB, path, text string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
	return path
}

func writeNew(t testing.TB, text string) string {
	t.Helper()
	return write(t, filepath.Join(t.TempDir(), "keys.json"), text)
}

// opener is an Opener at noon that remembers why it refused.
type opener struct {
	*Opener
	reasons []string
}

func settings(path string) config.Token {
	return config.Token{KeysFile: path, MaxAge: time.Minute, ClockSkew: 5 * time.Second, ReplayCache: 100}
}

// started is an Opener whose file is looked at by poll only.
func started(t testing.TB, cfg config.Token, log *slog.Logger) *opener {
	t.Helper()
	o := &opener{Opener: New(cfg, imageBytes, log)}
	o.Interval = time.Hour
	o.now = func() time.Time { return noon }
	o.OnRefused(func(reason string) { o.reasons = append(o.reasons, reason) })
	require.NoError(t, o.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, o.Close(context.Background())) })
	return o
}

// refuses checks that a token is refused for a reason that is told to nobody
// but the log and the metrics.
func (o *opener) refuses(t testing.TB, want Reason, token string) error {
	t.Helper()
	o.reasons = nil
	opened, err := o.Open(t.Context(), []byte(token), ports.Purpose{})
	require.ErrorIs(t, err, ports.ErrInvalid)
	require.Equal(t, []string{string(want)}, o.reasons, err)
	require.Empty(t, opened)
	require.NotContains(t, err.Error(), string(picture))
	return err
}

func (o *opener) opens(t testing.TB, token string) {
	t.Helper()
	opened, err := o.Open(t.Context(), []byte(token), ports.Purpose{})
	require.NoError(t, err)
	require.Equal(t, picture, opened)
}

// seal makes a token as imago token seal does, now.
func seal(t testing.TB, kid string, now time.Time) string {
	t.Helper()
	key := testKeys()[kid]
	key.Key = public(key.Key)
	token, err := (&Sealer{key}).Seal(picture, now, time.Minute, ports.Purpose{})
	require.NoError(t, err)
	return token
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// forge makes a token with any header and encrypted key, without the library
// that opens it.
func forge(t testing.TB, header string, contentKey, encryptedKey, plaintext []byte) string {
	t.Helper()
	block, err := aes.NewCipher(contentKey)
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	iv := make([]byte, gcm.NonceSize())
	_, _ = rand.Read(iv)
	protected := encode([]byte(header))
	sealed := gcm.Seal(nil, iv, plaintext, []byte(protected))
	at := len(sealed) - gcm.Overhead()
	return protected + "." + encode(encryptedKey) + "." + encode(iv) + "." + encode(sealed[:at]) + "." + encode(sealed[at:])
}

// direct forges a token for the key direct whose header has further members.
func direct(t testing.TB, members string) string {
	t.Helper()
	return forge(t, `{"alg":"dir","enc":"A256GCM","kid":"direct"`+members+`}`, testKeys()["direct"].Key.([]byte), nil, picture)
}

// claims are members that make a token valid at noon.
func claims() string { return fmt.Sprintf(`,"iat":%d,"jti":%q`, noon.Unix(), rand.Text()) }
