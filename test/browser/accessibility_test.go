package browser

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// axe returns the source of axe-core, which the Makefile installs.
func axe(t *testing.T) string {
	t.Helper()
	installed, err := filepath.Glob(filepath.Join(fixture.Root(t), ".cache", "axe-core", "*", "axe.min.js"))
	require.NoError(t, err)
	source, err := os.ReadFile(append(installed, "axe.min.js (run make browser)")[0])
	need(t, err)
	return string(source)
}

// A violation is what axe-core has against a page.
type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML           string `json:"html"`
		FailureSummary string `json:"failureSummary"`
	} `json:"nodes"`
}

// accessible checks the page as it is now, contrasts included.
func (b *tab) accessible(rules, what string) {
	b.t.Helper()
	// Colours on their way to others have the contrast of neither.
	b.wait("document.getAnimations().length === 0")
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Evaluate[bool](rules+"; true")(ctx, target)
		return err
	}))
	found := evaluate[json.RawMessage](b, `axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then((r) => r.violations)`)
	var violations []violation
	require.NoError(b.t, json.Unmarshal(found, &violations))
	for _, v := range violations {
		b.t.Errorf("%s: %s: %s: %+v", what, v.ID, v.Help, v.Nodes)
	}
}

func TestAccessibility(t *testing.T) {
	rules := axe(t)
	url := imago(t)
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			b := open(t, url+"/console", desktopWidth, desktopHeight)
			b.scheme(scheme)
			b.unlock("no-such-key")
			b.says("key-message", "This key is not valid.")
			b.accessible(rules, "the form for the key")
			b.press(apiKey + "\r") // in place of what was refused
			b.wait("app.checkVisibility()")
			b.accessible(rules, "an empty page")
			b.enrol(portrait(t), scheme)
			b.click("#search")
			b.wait("matches.children.length > 0")
			b.click("#search-all")
			b.says("all-message", "Matches in 1 of 3 collections.")
			b.write("#verify-user", scheme)
			b.click("#verify")
			b.says("verify-message", "Yes, this is "+scheme)
			b.accessible(rules, "matches and users")
			b.slide(100)
			b.says("count", "No match at 100 %; best: "+scheme)
			b.write("#user", scheme)
			b.click("#enrol")
			b.wait("exists.checkVisibility()")
			b.accessible(rules, "no match, and an ID that is taken")
			b.click("#add-face")
			b.says("enrol-message", scheme+" has one more face in users.")
			b.wait("document.querySelector('#rows details') !== null")
			b.click("#rows summary")
			b.accessible(rules, "the faces of a user")
			b.click("[aria-label='Remove face 1 of 2 of " + scheme + "']")
			b.accessible(rules, "the question about a face")
			b.click("#confirm-yes")
			b.says("users-message", "A face of "+scheme+" is removed from users.")
			b.click("[aria-label='Actions for " + scheme + "']")
			b.accessible(rules, "the menu of a user")
			b.click("[aria-label='Unenrol " + scheme + "']")
			b.accessible(rules, "the question")
			b.click("#confirm-yes")
			b.says("users-message", "is unenrolled from")
			b.click("#enrol")
			b.choose(saved(t, "landscape.jpg", fixture.Landscape(t)))
			b.says("picture-message", "No face was found")
			b.click("#camera")
			b.says("picture-message", "The camera is on.")
			b.accessible(rules, "the camera")
			b.do(chromedp.Navigate(url + "/console/api"))
			evaluate[bool](b, "document.querySelectorAll('details').forEach((d) => { d.open = true }), true")
			b.accessible(rules, "the description of the API")
		})
	}
}

// focus presses Tab until an element has the focus.
func (b *tab) focus(selector string) {
	b.t.Helper()
	for range 40 {
		if evaluate[bool](b, "document.activeElement.matches("+quote(selector)+")") {
			require.NotEqual(b.t, "none", evaluate[string](b, outlineOfFocus), "the focus on %s is seen", selector)
			return
		}
		b.press(kb.Tab)
	}
	b.t.Fatalf("Tab does not lead to %s", selector)
}

// outlineOfFocus is the outline of what stands for the focused element: the
// input for files is seen as its label.
const outlineOfFocus = `getComputedStyle(document.activeElement.matches('#file') ? document.querySelector('label[for=file]') : document.activeElement).outlineStyle`

// Everything is done without a mouse.
func TestKeyboard(t *testing.T) {
	b := open(t, imago(t)+"/console", desktopWidth, desktopHeight)
	b.wait("document.activeElement.id === 'key'")
	b.press(apiKey + "\r")
	b.wait("app.checkVisibility()")
	b.wait("document.activeElement.id === 'collection'")
	b.press("w")
	b.wait("collection.value === 'whitelist'")
	b.says("users-message", "Nobody is enrolled in whitelist.")

	b.focus("#file")
	b.chooseByKeyboard(portrait(t))
	b.says("picture-message", "It can be enrolled.")
	b.focus("#user")
	b.press("keys only\r")
	b.says("enrol-message", "keys only is enrolled in whitelist.")
	b.focus("#search")
	b.press("\r")
	b.wait("matches.children.length === 1")
	b.focus("#threshold")
	b.press(kb.ArrowRight + kb.ArrowRight)
	b.says("count", "1 user reaches 81 %.")
	b.press(kb.End)
	b.says("count", "No match at 100 %; best: keys only with 99.99 %, 0.01 below.")

	b.focus("#search-all")
	b.press("\r")
	b.says("all-message", "Matches in 1 of 3 collections.")
	require.Equal(t, []string{"users", "blacklist", "whitelist"}, b.texts("#all-results h3"))
	require.Equal(t, []string{"keys only"}, b.texts("#all-results .who"))
	b.focus("#verify-user")
	b.press("keys only\r")
	b.says("verify-message", "Yes, this is keys only: 99.99 % alike; from 80 % on it is a match.")
	b.focus("#user")
	b.press("keys only\r")
	b.says("enrol-message", "Provided userId already exists.")
	b.focus("#add-face")
	b.press("\r")
	b.says("enrol-message", "keys only has one more face in whitelist.")
	b.wait("document.activeElement.id === 'user'")
	b.focus("#prefix")
	b.press("keys")
	b.says("users-count", "1 user whose ID begins with keys, all there are.")

	const actions, unenrol = "[aria-label='Actions for keys only']", "[aria-label='Unenrol keys only']"
	b.focus(actions)
	b.press("\r")
	b.wait("document.activeElement.ariaExpanded === 'true'")
	b.press(kb.Escape)
	b.wait("document.activeElement.ariaExpanded === 'false'")
	b.press("\r")
	b.focus(unenrol)
	b.press("\r")
	b.wait("document.activeElement.id === 'confirm-no'")
	b.press(kb.Escape)
	b.wait("document.activeElement.matches(" + quote(actions) + ")")
	b.press(" ")
	b.focus(unenrol)
	b.press(" ")
	b.wait("document.activeElement.id === 'confirm-no'")
	b.focus("#confirm-yes")
	b.press("\r")
	b.says("users-message", "keys only is unenrolled from whitelist.")
	require.Equal(t, "refresh", evaluate[string](b, "document.activeElement.id"), "the focus is not lost with the row")
	b.focus("#forget")
	b.press("\r")
	b.wait("document.activeElement.id === 'key'")
}

// chooseByKeyboard opens the dialogue for files with the focused input and
// answers it.
func (b *tab) chooseByKeyboard(path string) {
	b.t.Helper()
	intercept := func(on bool) chromedp.Action[chromedp.Void] {
		return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, page.SetInterceptFileChooserDialog, page.SetInterceptFileChooserDialogParams{Enabled: on})
			return err
		})
	}
	b.do(intercept(true))
	opened, err := chromedp.Run(b.ctx, chromedp.WaitEvent(page.FileChooserOpened, nil, chromedp.KeyEvent("\r")))
	require.NoError(b.t, err)
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: []string{path}, BackendNodeID: opened.BackendNodeID})
		return err
	}), intercept(false))
}
