package httpapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"imago/adapters/httpapi"
	"imago/core/gallery"
	"imago/ports"
)

// A situation makes a running server answer one status to any operation that
// documents it.
type situation struct {
	// err is what the gallery and the detection answer.
	err error
	// auth is what asking for the key answers.
	auth error
	// server changes the server, request the request.
	server  func(o *httpapi.Options)
	request func(r *http.Request, c call)
}

// call is an operation of the description with a body for it, nil for none.
type call struct {
	method, path string
	body         []byte
}

// large is a picture of a byte more than the limit.
var large = base64.StdEncoding.EncodeToString(make([]byte, 5<<20+1))

// situations by status; a status of the description that is missing here fails
// the test. Most statuses come from the core; those of operations that never
// reach it come from the key.
var situations = map[string][]situation{
	"200": {{}, {request: explain}},
	"400": {
		{err: ports.Refuse(ports.ErrInvalid, `userId "faces" is reserved`), request: misspell},
		{err: ports.ErrExists},
		{err: ports.ErrOnlyFace},
		{err: ports.Refuse(ports.ErrInvalid, gallery.ReasonAnotherUser)},
		{err: ports.Refuse(ports.ErrInvalid, gallery.ReasonOnList+": blacklist")},
		{err: ports.Refuse(ports.ErrInvalid, gallery.ReasonNotTheUsers)},
		{err: ports.Refuse(ports.ErrInvalid, "no face detected in the provided image")},
		{request: encrypt},
	},
	"401": {{request: func(r *http.Request, _ call) { r.Header.Del("X-Api-Key") }}},
	"403": {{request: func(r *http.Request, _ call) { r.Header.Set("X-Api-Key", "nothing") }}},
	"404": {
		{request: explain, server: func(o *httpapi.Options) { o.Gallery = failing(ports.ErrNotFound) }},
		{request: explain, server: func(o *httpapi.Options) { o.Gallery = failing(nil) }},
		{err: ports.ErrNotFound, server: func(o *httpapi.Options) { o.Console = nil }},
		{server: func(o *httpapi.Options) { o.Lists = nil }},
	},
	"408": {{request: stall, server: func(o *httpapi.Options) {
		o.Server.Timeouts.Body = 100 * time.Millisecond
	}}},
	"413": {{request: func(r *http.Request, c call) { replaceFace(r, c, large) }}},
	"415": {{request: func(r *http.Request, _ call) { r.Header.Set("Content-Encoding", "gzip") }}},
	"429": {{auth: ports.ErrRateLimited}},
	"500": {{err: errors.New("unexpected")}, {auth: errors.New("unexpected")}},
	"503": {{err: ports.ErrOverloaded}, {auth: ports.ErrUnavailable}},
	"504": {{err: context.DeadlineExceeded}},
}

// misspell puts the mistake of the description's example into a request.
func misspell(r *http.Request, c call) {
	if c.body == nil {
		r.URL.RawQuery = "treshold=80"
		return
	}
	fill(r, bytes.Replace(c.body, []byte("{"), []byte(`{"treshold":80,`), 1))
}

// explain asks what was seen, where that can be asked.
func explain(r *http.Request, c call) {
	if c.body != nil && c.path != "/faces/detect" {
		fill(r, bytes.Replace(c.body, []byte("{"), []byte(`{"explain":true,`), 1))
	}
}

// encrypt replaces a picture by a token that nobody can open.
func encrypt(r *http.Request, c call) {
	if c.body != nil {
		replaceFace(r, c, "e30.e30.e30.e30.e30")
	}
}

// replaceFace puts another face into a request.
func replaceFace(r *http.Request, c call, face string) {
	fill(r, bytes.Replace(c.body, []byte("/9j/4AAQSkZJRgABAQAAAQABAAD/"), []byte(face), 1))
}

func fill(r *http.Request, body []byte) {
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
}

// stall announces a body that does not come.
func stall(r *http.Request, _ call) {
	silence, _ := io.Pipe()
	r.Body, r.ContentLength = silence, 100
}

// TestTheServerKeepsToItsDescription has every operation answer every status
// that the description gives it, over a connection, and holds each answer to
// the description. Every example in it must have been sent or answered.
func TestTheServerKeepsToItsDescription(t *testing.T) {
	c := newConformance(t)
	require.Greater(t, len(c.examples), 15)
	for _, status := range slices.Sorted(maps.Keys(c.operations)) {
		require.Contains(t, situations, status, "a status that no situation brings about")
		for _, s := range situations[status] {
			c.exercise(status, s)
		}
	}
	for _, example := range slices.Sorted(maps.Keys(c.examples)) {
		if !c.examples[example] {
			t.Errorf("the example is never sent nor answered: %s", example)
		}
	}
	for status, operations := range c.operations {
		for operation, seen := range operations {
			if !seen {
				t.Errorf("%s %s never answered %s", operation.method, operation.path, status)
			}
		}
	}
}

// conformance is the description and what has been seen of it.
type conformance struct {
	t         *testing.T
	validator validator.Validator
	// operations by the status that they document, and whether it was seen.
	operations map[string]map[operationKey]bool
	bodies     map[operationKey][]byte
	// examples in canonical JSON, and whether they were seen.
	examples map[string]bool
}

type operationKey struct{ method, path string }

func newConformance(t *testing.T) *conformance {
	t.Helper()
	text := httpapi.OpenAPI(conformanceLists)
	document, err := libopenapi.NewDocument(text)
	require.NoError(t, err)
	v, errs := validator.NewValidator(document)
	require.Empty(t, errs)
	ok, wrong := v.ValidateDocument()
	require.True(t, ok, "%+v", wrong)
	c := &conformance{
		t: t, validator: v, operations: map[string]map[operationKey]bool{}, bodies: map[operationKey][]byte{}, examples: map[string]bool{},
	}
	var d struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct{ Example any }
			} `yaml:"requestBody"`
			Responses map[string]any
		}
	}
	var root yaml.Node
	require.NoError(t, yaml.Unmarshal(text, &root))
	dropParameters(&root)
	require.NoError(t, root.Decode(&d))
	for path, item := range d.Paths {
		for method, operation := range item {
			key := operationKey{strings.ToUpper(method), path}
			for status := range operation.Responses {
				if c.operations[status] == nil {
					c.operations[status] = map[operationKey]bool{}
				}
				c.operations[status][key] = false
			}
			if example := operation.RequestBody.Content["application/json"].Example; example != nil {
				c.bodies[key] = []byte(canonical(t, example))
			}
		}
	}
	c.collect(&root)
	return c
}

// dropParameters takes out what is no operation of a path.
func dropParameters(n *yaml.Node) {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "parameters" && n.Content[i+1].Kind == yaml.SequenceNode {
			n.Content = slices.Delete(n.Content, i, i+2)
			break
		}
	}
	for _, child := range n.Content {
		dropParameters(child)
	}
}

// collect finds the examples of bodies: those that are objects.
func (c *conformance) collect(n *yaml.Node) {
	var content struct {
		Example  map[string]any
		Examples map[string]struct{ Value map[string]any }
	}
	if n.Kind == yaml.MappingNode && n.Decode(&content) == nil {
		if content.Example != nil {
			c.examples[canonical(c.t, content.Example)] = false
		}
		for _, e := range content.Examples {
			c.examples[canonical(c.t, e.Value)] = false
		}
	}
	for _, child := range n.Content {
		c.collect(child)
	}
}

func canonical(t *testing.T, value any) string {
	t.Helper()
	out, err := json.Marshal(value)
	require.NoError(t, err)
	return string(out)
}

// exercise has a server in a situation answer all operations that document the
// status.
func (c *conformance) exercise(status string, s situation) {
	o := c.server(s)
	server, url := start(c.t, o)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	defer server.Close(context.Background())
	defer client.CloseIdleConnections()
	for key := range c.operations[status] {
		for _, accept := range []string{"", "application/problem+json"} {
			body := c.bodies[key]
			r := c.request(url, key, body)
			r.Header.Set("Accept", accept)
			if body != nil && status == "200" {
				c.saw(string(body))
				ok, wrong := c.validator.ValidateHttpRequest(c.request(url, key, body))
				require.True(c.t, ok, "%s %s: %+v", key.method, key.path, wrong)
			}
			if s.request != nil {
				s.request(r, call{key.method, key.path, body})
			}
			c.check(status, key, client, r)
		}
	}
}

// check holds one exchange to the description.
func (c *conformance) check(status string, key operationKey, client *http.Client, r *http.Request) {
	if r.Body != nil {
		defer r.Body.Close() // one that stalls would be waited for
	}
	answer, err := client.Do(r)
	require.NoError(c.t, err, "%s %s %s", status, key.method, key.path)
	body, err := io.ReadAll(answer.Body)
	require.NoError(c.t, err)
	require.NoError(c.t, answer.Body.Close())
	if answer.Header.Get("X-Request-Id") == "" {
		c.t.Errorf("%s %s %s has no request ID", status, key.method, key.path)
	}
	if got := answer.Status[:3]; got != status {
		return // another situation of the status is this operation's
	}
	c.operations[status][key] = true
	answer.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) == 0 && answer.Header.Get("Content-Type") == "" {
		answer.Header.Set("Content-Type", "text/plain") // the type of nothing
	}
	ok, wrong := c.validator.ValidateHttpResponse(c.request("http://"+r.URL.Host, key, nil), answer)
	for _, w := range wrong {
		c.t.Errorf("%s %s %s: %s: %s %+v: %s", status, key.method, key.path, w.Message, w.Reason, w.SchemaValidationErrors, body)
	}
	require.Equal(c.t, len(wrong) == 0, ok)
	var value any
	if json.Unmarshal(body, &value) == nil {
		c.saw(canonical(c.t, value))
	}
}

func (c *conformance) saw(example string) {
	if _, ok := c.examples[example]; ok {
		c.examples[example] = true
	}
}

// request makes a request as the description has it.
func (c *conformance) request(url string, key operationKey, body []byte) *http.Request {
	path := strings.NewReplacer("{userId}", "f7eab18f-e5d3-4dac-9d4d-cfb969ef848e", "{list}", "blacklist", "{faceId}", "5RUFQ2ZH3JZ6S4T7WLNVTX2YHM", "{file}", "console.css").Replace(key.path)
	r, err := http.NewRequest(key.method, url+path, nil)
	require.NoError(c.t, err)
	r.Header.Set("X-Api-Key", theKey)
	if body != nil {
		fill(r, body)
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}
