package memstore

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"imago/ports"
)

// statements are those that each write needs.
type statements struct {
	putVector, putFace, blankUser, dropUser, putContents *sql.Stmt
}

func (d *database) prepare() error {
	for _, s := range []struct {
		into  **sql.Stmt
		query string
	}{
		{&d.putVector, `INSERT INTO vector (slot, data) VALUES (?1, ?2) ON CONFLICT (slot) DO UPDATE SET data = ?2`},
		{&d.putFace, `INSERT INTO face (collection, user_id, face_id, owner, enrolled_at, slot, sum) VALUES (?, ?, ?, ?, ?, ?, ?)`},
		{&d.blankUser, `UPDATE vector SET data = zeroblob(length(data))
			WHERE slot IN (SELECT slot FROM face WHERE collection = ? AND user_id = ?)`},
		{&d.dropUser, `DELETE FROM face WHERE collection = ? AND user_id = ? RETURNING slot, sum`},
		{&d.putContents, `UPDATE meta SET value = ? WHERE key = '` + metaContents + `'`},
	} {
		stmt, err := d.conn.PrepareContext(context.Background(), s.query)
		if err != nil {
			return err
		}
		*s.into = stmt
	}
	return nil
}

func (s statements) close() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{s.putVector, s.putFace, s.blankUser, s.dropUser, s.putContents} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(errs...)
}

// slots hands out the rows of the table vector. A copy is a snapshot as long as
// only take is called on either.
type slots struct {
	free []int64 // filled with zeros
	last int64   // the highest in use or free
}

func (s *slots) take() int64 {
	if n := len(s.free); n > 0 {
		slot := s.free[n-1]
		s.free = s.free[:n-1]
		return slot
	}
	s.last++
	return s.last
}

// transaction is a commit in the making. Its slots and contents become the
// database's when it succeeds.
type transaction struct {
	*database
	slots    slots
	contents tally
	freed    []int64
}

// commit makes changes durable in one transaction: when it returns nil they are
// on the disk, and otherwise none of them is.
func (d *database) commit(changes []change) error {
	if err := d.present(); err != nil {
		return err
	}
	tx := &transaction{database: d, slots: d.slots, contents: d.contents}
	tx.contents.commits++
	if err := tx.run(changes); err != nil {
		// SQLite may have rolled back by itself, and then it says so here.
		_ = d.exec("ROLLBACK")
		d.vault.unnote()
		return err
	}
	d.witness.see(tx.contents.commits)
	d.slots, d.contents = tx.slots, tx.contents
	d.slots.free = append(d.slots.free, tx.freed...)
	return nil
}

func (tx *transaction) run(changes []change) error {
	if err := tx.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := tx.spend(vectors(changes)); err != nil {
		return err
	}
	for _, c := range changes {
		if err := tx.make(c); err != nil {
			return err
		}
	}
	if _, err := tx.putContents.Exec(tx.contents.String()); err != nil {
		return err
	}
	return tx.exec("COMMIT")
}

// vectors counts the changes that store a vector.
func vectors(changes []change) (n int) {
	for _, c := range changes {
		if c.mode != removal {
			n++
		}
	}
	return n
}

func (tx *transaction) make(c change) error {
	if c.mode == removal || c.mode == ports.Replacement {
		if err := tx.drop(c.record.Collection, c.record.UserID); err != nil {
			return err
		}
	}
	if c.mode == removal {
		return nil
	}
	return tx.put(c.record)
}

func (tx *transaction) put(r ports.Record) error {
	slot := tx.slots.take()
	data := tx.vault.seal(r)
	if _, err := tx.putVector.Exec(slot, data); err != nil {
		return err
	}
	sum := checksumOf(r, slot, data)
	tx.contents.add(sum)
	_, err := tx.putFace.Exec(r.Collection, r.UserID, r.FaceID, r.Owner, r.EnrolledAt.UnixMicro(), slot, sum)
	return err
}

// drop removes a user and overwrites the vectors. The index has the user, so a
// file that has not was changed by somebody else or is damaged.
func (tx *transaction) drop(collection, user string) error {
	if _, err := tx.blankUser.Exec(collection, user); err != nil {
		return err
	}
	rows, err := tx.dropUser.Query(collection, user)
	if err != nil {
		return err
	}
	defer rows.Close()
	before := len(tx.freed)
	for rows.Next() {
		var slot int64
		var sum uint32
		if err := rows.Scan(&slot, &sum); err != nil {
			return err
		}
		tx.contents.remove(sum)
		tx.freed = append(tx.freed, slot)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(tx.freed) == before {
		return errFileChanged
	}
	return nil
}

// truncateLog moves the write-ahead log into the database and empties it, which
// removes the last copies of what has been overwritten. It does not wait for a
// reader that is in the way.
func (d *database) truncateLog() error {
	if err := d.exec("PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	var busy, frames, moved int
	err := d.row("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
	if err == nil && busy != 0 {
		err = errors.New("a reader of the file is in the way")
	}
	return errors.Join(err, d.exec(fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout.Milliseconds())))
}

// encode returns the bytes under which a vector is stored.
func encode(vector []float32) []byte {
	data := make([]byte, 0, 4*len(vector))
	for _, x := range vector {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
	}
	return data
}

// decode is the opposite of encode, into memory of the right length.
func decode(vector []float32, data []byte) {
	for i := range vector {
		vector[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
}
