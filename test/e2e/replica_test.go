package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"imago/test/fixture"
	"imago/test/servers"
)

// replicaFigures are the metrics of an imago that searches in memory.
type replicaFigures struct{ usable, faces, lag, changes, loads, fallbacks float64 }

// waitFigures waits until the metrics are as wanted.
func (s *server) waitFigures(when string, want replicaFigures) {
	s.t.Helper()
	var got replicaFigures
	deadline := time.Now().Add(callTimeout)
	for got != want {
		require.True(s.t, time.Now().Before(deadline), "%s: %+v, want %+v\n%s", when, got, want, s.log)
		got = replicaFigures{
			s.metric("imago_replica_usable"), s.metric("imago_replica_faces"), s.metric("imago_replica_lag_changes"),
			s.metric("imago_replica_changes_total"), s.metric("imago_replica_loads_total"), s.metric("imago_replica_fallbacks_total"),
		}
	}
}

// waitBack waits until the log says for the nth time that searches are answered from memory.
func (s *server) waitBack(n int) {
	s.t.Helper()
	fixture.Until(s.t, "searches are answered from memory again", func() bool {
		return strings.Count(s.log.String(), `"level":"INFO","msg":"searching in memory again","component":"pgstore","duration_ms":`) == n
	})
}

// What the copy of the faces in memory does shows in metrics and, as two lines for each time
// that searches go to the database, in the log.
func TestReplicaIsSeen(t *testing.T) {
	t.Parallel()
	pg := servers.Postgres(t)
	conn, err := pgx.Connect(t.Context(), pg.DSN())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	sql := func(statement string) {
		t.Helper()
		_, err := conn.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	sql(`CREATE EXTENSION vector`)
	sql(`CREATE ROLE keeper LOGIN`)
	sql(`GRANT CREATE ON DATABASE postgres TO keeper`)
	env := []string{"IMAGO_STORE_DRIVER=pgvector", "IMAGO_STORE_PGVECTOR_DSN=" + strings.Replace(pg.DSN(), "imago@", "keeper@", 1)}
	first, second := start(t, env...), start(t, env...)
	obama, biden := fixture.ReadPortrait(t, "obama.jpg"), fixture.ReadPortrait(t, "biden.jpg")
	finds := func(picture []byte, user string) {
		t.Helper()
		require.Equal(t, user, second.search(picture).matches(t)[0].UserID)
	}

	second.waitFigures("at the start", replicaFigures{usable: 1, loads: 1})
	require.Equal(t, http.StatusOK, first.enrol("obama", obama).status)
	finds(obama, "obama")
	second.waitFigures("enrolled elsewhere", replicaFigures{usable: 1, faces: 1, changes: 1, loads: 1})
	require.Positive(t, second.metric("imago_replica_checks_total"))
	require.Zero(t, second.metric("imago_replica_failed_checks_total"))
	require.GreaterOrEqual(t, second.metric("imago_replica_bytes"), 4.0*128)
	public := second.withKey("", "GET", "/metrics", "").body
	require.Contains(t, public, "imago_replica_usable 1")
	require.NotContains(t, public, "imago_replica_faces")
	require.NotContains(t, public, "imago_replica_bytes")

	sql(`REVOKE SELECT ON imago.changed_users FROM keeper`)
	require.Equal(t, http.StatusOK, first.enrol("biden", biden).status)
	second.waitFigures("what has changed cannot be read", replicaFigures{faces: 1, lag: 1, changes: 1, loads: 1})
	require.Positive(t, second.metric("imago_replica_failed_checks_total"))
	const searches = 10
	for range searches {
		finds(biden, "biden")
	}
	second.waitFigures("searched meanwhile", replicaFigures{faces: 1, lag: 1, changes: 1, loads: 1, fallbacks: searches})
	sql(`GRANT SELECT ON imago.changed_users TO keeper`)
	second.waitFigures("it can be read again", replicaFigures{usable: 1, faces: 2, changes: 2, loads: 1, fallbacks: searches})
	second.waitBack(1)

	sql(`ALTER TABLE imago.faces DISABLE TRIGGER log_deletes`)
	second.waitFigures("a trigger is disabled", replicaFigures{faces: 2, changes: 2, loads: 1, fallbacks: searches})
	sql(`DELETE FROM imago.users WHERE user_id = 'biden'`)
	require.Equal(t, notFound, second.search(biden).body)
	// Where nobody is found, the store is asked for the nearest user, too.
	second.waitFigures("searched meanwhile", replicaFigures{faces: 2, changes: 2, loads: 1, fallbacks: searches + 2})
	sql(`ALTER TABLE imago.faces ENABLE ALWAYS TRIGGER log_deletes`)
	second.waitFigures("the trigger is enabled", replicaFigures{usable: 1, faces: 1, changes: 2, loads: 2, fallbacks: searches + 2})
	second.waitBack(2)

	sql(`TRUNCATE imago.users CASCADE`)
	second.waitFigures("everything is removed", replicaFigures{usable: 1, changes: 2, loads: 3, fallbacks: searches + 2})
	second.waitBack(3)
	require.Equal(t, notFound, second.search(obama).body)

	for reason, times := range map[string]int{"": 3, "permission denied": 1, "faces may be changed past the change log": 1, "does not lead from the copy to the present": 1} {
		lost := fmt.Sprintf(`"level":"WARN","msg":"searching in the database","component":"pgstore","call":"check","error":"[^"]*%s`, reason)
		require.Len(t, regexp.MustCompile(lost).FindAllString(second.log.String(), -1), times, second.log)
	}
	require.NotContains(t, second.log.String(), `"level":"ERROR"`)
}

// An imago that keeps no copy has none of the metrics.
func TestNoReplicaIsSeen(t *testing.T) {
	t.Parallel()
	pg := servers.Postgres(t)
	for _, s := range []*server{start(t), start(t, "IMAGO_STORE_DRIVER=pgvector", "IMAGO_STORE_PGVECTOR_DSN="+pg.DSN(), "IMAGO_STORE_PGVECTOR_SEARCH=database")} {
		require.NotContains(t, s.must("GET", "/metrics", "").body, "imago_replica_")
	}
}
