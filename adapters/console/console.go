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
	"imago/ports"
)

//go:embed page
var page embed.FS

// policy allows the page's own parts and requests to its own server only: no inline
// script or style, no framing. The preview of a picture is a blob.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// permissions allows the camera for this page only.
const permissions = "camera=(self), microphone=(), geolocation=(), display-capture=(), usb=()"

// Description is the text of an OpenAPI document.
type Description []byte

// Pages are the handlers of the console by the name below /console: "" is the
// page itself, "api" the rendered description of the API, the others are static
// parts. They are safe for concurrent use.
type Pages map[string]http.Handler

// New returns the pages, or none where the console is off. The limits and
// defaults are shown in the page. It fails when the description cannot be rendered.
func New(c config.Console, limits config.Limits, search config.Search, api Description) (Pages, error) {
	if !c.Enabled {
		return Pages{}, nil
	}
	reference, err := parse(api)
	if err != nil {
		return nil, fmt.Errorf("console: description of the API: %w", err)
	}
	pages := Pages{}
	if err := pages.addParts(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if err := pages.addTemplate("", "index.html", settings{limits.ImageBytes, search.Threshold, ports.ReasonFormat, ports.ReasonEmpty}); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if err := pages.addTemplate("api", "api.html", reference); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	return pages, nil
}

// settings are the values shown in the page.
type settings struct {
	ImageBytes int
	Threshold  float64
	// FormatReason and EmptyReason are what the API says against other files.
	FormatReason, EmptyReason string
}

// addParts adds the static parts.
func (p Pages) addParts() error {
	parts, err := fs.ReadDir(page, "page")
	if err != nil {
		return err
	}
	for _, part := range parts {
		if path.Ext(part.Name()) == ".html" {
			continue
		}
		content, err := page.ReadFile("page/" + part.Name())
		if err != nil {
			return err
		}
		p[part.Name()] = serve(part.Name(), content)
	}
	return nil
}

// addTemplate adds a rendered template.
func (p Pages) addTemplate(name, file string, data any) error {
	t, err := template.New(file).Funcs(template.FuncMap{"prose": prose, "paragraphs": paragraphs, "examples": examples}).ParseFS(page, "page/"+file)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		return err
	}
	p[name] = serve(file, out.Bytes())
	return nil
}

// types are the media types of the parts; they must not depend on the machine.
var types = map[string]string{
	".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml",
}

// serve returns the handler of one part.
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
