package main

import (
	"context"
	"log/slog"
	"os"
	"sync"

	"go.uber.org/fx"

	"imago/adapters/apikey"
	"imago/adapters/audit"
	"imago/adapters/certificate"
	"imago/adapters/token"
)

// reload is a part that reads its files again when it is told to. Where it
// cannot use them, what it had stays in force.
type reload struct {
	what string
	do   func() error
}

// reloads lists what SIGHUP reads again. A further part has its line here.
func reloads(keys *apikey.Keyring, certificates *certificate.Keeper, tokens *token.Opener, trail *audit.Log) []reload {
	return []reload{
		{"auth.keys_file", keys.Reload},
		{"server.tls", certificates.Reload},
		{"token.keys_file", tokens.Reload},
		{"audit.path", trail.Reload},
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

func (r *reloader) close(context.Context) error {
	close(r.done)
	r.wait.Wait()
	return nil
}

func (r *reloader) reload() {
	failures := 0
	for _, one := range r.all {
		if err := one.do(); err != nil {
			failures++
			r.log.Error("not read again on SIGHUP: what was in force stays", "what", one.what, "error", err)
		}
	}
	r.log.Info("files read again on SIGHUP", "failures", failures)
}
