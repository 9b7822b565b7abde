package pgstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"imago/ports"
)

func answered(code string) error {
	return fmt.Errorf("query: %w", &pgconn.PgError{Severity: "ERROR", Message: "as the server puts it", Code: code})
}

func TestClassify(t *testing.T) {
	live := context.Background()
	cancelled, cancel := context.WithCancel(live)
	cancel()
	late, cancel := context.WithDeadline(live, time.Unix(0, 0))
	defer cancel()
	sentinels := []error{
		ports.ErrInvalid, ports.ErrExists, ports.ErrNotFound, ports.ErrUnavailable, ports.ErrSpaceMismatch,
		context.Canceled, context.DeadlineExceeded,
	}
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		want error
	}{
		"unique violation":       {live, answered("23505"), ports.ErrExists},
		"user gone":              {live, answered("23503"), ports.ErrNotFound},
		"bad text":               {live, answered("22021"), ports.ErrInvalid},
		"bad time":               {live, answered("22008"), ports.ErrInvalid},
		"bad vector":             {live, answered("22000"), ports.ErrInvalid},
		"administrator":          {live, answered("57P01"), ports.ErrUnavailable},
		"crash":                  {live, answered("57P02"), ports.ErrUnavailable},
		"starting up":            {live, answered("57P03"), ports.ErrUnavailable},
		"too many connections":   {live, answered("53300"), ports.ErrUnavailable},
		"disk full":              {live, answered("53100"), ports.ErrUnavailable},
		"replica":                {live, answered("25006"), ports.ErrUnavailable},
		"wrong password":         {live, answered("28P01"), ports.ErrUnavailable},
		"schema dropped":         {live, answered("42P01"), ports.ErrUnavailable},
		"privilege taken away":   {live, answered("42501"), ports.ErrUnavailable},
		"statement timeout":      {live, answered("57014"), ports.ErrUnavailable},
		"lock timeout":           {live, answered("55P03"), ports.ErrUnavailable},
		"deadlock":               {live, answered("40P01"), ports.ErrUnavailable},
		"odd code":               {live, answered(""), ports.ErrUnavailable},
		"connection refused":     {live, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, ports.ErrUnavailable},
		"connection lost":        {live, io.ErrUnexpectedEOF, ports.ErrUnavailable},
		"no row":                 {live, pgx.ErrNoRows, ports.ErrUnavailable},
		"own time limit":         {live, fmt.Errorf("dial: %w", context.DeadlineExceeded), ports.ErrUnavailable},
		"own cancellation":       {live, fmt.Errorf("dial: %w", context.Canceled), ports.ErrUnavailable},
		"network time limit":     {live, os.ErrDeadlineExceeded, ports.ErrUnavailable},
		"cancelled":              {cancelled, fmt.Errorf("query: %w", context.Canceled), context.Canceled},
		"cancelled, lost":        {cancelled, io.ErrUnexpectedEOF, context.Canceled},
		"cancelled, stopped":     {cancelled, answered("57014"), context.Canceled},
		"cancelled, answered":    {cancelled, answered("23505"), ports.ErrExists},
		"cancelled, crashed":     {cancelled, answered("57P02"), ports.ErrUnavailable},
		"cancelled, known":       {cancelled, ports.ErrNotFound, ports.ErrNotFound},
		"late":                   {late, os.ErrDeadlineExceeded, context.DeadlineExceeded},
		"invalid":                {live, fmt.Errorf("%w: k", ports.ErrInvalid), ports.ErrInvalid},
		"other space":            {live, fmt.Errorf("%w: a, b", ports.ErrSpaceMismatch), ports.ErrSpaceMismatch},
		"unavailable and ending": {cancelled, ports.Unavailable(io.EOF), ports.ErrUnavailable},
	} {
		got := ports.Classify(c.ctx, mapError(c.err))
		for _, kind := range sentinels {
			require.Equal(t, kind == c.want, errors.Is(got, kind), "%s: %v is %v", name, got, kind)
		}
	}
	require.NoError(t, mapError(nil))
}

func TestRetry(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context
		errs  []error
		tries int
		last  error
	}{
		"at once":             {t.Context(), []error{nil}, 1, nil},
		"serialization":       {t.Context(), []error{answered("40001"), nil}, 2, nil},
		"deadlock":            {t.Context(), []error{answered("40P01"), answered("40001"), nil}, 3, nil},
		"bounded":             {t.Context(), []error{answered("40P01"), answered("40P01"), answered("40P01")}, maxAttempts, answered("40P01")},
		"cancelled":           {cancelled, []error{answered("40P01")}, 1, answered("40P01")},
		"outcome unknown":     {t.Context(), []error{io.ErrUnexpectedEOF}, 1, io.ErrUnexpectedEOF},
		"commit in doubt":     {t.Context(), []error{answered("40003")}, 1, answered("40003")},
		"refused":             {t.Context(), []error{ports.ErrExists}, 1, ports.ErrExists},
		"then something else": {t.Context(), []error{answered("40001"), ports.ErrExists}, 2, ports.ErrExists},
	} {
		tries := 0
		err := retry(c.ctx, func() error { tries++; return c.errs[tries-1] })
		require.Equal(t, c.tries, tries, name)
		require.Equal(t, mapError(c.last), err, name)
	}
}
