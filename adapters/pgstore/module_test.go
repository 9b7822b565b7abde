package pgstore

import (
	"log/slog"
	"testing"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"imago/config"
	"imago/ports"
)

func TestModule(t *testing.T) {
	var driver ports.StoreDriver
	fxtest.New(t, Module,
		fx.Supply(config.PGVectorStore{}, testSpace(2), slog.New(slog.DiscardHandler)),
		fx.Populate(&driver),
	).RequireStart().RequireStop()
}
