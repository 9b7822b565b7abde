package imaging

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/test/fixture"
)

func BenchmarkDecode(b *testing.B) {
	d := New(config.Default().Server.Limits)
	for _, name := range []string{"001_A.jpg", "005_A.jpg", "000_5.jpg", "cast/group1.jpg", "cast/amy1.png", "bad/einstein.png"} {
		data := fixture.Read(b, name)
		for _, longSide := range []int{0, 1280, 640} {
			b.Run(fmt.Sprintf("%s/%d", name, longSide), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, err := d.Decode(b.Context(), data, longSide)
					require.NoError(b, err)
				}
			})
		}
	}
}
