package httpapi_test

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"imago/adapters/httpapi"
	"imago/config"
)

func TestModule(t *testing.T) {
	o := options(&fakeGallery{})
	var s *httpapi.Server
	app := fxtest.New(t, httpapi.Module, fx.NopLogger,
		fx.Supply(o.Server, o.Search, []config.Collection{{Name: "blacklist"}}, httpapi.Checks{}, httpapi.Tokens{}, httpapi.Console{}, httpapi.Telemetry{}, httpapi.Audit{}, (*tls.Config)(nil), slog.New(slog.DiscardHandler)),
		fx.Provide(
			func() httpapi.Gallery { return o.Gallery },
			func() httpapi.ReserveFunc { return nil },
			func() httpapi.DetectFunc { return o.Detect },
			func() httpapi.Keys { return o.Keys },
		),
		fx.Populate(&s),
	)
	app.RequireStart()
	require.Nil(t, s.Addr())
	require.NoError(t, s.Start(t.Context()))
	r, err := http.Get("http://" + s.Addr().String() + "/healthz")
	require.NoError(t, err)
	require.Equal(t, 200, r.StatusCode)
	require.NoError(t, r.Body.Close())
	http.DefaultClient.CloseIdleConnections()

	// A listener that breaks ends the application with exit code 1.
	require.NoError(t, s.Listener().Close())
	require.Equal(t, 1, receive(t, app.Wait()).ExitCode)
	app.RequireStop()
}
