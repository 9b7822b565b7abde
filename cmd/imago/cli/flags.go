package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// enumValue is the value of a flag that has few of them.
type enumValue struct {
	value   *string
	allowed []string
}

// EnumFlag adds a flag that takes one of some values, the first by default.
func EnumFlag(cmd *cobra.Command, value *string, name string, allowed []string, usage string) {
	*value = allowed[0]
	cmd.Flags().Var(enumValue{value, allowed}, name, usage)
	CompleteFlag(cmd, name, OneOf(allowed...))
}

// FormatFlag adds the flag of the commands whose results scripts may want.
func FormatFlag(cmd *cobra.Command, format *string) {
	EnumFlag(cmd, format, "format", []string{"text", "json"}, "form of the result on standard output")
}

// String implements pflag.Value.
func (v enumValue) String() string {
	if v.value == nil {
		return ""
	}
	return *v.value
}

// Set implements pflag.Value.
func (v enumValue) Set(text string) error {
	if !slices.Contains(v.allowed, text) {
		return fmt.Errorf("it must be one of %s", strings.Join(v.allowed, ", "))
	}
	*v.value = text
	return nil
}

// Type implements pflag.Value.
func (v enumValue) Type() string { return strings.Join(v.allowed, "|") }

// Print prints a result: as JSON for scripts, or as text for people.
func Print(out io.Writer, format string, result any, text string) error {
	if format != "json" {
		_, err := io.WriteString(out, text)
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(result)
}

// Table aligns rows, whose cells are separated by tabs.
func Table(rows []string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(rows, "\n"))
	_ = w.Flush() // into a builder
	return b.String()
}
