package records

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"imago/ports"
	"imago/test/fixture"
)

// Users is the collection of all records.
const Users = "users"

// Space returns an embedding space of a dimension.
func Space(dimension int) ports.Space {
	return ports.Space{Model: "tiny", Digest: strings.Repeat("0f", 32), Preprocessing: "RGB", Dimension: dimension}
}

// Rand returns a source of random numbers that is the same in every run.
func Rand(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(20260102, stream)) }

// Key names a user.
func Key(user string) ports.UserKey { return ports.UserKey{Collection: Users, UserID: user} }

// New returns the first face of a user.
func New(user string, vector []float32) ports.Record {
	return ports.Record{
		Collection: Users, UserID: user, FaceID: "f", Vector: vector,
		Owner: "gateway", EnrolledAt: time.UnixMicro(1767225600123456).UTC(),
	}
}

// Crowd returns n users with vectors of random direction, in order of their IDs.
func Crowd(n, dimension int) []ports.Record {
	rng := Rand(uint64(n))
	all := make([]ports.Record, n)
	for i := range all {
		all[i] = New(fmt.Sprintf("user-%06d", i), fixture.UnitVector(rng, dimension))
	}
	return all
}

// AddChips gives records chips of random bytes and of many lengths.
func AddChips(all []ports.Record) []ports.Record {
	rng := Rand(uint64(len(all)))
	for i := range all {
		all[i].Chip = make([]byte, 1+rng.IntN(ports.MaxChipBytes))
		for at := range all[i].Chip {
			all[i].Chip[at] = byte(rng.Uint32())
		}
	}
	return all
}

// Ignore is for those who want no record.
func Ignore(ports.Record) {}

// Countdown is a context that ends when it was looked at some times.
type Countdown struct {
	context.Context
	Looks int
}

// Err counts a look.
func (c *Countdown) Err() error {
	if c.Looks--; c.Looks < 0 {
		return context.DeadlineExceeded
	}
	return nil
}
