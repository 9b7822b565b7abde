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
	"sync/atomic"
	"time"

	"imago/config"
	"imago/config/reload"
	"imago/ports"
)

const (
	// EnvironmentClient is the name of the client whose key comes from the
	// environment.
	EnvironmentClient = "env"
	// minEnvironmentKey keeps keys out that could be guessed, in bytes. A
	// generated one has 49.
	minEnvironmentKey = 16
	// maxKey bounds what is hashed for a caller who may have no key at all, in
	// bytes.
	maxKey = 512
)

// Keyring authenticates clients by their keys. It is safe for concurrent use.
type Keyring struct {
	limits      config.Auth // the rates of keys that have none of their own
	path        string
	environment string
	log         *slog.Logger
	now         func() time.Time
	onReload    func(error)
	file        *reload.Files
	ended       bool // the file in force ends with its end mark; guarded by file

	keys atomic.Pointer[[]key]
}

// key is the hash of a key, the client it belongs to, and what is left to it.
type key struct {
	hash   [sha256.Size]byte
	client ports.Client
	budget *budget
}

// New returns a Keyring of the keys in cfg.KeysFile and environmentKey, each of
// which may be empty. It knows no key until it is started.
func New(cfg config.Auth, environmentKey string, log *slog.Logger) *Keyring {
	k := &Keyring{
		limits: cfg, path: cfg.KeysFile, environment: strings.TrimSpace(environmentKey), log: log, now: time.Now,
	}
	k.file = reload.New(k.load, k.report, cfg.KeysFile)
	return k
}

// OnReload sets a function that is told of every attempt to read a changed file:
// nil for success. It must be called before Start; the function must not block.
func (k *Keyring) OnReload(f func(error)) { k.onReload = f }

// Start reads the keys and watches the file until Close. It fails when there is
// no key at all and when the file is not sound: nobody could call, or not those
// who should.
func (k *Keyring) Start(context.Context) error {
	if err := k.checkConfigured(); err != nil {
		return fmt.Errorf("apikey: %w", err)
	}
	begin := k.file.Start
	if k.path == "" {
		begin = k.load
	}
	if err := begin(); err != nil {
		return fmt.Errorf("apikey: %w", err)
	}
	return nil
}

// Close ends the watching. The keys stay in force.
func (k *Keyring) Close(context.Context) error {
	k.file.Close()
	return nil
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

// Authenticate returns the client that a key belongs to, or ErrUnauthorized
// when it belongs to none or has expired. It compares with every key, so that
// the time it takes tells nothing about them. Each call is one of those that the
// key's rate allows; beyond it the client comes with a ports.RateLimited.
func (k *Keyring) Authenticate(presented string) (ports.Client, error) {
	keys := k.keys.Load()
	if keys == nil || presented == "" || len(presented) > maxKey {
		return ports.Client{}, fmt.Errorf("apikey: %w", ports.ErrUnauthorized)
	}
	hash := sha256.Sum256([]byte(presented))
	found := -1
	for i := range *keys {
		equal := subtle.ConstantTimeCompare(hash[:], (*keys)[i].hash[:])
		found = subtle.ConstantTimeSelect(equal, i, found)
	}
	if found < 0 {
		return ports.Client{}, fmt.Errorf("apikey: unknown key: %w", ports.ErrUnauthorized)
	}
	client, now := (*keys)[found].client, k.now()
	if !client.Expires.IsZero() && !now.Before(client.Expires) {
		return ports.Client{}, fmt.Errorf("apikey: the key of %s has expired: %w", client.Name, ports.ErrUnauthorized)
	}
	return client, (*keys)[found].budget.spend(now)
}

// load reads all keys and puts them in force.
func (k *Keyring) load() error {
	var keys []key
	if k.environment != "" {
		keys = append(keys, key{
			hash: sha256.Sum256([]byte(k.environment)), client: ports.Client{Name: EnvironmentClient},
			budget: newBudget(k.limits.Rate, k.limits.Burst),
		})
	}
	ended := false
	if k.path != "" {
		var file config.Keys
		var err error
		if file, ended, err = config.ReadKeys(k.path); err != nil {
			return err
		}
		if k.ended && !ended {
			return fmt.Errorf("%s is incomplete: it does not end with the line ... as it did before", k.path)
		}
		if keys, err = k.add(keys, file); err != nil {
			return fmt.Errorf("%s: %w", k.path, err)
		}
	}
	k.keepBudgets(keys)
	k.keys.Store(&keys)
	k.ended = ended
	k.log.Info("API keys loaded", "keys", len(keys))
	return nil
}

// keepBudgets hands on what is left to the clients whose rate is what it was: a
// file that is written again refills nothing.
func (k *Keyring) keepBudgets(keys []key) {
	before := k.keys.Load()
	if before == nil {
		return
	}
	budgets := make(map[string]*budget, len(*before))
	for _, old := range *before {
		budgets[old.client.Name] = old.budget
	}
	for i := range keys {
		if old := budgets[keys[i].client.Name]; keys[i].budget.same(old) {
			keys[i].budget = old
		}
	}
}

// add appends the keys of the file. A file without the list is taken for one
// that is just being written, while an empty list revokes all.
func (k *Keyring) add(keys []key, file config.Keys) ([]key, error) {
	if file.Keys == nil {
		return nil, errors.New("has no list of keys; imago keys new NAME makes a key")
	}
	for _, one := range file.Keys {
		if one.Name == EnvironmentClient && k.environment != "" {
			return nil, fmt.Errorf("the name %q belongs to IMAGO_API_KEY; give the key another one", EnvironmentClient)
		}
		added, err := newKey(one)
		if err != nil {
			return nil, err
		}
		added.budget = newBudget(one.Limit(k.limits))
		keys = append(keys, added)
	}
	return keys, nil
}

func newKey(one config.Key) (key, error) {
	var k key
	hash, err := hex.DecodeString(one.SHA256)
	if err != nil || len(hash) != len(k.hash) {
		return key{}, fmt.Errorf("the sha256 of key %q is not a SHA-256 in hex", one.Name)
	}
	k.hash = [sha256.Size]byte(hash)
	k.client = ports.Client{Name: one.Name, MinThreshold: one.MinThreshold, Expires: one.Expires}
	if k.client.Collections, err = scope[string](one.Collections); err != nil {
		return key{}, fmt.Errorf("key %q: collections %w", one.Name, err)
	}
	if k.client.Operations, err = scope[ports.Operation](one.Operations); err != nil {
		return key{}, fmt.Errorf("key %q: operations %w", one.Name, err)
	}
	return k, nil
}

// scope returns what a key names, nil where that is everything. The file was
// checked; but for a client no names are all of them, so none get here.
func scope[T ~string](names []string) ([]T, error) {
	if len(names) == 0 {
		return nil, errors.New("are not said")
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

// Reload reads the file at once, changed or not. When it cannot be used the keys
// in force stay and the error says why. It is safe for concurrent use.
func (k *Keyring) Reload() error {
	if err := k.file.Reload(); err != nil {
		return fmt.Errorf("apikey: %w", err)
	}
	return nil
}

// report tells how an attempt to read the file again went.
func (k *Keyring) report(err error) {
	if err != nil {
		k.log.Error("the API keys in force stay: the changed file cannot be used", "error", err)
		err = fmt.Errorf("apikey: %w", err)
	}
	if k.onReload != nil {
		k.onReload(err)
	}
}
