package pgstore

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/servers"
)

// requireReadOnly checks that a store serves searches, refuses changes and says why, in
// readiness and in the changes, and that it looks the same to an imago that starts now.
func requireReadOnly(t *testing.T, s *store, says string) {
	t.Helper()
	again := started(t, s.driver.cfg, s.driver.space)
	for _, s := range []*store{s, again} {
		err := s.CheckHealth(t.Context())
		require.ErrorIs(t, err, ports.ErrUnavailable)
		require.ErrorContains(t, err, says)
		err = s.Add(t.Context(), record("bob", "f", east), ports.NewUser())
		require.ErrorIs(t, err, ports.ErrUnavailable)
		require.ErrorContains(t, err, says)
		require.ErrorContains(t, s.Remove(t.Context(), ports.WholeUser(userKey("ada")), ports.Everybody()), says)
		require.Equal(t, []string{"ada/f"}, found(t, s, ports.Query{Vector: east, K: 1}))
		require.Equal(t, []string{"ada/f"}, contents(t, s))
	}
}

// A database that turns read-only, in whatever way, still serves searches, and readiness
// says so at once; connections that were open before and new ones agree. So they do when
// writes are possible again.
func TestReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	pg := servers.Postgres(t)
	const says = "the database is read-only"
	const name = "default_transaction_read_only"
	for _, c := range []struct{ on, off string }{
		{"ALTER DATABASE postgres SET " + name + " = on", "ALTER DATABASE postgres RESET " + name},
		{"ALTER ROLE imago SET " + name + " = true", "ALTER ROLE imago RESET " + name},
		{"ALTER ROLE ALL SET " + name + " = on", "ALTER ROLE ALL RESET " + name},
		{"ALTER SYSTEM SET " + name + " = on; SELECT pg_reload_conf()", "ALTER SYSTEM RESET " + name + "; SELECT pg_reload_conf()"},
		{"ALTER DATABASE postgres SET " + name + " = on", "ALTER DATABASE postgres SET " + name + " = off"},
		{"ALTER ROLE imago IN DATABASE postgres SET " + name + " = on", "ALTER ROLE imago IN DATABASE postgres SET " + name + " = off"},
	} {
		// The administrator's connection is from before.
		admin := outside(t, pg.DSN())
		admit := func(statements string) {
			for _, s := range append([]string{"SET " + name + " = off"}, strings.Split(statements, "; ")...) {
				_, err := admin.Exec(t.Context(), s)
				require.NoError(t, err, s)
			}
		}
		cfg := settingsFor(t, pg.DSN())
		s := started(t, cfg, testSpace(2))
		require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
		require.NoError(t, s.CheckHealth(t.Context()))
		admit(c.on)
		fixture.Until(t, c.on, func() bool { return s.CheckHealth(t.Context()) != nil })
		requireReadOnly(t, s, says)
		admit(c.off)
		fixture.Until(t, c.off, func() bool { return s.CheckHealth(t.Context()) == nil })
		require.NoError(t, s.Add(t.Context(), record("bob", "f", east), ports.NewUser()), c.off)
	}
}

// A setting of the connection string is the operator's own.
func TestReadOnlyConnections(t *testing.T) {
	t.Parallel()
	cfg := settingsFor(t, dsn(t))
	s := started(t, cfg, testSpace(2))
	require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
	cfg.DSN = with(cfg.DSN, "options", "-c default_transaction_read_only=on")
	requireReadOnly(t, started(t, cfg, testSpace(2)), "the database is read-only")
	cfg.Schema += "_fresh"
	_, err := start(t, cfg, testSpace(2))
	require.ErrorContains(t, err, "the database is read-only", "what is to be made needs writes")
}

// A standby serves nothing: it may be behind. Its sentence comes first, whatever was tried
// before, and one that is promoted is used by itself.
func TestStandby(t *testing.T) {
	t.Parallel()
	pg := servers.Postgres(t)
	cfg := settingsFor(t, strings.Replace(pg.DSN(), "sslmode=disable", "sslmode=prefer", 1))
	s := started(t, cfg, testSpace(2))
	require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
	require.NoError(t, pg.Demote())
	require.ErrorIs(t, s.CheckHealth(t.Context()), ports.ErrUnavailable, "a connection to the former server")
	_, failure := start(t, cfg, testSpace(2))
	_, search := s.Search(t.Context(), ports.Query{Collection: users, Vector: east, K: 1})
	for _, err := range []error{failure, search, s.CheckHealth(t.Context()), s.Add(t.Context(), record("bob", "f", east), ports.NewUser())} {
		require.ErrorIs(t, err, ports.ErrUnavailable)
		require.Regexp(t, `cannot connect to 127\.0\.0\.1:\d+ \(127\.0\.0\.1\): the server is a standby that takes no writes$`, err.Error())
	}
	admin := outside(t, pg.DSN())
	_, err := admin.Exec(t.Context(), "SELECT pg_promote()")
	require.NoError(t, err)
	fixture.Until(t, "the promoted server is used", func() bool { return s.CheckHealth(t.Context()) == nil })
	require.Equal(t, []string{"ada/f"}, contents(t, s))
}

// Readiness notices whatever would fail a call: a privilege, a column, a table that is gone.
func TestReadinessTellsTheTruth(t *testing.T) {
	t.Parallel()
	admin := database(t, "")
	cfg := as(t, admin, "plain")
	role := strings.TrimPrefix(strings.SplitN(cfg.DSN.Reveal(), "@", 2)[0], "postgres://")
	started(t, admin, testSpace(2))
	run(t, admin, "GRANT USAGE ON SCHEMA imago TO "+role, "GRANT SELECT ON ALL TABLES IN SCHEMA imago TO "+role,
		"GRANT INSERT, UPDATE, DELETE ON imago.users, imago.faces TO "+role)
	s := started(t, cfg, testSpace(2))
	require.NoError(t, s.CheckHealth(t.Context()))
	for _, c := range []struct{ harm, says, mend string }{
		{"REVOKE INSERT ON imago.users FROM " + role, "permission denied for table users", "GRANT INSERT ON imago.users TO " + role},
		{"REVOKE INSERT ON imago.faces FROM " + role, "permission denied for table faces", "GRANT INSERT ON imago.faces TO " + role},
		{"REVOKE DELETE ON imago.users FROM " + role, "permission denied for table users", "GRANT DELETE ON imago.users TO " + role},
		{"REVOKE DELETE ON imago.faces FROM " + role, "permission denied for table faces", "GRANT DELETE ON imago.faces TO " + role},
		{"REVOKE UPDATE ON imago.users FROM " + role, "permission denied for table users", "GRANT UPDATE ON imago.users TO " + role},
		{"REVOKE SELECT ON imago.faces FROM " + role, "permission denied for table faces", "GRANT SELECT ON imago.faces TO " + role},
		{"REVOKE SELECT ON imago.space FROM " + role, "permission denied for table space", "GRANT SELECT ON imago.space TO " + role},
		{"REVOKE USAGE ON SCHEMA imago FROM " + role, "SQLSTATE", "GRANT USAGE ON SCHEMA imago TO " + role},
		{"ALTER TABLE imago.faces RENAME owner TO proprietor", `column "owner"`, "ALTER TABLE imago.faces RENAME proprietor TO owner"},
		{"ALTER TABLE imago.faces RENAME enrolled_at TO since", `column "enrolled_at"`, "ALTER TABLE imago.faces RENAME since TO enrolled_at"},
		{"ALTER TABLE imago.faces RENAME chip TO picture", `column "chip"`, "ALTER TABLE imago.faces RENAME picture TO chip"},
		{"ALTER TABLE imago.users RENAME TO people", `relation "imago.users" does not exist`, "ALTER TABLE imago.people RENAME TO users"},
		{"ALTER TABLE imago.faces RENAME TO pictures", `relation "imago.faces" does not exist`, "ALTER TABLE imago.pictures RENAME TO faces"},
	} {
		run(t, admin, c.harm)
		for range 2 {
			err := s.CheckHealth(t.Context())
			require.ErrorIs(t, err, ports.ErrUnavailable, c.harm)
			require.ErrorContains(t, err, c.says, c.harm)
			s.driver.pool.Reset() // for a connection that knows nothing of before
		}
		run(t, admin, c.mend)
		require.NoError(t, s.CheckHealth(t.Context()), c.mend)
	}
	require.Empty(t, contents(t, s), "nothing was written")
}

// At the server's limit calls wait for a connection that is in use; where there is none
// the refusal is told at once, with what to do.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	admin := database(t, "")
	cfg := as(t, admin, "plain")
	role := strings.TrimPrefix(strings.SplitN(cfg.DSN.Reveal(), "@", 2)[0], "postgres://")
	run(t, admin, "CREATE EXTENSION vector", "CREATE SCHEMA imago AUTHORIZATION "+role)
	s := started(t, cfg, testSpace(2))
	require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
	run(t, admin, "ALTER ROLE "+role+" CONNECTION LIMIT 2")
	s.driver.pool.Reset()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, err := range fixture.Together(200, func(int) error {
		_, err := s.Search(ctx, ports.Query{Collection: users, Vector: east, K: 1})
		return err
	}) {
		require.NoError(t, err)
	}
	require.LessOrEqual(t, s.driver.pool.Stat().TotalConns(), int32(2))

	run(t, admin, "ALTER ROLE "+role+" CONNECTION LIMIT 0")
	s.driver.pool.Reset()
	fixture.Until(t, "no connection is left", func() bool { return s.driver.pool.Stat().TotalConns() == 0 })
	err := s.CheckHealth(t.Context())
	require.ErrorIs(t, err, ports.ErrUnavailable)
	require.ErrorContains(t, err, "the server has no connection left")
	require.ErrorContains(t, err, "SQLSTATE 53300")
	run(t, admin, "ALTER ROLE "+role+" CONNECTION LIMIT 2")
	fixture.Until(t, "connections are had again", func() bool { return s.CheckHealth(t.Context()) == nil })
}

// An error of connecting is about its cause, not about the ways that were tried before.
func TestConnectErrorsNameTheCause(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"prefer", "allow", "disable"} {
		for database, says := range map[string]string{
			"nowhere":  `server error: FATAL: database "nowhere" does not exist`,
			"postgres": "connection refused",
		} {
			cfg := settingsFor(t, dsn(t))
			cfg.DSN = config.Secret(strings.NewReplacer("sslmode=disable", "sslmode="+mode, "/postgres?", "/"+database+"?").Replace(cfg.DSN.Reveal()))
			if database == "postgres" {
				cfg.DSN = config.Secret("postgres://imago@127.0.0.1:1/imago?sslmode=" + mode)
			}
			_, err := start(t, cfg, testSpace(2))
			require.ErrorIs(t, err, ports.ErrUnavailable)
			require.Equal(t, 1, strings.Count(err.Error(), says), "%v", err)
			require.NotContains(t, err.Error(), "TLS")
			require.NotContains(t, err.Error(), "\n")
		}
	}
	cfg := settingsFor(t, dsn(t))
	cfg.DSN = config.Secret(strings.Replace(cfg.DSN.Reveal(), "sslmode=disable", "sslmode=require", 1))
	_, err := start(t, cfg, testSpace(2))
	require.ErrorContains(t, err, "server refused TLS connection", "there it is the cause")
}
