package milvusstore

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"
	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
)

// chipped returns a face of the collection of the tests with a chip of its own.
func chipped(user, face string) ports.Record {
	r := record(user, face, east)
	r.Chip = []byte("chip of " + user + "/" + face)
	return r
}

// scanned returns what a scan with chips yields, as user/face=chip, in order.
func scanned(tb testing.TB, s *store, owners ports.Owners) (faces []string) {
	tb.Helper()
	for r, err := range s.Scan(tb.Context(), ports.Selection{Collection: users, Owners: owners, WithChips: true}) {
		require.NoError(tb, err)
		faces = append(faces, r.UserID+"/"+r.FaceID+"="+string(r.Chip))
	}
	return faces
}

// A Milvus collection of an imago that knew no chips refuses one in words that say what to do,
// and is scanned as one without chips.
func TestCollectionWithoutChips(t *testing.T) {
	t.Parallel()
	for _, layout := range []int{1, 2} {
		t.Run(fmt.Sprint("layout ", layout), func(t *testing.T) {
			space := testSpace(2)
			cfg := shared.settings(t, ports.Space{Digest: fmt.Sprint("layout ", layout), Dimension: 2}, config.IndexExact)
			createOld(t, cfg, space, layout)
			s := started(t, cfg, space)
			err := s.Add(t.Context(), chipped("ada", "f"), ports.NewUser())
			require.ErrorIs(t, err, ports.ErrInvalid)
			require.ErrorContains(t, err, "imago migrate")
			_, err = s.Get(t.Context(), userKey("ada"))
			require.ErrorIs(t, err, ports.ErrNotFound)

			require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
			require.NoError(t, s.Add(t.Context(), record("ada", "g", east), ports.FurtherFace(ports.Everybody())))
			require.NoError(t, s.Remove(t.Context(), ports.OneFace(userKey("ada"), "f"), ports.Everybody()))
			require.Equal(t, []string{"ada/g="}, scanned(t, s, ports.Everybody()))
		})
	}
}

// As many faces as a user may have in a gallery, with the largest chips, are renewed in one step,
// and come out of a scan in several pieces.
func TestLargestChips(t *testing.T) {
	t.Parallel()
	s := fresh(t, 2)
	const faces = 100
	records := make([]ports.Record, faces)
	rows := make([]row, faces)
	random := seeded(7)
	for i := range records {
		records[i] = record("ada", fmt.Sprintf("f%04d", i), east)
		records[i].Chip = make([]byte, ports.MaxChipBytes)
		for j := range records[i].Chip {
			records[i].Chip[j] = byte(random.Uint32())
		}
		rows[i] = faceRow(records[i], 1, i == 0)
	}
	require.NoError(t, s.driver.table.insert(t.Context(), facesPartition, rows...))
	require.NoError(t, s.Remove(t.Context(), ports.OneFace(userKey("ada"), "f0000"), ports.Everybody()))
	n := 1
	for r, err := range s.Scan(t.Context(), ports.Selection{Collection: users, Owners: ports.Everybody(), WithChips: true}) {
		require.NoError(t, err)
		require.Equal(t, records[n], r)
		n++
	}
	require.Equal(t, faces, n)
}

// No request asks for more chips than take a page.
func TestChipsAreReadInPieces(t *testing.T) {
	server := newFakeServer()
	s, table := instance(t, server, 2)
	require.NoError(t, s.Add(t.Context(), chipped("ada", "0"), ports.NewUser()))
	for i := range 2 * chipsPerRead {
		require.NoError(t, s.Add(t.Context(), chipped("ada", fmt.Sprintf("f%03d", i)), ports.FurtherFace(ports.Everybody())))
		require.NoError(t, s.Add(t.Context(), chipped(fmt.Sprintf("user-%03d", i), "f"), ports.NewUser()))
	}
	var asked []int
	table.before = func(_ context.Context, call, about string) error {
		if call == "chips" {
			asked = append(asked, strings.Count(about, separator)/3)
		}
		return nil
	}
	require.Len(t, scanned(t, s, ports.Everybody()), 1+4*chipsPerRead)
	require.Equal(t, []int{chipsPerRead, chipsPerRead, 1, chipsPerRead, chipsPerRead}, asked)
	require.Less(t, chipsPerRead*chipEncoding.EncodedLen(ports.MaxChipBytes), pageBytes+1)
}

// Who is changed between the page and its chips appears once, as before or as afterwards,
// with all chips, and who is removed does not appear.
func TestScanWithChipsDuringChanges(t *testing.T) {
	for _, owners := range []ports.Owners{ports.Everybody(), ports.OwnedBy("gateway")} {
		server := newFakeServer()
		s, table := instance(t, server, 2)
		other, _ := instance(t, server, 2)
		for _, user := range []string{"ada", "bob", "cyd", "dan", "eve"} {
			require.NoError(t, s.Add(t.Context(), chipped(user, "f"), ports.NewUser()))
			require.NoError(t, s.Add(t.Context(), chipped(user, "g"), ports.FurtherFace(ports.Everybody())))
		}
		changed := false
		table.before = func(ctx context.Context, call, _ string) error {
			if call != "chips" || changed {
				return nil
			}
			changed = true
			require.NoError(t, other.Remove(ctx, ports.OneFace(userKey("ada"), "f"), ports.Everybody()))
			require.NoError(t, other.Remove(ctx, ports.WholeUser(userKey("bob")), ports.Everybody()))
			theirs := chipped("cyd", "h")
			theirs.Owner = "another"
			require.NoError(t, other.Add(ctx, theirs, ports.Replacement(ports.Everybody())))
			require.NoError(t, other.Add(ctx, record("dan", "g", east), ports.Replacement(ports.Everybody())))
			return nil
		}
		want := []string{"ada/g=chip of ada/g", "cyd/h=chip of cyd/h", "dan/g=", "eve/f=chip of eve/f", "eve/g=chip of eve/g"}
		if _, one := owners.Only(); one {
			want = append(want[:1:1], want[2:]...)
		}
		require.Equal(t, want, scanned(t, s, owners))
		require.True(t, changed)
	}
}

// What is not a chip's text was not written by imago.
func TestForeignChip(t *testing.T) {
	face := faceRow(chipped("ada", "f"), 1, true)
	columns := func(chip string) client.ResultSet {
		return client.ResultSet{entity.NewColumnVarChar(idField, []string{face.id}), entity.NewColumnVarChar(chipField, []string{chip})}
	}
	rows, err := rowsOf(columns(face.chipText()), columns("")[0], 1)
	require.NoError(t, err)
	require.Equal(t, face.chip, rows[0].chip)
	rows, err = rowsOf(columns(""), columns("")[0], 1)
	require.NoError(t, err)
	require.Nil(t, rows[0].chip)
	_, err = rowsOf(columns("no chip!"), columns("")[0], 1)
	require.ErrorIs(t, err, errForeignRow)
}
