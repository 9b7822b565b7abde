package imaging

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"imago/config"
	"imago/ports"
)

func TestModule(t *testing.T) {
	var d ports.Decoder
	app := fxtest.New(t, Module, fx.Supply(config.Default().Server.Limits), fx.Populate(&d))
	app.RequireStart().RequireStop()
	_, err := d.Decode(t.Context(), testdata(t, "420.jpg"), 0)
	require.NoError(t, err)
}
