package httpapi

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"imago/core/extraction"
	"imago/core/gallery"
	"imago/core/quality"
	"imago/ports"
)

// pictureCodes are the codes of the reasons against a picture, for programs, logs and
// metrics. A Refusal with other reasons has the code of its errorMapping.
var pictureCodes = map[string]string{
	extraction.ReasonNoFace:    "no_face",
	quality.ReasonSeveralFaces: "several_faces",
	quality.ReasonTooSmall:     "face_too_small",
	quality.ReasonUncertain:    "face_uncertain",
	quality.ReasonBlurred:      "face_blurred",
	quality.ReasonTurned:       "face_turned",
	quality.ReasonTilted:       "face_tilted",
	quality.ReasonRotated:      "face_rotated",
	quality.ReasonUpright:      "face_orientation_unclear",
	quality.ReasonDark:         "face_too_dark",
	quality.ReasonBright:       "face_too_bright",
	quality.ReasonFlat:         "face_low_contrast",
	quality.ReasonDistorted:    "face_distorted",
	gallery.ReasonAnotherUser:  "face_of_another_user",
	gallery.ReasonOnList:       "face_on_list",
	gallery.ReasonNotTheUsers:  "face_not_the_users",
	ports.ReasonEmpty:          "image_empty",
	ports.ReasonFormat:         "image_format",
	ports.ReasonDamaged:        "image_damaged",
	ports.ReasonNoPixels:       "image_no_pixels",
}

// refused is the mapping of what cannot be accepted.
var refused = mappingOf(ports.ErrInvalid)

// Codes returns every code that a refusal can have. That nobody was found is no refusal.
func Codes() []string {
	codes := slices.AppendSeq([]string{clientGone.code, unknown.code}, maps.Values(pictureCodes))
	for _, m := range errorMappings {
		if m.code != codeNoMatch {
			codes = append(codes, m.code)
		}
	}
	return codes
}

// reasons returns what the client may read about err, and the codes: one for each reason,
// in the same order, or that of the mapping where there is no reason.
func (m errorMapping) reasons(err error) (reasons, codes []string) {
	var several mistakes
	if errors.As(err, &several) {
		for _, one := range several {
			r, c := mappingOf(one).reasons(one)
			reasons, codes = append(reasons, r...), append(codes, c...)
		}
		return reasons, codes
	}
	var refusal *ports.Refusal
	switch {
	case m.shows && errors.As(err, &refusal) && len(refusal.Reasons) > 0:
		return refusal.Reasons, m.codes(refusal.Reasons)
	case m.reason != "":
		return []string{m.reason}, []string{m.code}
	}
	return nil, []string{m.code}
}

// codes returns the codes of reasons: that of the mapping where a reason has none of its
// own.
func (m errorMapping) codes(reasons []string) []string {
	codes := make([]string, 0, len(reasons))
	for _, reason := range reasons {
		codes = append(codes, cmp.Or(pictureCodes[reason], pictureCodes[beforeName(reason)], m.code))
	}
	return codes
}

// beforeName returns a reason without the name of a list behind it.
func beforeName(reason string) string {
	before, _, _ := strings.Cut(reason, ": ")
	return before
}

// distinct returns codes without repetitions, for logs and metrics.
func distinct(codes []string) (out []string) {
	for _, code := range codes {
		if !slices.Contains(out, code) {
			out = append(out, code)
		}
	}
	return out
}
