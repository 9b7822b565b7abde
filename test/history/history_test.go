package history

import (
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// The checker notices what it is there for.
func TestHistoriesThatMustNotHappen(t *testing.T) {
	model := specification.ToModel()
	at := func(call, back int64, k Kind, face int, o Outcome) porcupine.Operation {
		return porcupine.Operation{Input: Act{"u", k, face}, Call: call, Return: back, Output: o}
	}
	for name, c := range map[string]struct {
		history []porcupine.Operation
		want    bool
	}{
		"plain":                      {[]porcupine.Operation{at(1, 2, Enrols, 0, Yes), at(3, 4, Finds, 0, Yes), at(5, 6, Unenrols, 0, Yes), at(7, 8, Finds, 0, No)}, true},
		"an enrolment is lost":       {[]porcupine.Operation{at(1, 2, Enrols, 0, Yes), at(3, 4, Finds, 0, No)}, false},
		"an enrolment is late":       {[]porcupine.Operation{at(1, 4, Enrols, 0, Yes), at(2, 3, Finds, 0, No)}, true},
		"a removed face comes back":  {[]porcupine.Operation{at(1, 2, Enrols, 0, Yes), at(3, 4, Unenrols, 0, Yes), at(5, 6, Finds, 0, Yes)}, false},
		"two enrol one user":         {[]porcupine.Operation{at(1, 4, Enrols, 0, Yes), at(2, 3, Enrols, 1, Yes)}, false},
		"an old face is found":       {[]porcupine.Operation{at(1, 2, Enrols, 0, Yes), at(3, 4, Replaces, 1, Yes), at(5, 6, Finds, 0, Yes)}, false},
		"a further face is lost":     {[]porcupine.Operation{at(1, 2, Enrols, 0, Yes), at(3, 4, Adds, 1, Yes), at(5, 6, Finds, 1, No)}, false},
		"unknown, it happened":       {[]porcupine.Operation{at(1, 9, Enrols, 0, Unknown), at(3, 4, Finds, 0, Yes)}, true},
		"unknown, it did not":        {[]porcupine.Operation{at(1, 9, Enrols, 0, Unknown), at(3, 4, Finds, 0, No)}, true},
		"unknown, it happened later": {[]porcupine.Operation{at(1, 9, Enrols, 0, Unknown), at(3, 4, Finds, 0, No), at(5, 6, Finds, 0, Yes)}, true},
		"unknown, it went away":      {[]porcupine.Operation{at(1, 9, Enrols, 0, Unknown), at(3, 4, Finds, 0, Yes), at(5, 6, Finds, 0, No)}, false},
		"refused without reason":     {[]porcupine.Operation{at(1, 2, Replaces, 0, No), at(3, 4, Enrols, 0, No)}, false},
	} {
		require.Equal(t, c.want, porcupine.CheckOperations(model, c.history), name)
	}
}
