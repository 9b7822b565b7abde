package milvusstore

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"imago/ports"
)

// A page of a scan has as many faces as take pageBytes, but more than one user
// can have and not more than pageRows.
const (
	pageBytes = 4 << 20
	pageRows  = 4096
)

// Scan implements ports.StoreDriver. It reads a page at a time and holds nothing
// while it yields.
func (d *Driver) Scan(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		for rows, err := range d.pages(ctx, selection) {
			if err != nil {
				yield(ports.Record{}, err)
				return
			}
			for rows, err := range d.withChips(ctx, selection, rows) {
				if err != nil {
					yield(ports.Record{}, err)
					return
				}
				for _, r := range rows {
					if !yield(r.record(), nil) {
						return
					}
				}
			}
		}
	}
}

// pages returns the faces of a selection, in order, with all faces of a user on one
// page.
func (d *Driver) pages(ctx context.Context, selection ports.Selection) iter.Seq2[[]row, error] {
	limit := max(2*maxFaces+100, min(pageRows, pageBytes/(4*max(1, d.space.Dimension))))
	if selection.WithoutVectors {
		limit = max(limit, pageRows)
	}
	return func(yield func([]row, error) bool) {
		ids := rangeOf(selection)
		for {
			rows, err := d.table.read(ctx, ids, limit)
			// Milvus may put fewer rows together than there are, by the few that
			// it finds in two places while it moves them, so that only a page with
			// much room left is the last.
			last := len(rows) < limit/2
			if err == nil && len(rows) >= limit {
				rows, err = dropLastUser(rows)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if len(rows) == 0 {
				return
			}
			ids.from = rows[len(rows)-1].key().idRange().to
			for rows, err := range d.current(ctx, selection, rows) {
				if !yield(dropBefore(selection.From, rows), err) || err != nil {
					return
				}
			}
			if last {
				return
			}
		}
	}
}

// rangeOf returns the range of a selection's rows.
func rangeOf(s ports.Selection) idRange {
	ids := collectionRange(s.Collection)
	ids.from += literalPrefix(s.From)
	ids.owner, _ = s.Owners.Only()
	ids.fields = allFields
	if s.WithoutVectors {
		ids.fields = withoutVector
	}
	return ids
}

// maxUsersPerRead is how many users one request asks about: the longest page of users that
// the API shows, and one.
const maxUsersPerRead = 101

// current returns those of a page's rows that are of the latest generation of their
// user, in pieces. Rows of one owner do not show what it is: another may have enrolled
// the user since, while what was there before is still being removed.
func (d *Driver) current(ctx context.Context, selection ports.Selection, rows []row) iter.Seq2[[]row, error] {
	return func(yield func([]row, error) bool) {
		rows := current(rows)
		if _, one := selection.Owners.Only(); !one {
			yield(rows, nil)
			return
		}
		for keys := range slices.Chunk(slices.Compact(each(rows, row.key)), maxUsersPerRead) {
			n := 0
			for n < len(rows) && slices.Contains(keys, rows[n].key()) {
				n++
			}
			latest, err := d.generations(ctx, keys)
			piece := slices.DeleteFunc(rows[:n:n], func(r row) bool { return r.generation < latest[r.key()] })
			if !yield(piece, err) || err != nil {
				return
			}
			rows = rows[n:]
		}
	}
}

// generations returns the latest generation of some users.
func (d *Driver) generations(ctx context.Context, keys []key) (map[key]int64, error) {
	rows, err := d.table.users(ctx, keys...)
	if err != nil {
		return nil, err
	}
	found := map[key]int64{}
	if half := len(keys) / 2; len(rows) >= maxRead && half > 0 {
		for _, part := range [][]key{keys[:half], keys[half:]} {
			latest, err := d.generations(ctx, part)
			if err != nil {
				return nil, err
			}
			maps.Copy(found, latest)
		}
		return found, nil
	}
	for _, r := range rows {
		found[r.key()] = max(found[r.key()], r.generation)
	}
	return found, nil
}

// dropLastUser leaves out the last user of a full page, whose other faces may be
// on the next.
func dropLastUser(rows []row) ([]row, error) {
	n := len(rows)
	last := rows[n-1].key()
	for n > 0 && rows[n-1].key() == last {
		n--
	}
	if n == 0 {
		return nil, errors.New("a user has more faces than imago enrols")
	}
	return rows[:n], nil
}

// literalPrefix returns the part of a text that can stand in an expression: up to
// the first byte that no ID contains.
func literalPrefix(text string) string {
	for i, r := range text {
		if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 || unicode.IsControl(r) {
			return text[:i]
		}
	}
	return text
}

// dropBefore leaves out the users before from.
func dropBefore(from string, rows []row) []row {
	for len(rows) > 0 && strings.Compare(rows[0].key().UserID, from) < 0 {
		rows = rows[1:]
	}
	return rows
}
