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
	faces, err = d.read(ctx, x.dimension, in)
	in.close()
	if err != nil {
		return 0, err
	}
	x.publish()
	return faces, d.loadSlots()
}

// read reads every face into an intake.
func (d *database) read(ctx context.Context, dimension int, in *intake) (faces int, err error) {
	// A context that can end costs the driver a lock for each row; looking now
	// and then is enough.
	rows, err := d.conn.QueryContext(context.Background(), `
		SELECT collection, user_id, face_id, owner, enrolled_at, slot, data
		FROM face LEFT JOIN vector USING (slot)
		ORDER BY collection, user_id, face_id`)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	r := ports.Record{Vector: make([]float32, dimension)}
	for ; rows.Next(); faces++ {
		if faces%lookEvery == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		before := r
		if err := d.scan(rows, &r); err != nil {
			return 0, err
		}
		if compareKeys(before, r) >= 0 {
			return 0, errors.New("it is damaged: table face is out of order; restore a backup")
		}
		in.add(r)
	}
	return faces, rows.Err()
}

// compareKeys orders records as the primary key of table face does.
func compareKeys(a, b ports.Record) int {
	return cmp.Or(
		strings.Compare(a.Collection, b.Collection),
		strings.Compare(a.UserID, b.UserID),
		strings.Compare(a.FaceID, b.FaceID),
	)
}

// scan reads and checks one row. A bad one is named by its slot, not by the
// user's ID, which may be personal data.
func (d *database) scan(rows *sql.Rows, r *ports.Record) error {
	var enrolledAt, slot int64
	var data sql.RawBytes
	err := rows.Scan(&r.Collection, &r.UserID, &r.FaceID, &r.Owner, &enrolledAt, &slot, &data)
	if err != nil {
		return err
	}
	r.EnrolledAt = time.UnixMicro(enrolledAt)
	if err = d.vault.open(r, data); err == nil {
		err = ports.ValidateRecord(*r, len(r.Vector))
	}
	if err != nil {
		return damagedRow(slot, r.Collection, err)
	}
	return nil
}

func damagedRow(slot int64, collection string, err error) error {
	return fmt.Errorf("the row of table face with slot %d in collection %.64q is damaged: %w; restore a backup, or delete the row",
		slot, collection, err)
}

// loadSlots finds the slots that can be used again.
func (d *database) loadSlots() error {
	if err := d.row("SELECT coalesce(max(slot), 0) FROM vector").Scan(&d.slots.last); err != nil {
		return err
	}
	rows, err := d.conn.QueryContext(context.Background(),
		"SELECT slot FROM vector WHERE slot NOT IN (SELECT slot FROM face)")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var slot int64
		if err := rows.Scan(&slot); err != nil {
			return err
		}
		d.slots.free = append(d.slots.free, slot)
	}
	return rows.Err()
}
