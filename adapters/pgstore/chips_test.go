package pgstore

import (
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
)

// chip returns bytes that are those of a seed.
func chip(seed uint64, size int) []byte {
	bytes, rng := make([]byte, size), seeded(seed)
	for i := range bytes {
		bytes[i] = byte(rng.Uint32())
	}
	return bytes
}

func withChips(r ports.Record, seed uint64) ports.Record {
	r.Chip = chip(seed, 30_000)
	return r
}

// chips returns the chips of the collection of the tests.
func chips(t *testing.T, s *store) map[string][]byte {
	t.Helper()
	selection := ports.Everything(users, "")
	selection.WithChips = true
	all := map[string][]byte{}
	for r, err := range s.Scan(t.Context(), selection) {
		require.NoError(t, err)
		if r.Chip != nil {
			all[r.UserID+"/"+r.FaceID] = r.Chip
		}
	}
	return all
}

// Chips come back whole, in whatever way the connection passes arguments, alone and with
// those of others.
func TestChipsInEveryExecMode(t *testing.T) {
	dsn(t)
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			cfg := settingsFor(t, dsn(t))
			cfg.DSN = with(cfg.DSN, "default_query_exec_mode", mode)
			s := started(t, cfg, testSpace(2))
			const n = 60
			want := map[string][]byte{}
			for i := range n {
				if i%3 != 0 {
					want[fmt.Sprintf("%d/f", i)] = chip(uint64(i), 30_000)
				}
			}
			for _, err := range fixture.Together(n, func(i int) error {
				r := record(fmt.Sprint(i), "f", east)
				r.Chip = want[fmt.Sprintf("%d/f", i)]
				return s.Add(t.Context(), r, ports.NewUser())
			}) {
				require.NoError(t, err)
			}
			require.NoError(t, s.Add(t.Context(), withChips(record("0", "g", east), n), ports.FurtherFace(ports.Everybody())))
			require.NoError(t, s.Add(t.Context(), withChips(record("1", "f", north), n+1), ports.Replacement(ports.Everybody()).Unlike(0.9)))
			want["0/g"], want["1/f"] = chip(n, 30_000), chip(n+1, 30_000)
			require.Equal(t, want, chips(t, s))
			require.NoError(t, s.CheckHealth(t.Context()))
		})
	}
}

// What the new users of one transaction bring is bounded, whoever waits.
func TestChipsOfATransaction(t *testing.T) {
	c := &committer{queue: make(chan *write, queueLength)}
	for range queueLength {
		c.queue <- &write{newUser: &ports.Record{Chip: make([]byte, ports.MaxChipBytes)}}
	}
	taken := 0
	for len(c.queue) > 0 {
		batch := c.collect(<-c.queue)
		require.Less(t, len(batch)*ports.MaxChipBytes, chipBytes+ports.MaxChipBytes)
		taken += len(batch)
	}
	require.Equal(t, queueLength, taken)
}

// No call but a scan that asks for chips reads them from the side table, nor does an imago
// that copies all faces into its memory and follows their changes.
func TestChipsAreReadForScansAlone(t *testing.T) {
	t.Parallel()
	cfg := settingsFor(t, dsn(t))
	cfg.Search = config.SearchReplica
	s := started(t, cfg, testSpace(2))
	for i := range 20 {
		require.NoError(t, s.Add(t.Context(), withChips(record(fmt.Sprintf("user-%02d", i), "f", east), uint64(i)), ports.NewUser()))
	}
	closeStore(t, s)
	before := chipReads(t, cfg)
	require.Positive(t, before, "storing them counts too")

	for _, search := range []string{config.SearchDatabase, config.SearchReplica} {
		cfg.Search = search
		s = started(t, cfg, testSpace(2))
		start := position(t, s)
		r := record("user-05", "g-"+search, north)
		r.ExpiresAt = time.Now().Add(time.Hour)
		require.NoError(t, s.Add(t.Context(), r, ports.FurtherFace(ports.Everybody())), "it sets the expiry of the other face")
		matches, err := s.Search(t.Context(), everyone)
		require.NoError(t, err)
		require.Len(t, matches, 20)
		for _, face := range changedSince(t, s, start).Faces {
			require.Empty(t, face.Chip)
		}
		_, err = s.driver.Snapshot(t.Context(), func(r ports.Record) error {
			require.Empty(t, r.Chip)
			return nil
		})
		require.NoError(t, err)
		_, err = s.Get(t.Context(), userKey("user-05"))
		require.NoError(t, err)
		contents(t, s)
		closeStore(t, s)
	}
	require.Equal(t, before, chipReads(t, cfg))

	s = started(t, cfg, testSpace(2))
	require.Len(t, chips(t, s), 20)
	closeStore(t, s)
	require.Greater(t, chipReads(t, cfg), before)
}

// chipReads returns how many blocks of the side table of faces a server has read for stores
// that are closed.
func chipReads(t *testing.T, cfg config.PGVectorStore) (blocks int) {
	t.Helper()
	conn := outside(t, dsn(t))
	fixture.Until(t, "the connections have ended, and told what they did", func() bool {
		var open int
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = $1`, cfg.Schema).Scan(&open))
		return open == 0
	})
	require.NoError(t, conn.QueryRow(t.Context(), `
		SELECT toast_blks_read + toast_blks_hit FROM pg_statio_user_tables WHERE schemaname = $1 AND relname = 'faces'`, cfg.Schema).Scan(&blocks))
	return blocks
}

// The tables of an imago that knew no chips get a place for them; nobody is lost.
func TestTablesWithoutChips(t *testing.T) {
	t.Parallel()
	cfg := settingsFor(t, dsn(t))
	s := started(t, cfg, testSpace(2))
	for i := range 10 {
		require.NoError(t, s.Add(t.Context(), record(fmt.Sprint(i), "f", east), ports.NewUser()))
	}
	before := contents(t, s)
	closeStore(t, s)
	run(t, cfg, "ALTER TABLE "+cfg.Schema+".faces DROP COLUMN chip", "DELETE FROM "+cfg.Schema+".migrations WHERE version_id >= 6")
	s = started(t, cfg, testSpace(2))
	require.Equal(t, before, contents(t, s))
	require.Empty(t, chips(t, s))
	require.NoError(t, s.Add(t.Context(), withChips(record("late", "f", east), 1), ports.NewUser()))
	require.Equal(t, map[string][]byte{"late/f": chip(1, 30_000)}, chips(t, s))
}

// While imagos are upgraded one after the other, one that knows no chips works beside one
// that does. What it replaces has no chip afterwards.
func TestOlderImagoBesideChips(t *testing.T) {
	t.Parallel()
	a, b, admin := two(t, settingsFor(t, dsn(t)))
	require.NoError(t, a.Add(t.Context(), withChips(record("ada", "f", east), 1), ports.NewUser()))
	require.NoError(t, a.Add(t.Context(), withChips(record("bob", "f", east), 2), ports.NewUser()))
	const older = `INSERT INTO faces (collection, user_id, face_id, owner, enrolled_at, expires_at, vector) VALUES `
	execute(t, admin,
		`BEGIN; INSERT INTO users VALUES ('users', 'eve'); `+older+`('users', 'eve', 'f', 'gateway', now(), NULL, '[0.28,0.96]'); COMMIT`,
		`BEGIN; DELETE FROM faces WHERE user_id = 'ada'; `+older+`('users', 'ada', 'f', 'gateway', now(), NULL, '[0,1]'); COMMIT`,
		`UPDATE faces SET expires_at = now() + interval '1 hour' WHERE user_id = 'bob'`)
	agree(t, admin, "changes by an older imago", a, b)
	require.Equal(t, map[string][]byte{"bob/f": chip(2, 30_000)}, chips(t, b))
}

// No error quotes a chip, whatever the server has against it, and whoever it is stored with.
func TestErrorsQuoteNoChip(t *testing.T) {
	t.Parallel()
	cfg := settingsFor(t, dsn(t))
	s := started(t, cfg, testSpace(2))
	require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
	c := []byte(hex.EncodeToString(chip(1, 10_000))) // a text that could be quoted
	for _, harm := range []string{
		"ADD CONSTRAINT none CHECK (chip IS NULL)", "DROP CONSTRAINT none, ALTER COLUMN chip TYPE integer USING NULL", "ALTER COLUMN chip TYPE timestamptz USING NULL",
	} {
		run(t, cfg, "ALTER TABLE "+cfg.Schema+".faces "+harm)
		s.driver.pool.Reset() // for connections that ask for the type of the column
		errs := fixture.Together(20, func(i int) error {
			r := record(fmt.Sprint("user-", i), "f", east)
			r.Chip = c
			return s.Add(t.Context(), r, ports.NewUser())
		})
		for _, mode := range []ports.Mode{ports.NewUser(), ports.FurtherFace(ports.Everybody()), ports.Replacement(ports.Everybody())} {
			user := map[bool]string{true: "bob", false: "ada"}[mode.Kind() == ports.KindNewUser]
			r := record(user, "g", east)
			r.Chip = c
			errs = append(errs, s.Add(t.Context(), r, mode))
		}
		for _, err := range errs {
			require.Error(t, err, harm)
			for _, quoted := range []string{string(c[:8]), hex.EncodeToString(c[:4]), fmt.Sprintf("%#x, %#x", c[0], c[1])} {
				require.NotContains(t, err.Error(), quoted, harm)
			}
		}
	}
	require.Equal(t, []string{"ada/f"}, contents(t, s))
}
