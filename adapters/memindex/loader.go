package memindex

import "imago/ports"

// Loader adds records to an index on a goroutine of its own, while the next ones are
// read: coding a vector for the index takes as long as reading it from a file.
type Loader struct {
	full, empty chan []ports.Record
	page        []ports.Record
	done        chan struct{}
}

// loaderPage is how many records change hands at a time, and loaderPages how
// many times as many may be under way.
const (
	loaderPage  = 256
	loaderPages = 4
)

// NewLoader returns a loader, which is the one that changes the index until it is closed.
func NewLoader(x *Index) *Loader {
	l := &Loader{
		full: make(chan []ports.Record, loaderPages), empty: make(chan []ports.Record, loaderPages),
		done: make(chan struct{}),
	}
	for range loaderPages {
		l.empty <- make([]ports.Record, 0, loaderPage)
	}
	l.page = <-l.empty
	go func() {
		defer close(l.done)
		for page := range l.full {
			for _, r := range page {
				x.Add(r)
			}
			l.empty <- page
		}
	}()
	return l
}

// Add copies a record; its strings are kept until it was added.
func (l *Loader) Add(r ports.Record) {
	n := len(l.page)
	l.page = l.page[:n+1]
	vector := l.page[n].Vector
	l.page[n] = r
	l.page[n].Vector = append(vector[:0], r.Vector...)
	if n+1 == loaderPage {
		l.flush()
	}
}

// flush hands a page over and takes an empty one.
func (l *Loader) flush() {
	l.full <- l.page
	l.page = (<-l.empty)[:0]
}

// Close adds what is left and returns when all was added. Publish is for the caller to call.
func (l *Loader) Close() {
	l.flush()
	close(l.full)
	<-l.done
	l.wipe()
}

// wipe erases the vectors in the pages: memory that is only given up would keep them until it
// is used again.
func (l *Loader) wipe() {
	for page := l.page; ; page = <-l.empty {
		for _, r := range page[:cap(page)] {
			clear(r.Vector[:cap(r.Vector)])
		}
		if len(l.empty) == 0 {
			return
		}
	}
}
