package memstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"imago/ports"
)

// The values of metaPending: what is being done to the rows.
const (
	fromPlain = "plain"   // plain ones are sealed with the key that metaKey names
	fromKeys  = "keys"    // those of other keys are sealed with it
	toPlain   = "decrypt" // sealed ones are written plain
	fromLoose = "unbound" // those sealed without the owner are sealed with it
)

// resealBatch is how many rows are sealed in one transaction.
const resealBatch = 1024

// unlock makes the file's encryption and the configured one meet: it refuses a
// file whose vectors it could not read, or may not encrypt, before anything is
// changed, and seals every vector with the first key where some are not, or
// writes them plain where that is wanted. That is done in many small
// transactions and goes on where it was when it is interrupted, even by a
// crash, as long as the keys are there.
func (d *database) unlock(ctx context.Context, convert bool) error {
	unbound, err := d.isUnbound()
	if err != nil {
		return err
	}
	d.vault.unbound = unbound
	defer func() { d.vault.unbound = false }()
	from, err := d.plan(convert)
	if err != nil {
		return err
	}
	if err := d.recall(); err != nil || from == "" {
		return err
	}
	if err := d.begin(from); err != nil {
		return err
	}
	return d.resealAll(ctx, from)
}

// isUnbound reports whether an earlier imago may have sealed some of the rows.
func (d *database) isUnbound() (bool, error) {
	version, err := d.version()
	if err != nil {
		return false, err
	}
	noted, err := d.meta(metaUnbound)
	return version == unboundVersion || noted != "", err
}

// plan returns what has to be done to the rows, "" for nothing.
func (d *database) plan(convert bool) (from string, err error) {
	name, err := d.meta(metaKey)
	if err != nil {
		return "", err
	}
	pending, err := d.meta(metaPending)
	if err != nil {
		return "", err
	}
	return d.vault.plan(name, pending, convert)
}

// plan returns what has to be done to the rows, "" for nothing, given what the
// table meta says.
func (v *vault) plan(name, pending string, convert bool) (from string, err error) {
	k := v.sealing()
	switch {
	case name == "" && k == nil:
		return "", nil
	case name == "" && !convert:
		return "", errors.New("it is not encrypted, and store.memory.encryption has a key: " +
			"set store.memory.encryption.convert to true to have it encrypted, or take the key away")
	case name == "":
		return fromPlain, nil
	case len(v.keys) == 0:
		return "", fmt.Errorf("it is encrypted with the key %s, and store.memory.encryption has none: configure that key, "+
			"and set store.memory.encryption.decrypt to true beside it if the file is to be written plain", name)
	case !v.knows(name):
		return "", fmt.Errorf("it is encrypted with the key %s, which store.memory.encryption lacks (it has %s first); "+
			"add that key behind the first, or set store.memory.path to another file", name, v.keys[0].name())
	case v.decrypt:
		return toPlain, nil
	case pending == toPlain: // it was interrupted and is no longer wanted
		return fromPlain, nil
	case pending != "":
		return pending, nil
	case name != k.name():
		return fromKeys, nil
	case v.unbound:
		return fromLoose, nil
	}
	return "", nil
}

func (v *vault) knows(name string) bool {
	for _, k := range v.keys {
		if k.name() == name {
			return true
		}
	}
	return false
}

// begin notes what is going to be done. From now on an interruption is made up
// for at the next start, and an imago that knows no encryption refuses the file.
// What is missing now would not be missed afterwards.
func (d *database) begin(from string) error {
	found, err := d.count()
	if err == nil {
		err = d.contents.compare(found)
	}
	if err != nil {
		return err
	}
	if err := d.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	steps := []func() error{
		func() error { return d.setMeta(metaPending, from) },
		func() error { return d.exec(fmt.Sprintf("PRAGMA user_version = %d", encryptedVersion)) },
	}
	if k := d.vault.sealing(); k != nil {
		steps = append(steps, func() error { return d.setMeta(metaKey, k.name()) })
	}
	if d.vault.unbound {
		steps = append(steps, func() error { return d.setMeta(metaUnbound, "yes") })
	}
	return d.together(steps...)
}

// end notes that it is done.
func (d *database) end(from string) error {
	steps := []func() error{
		func() error { return d.dropMeta(metaPending) },
		func() error { return d.dropMeta(metaUnbound) },
	}
	if from == toPlain {
		steps = append(steps,
			func() error { return d.dropMeta(metaKey) },
			func() error { return d.exec(fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)) })
	}
	if err := d.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	return d.together(steps...)
}

// together ends a transaction that was begun after some more steps: all of it
// happens or nothing.
func (d *database) together(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return errors.Join(err, d.exec("ROLLBACK"))
		}
	}
	return d.exec("COMMIT")
}

func (d *database) dropMeta(key string) error { return d.exec("DELETE FROM meta WHERE key = ?", key) }

// resealAll seals every vector, or opens it, and cleans up. Sealed vectors are
// longer than plain ones, so that rows move and may leave copies behind; VACUUM writes the
// whole file anew and leaves none. It takes as much memory as the file is large.
func (d *database) resealAll(ctx context.Context, from string) error {
	d.announce(from)
	d.vault.plain = from == fromPlain
	defer func() { d.vault.plain = false }()
	var at ports.Record
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if more, err = d.resealSome(&at); err != nil {
			return errors.Join(err, d.rollback())
		}
		d.log.Debug("memstore: encrypted some vectors", "path", d.path)
	}
	if from == fromPlain || from == toPlain {
		if err := d.exec("DELETE FROM vector WHERE slot NOT IN (SELECT slot FROM face)"); err != nil {
			return err
		}
		if err := d.exec("VACUUM"); err != nil {
			return err
		}
	}
	if err := d.truncateLog(); err != nil {
		return err
	}
	return d.end(from)
}

// announce says what is going to take a while.
func (d *database) announce(from string) {
	if from == toPlain {
		d.log.Warn("memstore: decrypting the vectors of the file; when that is done they are there for everybody who can read it", "path", d.path)
		return
	}
	d.log.Info("memstore: encrypting the vectors of the file", "path", d.path, "key", d.vault.sealing().name(), "from", from)
}

// rollback ends a transaction that may be open.
func (d *database) rollback() error {
	// SQLite may have rolled back by itself, and then it says so here.
	_ = d.exec("ROLLBACK")
	d.vault.unnote()
	return nil
}

// resealSome stores the vectors of the rows behind a place anew in one transaction,
// and moves the place. It reports whether there may be more.
func (d *database) resealSome(at *ports.Record) (more bool, err error) {
	if err := d.exec("BEGIN IMMEDIATE"); err != nil {
		return false, err
	}
	stale, n, err := d.stale(at)
	if err != nil {
		return false, err
	}
	if err := d.spend(len(stale)); err != nil {
		return false, err
	}
	after := d.contents
	after.commits++
	for _, s := range stale {
		sum, err := d.reseal(s)
		if err != nil {
			return false, err
		}
		after.remove(s.sum)
		after.add(sum)
	}
	if err := d.setMeta(metaContents, after.String()); err != nil {
		return false, err
	}
	if err := d.exec("COMMIT"); err != nil {
		return false, err
	}
	d.contents = after
	return n == resealBatch, nil
}

// reseal stores the vector of a row anew and returns the row's new checksum.
func (d *database) reseal(s stored) (sum uint32, err error) {
	data := d.vault.seal(s.Record)
	sum = checksumOf(s.Record, s.slot, data)
	if err := d.exec("UPDATE vector SET data = ? WHERE slot = ?", data, s.slot); err != nil {
		return 0, err
	}
	return sum, d.exec("UPDATE face SET sum = ? WHERE (collection, user_id, face_id) = (?, ?, ?)",
		sum, s.Collection, s.UserID, s.FaceID)
}

// stored is a record with what the file has beside it.
type stored struct {
	ports.Record
	slot int64
	sum  uint32
}

// stale returns those of the rows behind a place that are not stored as
// they would be now, and how many rows it looked at.
func (d *database) stale(at *ports.Record) (stale []stored, n int, err error) {
	rows, err := d.conn.QueryContext(context.Background(), `
		SELECT collection, user_id, face_id, owner, enrolled_at, slot, sum, data FROM face LEFT JOIN vector USING (slot)
		WHERE (collection, user_id, face_id) > (?, ?, ?)
		ORDER BY collection, user_id, face_id LIMIT ?`, at.Collection, at.UserID, at.FaceID, resealBatch)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		var s stored
		var enrolledAt int64
		var data sql.RawBytes
		if err := rows.Scan(&s.Collection, &s.UserID, &s.FaceID, &s.Owner, &enrolledAt, &s.slot, &s.sum, &data); err != nil {
			return nil, 0, err
		}
		s.EnrolledAt = time.UnixMicro(enrolledAt)
		*at = s.Record
		if d.vault.current(s.Record, data, d.dimension) {
			continue
		}
		s.Vector = make([]float32, d.dimension)
		err := d.vault.open(&s.Record, data)
		if err == nil && checksumOf(s.Record, s.slot, data) != s.sum {
			err = errChecksum
		}
		if err != nil {
			return nil, 0, damagedRow(s.slot, s.Collection, err)
		}
		stale = append(stale, s)
	}
	return stale, n, rows.Err()
}
