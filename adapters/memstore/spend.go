package memstore

import (
	"fmt"
	"strconv"

	"imago/ports"
)

// maxSealed is how many vectors one key may seal. With random nonces of 96 bits a
// key must not be used more often than 2^32 times: the chance that any two of them
// are equal stays below 2^-32 (NIST SP 800-38D, section 8.3). Two equal ones would
// give away both vectors, and the key of the tags.
const maxSealed = 1 << 32

// warnSealed is from when on the log asks for another key: at a thousand
// enrolments a minute there are four years left.
const warnSealed = maxSealed / 2

// sealedBlock is how many vectors are noted in advance, so that the number is
// written once in a while. What of it was not used when imago ends counts as used.
const sealedBlock = 4096

// recall reads how often the first key was used. A file that does not say it was
// written by an imago that did not count: then it is its vectors.
func (d *database) recall() error {
	k := d.vault.sealing()
	if k == nil {
		return nil
	}
	text, err := d.meta(metaSealed + k.name())
	if err != nil {
		return err
	}
	if text == "" {
		if err := d.row("SELECT count(*) FROM vector").Scan(&k.sealed); err != nil {
			return err
		}
	} else if k.sealed, err = strconv.ParseUint(text, 10, 64); err != nil {
		return fmt.Errorf("it is damaged: the number of vectors that the key %s has encrypted is %.20q; restore a backup", k.name(), text)
	} else {
		k.noted = k.sealed
	}
	d.warnOfUse(k)
	return nil
}

// spend counts vectors that are about to be sealed, in the transaction that
// stores them, and refuses those that would be too many under one key.
func (d *database) spend(vectors int) error {
	k := d.vault.sealing()
	if k == nil || vectors == 0 {
		return nil
	}
	if k.sealed+uint64(vectors) > maxSealed {
		return fmt.Errorf("%w: the key %s has encrypted 2^32 vectors, and more would not be safe: "+
			"put a new key in front of it in store.memory.encryption and restart imago", ports.ErrUnavailable, k.name())
	}
	k.sealed += uint64(vectors)
	if k.sealed <= k.noted {
		return nil
	}
	k.noted = min(k.sealed+sealedBlock, maxSealed)
	d.warnOfUse(k)
	return d.setMeta(metaSealed+k.name(), strconv.FormatUint(k.noted, 10))
}

func (d *database) warnOfUse(k *key) {
	if k.sealed >= warnSealed {
		d.log.Warn("memstore: more than half of the 2^32 vectors that are safe under one key are encrypted: "+
			"put a new key in front of it in store.memory.encryption and restart imago", "key", k.name(), "vectors", k.sealed)
	}
}

// unnote forgets what the file was to be told in a transaction that failed.
func (v *vault) unnote() {
	if k := v.sealing(); k != nil {
		k.noted = 0
	}
}
