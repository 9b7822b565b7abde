package contract

import (
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

func embedderHarness(open func() ports.Embedder) EmbedderHarness {
	return EmbedderHarness{
		Open: func(testing.TB) ports.Embedder { return open() },
		Close: func(_ testing.TB, e ports.Embedder) {
			switch e := e.(type) {
			case *meanEmbedder:
				e.closed.Store(true)
			case *alteredEmbedder:
				e.closed.Store(true)
			}
		},
	}
}

func openReferenceEmbedder() ports.Embedder { return new(meanEmbedder) }

func TestEmbedderAcceptsReference(t *testing.T) {
	Embedder(t, embedderHarness(openReferenceEmbedder))
}

func TestEmbedderRejectsBroken(t *testing.T) {
	for _, b := range brokenEmbedders {
		t.Run(b.name, func(t *testing.T) { requireCaught(t, "TestBrokenEmbedder", b.name, b.caught) })
	}
	requireAccepted(t, "TestBrokenEmbedder")
}

func TestEmbedderCasesAreTested(t *testing.T) {
	for _, c := range embedderCases {
		require.True(t, slices.ContainsFunc(brokenEmbedders, func(b brokenEmbedder) bool { return b.caught == c.name }), "no broken embedder tests the case %s", c.name)
	}
}

// TestBrokenEmbedder is what the child runs.
func TestBrokenEmbedder(t *testing.T) {
	name := os.Getenv(brokenInferenceEnv)
	if name == "" {
		return // TestEmbedderRejectsBroken runs it
	}
	open := openReferenceEmbedder
	for _, b := range brokenEmbedders {
		if b.name == name {
			open = b.open
		}
	}
	Embedder(t, embedderHarness(open))
}
