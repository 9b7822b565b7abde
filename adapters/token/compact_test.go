package token

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestValidity(t *testing.T) {
	v := validity{maxAge: time.Minute, skew: 5 * time.Second}
	at := func(seconds float64) *float64 {
		seconds += float64(noon.Unix())
		return &seconds
	}
	raw := func(f float64) *float64 { return &f }
	for name, tt := range map[string]struct {
		issued, notBefore, expires *float64
		want                       Reason
		end                        float64 // seconds after noon
	}{
		"now":                      {issued: at(0), end: 65},
		"a fraction":               {issued: at(-0.5), end: 64.5},
		"ahead within the skew":    {issued: at(5), end: 70},
		"ahead":                    {issued: at(5.01), want: NotYetValid},
		"old within the skew":      {issued: at(-64.99), end: 0.01},
		"too old by a moment":      {issued: at(-65), want: Expired},
		"exp is the earlier end":   {issued: at(0), expires: at(10), end: 15},
		"exp is the later end":     {issued: at(0), expires: at(3600), end: 65},
		"expired within the skew":  {issued: at(-10), expires: at(-4), end: 1},
		"expired":                  {issued: at(-10), expires: at(-5), want: Expired},
		"exp before iat":           {issued: at(0), expires: at(-1), want: Expired},
		"exp is iat":               {issued: at(0), expires: at(0), want: Expired},
		"old with a late exp":      {issued: at(-100), expires: at(100), want: Expired},
		"no iat":                   {expires: at(10), want: NoTime},
		"negative iat":             {issued: raw(-1), want: NoTime},
		"iat beyond all times":     {issued: raw(1e300), want: NoTime},
		"iat in milliseconds":      {issued: raw(float64(noon.UnixMilli())), want: NoTime},
		"iat is no number":         {issued: raw(math.NaN()), want: NoTime},
		"exp beyond all times":     {issued: at(0), expires: raw(1e300), want: Expired},
		"iat is 0":                 {issued: raw(0), want: Expired},
		"nbf now":                  {issued: at(0), notBefore: at(0), end: 65},
		"nbf ahead within skew":    {issued: at(0), notBefore: at(5), end: 65},
		"nbf ahead":                {issued: at(0), notBefore: at(5.01), want: NotYetValid},
		"nbf beyond all times":     {issued: at(0), notBefore: raw(1e300), want: NotYetValid},
		"late in the year 9999":    {issued: raw(maxDate), want: NotYetValid},
		"a second after that year": {issued: raw(maxDate + 1), want: NoTime},
	} {
		t.Run(name, func(t *testing.T) {
			end, err := v.check(header{IssuedAt: tt.issued, NotBefore: tt.notBefore, Expires: tt.expires}, noon)
			if tt.want != "" {
				var r *refusal
				require.ErrorAs(t, err, &r)
				require.Equal(t, tt.want, r.reason)
				return
			}
			require.NoError(t, err)
			require.InDelta(t, tt.end, end.Sub(noon).Seconds(), 1e-6)
		})
	}
}

// What strangers write does not break lines of the log, nor fill them.
func TestQuote(t *testing.T) {
	require.Equal(t, `"a\n\u00e9\""`, quote("a\né\""))
	require.LessOrEqual(t, len(quote(fmt.Sprintf("%0999d", 0))), 66)
}

func TestReasonsAreDistinct(t *testing.T) {
	seen := map[Reason]bool{}
	for _, r := range Reasons() {
		require.Regexp(t, `^[a-z_]+$`, string(r))
		require.False(t, seen[r], r)
		seen[r] = true
	}
	require.Len(t, seen, 14)
}
