package sqlite

import (
	"fmt"
	"strconv"

	"imago/ports"
)

// maxSealed is how many vectors one key may seal. With random nonces of 96 bits a
// key must not be used more often than 2^32 times: the chance that any two of them
// are equal stays below 2^-32 (NIST SP 800-38D, section 8.3). Two equal ones would
// reveal both vectors, and the key of the tags.
const maxSealed = 1 << 32

// warnSealed is from when on the log asks for another key: at a thousand
// enrolments a minute there are four years left.
const warnSealed = maxSealed / 2

// reservedBlock is how many vectors are counted in advance, so that the number is
// written once in a while. What of it was not used when imago ends counts as used.
const reservedBlock = 4096

// loadKeyUsage reads how often the first key was used. A file that does not say it was
// written by an imago that did not count: then it is its vectors.
func (f *File) loadKeyUsage() error {
	k := f.cipher.sealingKey()
	if k == nil {
		return nil
	}
	if text := f.meta[metaSealed+k.name()]; text == "" {
		if err := f.row("SELECT count(*) FROM vector").Scan(&k.sealed); err != nil {
			return err
		}
	} else {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return fmt.Errorf("corrupt file: invalid number of vectors encrypted with key %s: %.20q; restore a backup", k.name(), text)
		}
		k.sealed, k.reserved = n, n
	}
	f.warnOfKeyUsage(k)
	return nil
}

// countSealed counts vectors that are about to be sealed, in the transaction that
// stores them, and refuses those that would be too many under one key.
func (f *File) countSealed(vectors int) error {
	k := f.cipher.sealingKey()
	if k == nil || vectors == 0 {
		return nil
	}
	if k.sealed+uint64(vectors) > maxSealed {
		return fmt.Errorf("%w: key %s has encrypted 2^32 vectors, the most that is safe: "+
			"put a new key in front of it in store.memory.encryption and restart imago", ports.ErrUnavailable, k.name())
	}
	k.sealed += uint64(vectors)
	if k.sealed <= k.reserved {
		return nil
	}
	k.reserved = min(k.sealed+reservedBlock, maxSealed)
	f.warnOfKeyUsage(k)
	return f.setMeta(metaSealed+k.name(), strconv.FormatUint(k.reserved, 10))
}

func (f *File) warnOfKeyUsage(k *key) {
	if k.sealed >= warnSealed {
		f.log.Warn("the current key has encrypted more than half of the 2^32 vectors that are safe with one key: "+
			"put a new key in front of it in store.memory.encryption and restart imago", "key", k.name(), "vectors", k.sealed)
	}
}

// resetReserved has the number written again, after a transaction that failed.
func (c *vectorCipher) resetReserved() {
	if k := c.sealingKey(); k != nil {
		k.reserved = 0
	}
}
