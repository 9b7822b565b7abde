package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"

	"imago/config"
)

//go:embed page
var page embed.FS

// policy lets the page load its own parts and call its own server, and nothing
// else: no inline script or style, no frames around it. The picture that is
// previewed is a blob.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// permissions gives the camera to this page, and to it alone.
const permissions = "camera=(self), microphone=(), geolocation=(), display-capture=(), usb=()"

// Description is the text of an OpenAPI document.
type Description []byte

// Pages are the handlers of the console by the name below /console: "" is the
// page itself, "api" the rendering of the API's description, the others are
// parts. They are safe for concurrent use.
type Pages map[string]http.Handler

// New returns the pages, or none where the console is off. The limits and
// defaults are those that the page tells its users. An error is a description
// that cannot be rendered.
func New(c config.Console, limits config.Limits, search config.Search, api Description) (Pages, error) {
	if !c.Enabled {
		return Pages{}, nil
	}
	pages := Pages{}
	parts, err := fs.ReadDir(page, "page")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	for _, part := range parts {
		if path.Ext(part.Name()) == ".html" {
			continue
		}
		content, err := page.ReadFile("page/" + part.Name())
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		pages[part.Name()] = serve(part.Name(), content)
	}
	reference, err := parse(api)
	if err != nil {
		return nil, fmt.Errorf("console: description of the API: %w", err)
	}
	settings := struct {
		ImageBytes int
		Threshold  float64
	}{limits.ImageBytes, search.Threshold}
	for name, p := range map[string]struct {
		file string
		data any
	}{"": {"index.html", settings}, "api": {"api.html", reference}} {
		content, err := render(p.file, p.data)
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		pages[name] = serve(p.file, content)
	}
	return pages, nil
}

// render fills in one of the embedded templates.
func render(file string, data any) ([]byte, error) {
	t, err := template.New(file).Funcs(template.FuncMap{"prose": prose}).ParseFS(page, "page/"+file)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, data)
	return out.Bytes(), err
}

// types are the media types of the parts; they must not depend on the machine.
var types = map[string]string{
	".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml",
}

// serve answers with one part.
func serve(file string, content []byte) http.Handler {
	media := mime.FormatMediaType(types[path.Ext(file)], map[string]string{"charset": "utf-8"})
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", media)
		h.Set("Content-Length", strconv.Itoa(len(content)))
		h.Set("Content-Security-Policy", policy)
		h.Set("Permissions-Policy", permissions)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY") // frame-ancestors, for old browsers
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(content)
	})
}
