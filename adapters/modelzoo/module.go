package modelzoo

import (
	"go.uber.org/fx"

	"imago/config"
)

// Module provides a *Zoo over the built-in models given a config.Models.
var Module = fx.Module("modelzoo",
	fx.Provide(func(cfg config.Models) *Zoo { return New(cfg.Dir, config.BuiltinModels) }),
)
