package httpapi

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// description is the part of an OpenAPI document that the tests look at.
type description struct {
	OpenAPI    string                          `yaml:"openapi"`
	Paths      map[string]map[string]yaml.Node `yaml:"paths"`
	Components map[string]map[string]yaml.Node `yaml:"components"`
}

func describe(t *testing.T) description {
	var d description
	require.NoError(t, yaml.Unmarshal(openAPI, &d))
	require.Equal(t, "3.1.0", d.OpenAPI)
	return d
}

func TestEveryRouteIsDescribed(t *testing.T) {
	s := New(Options{})
	var served []string
	for _, row := range append(s.apiRoutes(), s.opsRoutes(s.serveMetrics)...) {
		served = append(served, row.method+" "+row.pattern)
	}
	var described []string
	for path, item := range describe(t).Paths {
		for method := range item {
			if method != "parameters" {
				described = append(described, strings.ToUpper(method)+" "+path)
			}
		}
	}
	require.ElementsMatch(t, served, described)
}

func TestEveryReferenceLeadsSomewhere(t *testing.T) {
	d := describe(t)
	refs := regexp.MustCompile(`#/components/(\w+)/(\w+)`).FindAllStringSubmatch(string(openAPI), -1)
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
			Errors              []string
		}
		if n.Kind == yaml.MappingNode && n.Decode(&p) == nil && p.Status != 0 && p.Detail != "" {
			require.Equal(t, newProblem(p.Status, p.Errors), problem(p))
			found++
		}
		for _, child := range n.Content {
			visit(child)
		}
	}
	var root yaml.Node
	require.NoError(t, yaml.Unmarshal(openAPI, &root))
	visit(&root)
	require.GreaterOrEqual(t, found, 12)
}

// Every status that a verdict can bring is described, but for what no route
// answers (405), what nobody receives (499), and 503 under another name.
func TestEveryStatusIsDescribed(t *testing.T) {
	responses := describe(t).Components["responses"]
	for _, v := range append([]verdict{unknown}, verdicts...) {
		if v.status != 405 {
			require.Contains(t, responses, strconv.Itoa(v.status))
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
