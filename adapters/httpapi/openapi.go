package httpapi

import (
	_ "embed" // the description below
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"imago/config"
)

//go:embed openapi.yaml
var openAPI string

// OpenAPI returns the description of the API of an imago that has those lists.
//
// OpenAPI allows no second path with one parameter below /users, so the pages of lists are
// described list by list. The embedded text, a valid description by itself, is that for
// the shipped lists; the paths of the first of them are the pattern for all.
func OpenAPI(lists []config.Collection) []byte {
	const first, second, behind = "  /users/blacklist:\n", "  /users/whitelist:\n", "  /users/{userId}:\n"
	head, rest, _ := strings.Cut(openAPI, first)
	pattern, rest, _ := strings.Cut(rest, second)
	_, tail, _ := strings.Cut(rest, behind)

	var out strings.Builder
	out.WriteString(head)
	used := map[string]bool{}
	names := make([]string, 0, len(lists))
	for _, l := range lists {
		one := strings.NewReplacer("readPageOfBlacklist", "readPageOf"+identifier(l.Name, used), "blacklist", l.Name)
		out.WriteString(one.Replace(first + pattern))
		names = append(names, "`"+l.Name+"`")
	}
	const allNames, oneName = "`blacklist`, `whitelist`", "      example: \"blacklist\"\n"
	described := []string{allNames, "none is configured"}
	if len(names) > 0 {
		described = []string{allNames, strings.Join(names, ", "), oneName, fmt.Sprintf("      example: %q\n", lists[0].Name)}
	}
	out.WriteString(strings.NewReplacer(described...).Replace(behind + tail))
	return []byte(out.String())
}

// identifier returns the name of a list as a part of an operation's ID: generators make
// the names of functions and files of it, in which only letters and digits count.
func identifier(list string, used map[string]bool) string {
	var id string
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == '-' || r == '_' }) {
		id += strings.ToUpper(word[:1]) + word[1:]
	}
	unique := id
	for n := 2; used[strings.ToLower(unique)]; n++ {
		unique = id + strconv.Itoa(n)
	}
	used[strings.ToLower(unique)] = true
	return unique
}

// describeAPI returns the handler of GET /openapi.yaml.
func describeAPI(lists []config.Collection) handler {
	text := OpenAPI(lists)
	return func(x *exchange, _ *http.Request) error {
		x.Header().Set("Content-Type", "application/yaml")
		x.Header().Set("Content-Length", strconv.Itoa(len(text)))
		x.WriteHeader(http.StatusOK)
		_, _ = x.Write(text)
		return nil
	}
}
