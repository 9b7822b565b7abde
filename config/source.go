package config

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

// Source is one place from which a network file can be had: an address of its
// publisher's or a member of a registry's package, never both. Whatever it
// brings counts only with the size and SHA-256 of the manifest.
type Source struct {
	URL     string   `yaml:"url,omitempty" validate:"omitempty,https_url"`
	Package *Package `yaml:"package,omitempty"`
}

// Package names a file inside a package of a registry. The registry's own client
// fetches it, as the machine configures that client.
type Package struct {
	Registry Registry `yaml:"registry" validate:"oneof=pypi"`
	Name     string   `yaml:"name" validate:"required,packagename"`
	Version  string   `yaml:"version" validate:"required,packageversion"` // exactly this one
	Member   string   `yaml:"member" validate:"required,member"`          // path of the file in the package
	// Size is that of the package in bytes, for the progress bar and as a bound; 0
	// when it is not known.
	Size int64 `yaml:"size,omitempty" validate:"min=0,max=1073741824"`
}

// Registry is where packages are kept.
type Registry string

// RegistryPyPI is the registry of Python packages; a package is a wheel.
const RegistryPyPI Registry = "pypi"

// String names a source in messages, without the query of an address, which may be a
// signature.
func (s Source) String() string {
	if s.Package == nil {
		address, _, _ := strings.Cut(s.URL, "?")
		return address
	}
	return fmt.Sprintf("%s package %s %s", s.Package.Registry, s.Package.Name, s.Package.Version)
}

// check notes a source that is no place, or two.
func (s Source) check(r *report, path string) {
	r.check((s.URL == "") != (s.Package == nil), path, "must have either a url or a package")
}

var (
	// packageName is a name of PEP 508.
	packageName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$`)
	// packageVersion is a version of PEP 440 without local parts: no range, no URL.
	packageVersion = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9}){0,7}((a|b|rc)[0-9]{1,9})?(\.post[0-9]{1,9})?(\.dev[0-9]{1,9})?$`)
)

// isMember takes the path of a file below the top of a package.
func isMember(s string) bool {
	return len(s) <= 255 && s != "." && fs.ValidPath(s) && !strings.ContainsAny(s, "\\\x00")
}
