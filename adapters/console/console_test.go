package console_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/console"
	"imago/config"
)

const description = `
openapi: 3.1.0
info: {title: things, version: "2", summary: Everything., description: "One.\n\nTwo \x60<b>\x60."}
tags: [{name: a, description: The first.}, {name: b, description: The second.}]
paths:
  /things/{id}:
    parameters: [{$ref: '#/components/parameters/id'}]
    put:
      operationId: putThing
      tags: [b]
      summary: Put it.
      parameters: [{name: quietly, in: query, description: Say nothing.}]
      requestBody: {content: {application/json: {example: {b: [1, 2.5, null], a: "<x>", c: {}}}}}
      responses:
        '200': {$ref: '#/components/responses/Done'}
        '404': {description: Not there.}
  /free:
    get: {operationId: free, tags: [a], security: [], summary: Take it., responses: {}}
components:
  parameters: {id: {name: id, in: path, required: true, description: Which one.}}
  responses: {Done: {description: It is done., content: {application/json: {examples: {one: {value: {done: true}}}}}}}
`

func pages(t *testing.T) console.Pages {
	t.Helper()
	c := config.Default()
	p, err := console.New(c.Console, c.Server.Limits, c.Search, console.Description(description))
	require.NoError(t, err)
	return p
}

func get(t *testing.T, h http.Handler) *httptest.ResponseRecorder {
	t.Helper()
	require.NotNil(t, h)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/console", nil))
	require.Equal(t, 200, rec.Code)
	return rec
}

func TestOff(t *testing.T) {
	c := config.Default()
	p, err := console.New(config.Console{}, c.Server.Limits, c.Search, nil)
	require.NoError(t, err)
	require.Empty(t, p)
}

func TestEveryPartIsGuarded(t *testing.T) {
	media := map[string]string{
		"": "text/html; charset=utf-8", "api": "text/html; charset=utf-8", "console.css": "text/css; charset=utf-8",
		"console.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml; charset=utf-8",
	}
	all := pages(t)
	for name, page := range all {
		h := get(t, page).Header()
		if want, ok := media[name]; ok {
			require.Equal(t, want, h.Get("Content-Type"), name)
			delete(media, name)
		}
		policy := h.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'")
		require.Contains(t, policy, "frame-ancestors 'none'")
		require.NotContains(t, policy, "unsafe")
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		require.Equal(t, "no-referrer", h.Get("Referrer-Policy"))
		require.Contains(t, h.Get("Permissions-Policy"), "camera=(self)")
	}
	require.Empty(t, media, "parts that are missing")
	require.NotContains(t, all, "index.html")
}

// What the policy forbids is not in the parts, and nothing comes from elsewhere.
func TestThePageIsSelfContained(t *testing.T) {
	inline := regexp.MustCompile(`<script>|<style|\sstyle=|\son[a-z]+=|javascript:|innerHTML|eval\(`)
	elsewhere := regexp.MustCompile(`(src|href|url|import)[^\n]{0,20}(https?:)?//[a-z]`)
	links := regexp.MustCompile(`(?:src|href)="(?:console/)?([a-z.]+)"|from '\./([a-z.]+)'`)
	all := pages(t)
	for name, page := range all {
		text := get(t, page).Body.String()
		require.NotRegexp(t, inline, text, name)
		require.NotRegexp(t, elsewhere, text, name)
		for _, link := range links.FindAllStringSubmatch(text, -1) {
			require.Contains(t, all, link[1]+link[2], name)
		}
	}
}

func TestThePageKnowsTheSettings(t *testing.T) {
	require.Contains(t, get(t, pages(t)[""]).Body.String(), `data-image-bytes="5242880" data-threshold="80"`)
}

func TestReference(t *testing.T) {
	text := get(t, pages(t)["api"]).Body.String()
	text = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(text, " ")
	text = strings.Join(strings.Fields(text), " ")
	for _, want := range []string{
		"Everything. One. Two &lt;b&gt; .",
		"a The first. GET /free Take it. Needs no key.",
		"b The second. PUT /things/{id} Put it. Needs a key",
		"id In the path, required. Which one. quietly In the query. Say nothing.",
		`Body { &#34;b&#34;: [ 1, 2.5, null ], &#34;a&#34;: &#34;&lt;x&gt;&#34;, &#34;c&#34;: {} }`,
		`200 It is done. { &#34;done&#34;: true } 404 Not there.`,
	} {
		require.Contains(t, text, want)
	}
}

func TestDescriptionThatIsNone(t *testing.T) {
	c := config.Default()
	for _, text := range []string{"[", "paths: {/x: 1}"} {
		_, err := console.New(c.Console, c.Server.Limits, c.Search, console.Description("tags: [{name: a}]\n"+text))
		require.Error(t, err, text)
	}
}
