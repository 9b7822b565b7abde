package browser

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
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
	b.says("count", "1 of 2 reach 80 %.")
	b.says("meaning", "With 2 users enrolled, at most 1 of 5,300 strangers would match somebody at 80 %.")
	require.Greater(t, evaluate[float64](b, "Number(document.querySelector('[role=meter]').ariaValueNow)"), 80.0)
	b.slide(0)
	require.Equal(t, []string{"obama", "biden & co <b>"}, b.texts("#matches .who"), "filtered without asking again")
	b.slide(100)
	require.Empty(t, b.texts("#matches .who"))
	b.says("count", "0 of 2 reach 100 %.")
	b.says("meaning", "at 100 %.")

	b.choose(fixture.Portrait(t, "obama3.jpg"))
	b.says("picture-message", "One face")
	require.False(t, b.visible("results"), "the results of another picture are gone")

	b.click("[aria-label='Unenrol obama']")
	b.says("confirm-text", "All faces of obama in users are removed at once and for good.")
	b.click("#confirm-no")
	b.wait("!document.getElementById('confirm').open")
	require.Equal(t, []string{"biden & co <b>", "obama"}, b.texts("#rows th"))
	for _, id := range []string{"obama", "biden & co <b>"} {
		b.click("[aria-label='Unenrol " + id + "']")
		b.click("#confirm-yes")
		b.says("users-message", id+" is unenrolled from users.")
	}
	require.Empty(t, b.texts("#rows th"))
	b.click("#search")
	b.says("search-message", "No match: nobody is enrolled in users.")
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
	b.wait("preview.alt === 'The chosen picture, c.svg'")
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
	require.Equal(t, "Unenrol user 25", evaluate[string](b, "document.activeElement.ariaLabel"), "the focus goes to what is new")
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
	b.unlock(apiKey)
	b.wait(fmt.Sprintf("rows.children.length === %d", len(ids)))
	shown := b.texts("#rows th bdi")
	for _, want := range ids {
		require.Contains(t, shown, want)
	}
	evaluate[string](b, `[...document.querySelectorAll('#rows tr')].find((one) => one.textContent.includes('nim')).querySelector('button').click(), ''`)
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
