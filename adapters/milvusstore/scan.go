package milvusstore

import (
	"context"
	"errors"
	"iter"
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
func (s *Store) Scan(ctx context.Context, collection, from string) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		for rows, err := range s.pages(ctx, collection, from) {
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

// pages returns the faces of a collection from a user on, in order, with all
// faces of a user on one page.
func (s *Store) pages(ctx context.Context, collection, from string) iter.Seq2[[]row, error] {
	limit := max(2*maxFaces+100, min(pageRows, pageBytes/(4*max(1, s.space.Dimension))))
	return func(yield func([]row, error) bool) {
		place := collectionSpan(collection)
		place.faces = true
		place.from += literalPrefix(from)
		for {
			rows, err := s.page(ctx, collection, place, limit)
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
			if !yield(notBefore(from, current(rows)), nil) || last {
				return
			}
		}
	}
}

func (s *Store) page(ctx context.Context, collection string, place span, limit int) ([]row, error) {
	if err := s.readable(ctx, collection); err != nil {
		return nil, err
	}
	return s.table.read(ctx, place, limit)
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
