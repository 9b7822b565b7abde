package httpapi_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/config"
	"imago/core/gallery"
	"imago/ports"
	"imago/test/fixture"
)

// aToken has the form of a token; what is in it is the business of the opener.
const aToken = "eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn"

const notValid = "provided token is not valid"

// openFunc is a TokenOpener.
type openFunc func(ctx context.Context, token []byte) ([]byte, error)

func (f openFunc) Open(ctx context.Context, token []byte, _ ports.Purpose) ([]byte, error) {
	return f(ctx, token)
}

// purposes is a TokenOpener that notes what requests are for.
type purposes []ports.Purpose

func (p *purposes) Open(_ context.Context, _ []byte, of ports.Purpose) ([]byte, error) {
	*p = append(*p, of)
	return picture, nil
}

// A token may be good for one purpose only, so its opener is told the request's.
func TestTokensAreOpenedForAPurpose(t *testing.T) {
	enrols := []string{"POST /users/u1", "PUT /users/u1", "POST /users/u1/faces"}
	for call, want := range map[string]ports.Purpose{
		enrols[0]: {Operation: "enrol", Collection: "users"}, enrols[1]: {Operation: "enrol", Collection: "users"}, enrols[2]: {Operation: "enrol", Collection: "users"},
		"POST /users/sealed/u1": {Operation: "enrol", Collection: "sealed"}, "POST /users/search": {Operation: "search", Collection: "users"},
		"POST /users/open/search": {Operation: "search", Collection: "open"}, "POST /faces/detect": {Operation: "search"},
	} {
		var asked purposes
		o := withTokens(&fakeGallery{}, nil)
		o.Tokens.Opener = &asked
		method, path, _ := strings.Cut(call, " ")
		do(httpapi.New(o).Handler(), request(method, path, faceOf(aToken)))
		require.Equal(t, purposes{want}, asked, call)
	}
}

// opens opens aToken only.
func opens(t *testing.T) openFunc {
	return func(_ context.Context, token []byte) ([]byte, error) {
		require.Equal(t, aToken, string(token))
		return picture, nil
	}
}

// withTokens are options with an entrance for tokens and two lists, of which
// the first requires them.
func withTokens(g httpapi.Gallery, open openFunc) httpapi.Options {
	o := options(g)
	o.Lists = []config.Collection{{Name: "sealed", RequireToken: true}, {Name: "open"}}
	if open != nil {
		o.Tokens.Opener = open
	}
	return o
}

func faceOf(text string) string { return `{"face":"` + text + `"}` }

func TestTokensAreOpenedEverywhere(t *testing.T) {
	var got []string
	take := func(_ context.Context, _ ports.Client, collection, userID string, opened []byte) error {
		require.Equal(t, picture, opened)
		got = append(got, collection+"/"+userID)
		return nil
	}
	g := &fakeGallery{enrol: take, replace: take, addFace: take, search: func(_ context.Context, _ ports.Client, p gallery.Probe) ([]gallery.Match, error) {
		got = append(got, "search "+p.Collection)
		require.Equal(t, picture, p.Picture)
		return []gallery.Match{{UserID: "u", Similarity: 99}}, nil
	}}
	h := httpapi.New(withTokens(g, opens(t))).Handler()
	for _, call := range []string{
		"POST /users/u", "PUT /users/u", "POST /users/u/faces", "POST /users/search",
		"POST /users/sealed/u", "PUT /users/sealed/u", "POST /users/sealed/u/faces", "POST /users/sealed/search",
	} {
		method, path, _ := strings.Cut(call, " ")
		require.Equal(t, 200, do(h, request(method, path, faceOf(aToken))).StatusCode, call)
	}
	require.Equal(t, []string{
		"users/u", "users/u", "users/u", "search users", "sealed/u", "sealed/u", "sealed/u", "search sealed",
	}, got)
	for _, text := range []string{" " + aToken + `\n`, strings.Replace(aToken, ".", `\u002e`, 1), aToken[:9] + `\r\n` + aToken[9:]} {
		require.Equal(t, 200, do(h, request("POST", "/users/u", faceOf(text))).StatusCode, text)
	}
}

func TestPlainPicturesAreRefusedWhereTokensAreRequired(t *testing.T) {
	for _, inInventory := range []bool{false, true} {
		o := withTokens(&fakeGallery{}, opens(t))
		o.Tokens.RequiredInInventory = inInventory
		h := httpapi.New(o).Handler()
		for call, refused := range map[string]bool{
			"POST /users/u": inInventory, "POST /users/search": inInventory, "PUT /users/u": inInventory, "POST /users/u/faces": inInventory,
			"POST /users/sealed/u": true, "POST /users/sealed/search": true, "PUT /users/sealed/u": true, "POST /users/sealed/u/faces": true,
			"POST /users/open/u": false, "POST /users/open/search": false,
		} {
			method, path, _ := strings.Cut(call, " ")
			if answer := do(h, request(method, path, face())); refused {
				require.Equal(t, []string{"plain pictures are not accepted here: encrypt the picture and send the token (JWE compact serialization) as face"},
					requireProblem(t, 400, answer), call)
			} else {
				require.Equal(t, 200, answer.StatusCode, call)
			}
		}
	}
}

// Whatever is wrong with a token, the answer is one and the same; the log knows
// the reason, and nobody sees the token.
func TestRefusedTokensAreToldApartInTheLogOnly(t *testing.T) {
	answer := func(open openFunc, token string) (string, string) {
		var log fixture.Log
		o := withTokens(failing(errors.New("a refused token reached the gallery")), open)
		o.Log = log.Logger()
		r := request("POST", "/users/sealed/u", faceOf(token))
		r.Header.Set("X-Request-Id", "the-request")
		res := do(httpapi.New(o).Handler(), r)
		require.Equal(t, 400, res.StatusCode)
		return text(t, res), log.String()
	}
	refusing := func(err error) openFunc {
		return func(context.Context, []byte) ([]byte, error) { return nil, err }
	}
	want, log := answer(refusing(errors.New("token: expired: long ago")), aToken)
	require.Contains(t, want, `"errors":["`+notValid+`"]`)
	require.Contains(t, log, "long ago")
	require.Contains(t, log, "request_id=the-request")
	require.NotContains(t, log, aToken)
	for _, err := range []error{
		ports.ErrInvalid, ports.Refuse(ports.ErrTooLarge, "own words"), ports.ErrUnavailable, context.DeadlineExceeded, context.Canceled,
	} {
		got, _ := answer(refusing(err), aToken)
		require.Equal(t, want, got, err)
	}
	none, _ := answer(nil, aToken)
	require.Equal(t, want, none)
	for _, damaged := range []string{"....", "a.b.c.d.=", "+/+.b.c.d.e", "a.b.c.d.é", `a.b.c.d.\\`} {
		got, _ := answer(refusing(errors.New("x")), damaged)
		require.Equal(t, want, got, damaged)
	}
}

// The time of the work on a request bounds the opening of its token.
func TestTokensAreOpenedInTime(t *testing.T) {
	o := withTokens(&fakeGallery{}, func(ctx context.Context, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	o.Server.Timeouts.Request = time.Millisecond
	requireProblem(t, 504, do(httpapi.New(o).Handler(), request("POST", "/users/u", faceOf(aToken))))
}

func TestOnlyFiveWholePartsAreAToken(t *testing.T) {
	h := httpapi.New(withTokens(&fakeGallery{}, func(context.Context, []byte) ([]byte, error) {
		panic("no token was sent")
	})).Handler()
	for _, text := range []string{
		"a.b.c", "a.b.c.d", "a.b.c.d.e.f", "data:image/jpeg;base64," + aToken, "photo.jpg",
	} {
		require.Equal(t, []string{"face is not valid base64"}, requireProblem(t, 400, do(h, request("POST", "/users/u", faceOf(text)))), text)
	}
}

// sized is a token around a ciphertext of n bytes, with the longest parts that
// algorithms make beside it.
func sized(n int) string {
	return strings.Repeat("h", 4096) + "." + strings.Repeat("k", 683) + "." + strings.Repeat("i", 16) + "." +
		base64.RawURLEncoding.EncodeToString(make([]byte, n)) + "." + strings.Repeat("t", 22)
}

// A token of the largest picture fits into the largest body, whatever the limit;
// a byte more is too large for the picture, and nothing is decrypted.
func TestLargestToken(t *testing.T) {
	for _, limit := range []int{1024, 5 << 20} {
		opened := 0
		o := withTokens(&fakeGallery{}, func(context.Context, []byte) ([]byte, error) {
			opened++
			return make([]byte, limit), nil
		})
		o.Server.Limits.ImageBytes = limit
		h := httpapi.New(o).Handler()
		require.Equal(t, 200, do(h, request("POST", "/users/u", faceOf(sized(limit)))).StatusCode)
		require.Equal(t, 1, opened)
		reasons := requireProblem(t, 413, do(h, request("POST", "/users/u", faceOf(sized(limit+1)))))
		require.Contains(t, reasons[0], "the provided image exceeds the maximum supported size")
		require.Equal(t, 1, opened)

		o.Tokens.Opener = openFunc(func(context.Context, []byte) ([]byte, error) { return make([]byte, limit+1), nil })
		requireProblem(t, 413, do(httpapi.New(o).Handler(), request("POST", "/users/u", faceOf(aToken))))
	}
}
