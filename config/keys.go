package config

import (
	"fmt"
	"time"
)

// Keys is the file of API keys that auth.keys_file names.
type Keys struct {
	Keys []Key `yaml:"keys" validate:"dive"`
}

// Key is what one client presents and may do. The key itself is kept nowhere:
// only its hash.
type Key struct {
	// Name is the client's; it owns what it enrols under this name.
	Name string `yaml:"name" validate:"required,keyname"`
	// SHA256 is the hash of the key's UTF-8 bytes in lower-case hex.
	SHA256 string `yaml:"sha256" validate:"required,len=64,hexlower"`
	// Collections the client may use: users and names of lists; none means all.
	Collections []string `yaml:"collections,omitempty" validate:"unique,dive,scope"`
	// Operations the client may perform: enrol, search, unenrol, read; none
	// means all.
	Operations []string `yaml:"operations,omitempty" validate:"unique,dive,operation"`
	// Expires is when the key stops being valid (RFC 3339); absent means never.
	Expires time.Time `yaml:"expires,omitempty"`
	// Rate and Burst replace auth.rate and auth.burst for this key; absent means
	// those hold. A rate of its own comes with the burst of one second unless
	// Burst says otherwise.
	Rate  *float64 `yaml:"rate,omitempty" validate:"omitempty,min=0,max=1000000"`
	Burst *int     `yaml:"burst,omitempty" validate:"omitempty,min=0,max=1000000"`
}

// Limit returns the rate and the burst that hold for the key: its own or, where
// it has none, those of auth.
func (k Key) Limit(auth Auth) (rate float64, burst int) {
	rate, burst = auth.Rate, auth.Burst
	if k.Rate != nil {
		rate, burst = *k.Rate, 0
	}
	if k.Burst != nil {
		burst = *k.Burst
	}
	return rate, burst
}

// LoadKeys reads and checks a file of keys as strictly as Load reads settings.
// Names and hashes must be unique: a name is an owner, and a hash must lead to
// one client. Whether the collections exist is not checked here.
func LoadKeys(path string) (Keys, error) {
	data, err := readFile(path)
	if err != nil {
		return Keys{}, err
	}
	var keys Keys
	r := newReport()
	r.decode(data, &keys)
	r.validate(&keys)
	r.distinct("name", keys.Keys, func(k Key) string { return k.Name })
	r.distinct("sha256", keys.Keys, func(k Key) string { return k.SHA256 })
	if err := r.err(path); err != nil {
		return Keys{}, err
	}
	return keys, nil
}

// Check reports every rule that the stanza of a new key breaks.
func (k Key) Check() error {
	r := newReport()
	r.validate(&k)
	return r.err("key")
}

// distinct notes every key whose value an earlier one has already.
func (r *report) distinct(field string, keys []Key, value func(Key) string) {
	first := map[string]int{}
	for i, k := range keys {
		v := value(k)
		j, taken := first[v]
		if !taken {
			first[v] = i
		}
		r.check(!taken || v == "", fmt.Sprintf("keys[%d].%s", i, field), fmt.Sprintf("must differ from that of keys[%d]", j))
	}
}
