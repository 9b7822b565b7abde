package rewrite

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of onnx.proto (ONNX 1.22, IR version 3 and later) that are read.
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

// implicitConstants is the first IR version in which a weight that is not declared as an
// input is a constant (ONNX, IR.md, "Graphs").
const implicitConstants = 4

// ErrUnsupported is the error for a network that cannot be rewritten: it is not a valid
// protocol buffer, or it has parts that may use any tensor, such as a node with a
// subgraph.
var ErrUnsupported = errors.New("the network cannot be rewritten")

// Graph is a parsed ONNX network. It shares the memory of the file, which must not
// change. It is not safe for concurrent use.
type Graph struct {
	irVersion int64
	opset     int64   // version of the standard operators
	model     []field // all but the graph
	graph     []field // all but the fields below

	nodes   []*node
	weights []*value // initializers: constants, or defaults of inputs
	inputs  []*value
	outputs []*value
	infos   []*value // value_info: shapes of intermediate tensors

	names map[string]bool // of all tensors, for fresh
}

// Network parses a network and applies all rewrites of this package. Its outputs and its
// input keep their names. The error is ErrUnsupported.
func Network(file []byte) (*Graph, error) {
	g, err := parse(file)
	if err != nil {
		return nil, err
	}
	g.makeWeightsConstant()
	g.makeSidesDynamic()
	g.replacePReLU()
	g.removeUnused()
	return g, nil
}

// node is one operation.
type node struct {
	raw             []byte
	kind            string // op_type, prefixed with a non-standard domain
	inputs, outputs []string
	attributes      map[string][]field
}

// value is anything with a name: an initializer, an input, an output or a value_info.
type value struct {
	name string
	raw  []byte // without the tag
}

// parse parses a network and checks everything that the rewrites rely on. The error is
// ErrUnsupported.
func parse(file []byte) (*Graph, error) {
	fields, err := split(file)
	if err != nil {
		return nil, err
	}
	g, graphs := &Graph{names: map[string]bool{}}, 0
	for _, f := range fields {
		switch f.number {
		case modelGraph:
			if graphs++; graphs > 1 {
				return nil, ErrUnsupported // a parser would merge them
			}
			if err := g.parseGraph(f.content); err != nil {
				return nil, err
			}
			continue
		case modelTraining, modelFunctions:
			return nil, ErrUnsupported
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
		return nil, ErrUnsupported
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
			err = ErrUnsupported
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
		err = ErrUnsupported
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

// parseAttribute stores an attribute, unless it is a subgraph, which may use any tensor.
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
			return ErrUnsupported
		}
	}
	o.attributes[name] = fields
	return nil
}

// checkNames checks that every tensor has one producer.
func (g *Graph) checkNames() error {
	produced := map[string]bool{}
	once := func(name string) error {
		if produced[name] {
			return fmt.Errorf("%w: %q has two producers", ErrUnsupported, name)
		}
		produced[name], g.names[name] = true, true
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
			return fmt.Errorf("%w: two inputs %q", ErrUnsupported, in.name)
		}
		inputs[in.name], produced[in.name], g.names[in.name] = true, true, true
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
			g.names[name] = true
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
			file = appendBytes(file, l.number, raw)
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

// fresh returns an unused tensor name derived from another.
func (g *Graph) fresh(like string) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s/imago-%d", like, i)
		if !g.names[name] {
			g.names[name] = true
			return name
		}
	}
}

// index maps tensor names to nodes and constants.
type index struct {
	producers map[string]*node
	constants map[string]*value // weights that no input overrides
}

func (g *Graph) index() index {
	at := index{producers: map[string]*node{}, constants: map[string]*value{}}
	for _, o := range g.nodes {
		for _, name := range o.outputs {
			at.producers[name] = o
		}
	}
	for _, w := range g.weights {
		at.constants[w.name] = w
	}
	if g.irVersion >= implicitConstants {
		for _, in := range g.inputs {
			delete(at.constants, in.name)
		}
	}
	return at
}
