package console

import (
	"bytes"
	"encoding/json"
	"html"
	"html/template"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The parts of an OpenAPI document (version 3.1) that are rendered.
type (
	document struct {
		Info struct {
			Title, Version, Summary, Description string
		}
		Tags []struct {
			Name, Description string
		}
		Paths      map[string]pathItem
		Components struct {
			Parameters map[string]parameter
			Responses  map[string]response
		}
	}
	pathItem struct {
		Parameters             []parameter
		Get, Post, Put, Delete *operation
	}
	operation struct {
		Method, Path         string `yaml:"-"`
		ID                   string `yaml:"operationId"`
		Tags                 []string
		Summary, Description string
		Security             *[]any // nil: a key is needed
		Parameters           []parameter
		RequestBody          struct{ Content map[string]media } `yaml:"requestBody"`
		Responses            map[string]response
	}
	parameter struct {
		Ref                   string `yaml:"$ref"`
		Name, In, Description string
		Required              bool
	}
	response struct {
		Ref         string `yaml:"$ref"`
		Description string
		Content     map[string]media
	}
	media struct {
		Example  yaml.Node
		Examples map[string]struct{ Value yaml.Node }
	}
)

// parse parses an OpenAPI document.
func parse(text []byte) (*document, error) {
	var d document
	return &d, yaml.Unmarshal(text, &d)
}

// Operations returns the operations with a tag, by path and method, with their references
// resolved.
func (d *document) Operations(tag string) (all []operation) {
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		item := d.Paths[path]
		for i, o := range []*operation{item.Get, item.Post, item.Put, item.Delete} {
			if o == nil || !slices.Contains(o.Tags, tag) {
				continue
			}
			out := *o
			out.Method, out.Path = []string{"GET", "POST", "PUT", "DELETE"}[i], path
			out.Parameters = slices.Concat(item.Parameters, o.Parameters)
			for i, p := range out.Parameters {
				if p.Ref != "" {
					out.Parameters[i] = d.Components.Parameters[lastSegment(p.Ref)]
				}
			}
			out.Responses = maps.Clone(o.Responses)
			for status, r := range out.Responses {
				if r.Ref != "" {
					out.Responses[status] = d.Components.Responses[lastSegment(r.Ref)]
				}
			}
			all = append(all, out)
		}
	}
	return all
}

// examples returns the examples of all media types, as indented JSON.
func examples(content map[string]media) (all []string) {
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

// indent formats a value as JSON, its members in the order of the document.
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

// scalar formats a value that is neither an object nor an array, empty where JSON cannot
// express it.
func scalar(v any) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
	return bytes.TrimSpace(out.Bytes())
}

var backticks = regexp.MustCompile("`([^`]+)`")

// prose renders the only Markdown in the description, code spans.
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
