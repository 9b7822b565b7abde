package memstore

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"imago/ports"
)

// backUp copies a database as the sqlite3 tool's .backup does, a few pages at a
// time.
func backUp(t *testing.T, from, to *sql.Conn) {
	t.Helper()
	require.NoError(t, from.Raw(func(source any) error {
		return to.Raw(func(target any) error {
			backup, err := target.(*sqlite3.SQLiteConn).Backup("main", source.(*sqlite3.SQLiteConn), "main")
			if err != nil {
				return err
			}
			for done := false; !done && err == nil; {
				done, err = backup.Step(4)
			}
			return errors.Join(err, backup.Finish())
		})
	}))
}

// A backup can be taken while imago runs and enrols, and is a file like any
// other.
func TestOnlineBackup(t *testing.T) {
	s := durable(t, 64)
	records := crowd(600, 64)
	enrol(t, s, records[:300])
	copied := filepath.Join(t.TempDir(), "backup.db")
	source, target := outside(t, s.cfg.Path), outside(t, copied)
	began := make(chan struct{})
	errs := make(chan error, 1)
	go func() {
		close(began)
		errs <- errors.Join(together(300, func(i int) error {
			return s.Add(t.Context(), records[300+i], ports.First)
		})...)
	}()
	<-began
	backUp(t, source, target)
	require.NoError(t, <-errs)
	require.NoError(t, target.Close())

	restored := contents(t, started(t, copied, s.space))
	require.GreaterOrEqual(t, len(restored), 300)
	require.Subset(t, contents(t, s), restored)
	require.Equal(t, records[:300], restored[:300])
}
