package main

import (
	"log/slog"
	"os"
	"time"

	"go.uber.org/fx"

	"imago/adapters/apikey"
	"imago/adapters/audit"
	"imago/adapters/certificate"
	"imago/adapters/token"
)

// reloadable is a part that reads its files again on request. On an error it keeps
// what it has.
type reloadable struct {
	setting string
	do      func() error
	logs    bool // it logs its errors itself, as it does when it notices a change
}

// reloadables lists what SIGHUP reloads. Add further parts here.
func reloadables(keys *apikey.Keyring, certificates *certificate.Watcher, tokens *token.Opener, auditLog *audit.Log) []reloadable {
	return []reloadable{
		{"auth.keys_file", keys.Reload, true},
		{"server.tls", certificates.Reload, true},
		{"token.keys_file", tokens.Reload, true},
		{"audit.path", auditLog.Reload, false},
	}
}

// reloadOn reloads everything on each signal while the application runs. Requests
// are served meanwhile.
func reloadOn(signals <-chan os.Signal) fx.Option {
	return fx.Options(
		fx.Provide(reloadables),
		fx.Invoke(func(lc fx.Lifecycle, all []reloadable, log *slog.Logger) {
			stop, ended := make(chan struct{}), make(chan struct{})
			lc.Append(fx.StartStopHook(func() {
				go func() {
					defer close(ended)
					for {
						select {
						case <-signals:
							reload(all, log)
						case <-stop:
							return
						}
					}
				}()
			}, func() {
				close(stop)
				select {
				case <-ended:
				case <-time.After(time.Second): // a file system hangs
				}
			}))
		}),
	)
}

func reload(all []reloadable, log *slog.Logger) {
	log = log.With("component", "serve")
	failed := []string{}
	for _, one := range all {
		if err := one.do(); err != nil {
			failed = append(failed, one.setting)
			if !one.logs {
				log.Error("cannot reload on SIGHUP, keeping what is in use", "setting", one.setting, "error", err)
			}
		}
	}
	log.Info("files reloaded on SIGHUP", "failed", failed)
}
