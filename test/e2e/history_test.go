package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// An act is one operation on one user as a client saw it.
type act struct {
	user    string
	kind    kind
	picture int // which of the pictures; none for an unenrolment
}

type kind string

const (
	enrols   kind = "enrol"
	replaces kind = "replace"
	adds     kind = "add a face"
	unenrols kind = "unenrol"
	finds    kind = "find" // a search by a picture, and whether it named the user
)

// outcome is what the client was told.
type outcome string

const (
	yes     outcome = "yes"     // 200; the user was found
	no      outcome = "no"      // exists already, or does not exist; not found
	unknown outcome = "unknown" // no answer, or a failure: it may have happened, or may yet happen
)

// gallery is the specification of one user: the set of pictures that were
// enrolled, as bits.
var gallerySpecification = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		users := map[string][]porcupine.Operation{}
		for _, o := range history {
			user := o.Input.(act).user
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
		has, answer := follow(had, input.(act))
		switch output.(outcome) {
		case answer:
			return []any{has}
		case unknown:
			return []any{had, has}
		}
		return nil
	},
	DescribeOperation: func(input, output any) string {
		a := input.(act)
		return fmt.Sprintf("%s %d: %s", a.kind, a.picture, output)
	},
}

// follow returns what a user has after an act, and what its answer must be.
func follow(had uint32, a act) (has uint32, answer outcome) {
	bit := uint32(1) << a.picture
	switch {
	case a.kind == enrols && had == 0, a.kind == replaces && had != 0:
		return bit, yes
	case a.kind == adds && had != 0:
		return had | bit, yes
	case a.kind == unenrols && had != 0:
		return 0, yes
	case a.kind == finds && had&bit != 0:
		return had, yes
	}
	return had, no
}

// requireLinearizable checks that there is an order of all operations that agrees
// with every answer and with the times of calls and answers (Herlihy and Wing,
// "Linearizability: a correctness condition for concurrent objects", 1990): that
// nothing acknowledged was lost, not even by those who crashed in between, and
// nothing came back.
func requireLinearizable(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	model := gallerySpecification.ToModel()
	for _, part := range gallerySpecification.Partition(history) {
		result := porcupine.CheckOperationsTimeout(model, part, 10*time.Minute)
		if result == porcupine.Ok {
			continue
		}
		slices.SortFunc(part, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
		for _, o := range part {
			t.Logf("%12d to %12d: %s", o.Call, o.Return, model.DescribeOperation(o.Input, o.Output))
		}
		require.Equal(t, porcupine.Ok, result, "the history of %s", part[0].Input.(act).user)
	}
}

// The checker notices what it is there for.
func TestHistoriesThatMustNotHappen(t *testing.T) {
	model := gallerySpecification.ToModel()
	at := func(call, back int64, k kind, picture int, o outcome) porcupine.Operation {
		return porcupine.Operation{Input: act{"u", k, picture}, Call: call, Return: back, Output: o}
	}
	for name, c := range map[string]struct {
		history []porcupine.Operation
		want    bool
	}{
		"plain":                      {[]porcupine.Operation{at(1, 2, enrols, 0, yes), at(3, 4, finds, 0, yes), at(5, 6, unenrols, 0, yes), at(7, 8, finds, 0, no)}, true},
		"an enrolment is lost":       {[]porcupine.Operation{at(1, 2, enrols, 0, yes), at(3, 4, finds, 0, no)}, false},
		"an enrolment is late":       {[]porcupine.Operation{at(1, 4, enrols, 0, yes), at(2, 3, finds, 0, no)}, true},
		"a removed face comes back":  {[]porcupine.Operation{at(1, 2, enrols, 0, yes), at(3, 4, unenrols, 0, yes), at(5, 6, finds, 0, yes)}, false},
		"two enrol one user":         {[]porcupine.Operation{at(1, 4, enrols, 0, yes), at(2, 3, enrols, 1, yes)}, false},
		"an old face is found":       {[]porcupine.Operation{at(1, 2, enrols, 0, yes), at(3, 4, replaces, 1, yes), at(5, 6, finds, 0, yes)}, false},
		"a further face is lost":     {[]porcupine.Operation{at(1, 2, enrols, 0, yes), at(3, 4, adds, 1, yes), at(5, 6, finds, 1, no)}, false},
		"unknown, it happened":       {[]porcupine.Operation{at(1, 9, enrols, 0, unknown), at(3, 4, finds, 0, yes)}, true},
		"unknown, it did not":        {[]porcupine.Operation{at(1, 9, enrols, 0, unknown), at(3, 4, finds, 0, no)}, true},
		"unknown, it happened later": {[]porcupine.Operation{at(1, 9, enrols, 0, unknown), at(3, 4, finds, 0, no), at(5, 6, finds, 0, yes)}, true},
		"unknown, it went away":      {[]porcupine.Operation{at(1, 9, enrols, 0, unknown), at(3, 4, finds, 0, yes), at(5, 6, finds, 0, no)}, false},
		"refused without reason":     {[]porcupine.Operation{at(1, 2, replaces, 0, no), at(3, 4, enrols, 0, no)}, false},
	} {
		require.Equal(t, c.want, porcupine.CheckOperations(model, c.history), name)
	}
}
