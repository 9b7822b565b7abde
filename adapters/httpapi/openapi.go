package httpapi

import (
	"bytes"
	_ "embed" // the description below
	"net/http"
	"strconv"
)

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI returns a copy of the description of the API.
func OpenAPI() []byte { return bytes.Clone(openAPI) }

// serveOpenAPI serves the description of the API.
func serveOpenAPI(x *exchange, _ *http.Request) error {
	x.Header().Set("Content-Type", "application/yaml")
	x.Header().Set("Content-Length", strconv.Itoa(len(openAPI)))
	x.WriteHeader(http.StatusOK)
	_, _ = x.Write(openAPI)
	return nil
}
