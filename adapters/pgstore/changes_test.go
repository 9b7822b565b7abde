package pgstore

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
)

// The faces are changed by other programs than imago, and every search that begins
// afterwards answers what the table holds, at once.

// everyone asks for all users, at the least score.
var everyone = ports.Query{Collection: users, Vector: east, K: 1000, MinScore: -1}

// faceOf is what a search tells of a user.
type faceOf struct{ User, Face, Owner string }

// searched returns the answer of a store to everyone.
func searched(t *testing.T, s *store) ([]faceOf, error) {
	t.Helper()
	matches, err := s.Search(t.Context(), everyone)
	all := []faceOf{}
	for _, m := range matches {
		all = append(all, faceOf{m.UserID, m.FaceID, m.Owner})
	}
	return all, err
}

// table returns the right answer to everyone, from the table.
func table(t *testing.T, conn *pgx.Conn) []faceOf {
	t.Helper()
	rows, err := conn.Query(t.Context(), `
		SELECT user_id, face_id, owner FROM (
			SELECT DISTINCT ON (user_id) user_id, face_id, owner, vector FROM faces WHERE collection = $1
			ORDER BY user_id, vector <#> '[1,0]', face_id) AS best
		ORDER BY vector <#> '[1,0]', user_id`, users)
	require.NoError(t, err)
	all, err := pgx.AppendRows([]faceOf{}, rows, pgx.RowToStructByPos[faceOf])
	require.NoError(t, err)
	return all
}

// agree checks that stores answer what the table holds.
func agree(t *testing.T, conn *pgx.Conn, after string, stores ...*store) {
	t.Helper()
	want := table(t, conn)
	for i, s := range stores {
		got, err := searched(t, s)
		require.NoError(t, err, "instance %d after %s", i, after)
		require.Equal(t, want, got, "instance %d after %s", i, after)
	}
}

// two opens two stores over one schema, and a connection of an administrator to it.
func two(t *testing.T, cfg config.PGVectorStore) (a, b *store, admin *pgx.Conn) {
	t.Helper()
	cfg.Search = config.SearchReplica
	a, b = started(t, cfg, testSpace(2)), started(t, cfg, testSpace(2))
	return a, b, administrator(t, cfg)
}

// administrator connects with the tables in the search path.
func administrator(t *testing.T, cfg config.PGVectorStore) *pgx.Conn {
	t.Helper()
	conn := outside(t, cfg.DSN.Reveal())
	execute(t, conn, "SET search_path = "+cfg.Schema+", public")
	return conn
}

// execute runs statements one by one, each as a transaction unless it begins one.
func execute(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		_, err := conn.Exec(t.Context(), s)
		require.NoError(t, err, s)
	}
}

const (
	addEve  = `INSERT INTO users VALUES ('users', 'eve'); INSERT INTO faces VALUES ('users', 'eve', 'e', 'psql', now(), '[0.28,0.96]')`
	disable = `ALTER TABLE faces DISABLE TRIGGER USER`
)

// enable is how an operator enables the triggers again.
const enable = `DO $$
	DECLARE name text;
	BEGIN
		FOR name IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'faces'::regclass AND NOT tgisinternal LOOP
			EXECUTE format('ALTER TABLE faces ENABLE ALWAYS TRIGGER %I', name);
		END LOOP;
	END $$`

func TestChangesByOthers(t *testing.T) {
	t.Parallel()
	for name, statements := range map[string][]string{
		"an insertion":               {addEve},
		"a face moves":               {`UPDATE faces SET vector = '[-1,0]' WHERE user_id = 'ada' AND face_id = 'f'`},
		"a face gets another ID":     {`UPDATE faces SET face_id = 'other' WHERE user_id = 'bob'`},
		"a face gets another owner":  {`UPDATE faces SET owner = 'somebody' WHERE user_id = 'bob'`},
		"faces go to another user":   {`INSERT INTO users VALUES ('users', 'dan')`, `UPDATE faces SET user_id = 'dan' WHERE user_id = 'ada'`},
		"faces leave the collection": {`INSERT INTO users VALUES ('staff', 'bob')`, `UPDATE faces SET collection = 'staff' WHERE user_id = 'bob'`},
		"faces come from elsewhere":  {`INSERT INTO users VALUES ('users', 'zoe')`, `UPDATE faces SET (collection, user_id) = ('users', 'zoe') WHERE collection = 'visitors'`},
		"two users exchange faces":   {`UPDATE faces SET user_id = CASE user_id WHEN 'bob' THEN 'cyd' ELSE 'bob' END, face_id = 'of ' || user_id WHERE user_id IN ('bob', 'cyd')`},
		"one face of two is deleted": {`DELETE FROM faces WHERE user_id = 'ada' AND face_id = 'f'`},
		"a user is deleted":          {`DELETE FROM users WHERE user_id = 'ada'`},
		"everybody is deleted":       {`DELETE FROM users`},
		"users are truncated":        {`TRUNCATE users CASCADE`},
		"faces are truncated":        {`TRUNCATE faces`},
		"truncated and filled":       {`BEGIN; TRUNCATE users CASCADE; ` + addEve + `; COMMIT`},
		"many users at once":         {`INSERT INTO users SELECT 'users', 'u' || i FROM generate_series(1, 900) AS i`, `INSERT INTO faces SELECT 'users', 'u' || i, 'f', 'psql', now(), ARRAY[cos(i::float8/900), sin(i::float8/900)]::vector FROM generate_series(1, 900) AS i`},
		"an upsert":                  {`INSERT INTO faces VALUES ('users', 'ada', 'f', 'psql', now(), '[0,-1]'), ('users', 'ada', 'new', 'psql', now(), '[0.6,-0.8]') ON CONFLICT (collection, user_id, face_id) DO UPDATE SET vector = EXCLUDED.vector, owner = EXCLUDED.owner`},
		"a merge":                    {`MERGE INTO faces USING (VALUES ('ada'), ('bob')) AS v (u) ON user_id = u WHEN MATCHED AND u = 'ada' THEN DELETE WHEN MATCHED THEN UPDATE SET owner = 'merge'`},
		"a statement with parts":     {`WITH gone AS (DELETE FROM faces WHERE user_id = 'ada' RETURNING *) INSERT INTO faces SELECT collection, 'bob', 'of ada ' || face_id, owner, enrolled_at, vector FROM gone`},
		"nothing changes":            {`UPDATE faces SET owner = owner`, `DELETE FROM faces WHERE user_id = 'nobody'`},
		"a transaction that failed":  {`BEGIN; ` + addEve + `; ROLLBACK`},
		"a savepoint that failed":    {`BEGIN; DELETE FROM users WHERE user_id = 'bob'; SAVEPOINT s; ` + addEve + `; ROLLBACK TO s; DELETE FROM users WHERE user_id = 'cyd'; COMMIT`},
		"all of it in a savepoint":   {`BEGIN; SAVEPOINT s; ` + addEve + `; ROLLBACK TO s; ` + addEve + `; RELEASE s; COMMIT`},
		"a block that failed":        {`DO $$ BEGIN DELETE FROM users WHERE user_id = 'bob'; BEGIN DELETE FROM users; RAISE 'no'; EXCEPTION WHEN OTHERS THEN END; END $$`},
		"there and back":             {`BEGIN; ` + addEve + `; DELETE FROM users WHERE user_id = 'eve'; COMMIT`},
		"constraints at once":        {`BEGIN; SET CONSTRAINTS ALL IMMEDIATE; DELETE FROM users WHERE user_id = 'bob'; ` + addEve + `; COMMIT`},
		"repeatable read":            {`BEGIN ISOLATION LEVEL REPEATABLE READ; ` + addEve + `; COMMIT`},
		"serializable":               {`BEGIN ISOLATION LEVEL SERIALIZABLE; ` + addEve + `; COMMIT`},
		"asynchronous commit":        {`SET synchronous_commit = off`, addEve, `RESET synchronous_commit`},
		"other search path":          {`SET search_path = public; ` + strings.NewReplacer("INTO users", "INTO SCHEMA.users", "INTO faces", "INTO SCHEMA.faces").Replace(addEve) + `; SET search_path = SCHEMA, public`},
		"as a replica":               {`SET session_replication_role = replica`, addEve, `UPDATE faces SET owner = 'x' WHERE user_id = 'bob'`, `DELETE FROM faces WHERE user_id = 'ada'`, `RESET session_replication_role`},
		"truncated as a replica":     {`SET session_replication_role = replica`, `TRUNCATE users CASCADE`, `RESET session_replication_role`},
		"users deleted as a replica": {`SET session_replication_role = replica`, `DELETE FROM users WHERE user_id = 'ada'`, `RESET session_replication_role`},
		"without triggers":           {disable, addEve, `DELETE FROM users WHERE user_id = 'bob'`},
		"triggers on and off":        {disable, addEve, `DELETE FROM users WHERE user_id = 'bob'`, enable},
		"triggers off for a moment":  {`BEGIN; ` + disable + `; ` + addEve + `; ` + enable + `; COMMIT`},
		"triggers off, one way":      {disable, addEve, `ALTER TABLE faces ENABLE TRIGGER USER`, `DELETE FROM users WHERE user_id = 'bob'`},
		"a table in its place":       {`BEGIN; ALTER TABLE faces RENAME TO former; CREATE TABLE faces (LIKE former INCLUDING ALL); INSERT INTO faces SELECT * FROM former WHERE user_id <> 'ada'; COMMIT`},
		"a column is rewritten":      {`ALTER TABLE faces ALTER COLUMN owner TYPE text USING 'rewritten'`},
		"vectors are rewritten":      {`ALTER TABLE faces ALTER COLUMN vector TYPE vector(2) USING CASE user_id WHEN 'ada' THEN '[-0.6,-0.8]' ELSE vector END`},
		"a column is made anew":      {`BEGIN; ALTER TABLE faces RENAME COLUMN owner TO former; ALTER TABLE faces ADD COLUMN owner text NOT NULL DEFAULT 'anew'; COMMIT`},
		"the table is rewritten":     {`VACUUM FULL faces`, `DELETE FROM users WHERE user_id = 'bob'`},
		"the table is clustered":     {`CLUSTER faces USING faces_pkey`, addEve},
		"everything is vacuumed":     {`DELETE FROM users WHERE user_id = 'bob'`, `VACUUM (FULL, FREEZE, ANALYZE)`, addEve},
		"the catalogue is vacuumed":  {disable, addEve, enable, `VACUUM FULL pg_trigger`, `VACUUM FULL pg_class`},
		"a child of the table":       {`CREATE TABLE more () INHERITS (faces)`, `INSERT INTO more VALUES ('users', 'kid', 'f', 'psql', now(), '[0.6,0.8]')`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, admin := two(t, settingsFor(t, dsn(t)))
			populate(t, a)
			agree(t, admin, "the enrolment", a, b)
			for _, statement := range statements {
				execute(t, admin, strings.ReplaceAll(statement, "SCHEMA", a.driver.cfg.Schema))
				agree(t, admin, statement, b, a)
			}
			execute(t, admin, `DELETE FROM faces WHERE user_id = 'cyd'`)
			agree(t, admin, "a deletion", a, b)
		})
	}
}

// populate enrols three users, one of whom has two faces, and one elsewhere.
func populate(t *testing.T, s *store) {
	t.Helper()
	for _, r := range []ports.Record{record("ada", "f", east), record("bob", "f", []float32{0.8, 0.6}), record("cyd", "f", []float32{0.6, 0.8})} {
		require.NoError(t, s.Add(t.Context(), r, ports.NewUser()))
	}
	require.NoError(t, s.Add(t.Context(), record("ada", "g", north), ports.FurtherFace(ports.Everybody())))
	elsewhere := record("vic", "f", east)
	elsewhere.Collection = "visitors"
	require.NoError(t, s.Add(t.Context(), elsewhere, ports.NewUser()))
}
