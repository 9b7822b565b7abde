package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// bashCommand prepares a bash that reads none of the user's files.
func bashCommand(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	bash, err := exec.LookPath("bash")
	require.NoError(t, err, "install bash")
	return exec.CommandContext(t.Context(), bash, "--norc", "--noprofile", "-e", "-o", "pipefail", "-c", script)
}

// bashCompletion stands in for what the script uses of the package bash-completion,
// and for what bash has only while somebody types.
const bashCompletion = `
_get_comp_words_by_ref() { words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=${words[cword]}; prev=${words[cword-1]}; }
_filedir() {
	local IFS=$'\n' found name
	if [ "${1:-}" = -d ]; then COMPREPLY=($(compgen -d -- "$cur")); return; fi
	COMPREPLY=()
	for name in $(compgen -f -- "$cur"); do
		if [ -d "$name" ] || [[ $name =~ \.(${1#@})$ ]]; then COMPREPLY+=("$name"); fi
	done
}
__ltrim_colon_completions() { :; }
compopt() { :; }
`

// The script is loaded by a real bash, in which words are completed as if
// somebody had typed them and pressed Tab.
func TestBashCompletes(t *testing.T) {
	bin := self(t)
	dir := t.TempDir()
	for _, name := range []string{"imago.yaml", "notes.txt", "gallery.jsonl", "face.png", "keys.json"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "imago.yaml"), []byte("collections: [{name: vip}, {name: staff}]\n"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "pictures"), 0o700))
	for line, want := range map[string]string{
		"imago enr":                                              "enroll",
		"imago keys ":                                            "list new",
		"imago help models ":                                     "list pull verify",
		"imago completion ":                                      "bash fish powershell zsh",
		"imago keys new a --operations ":                         "all enrol search unenrol read",
		"imago keys new a --operations search,re":                `search\,read`,
		"imago enroll --config imago.yaml --collection ":         "users vip staff",
		"imago keys new a --config imago.yaml --collections us":  "users",
		"imago keys new a --config imago.yaml --collections v,s": `v\,staff`,
		"imago bench --format ":                                  "text json",
		"imago evaluate --groups ":                               "auto yes no",
		"imago token keygen --alg EC":                            "ECDH-ES+A256KW",
		"imago models pull opencv-":                              "opencv-sface opencv-yunet",
		"imago models pull opencv-sface opencv-":                 "opencv-yunet",
		"imago serve --config ":                                  "imago.yaml pictures",
		"imago enroll ":                                          "pictures",
		"imago import ":                                          "gallery.jsonl pictures",
		"imago token seal ":                                      "face.png pictures",
		"imago token keygen --device x ":                         "keys.json pictures",
		"imago version x ":                                       "",
		"imago enroll --rep":                                     "--report",
	} {
		bash := bashCommand(t, bashCompletion+`
			source <(imago completion bash)
			set +e
			COMP_LINE=$1; COMP_POINT=${#COMP_LINE}
			read -ra COMP_WORDS <<< "$COMP_LINE"
			case $COMP_LINE in *' ') COMP_WORDS+=('');; esac
			COMP_CWORD=$((${#COMP_WORDS[@]}-1)) COMP_TYPE=9
			__start_imago
			printf '%s\n' "${COMPREPLY[@]}"`)
		bash.Args = append(bash.Args, "bash", line)
		bash.Dir = dir
		bash.Env = []string{"PATH=" + bin.folder + ":" + os.Getenv("PATH"), asImago}
		out, err := bash.CombinedOutput()
		require.NoError(t, err, "%s: %s", line, out)
		require.ElementsMatch(t, strings.Fields(want), firstWords(string(out)), line)
	}
}

// firstWords returns the first word of each line: a description may follow.
func firstWords(text string) (all []string) {
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 0 {
			all = append(all, fields[0])
		}
	}
	return all
}

// The other scripts are for shells that need not be there; where they are, they
// find no fault with them.
func TestOtherShellsTakeTheirScripts(t *testing.T) {
	bin := self(t)
	for shell, marker := range map[string]string{"zsh": "#compdef imago", "fish": "complete -c imago", "powershell": "Register-ArgumentCompleter"} {
		out, err := bin.command(t, "completion", shell).Output()
		require.NoError(t, err)
		require.Contains(t, string(out), marker)
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		script := filepath.Join(t.TempDir(), "script")
		require.NoError(t, os.WriteFile(script, out, 0o600))
		said, err := exec.CommandContext(t.Context(), shell, "-n", script).CombinedOutput()
		require.NoError(t, err, "%s: %s", shell, said)
	}
}
