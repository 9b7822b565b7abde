package milvusstore

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/servers"
)

// A server that encrypts and asks for a password is used when both are right, and
// what is wrong is said without the password.
func TestTLSAndCredentials(t *testing.T) {
	t.Parallel()
	server := servers.OwnMilvus(t, servers.MilvusOptions{TLS: true, Authorization: true})
	secure := settingsAt(server.Address())
	secure.TLS, secure.CAFile = true, server.Authority()
	secure.Username, secure.Password = "root", config.Secret("Milvus")
	s := started(t, secure, testSpace(2))
	require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
	require.Equal(t, []string{"f"}, faceIDs(t, s, "ada"))

	token := secure
	token.Username, token.Password, token.Token = "", "", config.Secret("root:Milvus")
	require.Equal(t, []string{"f"}, faceIDs(t, started(t, token, testSpace(2)), "ada"))

	const refused = "the server rejected store.milvus.username and password, or token"
	for name, c := range map[string]struct {
		change func(*config.MilvusStore)
		says   string
		within time.Duration // waited out where the server is not reached
	}{
		"wrong password":    {func(c *config.MilvusStore) { c.Password = "hunter2-is-wrong" }, refused, time.Minute},
		"no credentials":    {func(c *config.MilvusStore) { c.Username, c.Password = "", "" }, refused, time.Minute},
		"unknown authority": {func(c *config.MilvusStore) { c.CAFile = "" }, "unknown authority", 5 * time.Second},
		"in clear":          {func(c *config.MilvusStore) { c.TLS, c.CAFile = false, "" }, "connection error", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := secure
			cfg.ConnectTimeout = c.within
			c.change(&cfg)
			var log bytes.Buffer
			err := guarded(New(cfg, testSpace(2), slog.New(slog.NewTextHandler(&log, nil)))).Start(t.Context())
			require.ErrorIs(t, err, ports.ErrUnavailable)
			require.ErrorContains(t, err, c.says)
			for _, secret := range []string{"hunter2-is-wrong", "Milvus\""} {
				require.NotContains(t, err.Error()+log.String(), secret)
			}
			require.Equal(t, name == "in clear", bytes.Contains(log.Bytes(), []byte("sent unencrypted")))
		})
	}
}

func TestTransportSaysWhatIsWrong(t *testing.T) {
	folder := t.TempDir()
	garbage := filepath.Join(folder, "garbage.pem")
	require.NoError(t, os.WriteFile(garbage, []byte("no certificate"), 0o600))
	for path, says := range map[string]string{
		garbage:                         "holds no certificate in PEM form",
		filepath.Join(folder, "nobody"): "store.milvus.ca_file cannot be read",
	} {
		cfg := settingsAt("127.0.0.1:1")
		cfg.TLS, cfg.CAFile = true, path
		_, err := dial(t.Context(), cfg, discard())
		require.ErrorIs(t, err, ports.ErrInvalid)
		require.ErrorContains(t, err, says)
	}
	_, err := dial(t.Context(), config.MilvusStore{}, discard())
	require.ErrorIs(t, err, ports.ErrInvalid)
	require.ErrorContains(t, err, "store.milvus.address is empty")
}
