package config

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imago/core/naming"
	"imago/ports"
)

// rule is a custom rule of the struct tags.
type rule struct {
	valid   func(reflect.Value) bool
	message string
}

// rules returns the custom rules by the name that tags use.
func rules() map[string]rule {
	return map[string]rule{
		"listen":         text(isListen, "must be host:port or unix:///absolute/path"),
		"socketmode":     matching(socketMode, "must be an octal file mode such as 0660"),
		"proxy":          text(isProxy, "must be an address, a network such as 10.0.0.0/8, or unix"),
		"collection":     text(isList, "must be "+naming.CollectionForm+", and none of "+strings.Join(append(naming.ReservedWords(), All), ", ")),
		"scope":          text(isScope, "must be "+All+", "+naming.Inventory+" or the name of a collection: "+naming.CollectionForm),
		"operation":      text(isOperation, "must be "+All+" or one of "+strings.Join(operations(), ", ")),
		"keyname":        text(func(s string) bool { return naming.CheckClient(s) == nil }, "must be "+naming.ClientForm),
		"modelname":      matching(modelName, "must be 1 to 64 of a-z, 0-9, ., _ and -, beginning with a letter or a digit"),
		"filename":       text(isFileName, "must be a file name without folders that does not begin with a dot"),
		"hexlower":       matching(hexLower, "must be lower-case hexadecimal digits"),
		"https_url":      text(isSource, "must be an https:// URL"),
		"packagename":    matching(packageName, "must be the name of a package: letters, digits, ., _ and - between letters or digits"),
		"packageversion": matching(packageVersion, "must be one exact version such as 1.2.3"),
		"member":         text(isMember, "must be the path of a file in the package, such as folder/net.onnx"),
		"identifier":     matching(identifier, "must begin with a letter or _ and go on with a-z, 0-9 and _"),
		"ascending":      {isAscending, "must be in ascending order"},
	}
}

func text(valid func(string) bool, message string) rule {
	return rule{func(v reflect.Value) bool { return valid(v.String()) }, message}
}

func matching(pattern *regexp.Regexp, message string) rule {
	return text(pattern.MatchString, message)
}

var (
	modelName  = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	identifier = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
	socketMode = regexp.MustCompile(`^0?[0-7]{3}$`)
	hexLower   = regexp.MustCompile(`^[0-9a-f]+$`)
	hostName   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,252})$`)
)

// isList takes the name of a list. All would mean something else in the scopes of keys.
func isList(s string) bool { return naming.CheckList(s) == nil && s != All }

func isScope(s string) bool { return s == All || s == naming.Inventory || isList(s) }

func operations() []string {
	var all []string
	for _, op := range ports.Operations() {
		all = append(all, string(op))
	}
	return all
}

func isOperation(s string) bool { return s == All || slices.Contains(operations(), s) }

// maxSocketPath is the longest path of a Unix socket in bytes: sun_path of
// Linux's struct sockaddr_un less its final zero.
const maxSocketPath = 107

func isListen(s string) bool {
	if path, ok := strings.CutPrefix(s, "unix://"); ok {
		return filepath.IsAbs(path) && len(path) > 1 && len(path) <= maxSocketPath && !strings.ContainsRune(path, 0)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return false
	}
	_, err = netip.ParseAddr(host)
	return host == "" || err == nil || hostName.MatchString(host)
}

func isProxy(s string) bool {
	_, notAddress := netip.ParseAddr(s)
	_, notNetwork := netip.ParsePrefix(s)
	return s == UnixProxy || notAddress == nil || notNetwork == nil
}

func isFileName(s string) bool {
	return len(s) <= 255 && !strings.HasPrefix(s, ".") && !strings.Contains(s, "..") && !strings.ContainsAny(s, "/\\\x00")
}

func isSource(s string) bool {
	u, err := url.Parse(s)
	return err == nil && SafeSource(u)
}

// SafeSource reports whether imago may download from a URL: https with a host
// and without a user, or plain http where it stays on this machine (tests,
// tunnels).
func SafeSource(u *url.URL) bool {
	if u.User != nil || u.Hostname() == "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// isAscending takes a list of integers.
func isAscending(v reflect.Value) bool {
	for i := 1; i < v.Len(); i++ {
		if v.Index(i).Int() <= v.Index(i-1).Int() {
			return false
		}
	}
	return true
}
