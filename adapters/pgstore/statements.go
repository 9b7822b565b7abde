package pgstore

import (
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// No statement relies on the state of its connection, which a pooler such as PgBouncer
// may share with other programs: each names its schemas, and what it needs to be set is
// set for its transaction alone.

// names fills in {schema}, where the tables are, and {pgvector}, where the types and
// operators of the extension are. It is safe for concurrent use.
type names struct {
	*strings.Replacer
	filled sync.Map // statements by their text before
}

func newNames(schema, extension string) *names {
	return &names{Replacer: strings.NewReplacer(
		"{schema}", pgx.Identifier{schema}.Sanitize(), "{pgvector}", pgx.Identifier{extension}.Sanitize())}
}

// sql returns a statement with the names of the schemas. Each is filled in once.
func (d *Driver) sql(statement string) string {
	filled, there := d.names.filled.Load(statement)
	if !there {
		filled, _ = d.names.filled.LoadOrStore(statement, d.names.Replace(statement))
	}
	return filled.(string)
}

const (
	// readSettings are those of a read. Searches are planned for the collection they are
	// about: of 1000 faces in a table with 200,000 others they take 0.4 ms, and 60 by a
	// plan that is meant for any collection. It tells whether the server is a standby: a
	// pooler may have connected to another one.
	readSettings = `SELECT pg_is_in_recovery(), set_config('plan_cache_mode', 'force_custom_plan', true)`

	// writeSettings are those of a change: what has been acknowledged must be on the disk.
	// Changes go by keys, for which no plan depends on the values; a plan that was made when
	// there were few faces must not read all of them when there are many.
	writeSettings = `
		SELECT set_config('plan_cache_mode', 'auto', true), set_config('enable_seqscan', 'off', true),
			set_config('synchronous_commit', CASE current_setting('synchronous_commit')
				WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)`

	// sharedSettings are those of a change that others wait for: a lock that somebody holds
	// open must not hold up all of them.
	sharedSettings = writeSettings + `, set_config('lock_timeout', '500ms', true)`

	// beginWrite lets whoever has waited for a lock see what changed.
	beginWrite = `BEGIN ISOLATION LEVEL READ COMMITTED`
)

// writing begins a transaction that changes something, sharing one that several writes
// share, in one round trip.
var (
	writing = pgx.TxOptions{BeginQuery: beginWrite + ";" + writeSettings}
	sharing = pgx.TxOptions{BeginQuery: beginWrite + ";" + sharedSettings}
)

// filledIn are migrations with the names of the schemas.
type filledIn struct {
	fs.FS
	names *names
}

// Open implements fs.FS.
func (f filledIn) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil {
		return nil, err
	}
	if _, folder := file.(fs.ReadDirFile); folder {
		return file, nil
	}
	text, err := io.ReadAll(file)
	return filledInFile{file, strings.NewReader(f.names.Replace(string(text)))}, err
}

type filledInFile struct {
	fs.File
	text *strings.Reader
}

// Read implements fs.File.
func (f filledInFile) Read(p []byte) (int, error) { return f.text.Read(p) }
