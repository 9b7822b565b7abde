package main

import (
	"context"
	"time"

	"go.uber.org/dig"
	"go.uber.org/fx"
)

const (
	// startTimeout bounds loading the models and opening the store.
	startTimeout = 5 * time.Minute
	// closeTimeout bounds closing them: writes that wait are finished first.
	closeTimeout = 30 * time.Second
)

// start builds and starts an application. The end of ctx breaks off the start.
func start(ctx context.Context, parts fx.Option) (*fx.App, error) {
	app := fx.New(fx.NopLogger, parts)
	if err := app.Err(); err != nil {
		return nil, dig.RootCause(err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return app, app.Start(ctx)
}

// stop stops an application, also when ctx has ended.
func stop(ctx context.Context, app *fx.App, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	return app.Stop(ctx)
}
