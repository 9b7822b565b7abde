package browser

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

const desktopWidth, desktopHeight = 1280, 900

// console opens the console of a new imago and gives it the key.
func console(t *testing.T, env ...string) *tab {
	t.Helper()
	b := open(t, imago(t, env...)+"/console", desktopWidth, desktopHeight)
	b.unlock(apiKey)
	b.wait("document.activeElement.id === 'collection'")
	return b
}

// enrol enrols a picture under an ID.
func (b *tab) enrol(path, id string) {
	b.t.Helper()
	b.choose(path)
	b.says("picture-message", "It can be enrolled.")
	b.write("#user", id)
	b.click("#enrol")
	b.says("enrol-message", id+" is enrolled in")
}

func TestEnrolSearchUnenrol(t *testing.T) {
	b := console(t)
	b.says("users-message", "Nobody is enrolled in users.")
	b.enrol(fixture.Portrait(t, "obama.jpg"), "obama")
	b.enrol(fixture.Portrait(t, "biden.jpg"), "biden & co <b>")
	b.wait("rows.children.length === 2")
	require.Equal(t, []string{"biden & co <b>", "obama"}, b.texts("#rows th"))

	b.choose(fixture.Portrait(t, "obama2.jpg"))
	b.says("picture-message", "One face")
	require.Empty(t, evaluate[string](b, "document.getElementById('enrol-message').textContent"), "it was about another picture")
	b.click("#search")
	b.wait("matches.children.length > 0")
	require.Equal(t, []string{"obama"}, b.texts("#matches .who"), "above 80 %")
	b.says("count", "1 user reaches 80 %.")
	b.says("meaning", "With 2 users enrolled, at most 1 of 5,300 strangers would match somebody at 80 %.")
	require.Greater(t, evaluate[float64](b, "Number(document.querySelector('[role=meter]').ariaValueNow)"), 80.0)
	b.slide(0)
	b.wait("matches.children.length === 2")
	require.Equal(t, []string{"obama", "biden & co <b>"}, b.texts("#matches .who"), "asked again")
	b.says("count", "2 users reach 0 %.")
	b.slide(100)
	require.Empty(t, b.texts("#matches .who"))
	b.says("count", "No match at 100 %; best: obama with ")
	b.says("meaning", "at 100 %.")

	b.choose(fixture.Portrait(t, "obama3.jpg"))
	b.says("picture-message", "One face")
	require.False(t, b.visible("results"), "the results of another picture are gone")

	b.askToUnenrol("obama")
	b.says("confirm-text", "All faces of obama in users are removed at once and for good.")
	b.click("#confirm-no")
	b.wait("!document.getElementById('confirm').open")
	require.Equal(t, []string{"biden & co <b>", "obama"}, b.texts("#rows th"))
	for _, id := range []string{"obama", "biden & co <b>"} {
		b.askToUnenrol(id)
		b.click("#confirm-yes")
		b.says("users-message", id+" is unenrolled from users.")
	}
	require.Empty(t, b.texts("#rows th"))
	b.click("#search")
	b.says("count", "No match: nobody is enrolled in users.")
}

// askToUnenrol opens the menu of a user and chooses to unenrol.
func (b *tab) askToUnenrol(id string) {
	b.t.Helper()
	b.click("[aria-label='Actions for " + id + "']")
	b.click("[aria-label='Unenrol " + id + "']")
	b.wait("document.getElementById('confirm').open")
}

// The faces of a user are shown one by one, and one of several is removed, without a mouse; of
// one that is gone meanwhile the page says so and shows what there is.
func TestFacesOfAUser(t *testing.T) {
	b := console(t)
	b.enrol(fixture.Portrait(t, "obama.jpg"), "obama")
	for _, name := range []string{"obama2.jpg", "obama3.jpg"} {
		b.choose(fixture.Portrait(t, name))
		b.says("picture-message", "It can be enrolled.")
		b.write("#user", "obama")
		b.click("#enrol")
		b.wait("exists.checkVisibility()")
		b.click("#add-face")
		b.says("enrol-message", "obama has one more face in users.")
	}
	b.wait("document.querySelector('#rows summary')?.textContent === '3'")
	b.focus("#rows summary")
	b.press("\r")
	require.Len(t, b.texts("#rows details li time"), 3)
	b.focus("[aria-label='Remove face 2 of 3 of obama']")
	b.press("\r")
	b.wait("document.getElementById('confirm').open")
	b.says("confirm-text", "The other 2 stay.")
	require.Equal(t, []string{"Remove"}, b.texts("#confirm-yes"))
	require.Equal(t, "confirm-no", evaluate[string](b, "document.activeElement.id"))
	b.focus("#confirm-yes")
	b.press("\r")
	b.says("users-message", "A face of obama is removed from users.")
	b.wait("document.activeElement.matches('#rows summary') && document.activeElement.textContent === '2'")

	// Somebody else removes one meanwhile: the other is the only one.
	require.True(t, evaluate[bool](b, `(async () => {
		const { call, facePath } = await import('/console/api.js');
		const { faces } = await call('GET', 'users/obama');
		await call('DELETE', facePath('users', 'obama', faces[0].faceId));
		return true;
	})()`))
	b.click("[aria-label='Remove face 2 of 2 of obama']")
	b.says("confirm-text", "The other one stays.")
	b.click("#confirm-yes")
	b.says("users-message", "Provided face is the only one of the user.")
	b.wait("document.querySelector('#rows details') === null")
	b.askToUnenrol("obama")
	require.Equal(t, []string{"Unenrol"}, b.texts("#confirm-yes"))
}

func TestRefusedEnrolments(t *testing.T) {
	b := console(t)
	b.click("#enrol")
	require.False(t, b.visible("enrol-message"), "the browser asks for the ID")
	b.write("#user", "somebody")
	b.click("#enrol")
	b.says("enrol-message", "Choose a picture first.")
	b.choose(portrait(t))
	b.says("picture-message", "One face")
	b.click("#enrol")
	b.says("enrol-message", "somebody is enrolled in users.")
	for id, reason := range map[string]string{
		"somebody": "Provided userId already exists.",
		"search":   "The user ID “search” is reserved.", // the path of a search
		"faces":    `UserId "faces" is reserved.`,
		"..":       "cannot be sent by a browser",
	} {
		evaluate[string](b, "user.value = ''")
		b.write("#user", id)
		b.click("#enrol")
		b.says("enrol-message", reason)
	}
	b.wait("rows.children.length > 0")
	require.Equal(t, []string{"somebody"}, b.texts("#rows th"))
}

func TestRefusedPictures(t *testing.T) {
	b := console(t)
	large, pair := saved(t, "large.jpg", make([]byte, 6<<20)), saved(t, "pair.jpg", fixture.Pair(t))
	for path, reason := range map[string]string{
		saved(t, "drawing.webp", []byte("RIFF\xec\x34\x00\x00WEBPVP8 ")): "JPEG",
		saved(t, "truncated.jpg", fixture.Truncated(t)):                  "provided image",
		saved(t, "empty.png", []byte("test\n")):                          "",
		saved(t, "landscape.jpg", fixture.Landscape(t)):                  "No face was found in this picture.",
		pair:  "– more than one face detected in the provided image",
		large: "This picture has 6 MB; imago takes at most 5 MB.",
	} {
		b.choose(path)
		b.wait("document.getElementById('picture-message').className === 'message bad'")
		b.says("picture-message", reason)
	}
	for path, reason := range map[string]string{
		saved(t, "drawing.gif", []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;")): "Unsupported image format: only JPEG and PNG are supported.",
		saved(t, "renamed.jpg", []byte("%PDF-1.7\n")):                          "Unsupported image format: only JPEG and PNG are supported.",
		saved(t, "nothing.png", nil):                                           "The provided image is empty.",
	} {
		b.choose(pair)
		b.says("picture-message", "2 faces; the largest")
		b.choose(path)
		b.says("picture-message", reason)
		require.False(t, b.visible("preview"), "it is refused before it is shown: %s", path)
		b.click("#search")
		b.says("search-message", "Choose a picture first.")
	}
	b.choose(pair)
	b.says("picture-message", "2 faces; the largest")
	b.write("#user", "both")
	b.click("#enrol")
	b.says("enrol-message", "More than one face detected in the provided image.")
	require.Empty(t, b.texts("#rows th"))
}

func TestKeys(t *testing.T) {
	url := imago(t) + "/console"
	b := open(t, url, desktopWidth, desktopHeight)
	b.unlock("no-such-key")
	b.says("key-message", "This key is not valid.")
	require.False(t, b.visible("app"))
	require.Equal(t, 0, evaluate[int](b, "sessionStorage.length"), "a wrong key is not kept")
	b.press("schlüssel\r")
	b.says("key-message", "This is no key")
	b.press(apiKey + "\r") // in place of what was refused
	b.wait("app.checkVisibility()")
	require.Empty(t, evaluate[string](b, "document.getElementById('key').value"), "the key is not left in the form")
	require.Equal(t, 0, evaluate[int](b, "localStorage.length + document.cookie.length"))

	b.do(chromedp.Reload())
	b.wait("app.checkVisibility()")
	b.click("#forget")
	b.wait("gate.checkVisibility() && !app.checkVisibility()")
	require.Equal(t, 0, evaluate[int](b, "sessionStorage.length"))
	b.do(chromedp.Reload())
	b.wait("gate.checkVisibility()")

	// A key that stops being valid while the page is open.
	b.unlock(apiKey)
	b.wait("app.checkVisibility()")
	evaluate[bool](b, "sessionStorage.setItem('imago-key', 'withdrawn'), true")
	b.click("#refresh")
	b.says("key-message", "This key is not valid.")
	require.False(t, b.visible("app"))
	require.Equal(t, 0, evaluate[int](b, "sessionStorage.length"))
}

// The page shows of each collection what the key may do to it.
func TestScopes(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys.yaml")
	const searcher, keeper = "searcher-key-of-sixteen", "keeper-key-of-sixteen"
	require.NoError(t, os.WriteFile(keys, fmt.Appendf(nil, `keys:
- {name: searcher, sha256: %x, collections: [blacklist], operations: [search]}
- {name: keeper, sha256: %x, collections: [all], operations: [enrol, read, unenrol]}
`, sha256.Sum256([]byte(searcher)), sha256.Sum256([]byte(keeper))), 0o600))
	url := imago(t, "IMAGO_AUTH_KEYS_FILE="+keys) + "/console"

	b := open(t, url, desktopWidth, desktopHeight)
	b.unlock(keeper)
	b.wait("app.checkVisibility()")
	require.False(t, b.visible("search-card"))
	b.do(chromedp.SetValue(chromedp.CSS("#collection"), "blacklist"))
	evaluate[bool](b, "collection.dispatchEvent(new Event('change'))")
	b.says("collection-note", "Shared")
	b.choose(portrait(t))
	b.says("picture-message", "This key may not look for faces")
	b.write("#user", "suspect")
	b.click("#enrol")
	b.says("enrol-message", "suspect is enrolled in blacklist.")

	b = open(t, url, desktopWidth, desktopHeight)
	b.unlock(searcher)
	b.wait("app.checkVisibility()")
	require.Equal(t, []string{"blacklist"}, b.texts("#collection option"))
	require.False(t, b.visible("enrol-card"))
	require.False(t, b.visible("users-card"))
	b.choose(portrait(t))
	b.says("picture-message", "One face")
	b.click("#search")
	b.wait("matches.children.length === 1")
	require.Equal(t, []string{"Enrolled by another client"}, b.texts("#matches .who"))
}

// The browser's camera looks at the portrait.
func TestCamera(t *testing.T) {
	b := console(t)
	b.click("#camera")
	b.says("picture-message", "The camera is on.")
	b.wait("video.videoWidth > 0")
	b.click("#camera-off")
	b.wait("!video.checkVisibility() && video.srcObject === null")
	b.click("#camera")
	b.wait("video.videoWidth > 0")
	b.click("#shoot")
	b.says("picture-message", "One face")
	require.False(t, b.visible("video"), "the camera is off")
	b.write("#user", "portrait")
	b.click("#enrol")
	b.says("enrol-message", "portrait is enrolled in users.")
	b.click("#search")
	b.wait("matches.children.length === 1")
}

func TestDropAndPaste(t *testing.T) {
	b := console(t)
	drop := func(event, files string) {
		evaluate[bool](b, `(async () => {
			const picture = await (await fetch('console/icon.svg')).blob();
			const data = new DataTransfer();
			for (const name of `+files+`) data.items.add(new File([picture], name, { type: 'image/svg+xml' }));
			`+event+`;
			return true;
		})()`)
	}
	drop("stage.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }))", "['a.svg', 'b.svg']")
	b.says("picture-message", "One picture at a time: a.svg was taken.")
	b.says("picture-message", "JPEG")
	require.False(t, evaluate[bool](b, "window.dispatchEvent(new DragEvent('drop', { cancelable: true }))"), "the page is not replaced")
	drop("document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true }))", "['c.svg']")
	b.says("picture-message", "Unsupported image format")
}

func TestUsersComeInPages(t *testing.T) {
	b := console(t)
	b.choose(portrait(t))
	b.says("picture-message", "It can be enrolled.")
	// Enrolled by the page's own means, without its form.
	require.True(t, evaluate[bool](b, `(async () => {
		const { call, userPath } = await import('/console/api.js');
		const { face } = await import('/console/picture.js');
		const picture = await face();
		for (let i = 0; i < 27; i++) await call('POST', userPath('users', `+"`user ${String(i).padStart(2, '0')}`"+`), { face: picture });
		return true;
	})()`))
	b.click("#refresh")
	b.wait("rows.children.length === 25 && more.checkVisibility()")
	b.click("#more")
	b.wait("rows.children.length === 27 && !more.checkVisibility()")
	require.Equal(t, "Actions for user 25", evaluate[string](b, "document.activeElement.ariaLabel"), "the focus goes to what is new")
	b.says("users-count", "27 users, all there are.")

	// By prefix the list begins where such IDs begin, whatever the pages before have.
	b.write("#prefix", "user 2")
	b.says("users-count", "7 users whose ID begins with user 2, all there are.")
	require.Equal(t, "user 20", b.texts("#rows th")[0])
	b.write("#prefix", "6")
	b.says("users-count", "1 user whose ID begins with user 26, all there are.")
	b.write("#prefix", "x")
	b.says("users-message", "No user ID in users begins with user 26x.")
	require.Empty(t, b.texts("#rows th"))
	evaluate[bool](b, "prefix.value = 'user ', prefix.dispatchEvent(new Event('input')), true")
	b.says("users-count", "25 users whose ID begins with user\\u{20} are shown; there are more.")
	b.click("#more")
	b.says("users-count", "27 users whose ID begins with user\\u{20}, all there are.")
	for _, none := range []string{"User", `\t`, "ü"} {
		evaluate[bool](b, "prefix.value = '"+none+"', prefix.dispatchEvent(new Event('input')), true")
		b.says("users-message", "No user ID in users begins with")
	}
	evaluate[bool](b, "prefix.value = '', prefix.dispatchEvent(new Event('input')), true")
	b.says("users-count", "25 users are shown; there are more.")
}

// While the list of users is on its way everything can be done, and when it arrives
// nobody is disturbed.
func TestSlowList(t *testing.T) {
	target, err := url.Parse(imago(t))
	require.NoError(t, err)
	proxy, arrived := httputil.NewSingleHostReverseProxy(target), make(chan struct{})
	arrive := sync.OnceFunc(func() { close(arrived) })
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/users" {
			select {
			case <-arrived:
			case <-r.Context().Done():
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(gateway.Close)
	t.Cleanup(arrive)
	b := open(t, gateway.URL+"/console", desktopWidth, desktopHeight)
	b.unlock(apiKey)
	b.wait("document.activeElement.id === 'collection'")
	b.enrol(portrait(t), "one")
	b.write("#user", "two")
	b.click("#enrol")
	b.says("enrol-message", "two is enrolled in")
	b.write("#user", "thr")
	arrive()
	b.wait("rows.children.length === 2")
	require.Equal(t, "user", evaluate[string](b, "document.activeElement.id"))
}

// IDs of an earlier imago in which something cannot be seen are spelt out, and none
// changes the order of the text around it.
func TestIDsAreShownAsTheyAre(t *testing.T) {
	target, err := url.Parse(imago(t))
	require.NoError(t, err)
	ids := map[string]string{
		"adm\u202enim": `adm\u{202E}nim`, "zero\u200b": `zero\u{200B}`, "end ": `end\u{20}`, "Jose\u0301": `Jose\u{301}`, "\ufe0fx": `\u{FE0F}x`,
		"José": "José", "שלום": "שלום", "a b": "a b",
	}
	var users []map[string]any
	for id := range ids {
		users = append(users, map[string]any{"userId": id, "faces": []any{map[string]string{"faceId": "f", "enrolledAt": "2026-01-02T03:04:05Z"}}})
	}
	answer, err := json.Marshal(map[string]any{"users": users})
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/users" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(answer)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(gateway.Close)
	b := open(t, gateway.URL+"/console", desktopWidth, desktopHeight)
	b.timezone("Asia/Kolkata")
	b.unlock(apiKey)
	b.wait(fmt.Sprintf("rows.children.length === %d", len(ids)))
	// Times are local, to the minute, and with their zone in the title.
	require.Regexp(t, `2026.*\b0?8:34`, b.texts("#rows time")[0])
	require.Regexp(t, `8:34:05.*(GMT\+5:30|IST|India)`, evaluate[string](b, "document.querySelector('#rows time').title"))
	shown := b.texts("#rows th bdi")
	for _, want := range ids {
		require.Contains(t, shown, want)
	}
	evaluate[string](b, `[...document.querySelectorAll('#rows tr')].find((one) => one.textContent.includes('nim')).querySelector('.choices button').click(), ''`)
	require.Equal(t, "Unenrol \u2068adm\\u{202E}nim\u2069?", evaluate[string](b, "document.getElementById('confirm-title').textContent"))
}

// A gateway may serve imago below a path of its own.
func TestBehindAPath(t *testing.T) {
	target, err := url.Parse(imago(t))
	require.NoError(t, err)
	gateway := httptest.NewServer(http.StripPrefix("/faces/of", httputil.NewSingleHostReverseProxy(target)))
	t.Cleanup(gateway.Close)
	b := open(t, gateway.URL+"/faces/of/console", desktopWidth, desktopHeight)
	b.unlock(apiKey)
	b.says("users-message", "Nobody is enrolled in users.")
	b.click("nav a")
	b.wait("location.pathname === '/faces/of/console/api' && document.styleSheets.length === 1")
	b.click("nav a")
	b.wait("location.pathname === '/faces/of/console' && document.readyState === 'complete' && app.checkVisibility()")
}

func TestOff(t *testing.T) {
	url := imago(t, "IMAGO_CONSOLE_ENABLED=false")
	for _, path := range []string{"/console", "/console/api", "/console/console.js"} {
		res, err := http.Get(url + path)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusNotFound, res.StatusCode, path)
	}
}

// Who expires is shown with the time, in the time zone of the browser; who does not is not.
func TestExpiryIsShown(t *testing.T) {
	base := imago(t)
	picture, err := os.ReadFile(portrait(t))
	require.NoError(t, err)
	face := base64.StdEncoding.EncodeToString(picture)
	for id, expiry := range map[string]string{"guest": `,"expiresAt":"2099-12-31T23:30:00Z"`, "staff": ""} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/users/"+id, strings.NewReader(`{"face":"`+face+`"`+expiry+`}`))
		require.NoError(t, err)
		r.Header.Set("x-api-key", apiKey)
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
	b := open(t, base+"/console", phoneWidth, phoneHeight)
	b.timezone("Asia/Tokyo")
	b.unlock(apiKey)
	b.wait("rows.children.length === 2")
	require.Equal(t, []string{"guest", "staff"}, b.texts("#rows th"))
	require.Len(t, b.texts("#rows .expires"), 1)
	require.Regexp(t, `^expires .*2100.*\b0?8:30`, b.texts("#rows .expires")[0])
	require.Equal(t, "2099-12-31T23:30:00.000Z", evaluate[string](b, "document.querySelector('#rows .expires time').dateTime"))
}
