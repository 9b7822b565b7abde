package memstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"imago/ports"
)

// load reads every face into an index and finds the free slots. It refuses a
// file with a row that no imago can have written: what is wrong with one row
// may be wrong with others in ways that cannot be seen.
func (d *database) load(ctx context.Context, x *index) (faces int, err error) {
	var damage string
	if err := d.row("PRAGMA quick_check(1)").Scan(&damage); err != nil {
		return 0, err
	}
	if damage != "ok" {
		return 0, fmt.Errorf("it is damaged (%s); restore a backup", damage)
	}
	if faces, err = d.loadFaces(ctx, x); err != nil {
		return 0, err
	}
	return faces, d.loadSlots()
}

func (d *database) loadFaces(ctx context.Context, x *index) (faces int, err error) {
	// A context that can end costs the driver a goroutine for each query and a
	// lock for each row; looking now and then is enough.
	rows, err := d.conn.QueryContext(context.Background(), `
		SELECT collection, user_id, face_id, owner, enrolled_at, slot, data
		FROM face LEFT JOIN vector USING (slot)
		ORDER BY collection, user_id, face_id`)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	r := ports.Record{Vector: make([]float32, x.dimension)}
	for ; rows.Next(); faces++ {
		if faces%chunkRows == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err := scan(rows, &r); err != nil {
			return 0, err
		}
		x.add(r)
	}
	return faces, rows.Err()
}

// scan reads and checks one row. A bad one is named by its slot, not by the
// user's ID, which may be personal data.
func scan(rows *sql.Rows, r *ports.Record) error {
	var enrolledAt, slot int64
	var data sql.RawBytes
	err := rows.Scan(&r.Collection, &r.UserID, &r.FaceID, &r.Owner, &enrolledAt, &slot, &data)
	if err != nil {
		return err
	}
	r.EnrolledAt = time.UnixMicro(enrolledAt)
	if len(data) == 4*len(r.Vector) {
		decode(r.Vector, data)
		err = ports.ValidateRecord(*r, len(r.Vector))
	} else {
		err = fmt.Errorf("a vector of %d bytes where %d are expected", len(data), 4*len(r.Vector))
	}
	if err != nil {
		return fmt.Errorf("the row of table face with slot %d in collection %.64q is damaged: %w; restore a backup, or delete the row",
			slot, r.Collection, err)
	}
	return nil
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
