package milvusstore

import (
	"context"
	"encoding/base64"
	"iter"
	"maps"
	"slices"

	"github.com/milvus-io/milvus-sdk-go/v2/entity"

	"imago/ports"
)

// errNoChips refuses a chip that there is no field for: a field cannot be added to a Milvus
// collection later.
var errNoChips = ports.Refuse(ports.ErrInvalid, "the chip of a face cannot be kept: the Milvus collection was created by an earlier imago; "+
	"have its operator copy the gallery to a new one with imago migrate, or turn keep_chips off")

// chipEncoding is how a chip is text, since Milvus has no field of bytes beside vectors.
var chipEncoding = base64.RawStdEncoding

// newChipField returns the field of the chip. A chip is in the row of its face, so that it comes
// and goes with it in one step. No search, count or condition looks at the field: servers that
// know fields on disk (2.5 and later) are asked not to keep it in memory, others keep it
// there with the rest of the row.
func newChipField() *entity.Field {
	return text(chipField, int64(chipEncoding.EncodedLen(ports.MaxChipBytes))).WithTypeParams("mmap.enabled", "true")
}

// chipText is the chip as the field has it, empty for none.
func (r row) chipText() string { return chipEncoding.EncodeToString(r.chip) }

// fillChips puts the values of the field into rows.
func fillChips(rows []row, column entity.Column) (err error) {
	filled := fill(rows, column, (*entity.ColumnVarChar).Data, func(r *row, v string) {
		if v == "" {
			return
		}
		chip, failure := chipEncoding.DecodeString(v)
		if failure != nil {
			err = errForeignRow
		}
		r.chip = chip
	})
	if filled != nil {
		return filled
	}
	return err
}

// chipsPerRead is how many chips one request asks for: as many as take a page of a scan.
const chipsPerRead = pageBytes / (4 * ports.MaxChipBytes / 3)

// chipsOf reads without waiting for the server's time tick. A row never changes, so that an
// earlier state has the chip, too, or, where a server is behind, has not the row.
func (t *remote) chipsOf(ctx context.Context, ids []string) (map[string][]byte, error) {
	chips := make(map[string][]byte, len(ids))
	if !t.chips {
		for _, id := range ids {
			chips[id] = nil
		}
		return chips, nil
	}
	rows, err := t.query(ctx, []string{facesPartition}, anyOf(ids), []string{idField, chipField}, len(ids), entity.ClEventually)
	for _, r := range rows {
		chips[r.id] = r.chip
	}
	return chips, err
}

// withChips returns the rows of a page with their chips, if the selection asks for them, a few
// users at a time.
func (d *Driver) withChips(ctx context.Context, selection ports.Selection, rows []row) iter.Seq2[[]row, error] {
	return func(yield func([]row, error) bool) {
		if !selection.WithChips {
			yield(rows, nil)
			return
		}
		for len(rows) > 0 {
			n := wholeUsers(rows, chipsPerRead)
			part, err := d.addChips(ctx, selection, rows[:n:n])
			if !yield(part, err) || err != nil {
				return
			}
			rows = rows[n:]
		}
	}
}

// wholeUsers returns how many of the rows are those of the first users, limit rows at most
// unless the first user alone has more.
func wholeUsers(rows []row, limit int) int {
	n := 0
	for n < len(rows) {
		end := n + 1
		for end < len(rows) && rows[end].key() == rows[n].key() {
			end++
		}
		if n > 0 && end > limit {
			break
		}
		n = end
	}
	return n
}

// addChips puts the chips into rows of whole users. A user of whom a row is gone since the page was
// read is read anew, since a change of one face may renew the others.
func (d *Driver) addChips(ctx context.Context, selection ports.Selection, rows []row) ([]row, error) {
	chips := make(map[string][]byte, len(rows))
	for ids := range slices.Chunk(each(rows, func(r row) string { return r.id }), chipsPerRead) {
		some, err := d.table.chipsOf(ctx, ids)
		if err != nil {
			return nil, err
		}
		maps.Copy(chips, some)
	}
	var whole []row
	for len(rows) > 0 {
		n := wholeUsers(rows, 1)
		user := rows[:n:n]
		if slices.ContainsFunc(user, func(r row) bool { _, there := chips[r.id]; return !there }) {
			var err error
			if user, err = d.readAnew(ctx, selection, user[0].key()); err != nil {
				return nil, err
			}
		}
		for i, r := range user {
			if r.chip == nil {
				user[i].chip = chips[r.id]
			}
		}
		whole, rows = append(whole, user...), rows[n:]
	}
	return whole, nil
}

// readAnew returns what a scan yields of one user, with the chips.
func (d *Driver) readAnew(ctx context.Context, selection ports.Selection, k key) ([]row, error) {
	user := k.idRange(facesPartition)
	user.fields, user.chips = rangeOf(selection).fields, true
	rows, err := d.table.read(ctx, user, maxUserRows)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(latest(rows), func(r row) bool { return !selection.Owners.Include(r.owner) }), nil
}
