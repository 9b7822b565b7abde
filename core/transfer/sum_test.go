package transfer_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/transfer"
	"imago/ports"
)

// The layout, written out by hand for one face.
func TestChecksumLayout(t *testing.T) {
	s := open(t)
	add(t, s, ports.Record{
		Collection: "users", UserID: "é", FaceID: "f", Owner: "",
		Vector: []float32{1, 0, 0, 0, 0, 0, 0, 0}, EnrolledAt: time.UnixMicro(-2),
	})
	layout := strings.Join([]string{
		"0f000000", hex.EncodeToString([]byte("imago-gallery 1")), "05000000", hex.EncodeToString([]byte("users")),
		"02000000", "c3a9", "01000000", "66", "00000000", "feffffffffffffff",
		"08000000", "0000803f", strings.Repeat("00000000", 7),
	}, "")
	bytes, err := hex.DecodeString(layout)
	require.NoError(t, err)
	sum, err := transfer.Checksum(t.Context(), s, "users")
	require.NoError(t, err)
	require.Equal(t, transfer.Sum{Collection: "users", Users: 1, Faces: 1, SHA256: sha256.Sum256(bytes)}, sum)
	require.Equal(t, fmt.Sprintf("users: users 1, faces 1, sha256 %x", sha256.Sum256(bytes)), sum.String())
}

// Everything about a face counts, and where one string ends and the next begins.
func TestChecksumTellsFacesApart(t *testing.T) {
	one := ports.Record{
		Collection: "users", UserID: "ab", FaceID: "cd", Owner: "ef",
		Vector: []float32{1, 0, 0, 0, 0, 0, 0, 0}, EnrolledAt: time.UnixMicro(5),
	}
	seen := map[[32]byte]string{}
	for name, change := range map[string]func(*ports.Record){
		"itself":     func(*ports.Record) {},
		"user":       func(r *ports.Record) { r.UserID = "ax" },
		"boundary":   func(r *ports.Record) { r.UserID, r.FaceID = "a", "bcd" },
		"boundary 2": func(r *ports.Record) { r.FaceID, r.Owner = "cde", "f" },
		"owner":      func(r *ports.Record) { r.Owner = "" },
		"time":       func(r *ports.Record) { r.EnrolledAt = time.UnixMicro(6) },
		"vector":     func(r *ports.Record) { r.Vector = []float32{0, 1, 0, 0, 0, 0, 0, 0} },
		"sign of 0":  func(r *ports.Record) { r.Vector = []float32{1, 0, 0, 0, 0, 0, 0, float32(math.Copysign(0, -1))} },
	} {
		s, r := open(t), one
		change(&r)
		add(t, s, r)
		sum, err := transfer.Checksum(t.Context(), s, "users")
		require.NoError(t, err)
		require.Empty(t, seen[sum.SHA256], "%s is like", name)
		seen[sum.SHA256] = name
	}
}

func TestChecksumOfNothing(t *testing.T) {
	s := open(t)
	users, err := transfer.Checksum(t.Context(), s, "users")
	require.NoError(t, err)
	require.Zero(t, users.Users+users.Faces)
	list, err := transfer.Checksum(t.Context(), s, "blacklist")
	require.NoError(t, err)
	require.NotEqual(t, users.SHA256, list.SHA256)
}
