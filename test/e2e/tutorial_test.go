package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
	"imago/test/pages"
	"imago/test/servers"
)

// A step is a block of commands of a page, and the block behind it that shows what
// they print, if there is one.
type step struct{ commands, output string }

// pageSteps returns the steps of a section of a page, given its heading.
func pageSteps(t testing.TB, page, heading string) (steps []step) {
	t.Helper()
	for _, block := range pages.Blocks(pages.Read(t, page).Section(t, heading)) {
		switch block.Language {
		case "sh":
			steps = append(steps, step{commands: block.Text})
		case "text":
			require.NotEmpty(t, steps)
			require.Empty(t, steps[len(steps)-1].output)
			steps[len(steps)-1].output = block.Text
		}
	}
	return steps
}

// freshClone clones the repository, and has what a newcomer would download: the
// models, the portraits and ONNX Runtime.
func freshClone(t *testing.T) string {
	t.Helper()
	clone := filepath.Join(t.TempDir(), "imago")
	out, err := exec.CommandContext(t.Context(), "git", "clone", "-q", fixture.Root(t), clone).CombinedOutput()
	require.NoError(t, err, "%s", out)
	makefile, err := os.ReadFile(filepath.Join(clone, "Makefile"))
	require.NoError(t, err)
	version := regexp.MustCompile(`ORT_VERSION := (\S+)`).FindStringSubmatch(string(makefile))
	require.NotNil(t, version)
	library := filepath.Join(clone, ".cache", "onnxruntime", version[1], "libonnxruntime.so")
	require.NoError(t, os.MkdirAll(filepath.Dir(library), 0o755))
	require.NoError(t, os.Symlink(fixture.ONNXRuntime(t), library))
	require.NoError(t, os.Symlink(fixture.Models(t), filepath.Join(clone, "models")))
	require.NoError(t, os.Symlink(filepath.Dir(fixture.Portrait(t, "obama.jpg")), filepath.Join(clone, ".cache", "portraits")))
	return clone
}

// own are the options of unshare that give a program a loopback of its own, so that
// the ports that the page names are free. Where the system does not permit it, the
// machine's are used.
func own(t *testing.T) []string {
	options := []string{"--net", "--pid", "--fork", "--kill-child"}
	if os.Geteuid() != 0 {
		options = append(options, "--map-current-user", "--keep-caps")
	}
	options = append(options, "--", "sh", "-c", `ip link set lo up && exec "$@"`, "sh")
	if out, err := exec.CommandContext(t.Context(), "unshare", append(options, "true")...).CombinedOutput(); err != nil {
		t.Logf("no loopback of its own (%v: %s): the ports of the machine are used", err, out)
		return []string{"sh", "-c", `exec "$@"`, "sh"}
	}
	return append([]string{"unshare"}, options...)
}

// play runs steps in one shell, from the top of the clone, as a newcomer would with
// nothing set, and checks what each of them prints.
func play(t *testing.T, clone, path string, steps []step) {
	t.Helper()
	const mark = "===== end of step"
	script := "set -e\n"
	for i, s := range steps {
		script += fmt.Sprintf("%s\nprintf '\\n%s %d\\n'\n", s.commands, mark, i)
	}
	file := filepath.Join(t.TempDir(), "steps.sh")
	require.NoError(t, os.WriteFile(file, []byte(script), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute) // it compiles imago
	defer cancel()
	command := append(own(t), "bash", file)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.WaitDelay = clone, 5*time.Second
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); !strings.HasPrefix(name, "IMAGO_") && !strings.HasPrefix(name, "MAKE") && name != "PATH" {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "PATH="+path+string(filepath.ListSeparator)+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whatever is left in the group
	require.NoError(t, err, "%s%s", &out, &errs)
	rest := out.String()
	for i, s := range steps {
		printed, after, found := strings.Cut(rest, fmt.Sprintf("%s %d\n", mark, i))
		require.True(t, found, "%s", &out)
		requireShown(t, s, printed)
		rest = after
	}
}

// requireShown checks that what the page shows was printed, line after line: …
// stands for anything, and columns may be wider or narrower.
func requireShown(t *testing.T, s step, printed string) {
	t.Helper()
	tidy := func(line string) string { return strings.Join(strings.Fields(line), " ") }
	lines := strings.Split(printed, "\n")
	for want := range strings.Lines(s.output) {
		parts := strings.Split(tidy(want), "…")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		pattern := regexp.MustCompile("^" + strings.Join(parts, ".*") + "$")
		at := -1
		for i, line := range lines {
			if pattern.MatchString(tidy(line)) {
				at = i
				break
			}
		}
		require.GreaterOrEqual(t, at, 0, "the page shows\n%sbehind\n%sbut this was printed:\n%s", want, s.commands, printed)
		lines = lines[at+1:]
	}
}

// The tutorial does what it says in a fresh clone, and so do the other sections that
// start imago.
func TestTutorial(t *testing.T) {
	t.Parallel()
	nginx := servers.NginxProgram(t)
	clone := freshClone(t)
	tutorial := pageSteps(t, "docker/README.md", "## Tutorial")
	require.Len(t, tutorial, 9)
	play(t, clone, filepath.Dir(nginx), tutorial)

	quickstart := append(pageSteps(t, "README.md", "## Run"), pageSteps(t, "README.md", "## Tell people apart")...)
	require.Len(t, quickstart, 2)
	quickstart[1].output = "HTTP/1.1 200 OK\nHTTP/1.1 200 OK\n" + `{"matches":[{"userId":"obama","similarity":99.9…}]}` +
		"\nHTTP/1.1 404 Not Found\n" + `{"status":404,…}` + "\nHTTP/1.1 200 OK\n"
	play(t, clone, filepath.Dir(nginx), beside(t, quickstart))

	// What make run prints does the same as pasted.
	printed := strings.ReplaceAll(printedCommands(t, filepath.Join(clone, "run.log")), clone, ".")
	play(t, clone, filepath.Dir(nginx), beside(t, []step{quickstart[0], {printed, quickstart[1].output}}))

	tokens := pageSteps(t, "adapters/token/README.md", "## Try it")
	require.Len(t, tokens, 2)
	tokens[1].output = "HTTP/1.1 200 OK\n"
	play(t, clone, filepath.Dir(nginx), beside(t, tokens))

	encryption := pageSteps(t, "adapters/memstore/README.md", "## Encryption")
	require.Len(t, encryption, 1)
	play(t, clone, filepath.Dir(nginx), beside(t, append(encryption, step{
		commands: "grep -o '\"encrypted\":true' run.log", output: `"encrypted":true` + "\n",
	})))
}

// printedCommands returns the commands that make run has printed.
func printedCommands(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var commands strings.Builder
	for _, line := range regexp.MustCompile(`(?m)^  \S.*$`).FindAllString(string(text), -1) {
		fmt.Fprintln(&commands, line)
	}
	require.Equal(t, 6, strings.Count(commands.String(), "\n"), "%s", text)
	return commands.String()
}

// beside returns steps of which the first ends in make run and the others are for
// another terminal, as steps for one. What they write into shared folders goes
// into one of their own, and the gallery begins empty.
func beside(t *testing.T, steps []step) []step {
	t.Helper()
	first, found := strings.CutSuffix(regexp.MustCompile(`(?m)  +#.*$`).ReplaceAllString(steps[0].commands, ""), "make run\n")
	require.True(t, found, steps[0].commands)
	all := []step{
		{commands: "export IMAGO_API_KEY=" + apiKey + "; rm -rf data"},
		{commands: first + "make run > run.log 2>&1 &"},
		{commands: "curl -sf --retry 180 --retry-delay 1 --retry-connrefused http://127.0.0.1:8080/readyz"},
	}
	folder := t.TempDir()
	all = append(all, steps[1:]...)
	for i := range all {
		all[i].commands = strings.NewReplacer("/tmp/", folder+"/", "~/", folder+"/").Replace(all[i].commands)
	}
	return all
}

// Every command line of imago in the pages is one that imago takes: no flag and no
// command in it is misspelt.
func TestPageCommandLines(t *testing.T) {
	t.Parallel()
	var lines []string
	comment := regexp.MustCompile(`(?m)(^|  +)#.*$|^helm .*$`) // a release of Helm is named imago, too
	command := regexp.MustCompile(`(?m)(?:^|[\s(])(?:bin/)?imago ([a-z][^|>&;#)\n]*)`)
	for _, page := range pages.All(t) {
		for _, block := range pages.Blocks(page.Text) {
			if block.Language != "sh" {
				continue
			}
			for _, line := range command.FindAllStringSubmatch(comment.ReplaceAllString(block.Text, ""), -1) {
				lines = append(lines, line[1])
			}
		}
	}
	require.Greater(t, len(lines), 15)
	for _, line := range lines {
		r := finish(t, exec.CommandContext(t.Context(), imago(t), append(strings.Fields(line), "--help")...))
		require.Zero(t, r.code, "imago %s: %s", line, r.err)
		command, _, _ := strings.Cut(line, " ")
		require.Contains(t, r.out, "imago "+command, line)
	}
}
