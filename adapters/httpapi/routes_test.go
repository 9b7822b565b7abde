package httpapi_test

import (
	"bufio"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
)

const noSuchPath = "there is no such path: check its spelling and its slashes; the paths that there are stand in /openapi.yaml"

func TestUnknownPaths(t *testing.T) {
	h := handler(&fakeGallery{})
	for _, path := range []string{
		"/", "/users/", "/users/u1/", "/users//u1", "//users/u1", "/users/./u1", "/users/../users/u1",
		"/users/a/b/c", "/users/blacklist/search/", "/users/blacklist/", "/faces", "/faces/search/", "/calibration/", "/calibration/blacklist/x", "/console/", "/collections/",
		"/users/..", "/users/search/", "/users/blacklist/u1/..", "/Users/u1", "/healthz/", "/favicon.ico",
	} {
		for _, method := range []string{"GET", "POST", "DELETE", "BREW"} {
			r := request(method, "/", "")
			r.URL.Path, r.RequestURI = path, path
			require.Equal(t, []string{noSuchPath}, requireProblem(t, 404, do(h, r)), "%s %s", method, path)
		}
	}
}

// Request targets that are no paths are answered like unknown ones.
func TestUnusualTargets(t *testing.T) {
	_, url := start(t, options(&fakeGallery{}))
	for _, line := range []string{"OPTIONS *", "CONNECT example.com:443", "GET http://example.com"} {
		conn, err := net.Dial("tcp", url[len("http://"):])
		require.NoError(t, err)
		_, err = conn.Write([]byte(line + " HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"))
		require.NoError(t, err)
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, []string{noSuchPath}, requireProblem(t, 404, r))
		require.NoError(t, conn.Close())
	}
}

func TestWrongMethods(t *testing.T) {
	h := handler(&fakeGallery{})
	for _, tt := range []struct{ method, path, allow string }{
		{"POST", "/users", "GET, HEAD"},
		{"PATCH", "/users/blacklist/u1", "DELETE, GET, HEAD, POST, PUT"},
		{"OPTIONS", "/users/u1", "DELETE, GET, HEAD, POST, PUT"},
		{"BREW", "/users/u1", "DELETE, GET, HEAD, POST, PUT"},
		{"GET", "/users/u1/faces", "POST"},
		{"DELETE", "/users/search", "POST"},
		{"GET", "/users/blacklist/search", "POST"},
		{"POST", "/healthz", "GET, HEAD"},
		{"DELETE", "/openapi.yaml", "GET, HEAD"},
	} {
		r := do(h, request(tt.method, tt.path, ""))
		require.Equal(t, tt.allow, r.Header.Get("Allow"), tt.method+" "+tt.path)
		require.Empty(t, requireProblem(t, 405, r))
	}
}

func TestHead(t *testing.T) {
	_, url := start(t, options(&fakeGallery{}))
	for _, path := range []string{"/healthz", "/readyz", "/openapi.yaml"} {
		r, err := http.Head(url + path)
		require.NoError(t, err)
		require.Equal(t, 200, r.StatusCode)
		require.Positive(t, r.ContentLength)
		require.Empty(t, text(t, r))
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestNoRedirectsOverTheNetwork(t *testing.T) {
	_, url := start(t, options(&fakeGallery{}))
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for path, want := range map[string]int{
		"/users/%2E%2E": 200, "/users/a%2F..%2Fb": 200, "/users/..;": 200,
		"/users/../u1": 404, "/users//u1": 404, "/users/u1/.": 404,
		"/users/%2F": 404, // the one ID that http.ServeMux cannot tell from an empty segment
	} {
		r, err := http.NewRequest("DELETE", url+path, nil)
		require.NoError(t, err)
		r.Header.Set("X-Api-Key", theKey)
		got, err := client.Do(r)
		require.NoError(t, err)
		require.Equal(t, want, got.StatusCode, path)
		require.NoError(t, got.Body.Close())
	}
}

func TestOpsRoutesOnTheirOwnListener(t *testing.T) {
	o := options(&fakeGallery{})
	o.Server.OpsListen = "127.0.0.1:0"
	o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("metrics")) })
	s, api := start(t, o)
	ops := "http://" + s.OpsAddr().String()
	for url, want := range map[string]int{
		ops + "/healthz": 200, ops + "/readyz": 200, ops + "/metrics": 200, ops + "/openapi.yaml": 404, ops + "/users/u1": 404,
		api + "/healthz": 404, api + "/readyz": 404, api + "/metrics": 404, api + "/openapi.yaml": 200, api + "/users/u1": 401,
	} {
		r, err := http.Get(url)
		require.NoError(t, err)
		require.Equal(t, want, r.StatusCode, url)
		require.NoError(t, r.Body.Close())
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestUnknownPartsOfTheConsole(t *testing.T) {
	require.Equal(t, []string{noSuchPath}, requireProblem(t, 404, do(handler(&fakeGallery{}), request("GET", "/console/nothing", ""))))
}

func TestMetrics(t *testing.T) {
	require.Equal(t, []string{noSuchPath}, requireProblem(t, 404, do(handler(&fakeGallery{}), request("GET", "/metrics", ""))))
	o := options(&fakeGallery{})
	o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("metrics")) })
	require.Equal(t, "metrics", text(t, do(httpapi.New(o).Handler(), request("GET", "/metrics", ""))))
}
