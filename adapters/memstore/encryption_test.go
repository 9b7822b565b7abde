package memstore

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/contract"
)

// encrypted returns settings for a file with encryption.
func encrypted(path string) config.MemoryStore {
	key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32))
	return config.MemoryStore{Path: path, Encryption: config.Encryption{Key: config.Secret(key)}}
}

func TestEncryptedContract(t *testing.T) {
	contract.VectorStore(t, encryptedHarness())
	contract.VectorStoreConcurrency(t, encryptedHarness())
}

func encryptedHarness() contract.StoreHarness {
	open := func(tb testing.TB, path string, space ports.Space) (*store, error) {
		s := guarded(New(encrypted(path), space, discard()))
		tb.Cleanup(func() { closeStore(tb, s) })
		return s, s.Start(tb.Context())
	}
	return contract.StoreHarness{
		Chips: true,
		Open: func(tb testing.TB, space ports.Space) ports.VectorStore {
			s, err := open(tb, filepath.Join(tb.TempDir(), "imago.db"), space)
			require.NoError(tb, err)
			return s
		},
		Reopen: func(tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
			require.NoError(tb, s.(*store).Close(tb.Context()))
			return open(tb, s.(*store).driver.cfg.Path, space)
		},
	}
}

// BenchmarkEncrypted is BenchmarkStart and BenchmarkCommit side by side with and
// without encryption.
func BenchmarkEncrypted(b *testing.B) {
	for name, e := range map[string]config.Encryption{"plain": {}, "sealed": encrypted("").Encryption} {
		cfg := config.MemoryStore{Path: filepath.Join(b.TempDir(), "imago.db"), Encryption: e}
		b.Run("start 100000x512/"+name, func(b *testing.B) {
			s := guarded(New(cfg, testSpace(512), discard()))
			require.NoError(b, s.Start(b.Context()))
			enrol(b, s, crowd(100000, 512))
			closeStore(b, s)
			b.ReportAllocs()
			for b.Loop() {
				again := guarded(New(cfg, s.driver.space, discard()))
				require.NoError(b, again.Start(b.Context()))
				b.StopTimer()
				require.NoError(b, again.Close(b.Context()))
				b.StartTimer()
			}
		})
		b.Run("add 512/"+name, func(b *testing.B) {
			s := guarded(New(config.MemoryStore{Path: filepath.Join(b.TempDir(), "add.db"), Encryption: e}, testSpace(512), discard()))
			require.NoError(b, s.Start(b.Context()))
			r := crowd(1, 512)[0]
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.UserID = fmt.Sprintf("user-%08d", i)
				if err := s.Add(b.Context(), r, ports.NewUser()); err != nil {
					b.Fatal(err)
				}
			}
			closeStore(b, s)
		})
	}
}
