package transfer

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"imago/ports"
)

// Export writes collections of a store of the given space as JSON Lines that Import
// reads, and returns their sums. The same contents always give the same bytes. After an
// error the file lacks its last line, and Import refuses it. Chips are in it where
// Options.KeepChips is set and says so; they make it some 30 times as large.
func Export(ctx context.Context, w io.Writer, from ports.VectorStore, space ports.Space, collections []string, o Options) ([]Sum, error) {
	total, err := count(ctx, from, collections, o.Retry)
	if err != nil {
		return nil, err
	}
	buffer := bufio.NewWriterSize(w, 1<<16)
	e := &exporter{lines: json.NewEncoder(buffer), dimension: space.Dimension, o: o, total: total}
	e.lines.SetEscapeHTML(false)
	version := formatVersion
	if o.KeepChips != nil {
		version = chipsVersion
	}
	err = e.lines.Encode(header{formatName, version, space.ID(), space.Model, collections})
	if err != nil {
		return nil, err
	}
	sums := make([]Sum, 0, len(collections))
	for _, name := range collections {
		sum, err := e.collection(name, storedUsers(ctx, from, o.source(name), o.Retry))
		if err != nil {
			return nil, fmt.Errorf("collection %s: %w", name, err)
		}
		sums = append(sums, sum)
	}
	if err := e.lines.Encode(endLine{sums}); err != nil {
		return nil, err
	}
	return sums, buffer.Flush()
}

type exporter struct {
	lines       *json.Encoder
	dimension   int
	o           Options
	done, total int
}

func (e *exporter) collection(name string, source users) (Sum, error) {
	s := newSumBuilder(name)
	for faces, err := range source {
		if err != nil {
			return Sum{}, err
		}
		for _, r := range faces {
			line, err := newFaceLine(r, e.dimension)
			if err != nil {
				return Sum{}, err
			}
			if err := e.lines.Encode(line); err != nil {
				return Sum{}, err
			}
		}
		s.add(faces)
		s.addChips(faces)
		e.done++
		if e.o.Progress != nil {
			e.o.Progress(e.done, e.total)
		}
	}
	return s.sum(), nil
}
