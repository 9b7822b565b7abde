package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decode sets what a YAML document says in the struct that into points to and
// leaves the rest as it is. The library parses; the walk over its nodes is ours,
// for the reasons that README.md states.
func (r *report) decode(data []byte, into any) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return // nothing but comments
	} else if err != nil {
		r.fail("", "cannot be read as YAML: "+r.syntax(err))
		return
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		r.fail("", "must be a single YAML document")
		return
	}
	root := document.Content[0]
	r.origins[""] = lineOf(root)
	r.node(root, reflect.ValueOf(into).Elem(), "")
}

var lineNumber = regexp.MustCompile(`^yaml: (line \d+): `)

// syntax says why a text is no YAML. The library's words may repeat a part of it,
// which is left out where nothing of it may be told.
func (r *report) syntax(err error) string {
	if !r.redacted {
		return strings.TrimPrefix(err.Error(), "yaml: ")
	}
	if at := lineNumber.FindStringSubmatch(err.Error()); at != nil {
		return "see " + at[1]
	}
	return "it is corrupt, incomplete or not a YAML file"
}

// expander is a type that a file may write in a shorter form.
type expander interface {
	// expand returns the long form of a node.
	expand(*yaml.Node) *yaml.Node
}

// node sets v, which is at path, to what n says.
func (r *report) node(n *yaml.Node, v reflect.Value, path string) {
	if short, ok := v.Interface().(expander); ok && n.Kind != yaml.AliasNode && n.Anchor == "" && n.Style&yaml.TaggedStyle == 0 && n.ShortTag() != "!!null" {
		n = short.expand(n)
	}
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.fail(path, "must be written out; anchors and aliases are not supported")
	case n.Style&yaml.TaggedStyle != 0:
		r.fail(path, "must be written without a tag")
	case n.ShortTag() == "!!null":
		r.null(v, path)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.node(n, v.Elem(), path)
	case isSection(v.Type()):
		r.section(n, v, path)
	case v.Kind() == reflect.Slice || v.Kind() == reflect.Array:
		r.list(n, v, path)
	default:
		r.scalar(n, v, path)
	}
}

// null accepts a key without a value where that can mean one thing only: a
// section of which everything is commented out, or a value that is empty anyway.
func (r *report) null(v reflect.Value, path string) {
	if !isSection(v.Type()) && !v.IsZero() {
		r.fail(path, `must have a value; write "" or [] for an empty one, or leave the key out for the default`)
	}
}

func (r *report) section(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		r.fail(path, "must be a section with keys of its own")
		return
	}
	fields, seen := fieldsOf(v), map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, printable(key.Value))
		field, known := fields[key.Value]
		if known || !r.redacted {
			r.origins[at] = lineOf(key)
		}
		switch {
		case key.Kind != yaml.ScalarNode:
			r.fail(path, "must have plain words as keys")
		case !known && r.redacted:
			r.addHere(path, lineOf(key)+" has an unknown key"+suggestion(key.Value, fields))
		case !known:
			r.add(at, "unknown key"+suggestion(key.Value, fields))
		case seen[key.Value]:
			r.fail(at, "is there twice")
		default:
			r.node(value, field, at)
		}
		seen[key.Value] = true
	}
}

func (r *report) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		r.fail(path, "must be a list")
		return
	}
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	} else if v.Len() != len(n.Content) {
		r.fail(path, fmt.Sprintf("must have exactly %d entries", v.Len()))
		return
	}
	for i, entry := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		r.origins[at] = lineOf(entry)
		r.node(entry, v.Index(i), at)
	}
}

func (r *report) scalar(n *yaml.Node, v reflect.Value, path string) {
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if n.Kind != yaml.ScalarNode {
		r.fail(path, "must be a single value")
		return
	}
	if n.Style&quoted != 0 && v.Kind() != reflect.String && !isText(v.Type()) {
		r.fail(path, "must be written without quotes")
		return
	}
	if err := setText(v, n.Value); err != nil {
		r.fail(path, err.Error())
	}
}

func lineOf(n *yaml.Node) string { return fmt.Sprintf("line %d", n.Line) }

// isSection reports whether a type is a struct with keys of its own.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]()
}

// isText reports whether values of a type that is no string are written as text.
func isText(t reflect.Type) bool {
	return t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[time.Duration]()
}

// keyOf returns the YAML key of a field.
func keyOf(f reflect.StructField) string {
	key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return key
}

// fieldsOf returns the fields of a section by their keys.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	for f, value := range v.Fields() {
		fields[keyOf(f)] = value
	}
	return fields
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// printable returns a name from a file or the environment as it is, or quoted
// and shortened where it could spoil a line.
func printable(name string) string {
	if plainWord.MatchString(name) {
		return name
	}
	return fmt.Sprintf("%.64q", name)
}
