package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain makes the test binary imago itself where asImago is in the
// environment. No test leaves a goroutine behind.
func TestMain(m *testing.M) {
	if os.Getenv("IMAGO_TEST_AS_IMAGO") != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}
