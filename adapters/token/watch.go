package token

import (
	"context"
	"fmt"
	"os"

	"imago/config/regularfile"
)

// OnReload sets a function that is told of every attempt to read the file
// again: nil for success. It must be called before Start; the function must not
// block.
func (o *Opener) OnReload(f func(error)) { o.onReload = f }

// Start reads the keys and watches their file until Close. It fails when the
// file is not sound. Without a file there is nothing to do, and every token is
// refused.
func (o *Opener) Start(context.Context) error {
	if err := o.file.Start(); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	return nil
}

// Close ends the watching. The keys stay in force.
func (o *Opener) Close(context.Context) error {
	o.file.Close()
	return nil
}

// Reload reads the file at once, changed or not. When it cannot be used the keys
// stay that were in force. It does nothing where no file is configured.
func (o *Opener) Reload() error {
	if err := o.file.Reload(); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	return nil
}

// report tells how an attempt to read the file again went.
func (o *Opener) report(err error) {
	if err != nil {
		err = fmt.Errorf("token: %w", err)
		o.log.Error("the token keys in force stay: the changed file cannot be used", "error", err)
	}
	if o.onReload != nil {
		o.onReload(err)
	}
}

// load reads all keys and puts them in force.
func (o *Opener) load() error {
	data, err := regularfile.Read(o.path, maxFile)
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
