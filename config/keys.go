package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// All is what stands in Key.Collections and Key.Operations for everything.
const All = "all"

// Keys is the file of API keys that auth.keys_file names.
type Keys struct {
	Keys []Key `yaml:"keys" validate:"dive"`
}

// Key is what one client presents and may do. The key itself is kept nowhere:
// only its hash.
type Key struct {
	// Name is the client's; it owns what it enrols under this name.
	Name string `yaml:"name" validate:"required,keyname"`
	// SHA256 are the hashes of the keys that are valid for the client: one, or several
	// while a new key replaces an old one.
	SHA256 Hashes `yaml:"sha256"`
	// MinThreshold is the least threshold in percent that the key may search with, so
	// that it cannot ask who resembles a face a little; absent means any.
	MinThreshold float64 `yaml:"min_threshold,omitempty" validate:"min=0,max=100"`
	// Expires is when the key stops being valid (RFC 3339); absent means never.
	Expires time.Time `yaml:"expires,omitempty"`
	// Rate and Burst replace auth.rate and auth.burst for this key; absent means
	// those hold. A rate of its own comes with the burst of one second unless
	// Burst says otherwise.
	Rate  *float64 `yaml:"rate,omitempty" validate:"omitempty,min=0,max=1000000"`
	Burst *int     `yaml:"burst,omitempty" validate:"omitempty,min=0,max=1000000"`
	// Collections the client may use: users and names of lists, or All alone.
	// The two scopes are required and come last: what limits a key stands before
	// them, so that a file that is cut short never says less of a limit and as
	// much of a scope.
	Collections []string `yaml:"collections,flow" validate:"unique,dive,scope"`
	// Operations the client may perform: enrol, search, unenrol, read, or All
	// alone.
	Operations []string `yaml:"operations,flow" validate:"unique,dive,operation"`
}

// maxHashes bounds the hashes of one client: each is compared with every request.
const maxHashes = 16

// Hashes are those of a client's keys. In a file one stands alone, several in a list.
type Hashes []Hash

// Hash is that of one key. In a file it stands alone, or as `hash` beside `expires`.
type Hash struct {
	// Hash is the SHA-256 of the key's UTF-8 bytes in lower-case hex.
	Hash string `yaml:"hash"`
	// Expires is when this key stops being valid; absent means with the client's others.
	Expires time.Time `yaml:"expires,omitempty"`
}

// expand puts a hash that stands alone into a list.
func (Hashes) expand(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.SequenceNode {
		return n
	}
	return &yaml.Node{Kind: yaml.SequenceNode, Line: n.Line, Content: []*yaml.Node{n}}
}

// expand puts a hash that stands alone into a section.
func (Hash) expand(n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.ScalarNode {
		return n
	}
	return &yaml.Node{Kind: yaml.MappingNode, Line: n.Line, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "hash", Line: n.Line}, n}}
}

// MarshalYAML writes one hash alone.
func (h Hashes) MarshalYAML() (any, error) {
	if len(h) == 1 {
		return h[0], nil
	}
	return []Hash(h), nil
}

// MarshalYAML writes a hash without an expiry alone.
func (h Hash) MarshalYAML() (any, error) {
	if h.Expires.IsZero() {
		return h.Hash, nil
	}
	type section Hash
	return section(h), nil
}

// Until returns when a key of the client stops being valid: at its own expiry or the
// client's, whichever is first; zero means never.
func (k Key) Until(h Hash) time.Time {
	if h.Expires.IsZero() || !k.Expires.IsZero() && k.Expires.Before(h.Expires) {
		return k.Expires
	}
	return h.Expires
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

// LoadKeys is ReadKeys without the word on the end.
func LoadKeys(path string) (Keys, error) {
	keys, _, err := ReadKeys(path)
	return keys, err
}

// ReadKeys reads and checks a file of keys as strictly as Load reads settings.
// Names and hashes must be unique: a name is an owner, and a hash must lead to
// one client. Whether the collections exist is not checked here.
//
// A file that is cut short never gives a key more than the whole one: what a key
// may do is said explicitly and after all that limits it, or the file ends with
// the line "...", which ended reports. Problems name fields and lines and
// nothing that the file says: it may be another one, full of secrets.
func ReadKeys(path string) (keys Keys, ended bool, err error) {
	data, err := readFile(path)
	if err != nil {
		return Keys{}, false, err
	}
	ended = hasEnd(data)
	r := newReport()
	r.redacted = true
	r.decode(data, &keys)
	r.validate(&keys)
	for i, k := range keys.Keys {
		at := fmt.Sprintf("keys[%d].", i)
		r.hashes(k, at)
		r.scopes(k, at)
	}
	r.distinct(keys.Keys)
	if len(r.problems) == 0 && !ended {
		r.complete(data)
	}
	if err := r.err(path); err != nil {
		return Keys{}, false, err
	}
	return keys, ended, nil
}

// Check reports every rule that the stanza of a new key breaks.
func (k Key) Check() error {
	r := newReport()
	r.validate(&k)
	r.hashes(k, "")
	r.scopes(k, "")
	return r.err("key")
}

// scopes notes a scope that is not said, or not said clearly.
func (r *report) scopes(k Key, at string) {
	for _, scope := range []struct {
		field string
		names []string
		what  string
	}{
		{"collections", k.Collections, "the collections that the key may use"},
		{"operations", k.Operations, "some of " + strings.Join(operations(), ", ")},
	} {
		path := at + scope.field
		r.check(len(scope.names) > 0, path, fmt.Sprintf("is required: write %s: [%s] for everything, or name %s", scope.field, All, scope.what))
		r.check(len(scope.names) < 2 || !slices.Contains(scope.names, All), path, "must have "+All+" alone, or no "+All)
	}
}

// endMark is the line that ends a YAML document, and shows that a file is there
// to its end.
const endMark = "..."

// hasEnd reports whether the last line of a file that is neither empty nor a
// comment is the endMark.
func hasEnd(data []byte) bool {
	lines := strings.Split(string(data), "\n")
	for _, line := range slices.Backward(lines) {
		if line = strings.TrimRight(line, " \t\r"); line != "" && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			return line == endMark
		}
	}
	return false
}

// complete notes what could be the beginning of another file, in a file of sound
// keys that does not end with the endMark: a key that may have lost a limit, and
// a last line that may have lost its rest.
func (r *report) complete(data []byte) {
	var document struct {
		Keys yaml.Node `yaml:"keys"`
	}
	if yaml.Unmarshal(data, &document) != nil {
		return // decode has said so
	}
	bracketed := bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) || document.Keys.Style&yaml.FlowStyle != 0
	for i, key := range document.Keys.Content {
		if bracketed || key.Style&yaml.FlowStyle != 0 || len(key.Content) < 2 {
			continue // brackets that are open are no YAML
		}
		last := key.Content[len(key.Content)-2].Value
		r.check(last == "collections" || last == "operations", join(fmt.Sprintf("keys[%d]", i), last),
			"must stand above collections and operations, or the last line of the file must be "+endMark+": else a file that was cut short could lose it unnoticed")
	}
	if rest := bytes.TrimRight(data, " \t"); len(document.Keys.Content) > 0 && !bytes.ContainsRune([]byte("\n]}"), rune(rest[len(rest)-1])) {
		r.add("", "is incomplete: its last line has no line break")
	}
}

// hashes notes what is no hash.
func (r *report) hashes(k Key, at string) {
	r.check(len(k.SHA256) > 0, at+"sha256", "is required")
	r.check(len(k.SHA256) <= maxHashes, at+"sha256", fmt.Sprintf("must have at most %d entries", maxHashes))
	for i, h := range k.SHA256 {
		path := at + k.hashPath(i)
		switch {
		case h.Hash == "":
			r.check(false, path, "is required")
		case len(h.Hash) != 64:
			r.check(false, path, "must have exactly 64 characters")
		default:
			r.check(hexLower.MatchString(h.Hash), path, "must be lower-case hexadecimal digits")
		}
	}
}

// hashPath is where a hash of the key stands.
func (k Key) hashPath(i int) string {
	if len(k.SHA256) == 1 {
		return "sha256"
	}
	return fmt.Sprintf("sha256[%d]", i)
}

// distinct notes every name and every hash that is there twice: a name is an owner, and
// a hash must lead to one client.
func (r *report) distinct(keys []Key) {
	names, hashes := map[string]int{}, map[string]int{}
	for i, k := range keys {
		if j, taken := names[k.Name]; taken && k.Name != "" {
			r.check(false, fmt.Sprintf("keys[%d].name", i),
				fmt.Sprintf("must differ from that of keys[%d]; a client with several keys has one entry, with a list of hashes as its sha256", j))
		} else {
			names[k.Name] = i
		}
		for l, h := range k.SHA256 {
			j, taken := hashes[h.Hash]
			path := fmt.Sprintf("keys[%d].%s", i, k.hashPath(l))
			switch {
			case !taken || h.Hash == "":
				hashes[h.Hash] = i
			case j == i:
				r.check(false, path, "is there twice")
			default:
				r.check(false, path, fmt.Sprintf("is a hash of keys[%d] too: a key belongs to one client; make another with imago keys new", j))
			}
		}
	}
}
