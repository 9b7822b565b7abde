package memstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	sqlite3 "github.com/mattn/go-sqlite3"

	"imago/ports"
)

// castagnoli is the polynomial of CRC-32C, which processors have an instruction
// for (RFC 3720, appendix B.4). It finds every damage within 32 bits and misses
// one in 2^32 of the others. It is no protection against forgery.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is what the column sum of table face has of a row and of its vector as
// it is stored. SQLite has checksums in its log only; a bit that flips in the
// database would otherwise be believed.
func checksum(collection, user, face, owner string, enrolledAt, slot int64, data []byte) uint32 {
	buffer := make([]byte, 0, 1024)
	for _, text := range []string{collection, user, face, owner} {
		buffer = append(append(buffer, text...), 0)
	}
	buffer = binary.LittleEndian.AppendUint64(buffer, uint64(enrolledAt))
	buffer = binary.LittleEndian.AppendUint64(buffer, uint64(slot))
	return crc32.Update(crc32.Checksum(buffer, castagnoli), castagnoli, data)
}

func checksumOf(r ports.Record, slot int64, data []byte) uint32 {
	return checksum(r.Collection, r.UserID, r.FaceID, r.Owner, r.EnrolledAt.UnixMicro(), slot, data)
}

var errChecksum = errors.New("its checksum is wrong")

// tally is what the table meta says of all rows together, written by each
// commit: a row that is missing could not be noticed by its own checksum, nor
// could a commit.
type tally struct {
	commits uint64 // since the file was made
	faces   int64
	sum     uint64 // of the checksums
}

func (c *tally) add(sum uint32) {
	c.faces++
	c.sum += uint64(sum)
}

func (c *tally) remove(sum uint32) {
	c.faces--
	c.sum -= uint64(sum)
}

func (c tally) String() string { return fmt.Sprintf("%d %d %d", c.commits, c.faces, c.sum) }

func parseContents(text string) (c tally, err error) {
	if _, err := fmt.Sscanf(text, "%d %d %d", &c.commits, &c.faces, &c.sum); err != nil {
		return c, fmt.Errorf("it is damaged: what its table meta says of the contents is %.64q; restore a backup", text)
	}
	return c, nil
}

// acceptContents is how an operator has imago accept a file as it is.
const acceptContents = `sqlite3 FILE "DELETE FROM meta WHERE key = 'contents'"`

// compare says what is wrong when what was found is not what ought to be there.
func (c tally) compare(found tally) error {
	switch {
	case c.faces != found.faces:
		return fmt.Errorf("it is damaged: it has %d faces, but %d were committed; restore a backup, or go on with what is there after: %s",
			found.faces, c.faces, acceptContents)
	case c.sum != found.sum:
		return fmt.Errorf("it is damaged: its faces are not those that were committed; restore a backup, or go on with what is there after: %s",
			acceptContents)
	}
	return nil
}

// loadContents reads what ought to be in the file. A file that does not say so was
// accepted as it is by an operator, or was being encrypted.
func (d *database) loadContents() (known bool, err error) {
	text, err := d.meta(metaContents)
	if err != nil || text == "" {
		return false, err
	}
	d.contents, err = parseContents(text)
	return true, err
}

// acceptFaces notes that what is in the file is what ought to be there.
func (d *database) acceptFaces() error {
	found, err := d.count()
	if err != nil {
		return err
	}
	d.contents.faces, d.contents.sum = found.faces, found.sum
	return d.setMeta(metaContents, d.contents.String())
}

// count adds up the checksums of the rows without checking them.
func (d *database) count() (found tally, err error) {
	var sum int64
	err = d.row("SELECT count(*), coalesce(sum(sum), 0) FROM face").Scan(&found.faces, &sum)
	found.sum = uint64(sum)
	return found, err
}

// addFunction lets SQL call checksum.
func (d *database) addFunction() error {
	return d.conn.Raw(func(driver any) error {
		return driver.(*sqlite3.SQLiteConn).RegisterFunc("imago_checksum",
			func(collection, user, face, owner string, enrolledAt, slot int64, data []byte) int64 {
				return int64(checksum(collection, user, face, owner, enrolledAt, slot, data))
			}, true)
	})
}

// upgrade gives checksums to a file of an imago that knew none, in one
// transaction. What is damaged in it already can only be found where it makes no
// sense.
func (d *database) upgrade(ctx context.Context, version int) error {
	d.log.Info("memstore: adding checksums to the file", "path", d.path)
	if err := d.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := d.exec(`ALTER TABLE face ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
		UPDATE face SET sum = imago_checksum(collection, user_id, face_id, owner, enrolled_at, slot,
			coalesce((SELECT data FROM vector WHERE vector.slot = face.slot), x''))`)
	if err == nil {
		err = d.setMeta(metaFile, newFileID())
	}
	if err == nil {
		err = d.acceptFaces()
	}
	if err == nil {
		err = d.exec(fmt.Sprintf("PRAGMA user_version = %d", version+schemaVersion-plainVersion1))
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return errors.Join(err, d.rollback())
	}
	return d.exec("COMMIT")
}
