package pgstore

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/servers"
)

// A transaction that somebody holds open hides nobody, and holds up nobody else: whoever is
// enrolled or removed meanwhile is found, or not, at once. When it ends, either way, its
// changes are seen at once, though others were committed long before and after it began.
func TestTransactionHeldOpen(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"COMMIT", "ROLLBACK"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			a, b, admin := two(t, settingsFor(t, dsn(t)))
			populate(t, a)
			first, second := administrator(t, a.driver.cfg), administrator(t, a.driver.cfg)
			execute(t, first, "BEGIN", addEve, `DELETE FROM users WHERE user_id = 'bob'`, `UPDATE faces SET owner = 'held' WHERE user_id = 'ada' AND face_id = 'f'`)
			for i := range 20 {
				user := fmt.Sprintf("user-%02d", i)
				writer := []*store{a, b}[i%2]
				require.NoError(t, writer.Add(t.Context(), record(user, "f", east), ports.NewUser()))
				agree(t, admin, "enrolling "+user, b, a)
				if i == 10 {
					execute(t, second, "BEGIN", strings.ReplaceAll(addEve, "eve", "fay"), `DELETE FROM users WHERE user_id = 'user-05'`)
				}
			}
			require.NoError(t, a.Remove(t.Context(), ports.WholeUser(userKey("user-03")), ports.Everybody()))
			require.NoError(t, a.Add(t.Context(), record("user-04", "new", north), ports.Replacement(ports.Everybody())))
			agree(t, admin, "changes", b, a)
			execute(t, second, "COMMIT")
			agree(t, admin, "the end of the later transaction", b, a)
			require.NoError(t, b.Add(t.Context(), record("last", "f", east), ports.NewUser()))
			execute(t, first, end)
			agree(t, admin, "the end of the earlier transaction", b, a)
		})
	}
}

// A transaction that is prepared is neither seen nor forgotten, across a crash too, and is
// seen at once when it is committed.
func TestPreparedTransaction(t *testing.T) {
	t.Parallel()
	pg := servers.Postgres(t)
	execute(t, outside(t, pg.DSN()), "ALTER SYSTEM SET max_prepared_transactions = 4")
	pg.Kill()
	require.NoError(t, pg.Restart())
	a, b, admin := two(t, settingsFor(t, pg.DSN()))
	populate(t, a)
	for _, end := range []string{"COMMIT PREPARED 'p'", "ROLLBACK PREPARED 'p'"} {
		execute(t, admin, `BEGIN; DELETE FROM users; `+addEve+`; PREPARE TRANSACTION 'p'`)
		agree(t, admin, "PREPARE TRANSACTION", a, b)
		pg.Kill()
		require.NoError(t, pg.Restart())
		admin = administrator(t, a.driver.cfg)
		settle(t, admin, "a crash", a, b)
		execute(t, admin, end)
		agree(t, admin, end, a, b)
		require.NoError(t, a.Add(t.Context(), record("next", "f", east), ports.NewUser()))
		agree(t, admin, "an enrolment", b, a)
		require.NoError(t, b.Remove(t.Context(), ports.WholeUser(userKey("next")), ports.Everybody()))
		agree(t, admin, "a removal", a, b)
	}
}

// settle checks that stores answer what the table holds, or that they cannot, until all can.
func settle(t *testing.T, conn *pgx.Conn, after string, stores ...*store) {
	t.Helper()
	want := table(t, conn)
	for i, s := range stores {
		fixture.Until(t, "searches are answered after "+after, func() bool {
			got, err := searched(t, s)
			if err != nil {
				require.ErrorIs(t, err, ports.ErrUnavailable)
				return false
			}
			require.Equal(t, want, got, "instance %d after %s", i, after)
			return true
		})
	}
}

// An older dump is restored while two imagos run, in whatever way, and what was enrolled or
// removed since is forgotten by all at once.
func TestRestoreOfAnOlderDump(t *testing.T) {
	t.Parallel()
	const clean = "pg_restore --dbname=%NAME% --clean --if-exists "
	for name, commands := range map[string][]string{
		"clean":               {clean + "DUMP"},
		"clean, one step":     {clean + "--single-transaction DUMP"},
		"in parallel":         {clean + "--jobs=3 DUMP"},
		"database made anew":  {"psql -c 'DROP DATABASE %NAME% WITH (FORCE)' -d postgres", "psql -c 'CREATE DATABASE %NAME%' -d postgres", "pg_restore --dbname=%NAME% DUMP"},
		"data alone":          {"psql -c 'TRUNCATE imago.users CASCADE'", "pg_restore --dbname=%NAME% --data-only -n imago -t users DUMP", "pg_restore --dbname=%NAME% --data-only -n imago -t faces DUMP"},
		"data and the log":    {"psql -c 'TRUNCATE imago.users CASCADE'", "psql -c 'TRUNCATE imago.space, imago.migrations, imago.commit_counter, imago.commits, imago.changed_users'", "pg_restore --dbname=%NAME% --data-only --disable-triggers -n imago DUMP"},
		"data, no triggers":   {"psql -c 'TRUNCATE imago.users CASCADE'", "pg_restore --dbname=%NAME% --data-only --disable-triggers -n imago -t users -t faces DUMP"},
		"table by table":      {"psql -c 'TRUNCATE imago.users CASCADE'", "psql -c \"\\copy imago.users FROM FOLDER/users\"", "psql -c \"\\copy imago.faces FROM FOLDER/faces\""},
		"the table of faces":  {clean + "-n imago -t faces DUMP"},
		"under another name":  {"psql -c 'ALTER SCHEMA imago RENAME TO former'", "pg_restore --dbname=%NAME% DUMP"},
		"there and back":      {"pg_dump --format=custom --file=FOLDER/newer", clean + "DUMP", clean + "FOLDER/newer"},
		"twice, with changes": {clean + "DUMP", "psql -c \"DELETE FROM imago.users WHERE user_id = 'ada'\"", clean + "DUMP", "psql -c \"DELETE FROM imago.users WHERE user_id = 'cyd'\""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := database(t, "")
			a, b, admin := two(t, cfg)
			name := admin.Config().Database
			folder := t.TempDir()
			shell := func(command string) {
				t.Helper()
				command = strings.NewReplacer("DUMP", filepath.Join(folder, "dump"), "FOLDER", folder, "%NAME%", name).Replace(command)
				cmd := exec.CommandContext(t.Context(), "bash", "-c", command)
				cmd.Env = append(server.Environment(), "PGDATABASE="+name)
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s\n%s", command, out)
			}
			populate(t, a)
			agree(t, admin, "enrolments", a, b)
			shell("pg_dump --format=custom --file=FOLDER/dump")
			for _, table := range []string{"users", "faces"} {
				shell(`psql -c "\copy imago.` + table + ` TO FOLDER/` + table + `"`)
			}
			require.NoError(t, a.Add(t.Context(), record("late", "f", east), ports.NewUser()))
			require.NoError(t, b.Remove(t.Context(), ports.WholeUser(userKey("bob")), ports.Everybody()))
			agree(t, admin, "changes", a, b)
			for _, command := range commands {
				shell(command)
				if !strings.HasPrefix(command, "psql") || strings.Contains(command, "TRUNCATE") || strings.Contains(command, "DELETE") {
					settle(t, administrator(t, cfg), command, a, b)
				}
			}
			require.NotEmpty(t, table(t, administrator(t, cfg)))
			again := administrator(t, cfg)
			execute(t, again, `DELETE FROM faces WHERE user_id = 'cyd'`)
			settle(t, again, "a deletion", a, b)
		})
	}
}

// The primary dies and a standby that lacks its last commits is promoted. What was lost with
// it is not found any more, though it was searched in memory a moment before, and as many
// commits have been made since as were lost.
func TestFailoverThatLosesCommits(t *testing.T) {
	t.Parallel()
	pg := servers.Postgres(t)
	standby := pg.Standby(t)
	cfg := config.Default().Store.PGVector
	cfg.DSN = config.Secret(strings.Replace(pg.DSN(), "@"+host(t, pg), "@"+host(t, pg)+","+host(t, standby), 1))
	a, b, admin := two(t, cfg)
	populate(t, a)
	agree(t, admin, "enrolments", a, b)
	behind := administrator(t, config.PGVectorStore{DSN: config.Secret(standby.DSN()), Schema: cfg.Schema})
	fixture.Until(t, "the standby has everybody", func() bool {
		var there bool
		require.NoError(t, behind.QueryRow(t.Context(), `SELECT to_regclass('faces') IS NOT NULL`).Scan(&there))
		return there && len(table(t, behind)) == len(table(t, admin))
	})
	execute(t, behind, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	fixture.Until(t, "the standby is cut off", func() (off bool) {
		require.NoError(t, behind.QueryRow(t.Context(), `SELECT count(*) = 0 FROM pg_stat_wal_receiver`).Scan(&off))
		return off
	})
	require.NoError(t, a.Add(t.Context(), record("lost", "f", east), ports.NewUser()))
	require.NoError(t, a.Remove(t.Context(), ports.WholeUser(userKey("bob")), ports.Everybody()))
	agree(t, admin, "changes that will be lost", a, b)
	pg.Kill()
	execute(t, behind, "SELECT pg_promote()",
		`INSERT INTO users VALUES ('users', 'one')`, `INSERT INTO faces VALUES ('users', 'one', 'f', 'psql', now(), '[-0.6,0.8]')`,
		`INSERT INTO faces VALUES ('users', 'one', 'g', 'psql', now(), '[-0.8,0.6]')`)
	settle(t, behind, "the failover", a, b)
	require.Contains(t, table(t, behind), faceOf{"bob", "f", "gateway"}, "nothing was lost")
	require.NoError(t, b.Add(t.Context(), record("next", "f", east), ports.NewUser()))
	agree(t, behind, "an enrolment", a, b)
}

// host returns where a server listens.
func host(t *testing.T, pg *servers.PostgresServer) string {
	t.Helper()
	at, err := pgx.ParseConfig(pg.DSN())
	require.NoError(t, err)
	return fmt.Sprintf("%s:%d", at.Host, at.Port)
}

// The tables are the target of a logical replication that applies rows past the triggers:
// searches are answered by the database as long as it lasts.
func TestLogicalReplication(t *testing.T) {
	t.Parallel()
	from, to := servers.Postgres(t), servers.Postgres(t)
	execute(t, outside(t, from.DSN()), "ALTER SYSTEM SET wal_level = logical")
	from.Kill()
	require.NoError(t, from.Restart())
	cfg := settingsFor(t, from.DSN())
	source := started(t, cfg, testSpace(2))
	publisher := administrator(t, cfg)
	execute(t, publisher, "CREATE PUBLICATION p FOR TABLE users, faces")
	cfg.DSN = config.Secret(to.DSN())
	a, b, admin := two(t, cfg)
	agree(t, admin, "the start", a, b)
	execute(t, admin, "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 user=imago dbname=postgres port="+strings.Split(host(t, from), ":")[1]+"' PUBLICATION p")
	for step, change := range []func(){
		func() { populate(t, source) },
		func() {
			require.NoError(t, source.Remove(t.Context(), ports.WholeUser(userKey("bob")), ports.Everybody()))
		},
		func() {
			require.NoError(t, source.Add(t.Context(), record("ada", "new", north), ports.Replacement(ports.Everybody())))
		},
	} {
		change()
		want := table(t, publisher)
		fixture.Until(t, "the change is replicated", func() bool { return reflect.DeepEqual(want, table(t, admin)) })
		agree(t, admin, fmt.Sprint("change ", step), a, b)
	}
}

// What a policy hides depends on more than the table: the database answers.
func TestRowLevelSecurity(t *testing.T) {
	t.Parallel()
	owner := database(t, "")
	cfg := as(t, owner, "plain")
	role := strings.TrimPrefix(strings.SplitN(cfg.DSN.Reveal(), "@", 2)[0], "postgres://")
	populate(t, started(t, owner, testSpace(2)))
	run(t, owner, "GRANT USAGE ON SCHEMA imago TO "+role, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA imago TO "+role)
	a, b, plain := two(t, cfg)
	agree(t, plain, "the start", a, b)
	for _, statement := range []string{
		"ALTER TABLE imago.faces ENABLE ROW LEVEL SECURITY",
		"CREATE POLICY p ON imago.faces USING (user_id <> 'bob')",
		"ALTER POLICY p ON imago.faces USING (user_id <> 'ada')",
		"ALTER TABLE imago.faces DISABLE ROW LEVEL SECURITY",
	} {
		run(t, owner, statement)
		agree(t, plain, statement, a, b)
	}
}

// Faces that may be changed past the log are told of once, with what to do, and so is that
// the log is trusted again, and faces are searched in memory then.
func TestLogWithoutTriggers(t *testing.T) {
	t.Parallel()
	cfg := settingsFor(t, dsn(t))
	cfg.Search = config.SearchReplica
	var log fixture.Log
	s := guarded(New(cfg, testSpace(2), log.Logger()))
	s.LogOutages(log.Logger())
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { closeStore(t, s) })
	admin := administrator(t, cfg)
	populate(t, s)
	for round := range 2 {
		fixture.Until(t, "the faces are in memory", func() bool { return s.replica.Stats().Usable })
		execute(t, admin, disable)
		for range 5 {
			before := s.replica.Stats().Fallbacks
			agree(t, admin, disable, s)
			require.Equal(t, before+1, s.replica.Stats().Fallbacks)
		}
		require.Equal(t, round+1, strings.Count(log.String(), "faces may be changed past the change log"), log.String())
		require.Contains(t, log.String(), "adapters/pgstore/README.md")
		execute(t, admin, enable)
		fixture.Until(t, "a search in memory", func() bool {
			before := s.replica.Stats().Fallbacks
			agree(t, admin, enable, s)
			return s.replica.Stats().Fallbacks == before
		})
		fixture.Until(t, "it is logged", func() bool { return strings.Count(log.String(), "searching in memory again") == round+1 })
	}
}
