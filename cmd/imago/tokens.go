package main

import (
	"go.uber.org/fx"

	"imago/adapters/httpapi"
	"imago/adapters/token"
	"imago/config"
)

// tokens composes the entrance for encrypted pictures.
func tokens(cfg config.Config) fx.Option {
	return fx.Options(
		fx.Supply(cfg.Token),
		token.Module,
		fx.Provide(func(o *token.Opener) httpapi.Tokens {
			return httpapi.Tokens{Opener: o, RequiredInInventory: cfg.Token.RequireInInventory}
		}),
	)
}
