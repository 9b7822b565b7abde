package main

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"go.uber.org/fx"

	"imago/adapters/apikey"
	"imago/adapters/audit"
	"imago/adapters/certificate"
	"imago/adapters/token"
)

// reload is a part that reads its files again when it is told to. Where it
// cannot use them, what it had stays in force, and the error says why.
type reload struct {
	what string
	do   func() error
	logs bool // it logs its errors itself, as it does when it notices a change
}

// reloads lists what SIGHUP reads again. A further part has its line here.
func reloads(keys *apikey.Keyring, certificates *certificate.Keeper, tokens *token.Opener, trail *audit.Log) []reload {
	return []reload{
		{"auth.keys_file", keys.Reload, true},
		{"server.tls", certificates.Reload, true},
		{"token.keys_file", tokens.Reload, true},
		{"audit.path", trail.Reload, false},
	}
}

// reloadOn has everything read again whenever a signal arrives, while the
// application runs. Requests are served meanwhile as before.
func reloadOn(signals <-chan os.Signal) fx.Option {
	return fx.Options(
		fx.Provide(reloads),
		fx.Invoke(func(lc fx.Lifecycle, all []reload, log *slog.Logger) {
			r := &reloader{signals: signals, all: all, log: log, done: make(chan struct{})}
			lc.Append(fx.StartStopHook(r.start, r.close))
		}),
	)
}

// reloader waits for signals.
type reloader struct {
	signals <-chan os.Signal
	all     []reload
	log     *slog.Logger
	done    chan struct{}
	wait    sync.WaitGroup
}

func (r *reloader) start(context.Context) error {
	r.wait.Go(func() {
		for {
			select {
			case <-r.signals:
				r.reload()
			case <-r.done:
				return
			}
		}
	})
	return nil
}

// close does not wait for a reading that a file system holds up.
func (r *reloader) close(context.Context) error {
	close(r.done)
	ended := make(chan struct{})
	go func() {
		r.wait.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(time.Second):
	}
	return nil
}

func (r *reloader) reload() {
	failed := []string{}
	for _, one := range r.all {
		if err := one.do(); err != nil {
			failed = append(failed, one.what)
			if !one.logs {
				r.log.Error("not read again on SIGHUP: what was in force stays", "what", one.what, "error", err)
			}
		}
	}
	r.log.Info("files read again on SIGHUP", "failed", failed)
}
