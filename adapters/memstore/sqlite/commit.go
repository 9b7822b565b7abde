package sqlite

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
	upsertVector, insertFace, zeroVectors, deleteFaces, updateContents *sql.Stmt
	findFace, updateFace, upsertChip, deleteChips                      *sql.Stmt
}

// removedFaces is the condition on the faces of a user, or on the one with an ID; none has
// an empty one.
const removedFaces = `collection = ?1 AND user_id = ?2 AND (?3 = '' OR face_id = ?3)`

func (f *File) prepare() error {
	for _, s := range []struct {
		into  **sql.Stmt
		query string
	}{
		{&f.upsertVector, `INSERT INTO vector (slot, data) VALUES (?1, ?2) ON CONFLICT (slot) DO UPDATE SET data = ?2`},
		{&f.insertFace, `INSERT INTO face (collection, user_id, face_id, owner, enrolled_at, expires_at, slot, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`},
		{&f.zeroVectors, `UPDATE vector SET data = zeroblob(length(data))
			WHERE slot IN (SELECT slot FROM face WHERE ` + removedFaces + `)`},
		{&f.deleteFaces, `DELETE FROM face WHERE ` + removedFaces + ` RETURNING slot, sum`},
		{&f.findFace, `SELECT slot, sum FROM face WHERE (collection, user_id, face_id) = (?, ?, ?)`},
		{&f.updateFace, `UPDATE face SET expires_at = ?, sum = ? WHERE (collection, user_id, face_id) = (?, ?, ?)`},
		{&f.upsertChip, `INSERT OR REPLACE INTO chip (slot, data) VALUES (?, ?)`},
		{&f.deleteChips, `DELETE FROM chip WHERE slot IN (SELECT slot FROM face WHERE ` + removedFaces + `)`},
		{&f.updateContents, `UPDATE meta SET value = ? WHERE key = '` + metaContents + `'`},
	} {
		stmt, err := f.conn.PrepareContext(context.Background(), s.query)
		if err != nil {
			return err
		}
		*s.into = stmt
	}
	return nil
}

func (s statements) close() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{
		s.upsertVector, s.insertFace, s.zeroVectors, s.deleteFaces, s.updateContents,
		s.findFace, s.updateFace, s.upsertChip, s.deleteChips,
	} {
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

// transaction is a commit that is not complete yet. Its slots and contents become the
// database's when it succeeds.
type transaction struct {
	*File
	slots      slots
	contents   totals
	freedSlots []int64
}

// Change is one change of a user: where Remove is set, all faces of the user are removed, or
// with OneFace the face alone, and then, where Add is set, the face is stored. Without Add the
// face only names what is removed. Renew alone gives a face that is there the expiry of Face,
// which is otherwise the same, and leaves its chip.
type Change struct {
	Face                        ports.Record
	Remove, OneFace, Add, Renew bool
}

// Commit makes changes durable in one transaction: when it returns nil they are
// on the disk, and otherwise none of them is.
func (f *File) Commit(changes []Change) error {
	if err := f.CheckPresent(); err != nil {
		return err
	}
	tx := &transaction{File: f, slots: f.slots, contents: f.contents}
	tx.contents.commits++
	if err := f.transact(func() error { return tx.run(changes) }); err != nil {
		return err
	}
	f.counter.record(tx.contents.commits)
	f.slots, f.contents = tx.slots, tx.contents
	f.slots.free = append(f.slots.free, tx.freedSlots...)
	return nil
}

func (tx *transaction) run(changes []Change) error {
	faces := 0
	for _, c := range changes {
		if c.Add || c.Renew {
			faces++
		}
	}
	if err := tx.countSealed(faces); err != nil {
		return err
	}
	for _, c := range changes {
		if c.Remove {
			if err := tx.remove(c); err != nil {
				return err
			}
		}
		if c.Add {
			if err := tx.insert(c.Face); err != nil {
				return err
			}
		}
		if c.Renew {
			if err := tx.renew(c.Face); err != nil {
				return err
			}
		}
	}
	_, err := tx.updateContents.Exec(tx.contents.String())
	return err
}

func (tx *transaction) insert(r ports.Record) error {
	slot := tx.slots.take()
	data := tx.cipher.seal(r)
	if _, err := tx.upsertVector.Exec(slot, data); err != nil {
		return err
	}
	sum := checksumOf(r, slot, data)
	tx.contents.add(sum)
	if len(r.Chip) > 0 {
		if _, err := tx.upsertChip.Exec(slot, padChip(r.Chip)); err != nil {
			return err
		}
	}
	_, err := tx.insertFace.Exec(r.Collection, r.UserID, r.FaceID, r.Owner, r.EnrolledAt.UnixMicro(), ports.Microseconds(r.ExpiresAt), slot, sum)
	return err
}

// renew stores a face with another expiry in the slot that it has.
func (tx *transaction) renew(r ports.Record) error {
	var slot int64
	var before uint32
	err := tx.findFace.QueryRow(r.Collection, r.UserID, r.FaceID).Scan(&slot, &before)
	if errors.Is(err, sql.ErrNoRows) {
		return errFileChanged
	}
	if err != nil {
		return err
	}
	data := tx.cipher.seal(r)
	if _, err := tx.upsertVector.Exec(slot, data); err != nil {
		return err
	}
	sum := checksumOf(r, slot, data)
	tx.contents.remove(before)
	tx.contents.add(sum)
	_, err = tx.updateFace.Exec(ports.Microseconds(r.ExpiresAt), sum, r.Collection, r.UserID, r.FaceID)
	return err
}

// remove removes what a change says and overwrites the vectors and chips. Nobody asks for that unless it
// is there, so a file without was changed by somebody else or is damaged.
func (tx *transaction) remove(c Change) error {
	face := ""
	if c.OneFace {
		face = c.Face.FaceID
	}
	if _, err := tx.zeroVectors.Exec(c.Face.Collection, c.Face.UserID, face); err != nil {
		return err
	}
	if _, err := tx.deleteChips.Exec(c.Face.Collection, c.Face.UserID, face); err != nil {
		return err
	}
	rows, err := tx.deleteFaces.Query(c.Face.Collection, c.Face.UserID, face)
	if err != nil {
		return err
	}
	defer rows.Close()
	before := len(tx.freedSlots)
	for rows.Next() {
		var slot int64
		var sum uint32
		if err := rows.Scan(&slot, &sum); err != nil {
			return err
		}
		tx.contents.remove(sum)
		tx.freedSlots = append(tx.freedSlots, slot)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(tx.freedSlots) == before {
		return errFileChanged
	}
	return nil
}

// TruncateLog moves the write-ahead log into the database and empties it, which
// removes the last copies of what has been overwritten. It waits for the pages that scans
// are reading, but not for another process that is in the way.
func (f *File) TruncateLog() error {
	f.reading.Lock()
	defer f.reading.Unlock()
	if err := f.exec("PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	var busy, frames, moved int
	err := f.row("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
	if err == nil && busy != 0 {
		err = errors.New("another process is reading the file")
	}
	return errors.Join(err, f.exec(fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout.Milliseconds())))
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
