package pgstore

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/servers"
)

// database creates an empty database on the shared server for one test and
// returns the configuration for it. An operator's own server is left as it is.
func database(t *testing.T, options string) config.PGVectorStore {
	t.Helper()
	address := dsn(t)
	servers.NeedOwn(t, servers.PGVector, server.Managed())
	name := fmt.Sprintf("imago_test_%d_%d", os.Getpid(), schemas.Add(1))
	admin := outside(t, address)
	_, err := admin.Exec(t.Context(), "CREATE DATABASE "+name+" "+options)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := outside(t, address).Exec(context.WithoutCancel(t.Context()), "DROP DATABASE "+name+" WITH (FORCE)")
		require.NoError(t, err)
	})
	at, err := url.Parse(address)
	require.NoError(t, err)
	at.Path = "/" + name
	cfg := config.Default().Store.PGVector
	cfg.DSN, cfg.ConnectTimeout = config.Secret(at.String()), time.Minute
	return cfg
}

// as returns a configuration for another role, which is created.
func as(t *testing.T, cfg config.PGVectorStore, role string) config.PGVectorStore {
	t.Helper()
	role = fmt.Sprintf("%s_%d", role, schemas.Add(1))
	admin := cfg.DSN.Reveal()
	run(t, cfg, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() {
		_, err := outside(t, dsn(t)).Exec(context.WithoutCancel(t.Context()), "DROP ROLE "+role)
		require.NoError(t, err)
	})
	t.Cleanup(func() {
		_, err := outside(t, admin).Exec(context.WithoutCancel(t.Context()), "DROP OWNED BY "+role+" CASCADE")
		require.NoError(t, err)
	})
	at, err := url.Parse(admin)
	require.NoError(t, err)
	at.User = url.User(role)
	cfg.DSN = config.Secret(at.String())
	return cfg
}

// run runs statements as an administrator of a database.
func run(t *testing.T, cfg config.PGVectorStore, statements ...string) {
	t.Helper()
	conn := outside(t, cfg.DSN.Reveal())
	for _, statement := range statements {
		_, err := conn.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
}

// Eight imagos start at once on a database that has nothing, and work together.
func TestStartTogether(t *testing.T) {
	t.Parallel()
	cfg := database(t, "")
	cfg.Index = config.IndexHNSW
	stores := make([]*store, 8)
	for i := range stores {
		stores[i] = guarded(New(cfg, testSpace(2), slog.New(slog.DiscardHandler)))
	}
	for _, err := range fixture.Together(len(stores), func(i int) error { return stores[i].Start(t.Context()) }) {
		require.NoError(t, err)
	}
	for i, s := range stores {
		defer closeStore(t, s)
		require.NoError(t, s.Add(t.Context(), record(fmt.Sprint(i), "f", east), ports.NewUser()))
	}
	for _, s := range stores {
		<-s.driver.hnsw.ready
		n, err := s.Count(t.Context(), users)
		require.NoError(t, err)
		require.Equal(t, len(stores), n)
	}
}

// Of two spaces that want an empty schema one gets it.
func TestStartTogetherWithTwoSpaces(t *testing.T) {
	t.Parallel()
	cfg := settingsFor(t, dsn(t))
	spaces := []ports.Space{testSpace(2), testSpace(3)}
	stores := make([]*store, 8)
	errs := fixture.Together(len(stores), func(i int) error {
		stores[i] = guarded(New(cfg, spaces[i%2], slog.New(slog.DiscardHandler)))
		return stores[i].Start(t.Context())
	})
	winner := 0
	if errs[0] != nil {
		winner = 1
	}
	for i, s := range stores {
		if i%2 == winner {
			require.NoError(t, errs[i])
			closeStore(t, s)
			continue
		}
		require.ErrorIs(t, errs[i], ports.ErrSpaceMismatch)
		require.ErrorContains(t, errs[i], spaces[0].String())
		require.ErrorContains(t, errs[i], spaces[1].String())
		requireUnavailable(t, s)
	}
}

func TestEncoding(t *testing.T) {
	t.Parallel()
	_, err := start(t, database(t, "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"), testSpace(2))
	require.ErrorContains(t, err, "the database has the encoding LATIN1, and imago needs UTF8")
}

// A role that may do nothing but use its own schema is enough, once an
// administrator has made the rest; until then it is told what is missing.
func TestPlainRole(t *testing.T) {
	t.Parallel()
	admin := database(t, "")
	cfg := as(t, admin, "plain")
	role := strings.TrimPrefix(strings.SplitN(cfg.DSN.Reveal(), "@", 2)[0], "postgres://")

	_, err := start(t, cfg, testSpace(2))
	require.ErrorContains(t, err, "have an administrator run CREATE EXTENSION vector")
	run(t, admin, "CREATE SCHEMA extensions", "CREATE EXTENSION vector SCHEMA extensions", "GRANT USAGE ON SCHEMA extensions TO "+role)
	_, err = start(t, cfg, testSpace(2))
	require.ErrorContains(t, err, `have an administrator run CREATE SCHEMA "imago" AUTHORIZATION`)
	run(t, admin, "CREATE SCHEMA imago AUTHORIZATION "+role)
	cfg.Index = config.IndexHNSW
	for range 2 {
		s := started(t, cfg, testSpace(2))
		require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
		require.Equal(t, []string{"ada/f"}, found(t, s, ports.Query{Vector: east, K: 1, MinScore: 0.5}))
		require.NoError(t, s.Remove(t.Context(), ports.WholeUser(userKey("ada")), ports.Everybody()))
	}
}

// Where the search path names no schema the extension goes into public.
func TestNoSchemaInTheSearchPath(t *testing.T) {
	t.Parallel()
	admin := database(t, "")
	cfg := admin
	cfg.DSN = with(cfg.DSN, "options", "-c search_path=nowhere")
	run(t, admin, "DROP SCHEMA public")
	_, err := start(t, cfg, testSpace(2))
	require.ErrorContains(t, err, "run CREATE SCHEMA public")
	run(t, admin, "CREATE SCHEMA public")
	s := started(t, cfg, testSpace(2))
	require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
	require.Equal(t, []string{"ada/f"}, contents(t, s))
	started(t, admin, testSpace(2)) // finds the extension there
}

// What is set for the role, the database or by the operator does not weaken
// what the store promises.
func TestSessionSettings(t *testing.T) {
	t.Parallel()
	cfg := settingsFor(t, dsn(t))
	cfg.Schema = "Order " + cfg.Schema
	cfg.DSN = with(cfg.DSN, "options", "-c synchronous_commit=off -c default_transaction_isolation=serializable -c search_path=nowhere")
	t.Cleanup(func() {
		_, err := outside(t, dsn(t)).Exec(context.WithoutCancel(t.Context()), `DROP SCHEMA "`+cfg.Schema+`" CASCADE`)
		require.NoError(t, err)
	})
	s := started(t, cfg, testSpace(2))
	require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
	require.Equal(t, []string{"ada/f"}, contents(t, s))
}

func TestTablesOfNewerImago(t *testing.T) {
	t.Parallel()
	cfg := settingsFor(t, dsn(t))
	started(t, cfg, testSpace(2))
	run(t, cfg, "INSERT INTO "+cfg.Schema+".migrations (version_id, is_applied) VALUES (99, true)")
	_, err := start(t, cfg, testSpace(2))
	require.ErrorContains(t, err, "they were created by a newer imago (version 99, this imago knows 7)")
}

// A schema that is dropped or made anew under a running store makes it
// unhealthy.
func TestSchemaTakenAway(t *testing.T) {
	t.Parallel()
	cfg := settingsFor(t, dsn(t))
	s := started(t, cfg, testSpace(2))
	run(t, cfg, "DROP SCHEMA "+cfg.Schema+" CASCADE")
	require.ErrorIs(t, s.CheckHealth(t.Context()), ports.ErrUnavailable)
	requireUnavailable(t, s)
	started(t, cfg, testSpace(3))
	require.ErrorIs(t, s.CheckHealth(t.Context()), ports.ErrSpaceMismatch)
}

// A pgvector whose vacuum damages the index is named in the log, with what to do, where
// the index is used.
func TestVacuumDamages(t *testing.T) {
	t.Parallel()
	cfg := database(t, "")
	run(t, cfg, "CREATE EXTENSION vector")
	for version, damages := range map[string]bool{"0.8.0": true, "0.8.3": true, "0.8.4": false, "0.8.10": false, "0.9.0": false, "1.0.1": false} {
		run(t, cfg, "UPDATE pg_extension SET extversion = '"+version+"' WHERE extname = 'vector'")
		for _, index := range []string{config.IndexExact, config.IndexHNSW} {
			var log journal
			cfg.Index = index
			s := guarded(New(cfg, testSpace(2), slog.New(slog.NewTextHandler(&log, nil))))
			require.NoError(t, s.Start(t.Context()))
			closeStore(t, s)
			warned := strings.Contains(log.String(), `REINDEX INDEX CONCURRENTLY \"imago\".\"faces_hnsw_half_m16_ef128\"`) &&
				strings.Contains(log.String(), "version="+version)
			require.Equal(t, damages && index == config.IndexHNSW, warned, "%s %s: %s", version, index, log.String())
		}
	}
}

func TestCheckVersion(t *testing.T) {
	for version, ok := range map[string]bool{
		"0.8.0": true, "0.8.5": true, "0.10.1": true, "1.0": true, "0.7.4": false, "0.5": false, "odd": false, "": false,
	} {
		require.NoError(t, checkVersion(version, config.IndexExact))
		if err := checkVersion(version, config.IndexHNSW); ok {
			require.NoError(t, err, version)
		} else {
			require.ErrorContains(t, err, "needs pgvector 0.8.0 or newer, and the database has "+version)
		}
	}
}
