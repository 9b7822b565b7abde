package imaging

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// pngHeader is what the chunks of a PNG file say about it.
type pngHeader struct {
	width, height int
	orientation   orientation
	interlaced    bool
}

// Sizes of the PNG format (third edition, 5.3 and 11.2.1) in bytes.
const (
	chunkLengthSize = 4
	chunkNameSize   = 4
	chunkCRCSize    = 4
	chunkOverhead   = chunkLengthSize + chunkNameSize + chunkCRCSize
	ihdrSize        = 13
)

// pngSignature begins every PNG file (third edition, 5.2). It is made to show
// damage by transfers that translate line ends.
const pngSignature = "\x89PNG\r\n\x1a\n"

// readPNGHeader goes through all chunks of a file, up to the one that ends it,
// which libpng does not wait for. What it finds is checked again by libpng.
func readPNGHeader(data []byte) (*pngHeader, error) {
	rest, ok := bytes.CutPrefix(data, []byte(pngSignature))
	if !ok {
		return nil, errDamaged
	}
	c, rest, ok := nextChunk(rest)
	if !ok || c.name() != "IHDR" || len(c.body()) != ihdrSize {
		return nil, errDamaged
	}
	h := &pngHeader{
		width:      int(binary.BigEndian.Uint32(c.body())),
		height:     int(binary.BigEndian.Uint32(c.body()[4:])),
		interlaced: c.body()[ihdrSize-1] != 0,
	}
	for c.name() != "IEND" {
		if c, rest, ok = nextChunk(rest); !ok {
			return nil, errDamaged
		}
		if c.name() == "eXIf" && h.orientation == 0 && c.sound() {
			h.orientation = parseOrientation(c.body())
		}
	}
	h.orientation = max(h.orientation, upright)
	return h, nil
}

// chunk is a whole chunk: length, name, body, checksum.
type chunk []byte

// nextChunk cuts the first chunk off; false when it is not there completely.
func nextChunk(data []byte) (c chunk, rest []byte, ok bool) {
	if len(data) < chunkOverhead {
		return nil, nil, false
	}
	length := int64(binary.BigEndian.Uint32(data)) + chunkOverhead
	if length > int64(len(data)) {
		return nil, nil, false
	}
	return chunk(data[:length]), data[length:], true
}

func (c chunk) name() string { return string(c[chunkLengthSize:][:chunkNameSize]) }

func (c chunk) body() []byte { return c[chunkLengthSize+chunkNameSize : len(c)-chunkCRCSize] }

// sound reports whether the checksum is right. libpng checks those of the chunks
// that it uses.
func (c chunk) sound() bool {
	sum := crc32.ChecksumIEEE(c[chunkLengthSize : len(c)-chunkCRCSize])
	return sum == binary.BigEndian.Uint32(c[len(c)-chunkCRCSize:])
}
