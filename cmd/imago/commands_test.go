package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"imago/cmd/imago/cli"
	"imago/test/fixture"
)

// everyCommand returns the whole tree, the help command included.
func everyCommand() []*cobra.Command {
	tree := root()
	tree.InitDefaultHelpCmd()
	all := []*cobra.Command{tree}
	for i := 0; i < len(all); i++ {
		all = append(all, all[i].Commands()...)
	}
	return all
}

// Each command says what it is for and shows how, and each flag what it does.
func TestEveryCommandHasHelp(t *testing.T) {
	all := everyCommand()
	require.Greater(t, len(all), 20)
	for _, cmd := range all {
		path := cmd.CommandPath()
		require.NotEmpty(t, cmd.Short, path)
		require.NotContains(t, cmd.Short, "\n", path)
		require.False(t, strings.HasSuffix(cmd.Short, "."), path)
		require.Contains(t, cmd.Example, "  imago", path)
		for line := range strings.Lines(cmd.Long) {
			require.LessOrEqual(t, len(strings.TrimSuffix(line, "\n")), 88, "%s: %q", path, line)
		}
		for line := range strings.Lines(cmd.LocalFlags().FlagUsages()) {
			require.Greater(t, len(strings.Fields(line)), 2, "%s: %q", path, line)
		}
		var out bytes.Buffer
		cmd.SetOut(&out)
		require.NoError(t, cmd.Help(), path)
		purpose := cmd.Short
		if cmd.Long != "" {
			purpose = cmd.Long
		}
		for _, part := range []string{purpose, cmd.Example, cmd.UseLine()} {
			require.Contains(t, out.String(), part, path)
		}
	}
}

// example is a command line of imago in the examples of a command.
type example struct {
	of   string
	args []string
}

// examples returns those of all commands, taken apart by bash.
func examples(t *testing.T) (all []example) {
	t.Helper()
	for _, cmd := range everyCommand() {
		for _, args := range calls(t, cmd.Example) {
			all = append(all, example{cmd.CommandPath(), args})
		}
	}
	return all
}

// calls has bash run lines in a folder of its own, where imago and every other
// program only say what they were called with, and returns the calls of imago. Each
// says it in one write: <(imago …) runs beside the lines around it.
func calls(t *testing.T, lines string) (all [][]string) {
	t.Helper()
	const pretend = `
	imago() { printf '%s\0' "$@" $'\x1e' >> calls; }
	zstd() { :; }; systemctl() { :; }; curl() { cat > /dev/null; }; source() { :; }
	fpath=("$PWD"); HOME=$PWD; mkdir -p .config/fish/completions
	`
	bash := bashCommand(t, pretend+strings.ReplaceAll(lines, "/etc/bash_completion.d/", "./"))
	bash.Dir = t.TempDir()
	out, err := bash.CombinedOutput()
	require.NoError(t, err, "%s: %s", lines, out)
	content, err := os.ReadFile(filepath.Join(bash.Dir, "calls"))
	require.NoError(t, err, lines)
	for call := range strings.SplitSeq(strings.TrimSuffix(string(content), "\x1e\x00"), "\x1e\x00") {
		all = append(all, strings.Split(strings.TrimSuffix(call, "\x00"), "\x00"))
	}
	return all
}

// What the examples say is understood: there is such a command, with such flags
// and as many arguments; and the examples of a command are of that command.
func TestExamplesAreUnderstood(t *testing.T) {
	shown := map[string]bool{}
	for _, one := range examples(t) {
		tree := root()
		tree.InitDefaultHelpCmd()
		cmd, rest, err := tree.Find(one.args)
		require.NoError(t, err, one)
		require.NoError(t, cmd.ParseFlags(rest), one)
		require.NoError(t, cmd.ValidateArgs(cmd.Flags().Args()), one)
		require.True(t, strings.HasPrefix(cmd.CommandPath(), one.of), one)
		shown[cmd.CommandPath()] = true
	}
	for _, cmd := range everyCommand() {
		require.True(t, shown[cmd.CommandPath()] || cmd.HasSubCommands(), "no example calls %s", cmd.CommandPath())
	}
}

// The examples of the commands that need neither a server nor a gallery nor the
// network do what they say as they stand.
func TestExamplesRun(t *testing.T) {
	t.Setenv("IMAGO_MODELS_DIR", fixture.Models(t))
	t.Setenv("IMAGO_ONNXRUNTIME_LIB", fixture.ONNXRuntime(t))
	t.Setenv("IMAGO_API_KEY", "a-key-of-sixteen-characters")
	portrait, err := os.ReadFile(filepath.Join(fixture.Root(t), "test", "testdata", "portrait.jpg"))
	require.NoError(t, err)
	configs := filepath.Join(fixture.Root(t), "config")
	all := examples(t)
	t.Chdir(t.TempDir())
	require.NoError(t, os.Symlink(configs, "config"))
	require.NoError(t, os.WriteFile("face.jpg", portrait, 0o600))
	need := []string{"token keygen", "token seal", "keys new", "keys list", "models list", "models verify", "version", "completion", "help", "check"}
	ran := map[string]bool{}
	for _, one := range all {
		path := strings.TrimPrefix(one.of, "imago ")
		if !slices.Contains(need, path) || slices.Contains(one.args, "config/pgvector.yaml") || slices.Contains(one.args, "--add") { // which need a server, a keys file
			continue
		}
		if path == "token seal" && !ran["token seal"] {
			require.FileExists(t, "device.json", "the examples of keygen come first")
		}
		cmd := root()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetArgs(one.args)
		require.NoError(t, cmd.ExecuteContext(t.Context()), one)
		require.NotEmpty(t, out.String(), one)
		ran[path] = true
	}
	require.Len(t, ran, len(need))
}

// The command is spelt as scripts know it, and as the British do.
func TestEnrolAlias(t *testing.T) {
	for _, name := range []string{"enroll", "enrol"} {
		cmd, rest, err := root().Find([]string{name, "--add", "pictures"})
		require.NoError(t, err)
		require.Equal(t, "imago enroll", cmd.CommandPath())
		require.Equal(t, []string{"--add", "pictures"}, rest)
	}
}

// Every result with numbers or names can be had for scripts.
func TestFormats(t *testing.T) {
	n := 0
	for _, cmd := range everyCommand() {
		if flag := cmd.Flags().Lookup("format"); flag != nil {
			require.Equal(t, "text", flag.DefValue, cmd.CommandPath())
			require.Error(t, flag.Value.Set("xml"))
			require.NoError(t, flag.Value.Set("json"))
			n++
		}
	}
	require.Greater(t, n, 8)
}

// What is wrong with a command line is said in one line that helps, with the
// exit code for it.
func TestWrongCommandLines(t *testing.T) {
	for line, want := range map[string]string{
		"":                              `imago needs one of these commands: backup, bench, check,`,
		"serv":                          `unknown command "serv" for "imago"; did you mean serve?; see "imago --help"`,
		"serv --listen x":               `unknown command "serv" for "imago"; did you mean serve?`,
		"quux":                          `unknown command "quux" for "imago"; see "imago --help"`,
		"keys":                          `imago keys needs one of these commands: list, new; see "imago keys --help"`,
		"keys nwe":                      `unknown command "nwe" for "imago keys"; did you mean new?`,
		"help quux":                     `unknown command "quux" for "imago"`,
		"help keys quux":                `unknown command "quux" for "imago keys"`,
		"--verison":                     `unknown flag: --verison; did you mean --version?; see "imago --help"`,
		"keys list --fromat json":       `unknown flag: --fromat; did you mean --format?; see "imago keys list --help"`,
		"version --format xml":          `invalid argument "xml" for "--format" flag: it must be one of text, json; see "imago version --help"`,
		"enroll":                        `the usage is "imago enroll DIR [flags]"`,
		"enroll a b":                    `the usage is "imago enroll DIR [flags]"`,
		"version x":                     `the usage is "imago version [flags]"`,
		"completion ksh":                `invalid argument "ksh" for "imago completion"`,
		"evaluate x --groups perhaps":   `it must be one of auto, yes, no`,
		"migrate":                       `--from and --to are required`,
		"check --config /no/such.yaml":  `/no/such.yaml`,
		"models verify --workers 2":     `unknown flag: --workers; see "imago models verify --help"`,
		"bench --concurrency many":      `invalid argument "many" for "--concurrency" flag`,
		"keys new x --operations erase": `operations`,
	} {
		cmd := root()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(io.Discard)
		cmd.SetArgs(strings.Fields(line))
		err := cmd.ExecuteContext(t.Context())
		require.ErrorContains(t, err, want, line)
		require.Equal(t, cli.ExitUsage, cli.ExitCode(t.Context(), err), line)
		require.Empty(t, out.String(), line)
	}
}
