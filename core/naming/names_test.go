package naming_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/naming"
)

func TestNames(t *testing.T) {
	for name, c := range map[string]struct {
		check     func(string) error
		good, bad []string
	}{
		"collection": {naming.CheckCollection, []string{"users", "search", "a-b_9", strings.Repeat("a", 64)}, []string{"", "Users", "a b", "a/b", "ä", "a\n", strings.Repeat("a", 65)}},
		"list":       {naming.CheckList, []string{"vip", "blacklist"}, []string{"", "VIP", "users", "search", "faces", "verify"}},
		"client":     {naming.CheckClient, []string{"gate-1", "A.b_C", strings.Repeat("a", 64)}, []string{"", "a b", "a/b", "ä", strings.Repeat("a", 65)}},
		"ID":         {naming.CheckID, []string{"u", `a"b\%`, " a", "search", "Jose\u0301", strings.Repeat("é", 128)}, []string{"", "a\xff", "a\n", "a\x00", "a\u0085", strings.Repeat("x", 257)}},
	} {
		for _, text := range c.good {
			require.NoError(t, c.check(text), "%s %q", name, text)
		}
		for _, text := range c.bad {
			require.Error(t, c.check(text), "%s %q", name, text)
		}
	}
	require.NotContains(t, naming.CheckID("secret\n").Error(), "secret")
}
