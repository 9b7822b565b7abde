package sqlite

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
// database would otherwise go unnoticed.
func checksum(collection, user, face, owner string, enrolledAt, expiresAt, slot int64, data []byte) uint32 {
	buffer := make([]byte, 0, 1024)
	for _, text := range []string{collection, user, face, owner} {
		buffer = append(append(buffer, text...), 0)
	}
	buffer = binary.LittleEndian.AppendUint64(buffer, uint64(enrolledAt))
	buffer = binary.LittleEndian.AppendUint64(buffer, uint64(slot))
	if expiresAt != 0 { // so that the rows of an earlier imago keep their sums
		buffer = binary.LittleEndian.AppendUint64(buffer, uint64(expiresAt))
	}
	return crc32.Update(crc32.Checksum(buffer, castagnoli), castagnoli, data)
}

func checksumOf(r ports.Record, slot int64, data []byte) uint32 {
	return checksum(r.Collection, r.UserID, r.FaceID, r.Owner, r.EnrolledAt.UnixMicro(), ports.Microseconds(r.ExpiresAt), slot, data)
}

var errChecksum = errors.New("wrong checksum")

// totals is what the table meta has of all rows together, written by each commit: without it,
// a missing row or a missing commit would go unnoticed.
type totals struct {
	commits uint64 // since the file was made
	faces   int64
	sum     uint64 // of the checksums
}

func (c *totals) add(sum uint32) {
	c.faces++
	c.sum += uint64(sum)
}

func (c *totals) remove(sum uint32) {
	c.faces--
	c.sum -= uint64(sum)
}

func (c totals) String() string { return fmt.Sprintf("%d %d %d", c.commits, c.faces, c.sum) }

func parseTotals(text string) (c totals, err error) {
	if _, err := fmt.Sscanf(text, "%d %d %d", &c.commits, &c.faces, &c.sum); err != nil {
		return c, fmt.Errorf("corrupt file: invalid meta.contents %.64q; restore a backup", text)
	}
	return c, nil
}

// acceptCommand is how an operator has imago accept a file as it is.
const acceptCommand = `sqlite3 FILE "DELETE FROM meta WHERE key = 'contents'"`

// compare returns an error if what was found is not what was committed.
func (c totals) compare(found totals) error {
	switch {
	case c.faces != found.faces:
		return fmt.Errorf("corrupt file: it has %d faces, but %d were committed; restore a backup, or accept the present content with: %s",
			found.faces, c.faces, acceptCommand)
	case c.sum != found.sum:
		return fmt.Errorf("corrupt file: the checksum over all faces is wrong; restore a backup, or accept the present content with: %s",
			acceptCommand)
	}
	return nil
}

// acceptRows records what is in the file as what was committed.
func (f *File) acceptRows() error {
	found, err := f.sumRows()
	if err != nil {
		return err
	}
	f.contents.faces, f.contents.sum = found.faces, found.sum
	return f.setMeta(metaContents, f.contents.String())
}

// sumRows adds up the checksums of the rows without checking them.
func (f *File) sumRows() (found totals, err error) {
	var sum int64
	err = f.row("SELECT count(*), coalesce(sum(sum), 0) FROM face").Scan(&found.faces, &sum)
	found.sum = uint64(sum)
	return found, err
}

// registerChecksum lets SQL call checksum.
func (f *File) registerChecksum() error {
	return f.conn.Raw(func(driver any) error {
		return driver.(*sqlite3.SQLiteConn).RegisterFunc("imago_checksum",
			func(collection, user, face, owner string, enrolledAt, slot int64, data []byte) int64 {
				return int64(checksum(collection, user, face, owner, enrolledAt, 0, slot, data))
			}, true)
	})
}

// addChecksums gives checksums to a file of an imago that knew none, in one
// transaction. What is damaged in it already can only be found where it makes no
// sense.
func (f *File) addChecksums(ctx context.Context) error {
	f.log.Info("adding checksums to the file", "path", f.path)
	return f.transact(
		func() error {
			return f.exec(`ALTER TABLE face ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
				UPDATE face SET sum = imago_checksum(collection, user_id, face_id, owner, enrolled_at, slot,
					coalesce((SELECT data FROM vector WHERE vector.slot = face.slot), x''))`)
		},
		func() error {
			return f.mark(f.version+checksumVersion-plainVersion1, map[string]string{metaFile: newFileID()})
		},
		f.acceptRows,
		ctx.Err)
}
