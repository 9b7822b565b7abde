package ports

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Inventory is the name of the collection of users, the one that exists in every
// configuration. All others are lists.
const Inventory = "users"

// ReservedWords are those that mean something else in the paths of the API, where the
// name of a user or a list would stand.
func ReservedWords() []string { return []string{Inventory, "search", "faces", "verify"} }

// CheckUserID returns a Refusal unless a new user can have an ID in a configuration with
// those lists. It is the one rule for the API, imports and commands: two IDs that look
// the same are the same, and every enrolled user can be named in a path.
//
// Stores take more (see VectorStore), because what an earlier imago has enrolled must
// stay erasable.
func CheckUserID(id string, lists ...string) error {
	if err := CheckUserIDForm(id); err != nil {
		return err
	}
	if Reserved(id, lists...) != "" {
		return Refuse(ErrInvalid, fmt.Sprintf("userId %q is reserved", id))
	}
	return nil
}

// CheckUserIDForm is the part of CheckUserID that no configuration changes.
func CheckUserIDForm(id string) error {
	bad := -1
	if utf8.ValidString(id) {
		bad = strings.IndexFunc(id, unseen)
	}
	first, _ := utf8.DecodeRuneInString(id)
	last, _ := utf8.DecodeLastRuneInString(id)
	reason := ""
	switch {
	case id == "":
		reason = "userId must not be empty"
	case len(id) > maxID:
		reason = fmt.Sprintf("userId must not be longer than %d bytes", maxID)
	case !utf8.ValidString(id):
		reason = "userId must be valid UTF-8"
	case unicode.IsSpace(first) || unicode.IsSpace(last):
		reason = "userId must not begin or end with white space"
	case bad >= 0:
		r, _ := utf8.DecodeRuneInString(id[bad:])
		reason = fmt.Sprintf("userId must not contain control characters, invisible ones or ones that are not assigned: leave %U out", r)
	case unicode.Is(unicode.M, first):
		reason = "userId must not begin with a combining mark"
	case !norm.NFC.IsNormalString(id):
		reason = "userId must be in Unicode normalization form C (NFC): send the composed form"
	default:
		return nil
	}
	return Refuse(ErrInvalid, reason)
}

// unseen reports whether a character is not seen, or changes how others are seen: by
// the categories and properties of Unicode, so that it holds for every script. The
// joiners U+200C and U+200D, which some scripts need inside words, and the selectors of
// variants and emoji are among them: with and without, an ID may look the same.
func unseen(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return unicode.IsControl(r)
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		return false // format characters in name only: they are seen
	case r == brailleBlank:
		return true
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Bidi_Control, unicode.Noncharacter_Code_Point):
		return true
	}
	// What a later version of Unicode assigns may turn out to be any of these.
	return !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Co)
}

// brailleBlank is a symbol to Unicode and a space to everybody else.
const brailleBlank = '\u2800'

// Reserved returns the word or the list that a text stands for in a path of the API, in
// whatever case it is written and with whatever white space around it; "" for none.
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

// folded returns what texts have in common that differ in case, or in the width or the
// form of their letters. Words and names of lists are in lower case and ASCII, so that
// lower case is all of Unicode's case folding but for the letter that is replaced.
func folded(text string) string {
	text = strings.Map(func(r rune) rune {
		if r != ' ' && unseen(r) {
			return -1
		}
		return r
	}, strings.TrimSpace(text))
	return strings.TrimSpace(sharpS.Replace(strings.ToLower(norm.NFKC.String(text))))
}

var sharpS = strings.NewReplacer("ß", "ss")
