package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"imago/ports"
)

// The values of metaPending: what is being done to the rows.
const (
	fromPlain   = "plain"   // plain ones are sealed with the key that metaKey names
	fromKeys    = "keys"    // those of other keys are sealed with it
	toPlain     = "decrypt" // sealed ones are written plain
	fromUnbound = "unbound" // those sealed without the owner are sealed with it
)

// conversionBatch is how many rows are sealed in one transaction.
const conversionBatch = 1024

// applyEncryption makes the file's encryption and the configured one meet: it refuses a
// file whose vectors it could not read, or may not encrypt, before anything is
// changed, and seals every vector with the first key where some are not, or
// writes them plain where that is wanted. That is done in many small
// transactions; when it is interrupted, even by a crash, the next start continues, as long
// as the keys are there.
func (f *File) applyEncryption(ctx context.Context, convert bool) error {
	f.cipher.allowUnbound = f.isUnbound()
	defer func() { f.cipher.allowUnbound = false }()
	from, err := f.cipher.conversion(f.header, convert)
	if err != nil {
		return err
	}
	if err := f.loadKeyUsage(); err != nil || from == "" {
		return err
	}
	if err := f.beginConversion(from); err != nil {
		return err
	}
	return f.convertAll(ctx, from)
}

// isUnbound reports whether an earlier imago may have sealed some of the rows.
func (h header) isUnbound() bool { return h.version == unboundVersion || h.meta[metaUnbound] != "" }

// conversion returns what has to be done to the rows of a file, "" for nothing.
func (c *vectorCipher) conversion(h header, convert bool) (from string, err error) {
	name, pending, k := h.meta[metaKey], h.meta[metaPending], c.sealingKey()
	switch {
	case name == "" && k == nil:
		return "", nil
	case name == "" && !convert:
		return "", errors.New("it is not encrypted, and store.memory.encryption has a key: " +
			"set store.memory.encryption.convert to true to have it encrypted, or take the key away")
	case name == "":
		return fromPlain, nil
	case len(c.keys) == 0:
		return "", fmt.Errorf("it is encrypted with the key %s, and store.memory.encryption has none: configure that key, "+
			"and set store.memory.encryption.decrypt to true beside it if the file is to be written plain", name)
	case !slices.ContainsFunc(c.keys, func(k *key) bool { return k.name() == name }):
		return "", fmt.Errorf("it is encrypted with the key %s, which store.memory.encryption lacks (it has %s first); "+
			"add that key behind the first, or set store.memory.path to another file", name, c.keys[0].name())
	case c.decrypt:
		return toPlain, nil
	case pending == toPlain: // it was interrupted and is no longer wanted
		return fromPlain, nil
	case pending != "":
		return pending, nil
	case name != k.name():
		return fromKeys, nil
	case c.allowUnbound:
		return fromUnbound, nil
	}
	return "", nil
}

// beginConversion records what is going to be done. From now on the next start resumes after
// an interruption, and an imago that knows no encryption refuses the file. Rows that are
// missing have to be found now, because the conversion counts anew.
func (f *File) beginConversion(from string) error {
	found, err := f.sumRows()
	if err == nil {
		err = f.contents.compare(found)
	}
	if err != nil {
		return err
	}
	marks := map[string]string{metaPending: from}
	if k := f.cipher.sealingKey(); k != nil {
		marks[metaKey] = k.name()
	}
	if f.cipher.allowUnbound {
		marks[metaUnbound] = "yes"
	}
	return f.transact(func() error { return f.mark(encryptedVersion, marks) })
}

// endConversion records that it is done.
func (f *File) endConversion(from string) error {
	statements := fmt.Sprintf("DELETE FROM meta WHERE key IN ('%s', '%s')", metaPending, metaUnbound)
	if from == toPlain {
		statements += fmt.Sprintf("; DELETE FROM meta WHERE key = '%s'; PRAGMA user_version = %d", metaKey, schemaVersion)
	}
	return f.transact(func() error { return f.exec(statements) })
}

// convertAll seals every vector, or opens it, and cleans up. Sealed vectors are
// longer than plain ones, so that rows move and may leave copies behind; rewrite leaves none.
func (f *File) convertAll(ctx context.Context, from string) error {
	f.logConversion(from)
	f.cipher.allowPlain = from == fromPlain
	defer func() { f.cipher.allowPlain = false }()
	var at ports.Record
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if more, err = f.convertBatch(&at); err != nil {
			return err
		}
		f.log.Debug("encrypted some vectors", "path", f.path)
	}
	if from == fromPlain || from == toPlain {
		if err := f.exec("DELETE FROM vector WHERE slot NOT IN (SELECT slot FROM face)"); err != nil {
			return err
		}
		if err := f.rewrite(); err != nil {
			return err
		}
	}
	if err := f.TruncateLog(); err != nil {
		return err
	}
	return f.endConversion(from)
}

// rewrite writes the file anew with VACUUM, which takes as much memory as the file is large, or
// of a file with chips, which are many times as large as all else, the vectors alone: the
// pages where they were are overwritten with zeros then.
func (f *File) rewrite() error {
	var chips bool
	if err := f.row("SELECT EXISTS (SELECT 1 FROM chip)").Scan(&chips); err != nil {
		return err
	}
	if !chips {
		return f.exec("VACUUM")
	}
	if err := f.exec("PRAGMA foreign_keys = OFF"); err != nil {
		return err
	}
	return errors.Join(f.transact(func() error {
		return f.exec("CREATE TABLE rewritten " + vectorColumns + `;
			INSERT INTO rewritten SELECT slot, data FROM vector ORDER BY slot;
			DROP TABLE vector;
			ALTER TABLE rewritten RENAME TO vector`)
	}), f.exec("PRAGMA foreign_keys = ON"))
}

// logConversion announces what is going to take a while.
func (f *File) logConversion(from string) {
	if from == toPlain {
		f.log.Warn("decrypting the vectors of the file; afterwards everyone who can read the file can read them", "path", f.path)
		return
	}
	f.log.Info("encrypting the vectors of the file", "path", f.path, "key", f.cipher.sealingKey().name(), "from", from)
}

// convertBatch stores the vectors of the rows behind a place again, as they are to be, in
// one transaction, and moves the place. It reports whether there may be more.
func (f *File) convertBatch(at *ports.Record) (more bool, err error) {
	after := f.contents
	after.commits++
	err = f.transact(func() error {
		stale, n, err := f.staleRows(at)
		if err != nil {
			return err
		}
		more = n == conversionBatch
		if err := f.countSealed(len(stale)); err != nil {
			return err
		}
		for _, row := range stale {
			sum, err := f.convertRow(row)
			if err != nil {
				return err
			}
			after.remove(row.sum)
			after.add(sum)
		}
		return f.setMeta(metaContents, after.String())
	})
	if err == nil {
		f.contents = after
	}
	return more, err
}

// convertRow stores the vector of a row again and returns the row's new checksum.
func (f *File) convertRow(row storedRow) (sum uint32, err error) {
	data := f.cipher.seal(row.Record)
	sum = checksumOf(row.Record, row.slot, data)
	if err := f.exec("UPDATE vector SET data = ? WHERE slot = ?", data, row.slot); err != nil {
		return 0, err
	}
	return sum, f.exec("UPDATE face SET sum = ? WHERE (collection, user_id, face_id) = (?, ?, ?)",
		sum, row.Collection, row.UserID, row.FaceID)
}

// staleRows returns those of the rows behind a place that are not stored as
// they would be now, and how many rows it looked at.
func (f *File) staleRows(at *ports.Record) (stale []storedRow, n int, err error) {
	rows, err := f.conn.QueryContext(context.Background(), f.selectRows()+`
		WHERE (collection, user_id, face_id) > (?, ?, ?)
		ORDER BY collection, user_id, face_id LIMIT ?`, at.Collection, at.UserID, at.FaceID, conversionBatch)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		var row storedRow
		if err := row.scan(rows); err != nil {
			return nil, 0, err
		}
		*at = row.Record
		if f.cipher.isCurrent(row.Record, row.data, f.dimension) {
			continue
		}
		row.Vector = make([]float32, f.dimension)
		if err := f.openRow(&row); err != nil {
			return nil, 0, err
		}
		stale = append(stale, row)
	}
	return stale, n, rows.Err()
}
