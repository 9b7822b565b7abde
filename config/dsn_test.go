package config

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// A password that is not percent-encoded is recognised when the configuration is read,
// wherever its special characters stand, and no part of it is in the message.
func TestRawPasswordInDSN(t *testing.T) {
	load := func(dsn string) error {
		_, err := Load("", []string{"IMAGO_STORE_DRIVER=pgvector", "IMAGO_STORE_PGVECTOR_DSN=" + dsn})
		return err
	}
	for _, password := range []string{
		"hunt@er2", "hunt/er2", "hunt@er2/x", "hunt/er2@x", "123/er2", "hunt?er2", "hunt@x?er2", "hunt@x?a=er2", "hunt#er2", "hunt@x#er2", "@hunter2", "hunter2/", "//", "a?b=c@d",
	} {
		for _, rest := range []string{"@db.test:5432/imago", "@db.test", "@a.test,b.test/imago?sslmode=verify-full", "@/imago?host=/run/postgresql"} {
			for _, scheme := range []string{"postgres://", "postgresql://", " postgres://"} {
				dsn := scheme + "imago:" + password + rest
				err := load(dsn)
				require.ErrorContains(t, err, "store.pgvector.dsn: has a special character in its user name or password; percent-encode it", dsn)
				require.NotContains(t, err.Error(), "hunt")
				require.NotContains(t, err.Error(), "er2")
			}
			require.NoError(t, load("postgres://imago:"+url.QueryEscape(password)+rest), password)
		}
	}
	for _, dsn := range []string{
		"host=db.test user=imago password=hunt@er2/#?", "host=db.test password='hunt er2 postgres://a:b/c@d' user=imago", "postgres://db.test/imago?user=imago@tenant&password=hunt@er2",
		"postgres://imago:hunter2@[::1]:5432/imago", "postgres:///imago?host=/run/postgresql", "postgres://imago:a:b@db.test/imago",
	} {
		require.NoError(t, load(dsn), dsn)
	}
	_, err := Load("", []string{"IMAGO_STORE_PGVECTOR_DSN=postgres://a:b/c@d"})
	require.NoError(t, err, "another driver does not use it")

	_, err = Load("", []string{"IMAGO_STORE_DRIVER=milvus", "IMAGO_STORE_MILVUS_ADDRESS=https://root:hunter2@milvus.test:19530"})
	require.ErrorContains(t, err, "store.milvus.address: must not have a user name or password")
	require.NotContains(t, err.Error(), "hunter2")
}
