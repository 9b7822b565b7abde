package token

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"
)

// pollInterval is how soon a changed file is noticed.
const pollInterval = time.Second

// OnReload sets a function that is told of every attempt to read the file
// again: nil for success. It must be called before Start; the function must not
// block.
func (o *Opener) OnReload(f func(error)) { o.onReload = f }

// Start reads the keys and watches their file until Close. It fails when the
// file is not sound. Without a file there is nothing to do, and every token is
// refused.
func (o *Opener) Start(context.Context) error {
	if o.path == "" {
		return nil
	}
	o.loading.Lock()
	defer o.loading.Unlock()
	o.seen = fingerprintOf(o.path)
	if err := o.load(); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	var ctx context.Context
	ctx, o.cancel = context.WithCancel(context.Background())
	o.wait.Go(func() { o.watch(ctx) })
	return nil
}

// Close ends the watching. The keys stay in force.
func (o *Opener) Close(context.Context) error {
	if o.cancel != nil {
		o.cancel()
	}
	o.wait.Wait()
	return nil
}

// Reload reads the file at once, changed or not. When it cannot be used the keys
// stay that were in force. It does nothing where no file is configured.
func (o *Opener) Reload() error {
	if o.path == "" {
		return nil
	}
	o.loading.Lock()
	defer o.loading.Unlock()
	return o.reload(fingerprintOf(o.path))
}

// reload loads the file that has a fingerprint and reports how that went.
func (o *Opener) reload(now fingerprint) error {
	o.seen = now
	err := o.load()
	if err != nil {
		err = fmt.Errorf("token: %w", err)
		o.log.Error("the token keys in force stay: the changed file cannot be used", "error", err)
	}
	if o.onReload != nil {
		o.onReload(err)
	}
	return err
}

// load reads all keys and puts them in force.
func (o *Opener) load() error {
	data, err := readFile(o.path)
	if err != nil {
		return err
	}
	keys, err := parseKeyset(data)
	if err != nil {
		return fmt.Errorf("%s %w", o.path, err)
	}
	o.keys.Store(&keys)
	o.log.Info("token keys loaded", "keys", len(keys))
	o.warnIfPublic()
	return nil
}

// warnIfPublic tells the operator of a file of private keys that every user of
// the machine can read. It is no error: secrets that Kubernetes mounts are
// readable within their pod as shipped.
func (o *Opener) warnIfPublic() {
	const others = 0o004
	if info, err := os.Stat(o.path); err == nil && info.Mode()&others != 0 {
		o.log.Warn("the file of token keys can be read by every user: chmod 600 is safer", "file", o.path)
	}
}

// watch reads the file again whenever it has changed.
func (o *Opener) watch(ctx context.Context) {
	ticker := time.NewTicker(o.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			o.poll()
		}
	}
}

// poll loads the file when it is another than at the last attempt, whether that
// succeeded or not: each change is reported once.
func (o *Opener) poll() {
	o.loading.Lock()
	defer o.loading.Unlock()
	now := fingerprintOf(o.path)
	if bytes.Equal(now, o.seen) {
		return
	}
	_ = o.reload(now) // reported already
}
