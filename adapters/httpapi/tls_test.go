package httpapi_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
)

// secured returns options with the certificate of httptest, and a client that
// trusts it.
func secured(t *testing.T) (httpapi.Options, *http.Client) {
	t.Helper()
	model := httptest.NewTLSServer(http.NotFoundHandler())
	model.Close()
	roots := x509.NewCertPool()
	roots.AddCert(model.Certificate())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	o := options(&fakeGallery{})
	o.TLS = &tls.Config{Certificates: model.TLS.Certificates, MinVersion: tls.VersionTLS12}
	o.Server.OpsListen = "127.0.0.1:0"
	return o, &http.Client{Transport: transport}
}

// The API is served over TLS and HTTP/1.1, what is for operations stays plain.
func TestTLS(t *testing.T) {
	o, client := secured(t)
	s, _ := start(t, o)
	r, err := client.Get("https://" + s.Addr().String() + "/openapi.yaml")
	require.NoError(t, err)
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, "HTTP/1.1", r.Proto)
	require.NoError(t, r.Body.Close())

	r, err = client.Get("http://" + s.OpsAddr().String() + "/healthz")
	require.NoError(t, err)
	require.Equal(t, 200, r.StatusCode)
	require.NoError(t, r.Body.Close())

	r, err = client.Get("http://" + s.Addr().String() + "/openapi.yaml")
	require.NoError(t, err)
	require.Equal(t, 400, r.StatusCode, "nothing is told in plain")
	require.NoError(t, r.Body.Close())
	_, err = client.Get("https://" + s.OpsAddr().String() + "/healthz")
	require.Error(t, err)
}

// A refusal of a large body reaches the client over TLS too.
func TestRefusalOverTLS(t *testing.T) {
	o, client := secured(t)
	s, _ := start(t, o)
	for range 3 {
		r := request("POST", "https://"+s.Addr().String()+"/users/u1", string(make([]byte, 4<<20)))
		r.RequestURI = ""
		r.Header.Set("X-Api-Key", "wrong")
		got, err := client.Do(r.WithContext(context.Background()))
		require.NoError(t, err)
		requireProblem(t, 401, got)
	}
}
