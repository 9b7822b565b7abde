package cli

import (
	"bytes"
	"testing"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/stretchr/testify/require"
)

func TestProgressInALog(t *testing.T) {
	var out bytes.Buffer
	p := &Progress{name: "copy", unit: "users", out: &out}
	p.Show(1, 10)
	p.ShowDetail(2, 0, "1 enrolled")
	require.Equal(t, "copy: 1 of 10 users\ncopy: 2 users, 1 enrolled\n", out.String())

	out.Reset()
	p.every, p.last = time.Hour, time.Now()
	p.Show(3, 10)
	p.Close()
	require.Empty(t, out.String(), "not every time")
}

func TestProgressOnATerminal(t *testing.T) {
	var out bytes.Buffer
	p := &Progress{name: "copy", unit: "users", bar: progressbar.NewOptions64(-1, progressbar.OptionSetWriter(&out), progressbar.OptionShowCount())}
	p.Show(0, 0)
	p.ShowDetail(3, 10, "2 enrolled")
	require.Contains(t, out.String(), "copy: 2 enrolled")
	require.Contains(t, out.String(), "(3/10)")
	p.Show(12, 10) // users who came meanwhile
	require.Contains(t, out.String(), "(12/12)")
	p.Close()
}
