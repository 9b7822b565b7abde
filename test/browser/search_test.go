package browser

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// searchLine is what the audit log says of a search.
type searchLine struct {
	Operation string
	Status    int
	Reasons   []string
	Search    struct {
		Threshold  float64
		Limit      int
		Purpose    string
		MatchCount int `json:"match_count"`
	}
}

// searches returns the searches in an audit log.
func searches(t *testing.T, path string) (all []searchLine) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		var one searchLine
		require.NoError(t, json.Unmarshal(lines.Bytes(), &one))
		if one.Operation == "search" {
			all = append(all, one)
		}
	}
	require.NoError(t, lines.Err())
	return all
}

// counted returns the searches of the inventory in the metrics, by their result.
func counted(t *testing.T, url, result string) string {
	t.Helper()
	res, err := http.Get(url + "/metrics")
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), `imago_searches_total{collection="users",result="`+result+`"} `)
	require.True(t, found)
	count, _, _ := strings.Cut(after, "\n")
	return count
}

// The audit log and the metrics have what the person at the page has looked for: a search at
// the threshold of the collection, and one at each lower one. Who is closest below it is
// marked in the log and no match in the metrics.
func TestSearchesAreOnRecordAsTheyWere(t *testing.T) {
	log := filepath.Join(t.TempDir(), "audit.jsonl")
	url := imago(t, "IMAGO_AUDIT_PATH="+log, "IMAGO_SEARCH_THRESHOLD=80.25")
	b := open(t, url+"/console", desktopWidth, desktopHeight)
	b.unlock(apiKey)
	b.wait("document.activeElement.id === 'collection'")
	b.choose(fixture.Portrait(t, "biden.jpg"))
	b.says("picture-message", "It can be enrolled.")
	b.click("#search")
	b.says("count", "No match: nobody is enrolled in users.")
	b.enrol(fixture.Portrait(t, "obama.jpg"), "obama")

	b.choose(fixture.Portrait(t, "biden.jpg"))
	b.says("picture-message", "One face")
	b.click("#search")
	b.says("count", "No match at 80.25 %; best: obama with ")
	b.says("count", " below.")
	require.Equal(t, "0", counted(t, url, "match"), "somebody below the threshold is no match")
	require.Equal(t, "2", counted(t, url, "no_match"))

	b.choose(fixture.Portrait(t, "obama2.jpg"))
	b.says("picture-message", "One face")
	b.click("#search")
	b.says("count", "1 user reaches 80.25 %.")
	b.slide(90)
	b.says("meaning", "at 90 %.")
	b.slide(10)
	b.says("meaning", "at 10 %.")
	b.says("count", "1 user reaches 10 %.")
	b.wait("document.getElementById('search-message').textContent === ''")

	all := searches(t, log)
	require.Len(t, all, 5)
	for i, want := range []struct {
		threshold float64
		purpose   string
		matches   int
		status    int
	}{{80.25, "", 0, 404}, {80.25, "", 0, 404}, {0, "closest", 1, 200}, {80.25, "", 1, 200}, {10, "", 1, 200}} {
		require.Equal(t, want.threshold, all[i].Search.Threshold, "%d", i)
		require.Equal(t, want.purpose, all[i].Search.Purpose, "%d", i)
		require.Equal(t, want.matches, all[i].Search.MatchCount, "%d", i)
		require.Equal(t, want.status, all[i].Status, "%d", i)
	}
	require.Equal(t, "2", counted(t, url, "match"))
	require.Equal(t, "2", counted(t, url, "no_match"))
}

// Who is closest is told as far as the key may know: not below its own least threshold, and
// without the ID of whom another client has enrolled in a shared list.
func TestClosestWithinWhatTheKeyMayKnow(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys.yaml")
	const bounded, open0, fixed = "bounded-key-of-sixteen", "unbounded-key-of-sixteen", "fixed-key-of-sixteen-"
	require.NoError(t, os.WriteFile(keys, fmt.Appendf(nil, `keys:
- {name: bounded, sha256: %x, collections: [blacklist], operations: [search], min_threshold: 70}
- {name: fixed, sha256: %x, collections: [blacklist], operations: [search], min_threshold: 95}
- {name: unbounded, sha256: %x, collections: [blacklist], operations: [search]}
`, sha256.Sum256([]byte(bounded)), sha256.Sum256([]byte(fixed)), sha256.Sum256([]byte(open0))), 0o600))
	url := imago(t, "IMAGO_AUTH_KEYS_FILE="+keys)
	b := open(t, url+"/console", desktopWidth, desktopHeight)
	b.unlock(apiKey)
	b.wait("document.activeElement.id === 'collection'")
	evaluate[bool](b, "collection.value = 'blacklist', collection.dispatchEvent(new Event('change'))")
	b.says("collection-note", "Shared")
	b.enrol(fixture.Portrait(t, "obama.jpg"), "obama")
	for key, want := range map[string]string{
		open0:   "No match at 80 %; best: somebody enrolled by another client with ",
		bounded: "No match: nobody reaches 70 %, the least that this key may search with.",
		fixed:   "No match at 95 %, the least that this key may search with.",
	} {
		b := open(t, url+"/console", desktopWidth, desktopHeight)
		b.unlock(key)
		b.wait("document.activeElement.id === 'collection'")
		b.choose(fixture.Portrait(t, "biden.jpg"))
		b.says("picture-message", "One face")
		b.click("#search")
		b.says("count", want)
		require.NotContains(t, evaluate[string](b, "document.body.textContent"), "obama")
	}
}

// An ID that is enrolled can be given another face, or one more.
func TestReplaceAndAddAFace(t *testing.T) {
	b := console(t)
	b.enrol(fixture.Portrait(t, "obama.jpg"), "somebody")
	again := func(picture, button string) {
		b.choose(fixture.Portrait(t, picture))
		b.says("picture-message", "It can be enrolled.")
		require.False(t, b.visible("exists"), "it was about another picture")
		evaluate[string](b, "user.value = ''")
		b.write("#user", "somebody")
		b.click("#enrol")
		b.says("enrol-message", "Provided userId already exists.")
		b.says("exists-text", "Replace removes all faces of somebody and enrols this one; Add a face keeps them and adds this one.")
		b.click(button)
	}
	again("obama2.jpg", "#add-face")
	b.says("enrol-message", "somebody has one more face in users.")
	require.False(t, b.visible("exists"))
	b.wait("rows.children.length === 1 && rows.querySelector('td summary')?.textContent === '2'")
	again("biden.jpg", "#replace")
	b.says("enrol-message", "somebody has this face alone in users.")
	b.wait("rows.children.length === 1 && rows.querySelector('td').textContent === '1'")
	b.click("#search")
	b.says("count", "1 user reaches 80 %.")

	// Another ID has another answer.
	b.write("#user", "somebody")
	b.click("#enrol")
	b.wait("exists.checkVisibility()")
	b.write("#user", " else")
	require.False(t, b.visible("exists"))

	// Somebody who is unenrolled meanwhile cannot be replaced.
	evaluate[string](b, "user.value = ''")
	b.write("#user", "somebody")
	b.click("#enrol")
	b.wait("exists.checkVisibility()")
	b.askToUnenrol("somebody")
	b.click("#confirm-yes")
	b.says("users-message", "somebody is unenrolled from users.")
	b.click("#replace")
	b.says("enrol-message", "This user is not enrolled any more, or was enrolled by another client.")
}

// All collections that the key may search are asked in one call, and one user of the chosen
// one, as far as the key may know.
func TestSearchAllAndVerify(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys.yaml")
	const door, bounded = "door-key-of-sixteen--", "bounded-key-of-sixteen"
	require.NoError(t, os.WriteFile(keys, fmt.Appendf(nil, `keys:
- {name: door, sha256: %x, collections: [users, blacklist], operations: [search]}
- {name: bounded, sha256: %x, collections: [users], operations: [search], min_threshold: 90}
`, sha256.Sum256([]byte(door)), sha256.Sum256([]byte(bounded))), 0o600))
	url := imago(t, "IMAGO_AUTH_KEYS_FILE="+keys)
	b := open(t, url+"/console", desktopWidth, desktopHeight)
	b.unlock(apiKey)
	b.wait("document.activeElement.id === 'collection'")
	b.enrol(fixture.Portrait(t, "obama.jpg"), "obama")
	b.enrol(fixture.Portrait(t, "biden.jpg"), "biden")
	evaluate[bool](b, "collection.value = 'blacklist', collection.dispatchEvent(new Event('change'))")
	b.says("collection-note", "Shared")
	b.enrol(fixture.Portrait(t, "obama.jpg"), "case 17")

	b = open(t, url+"/console", desktopWidth, desktopHeight)
	b.unlock(door)
	b.wait("document.activeElement.id === 'collection'")
	b.choose(fixture.Portrait(t, "obama2.jpg"))
	b.says("picture-message", "One face")
	b.click("#search-all")
	b.says("all-message", "Matches in 2 of 2 collections.")
	require.Equal(t, []string{"obama", "Enrolled by another client"}, b.texts("#all-results .who"))
	for id, want := range map[string]string{"obama": "Yes, this is obama: 99.", "biden": "No, this is not biden: ", "nobody": "No user nobody is enrolled in users, as far as this key may know."} {
		evaluate[string](b, "document.getElementById('verify-user').value = ''")
		b.write("#verify-user", id)
		b.click("#verify")
		b.says("verify-message", want)
	}
	b.choose(fixture.Portrait(t, "biden.jpg"))
	b.wait("document.querySelector('#all-results').children.length === 0 && document.getElementById('verify-message').textContent === ''")

	b = open(t, url+"/console", desktopWidth, desktopHeight)
	b.unlock(bounded)
	b.wait("document.activeElement.id === 'collection'")
	require.False(t, b.visible("search-all"), "there is one collection")
	b.choose(fixture.Portrait(t, "obama2.jpg"))
	b.says("picture-message", "One face")
	b.write("#verify-user", "biden")
	b.click("#verify")
	b.says("verify-message", "No, this is not biden: less alike than this key may know; from 90 % on it is a match.")
}
