package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reference is what the rendering shows of an OpenAPI document.
type reference struct {
	Title, Version, Summary string
	Paragraphs              []string
	Groups                  []group
}

// group is a tag with its operations.
type group struct {
	Name, Description string
	Operations        []operation
}

// operation is one method of one path.
type operation struct {
	ID, Method, Path, Summary string
	Paragraphs                []string
	Key                       bool // a key is needed
	Parameters                []parameter
	Body                      string // an example, or empty
	Answers                   []answer
}

type parameter struct {
	Name, In, Description string
	Required              bool
}

// answer is what one status means.
type answer struct {
	Status, Description string
	Examples            []string
}

// The parts of an OpenAPI document (version 3.1) that are read.
type (
	document struct {
		Info struct {
			Title, Version, Summary, Description string
		}
		Tags []struct {
			Name, Description string
		}
		Paths      map[string]yaml.Node
		Components struct {
			Parameters map[string]oasParameter
			Responses  map[string]oasResponse
		}
	}
	oasOperation struct {
		OperationID          string `yaml:"operationId"`
		Tags                 []string
		Summary, Description string
		Security             *[]any
		Parameters           []oasParameter
		RequestBody          struct{ Content map[string]oasMedia } `yaml:"requestBody"`
		Responses            map[string]oasResponse
	}
	oasParameter struct {
		Ref                   string `yaml:"$ref"`
		Name, In, Description string
		Required              bool
	}
	oasResponse struct {
		Ref         string `yaml:"$ref"`
		Description string
		Content     map[string]oasMedia
	}
	oasMedia struct {
		Example  yaml.Node
		Examples map[string]struct{ Value yaml.Node }
	}
)

// methods in the order in which they are shown.
var methods = []string{"get", "post", "put", "delete"}

// parse reads an OpenAPI document.
func parse(text []byte) (reference, error) {
	var d document
	if err := yaml.Unmarshal(text, &d); err != nil {
		return reference{}, err
	}
	r := reference{
		Title: d.Info.Title, Version: d.Info.Version, Summary: d.Info.Summary, Paragraphs: paragraphs(d.Info.Description),
	}
	for _, tag := range d.Tags {
		g := group{Name: tag.Name, Description: tag.Description}
		for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
			operations, err := d.operations(path, tag.Name)
			if err != nil {
				return reference{}, fmt.Errorf("%s: %w", path, err)
			}
			g.Operations = append(g.Operations, operations...)
		}
		r.Groups = append(r.Groups, g)
	}
	return r, nil
}

// operations returns those of a path that have a tag.
func (d *document) operations(path, tag string) ([]operation, error) {
	var item map[string]yaml.Node
	node := d.Paths[path]
	if err := node.Decode(&item); err != nil {
		return nil, err
	}
	var common []oasParameter
	if shared, ok := item["parameters"]; ok {
		if err := shared.Decode(&common); err != nil {
			return nil, err
		}
	}
	var out []operation
	for _, method := range methods {
		node, ok := item[method]
		if !ok {
			continue
		}
		var o oasOperation
		if err := node.Decode(&o); err != nil {
			return nil, err
		}
		if !slices.Contains(o.Tags, tag) {
			continue
		}
		o.Parameters = append(slices.Clone(common), o.Parameters...)
		out = append(out, d.operation(method, path, o))
	}
	return out, nil
}

func (d *document) operation(method, path string, o oasOperation) operation {
	out := operation{
		ID: o.OperationID, Method: strings.ToUpper(method), Path: path, Summary: o.Summary,
		Paragraphs: paragraphs(o.Description), Key: o.Security == nil,
	}
	for _, p := range o.Parameters {
		if p.Ref != "" {
			p = d.Components.Parameters[lastSegment(p.Ref)]
		}
		out.Parameters = append(out.Parameters, parameter{p.Name, p.In, p.Description, p.Required})
	}
	if all := examples(o.RequestBody.Content); len(all) > 0 {
		out.Body = all[0]
	}
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		r := o.Responses[status]
		if r.Ref != "" {
			r = d.Components.Responses[lastSegment(r.Ref)]
		}
		out.Answers = append(out.Answers, answer{status, r.Description, examples(r.Content)})
	}
	return out
}

// examples returns those of all media types, as indented JSON.
func examples(content map[string]oasMedia) (all []string) {
	for _, media := range slices.Sorted(maps.Keys(content)) {
		if e := content[media].Example; !e.IsZero() {
			all = append(all, indent(&e))
		}
		named := content[media].Examples
		for _, name := range slices.Sorted(maps.Keys(named)) {
			value := named[name].Value
			all = append(all, indent(&value))
		}
	}
	return all
}

// indent writes a value as JSON, its members in the order of the document.
func indent(value *yaml.Node) string {
	var out bytes.Buffer
	if err := json.Indent(&out, compact(value), "", "  "); err != nil {
		return ""
	}
	return out.String()
}

func compact(value *yaml.Node) []byte {
	var parts [][]byte
	switch value.Kind {
	case yaml.SequenceNode:
		for _, item := range value.Content {
			parts = append(parts, compact(item))
		}
		return slices.Concat([]byte("["), bytes.Join(parts, []byte(",")), []byte("]"))
	case yaml.MappingNode:
		for i := 0; i+1 < len(value.Content); i += 2 {
			parts = append(parts, slices.Concat(scalar(value.Content[i].Value), []byte(":"), compact(value.Content[i+1])))
		}
		return slices.Concat([]byte("{"), bytes.Join(parts, []byte(",")), []byte("}"))
	}
	var v any
	if value.Decode(&v) != nil {
		return nil
	}
	return scalar(v)
}

// scalar writes a value that is neither an object nor an array. One that JSON
// cannot express becomes nothing.
func scalar(v any) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
	return bytes.TrimSpace(out.Bytes())
}

var backticks = regexp.MustCompile("`([^`]+)`")

// prose renders the one piece of Markdown that the description uses.
func prose(text string) template.HTML {
	return template.HTML(backticks.ReplaceAllString(html.EscapeString(text), "<code>$1</code>"))
}

func lastSegment(ref string) string { return ref[strings.LastIndex(ref, "/")+1:] }

// paragraphs splits a description at empty lines.
func paragraphs(text string) (all []string) {
	for p := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if p != "" {
			all = append(all, p)
		}
	}
	return all
}
