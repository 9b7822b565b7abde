package arch

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// plainWords are phrases that a reader had to translate, and what to write in their
// place. Add one whenever somebody stumbles.
var plainWords = []struct{ pattern, instead string }{
	{`\bcome back in \d|: come back in "`, "retry after"},
	{`\bnot to be had\b`, "cannot be allocated, is not available"},
	{`\bof no use until\b`, "call Start before use"},
	{`\bin the making\b`, "the next version, being built"},
	{`\bgone round twice\b`, "two GC cycles"},
	{`\bas safe as it is to be\b`, "written durably"},
	{`\b(gives?|gave|giving) (its|their|his) place up\b`, "releases"},
	{`\b(came|come|comes) to (an|no) end\b`, "finished, timed out, was interrupted"},
	{`\bkeys? in force\b`, "the current keys"},
	{`\bwhich it may not be\b`, "must not be"},
	{`\bthis imago has no\b`, "unknown"},
	{`\btoo much to do\b`, "overloaded"},
	{`\bdearest\b`, "most expensive"},
	{`(?i)\bwitness(es|ed)?\b|\btestifies\b`, "commit counter, record"},
	{`(?i)\b(bury|buried|buries)\b`, "mark as deleted"},
	{`\bremarks? on the\b`, "PostgreSQL notice"},
	{`\bfor ever\b|\bin vain\b`, "permanently, without effect"},
	{`(?i)\bcensus\b`, "check of enrolled users"},
	{`(?i)\bverdicts?\b`, "result, decision"},
	{`"took"`, "duration_ms"},
	{`(?i)\benroll(s|ments?)\b`, "enrol, enrols, enrolment (the command is spelled imago enroll)"},
}

// Code and pages use the terms of the field, of Go and of SQL.
func TestPlainWords(t *testing.T) {
	for _, w := range plainWords {
		cmd := exec.CommandContext(t.Context(), "git", "grep", "-nIP", "-e", w.pattern, "--", ".", ":!test/arch/words_test.go", ":!go.sum")
		cmd.Dir = fixture.Root(t)
		out, err := cmd.Output()
		if exit := (*exec.ExitError)(nil); err != nil {
			require.ErrorAs(t, err, &exit)
			require.Equal(t, 1, exit.ExitCode(), "%s: %s", w.pattern, exit.Stderr) // 1: nothing found
		}
		for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
			if line != "" {
				t.Errorf("%s\n\twrite: %s", line, w.instead)
			}
		}
	}
}

// Every pattern finds what it is there for.
func TestPlainWordsAreFound(t *testing.T) {
	for _, bad := range []string{"rate limited: come back in 3s", "memory is not to be had", "the verdict", "an enrollment", `"took", d`, "a witness"} {
		found := false
		for _, w := range plainWords {
			found = found || regexp.MustCompile(w.pattern).MatchString(bad)
		}
		require.True(t, found, "%q", bad)
	}
}
