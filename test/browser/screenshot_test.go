package browser

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// phoneWidth is the narrowest of today's common phones in CSS pixels.
const phoneWidth, phoneHeight = 390, 844

// The drawn face is drawn over: the box encloses the eyes and the mouth of the
// portrait (in its pixels) where the picture is shown.
func TestTheFaceIsDrawnWhereItIs(t *testing.T) {
	for name, size := range map[string][2]int64{"desktop": {desktopWidth, desktopHeight}, "phone": {phoneWidth, phoneHeight}} {
		t.Run(name, func(t *testing.T) {
			b := open(t, imago(t)+"/console", size[0], size[1])
			b.unlock(apiKey)
			b.wait("app.checkVisibility()")
			b.choose(portrait(t))
			b.says("picture-message", "One face")
			b.wait("preview.complete && preview.naturalWidth > 0")
			require.Equal(t, 5, evaluate[int](b, "document.querySelectorAll('#overlay .mark').length"))
			for i, want := range [][2]float64{{125, 173}, {195, 173}, {160, 215}, {132, 250}, {188, 250}} {
				got := evaluate[[]float64](b, `(() => {
					const shown = preview.getBoundingClientRect();
					const scale = Math.min(shown.width / 320, shown.height / 400);
					const left = shown.left + (shown.width - 320 * scale) / 2, top = shown.top + (shown.height - 400 * scale) / 2;
					const mark = document.querySelectorAll('#overlay .mark')[`+string(rune('0'+i))+`].getBoundingClientRect();
					return [(mark.left + mark.width / 2 - left) / scale, (mark.top + mark.height / 2 - top) / scale];
				})()`)
				require.InDelta(t, want[0], got[0], 10, "landmark %d", i)
				require.InDelta(t, want[1], got[1], 10, "landmark %d", i)
			}
		})
	}
}

// Browser and server agree on what is upright and where the nose is, whatever
// the camera wrote about orientation: the positions are those that come with the
// pictures.
func TestRealFacesAreFound(t *testing.T) {
	fixture.Faces(t)
	b := console(t)
	for name, nose := range map[string][2]float64{
		"001_A.jpg": {2109, 2261}, "003_A.jpg": {3210, 1382}, "005_A.jpg": {2092, 2871}, "007_B.jpg": {205, 299}, "009_C.jpg": {166, 236},
	} {
		b.choose(fixture.Faces(t, name))
		b.wait("preview.complete && document.querySelectorAll('#overlay .mark').length === 5")
		got := evaluate[[]float64](b, `(() => {
			const mark = document.querySelectorAll('#overlay .mark')[2];
			return [mark.cx.baseVal.value, mark.cy.baseVal.value, overlay.viewBox.baseVal.width, overlay.viewBox.baseVal.height,
				preview.naturalWidth, preview.naturalHeight];
		})()`)
		require.Equal(t, got[4:], got[2:4], "%s: the size of the upright picture", name)
		tolerance := 0.025 * max(got[2], got[3])
		require.InDelta(t, nose[0], got[0], tolerance, name)
		require.InDelta(t, nose[1], got[1], tolerance, name)
	}
}

// Nothing reaches over the edge of a phone, whatever is shown; the pictures for
// the console's page are made on the way when IMAGO_UPDATE_SCREENSHOTS is set.
func TestWidths(t *testing.T) {
	url := imago(t)
	for _, c := range []struct {
		name, scheme  string
		width, height int64
	}{
		{"desktop-light", "light", desktopWidth, desktopHeight}, {"desktop-dark", "dark", desktopWidth, desktopHeight},
		{"phone-light", "light", phoneWidth, phoneHeight}, {"phone-dark", "dark", phoneWidth, phoneHeight},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t, url+"/console", c.width, c.height)
			b.scheme(c.scheme)
			b.wait("gate.checkVisibility()")
			b.fits()
			b.unlock(apiKey)
			b.wait("app.checkVisibility()")
			b.choose(portrait(t))
			b.says("picture-message", "It can be enrolled.")
			if c.name == "desktop-light" {
				for _, id := range []string{"alice", "bob.the.builder@example.com", "7b1f8a5e-0a9c-4f0b-9d3e-1f2c3d4e5f60"} {
					b.enrol(portrait(t), id)
				}
			}
			b.click("#search")
			b.wait("matches.children.length === 3")
			b.says("meaning", "With 3 users enrolled")
			// Without scrolling: who is best is on the screen.
			b.wait("search.getAttribute('aria-disabled') === null")
			require.True(t, evaluate[bool](b, `(() => {
				const best = matches.firstElementChild.getBoundingClientRect();
				return best.top >= 0 && best.bottom <= innerHeight;
			})()`), "the best match is in view")
			b.fits()
			if c.name == "desktop-light" || c.name == "phone-dark" {
				b.shoot(c.name)
			}
			b.click("#search-all")
			b.says("all-message", "Matches in 1 of 3 collections.")
			b.write("#verify-user", "bob.the.builder@example.com")
			b.click("#verify")
			b.says("verify-message", "Yes, this is bob")
			b.fits()
			b.click("[aria-label='Actions for alice']")
			b.wait("document.querySelector('.choices:not([hidden])')")
			b.fits()
			b.click("[aria-label='Unenrol alice']")
			b.wait("document.getElementById('confirm').open")
			b.fits()
			b.click("#confirm-no")
			b.slide(100)
			b.says("count", "No match at 100 %; best:")
			b.write("#user", "alice")
			b.click("#enrol")
			b.wait("exists.checkVisibility()")
			b.fits()
			b.click("#add-face")
			b.wait("document.querySelector('#rows summary')")
			b.click("#rows summary")
			b.wait("document.querySelector('.faces').checkVisibility()")
			b.fits()
			b.click("[aria-label='Remove face 1 of 2 of alice']")
			b.wait("document.getElementById('confirm').open")
			b.fits()
			b.click("#confirm-yes")
			b.says("users-message", "A face of alice is removed from users.")
			b.do(chromedp.Navigate(url + "/console/api"))
			evaluate[bool](b, "document.querySelectorAll('details').forEach((d) => { d.open = true }), true")
			b.fits()
		})
	}
}

// fits checks that nothing has to be scrolled sideways to be seen.
func (b *tab) fits() {
	b.t.Helper()
	require.Equal(b.t, evaluate[int](b, "document.documentElement.clientWidth"), evaluate[int](b, "document.documentElement.scrollWidth"))
}

// shoot keeps a picture of the page where pictures are wanted.
func (b *tab) shoot(name string) {
	b.t.Helper()
	evaluate[bool](b, "document.activeElement.blur(), window.scrollTo(0, 0), true")
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(90))
	require.NoError(b.t, err)
	require.Less(b.t, len(picture), 200<<10, "the page stays light")
	if os.Getenv("IMAGO_UPDATE_SCREENSHOTS") != "" {
		require.NoError(b.t, os.WriteFile(filepath.Join("testdata", name+".jpg"), picture, 0o644))
	}
}
