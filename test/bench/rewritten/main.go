// Command rewritten writes a network as imago runs it, so that test/bench/peers can
// put ONNX Runtime beside other engines:
//
//	go run ./test/bench/rewritten models/face_recognition_sface_2021dec.onnx rewritten.onnx
package main

import (
	"flag"
	"log"
	"os"

	"imago/adapters/onnx/rewrite"
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if flag.NArg() != 2 {
		log.Fatal("usage: rewritten NETWORK FILE")
	}
	if err := write(flag.Arg(0), flag.Arg(1)); err != nil {
		log.Fatal("rewritten: ", err)
	}
}

func write(network, path string) error {
	file, err := os.ReadFile(network)
	if err != nil {
		return err
	}
	graph, err := rewrite.Network(file)
	if err != nil {
		return err
	}
	return os.WriteFile(path, graph.Bytes(), 0o600)
}
