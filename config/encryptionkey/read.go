package encryptionkey

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"imago/config/regularfile"
)

const (
	// maxKeys bounds how many earlier keys may be kept.
	maxKeys = 64
	// maxFile is the size of the largest file, in bytes.
	maxFile = 64 << 10
)

// Key is a key of AES-256.
type Key [32]byte

// Read returns the keys in a file, or those in a text where file is empty, in their order;
// none for neither. What follows # in a line is a comment. Section names the settings in
// errors, which repeat nothing of a key.
func Read(section, file, text string) ([]Key, error) {
	if file == "" && text == "" {
		return nil, nil
	}
	if file != "" {
		data, err := regularfile.Read(file, maxFile)
		if err != nil {
			return nil, fmt.Errorf("%s.key_file: %w", section, err)
		}
		text = string(data)
	}
	var keys []Key
	for _, word := range words(text) {
		secret, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(word, "="))
		if err != nil || len(secret) != len(Key{}) {
			return nil, fmt.Errorf("key %d of %s is not %d bytes in base64; make one with: openssl rand -base64 32",
				len(keys)+1, section, len(Key{}))
		}
		if slices.Contains(keys, Key(secret)) {
			return nil, fmt.Errorf("key %d of %s is a duplicate", len(keys)+1, section)
		}
		if keys = append(keys, Key(secret)); len(keys) > maxKeys {
			return nil, fmt.Errorf("%s has more than %d keys", section, maxKeys)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New(section + ": key_file or key is set, but holds no key")
	}
	return keys, nil
}

// words returns what is between white space, without comments.
func words(text string) (all []string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		all = append(all, strings.Fields(line)...)
	}
	return all
}
