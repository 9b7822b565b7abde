package servers

import (
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"github.com/stretchr/testify/require"

	"imago/test/pages"
)

// The table of versions has what the servers of the tests say of themselves.
func TestVersionTable(t *testing.T) {
	milvus := OwnMilvus(t, MilvusOptions{})
	want := map[string]string{
		"Milvus":      milvusVersion(t, milvus.Address()),
		"milvus-lite": milvusVersion(t, OwnMilvusLite(t).Address()),
	}
	want["PostgreSQL"], want["pgvector"] = postgresVersions(t)

	for line := range strings.Lines(pages.Read(t, "adapters/README.md").Section(t, "### Server versions")) {
		cells := strings.Split(line, " | ")
		name := strings.TrimPrefix(cells[0], "| ")
		if version, asked := want[name]; asked {
			require.Equal(t, version, cells[1], name)
			delete(want, name)
		}
	}
	require.Empty(t, want, "the table lacks servers")
}

// milvusVersion returns the number in what a server says: v2.3.5-lite, milvus_lite-3.2.2.
func milvusVersion(t *testing.T, address string) string {
	t.Helper()
	connection, err := client.NewClient(t.Context(), client.Config{Address: address})
	require.NoError(t, err)
	defer func() { require.NoError(t, connection.Close()) }()
	version, err := connection.GetVersion(t.Context())
	require.NoError(t, err)
	return regexp.MustCompile(`[\d.]+`).FindString(version)
}

func postgresVersions(t *testing.T) (server, extension string) {
	t.Helper()
	connection, err := pgconn.Connect(t.Context(), Postgres(t).DSN())
	require.NoError(t, err)
	defer func() { require.NoError(t, connection.Close(t.Context())) }()
	results, err := connection.Exec(t.Context(), `SELECT split_part(current_setting('server_version'), ' ', 1),
		(SELECT default_version FROM pg_available_extensions WHERE name = 'vector')`).ReadAll()
	require.NoError(t, err)
	row := results[0].Rows[0]
	return string(row[0]), string(row[1])
}
