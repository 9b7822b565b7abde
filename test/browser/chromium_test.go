package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// tabTimeout bounds what one tab does; patience bounds one wait in it.
const (
	tabTimeout = 10 * time.Minute
	patience   = 2 * time.Minute
)

// program finds the browser: IMAGO_TEST_BROWSER, or one of the usual names.
func program() (string, error) {
	if path := os.Getenv("IMAGO_TEST_BROWSER"); path != "" {
		return exec.LookPath(path)
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no Chromium on PATH (run make browser)")
}

// need ends a test that cannot have what only the Makefile installs.
func need(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("CI") != "" || slices.Contains(strings.Split(os.Getenv("IMAGO_REQUIRE"), ","), "browser") {
		t.Fatalf("browser: %v", err)
	}
	t.Skipf("browser: %v", err)
}

// chromium is the one browser of the run.
var chromium struct {
	sync.Mutex
	ctx    context.Context
	cancel context.CancelFunc
	folder string
}

// openBrowser starts the browser with a camera that looks at the portrait.
func openBrowser(t *testing.T) context.Context {
	t.Helper()
	path, err := program()
	need(t, err)
	chromium.Lock()
	defer chromium.Unlock()
	if chromium.ctx != nil {
		return chromium.ctx
	}
	chromium.folder, err = os.MkdirTemp("", "imago-chromium-")
	require.NoError(t, err)
	picture, err := os.ReadFile(portrait(t))
	require.NoError(t, err)
	// A film of one frame: Motion JPEG is JPEG files in a row.
	film := filepath.Join(chromium.folder, "portrait.mjpeg")
	require.NoError(t, os.WriteFile(film, picture, 0o600))
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.WSURLReadTimeout(patience), chromedp.UserDataDir(filepath.Join(chromium.folder, "profile")), chromedp.DisableGPU,
		chromedp.Flag("use-fake-device-for-media-stream", true), chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("use-file-for-fake-video-capture", film), chromedp.Flag("lang", "en-GB"), chromedp.Flag("hide-scrollbars", true),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's sandbox refuses root
	}
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		cancel()
		cancelAllocator()
		t.Fatalf("browser: %s does not start: %v", path, err)
	}
	chromium.ctx, chromium.cancel = ctx, func() { cancel(); cancelAllocator() }
	return ctx
}

func closeBrowser() {
	if chromium.cancel != nil {
		chromium.cancel()
	}
	if chromium.folder != "" {
		os.RemoveAll(chromium.folder)
	}
}

// tab is a page in a browser context of its own.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

// open opens a URL in a window of the given size.
func open(t *testing.T, url string, width, height int64) *tab {
	t.Helper()
	b := &tab{t: t}
	ctx, cancel := chromedp.NewContext(openBrowser(t), chromedp.WithNewBrowserContext(), chromedp.WithListener(b.listen))
	t.Cleanup(func() {
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.problems) > 0 {
			t.Errorf("the page has problems: %s", strings.Join(b.problems, "; "))
		}
	})
	b.ctx, cancel = context.WithTimeout(ctx, tabTimeout)
	t.Cleanup(cancel)
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, log.Enable, cdp.Empty{})
		return err
	}), chromedp.EmulateViewport(width, height), chromedp.Navigate(url))
	return b
}

// listen notes what the page should not do. That the server refuses a call is
// in the log of the browser as well and is not meant.
func (b *tab) listen(event any) {
	problem := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		problem = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			problem = e.ExceptionDetails.Exception.Description
		}
	case *log.EventEntryAdded:
		if e.Entry.Source != log.EntrySourceNetwork && e.Entry.Level != log.EntryLevelVerbose {
			problem = fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text)
		}
	}
	if problem != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.problems = append(b.problems, problem)
	}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

// scheme has the page drawn light or dark.
func (b *tab) scheme(name string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	}))
}

// timezone sets the zone of the browser's clock.
func (b *tab) timezone(name string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: name})
		return err
	}))
}

// evaluate returns the value of a JavaScript expression.
func evaluate[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, expression)
	return v
}

// wait waits until a JavaScript expression is true.
func (b *tab) wait(expression string) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		// While another page is being opened there may be nothing to ask.
		is, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")", chromedp.EvalAwaitPromise))
		if is && err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("not true after %s: %s (%v)\n%s", patience, expression, err, evaluate[string](b, "document.body.innerText"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// says waits until the text of an element contains want, in which any space
// stands for one that does not break.
func (b *tab) says(id, want string) {
	b.t.Helper()
	b.wait(fmt.Sprintf("document.getElementById(%s).checkVisibility() && document.getElementById(%s).textContent.replaceAll('\u00a0', ' ').includes(%s)", quote(id), quote(id), quote(want)))
}

// visible reports whether an element is shown.
func (b *tab) visible(id string) bool {
	b.t.Helper()
	return evaluate[bool](b, "document.getElementById("+quote(id)+").checkVisibility()")
}

// texts returns the texts of all elements that a CSS selector names.
func (b *tab) texts(selector string) []string {
	b.t.Helper()
	return evaluate[[]string](b, "[...document.querySelectorAll("+quote(selector)+")].map((e) => e.textContent)")
}

// click clicks an element with the mouse.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// write types into an element.
func (b *tab) write(selector, text string) {
	b.t.Helper()
	b.do(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// press presses a key wherever the focus is.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// choose gives a file to the file input. What the page said and drew of another
// picture is wiped before, so that no wait takes it for this one's.
func (b *tab) choose(path string) {
	b.t.Helper()
	evaluate[bool](b, "Object.assign(document.getElementById('picture-message'), { textContent: '', className: '' }), overlay.replaceChildren(), true")
	b.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{path}))
}

// slide moves the threshold.
func (b *tab) slide(percent float64) {
	b.t.Helper()
	evaluate[bool](b, fmt.Sprintf("threshold.value = %g, threshold.dispatchEvent(new Event('input'))", percent))
}

// unlock gives the key to a page that asks for it.
func (b *tab) unlock(key string) {
	b.t.Helper()
	b.wait("gate.checkVisibility()")
	b.write("#key", key+"\r")
}

func quote(text string) string {
	out, _ := json.Marshal(text)
	return string(out)
}

// saved is the path of a file with some content.
func saved(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}
