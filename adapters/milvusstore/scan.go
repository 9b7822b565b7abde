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

// Scan implements ports.VectorStore. It reads a page at a time and holds nothing
// while it yields.
func (s *Store) Scan(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		for rows, err := range s.pages(ctx, selection) {
			for i := 0; i < len(rows) && err == nil; i++ {
				if err = ports.Ended(ctx); err == nil && !yield(rows[i].record(), nil) {
					return
				}
			}
			if err != nil {
				yield(ports.Record{}, during(ctx, "scan", err))
				return
			}
		}
	}
}

// pages returns the faces of a selection, in order, with all faces of a user on one
// page.
func (s *Store) pages(ctx context.Context, selection ports.Selection) iter.Seq2[[]row, error] {
	limit := max(2*maxFaces+100, min(pageRows, pageBytes/(4*max(1, s.space.Dimension))))
	if selection.WithoutVectors {
		limit = max(limit, pageRows)
	}
	return func(yield func([]row, error) bool) {
		place := spanOf(selection)
		for {
			rows, err := s.page(ctx, selection, place, limit)
			// Milvus may put fewer rows together than there are, by the few that
			// it finds in two places while it moves them, so that only a page with
			// much room left is the last.
			last := len(rows) < limit/2
			if err == nil && len(rows) >= limit {
				rows, err = withoutLast(rows)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if len(rows) == 0 {
				return
			}
			place.from = rows[len(rows)-1].key().span().to
			for rows, err := range s.current(ctx, selection, rows) {
				if !yield(notBefore(selection.From, rows), err) || err != nil {
					return
				}
			}
			if last {
				return
			}
		}
	}
}

// spanOf returns the place of a selection's rows.
func spanOf(s ports.Selection) span {
	place := collectionSpan(s.Collection)
	place.from += literalPrefix(s.From)
	place.owner, _ = s.Owners.Only()
	place.wanted = faces
	if s.WithoutVectors {
		place.wanted = faceNames
	}
	return place
}

func (s *Store) page(ctx context.Context, selection ports.Selection, place span, limit int) ([]row, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if err := ports.ValidateSelection(selection); err != nil {
		return nil, err
	}
	return s.table.read(ctx, place, limit)
}

// maxAsked is how many users one request asks about: the longest page of users that
// the API shows, and one.
const maxAsked = 101

// current returns those of a page's rows that are of the latest generation of their
// user, in pieces. Rows of one owner do not show what it is: another may have enrolled
// the user since, while what was there before is still being removed.
func (s *Store) current(ctx context.Context, selection ports.Selection, rows []row) iter.Seq2[[]row, error] {
	return func(yield func([]row, error) bool) {
		rows := current(rows)
		if _, one := selection.Owners.Only(); !one {
			yield(rows, nil)
			return
		}
		for keys := range slices.Chunk(slices.Compact(each(rows, row.key)), maxAsked) {
			n := 0
			for n < len(rows) && slices.Contains(keys, rows[n].key()) {
				n++
			}
			latest, err := s.generations(ctx, keys)
			piece := slices.DeleteFunc(rows[:n:n], func(r row) bool { return r.generation < latest[r.key()] })
			if !yield(piece, err) || err != nil {
				return
			}
			rows = rows[n:]
		}
	}
}

// generations returns the latest generation of some users.
func (s *Store) generations(ctx context.Context, keys []key) (map[key]int64, error) {
	rows, err := s.table.users(ctx, keys...)
	if err != nil {
		return nil, err
	}
	if half := len(keys) / 2; len(rows) >= maxRead && half > 0 {
		first, err := s.generations(ctx, keys[:half])
		if err != nil {
			return nil, err
		}
		second, err := s.generations(ctx, keys[half:])
		if err != nil {
			return nil, err
		}
		maps.Copy(second, first)
		return second, nil
	}
	found := map[key]int64{}
	for _, r := range rows {
		found[r.key()] = max(found[r.key()], r.generation)
	}
	return found, nil
}

// withoutLast leaves out the last user of a full page, whose other faces may be
// on the next.
func withoutLast(rows []row) ([]row, error) {
	n := len(rows)
	last := rows[n-1].key()
	for n > 0 && rows[n-1].key() == last {
		n--
	}
	if n == 0 {
		return nil, errors.New("a user with more faces than imago enrols")
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

// notBefore leaves out the users before from.
func notBefore(from string, rows []row) []row {
	for len(rows) > 0 && strings.Compare(rows[0].key().user, from) < 0 {
		rows = rows[1:]
	}
	return rows
}
