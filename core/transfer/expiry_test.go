package transfer_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/transfer"
	"imago/core/vectorstore"
	"imago/ports"
)

// A face with another expiry is another face: in conflict, and in the sums.
func TestExpiryIsCompared(t *testing.T) {
	a, b := open(t), open(t)
	r := face(rand.New(rand.NewPCG(1, 2)), "users", "ada", "f")
	add(t, a, r)
	r.ExpiresAt = time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	add(t, b, r)
	report, err := transfer.Copy(t.Context(), a, b, collections, quick)
	require.NoError(t, err)
	require.Equal(t, 1, report.Conflicts())
	require.Contains(t, report[0].Examples[0].Reason, "another expiry")
	_, err = transfer.Verify(t.Context(), a, b, collections, quick)
	require.ErrorContains(t, err, "1 faces differ")
}

// An export has the expiries; faces without one have the line that they always had.
func TestExportWithExpiry(t *testing.T) {
	s := open(t)
	r := face(rand.New(rand.NewPCG(1, 2)), "users", "ada", "f")
	r.ExpiresAt = time.Date(2100, 1, 2, 3, 4, 5, 6000, time.UTC)
	eve := face(rand.New(rand.NewPCG(3, 4)), "users", "eve", "f")
	add(t, s, r, eve)
	var file bytes.Buffer
	_, err := transfer.Export(t.Context(), &file, s, space, collections, quick)
	require.NoError(t, err)
	lines := strings.Split(file.String(), "\n")
	require.Contains(t, lines[1], `,"expiresAt":"2100-01-02T03:04:05.000006Z",`)
	require.NotContains(t, lines[2], "expiresAt")

	target := open(t)
	_, err = transfer.Import(t.Context(), bytes.NewReader(file.Bytes()), target, space, quick)
	require.NoError(t, err)
	require.Equal(t, all(t, s), all(t, target))
	for _, damaged := range []string{"2100-01-02T03:04:05Z", "1969-01-02T03:04:05.000006Z", "soon", "2100-01-02T03:04:05.000007Z"} {
		text := strings.Replace(file.String(), "2100-01-02T03:04:05.000006Z", damaged, 1)
		_, err := transfer.Inspect(t.Context(), strings.NewReader(text), space)
		require.ErrorIs(t, err, ports.ErrInvalid, damaged)
	}
}

// Users who have expired by what holds in the target are left out, and not missed.
func TestExpiredAreLeftOut(t *testing.T) {
	from := filled(t, 30)
	var file bytes.Buffer
	_, err := transfer.Export(t.Context(), &file, from, space, collections, quick)
	require.NoError(t, err)
	for name, retention := range map[string]vectorstore.Retention{
		"a later time":  {Now: func() time.Time { return time.Date(2101, 1, 1, 0, 0, 0, 0, time.UTC) }},
		"a retention":   {After: map[string]time.Duration{"users": 10 * 365 * 24 * time.Hour}, Now: func() time.Time { return time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC) }},
		"everybody out": {After: map[string]time.Duration{"users": time.Hour, "blacklist": time.Hour, "whitelist": time.Hour}, Now: func() time.Time { return time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC) }},
	} {
		var want []ports.Record
		users := map[ports.UserKey][]ports.Record{}
		for _, r := range all(t, from) {
			users[r.User()] = append(users[r.User()], r)
		}
		for _, r := range all(t, from) {
			if !retention.Expired(users[r.User()]) {
				want = append(want, r)
			}
		}
		require.Less(t, len(want), len(all(t, from)), name)
		o := quick
		o.Expired = retention.Expired

		imported, copied := open(t), open(t)
		imported.Retain(retention)
		copied.Retain(retention)
		report, err := transfer.Import(t.Context(), bytes.NewReader(file.Bytes()), imported, space, o)
		require.NoError(t, err, name)
		require.Equal(t, want, all(t, imported), name)
		left := 0
		for _, outcome := range report {
			left += outcome.Expired
		}
		require.Equal(t, len(all(t, from))-len(want), left, name)
		_, err = transfer.Copy(t.Context(), from, copied, collections, o)
		require.NoError(t, err)
		require.Equal(t, want, all(t, copied), name)
		_, err = transfer.Verify(t.Context(), from, copied, collections, o)
		require.NoError(t, err, name)
	}
}
