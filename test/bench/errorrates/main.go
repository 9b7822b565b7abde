// Command errorrates tells how often templates of labelled pictures are confused.
// test/bench/peers gives it the templates of every engine in the same form, so that
// imago and its peers are measured by the same rules, those of `imago evaluate`.
package main

import (
	"encoding/json"
	"io"
	"log"
	"os"
)

// input is what standard input has, as JSON.
type input struct {
	// Gallery has the pictures as they are.
	Gallery []template `json:"gallery"`
	// Copies are copies of these pictures, by what was done to them.
	Copies []copied `json:"copies"`
	// Rates are the false match rates to give thresholds for.
	Rates []float64 `json:"rates"`
	// Shipped is the cosine that the engine takes for the same person.
	Shipped float64 `json:"shipped"`
}

type copied struct {
	Name      string     `json:"name"`
	Templates []template `json:"templates"`
}

// template is that of the largest face in a picture; a copy is called as its
// original is.
type template struct {
	Person  string    `json:"person"`
	Picture string    `json:"picture"`
	Vector  []float32 `json:"vector"`
}

func main() {
	log.SetFlags(0)
	if err := run(os.Stdin, os.Stdout); err != nil {
		log.Fatal("errorrates: ", err)
	}
}

func run(in io.Reader, out io.Writer) error {
	var asked input
	if err := json.NewDecoder(in).Decode(&asked); err != nil {
		return err
	}
	answers, err := measure(asked)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(answers)
}
