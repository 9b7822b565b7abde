package contract

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

func chipCases(h StoreHarness) []storeCase {
	cases := []storeCase{
		{"ChipRoundTrip", chipRoundTrip},
		{"ChipOnlyInScans", chipOnlyInScans},
		{"ChipReplaced", chipReplaced},
		{"ChipRemoved", chipRemoved},
		{"ChipRefusedWrite", chipRefusedWrite},
		{"ChipKeptByExpiry", chipKeptByExpiry},
		{"ChipErased", chipErased},
		{"ChipMany", chipMany},
		{"ChipCopied", chipCopied},
	}
	if h.Reopen != nil {
		cases = append(cases, storeCase{"ChipReopened", chipReopened})
	}
	if h.Second != nil {
		cases = append(cases, storeCase{"ChipOfSecond", chipOfSecond})
	}
	return cases
}

// chipOf returns a chip of some bytes that are those of a seed.
func chipOf(seed uint64, size int) []byte {
	chip, r := make([]byte, size), rand.New(rand.NewPCG(seed, 0))
	for i := range chip {
		chip[i] = byte(r.Uint32())
	}
	return chip
}

// withChip returns a record with the chip of a seed.
func withChip(r ports.Record, seed uint64) ports.Record {
	r.Chip = chipOf(seed, 3000)
	return r
}

// chipsOf returns the chips of the collection people by user/face, those that are there.
func chipsOf(t *testing.T, s ports.VectorStore) map[string][]byte {
	t.Helper()
	selection := ports.Everything(people, "")
	selection.WithChips = true
	records, err := collect(s.Scan(t.Context(), selection))
	require.NoError(t, err)
	chips := map[string][]byte{}
	for _, r := range records {
		if len(r.Chip) > 0 {
			chips[r.UserID+"/"+r.FaceID] = r.Chip
		}
	}
	return chips
}

func chipRoundTrip(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	largest := face("ada", "f", east)
	largest.Chip = chipOf(1, ports.MaxChipBytes)
	add(t, s, largest, ports.NewUser())
	small := face("bob", "f", north)
	small.Chip = []byte{0}
	add(t, s, small, ports.NewUser())
	enrol(t, s, "cyd", west)
	add(t, s, withChip(face("cyd", "g", west), 2), ports.FurtherFace(ports.Everybody()))
	require.Equal(t, map[string][]byte{"ada/f": largest.Chip, "bob/f": {0}, "cyd/g": chipOf(2, 3000)}, chipsOf(t, s))
	require.Equal(t, []string{"ada/f", "bob/f", "cyd/f", "cyd/g"}, keysOf(scanAll(t, s, people, "")))
}

// chipOnlyInScans looks for chips in every other answer.
func chipOnlyInScans(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	add(t, s, withChip(face("ada", "f", east), 1), ports.NewUser())
	for _, selection := range []ports.Selection{
		ports.Everything(people, ""), {Collection: people, Owners: ports.Everybody(), WithoutVectors: true},
		{Collection: people, Owners: ports.OwnedBy(ownerOf("f"))},
	} {
		records, err := collect(s.Scan(t.Context(), selection))
		require.NoError(t, err)
		require.Len(t, records, 1)
		require.Empty(t, records[0].Chip)
	}
	records, err := s.Get(t.Context(), person("ada"))
	require.NoError(t, err)
	require.Empty(t, records[0].Chip)
	both, err := collect(s.Scan(t.Context(), ports.Selection{Collection: people, Owners: ports.Everybody(), WithoutVectors: true, WithChips: true}))
	require.NoError(t, err)
	require.Empty(t, both[0].Vector)
	require.Equal(t, chipOf(1, 3000), both[0].Chip)
}

func chipReplaced(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	add(t, s, withChip(face("ada", "f", east), 1), ports.NewUser())
	add(t, s, withChip(face("ada", "f", north), 2), ports.Replacement(ports.Everybody()))
	require.Equal(t, map[string][]byte{"ada/f": chipOf(2, 3000)}, chipsOf(t, s))
	add(t, s, face("ada", "f", north), ports.Replacement(ports.Everybody()))
	require.Empty(t, chipsOf(t, s), "the chip of a face that was replaced by one without")
	add(t, s, withChip(face("ada", "g", north), 3), ports.Replacement(ports.Everybody()))
	require.Equal(t, map[string][]byte{"ada/g": chipOf(3, 3000)}, chipsOf(t, s))
}

func chipRemoved(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	for i, user := range []string{"ada", "bob"} {
		add(t, s, withChip(face(user, "f", east), uint64(i)), ports.NewUser())
		add(t, s, withChip(face(user, "g", east), 7), ports.FurtherFace(ports.Everybody()))
	}
	require.NoError(t, s.Remove(t.Context(), ports.OneFace(person("ada"), "f"), ports.Everybody()))
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person("bob")), ports.Everybody()))
	require.Equal(t, map[string][]byte{"ada/g": chipOf(7, 3000)}, chipsOf(t, s))
	further(t, s, "ada", "f", east)
	enrol(t, s, "bob", east)
	require.Equal(t, map[string][]byte{"ada/g": chipOf(7, 3000)}, chipsOf(t, s), "the chip of a removed face came back")
}

// chipRefusedWrite has writes that fail leave no chip.
func chipRefusedWrite(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	require.ErrorIs(t, s.Add(t.Context(), withChip(face("ada", "f", east), 1), ports.NewUser()), ports.ErrExists)
	require.ErrorIs(t, s.Add(t.Context(), withChip(face("ada", "f", east), 1), ports.FurtherFace(ports.Everybody())), ports.ErrExists)
	require.ErrorIs(t, s.Add(t.Context(), withChip(face("bob", "f", east), 1), ports.FurtherFace(ports.Everybody())), ports.ErrNotFound)
	require.ErrorIs(t, s.Add(t.Context(), withChip(face("ada", "f", east), 1), ports.Replacement(ports.OwnedBy("nobody"))), ports.ErrForbidden)
	require.Empty(t, chipsOf(t, s))
	enrol(t, s, "bob", east)
	require.Empty(t, chipsOf(t, s))
}

// chipKeptByExpiry changes the expiry of faces with chips.
func chipKeptByExpiry(t *testing.T, h StoreHarness) {
	s, clock := openKeeper(t, h, 0)
	add(t, s, withChip(until("ada", "f", east, time.Hour), 1), ports.NewUser())
	add(t, s, withChip(until("ada", "g", east, 2*time.Hour), 2), ports.FurtherFace(ports.Everybody()))
	require.Equal(t, map[string][]byte{"ada/f": chipOf(1, 3000), "ada/g": chipOf(2, 3000)}, chipsOf(t, s))
	clock.set(3 * time.Hour)
	require.Empty(t, chipsOf(t, s))
	add(t, s, until("ada", "f", east, 5*time.Hour), ports.NewUser())
	require.Empty(t, chipsOf(t, s), "the chip of a user who has expired came back")
}

// chipErased expires a user with a chip.
func chipErased(t *testing.T, h StoreHarness) {
	s, clock := openKeeper(t, h, 0)
	add(t, s, withChip(until("ada", "f", east, time.Hour), 1), ports.NewUser())
	clock.set(2 * time.Hour)
	require.NoError(t, s.Expire(t.Context(), person("ada"), clock.now()))
	clock.set(0)
	enrol(t, s, "ada", east)
	require.Empty(t, chipsOf(t, s))
}

// chipMany reads more chips than any page may hold.
func chipMany(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	const users = 150
	want := map[string][]byte{}
	for i := range users {
		r := face(fmt.Sprintf("u%03d", i), "f", east)
		if i%3 != 0 {
			r.Chip = chipOf(uint64(i), 20_000)
			want[r.UserID+"/f"] = r.Chip
		}
		add(t, s, r, ports.NewUser())
	}
	require.Equal(t, want, chipsOf(t, s))
}

// chipCopied changes chips on both sides of the store.
func chipCopied(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	r := withChip(face("ada", "f", east), 1)
	add(t, s, r, ports.NewUser())
	clear(r.Chip)
	clear(chipsOf(t, s)["ada/f"])
	require.Equal(t, chipOf(1, 3000), chipsOf(t, s)["ada/f"])
}

func chipReopened(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	add(t, s, withChip(face("ada", "f", east), 1), ports.NewUser())
	enrol(t, s, "bob", east)
	s, err := h.Reopen(t, s, storeSpace(2))
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"ada/f": chipOf(1, 3000)}, chipsOf(t, s))
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.Everybody()))
	require.Empty(t, chipsOf(t, s))
}

// chipOfSecond reads and removes the chip that another instance has stored.
func chipOfSecond(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	other := h.Second(t, s)
	add(t, s, withChip(face("ada", "f", east), 1), ports.NewUser())
	require.Equal(t, map[string][]byte{"ada/f": chipOf(1, 3000)}, chipsOf(t, other))
	require.NoError(t, other.Remove(t.Context(), ports.WholeUser(person("ada")), ports.Everybody()))
	require.Empty(t, chipsOf(t, s))
}

func chipTooLarge(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	r := face("ada", "f", east)
	r.Chip = bytes.Repeat([]byte{1}, ports.MaxChipBytes+1)
	require.ErrorIs(t, s.Add(t.Context(), r, ports.NewUser()), ports.ErrInvalid)
	require.Empty(t, scanAll(t, s, people, ""))
}

// chipRefused is for a store without a place for chips.
func chipRefused(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	require.ErrorIs(t, s.Add(t.Context(), withChip(face("ada", "f", east), 1), ports.NewUser()), ports.ErrInvalid)
	require.Empty(t, scanAll(t, s, people, ""))
	enrol(t, s, "ada", east)
}
