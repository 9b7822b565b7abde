package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"iter"

	sqlite3 "github.com/mattn/go-sqlite3"

	"imago/ports"
)

// scanPage is how many faces, with their chips, are read at a time.
const scanPage = 64

// Scan yields the records of a selection with their chips, as a ports.StoreDriver does. Any
// number of goroutines may scan until Close, while another one commits. What it yields of a
// page is of one moment, so that no face comes with the chip of another, and it holds nothing
// while it yields. A chip that SQLite cannot read is left out, and the log says so.
func (f *File) Scan(ctx context.Context, s ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		x := &scanner{selection: s, at: ports.Record{UserID: s.From}}
		x.file = File{path: f.path, dimension: f.dimension, log: f.log, cipher: f.cipher.opener()}
		x.file.version = f.version
		defer func() { _ = x.file.Close() }()
		err := x.file.connect(ctx, "ro")
		for more := err == nil; more; {
			var page []ports.Record
			f.reading.RLock()
			page, more, err = x.page()
			f.reading.RUnlock()
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			if err == nil {
				err = ctx.Err()
			}
			more = more && err == nil
		}
		if err != nil {
			yield(ports.Record{}, err)
		}
	}
}

// scanner reads pages of a scan on a connection of its own.
type scanner struct {
	file      File
	selection ports.Selection
	at        ports.Record // the last one that was read, or a user before whom nothing is to be
}

// page returns the next records, and whether there may be more. It reads in one transaction,
// which does not outlive it.
func (x *scanner) page() (page []ports.Record, more bool, err error) {
	if err := x.file.exec("BEGIN"); err != nil {
		return nil, false, err
	}
	rows, err := x.rows()
	for i := range rows {
		r := &rows[i]
		if err == nil {
			r.Chip, err = x.chip(r.slot)
		}
		page = append(page, r.Record)
	}
	if err = errors.Join(err, x.file.exec("ROLLBACK")); err != nil {
		return nil, false, err
	}
	return page, len(page) == scanPage, nil
}

// rows returns the next faces without their chips.
func (x *scanner) rows() (page []storedRow, err error) {
	owner, one := x.selection.Owners.Only()
	rows, err := x.file.conn.QueryContext(context.Background(), x.file.selectRows()+`
		WHERE collection = ?1 AND (user_id, face_id) > (?2, ?3) AND (NOT ?4 OR owner = ?5)
		ORDER BY collection, user_id, face_id LIMIT ?6`,
		x.selection.Collection, x.at.UserID, x.at.FaceID, one, owner, scanPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		row := storedRow{Record: ports.Record{Vector: make([]float32, x.file.dimension)}}
		if err := row.scan(rows); err != nil {
			return nil, err
		}
		if err := x.file.openRow(&row); err != nil {
			return nil, err
		}
		row.data, row.EnrolledAt = nil, row.EnrolledAt.UTC()
		if x.selection.WithoutVectors {
			row.Vector = nil
		}
		page = append(page, row)
		x.at = row.Record
	}
	return page, rows.Err()
}

// chip returns the chip of a slot, nil where there is none or none that can be read.
func (x *scanner) chip(slot int64) ([]byte, error) {
	var row []byte
	err := x.file.row("SELECT data FROM chip WHERE slot = ?", slot).Scan(&row)
	var failure sqlite3.Error
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case errors.As(err, &failure) && failure.Code == sqlite3.ErrCorrupt:
		x.file.log.Error("corrupt file: a chip cannot be read", "path", x.file.path, "slot", slot)
		return nil, nil
	case err != nil:
		return nil, err
	}
	return unpadChip(row), nil
}
