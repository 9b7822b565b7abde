package console

import "go.uber.org/fx"

// Module provides Pages. The application supplies config.Console,
// config.Limits, config.Search and the Description of its API.
var Module = fx.Module("console", fx.Provide(New))
