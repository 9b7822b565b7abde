package imaging

import (
	"go.uber.org/fx"

	"imago/ports"
)

// Module provides the ports.Decoder. It needs a config.Limits.
var Module = fx.Module("imaging",
	fx.Provide(fx.Annotate(New, fx.As(new(ports.Decoder)))),
)
