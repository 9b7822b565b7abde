// Command exactsearch puts the memory store's exact index beside others in the same
// run: test/bench/compare.py and test/bench/peers start it with vectors in a file,
// and tell it on standard input when to load and to measure what, so that all take
// turns on a machine that others use too.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"imago/adapters/exactindex"
)

// row is a vector's number in the file.
type row struct {
	name  string
	place exactindex.Place
}

func (r *row) Group() string            { return r.name }
func (r *row) ID() string               { return "" }
func (r *row) Place() *exactindex.Place { return &r.place }

type bench struct {
	index     *exactindex.Index[*row]
	vectors   string // the file
	dimension int
	queries   [][]float32
	minimum   float64
}

func main() {
	log.SetFlags(0)
	vectors := flag.String("vectors", "", "file of little-endian float32 numbers")
	queries := flag.String("queries", "", "file of the same kind")
	dimension := flag.Int("dimension", 128, "numbers of a vector")
	threads := flag.Int("threads", 1, "cores to use")
	minimum := flag.Float64("minimum", 0.4, "smallest score")
	flag.Parse()
	b := &bench{index: exactindex.New[*row](*dimension, *threads), vectors: *vectors, dimension: *dimension, minimum: *minimum}
	must(read(*queries, math.MaxInt, *dimension, func(v []float32) { b.queries = append(b.queries, slices.Clone(v)) }))
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		b.answer(lines.Text())
	}
}

func must(err error) {
	if err != nil {
		log.Fatal("exactsearch: ", err)
	}
}

// read calls f with each of the first rows of a file; f must not keep them.
func read(path string, rows, dimension int, f func(v []float32)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	in, bytes, v := bufio.NewReaderSize(file, 1<<20), make([]byte, 4*dimension), make([]float32, dimension)
	for range rows {
		if _, err := io.ReadFull(in, bytes); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(bytes[4*i:]))
		}
		f(v)
	}
	return nil
}

// answer does what a line asks and prints milliseconds per search, or what was found.
func (b *bench) answer(line string) {
	var seconds, minimum float64
	var rows int
	if n, _ := fmt.Sscanf(line, "each %g %g", &seconds, &minimum); n == 2 {
		b.each(time.Duration(seconds*float64(time.Second)), minimum)
		return
	}
	if n, _ := fmt.Sscanf(line, "load %d", &rows); n == 1 {
		b.load(rows)
		return
	}
	switch line {
	case "alone":
		fmt.Println(b.alone(10, b.minimum))
	case "top":
		fmt.Println(b.alone(10, -1))
	case "batch":
		fmt.Println(b.batch(32, 4))
	case "check":
		b.check()
	default:
		log.Fatalf("exactsearch: %q is no command", line)
	}
}

// load fills the index with the first rows of the file and prints the seconds that
// took.
func (b *bench) load(rows int) {
	began, n := time.Now(), 0
	must(read(b.vectors, rows, b.dimension, func(v []float32) {
		b.index.Add(&row{name: strconv.Itoa(n)}, v)
		n++
	}))
	b.index.Publish()
	took := time.Since(began)
	debug.FreeOSMemory() // what remains is the index
	fmt.Println(took.Seconds())
}

// each searches for the best ten of every query again and again for a while, at least
// once, and prints milliseconds and rows of each search on one line.
func (b *bench) each(d time.Duration, minimum float64) {
	var out strings.Builder
	began := time.Now()
	for i := 0; i < len(b.queries) || time.Since(began) < d; i++ {
		at := time.Now()
		hits := b.search(b.queries[i%len(b.queries)], 10, minimum)
		fmt.Fprintf(&out, "%g:", milliseconds(time.Since(at)))
		for _, h := range hits {
			out.WriteString(h.Item.name + ",")
		}
		out.WriteByte(' ')
	}
	fmt.Println(out.String())
}

func (b *bench) search(q []float32, k int, minimum float64) []exactindex.Hit[*row] {
	hits, err := b.index.Search(context.Background(), q, k, minimum)
	must(err)
	return hits
}

// alone returns the time of each of some searches.
func (b *bench) alone(k int, minimum float64) string {
	var times []string
	for _, q := range b.queries[:4] {
		began := time.Now()
		b.search(q, k, minimum)
		times = append(times, fmt.Sprint(milliseconds(time.Since(began))))
	}
	return strings.Join(times, " ")
}

// batch returns the mean time of searches by some clients at once.
func (b *bench) batch(clients, rounds int) float64 {
	began := time.Now()
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range rounds {
				b.search(b.queries[(c+i)%len(b.queries)], 10, b.minimum)
			}
		})
	}
	wg.Wait()
	return milliseconds(time.Since(began)) / float64(clients*rounds)
}

// check prints the rows found for each query, on one line.
func (b *bench) check() {
	for i, q := range b.queries {
		for _, h := range b.search(q, 1000, b.minimum) {
			fmt.Printf("%d:%s:%.9g ", i, h.Item.name, h.Score)
		}
	}
	fmt.Println()
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
