package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"imago/ports"
)

// contextCheckRows is how many rows are read between two looks at the context.
const contextCheckRows = 1024

// readAll reads every face, finds the free slots and, where the file says what ought to be in
// it, makes sure that nothing else is.
func (f *File) readAll(ctx context.Context, known bool, each func(ports.Record)) (faces int, err error) {
	found, err := f.read(ctx, each)
	if err == nil && known {
		err = f.contents.compare(found)
	}
	if err != nil {
		return 0, err
	}
	return int(found.faces), f.loadSlots()
}

// read reads and checks every face and adds up what it found. A record that it hands
// to add is valid until add returns.
func (f *File) read(ctx context.Context, add func(ports.Record)) (found totals, err error) {
	// A context that can end costs the driver a lock for each row; looking now
	// and then is enough.
	rows, err := f.conn.QueryContext(context.Background(), f.selectRows()+`
		ORDER BY collection, user_id, face_id`)
	if err != nil {
		return found, err
	}
	defer rows.Close()
	row := storedRow{Record: ports.Record{Vector: make([]float32, f.dimension)}}
	for rows.Next() {
		if found.faces%contextCheckRows == 0 && ctx.Err() != nil {
			return found, ctx.Err()
		}
		before := row.Record
		if err := row.scan(rows); err != nil {
			return found, err
		}
		if err := f.openRow(&row); err != nil {
			return found, err
		}
		if compareKeys(before, row.Record) >= 0 {
			return found, errors.New("corrupt file: table face is out of order; restore a backup")
		}
		found.add(row.sum)
		add(row.Record)
	}
	return found, rows.Err()
}

// compareKeys orders records as the primary key of table face does.
func compareKeys(a, b ports.Record) int {
	return cmp.Or(
		strings.Compare(a.Collection, b.Collection),
		strings.Compare(a.UserID, b.UserID),
		strings.Compare(a.FaceID, b.FaceID),
	)
}

// storedRow is a record with what the file has beside it.
type storedRow struct {
	ports.Record
	slot int64
	sum  uint32
	data sql.RawBytes // until the next row
}

// selectRows returns how a query for rows begins, in a file of any version with checksums.
func (f *File) selectRows() string {
	expiresAt := "expires_at"
	if f.version < expiryVersion {
		expiresAt = "0"
	}
	return `
	SELECT collection, user_id, face_id, owner, enrolled_at, ` + expiresAt + `, slot, sum, data
	FROM face LEFT JOIN vector USING (slot)`
}

// scan reads a row of selectRows, all but the vector.
func (r *storedRow) scan(rows *sql.Rows) error {
	var enrolledAt, expiresAt int64
	err := rows.Scan(&r.Collection, &r.UserID, &r.FaceID, &r.Owner, &enrolledAt, &expiresAt, &r.slot, &r.sum, &r.data)
	r.EnrolledAt, r.ExpiresAt = time.UnixMicro(enrolledAt), ports.TimeOf(expiresAt)
	return err
}

// openRow reads the vector of a row, which has room for it, and checks the row. A bad one
// is named by its slot, not by the user's ID, which may be personal data.
func (f *File) openRow(r *storedRow) error {
	err := f.cipher.open(&r.Record, r.data)
	if err == nil {
		err = checkRow(r.Record)
	}
	if err == nil && checksumOf(r.Record, r.slot, r.data) != r.sum {
		err = errChecksum
	}
	if err != nil {
		return damagedRowError(r.slot, r.Collection, err)
	}
	return nil
}

// checkRow finds damage that a file from before the checksums brought along: it makes no
// sense as a face.
func checkRow(r ports.Record) error {
	for _, id := range [...]string{r.UserID, r.FaceID} {
		if id == "" || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
			return errors.New("invalid ID")
		}
	}
	var sum float64
	for _, x := range r.Vector {
		sum += float64(x) * float64(x)
	}
	if !(math.Abs(sum-1) < 1e-2) { // so that a NaN is one too
		return errors.New("a vector that is not of unit length")
	}
	return nil
}

func damagedRowError(slot int64, collection string, err error) error {
	return fmt.Errorf("corrupt file: the row of table face with slot %d in collection %.64q: %w; restore a backup, or delete the row and accept the present content with: %s",
		slot, collection, err, acceptCommand)
}

// loadSlots finds the slots that can be used again. They are blank: one that is
// not belongs to a face that is missing.
func (f *File) loadSlots() error {
	if err := f.row("SELECT coalesce(max(slot), 0) FROM vector").Scan(&f.slots.last); err != nil {
		return err
	}
	rows, err := f.conn.QueryContext(context.Background(),
		"SELECT slot, data = zeroblob(length(data)) FROM vector WHERE slot NOT IN (SELECT slot FROM face)")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var slot int64
		var blank bool
		if err := rows.Scan(&slot, &blank); err != nil {
			return err
		}
		if !blank {
			return fmt.Errorf("corrupt file: the vector with slot %d has no face; restore a backup", slot)
		}
		f.slots.free = append(f.slots.free, slot)
	}
	return rows.Err()
}
