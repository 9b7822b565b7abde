// Package history judges what concurrent clients of a gallery were told: whether there is an
// order of all calls that agrees with every answer and with the times of calls and answers.
package history

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// Act is one operation on one user as a client saw it.
type Act struct {
	User string
	Kind Kind
	Face int // which of a few faces; none for an unenrolment
}

// Kind is what an Act does.
type Kind string

// The kinds.
const (
	Enrols   Kind = "enrol"
	Replaces Kind = "replace"
	Adds     Kind = "add a face"
	Unenrols Kind = "unenrol"
	Finds    Kind = "find" // a search by a face, and whether it named the user
)

// Outcome is what the client was told.
type Outcome string

// The outcomes.
const (
	Yes     Outcome = "yes"     // done; the user was found
	No      Outcome = "no"      // exists already, or does not exist; not found
	Unknown Outcome = "unknown" // no answer, or a failure: it may have happened, or may yet happen
)

// History is what clients were told. Its methods may be called at the same time.
type History struct {
	began      time.Time
	mu         sync.Mutex
	operations []porcupine.Operation
}

// New returns a history that begins now.
func New() *History { return &History{began: time.Now()} }

// Now returns the time in a history, in nanoseconds.
func (h *History) Now() int64 { return time.Since(h.began).Nanoseconds() }

// Note adds a call of a client, with the times of the call and its answer.
func (h *History) Note(client int, a Act, call, back int64, o Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, porcupine.Operation{ClientId: client, Input: a, Call: call, Output: o, Return: back})
}

// Count returns how many acts had an outcome, those that find and those that change apart.
func (h *History) Count() (changes map[Outcome]int, finds int) {
	changes = map[Outcome]int{}
	for _, o := range h.operations {
		if o.Input.(Act).Kind == Finds {
			finds++
		} else {
			changes[o.Output.(Outcome)]++
		}
	}
	return changes, finds
}

// specification is what one user has: the set of enrolled faces, as bits.
var specification = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		users := map[string][]porcupine.Operation{}
		for _, o := range history {
			user := o.Input.(Act).User
			users[user] = append(users[user], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range users {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() []any { return []any{uint32(0)} },
	Step: func(state, input, output any) []any {
		had := state.(uint32)
		has, answer := follow(had, input.(Act))
		switch output.(Outcome) {
		case answer:
			return []any{has}
		case Unknown:
			return []any{had, has}
		}
		return nil
	},
	DescribeOperation: func(input, output any) string {
		a := input.(Act)
		return fmt.Sprintf("%s %d: %s", a.Kind, a.Face, output)
	},
}

// follow returns what a user has after an act, and what its answer must be.
func follow(had uint32, a Act) (has uint32, answer Outcome) {
	bit := uint32(1) << a.Face
	switch {
	case a.Kind == Enrols && had == 0, a.Kind == Replaces && had != 0:
		return bit, Yes
	case a.Kind == Adds && had != 0:
		return had | bit, Yes
	case a.Kind == Unenrols && had != 0:
		return 0, Yes
	case a.Kind == Finds && had&bit != 0:
		return had, Yes
	}
	return had, No
}

// RequireLinearizable checks that there is an order of all operations that agrees
// with every answer and with the times of calls and answers (Herlihy and Wing,
// "Linearizability: a correctness condition for concurrent objects", 1990): that
// nothing acknowledged was lost, not even by those who crashed in between, and
// nothing came back.
func (h *History) RequireLinearizable(t *testing.T) {
	t.Helper()
	model := specification.ToModel()
	for _, part := range specification.Partition(h.operations) {
		result := porcupine.CheckOperationsTimeout(model, part, 10*time.Minute)
		if result == porcupine.Ok {
			continue
		}
		slices.SortFunc(part, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
		for _, o := range part {
			t.Logf("%12d to %12d: %s", o.Call, o.Return, model.DescribeOperation(o.Input, o.Output))
		}
		require.Equal(t, porcupine.Ok, result, "the history of %s", part[0].Input.(Act).User)
	}
}
