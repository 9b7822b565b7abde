package contract

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// brokenInferenceEnv names, in a child process, the broken detector or embedder
// to be run through its suite.
const brokenInferenceEnv = "IMAGO_TEST_BROKEN_INFERENCE"

// detectorHarness shows pictures with two, one and no squares.
func detectorHarness(open func() ports.Detector) DetectorHarness {
	picture := func(name string, corners ...[3]int) DetectorPicture {
		p := DetectorPicture{Name: name, Image: ports.NewImage(120, 90), LongSides: []int{0, 80}, Tolerance: 1}
		for i, c := range corners {
			for y := c[1]; y < c[1]+c[2]; y++ {
				for x := c[0]; x < c[0]+c[2]; x++ {
					p.Image.Pix[y*p.Image.Stride+3*x] = byte(250 - 30*i)
				}
			}
			half := float64(c[2]-1) / 2
			p.Noses = append(p.Noses, ports.Point{X: float64(c[0]) + half, Y: float64(c[1]) + half})
		}
		return p
	}
	return DetectorHarness{
		Open: func(testing.TB) ports.Detector { return open() },
		Close: func(_ testing.TB, d ports.Detector) {
			switch d := d.(type) {
			case *squareDetector:
				d.closed.Store(true)
			case *alteredDetector:
				d.closed.Store(true)
			}
		},
		Pictures: []DetectorPicture{
			picture("two", [3]int{60, 20, 31}, [3]int{10, 60, 20}), picture("one", [3]int{30, 30, 40}), picture("none"),
		},
	}
}

func openReferenceDetector() ports.Detector { return new(squareDetector) }

func TestDetectorAcceptsReference(t *testing.T) {
	Detector(t, detectorHarness(openReferenceDetector))
}

// TestDetectorRejectsBroken runs each broken detector through the case that is
// there to catch it, in a child, as TestVectorStoreRejectsBroken does.
func TestDetectorRejectsBroken(t *testing.T) {
	for _, b := range brokenDetectors {
		t.Run(b.name, func(t *testing.T) { requireCaught(t, "TestBrokenDetector", b.name, b.caught) })
	}
	requireAccepted(t, "TestBrokenDetector")
}

func TestDetectorCasesAreTested(t *testing.T) {
	for _, c := range detectorCases {
		require.True(t, slices.ContainsFunc(brokenDetectors, func(b brokenDetector) bool { return b.caught == c.name }), "no broken detector tests the case %s", c.name)
	}
}

// TestBrokenDetector is what the child runs.
func TestBrokenDetector(t *testing.T) {
	name := os.Getenv(brokenInferenceEnv)
	if name == "" {
		return // TestDetectorRejectsBroken runs it
	}
	open := openReferenceDetector
	for _, b := range brokenDetectors {
		if b.name == name {
			open = b.open
		}
	}
	Detector(t, detectorHarness(open))
}

// requireCaught checks that a case fails in a child.
func requireCaught(t *testing.T, test, name, testCase string) {
	t.Helper()
	t.Parallel()
	out, err := runBrokenInference(t, test, name, "^"+testCase+"$")
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s accepts what is broken:\n%s", testCase, out)
	require.Contains(t, out, "--- FAIL: "+test+"/"+testCase)
}

// requireAccepted is the control: the child fails because of the damage, not
// because it is a child.
func requireAccepted(t *testing.T, test string) {
	t.Helper()
	out, err := runBrokenInference(t, test, undamaged, ".*")
	require.NoError(t, err, out)
	require.Contains(t, out, "--- PASS: "+test+"/Concurrent")
}

func runBrokenInference(t *testing.T, test, name, testCase string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$/"+testCase, "-test.v", "-test.count=1", "-test.timeout=15m")
	cmd.Env = append(os.Environ(), brokenInferenceEnv+"="+name, "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
