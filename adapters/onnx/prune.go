package onnx

import (
	"errors"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of onnx.proto (IR version 3 and later) that prune looks at.
const (
	modelGraph       = 7
	graphNode        = 1
	graphInitializer = 5
	graphOutput      = 12
	graphValueInfo   = 13
	nodeInput        = 1
	nodeOutput       = 2
	nodeAttribute    = 5
	attributeGraph   = 6
	attributeGraphs  = 11
	tensorName       = 8
	valueInfoName    = 1
)

// errNotPrunable says that a network stays as it is: it is no valid protocol buffer,
// or one of its nodes holds a network of its own, which may use any tensor.
var errNotPrunable = errors.New("the network cannot be reduced")

// prune returns a network without what none of the wanted outputs depends on. ONNX
// Runtime computes every node of a network, whichever outputs are asked for; leaving
// YuNet's finest stride out takes 18 % off a run (160 and 224 pixels). What is left is
// computed as before, bit by bit.
func prune(model []byte, wanted []string) (pruned []byte, err error) {
	all, err := fields(model)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if f.number != modelGraph {
			pruned = append(pruned, f.raw...)
			continue
		}
		graph, err := pruneGraph(f.content, wanted)
		if err != nil {
			return nil, err
		}
		pruned = protowire.AppendTag(pruned, modelGraph, protowire.BytesType)
		pruned = protowire.AppendBytes(pruned, graph)
	}
	return pruned, nil
}

func pruneGraph(graph []byte, wanted []string) (pruned []byte, err error) {
	all, err := fields(graph)
	if err != nil {
		return nil, err
	}
	needed, err := neededFor(wanted, all)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		keep := true
		switch f.number {
		case graphNode:
			keep, err = makes(f.content, needed)
		case graphInitializer:
			keep, err = named(f.content, tensorName, needed)
		case graphValueInfo:
			keep, err = named(f.content, valueInfoName, needed)
		case graphOutput:
			keep, err = named(f.content, valueInfoName, setOf(wanted))
		}
		if err != nil {
			return nil, err
		}
		if keep {
			pruned = append(pruned, f.raw...)
		}
	}
	return pruned, nil
}

// neededFor returns the tensors that the wanted ones depend on, with these. Nodes are
// sorted such that each comes behind those that it depends on, so that one walk
// backwards mostly finds them all, and another sees that it did.
func neededFor(wanted []string, graph []part) (needed map[string]bool, err error) {
	needed = setOf(wanted)
	for before := 0; before < len(needed); {
		before = len(needed)
		for _, f := range slices.Backward(graph) {
			if f.number != graphNode {
				continue
			}
			inputs, outputs, err := wires(f.content)
			if err != nil {
				return nil, err
			}
			if containsAny(needed, outputs) {
				maps.Copy(needed, setOf(inputs))
			}
		}
	}
	return needed, nil
}

// makes reports whether a node makes one of the needed tensors.
func makes(node []byte, needed map[string]bool) (bool, error) {
	_, outputs, err := wires(node)
	return containsAny(needed, outputs), err
}

func containsAny(set map[string]bool, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return set[name] })
}

func setOf(names []string) map[string]bool {
	set := map[string]bool{}
	for _, name := range names {
		set[name] = true
	}
	return set
}

// wires returns the names of the tensors that a node takes and makes.
func wires(node []byte) (inputs, outputs []string, err error) {
	all, err := fields(node)
	for _, f := range all {
		switch f.number {
		case nodeInput:
			inputs = append(inputs, string(f.content))
		case nodeOutput:
			outputs = append(outputs, string(f.content))
		case nodeAttribute:
			parts, err := fields(f.content)
			if err != nil {
				return nil, nil, err
			}
			if slices.ContainsFunc(parts, func(p part) bool { return p.number == attributeGraph || p.number == attributeGraphs }) {
				return nil, nil, errNotPrunable
			}
		}
	}
	return inputs, outputs, err
}

// named reports whether the name that a message has in a field is among some.
func named(message []byte, number protowire.Number, some map[string]bool) (bool, error) {
	all, err := fields(message)
	for _, f := range all {
		if f.number == number {
			return some[string(f.content)], err
		}
	}
	return false, err
}

// part is one field of a message. The content is that of a field with a length, nil
// for any other.
type part struct {
	number       protowire.Number
	raw, content []byte
}

// fields takes a message apart, without copying.
func fields(message []byte) (all []part, err error) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, errNotPrunable
		}
		size := protowire.ConsumeFieldValue(number, kind, message[n:])
		if size < 0 {
			return nil, errNotPrunable
		}
		f := part{number: number, raw: message[:n+size]}
		if kind == protowire.BytesType {
			f.content, _ = protowire.ConsumeBytes(message[n:])
		}
		all, message = append(all, f), message[n+size:]
	}
	return all, nil
}
