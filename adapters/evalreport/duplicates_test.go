package evalreport

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/core/calibration"
	"imago/core/duplicates"
)

// foundOf is a result with findings of each kind, and names that try to be markup.
func foundOf() duplicates.Report {
	rate := func(x float64, b calibration.Bound) *calibration.Rate { return &calibration.Rate{Value: x, Bound: b} }
	a, b := duplicates.Face{Collection: "users", UserID: "<b>ada", FaceID: "f1"}, duplicates.Face{Collection: "users", UserID: "ada\x1b[2J", FaceID: "f2"}
	return duplicates.Report{
		Collection: "users", Size: duplicates.Size{Users: 100_000, Faces: 110_000, Several: 9000}, Comparisons: 6e9,
		Threshold: 98.5, Cosine: 0.592, Chosen: true, Pairs: 126, HubPairs: 7,
		PairsChance: duplicates.Chance{Model: rate(12_345, calibration.AtMost), Gallery: new(98.9)},
		Closest:     []duplicates.Pair{{A: a, B: b, Score: 0.9, Chance: duplicates.Chance{Model: rate(0.5, calibration.AtMost), Gallery: new(1e-5)}}},
		Scores: []duplicates.Bin{
			{From: 0.474, To: 0.48, Pairs: 100_000, Chance: duplicates.Chance{Model: rate(90_000, calibration.AtMost), Gallery: new(1e5)}},
			{From: 0.48, To: 0.49}, {From: 0.9, To: 0.91, Pairs: 1, Chance: duplicates.Chance{Model: rate(1e-9, calibration.AtMost), Gallery: new(1e-12)}},
		},
		Mixed: 8, Together: 10, Hidden: rate(0.0155, calibration.Estimated),
		Farthest: []duplicates.MixedUser{{UserID: "bob", Score: 0.05, Groups: [][]string{{"1", "2", "3", "4", "5", "6", "7", "8"}, {"9"}}}},
		Hubs:     1, HubRules: []duplicates.HubRule{
			{Collection: "users", Users: 3, Cosine: 0.7, Expected: 0.001}, {Collection: "users", Users: 4, Cosine: 0.65, Expected: 0.01},
			{Collection: "users", Users: 50, Cosine: 0.474, Expected: 5},
		},
		Largest: []duplicates.Hub{{Face: a, Users: 999, Cosine: 0.474, More: true, Probability: 1e-300, Closest: []duplicates.Face{b}, Scores: []float64{0.6}}},
		Level:   &duplicates.Level{Faces: 2000, Matches: 10_000, Cosine: 0.474, Rate: 5e-5, Scale: 0.02, Ratio: 3.14}, Cut: 2,
	}
}

func manifest() config.Manifest {
	return config.Manifest{Name: "net", Calibration: &config.Calibration{
		Midpoint: 0.3795, Steepness: 19.66, Basis: "pictures of somebody", FMR: []config.ErrorRate{{Cosine: 0.25, Rate: 0.024}, {Cosine: 0.45, Rate: 9.5e-5}},
	}}
}

func TestDuplicates(t *testing.T) {
	empty := duplicates.Report{Collection: "whitelist", Threshold: 80, Cosine: 0.45, Together: 10}
	against := foundOf()
	against.Against, against.Other = "blacklist", duplicates.Size{Users: 40, Faces: 41}
	d := NewDuplicates("v1", time.Unix(1_800_000_000, 0).UTC(), manifest(), []duplicates.Report{foundOf(), empty, against})
	require.Equal(t, 4, d.Cut())

	text := d.Text()
	for _, s := range []string{
		"users: users 100,000, faces 110,000; 6,000,000,000 pairs of faces compared\n",
		"from 98.50 % on: 126; chance gives at most 12,000 by the model's rates, about 99 by this gallery's own scores\n7 more through a hub, not counted\n",
		`99.9964 %   0.9000  "<b>ada"  "f1"  "ada\x1b[2J"  "f2"  less than 0.001`,
		"and 125 more, less striking: raise --limit to list them\n",
		"below 10.00 %: 8 of 9,000 with several faces; of pairs of strangers under one ID 1.5 % are too similar to be found so\n",
		`"bob"  "1" "2" "3" "4" "5" "6" 2 more | "9"`,
		"users: from 3 users on at 99.82 % (cosine 0.7000), where chance gives a face 0.001\nusers: from 50 users on at 86.50 % (cosine 0.4740), where chance gives a face 5\n",
		`999 or more  86.50 %     below 1e-12    users       "<b>ada"  "f1"  "ada\x1b[2J" 98.71 %`,
		"note: the model's false match rates were measured up to cosine 0.450",
		"note: strangers in this gallery resemble each other 3.14 times as often",
		"note: 2 faces resemble more users than a search returns",
		"\nwhitelist: nothing to compare, users 0, faces 0\n",
		"; against blacklist: users 40, faces 41; ",
	} {
		require.Contains(t, text, s)
	}
	require.NotContains(t, text, "\x1b")
	require.Equal(t, 2, strings.Count(text, "who look like one person"))
	require.Equal(t, 1, strings.Count(text, "whose faces are not one person"), "not beside another collection")

	var page, data bytes.Buffer
	files := d.Files()
	require.Len(t, files, 2)
	require.NoError(t, files[0].Write(&page))
	require.NoError(t, files[1].Write(&data))
	html := page.String()
	require.Contains(t, html, "&lt;b&gt;ada")
	require.NotContains(t, html, "<b>ada")
	require.Equal(t, 2, strings.Count(html, `srcset="data:image/svg`), "a chart of each that has something to compare")
	require.Contains(t, html, "pictures of somebody")
	require.Equal(t, 1, strings.Count(html, "Nothing to compare."))
	require.Contains(t, html, "at most 12,000 by the model")
	require.NotContains(t, html, "http")
	var parsed struct {
		Collections []struct {
			Pairs struct{ List []any }
			Mixed *struct{ List []any }
			Notes []string
		}
	}
	require.NoError(t, json.Unmarshal(data.Bytes(), &parsed))
	require.Len(t, parsed.Collections, 3)
	require.NotNil(t, parsed.Collections[1].Pairs.List, "an empty list is [] in JSON")
	require.Empty(t, parsed.Collections[1].Notes)
	require.Nil(t, parsed.Collections[2].Mixed)
}

// A manifest without rates, and a provisional one, are told.
func TestDuplicatesSaysWhatIsUnknown(t *testing.T) {
	m := manifest()
	m.Calibration.FMR, m.Calibration.Provisional = nil, true
	r := duplicates.Report{Collection: "users", Size: duplicates.Size{Users: 3, Faces: 4, Several: 1}, Comparisons: 5, Threshold: 80, Cosine: 0.45, Together: 10}
	text := NewDuplicates("v1", time.Time{}, m, []duplicates.Report{r}).Text()
	for _, s := range []string{
		"chance gives an unknown number by the model's rates",
		"it is unknown how many pairs of strangers under one ID are too similar",
		"note: the model's manifest has no false match rates",
		"note: the model's calibration is provisional",
		"note: without false match rates, hubs cannot be told",
	} {
		require.Contains(t, text, s)
	}
}
