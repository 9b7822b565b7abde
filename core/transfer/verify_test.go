package transfer_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/transfer"
	"imago/ports"
)

func TestVerifySaysWhatDiffersAndWhatToDo(t *testing.T) {
	from, to := filled(t, 30), filled(t, 30)
	sums, err := transfer.Verify(t.Context(), from, to, collections, quick)
	require.NoError(t, err)
	require.Len(t, sums, 3)

	require.NoError(t, to.Remove(t.Context(), ports.WholeUser(ports.UserKey{Collection: "users", UserID: "user-0020"}), ports.Everybody()))
	faces, err := to.Get(t.Context(), ports.UserKey{Collection: "blacklist", UserID: "user-0021"})
	require.NoError(t, err)
	require.NoError(t, to.Remove(t.Context(), ports.WholeUser(ports.UserKey{Collection: "blacklist", UserID: "user-0021"}), ports.Everybody()))
	faces[0].Owner = "somebody else"
	add(t, to, faces...)
	faces[0].UserID = "zzz"
	add(t, to, faces[0])

	_, err = transfer.Verify(t.Context(), from, to, collections, quick)
	require.ErrorContains(t, err, "collection users")
	require.ErrorContains(t, err, "missing in the target: run it again")
	require.ErrorContains(t, err, "collection blacklist")
	require.ErrorContains(t, err, "1 faces differ: unenrol")
	require.ErrorContains(t, err, "1 faces are in the target only")
	require.NotContains(t, err.Error(), "whitelist")
	require.NotContains(t, err.Error(), "user-0021")
}

func TestVerifyNeedsBothStores(t *testing.T) {
	from, to := filled(t, 3), filled(t, 3)
	dead := &flaky{VectorStore: to, every: 1}
	_, err := transfer.Verify(t.Context(), from, dead, collections, quick)
	require.ErrorIs(t, err, ports.ErrUnavailable)
	_, err = transfer.Verify(t.Context(), dead, from, collections, quick)
	require.ErrorIs(t, err, ports.ErrUnavailable)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = transfer.Verify(ctx, from, to, collections, quick)
	require.ErrorIs(t, err, context.Canceled)
}
