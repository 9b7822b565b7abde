package loadgen

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"imago/ports"
)

// kind is what a request does.
type kind int

const (
	search kind = iota
	enrol
	unenrol
	kinds int = iota
)

// operations are the names of the kinds.
var operations = [kinds]string{string(ports.OpSearch), string(ports.OpEnrol), string(ports.OpUnenrol)}

func (k kind) String() string { return operations[k] }

// Mix is how often each operation occurs among the requests, as weights.
type Mix [kinds]int

// maxWeight bounds a weight, so that sums cannot overflow.
const maxWeight = 1_000_000

// SearchOnly is the mix of a gallery that only searches.
func SearchOnly() Mix { return Mix{search: 1} }

// ParseMix reads "enrol=1,search=8,unenrol=1"; what is left out does not occur.
func ParseMix(s string) (Mix, error) {
	var m Mix
	for part := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		k := slices.Index(operations[:], name)
		if k < 0 {
			return Mix{}, fmt.Errorf("%q is none of enrol, search and unenrol", name)
		}
		weight, err := strconv.Atoi(value)
		if err != nil || weight < 0 || weight > maxWeight {
			return Mix{}, fmt.Errorf("the weight of %s must be 0 to %d", name, maxWeight)
		}
		m[k] = weight
	}
	return m, m.check()
}

func (m Mix) check() error {
	if m.total() <= 0 {
		return errors.New("all weights are 0")
	}
	return nil
}

func (m Mix) total() (sum int) {
	for _, weight := range m {
		sum += weight
	}
	return sum
}

func (m Mix) draw(random *rand.Rand) kind {
	n := random.IntN(m.total())
	for k, weight := range m {
		if n -= weight; n < 0 {
			return kind(k)
		}
	}
	return search
}

// String returns the mix as ParseMix reads it.
func (m Mix) String() string {
	var parts []string
	for k, weight := range m {
		if weight > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", kind(k), weight))
		}
	}
	return strings.Join(parts, ",")
}
