package naming_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/naming"
)

func TestUserIDs(t *testing.T) {
	for _, id := range []string{
		"u1", "José", "a b", "山田　太郎", "+43 660", "50%", "a/b", "..", `a"b`, "שלום", "مستخدم", "नमस्ते", "ไทย", "👩", "ⅷ", "ﬁ", "Å", "ß",
		"searching", "research", "blacklists", "user", "vips", "\u0600" + "12", strings.Repeat("é", 128),
	} {
		require.NoError(t, naming.CheckUserID(id, "blacklist", "vip"), "%q", id)
	}
	for reason, ids := range map[string][]string{
		"must not be empty":                     {""},
		"longer than 256 bytes":                 {strings.Repeat("é", 128) + "x"},
		"valid UTF-8":                           {"a\xff", "\xed\xa0\x80"},
		"white space":                           {" ", " a", "a ", "a\t", "\na", "a\u00a0", "\u3000a", "a\u2028", "a\u0085", "search "},
		"combining mark":                        {"\u0301a", "\u0903", "\u20ddx"},
		"normalization form C (NFC)":            {"Jose\u0301", "A\u030a", "\u212b", "\u212aing", "\u1100\u1161", "a\u0323\u0302", "\u0958"},
		"is reserved":                           {"search", "Search", "SEARCH", "ſearch", "ｓｅａｒｃｈ", "faces", "Faces", "verify", "users", "USERS", "Blacklist", "vip", "VIP", "Ⅵp"},
		"leave U+200B out":                      {"a\u200bb", "\u200b"},
		"control characters, invisible ones or": {"a\x00b", "a\x7fb", "a\u0080b"},
	} {
		for _, id := range ids {
			err := naming.CheckUserID(id, "blacklist", "vip")
			require.Error(t, err, "%q", id)
			require.ErrorContains(t, err, reason, "%q", id)
		}
	}
}

// Every character that Unicode calls a control, a format character, default-ignorable,
// a selector of variants or no character, and what it has not assigned: each at every
// place of an ID.
func TestUserIDsShowAllThatIsInThem(t *testing.T) {
	hidden := []rune("\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180e\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2061\u2064\u2065" +
		"\u2066\u2069\u206f\u2800\u3164\ufe00\ufe0f\ufeff\uffa0\ufff0\ufff9\ufffb\ufdd0\ufffe\uffff\U0001bca0\U0001d173\U000e0001\U000e0041" +
		"\U000e007f\U000e0100\U000e0fff\U0001fffe\U0010ffff\u0378")
	for r := rune(0x202a); r <= 0x202e; r++ {
		hidden = append(hidden, r)
	}
	for _, r := range hidden {
		for _, form := range []string{"%c", "%cab", "a%cb", "ab%c"} {
			id := fmt.Sprintf(form, r)
			err := naming.CheckUserID(id)
			require.Error(t, err, "%q", id)
			require.NotContains(t, err.Error(), string(r), "it is named, not shown")
		}
	}
}

func TestReservedWords(t *testing.T) {
	for text, want := range map[string]string{
		"search": "search", " Search\t": "search", "FACES\u200b": "faces", "strasse": "strasse", "Straße": "strasse", "STRAẞE": "strasse",
		"vip": "vip", "vi": "", "": "", "vips": "",
	} {
		require.Equal(t, want, naming.Reserved(text, "strasse", "vip"), "%q", text)
	}
}
