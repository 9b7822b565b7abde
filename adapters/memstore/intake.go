package memstore

import "imago/ports"

// intake adds records to an index on a goroutine of its own, while the next ones are
// read: coding a vector for the index takes as long as reading it from the file.
type intake struct {
	full, empty chan []ports.Record
	page        []ports.Record
	done        chan struct{}
}

// intakePage is how many records change hands at a time, and intakePages how
// many times as many may be under way.
const (
	intakePage  = 256
	intakePages = 4
)

// newIntake returns an intake that owns the index until it is closed.
func newIntake(x *index) *intake {
	in := &intake{
		full: make(chan []ports.Record, intakePages), empty: make(chan []ports.Record, intakePages),
		done: make(chan struct{}),
	}
	for range intakePages {
		in.empty <- make([]ports.Record, 0, intakePage)
	}
	in.page = <-in.empty
	go func() {
		defer close(in.done)
		for page := range in.full {
			for _, r := range page {
				x.add(r)
			}
			in.empty <- page
		}
	}()
	return in
}

// add copies a record; its strings are kept until it was added.
func (in *intake) add(r ports.Record) {
	n := len(in.page)
	in.page = in.page[:n+1]
	vector := in.page[n].Vector
	in.page[n] = r
	in.page[n].Vector = append(vector[:0], r.Vector...)
	if n+1 == intakePage {
		in.pass()
	}
}

// pass hands a page over and takes an empty one.
func (in *intake) pass() {
	in.full <- in.page
	in.page = (<-in.empty)[:0]
}

// close adds what is left and returns when all was added.
func (in *intake) close() {
	in.pass()
	close(in.full)
	<-in.done
}
