package config

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// prefix begins the name of every environment variable of imago.
const prefix = "IMAGO_"

// otherVariables lists the variables that begin like settings and are read by other
// parts of imago.
var otherVariables = []string{"IMAGO_CONFIG", "IMAGO_API_KEY", "IMAGO_ONNXRUNTIME_LIB"}

// testPrefix begins the names of variables that tests use.
const testPrefix = prefix + "TEST_"

// setting is a value that the environment can set; one of otherVariables has none.
type setting struct {
	value reflect.Value
	path  string
}

// environment sets what variables named after settings say. An empty variable
// sets an empty value. A variable that looks like a setting but is none is a
// problem, since a misspelt one would otherwise pass in silence.
func (r *report) environment(environ []string, into any) {
	settings := map[string]setting{}
	for _, name := range otherVariables {
		settings[name] = setting{}
	}
	collectSettings(settings, reflect.ValueOf(into).Elem(), "")
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, prefix) || strings.HasPrefix(name, testPrefix) || isServiceLink(name, text) {
			continue
		}
		switch s, known := settings[name]; {
		case !known:
			r.add(printable(name), "unknown variable"+suggestion(name, settings))
		case s.value.IsValid():
			r.origins[s.path] = name
			if err := setText(s.value, text); err != nil {
				r.fail(s.path, err.Error())
			}
		}
	}
}

// collectSettings collects the settings below v by the name of their variable.
func collectSettings(settings map[string]setting, v reflect.Value, path string) {
	if !isSection(v.Type()) {
		name := prefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
		settings[name] = setting{value: v, path: path}
		return
	}
	for key, field := range fieldsOf(v) {
		collectSettings(settings, field, join(path, key))
	}
}

// The variables that Kubernetes sets in every container for a service whose
// name begins with imago (Service documentation, "Environment variables").
var (
	serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	serviceURL  = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// isServiceLink reports whether a variable was set by Kubernetes and not by an
// operator. IMAGO_SERVER_PORT=8080 is not of its making, IMAGO_PORT=tcp://… is.
func isServiceLink(name, text string) bool {
	return serviceLink.MatchString(name) || strings.HasSuffix(name, "_PORT") && serviceURL.MatchString(text)
}

// suggestion returns words that point to the candidate nearest to a misspelt
// name, or nothing when none is near.
func suggestion[T any](name string, candidates map[string]T) string {
	const longest = 64 // bytes worth comparing
	if len(name) > longest {
		return ""
	}
	best, least := "", min(2, len(name)/3)+1
	for _, candidate := range slices.Sorted(maps.Keys(candidates)) {
		if d := distance(name, candidate); d < least {
			best, least = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is how many bytes must be inserted, deleted or replaced to turn a
// into b: the Levenshtein distance, row by row.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
