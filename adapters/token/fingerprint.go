package token

import (
	"crypto/sha256"
	"io"
	"os"
)

// fingerprint tells the states of a file apart: the hash of its content, or why
// it cannot be read. Times of change are of no use: two changes can fall into
// one tick of the file system's clock, and mounted secrets are swapped by
// symbolic links. A file of keys is small enough to be read every second.
type fingerprint []byte

// maxRead bounds what is read for a fingerprint. A file of keys is refused long
// before that size.
const maxRead = 16 << 20

func fingerprintOf(path string) fingerprint {
	if path == "" {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return fingerprint(err.Error())
	}
	defer func() { _ = file.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, io.LimitReader(file, maxRead)); err != nil {
		return fingerprint(err.Error())
	}
	return hash.Sum(nil)
}
