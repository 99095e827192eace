package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// page is the one tab of a real Chromium. Every method ends the test when the
// browser refuses or does not answer.
type page struct {
	t   testing.TB
	ctx context.Context

	mu   sync.Mutex
	said []string // what the console and the log of the page reported as wrong
}

// chromiumFlags keep the browser on this machine and to its own directory.
var chromiumFlags = []string{"headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
	"disable-component-update", "disable-sync", "disable-dev-shm-usage", "hide-scrollbars"}

// openChromium starts a browser with a profile of its own, or skips.
func openChromium(t testing.TB, h *home) *page {
	t.Helper()
	var exe string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			exe = found
			break
		}
	}
	if exe == "" {
		t.Skip("no chromium on this machine")
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(exe), chromedp.UserDataDir(h.path("chromium")),
		chromedp.NoInheritEnv, chromedp.Env(h.environ()...), chromedp.ModifyCmdFunc(ownGroup)}
	for _, name := range chromiumFlags {
		options = append(options, chromedp.Flag(name, true))
	}
	running, kill := context.WithCancel(context.Background())
	browsers, _ := chromedp.NewExecAllocator(running, options...)
	ctx, stop := chromedp.NewContext(browsers)
	t.Cleanup(func() { kill(); stop() }) // stop waits until it is reaped: before the home looks for what is left
	// The first use starts the browser and binds its life to the context given: a
	// deadline there would end the browser later, hence the timer.
	limit := time.AfterFunc(time.Minute, kill)
	defer limit.Stop()
	p := &page{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatalf("starting %s: %v", exe, err)
	}
	return p
}

// ownGroup lets the browser's helpers end with it, and it with the tests.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// hear notes what the page complains of. It is called in the order of the
// browser's messages, so that nothing said before an answer is missed.
func (p *page) hear(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown, *log.EventEntryAdded:
	case *runtime.EventConsoleAPICalled:
		if e.Type != runtime.ConsoleAPICalledTypeError && e.Type != runtime.ConsoleAPICalledTypeWarning {
			return
		}
	default:
		return
	}
	text, err := json.Marshal(event)
	if err != nil {
		text = fmt.Append(nil, err, ": ", event)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, string(text))
}

// wrong lists what the page complained of.
func (p *page) wrong() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.said)
}

// forgive waits for a complaint that the test itself caused, and forgets it.
func (p *page) forgive(part string) {
	p.t.Helper()
	poll(p.t, 20*time.Second, "the page complains of: "+part, func() (bool, string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		i := slices.IndexFunc(p.said, func(s string) bool { return strings.Contains(s, part) })
		if i < 0 {
			return false, strings.Join(p.said, "\n")
		}
		p.said = slices.Delete(p.said, i, i+1)
		return true, ""
	})
}

// act runs one action within 30 s.
func act[T any](p *page, a chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		p.t.Fatalf("the browser: %v", err)
	}
	return v
}

// eval runs an expression in the page and reads its value.
func (p *page) eval(expression string, v any) {
	p.t.Helper()
	value := act(p, chromedp.Evaluate[[]byte](expression, chromedp.EvalAwaitPromise))
	if v == nil {
		return
	}
	if err := json.Unmarshal(value, v); err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
}

func (p *page) text(expression string) (s string) {
	p.t.Helper()
	p.eval("String("+expression+")", &s)
	return s
}

// until waits for an expression to hold.
func (p *page) until(what, expression string) {
	p.t.Helper()
	poll(p.t, 20*time.Second, what, func() (bool, string) {
		var ok bool
		p.eval("Boolean("+expression+")", &ok)
		return ok, tail(p.text("document.body ? document.body.innerText : ''"), 600)
	})
}

func (p *page) open(url string) {
	p.t.Helper()
	act(p, chromedp.Navigate(url))
}

// look sets size and colours.
func (p *page) look(width, height int64, scheme string) {
	p.t.Helper()
	act(p, command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500}))
	act(p, command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
}

// command is an action of the protocol that chromedp has no name for.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[R] {
	return func(ctx context.Context, t *chromedp.Target) (R, error) { return cdp.Call(ctx, t, c, params) }
}

// shot saves a picture where SLUICE_SHOTS says, if it does.
func (p *page) shot(name string) {
	p.t.Helper()
	dir := os.Getenv("SLUICE_SHOTS")
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), act(p, chromedp.CaptureScreenshot()), 0o644); err != nil {
		p.t.Error(err)
	}
}

// key presses a key of package kb where the focus is.
func (p *page) key(name string) {
	p.t.Helper()
	act(p, chromedp.KeyEvent(name))
}

// insert puts text where the focus is, in place of what is selected there.
func (p *page) insert(text string) {
	p.t.Helper()
	act(p, command(input.InsertText, input.InsertTextParams{Text: text}))
}

// click moves the mouse to a place in the window and presses its left button.
func (p *page) click(x, y float64) {
	p.t.Helper()
	act(p, chromedp.MouseEvent(chromedp.MouseMoved, x, y))
	act(p, chromedp.MouseClickXY(x, y))
}
