package naming

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// CheckUserID returns an error unless a new user can have an ID in a configuration with
// those lists. It makes two promises: two IDs that look the same are the same, and every
// enrolled user can be named in a path.
func CheckUserID(id string, lists ...string) error {
	if err := checkForm(id); err != nil {
		return err
	}
	if Reserved(id, lists...) != "" {
		return fmt.Errorf("userId %q is reserved", id)
	}
	return nil
}

// checkForm is the part of CheckUserID that no configuration changes.
func checkForm(id string) error {
	bad := -1
	if utf8.ValidString(id) {
		bad = strings.IndexFunc(id, invisible)
	}
	first, _ := utf8.DecodeRuneInString(id)
	last, _ := utf8.DecodeLastRuneInString(id)
	switch {
	case id == "":
		return errors.New("userId must not be empty")
	case len(id) > maxID:
		return fmt.Errorf("userId must not be longer than %d bytes", maxID)
	case !utf8.ValidString(id):
		return errors.New("userId must be valid UTF-8")
	case unicode.IsSpace(first) || unicode.IsSpace(last):
		return errors.New("userId must not begin or end with white space")
	case bad >= 0:
		r, _ := utf8.DecodeRuneInString(id[bad:])
		return fmt.Errorf("userId must not contain control characters, invisible ones or ones that are not assigned: leave %U out", r)
	case unicode.Is(unicode.M, first):
		return errors.New("userId must not begin with a combining mark")
	case !norm.NFC.IsNormalString(id):
		return errors.New("userId must be in Unicode normalization form C (NFC): send the composed form")
	}
	return nil
}

// invisible reports whether a character is not seen, changes how others are seen, or is
// not assigned. It goes by the categories and properties of Unicode, so that it holds
// for every script. The joiners U+200C and U+200D, which some scripts need inside words,
// and the variation selectors are among them: an ID may look the same with and without.
func invisible(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return unicode.IsControl(r)
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		return false // format characters by category, but visible
	case r == brailleBlank:
		return true
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Bidi_Control, unicode.Noncharacter_Code_Point):
		return true
	}
	// A later version of Unicode may make any of these of what is not assigned yet.
	return !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Co)
}

// brailleBlank is a symbol by its category and looks like a space.
const brailleBlank = '\u2800'

// Reserved returns the reserved word or the list that a text stands for in a path of the
// API, in whatever case it is written and with whatever white space around it; "" for
// none.
func Reserved(text string, lists ...string) string {
	text = folded(text)
	for _, words := range [][]string{ReservedWords(), lists} {
		for _, word := range words {
			if text == word {
				return word
			}
		}
	}
	return ""
}

// folded returns a text without what does not tell names apart: case, the width and the
// form of letters, invisible characters, and white space at the ends. Reserved words and
// names of lists are lower-case ASCII, so lower case with ß as ss does what Unicode's
// case folding would.
func folded(text string) string {
	text = strings.Map(func(r rune) rune {
		if r != ' ' && invisible(r) {
			return -1
		}
		return r
	}, strings.TrimSpace(text))
	return strings.TrimSpace(sharpS.Replace(strings.ToLower(norm.NFKC.String(text))))
}

var sharpS = strings.NewReplacer("ß", "ss")
