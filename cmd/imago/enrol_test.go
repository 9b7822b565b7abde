package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/cmd/imago/cli"
	"imago/config"
	"imago/core/bulk"
)

func TestEnrolChecksItsFlags(t *testing.T) {
	for name, c := range map[string]struct {
		e    enrolFlags
		says string
	}{
		"unknown collection":       {enrolFlags{collection: "vip"}, `no collection "vip"`},
		"shared without a client":  {enrolFlags{collection: "blacklist"}, "--client is required"},
		"too many workers":         {enrolFlags{collection: "users", workers: 1025}, "--workers"},
		"a negative number":        {enrolFlags{collection: "users", workers: -1}, "--workers"},
		"shared with a client":     {enrolFlags{collection: "blacklist", client: "gateway"}, ""},
		"the inventory as it is":   {enrolFlags{collection: "users"}, ""},
		"a list that is nobody's ": {enrolFlags{collection: "whitelist"}, ""},
	} {
		err := c.e.check(config.Default())
		if c.says == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, c.says, name)
		require.ErrorIs(t, err, cli.ErrUsage, name)
	}
}

func TestRefusalsReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "refusals.jsonl")
	require.NoError(t, os.WriteFile(path, []byte("of an earlier run"), 0o600))
	r, err := newList[bulk.Refusal](path, maxShownRefusals)
	require.NoError(t, err)
	require.NoError(t, r.add(bulk.Refusal{Path: "a<b/1\n.jpg", UserID: "a<b", Reason: "no face"}))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, `{"path":"a<b/1\n.jpg","userId":"a<b","reason":"no face"}`+"\n", string(content), "written at once")
	for i := range 2 * maxShownRefusals {
		require.NoError(t, r.add(bulk.Refusal{Path: fmt.Sprint(i)}))
	}
	require.NoError(t, r.close())
	require.Len(t, r.first, maxShownRefusals)

	_, err = newList[bulk.Refusal](filepath.Join(path, "x"), maxShownRefusals)
	require.Error(t, err)
	none, err := newList[bulk.Refusal]("", maxShownRefusals)
	require.NoError(t, err)
	require.NoError(t, none.add(bulk.Refusal{}))
	require.NoError(t, none.close())
}
