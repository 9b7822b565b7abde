package sqlite

import (
	"encoding/binary"
	"fmt"
	"slices"

	"imago/ports"
)

// A chip is stored in a row that begins with chipHead bytes, its length and zeros, and is
// filled up with zeros. SQLite puts the first bytes of a long row on a page that it shares
// with other rows, which it may move and leave copies of (see schema), and the rest on pages
// that belong to the row alone, never move, and are overwritten with zeros when the row is
// deleted (secure_delete). The length is such that of every row as little as possible is on
// the shared page, less than chipHead bytes, so that no byte of the chip is. Without that, 6
// of 29,585 removed rows of up to 3,000 bytes were still in the file after 60,000 random
// writes, with it none.
// https://sqlite.org/fileformat2.html#cell_payload_overflow_pages
const (
	chipHead = 1024
	// chipPage is how much of a row is on each of its own pages.
	chipPage = pageSize - 4
	// minLocal is the least that is on the shared page ("M" in the description of the format).
	minLocal = (pageSize-12)*32/255 - 23
	// chipLength is how many bytes of its length stand in front of a chip.
	chipLength = 4
)

// padChip returns the row of a chip.
func padChip(chip []byte) []byte {
	pages := (chipHead + len(chip) - minLocal + chipPage - 1) / chipPage
	row := make([]byte, minLocal+pages*chipPage)
	binary.LittleEndian.PutUint32(row, uint32(len(chip)))
	copy(row[chipHead:], chip)
	return row
}

// unpadChip returns a copy of the chip in a row, nil for what is no row of padChip.
func unpadChip(row []byte) []byte {
	if len(row) < chipHead {
		return nil
	}
	n := binary.LittleEndian.Uint32(row[:chipLength])
	if n > ports.MaxChipBytes || int(n) > len(row)-chipHead {
		return nil
	}
	return slices.Clone(row[chipHead : chipHead+n])
}

// checkChips returns an error if there are chips without a face: what remains of somebody who
// was removed. It reads some 1,100 bytes of each chip. Which faces ought to have one is not
// known.
func (f *File) checkChips() error {
	if f.version < schemaVersion {
		return nil
	}
	var orphans int
	if err := f.row("SELECT count(*) FROM chip WHERE slot NOT IN (SELECT slot FROM face)").Scan(&orphans); err != nil {
		return err
	}
	if orphans > 0 {
		return fmt.Errorf("corrupt file: %d chips have no face; stop imago and remove them with: %s", orphans, dropChipsCommand)
	}
	return nil
}

// dropChipsCommand removes chips without a face.
const dropChipsCommand = `sqlite3 FILE "PRAGMA secure_delete = ON; DELETE FROM chip WHERE slot NOT IN (SELECT slot FROM face)"`
