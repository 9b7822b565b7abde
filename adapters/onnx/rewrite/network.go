package rewrite

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of onnx.proto (ONNX 1.22, IR version 3 and later) that are looked at.
const (
	modelIRVersion = 1
	modelGraph     = 7
	modelOpset     = 8
	modelTraining  = 20
	modelFunctions = 25

	opsetDomain  = 1
	opsetVersion = 2

	graphNode        = 1
	graphInitializer = 5
	graphInput       = 11
	graphOutput      = 12
	graphValueInfo   = 13
	graphSparse      = 15

	nodeInput     = 1
	nodeOutput    = 2
	nodeKind      = 4
	nodeAttribute = 5
	nodeDomain    = 7

	attributeName   = 1
	attributeInt    = 3
	attributeString = 4
	attributeGraph  = 6
	attributeInts   = 8
	attributeGraphs = 11
	attributeType   = 20

	tensorDims     = 1
	tensorType     = 2
	tensorFloats   = 4
	tensorInt64s   = 7
	tensorName     = 8
	tensorRaw      = 9
	tensorLocation = 14

	valueName = 1
	valueType = 2

	typeTensor = 1

	tensorTypeElement = 1
	tensorTypeShape   = 2

	shapeDimension = 1

	dimensionValue = 1
	dimensionName  = 2
)

// Numbers of onnx.proto's enumerations.
const (
	elementFloat = 1
	elementInt64 = 7

	attributeTypeInt  = 2
	attributeTypeInts = 7
)

// constantsByDefault is the IR version from which on a weight needs not be declared as
// an input, and is a constant where it is not (ONNX, IR.md, "Graphs").
const constantsByDefault = 4

// ErrNotUnderstood says that a network stays as it is: it is no valid protocol buffer,
// or it has parts that may use any of its tensors, as a node that holds a network of
// its own.
var ErrNotUnderstood = errors.New("the network is not understood")

// Graph is an ONNX network taken apart. It shares the memory of the file that it came
// from, which must not change. It is not safe for concurrent use.
type Graph struct {
	irVersion int64
	opset     int64   // version of the standard operators
	model     []field // all but the graph
	graph     []field // all but what stands below

	nodes   []*node
	weights []*value // initializers: constants, or defaults of inputs
	inputs  []*value
	outputs []*value
	infos   []*value // what is known of the shapes in between

	taken map[string]bool // names of tensors
}

// Network takes a network apart and makes all the changes of this package to it. Its
// outputs, and the input that it is given, keep their names. A network that is not
// understood is ErrNotUnderstood.
func Network(file []byte) (*Graph, error) {
	g, err := parse(file)
	if err != nil {
		return nil, err
	}
	g.fixWeights()
	g.freeSides()
	g.splitPReLU()
	g.dropUnused()
	return g, nil
}

// node is one operation.
type node struct {
	raw             []byte
	kind            string // with the domain before it, where it is not the standard one
	inputs, outputs []string
	attributes      map[string][]field
}

// value is anything with a name: an initializer, an input, an output or the
// description of a tensor in between.
type value struct {
	name string
	raw  []byte // without the tag
}

// parse takes a network apart. Everything is checked that the changes rely on; a
// network that is not understood is ErrNotUnderstood.
func parse(file []byte) (*Graph, error) {
	fields, err := split(file)
	if err != nil {
		return nil, err
	}
	g, graphs := &Graph{taken: map[string]bool{}}, 0
	for _, f := range fields {
		switch f.number {
		case modelGraph:
			if graphs++; graphs > 1 {
				return nil, ErrNotUnderstood // a parser would merge them
			}
			if err := g.parseGraph(f.content); err != nil {
				return nil, err
			}
			continue
		case modelTraining, modelFunctions:
			return nil, ErrNotUnderstood
		case modelIRVersion:
			g.irVersion = int64(f.varint)
		case modelOpset:
			if err := g.parseOpset(f.content); err != nil {
				return nil, err
			}
		}
		g.model = append(g.model, f)
	}
	if graphs == 0 {
		return nil, ErrNotUnderstood
	}
	return g, g.checkNames()
}

func (g *Graph) parseOpset(message []byte) error {
	fields, err := split(message)
	if domain, ok := first(fields, opsetDomain); ok && len(domain.content) > 0 {
		return err
	}
	version, _ := first(fields, opsetVersion)
	g.opset = int64(version.varint)
	return err
}

func (g *Graph) parseGraph(message []byte) error {
	fields, err := split(message)
	if err != nil {
		return err
	}
	for _, f := range fields {
		var err error
		switch f.number {
		case graphNode:
			err = g.parseNode(f.content)
		case graphInitializer:
			g.weights, err = appendValue(g.weights, f.content, tensorName)
		case graphInput:
			g.inputs, err = appendValue(g.inputs, f.content, valueName)
		case graphOutput:
			g.outputs, err = appendValue(g.outputs, f.content, valueName)
		case graphValueInfo:
			g.infos, err = appendValue(g.infos, f.content, valueName)
		case graphSparse:
			err = ErrNotUnderstood
		default:
			g.graph = append(g.graph, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func appendValue(values []*value, message []byte, nameField protowire.Number) ([]*value, error) {
	fields, err := split(message)
	name, ok := first(fields, nameField)
	if err == nil && (!ok || len(name.content) == 0) {
		err = ErrNotUnderstood
	}
	return append(values, &value{name: string(name.content), raw: message}), err
}

func (g *Graph) parseNode(message []byte) error {
	fields, err := split(message)
	if err != nil {
		return err
	}
	one := &node{raw: message, attributes: map[string][]field{}}
	domain := ""
	for _, f := range fields {
		switch f.number {
		case nodeInput:
			one.inputs = append(one.inputs, string(f.content))
		case nodeOutput:
			one.outputs = append(one.outputs, string(f.content))
		case nodeKind:
			one.kind = string(f.content)
		case nodeDomain:
			domain = string(f.content)
		case nodeAttribute:
			if err := one.parseAttribute(f.content); err != nil {
				return err
			}
		}
	}
	if domain != "" && domain != "ai.onnx" {
		one.kind = domain + "." + one.kind
	}
	g.nodes = append(g.nodes, one)
	return nil
}

// parseAttribute keeps an attribute, unless it is a network of its own, which may use
// any tensor.
func (o *node) parseAttribute(message []byte) error {
	fields, err := split(message)
	if err != nil {
		return err
	}
	name := ""
	for _, f := range fields {
		switch f.number {
		case attributeName:
			name = string(f.content)
		case attributeGraph, attributeGraphs:
			return ErrNotUnderstood
		}
	}
	o.attributes[name] = fields
	return nil
}

// checkNames sees to it that every tensor is made in one place.
func (g *Graph) checkNames() error {
	made := map[string]bool{}
	once := func(name string) error {
		if made[name] {
			return fmt.Errorf("%w: %q is made twice", ErrNotUnderstood, name)
		}
		made[name], g.taken[name] = true, true
		return nil
	}
	for _, w := range g.weights {
		if err := once(w.name); err != nil {
			return err
		}
	}
	inputs := map[string]bool{}
	for _, in := range g.inputs {
		if inputs[in.name] {
			return fmt.Errorf("%w: two inputs %q", ErrNotUnderstood, in.name)
		}
		inputs[in.name], made[in.name], g.taken[in.name] = true, true, true
	}
	for _, one := range g.nodes {
		for _, name := range one.outputs {
			if name == "" {
				continue // an optional output that is left out
			}
			if err := once(name); err != nil {
				return err
			}
		}
		for _, name := range one.inputs {
			g.taken[name] = true
		}
	}
	return nil
}

// Bytes returns the network as a file.
func (g *Graph) Bytes() []byte {
	graph := 0
	lists := g.lists()
	for _, l := range lists {
		for _, raw := range l.messages {
			graph += protowire.SizeTag(l.number) + protowire.SizeBytes(len(raw))
		}
	}
	size := graph
	for _, f := range g.graph {
		graph, size = graph+len(f.raw), size+len(f.raw)
	}
	for _, f := range g.model {
		size += len(f.raw)
	}
	file := make([]byte, 0, size+protowire.SizeTag(modelGraph)+protowire.SizeVarint(uint64(graph)))
	for _, f := range g.model {
		file = append(file, f.raw...)
	}
	file = protowire.AppendTag(file, modelGraph, protowire.BytesType)
	file = protowire.AppendVarint(file, uint64(graph))
	for _, f := range g.graph {
		file = append(file, f.raw...)
	}
	for _, l := range lists {
		for _, raw := range l.messages {
			file = text(file, l.number, raw)
		}
	}
	return file
}

// list is a repeated field of the graph.
type list struct {
	number   protowire.Number
	messages [][]byte
}

func (g *Graph) lists() []list {
	nodes := list{number: graphNode}
	for _, one := range g.nodes {
		nodes.messages = append(nodes.messages, one.raw)
	}
	all := []list{nodes}
	for _, l := range []struct {
		number protowire.Number
		values []*value
	}{{graphInitializer, g.weights}, {graphInput, g.inputs}, {graphOutput, g.outputs}, {graphValueInfo, g.infos}} {
		messages := list{number: l.number}
		for _, v := range l.values {
			messages.messages = append(messages.messages, v.raw)
		}
		all = append(all, messages)
	}
	return all
}

// fresh returns a name like another that no tensor has yet.
func (g *Graph) fresh(like string) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s/imago-%d", like, i)
		if !g.taken[name] {
			g.taken[name] = true
			return name
		}
	}
}

// index finds nodes and constants by the names of tensors.
type index struct {
	makers    map[string]*node
	constants map[string]*value // weights that no input replaces
}

func (g *Graph) index() index {
	at := index{makers: map[string]*node{}, constants: map[string]*value{}}
	for _, o := range g.nodes {
		for _, name := range o.outputs {
			at.makers[name] = o
		}
	}
	for _, w := range g.weights {
		at.constants[w.name] = w
	}
	if g.irVersion >= constantsByDefault {
		for _, in := range g.inputs {
			delete(at.constants, in.name)
		}
	}
	return at
}
