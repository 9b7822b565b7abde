package ports_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

func TestValidateRecord(t *testing.T) {
	good := ports.Record{Collection: "users", UserID: "u1", FaceID: "f1", Vector: []float32{0.6, 0.8}, Owner: "gateway"}
	require.NoError(t, ports.ValidateRecord(good, 2))
	for name, change := range map[string]func(*ports.Record){
		"no collection":           func(r *ports.Record) { r.Collection = "" },
		"long collection":         func(r *ports.Record) { r.Collection = strings.Repeat("a", 65) },
		"upper-case collection":   func(r *ports.Record) { r.Collection = "Users" },
		"no user":                 func(r *ports.Record) { r.UserID = "" },
		"long user":               func(r *ports.Record) { r.UserID = strings.Repeat("a", 257) },
		"control character":       func(r *ports.Record) { r.UserID = "a\tb" },
		"no UTF-8":                func(r *ports.Record) { r.UserID = "a\xff" },
		"no face":                 func(r *ports.Record) { r.FaceID = "" },
		"owner with a line break": func(r *ports.Record) { r.Owner = "a\nb" },
		"no vector":               func(r *ports.Record) { r.Vector = nil },
		"wrong dimension":         func(r *ports.Record) { r.Vector = []float32{1} },
		"zero":                    func(r *ports.Record) { r.Vector = []float32{0, 0} },
		"not of unit length":      func(r *ports.Record) { r.Vector = []float32{0.6, 0.9} },
		"NaN":                     func(r *ports.Record) { r.Vector = []float32{float32(math.NaN()), 1} },
		"infinite":                func(r *ports.Record) { r.Vector = []float32{float32(math.Inf(1)), 0} },
	} {
		r := good
		change(&r)
		require.ErrorIs(t, ports.ValidateRecord(r, 2), ports.ErrInvalid, name)
	}
	good.Owner = ""
	require.NoError(t, ports.ValidateRecord(good, 2))
	good.UserID = strings.Repeat("é", 128)
	require.NoError(t, ports.ValidateRecord(good, 2))
}

func TestValidateQuery(t *testing.T) {
	good := ports.Query{Collection: "users", Vector: []float32{1}, K: 1000, MinScore: -1}
	require.NoError(t, ports.ValidateQuery(good, 1))
	for name, change := range map[string]func(*ports.Query){
		"k 0":           func(q *ports.Query) { q.K = 0 },
		"k 1001":        func(q *ports.Query) { q.K = 1001 },
		"minimum NaN":   func(q *ports.Query) { q.MinScore = math.NaN() },
		"minimum 1.1":   func(q *ports.Query) { q.MinScore = 1.1 },
		"minimum -1.1":  func(q *ports.Query) { q.MinScore = -1.1 },
		"no vector":     func(q *ports.Query) { q.Vector = nil },
		"no collection": func(q *ports.Query) { q.Collection = "" },
	} {
		q := good
		change(&q)
		require.ErrorIs(t, ports.ValidateQuery(q, 1), ports.ErrInvalid, name)
	}
}

// What a refusal says never repeats an ID: it may be somebody's personal number.
func TestValidateKeepsIDsToItself(t *testing.T) {
	require.NotContains(t, ports.ValidateUser("users", "secret\n").Error(), "secret")
}
