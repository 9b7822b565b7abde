package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// The media types of problem objects (RFC 9457).
const (
	mediaJSON    = "application/json"
	mediaProblem = "application/problem+json"
)

// problem is the reference's error body, its members in the reference's order. Codes are
// in application/problem+json alone.
type problem struct {
	Status int      `json:"status"`
	Title  string   `json:"title"`
	Detail string   `json:"detail"`
	Type   string   `json:"type"`
	Errors []string `json:"errors,omitempty"`
	Codes  []string `json:"codes,omitempty"`
	// Explanation is in the answer to a search that asked for it and found nobody.
	Explanation *explanation `json:"explanation,omitempty"`
}

func newProblem(status int, reasons []string) problem {
	title := http.StatusText(status)
	if status == statusClientClosedRequest {
		title = "Client Closed Request"
	}
	return problem{
		Status: status, Title: title, Detail: details[status],
		Type:   "https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/" + strconv.Itoa(status),
		Errors: reasons,
	}
}

// writeProblem answers with a problem object in the media type that the request
// prefers.
func writeProblem(w http.ResponseWriter, r *http.Request, m errorMapping, err error) {
	reasons, codes := m.reasons(err)
	media, p := mediaJSON, newProblem(m.status, reasons)
	if prefersProblem(r.Header.Values("Accept")) {
		media, p.Codes = mediaProblem, codes
	}
	var nobody *noMatch
	if errors.As(err, &nobody) {
		p.Explanation = nobody.explanation
	}
	if wait := m.wait(err); wait != "" {
		w.Header().Set("Retry-After", wait)
	}
	if m.status == http.StatusUnauthorized {
		// RFC 9110, section 11.6.1, asks for a challenge with every 401.
		w.Header().Set("WWW-Authenticate", `ApiKey realm="imago"`)
	}
	writeJSON(w, m.status, media, p)
}

// writeJSON answers with a JSON body. The values that are given to it can
// always be encoded, and a client that is gone needs no answer.
func writeJSON(w http.ResponseWriter, status int, media string, value any) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(value)
	text := bytes.TrimSuffix(body.Bytes(), []byte("\n"))
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// prefersProblem reports whether the Accept header names
// application/problem+json, and with no lower quality than it gives to
// application/json (RFC 9110, section 12.5.1).
func prefersProblem(accept []string) bool {
	named, plain, plainRank := 0.0, 0.0, 0
	for _, element := range strings.Split(strings.Join(accept, ","), ",") {
		media, q := mediaRange(element)
		if media == mediaProblem {
			named = q
		}
		if rank := jsonRanks[media]; rank > plainRank {
			plain, plainRank = q, rank
		}
	}
	return named > 0 && named >= plain
}

// jsonRanks says how precisely a media range names application/json.
var jsonRanks = map[string]int{mediaJSON: 3, "application/*": 2, "*/*": 1}

// mediaRange splits an element of Accept into its media range and quality. One
// that cannot be understood has an empty range.
func mediaRange(element string) (media string, q float64) {
	media, params, err := mime.ParseMediaType(element)
	if err != nil {
		return "", 0
	}
	text, ok := params["q"]
	if !ok {
		return media, 1
	}
	q, err = strconv.ParseFloat(text, 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return "", 0
	}
	return media, q
}
