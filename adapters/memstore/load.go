package memstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"imago/ports"
)

// lookEvery is how many rows are read between two looks at the context.
const lookEvery = 1024

// load reads every face into an index and finds the free slots. It refuses a
// file with a row that no imago can have written, or with rows in an order in
// which they could not be found again: what is wrong in one place may be wrong
// in others where it cannot be seen.
func (d *database) load(ctx context.Context, x *index) (faces int, err error) {
	in := newIntake(x)
	found, err := d.read(ctx, in.add)
	in.close()
	if err == nil {
		err = d.contents.compare(found)
	}
	if err == nil {
		err = d.loadSlots()
	}
	if err == nil {
		err = d.testify()
	}
	if err != nil {
		return 0, err
	}
	x.publish()
	return int(found.faces), nil
}

// read reads and checks every face and adds up what it found. A record that it hands
// to add is valid until add returns.
func (d *database) read(ctx context.Context, add func(ports.Record)) (found tally, err error) {
	// A context that can end costs the driver a lock for each row; looking now
	// and then is enough.
	rows, err := d.conn.QueryContext(context.Background(), `
		SELECT collection, user_id, face_id, owner, enrolled_at, slot, sum, data
		FROM face LEFT JOIN vector USING (slot)
		ORDER BY collection, user_id, face_id`)
	if err != nil {
		return found, err
	}
	defer rows.Close()
	r := ports.Record{Vector: make([]float32, d.dimension)}
	for rows.Next() {
		if found.faces%lookEvery == 0 && ctx.Err() != nil {
			return found, ctx.Err()
		}
		before := r
		sum, err := d.scan(rows, &r)
		if err != nil {
			return found, err
		}
		if compareKeys(before, r) >= 0 {
			return found, errors.New("it is damaged: table face is out of order; restore a backup")
		}
		found.add(sum)
		add(r)
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

// scan reads and checks one row and returns its checksum. A bad one is named by
// its slot, not by the user's ID, which may be personal data.
func (d *database) scan(rows *sql.Rows, r *ports.Record) (sum uint32, err error) {
	var enrolledAt, slot int64
	var data sql.RawBytes
	if err := rows.Scan(&r.Collection, &r.UserID, &r.FaceID, &r.Owner, &enrolledAt, &slot, &sum, &data); err != nil {
		return 0, err
	}
	r.EnrolledAt = time.UnixMicro(enrolledAt)
	if err = d.vault.open(r, data); err == nil {
		err = ports.ValidateRecord(*r, len(r.Vector))
	}
	if err == nil && checksumOf(*r, slot, data) != sum {
		err = errChecksum
	}
	if err != nil {
		return 0, damagedRow(slot, r.Collection, err)
	}
	return sum, nil
}

func damagedRow(slot int64, collection string, err error) error {
	return fmt.Errorf("the row of table face with slot %d in collection %.64q is damaged: %w; restore a backup, or delete the row and go on with the others after: %s",
		slot, collection, err, acceptContents)
}

// loadSlots finds the slots that can be used again. They are blank: one that is
// not belongs to a face that is missing.
func (d *database) loadSlots() error {
	if err := d.row("SELECT coalesce(max(slot), 0) FROM vector").Scan(&d.slots.last); err != nil {
		return err
	}
	rows, err := d.conn.QueryContext(context.Background(),
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
			return fmt.Errorf("it is damaged: there is a vector with slot %d, but no face; restore a backup", slot)
		}
		d.slots.free = append(d.slots.free, slot)
	}
	return rows.Err()
}
