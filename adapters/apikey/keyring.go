package apikey

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"imago/config"
	"imago/config/reload"
	"imago/ports"
)

const (
	// EnvironmentClient is the name of the client whose key comes from the
	// environment.
	EnvironmentClient = "env"
	// minEnvironmentKey rules out keys that could be guessed, in bytes. A generated
	// one has 49.
	minEnvironmentKey = 16
	// maxKey bounds what is hashed for an unauthenticated client, in bytes.
	maxKey = 512
)

// Keyring authenticates clients by their keys. It is safe for concurrent use.
type Keyring struct {
	*reload.Value[keyset]
	limits      config.Auth // the rates of keys that have none of their own
	path        string
	environment string
	now         func() time.Time
}

// keyset are the keys that are valid.
type keyset struct {
	keys    []key
	hasMark bool // the file ends with its end mark
}

// key is the hash of a key with its client, and the rate limit of all keys of that client.
type key struct {
	hash   [sha256.Size]byte
	client ports.Client
	budget *budget
}

// New returns a Keyring of the keys in cfg.KeysFile and environmentKey, each of
// which may be empty. It has no keys until it is started.
func New(cfg config.Auth, environmentKey string, log *slog.Logger) *Keyring {
	k := &Keyring{limits: cfg, path: cfg.KeysFile, environment: strings.TrimSpace(environmentKey), now: time.Now}
	k.Value = reload.New(reload.Source[keyset]{
		Component: "apikey", What: "API keys", Paths: []string{cfg.KeysFile}, Parse: k.parse,
		Describe: func(set keyset) []any { return []any{"keys", len(set.keys)} },
	}, log)
	return k
}

// Start reads the keys and watches the file until Close. It fails when there is no key
// at all or the file cannot be used: no client could call, or not those who should.
func (k *Keyring) Start(ctx context.Context) error {
	if err := k.checkConfigured(); err != nil {
		return fmt.Errorf("apikey: %w", err)
	}
	if k.path == "" {
		k.Set(keyset{keys: k.environmentKeys()})
	}
	return k.Value.Start(ctx)
}

func (k *Keyring) checkConfigured() error {
	switch n := len(k.environment); {
	case n == 0 && k.path == "":
		return errors.New("no API key is configured: set IMAGO_API_KEY or auth.keys_file; imago keys new NAME makes a key")
	case n > 0 && n < minEnvironmentKey:
		return fmt.Errorf("IMAGO_API_KEY must have at least %d characters; imago keys new NAME makes a key", minEnvironmentKey)
	case n > maxKey:
		return fmt.Errorf("IMAGO_API_KEY must not have more than %d characters", maxKey)
	}
	return nil
}

// Authenticate returns the client of a key, or ErrUnauthorized when the key is unknown
// or has expired. It compares with every key in constant time. Each call counts against
// the client's rate; beyond it the client comes with a ports.RateLimited.
func (k *Keyring) Authenticate(presented string) (ports.Client, error) {
	if presented == "" || len(presented) > maxKey {
		return ports.Client{}, fmt.Errorf("apikey: %w", ports.ErrUnauthorized)
	}
	hash := sha256.Sum256([]byte(presented))
	keys := k.Current().keys
	found := -1
	for i := range keys {
		equal := subtle.ConstantTimeCompare(hash[:], keys[i].hash[:])
		found = subtle.ConstantTimeSelect(equal, i, found)
	}
	if found < 0 {
		return ports.Client{}, fmt.Errorf("apikey: unknown key: %w", ports.ErrUnauthorized)
	}
	client, now := keys[found].client, k.now()
	if !client.Expires.IsZero() && !now.Before(client.Expires) {
		return ports.Client{}, fmt.Errorf("apikey: the key of %s has expired: %w", client.Name, ports.ErrUnauthorized)
	}
	return client, keys[found].budget.take(now)
}

// parse reads the file and adds the key of the environment.
func (k *Keyring) parse(current keyset) (keyset, error) {
	file, marked, err := config.ReadKeys(k.path)
	if err != nil {
		return keyset{}, err
	}
	if current.hasMark && !marked {
		return keyset{}, fmt.Errorf("%s is incomplete: it does not end with the line ... as it did before", k.path)
	}
	keys, err := k.add(k.environmentKeys(), file)
	if err != nil {
		return keyset{}, fmt.Errorf("%s: %w", k.path, err)
	}
	keepBudgets(current.keys, keys)
	return keyset{keys, marked}, nil
}

// environmentKeys returns the key of the environment, if there is one.
func (k *Keyring) environmentKeys() []key {
	if k.environment == "" {
		return nil
	}
	return []key{{
		hash: sha256.Sum256([]byte(k.environment)), client: ports.Client{Name: EnvironmentClient},
		budget: newBudget(k.limits.Rate, k.limits.Burst),
	}}
}

// keepBudgets keeps the budgets of clients whose rate has not changed: a reload refills
// nothing.
func keepBudgets(current, keys []key) {
	budgets := make(map[string]*budget, len(current))
	for _, old := range current {
		budgets[old.client.Name] = old.budget
	}
	for i := range keys {
		if old := budgets[keys[i].client.Name]; keys[i].budget.same(old) {
			keys[i].budget = old
		}
	}
}

// add appends the keys of the file. A file without the list is an error, as it may be
// just being written, while an empty list revokes all.
func (k *Keyring) add(keys []key, file config.Keys) ([]key, error) {
	if file.Keys == nil {
		return nil, errors.New("has no list of keys; imago keys new NAME makes a key")
	}
	for _, one := range file.Keys {
		if one.Name == EnvironmentClient && k.environment != "" {
			return nil, fmt.Errorf("the name %q belongs to IMAGO_API_KEY; give the key another one", EnvironmentClient)
		}
		added, err := newKeys(one, newBudget(one.Limit(k.limits)))
		if err != nil {
			return nil, err
		}
		for _, one := range added {
			if len(keys) > 0 && keys[0].client.Name == EnvironmentClient && keys[0].hash == one.hash {
				return nil, fmt.Errorf("the key of %q is that of IMAGO_API_KEY too: a key belongs to one client; unset IMAGO_API_KEY or make another key", one.client.Name)
			}
		}
		keys = append(keys, added...)
	}
	return keys, nil
}

// newKeys returns the keys of one client, which share its budget.
func newKeys(one config.Key, shared *budget) (keys []key, err error) {
	client := ports.Client{Name: one.Name, MinThreshold: one.MinThreshold}
	if client.Collections, err = scope[string](one.Collections); err != nil {
		return nil, fmt.Errorf("key %q: collections %w", one.Name, err)
	}
	if client.Operations, err = scope[ports.Operation](one.Operations); err != nil {
		return nil, fmt.Errorf("key %q: operations %w", one.Name, err)
	}
	for _, h := range one.SHA256 {
		hash, err := hex.DecodeString(h.Hash)
		if err != nil || len(hash) != sha256.Size {
			return nil, fmt.Errorf("the sha256 of key %q is not a SHA-256 in hex", one.Name)
		}
		client.Expires = one.Until(h)
		keys = append(keys, key{[sha256.Size]byte(hash), client, shared})
	}
	return keys, nil
}

// scope returns the names of a key's scope, nil for all. No names are an error, as nil
// would allow everything.
func scope[T ~string](names []string) ([]T, error) {
	if len(names) == 0 {
		return nil, errors.New("must be listed")
	}
	if slices.Contains(names, config.All) {
		return nil, nil
	}
	all := make([]T, len(names))
	for i, name := range names {
		all[i] = T(name)
	}
	return all, nil
}
