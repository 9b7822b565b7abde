package httpapi

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"imago/config"
)

// description is the part of an OpenAPI document that the tests look at.
type description struct {
	OpenAPI    string                          `yaml:"openapi"`
	Paths      map[string]map[string]yaml.Node `yaml:"paths"`
	Components map[string]map[string]yaml.Node `yaml:"components"`
}

func describe(t *testing.T) description {
	var d description
	require.NoError(t, yaml.Unmarshal([]byte(openAPI), &d))
	require.Equal(t, "3.1.0", d.OpenAPI)
	return d
}

func TestEveryRouteIsDescribed(t *testing.T) {
	o := Options{Gallery: struct{ Gallery }{}, Keys: struct{ Keys }{}}
	var served []string
	for _, row := range append(apiRoutes(o, newAccess(o)), new(operations).routes(nil)...) {
		served = append(served, row.method+" "+row.pattern)
	}
	var described []string
	for path, item := range describe(t).Paths {
		if path == "/users/blacklist" || path == "/users/whitelist" {
			continue // pages of lists, which GET /users/{userId} serves
		}
		for method := range item {
			if method != "parameters" {
				described = append(described, strings.ToUpper(method)+" "+path)
			}
		}
	}
	require.ElementsMatch(t, served, described)
}

// The embedded text is the description for the shipped lists. Others have their own pages,
// under names that generators keep apart, and no list is left that is not configured.
func TestTheDescriptionNamesTheConfiguredLists(t *testing.T) {
	require.True(t, openAPI == string(OpenAPI(config.Default().Collections)))
	for _, tt := range []struct {
		lists        []string
		pages, texts []string
	}{
		{nil, nil, []string{"The name of a configured list: none is configured."}},
		{
			[]string{"on", "a-b", "ab", "a_b", "1e3"},
			[]string{"readPageOfOn", "readPageOfAB", "readPageOfAb2", "readPageOfAB3", "readPageOf1e3"},
			[]string{"The name of a configured list: `on`, `a-b`, `ab`, `a_b`, `1e3`.", `example: "on"`},
		},
		{[]string{"-", "_"}, []string{"readPageOf", "readPageOf2"}, nil},
	} {
		var lists []config.Collection
		for _, name := range tt.lists {
			lists = append(lists, config.Collection{Name: name})
		}
		text := string(OpenAPI(lists))
		document, err := libopenapi.NewDocument([]byte(text))
		require.NoError(t, err)
		v, errs := validator.NewValidator(document)
		require.Empty(t, errs)
		ok, wrong := v.ValidateDocument()
		require.True(t, ok, "%+v", wrong)
		var d description
		require.NoError(t, yaml.Unmarshal([]byte(text), &d))
		require.NotContains(t, d.Paths, "/users/blacklist")
		require.NotContains(t, d.Paths, "/users/whitelist")
		for i, name := range tt.lists {
			get := d.Paths["/users/"+name]["get"]
			var operation struct {
				ID      string `yaml:"operationId"`
				Summary string
			}
			require.NoError(t, get.Decode(&operation))
			require.Equal(t, tt.pages[i], operation.ID)
			require.Contains(t, operation.Summary, "`"+name+"`")
		}
		for _, part := range tt.texts {
			require.Contains(t, text, part)
		}
	}
}

// Generators send a default as if the caller had asked for it, guess between alternatives,
// and read numbers without a format into 32 bits.
func TestTheDescriptionLeavesNothingToGuess(t *testing.T) {
	var visit func(path string, n *yaml.Node)
	visit = func(path string, n *yaml.Node) {
		if n.Kind != yaml.MappingNode {
			for _, child := range n.Content {
				visit(path, child)
			}
			return
		}
		keys := map[string]string{}
		for i := 0; i < len(n.Content); i += 2 {
			keys[n.Content[i].Value] = n.Content[i+1].Value
			visit(path+"/"+n.Content[i].Value, n.Content[i+1])
		}
		for _, word := range []string{"default", "oneOf", "anyOf"} {
			require.NotContains(t, keys, word, path)
		}
		if keys["type"] == "number" {
			require.Equal(t, "double", keys["format"], path)
		}
	}
	var root yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(openAPI), &root))
	visit("", &root)

	shapes := map[string]string{}
	for path := range describe(t).Paths {
		shape := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, "{}")
		require.Empty(t, shapes[shape], "%s has the shape of %s", path, shapes[shape])
		shapes[shape] = path
	}
}

// The codes of the description are those that can be answered, and the pages have each.
func TestEveryCodeIsDescribed(t *testing.T) {
	var d struct {
		Components struct {
			Schemas struct {
				Code struct{ Enum []string } `yaml:"Code"`
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(openAPI), &d))
	answered := slices.DeleteFunc(append(Codes(), codeNoMatch), func(code string) bool { return code == clientGone.code })
	require.ElementsMatch(t, answered, d.Components.Schemas.Code.Enum)
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, code := range answered {
		require.Contains(t, string(page), "`"+code+"`")
	}
}

func TestEveryReferenceLeadsSomewhere(t *testing.T) {
	d := describe(t)
	refs := regexp.MustCompile(`#/components/(\w+)/(\w+)`).FindAllStringSubmatch(openAPI, -1)
	require.NotEmpty(t, refs)
	used := map[string]bool{}
	for _, ref := range refs {
		require.Contains(t, d.Components[ref[1]], ref[2])
		used[ref[1]+"/"+ref[2]] = true
	}
	for kind, items := range d.Components {
		for name := range items {
			require.True(t, used[kind+"/"+name] || kind == "securitySchemes", "%s/%s is not used", kind, name)
		}
	}
}

// The examples of problem objects are what the code answers.
func TestProblemExamples(t *testing.T) {
	found := 0
	var visit func(n *yaml.Node)
	visit = func(n *yaml.Node) {
		var p struct {
			Status              int
			Title, Detail, Type string
			Errors, Codes       []string
			Explanation         *explanation
		}
		if n.Kind == yaml.MappingNode && n.Decode(&p) == nil && p.Status != 0 && p.Detail != "" {
			want := newProblem(p.Status, p.Errors)
			want.Codes = p.Codes
			require.Equal(t, want, problem(p))
			found++
		}
		for _, child := range n.Content {
			visit(child)
		}
	}
	var root yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(openAPI), &root))
	visit(&root)
	require.GreaterOrEqual(t, found, 12)
}

// Every status that a mapping can bring is described, but for what no route
// answers (405), what nobody receives (499), and 503 under another name.
func TestEveryStatusIsDescribed(t *testing.T) {
	responses := describe(t).Components["responses"]
	for _, m := range append([]errorMapping{unknown}, errorMappings...) {
		if m.status != 405 {
			require.Contains(t, responses, strconv.Itoa(m.status))
		}
	}
}

// Whoever needs a key can come too often.
func TestEveryKeyedOperationCanBeLimited(t *testing.T) {
	for path, item := range describe(t).Paths {
		for method, node := range item {
			var operation struct {
				Responses map[string]yaml.Node `yaml:"responses"`
			}
			if method == "parameters" {
				continue
			}
			require.NoError(t, node.Decode(&operation))
			_, keyed := operation.Responses["401"]
			_, limited := operation.Responses["429"]
			require.Equal(t, keyed, limited, "%s %s", method, path)
		}
	}
}
