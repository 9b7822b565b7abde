package e2e

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Chips are exported on demand, imported where they are kept, and nobody loses them unawares.
func TestChipsAreTransferred(t *testing.T) {
	t.Parallel()
	plain := canonical(t, generated(t, 3))
	file := strings.Replace(plain, `"version":1,`, `"version":2,`, 1)
	file = strings.Replace(file, "\"}\n", "\",\"chip\":\"AAECAw==\"}\n", 1)
	file = strings.Replace(file, `"faces":4,`, `"faces":4,"chips":1,`, 1)
	keeping := []string{"IMAGO_INVENTORY_KEEP_CHIPS=true", "IMAGO_CHIPS_KEY=AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}
	run := func(path string, env []string, args ...string) result {
		r := finish(t, command(t, path, env, args...))
		require.Zero(t, r.code, "%s%s", r.out, r.err)
		return r
	}

	path := database(t, false)
	require.Contains(t, run(path, keeping, "import", write(t, file)).out, "4 added, 0 there already, 0 in conflict; 1 with their chips\n")
	said := run(path, keeping, "export")
	require.Equal(t, plain, said.out)
	require.Contains(t, said.err, "chips stay behind (keep_chips); --chips exports them\n")
	said = run(path, keeping, "export", "--chips")
	require.Equal(t, file, said.out)
	require.NotContains(t, said.err, "stay behind")
	require.Contains(t, said.err, "users: users 3, faces 4, chips 1, sha256 ")

	without := database(t, false)
	require.Contains(t, run(without, nil, "import", write(t, file)).out, "1 chips were left behind")
	said = run(without, nil, "export")
	require.Equal(t, plain, said.out)
	require.NotContains(t, said.err, "stay behind")
}
