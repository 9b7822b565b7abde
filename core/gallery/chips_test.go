package gallery_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/gallery"
	"imago/ports"
)

// sealer writes down for whom it seals.
type sealer struct{ failure error }

func (s sealer) Seal(chip *ports.Chip, user ports.UserKey, faceID string) ([]byte, error) {
	if chip == nil {
		return nil, errors.New("no chip")
	}
	return []byte(user.Collection + "/" + user.UserID + "/" + faceID), s.failure
}

func TestChipsAreKeptWhereWanted(t *testing.T) {
	s := new(store)
	g := gallery.New(extractor{"ada.jpg": {1, 0}}, s, gallery.Options{
		Lists: []gallery.Collection{{Name: "blacklist", KeepChips: true}, {Name: "whitelist"}}, Chips: sealer{},
	})
	for _, collection := range []string{"users", "blacklist", "whitelist"} {
		require.NoError(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: collection, UserID: "ada", FaceID: "f", Picture: []byte("ada.jpg")}))
	}
	require.Len(t, s.records, 3)
	require.Empty(t, s.records[0].Chip)
	require.Equal(t, "blacklist/ada/f", string(s.records[1].Chip))
	require.Empty(t, s.records[2].Chip)
	require.NoError(t, g.Replace(t.Context(), alice, gallery.Enrolment{Collection: "blacklist", UserID: "ada", Picture: []byte("ada.jpg")}))
	replaced := s.records[len(s.records)-1]
	require.Equal(t, "blacklist/ada/"+replaced.FaceID, string(replaced.Chip))
}

func TestNothingIsEnrolledWithoutItsChip(t *testing.T) {
	s := new(store)
	g := gallery.New(extractor{"ada.jpg": {1, 0}}, s, gallery.Options{KeepChips: true, Chips: sealer{errors.New("no entropy")}})
	err := g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: "ada", Picture: []byte("ada.jpg")})
	require.ErrorContains(t, err, "no entropy")
	require.Empty(t, s.records)
}
