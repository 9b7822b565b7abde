package config

import (
	"slices"
	"strings"
)

// withAt are the parameters of a connection URL whose values may well contain an @.
var withAt = []string{"user", "password", "application_name", "options", "passfile", "service", "servicefile", "sslcert", "sslkey", "sslpassword", "sslrootcert"}

// hasRawPassword reports whether a connection URL has a character in its user name or
// password that should be percent-encoded. Then some part of the password would be taken
// for the host, the port or the database, and so be asked of a resolver and be logged.
func hasRawPassword(dsn string) bool {
	scheme, rest, isURL := strings.Cut(strings.TrimSpace(dsn), "://")
	if !isURL || strings.ContainsAny(scheme, "= '") {
		return false // keywords and values
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, rest := rest[:end], rest[end:]
	path, query, _ := strings.Cut(rest, "?")
	if strings.Count(authority, "@") > 1 || strings.Contains(path, "@") || strings.Contains(rest, "#") {
		return true
	}
	return slices.ContainsFunc(strings.Split(query, "&"), func(parameter string) bool {
		key, _, _ := strings.Cut(parameter, "=")
		return strings.Contains(parameter, "@") && !slices.Contains(withAt, key)
	})
}
