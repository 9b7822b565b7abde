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
	cut           []byte // what is there of a last chunk that is not there completely
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

// readPNGHeader goes through the chunks of a file, up to the one that ends it or
// to the end of the data: whether all pixels are there is for libpng to say. What
// it finds is checked again by libpng.
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
			h.cut = rest
			break
		}
		// libpng is not let read on to the checksum behind the last row.
		if c.name() == "IDAT" && !c.sound() {
			return nil, errDamaged
		}
		if c.name() == "eXIf" && h.orientation == 0 && c.sound() {
			h.orientation = parseOrientation(c.body())
		}
	}
	h.orientation = max(h.orientation, upright)
	return h, nil
}

// cutHead is what a cut chunk must have for its pixels to be found.
const cutHead = chunkLengthSize + chunkNameSize

// needsMending reports whether a file ends within a chunk of pixels: libpng takes
// whole chunks only, and what is missing may be no more than a checksum.
func (h *pngHeader) needsMending() bool {
	return len(h.cut) >= cutHead && string(h.cut[chunkLengthSize:cutHead]) == "IDAT"
}

// mended returns a copy of such a file in which that chunk is complete, as far as
// it is there.
func (h *pngHeader) mended(data []byte) []byte {
	body := h.cut[cutHead:]
	body = body[:min(int64(len(body)), int64(binary.BigEndian.Uint32(h.cut)))]
	whole := len(data) - len(h.cut)
	out := append(make([]byte, 0, len(data)+chunkCRCSize), data[:whole]...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)))
	out = append(append(out, "IDAT"...), body...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[whole+chunkLengthSize:]))
}

// chunk is a whole chunk: length, name, body, checksum.
type chunk []byte

// nextChunk cuts the first chunk off; false when it is not there completely.
func nextChunk(data []byte) (c chunk, rest []byte, ok bool) {
	if len(data) < chunkOverhead {
		return nil, data, false
	}
	length := int64(binary.BigEndian.Uint32(data)) + chunkOverhead
	if length > int64(len(data)) {
		return nil, data, false
	}
	return chunk(data[:length]), data[length:], true
}

func (c chunk) name() string { return string(c[chunkLengthSize:][:chunkNameSize]) }

func (c chunk) body() []byte { return c[chunkLengthSize+chunkNameSize : len(c)-chunkCRCSize] }

// sound reports whether the checksum is right. libpng checks those of the other
// chunks that it uses.
func (c chunk) sound() bool {
	sum := crc32.ChecksumIEEE(c[chunkLengthSize : len(c)-chunkCRCSize])
	return sum == binary.BigEndian.Uint32(c[len(c)-chunkCRCSize:])
}
