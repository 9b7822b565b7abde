package contract

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// brokenStoreEnv names, in a child process, the broken store to be run through
// the suites.
const brokenStoreEnv = "IMAGO_TEST_BROKEN_STORE"

func TestVectorStoreAcceptsReference(t *testing.T) {
	VectorStore(t, referenceHarness())
	VectorStoreConcurrency(t, referenceHarness())
	VectorStoreScale(t, referenceHarness())
}

func BenchmarkReferenceStore(b *testing.B) {
	h := referenceHarness()
	h.Records = 50
	BenchmarkVectorStore(b, h)
}

// TestVectorStoreRejectsBroken runs each broken store through the case that is
// there to catch it. A failing test cannot be observed from within its own
// process, so each runs in a child, where a crash or a hang is contained too.
func TestVectorStoreRejectsBroken(t *testing.T) {
	for _, v := range brokenStores() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			out, err := runBroken(t, v.name, v.caught)
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "%s accepts a broken store:\n%s", v.caught, out)
			require.Contains(t, out, "--- FAIL: TestBrokenStore/"+v.caught)
		})
	}
}

// TestVectorStoreChildAcceptsReference is the control of the test above: the
// child fails because of the damage, not because it is a child.
func TestVectorStoreChildAcceptsReference(t *testing.T) {
	out, err := runBroken(t, undamaged, ".*")
	require.NoError(t, err, out)
	require.Contains(t, out, "--- PASS: TestBrokenStore/SearchTies")
	require.Contains(t, out, "--- PASS: TestBrokenStore/ConcurrentMixture")
}

// TestVectorStoreCasesAreTested checks that no case is without a broken store
// for it to catch.
func TestVectorStoreCasesAreTested(t *testing.T) {
	caught := map[string]bool{}
	for _, v := range brokenStores() {
		caught[v.caught] = true
	}
	h := referenceHarness()
	for _, c := range slices.Concat(storeCases(h), concurrentStoreCases(h), scaleStoreCases()) {
		require.True(t, caught[c.name], "no broken store tests the case %s", c.name)
	}
}

func runBroken(t *testing.T, name, testCase string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0],
		"-test.run=^TestBrokenStore$/^"+testCase+"$", "-test.v", "-test.count=1", "-test.timeout=15m")
	// The race detector's child would otherwise sleep for a second at its end.
	cmd.Env = append(os.Environ(), brokenStoreEnv+"="+name, "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestBrokenStore is what the child runs.
func TestBrokenStore(t *testing.T) {
	name := os.Getenv(brokenStoreEnv)
	if name == "" {
		return // TestVectorStoreRejectsBroken runs it
	}
	h := referenceHarness()
	for _, v := range brokenStores() {
		if v.name == name {
			h = v.harness()
			h.Patience = 5 * time.Second // some never come
		}
	}
	VectorStore(t, h)
	VectorStoreConcurrency(t, h)
	VectorStoreScale(t, h)
}
