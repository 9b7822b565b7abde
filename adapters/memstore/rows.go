package memstore

// chunkRows is how many vectors lie in one piece of memory: 512 KiB at 128
// numbers. A search looks at its context once a chunk.
const chunkRows = 1024

// chunk is a piece of consecutive rows.
type chunk struct {
	vectors []float32 // chunkRows times the dimension
	faces   [chunkRows]*face
}

// rows keeps the vectors of a collection close together, in no order. Growing
// adds a chunk and moves nothing; removing puts the last row into the gap.
type rows struct {
	dimension int
	chunks    []*chunk
	n         int
}

// add copies a vector into a new row of a face.
func (r *rows) add(f *face, vector []float32) {
	if r.n == len(r.chunks)*chunkRows {
		r.chunks = append(r.chunks, &chunk{vectors: make([]float32, chunkRows*r.dimension)})
	}
	f.row = r.n
	r.n++
	r.place(f, vector)
}

// remove frees the row of a face and leaves nothing of its vector behind.
func (r *rows) remove(f *face) {
	r.n--
	if last := r.chunks[r.n/chunkRows].faces[r.n%chunkRows]; last != f {
		vector := r.vector(last.row)
		last.row = f.row
		r.place(last, vector)
	}
	clear(r.vector(r.n))
	r.chunks[r.n/chunkRows].faces[r.n%chunkRows] = nil
	r.shrink()
}

// place fills the row that a face has.
func (r *rows) place(f *face, vector []float32) {
	copy(r.vector(f.row), vector)
	r.chunks[f.row/chunkRows].faces[f.row%chunkRows] = f
}

// shrink gives memory back, but keeps one empty chunk, so that adding and
// removing at a chunk's edge does not allocate each time.
func (r *rows) shrink() {
	if spare := len(r.chunks) - 2; spare >= 0 && r.n <= spare*chunkRows {
		r.chunks[spare+1] = nil
		r.chunks = r.chunks[:spare+1]
	}
}

// vector returns the memory of a row.
func (r *rows) vector(row int) []float32 {
	at := row % chunkRows * r.dimension
	return r.chunks[row/chunkRows].vectors[at : at+r.dimension : at+r.dimension]
}

// filled returns how many rows of a chunk are in use.
func (r *rows) filled(chunk int) int { return min(chunkRows, r.n-chunk*chunkRows) }
