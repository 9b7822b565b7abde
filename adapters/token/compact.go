package token

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"

	"imago/ports"
)

// The lengths of the parts of a token in characters of base64.
const (
	// maxHeader has room for the public key of an ephemeral pair and a dozen
	// further parameters.
	maxHeader = 4 << 10
	// maxKey is the encrypted key that an RSA modulus of maxRSABits makes.
	maxKey = (maxRSABits/8*8 + 5) / 6
	// ivLength and tagLength are those of 96 and 128 bits, which are required
	// for AES-GCM (RFC 7518, section 5.3).
	ivLength, tagLength = 16, 22
	// overhead is what all parts but the ciphertext may take, with the dots.
	overhead = maxHeader + maxKey + ivLength + tagLength + 4
)

// compact holds the five parts of a JWE in compact serialization (RFC 7516, section
// 7.1), in base64.
type compact struct{ header, key, iv, ciphertext, tag []byte }

// split splits a token whose plaintext may have at most limit bytes. Nothing is decoded
// here: the ciphertext of AES-GCM is as long as the plaintext.
func split(token []byte, limit int) (compact, error) {
	parts := bytes.SplitN(token, []byte("."), 6)
	if len(parts) != 5 {
		return compact{}, refuse(Malformed, "it does not have five parts")
	}
	c := compact{parts[0], parts[1], parts[2], parts[3], parts[4]}
	switch {
	case len(c.header) > maxHeader:
		return compact{}, refuse(TooLarge, "its header exceeds the limit")
	case len(c.key) > maxKey:
		return compact{}, refuse(TooLarge, "its encrypted key exceeds the limit")
	case len(c.ciphertext) > base64.RawURLEncoding.EncodedLen(limit):
		return compact{}, refuse(TooLarge, "its ciphertext exceeds the limit")
	case len(c.ciphertext) == 0:
		return compact{}, refuse(Malformed, "its ciphertext is empty")
	case len(c.iv) != ivLength || len(c.tag) != tagLength:
		return compact{}, refuse(Malformed, "its initialization vector or its tag has a wrong length")
	}
	return c, nil
}

// header holds the parameters of the protected header that are evaluated. Others are
// ignored (RFC 7516, section 4).
type header struct {
	Algorithm   string   `json:"alg"`
	Encryption  string   `json:"enc"`
	KeyID       string   `json:"kid"`
	ContentType string   `json:"cty"`
	ID          string   `json:"jti"`
	Operation   *string  `json:"op"`
	Collection  *string  `json:"col"`
	IssuedAt    *float64 `json:"iat"`
	NotBefore   *float64 `json:"nbf"`
	Expires     *float64 `json:"exp"`
	Compression presence `json:"zip"`
	Critical    presence `json:"crit"`
}

// presence records that a parameter is present, whatever its value is.
type presence bool

// UnmarshalJSON implements json.Unmarshaler.
func (p *presence) UnmarshalJSON([]byte) error {
	*p = true
	return nil
}

// parseHeader parses the protected header, with the parser of the library that
// decrypts, so that both see the same header: names are case-sensitive, and duplicate
// names are an error.
func (c compact) parseHeader() (header, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(string(c.header))
	if err != nil || bytes.ContainsAny(c.header, "\r\n") {
		return header{}, refuse(Malformed, "its header is not in base64")
	}
	var h header
	if json.Unmarshal(data, &h) != nil {
		return header{}, refuse(Malformed, "its header is no sound JSON object")
	}
	return h, h.checkSupported()
}

// checkSupported rejects what no key supports. No extension is implemented, so crit is
// always rejected (RFC 7516, section 4.1.13); compressed content could be of any size.
func (h header) checkSupported() error {
	switch {
	case !supports(h.Algorithm):
		return refuse(Unsupported, "alg is %s", quote(h.Algorithm))
	case h.Encryption != encryption:
		return refuse(Unsupported, "enc is %s", quote(h.Encryption))
	case bool(h.Compression):
		return refuse(Unsupported, "it is compressed")
	case bool(h.Critical):
		return refuse(Unsupported, "it has critical parameters")
	case h.ContentType != "" && !strings.HasPrefix(strings.ToLower(h.ContentType), "image/"):
		return refuse(Unsupported, "cty is %s", quote(h.ContentType))
	}
	return nil
}

// checkPurpose rejects a token that is bound to another operation or collection. The
// two parameters are imago's own.
func (h header) checkPurpose(p ports.Purpose) error {
	switch {
	case h.Operation != nil && *h.Operation != string(p.Operation):
		return refuse(WrongPurpose, "op is %s", quote(*h.Operation))
	case h.Collection != nil && *h.Collection != p.Collection:
		return refuse(WrongPurpose, "col is %s", quote(*h.Collection))
	}
	return nil
}

// validity are the limits of a token's times.
type validity struct {
	maxAge, skew time.Duration
}

// check rejects a token that is not valid now, and returns when it expires.
func (v validity) check(h header, now time.Time) (end time.Time, err error) {
	issued, ok := date(h.IssuedAt)
	if !ok {
		return end, refuse(NoTime, "it has no iat, or none that is a time")
	}
	if issued.After(now.Add(v.skew)) {
		return end, refuse(NotYetValid, "iat is %s ahead", issued.Sub(now).Round(time.Millisecond))
	}
	end = issued.Add(v.maxAge + v.skew)
	if h.Expires != nil {
		expires, ok := date(h.Expires)
		if !ok || !expires.After(issued) {
			return end, refuse(Expired, "exp is not after iat")
		}
		if e := expires.Add(v.skew); e.Before(end) {
			end = e
		}
	}
	if !now.Before(end) {
		return end, refuse(Expired, "it expired %s ago", now.Sub(end).Round(time.Millisecond))
	}
	return end, v.checkStart(h, now)
}

// checkStart rejects a token whose nbf is in the future.
func (v validity) checkStart(h header, now time.Time) error {
	if h.NotBefore == nil {
		return nil
	}
	if start, ok := date(h.NotBefore); !ok || start.After(now.Add(v.skew)) {
		return refuse(NotYetValid, "nbf is ahead")
	}
	return nil
}

// maxDate is the last second of the year 9999. Larger values could overflow.
const maxDate = 253402300799

// date reads a NumericDate (RFC 7519, section 2): seconds since 1970, possibly
// with a fraction.
func date(seconds *float64) (t time.Time, ok bool) {
	if seconds == nil || !(*seconds >= 0 && *seconds <= maxDate) {
		return t, false
	}
	whole := int64(*seconds)
	return time.Unix(whole, int64((*seconds-float64(whole))*1e9)), true
}

// quote escapes and truncates untrusted text for a log line.
func quote(text string) string {
	const longest = 64
	if len(text) > longest {
		text = text[:longest]
	}
	return strconv.QuoteToASCII(text)
}
