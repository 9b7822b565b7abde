package servers

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func TestPostgres(t *testing.T) {
	t.Parallel()
	s := Postgres(t)
	ask := func(query string) string {
		conn, err := pgconn.Connect(t.Context(), s.DSN())
		require.NoError(t, err)
		defer conn.Close(t.Context())
		results, err := conn.Exec(t.Context(), query).ReadAll()
		require.NoError(t, err)
		return string(results[len(results)-1].Rows[0][0])
	}
	require.Equal(t, "1", ask("CREATE EXTENSION vector; CREATE TABLE kept (n int); INSERT INTO kept VALUES (1); SELECT n FROM kept"))
	dsn := s.DSN()

	s.Kill()
	_, err := pgconn.Connect(t.Context(), dsn)
	require.Error(t, err)
	require.NoError(t, s.Restart())

	require.Equal(t, dsn, s.DSN())
	require.Equal(t, "1", ask("SELECT n FROM kept"))
	folder := s.folder
	s.Stop()
	s.Stop()
	require.NoDirExists(t, folder)
	_, err = pgconn.Connect(t.Context(), dsn)
	require.Error(t, err)
}

// An operator's own server is used and left alone.
func TestPostgresOfSomebodyElse(t *testing.T) {
	t.Setenv("IMAGO_TEST_PGVECTOR_DSN", "host=elsewhere")
	t.Setenv("IMAGO_TEST_SERVERS", os.DevNull)
	s, err := StartPostgres(PostgresOptions{})
	require.NoError(t, err)
	require.Equal(t, "host=elsewhere", s.DSN())
	require.False(t, s.Managed())
	s.Stop()
}
