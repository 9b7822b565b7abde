package milvusstore

import (
	"strconv"
	"strings"

	"imago/ports"
)

// The fields of the Milvus collection.
const (
	idField         = "id"
	collectionField = "collection"
	ownerField      = "owner"
	enrolledAtField = "enrolled_at"
	expiresAtField  = "expires_at"
	generationField = "generation"
	headField       = "head"
	vectorField     = "vector"
	chipField       = "chip"
)

// quote returns a string literal of Milvus' expression language. Everything that
// comes from outside goes into expressions through it. The grammar ends a literal
// at an unescaped quote, and line ends may not stand in it; all else of valid
// UTF-8 stands for itself.
// https://github.com/milvus-io/milvus/blob/v2.3.5/internal/parser/planparserv2/Plan.g4
func quote(text string) string {
	return `"` + escapes.Replace(text) + `"`
}

var escapes = strings.NewReplacer(`"`, `\"`, `\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`)

// expression returns the condition that a row lies in the idRange. One with both ends
// has the server go through its rows once, where two conditions have it do so twice.
func (s idRange) expression() string {
	condition := idField + " >= " + quote(s.from)
	if s.to != "" {
		condition = quote(s.from) + " <= " + idField + " < " + quote(s.to)
	}
	if s.owner != "" {
		condition = "(" + condition + ") and " + ownerField + " == " + quote(s.owner)
	}
	if c := s.expired; c != (ports.Cutoff{}) {
		condition = "(" + condition + ") and (" + expiredBy(c, s.expiries) + ")"
	}
	return condition
}

// expiredBy returns the condition that a row alone would make its user expired, where rows
// have expiries.
func expiredBy(c ports.Cutoff, expiries bool) string {
	var conditions []string
	if !c.EnrolledAt.IsZero() {
		conditions = append(conditions, enrolledAtField+" <= "+strconv.FormatInt(c.EnrolledAt.UnixMicro(), 10))
	}
	if expiries {
		conditions = append(conditions, "("+expiresAtField+" > 0 and "+expiresAtField+" <= "+strconv.FormatInt(c.At.UnixMicro(), 10)+")")
	}
	return strings.Join(conditions, " or ")
}

// ofAny returns the condition that a row is of one of some users. It nests no deeper
// than it must: a server refuses what it would have to descend a hundred levels for.
func ofAny(keys []key) string {
	if n := len(keys); n > 1 {
		return "(" + ofAny(keys[:n/2]) + ") or (" + ofAny(keys[n/2:]) + ")"
	}
	return keys[0].idRange().expression()
}

// inCollection returns the condition that a row is a face of a collection.
func inCollection(collection string) string { return collectionField + " == " + quote(collection) }

// anyOf returns the condition that a row has one of the IDs.
func anyOf(ids []string) string {
	literals := make([]string, len(ids))
	for i, id := range ids {
		literals[i] = quote(id)
	}
	return idField + " in [" + strings.Join(literals, ",") + "]"
}
