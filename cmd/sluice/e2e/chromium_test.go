package e2e

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// page is one tab of a real Chromium, driven over its debugging pipe: messages
// of JSON that end in a zero byte, on file descriptors 3 and 4. That needs no
// library and opens no port.
type page struct {
	t       testing.TB
	in      *os.File
	session string

	mu      sync.Mutex
	last    int
	answers map[int]chan message
	said    []string // what the console and the log of the page reported as wrong
}

type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

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
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
		"--user-data-dir="+h.path("chromium"), "about:blank")
	cmd.Env, cmd.ExtraFiles = h.environ(), []*os.File{theirIn, theirOut}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	t.Cleanup(func() { // before the home looks for what is left
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		in.Close()
		out.Close()
	})
	p := &page{t: t, in: in, answers: map[int]chan message{}}
	go p.read(out)
	var target struct{ TargetID string }
	p.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	p.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		p.call(domain+".enable", nil, nil)
	}
	return p
}

func (p *page) read(out *os.File) {
	r := bufio.NewReaderSize(out, 1<<20)
	for {
		data, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(data[:len(data)-1], &m) != nil {
			continue
		}
		p.mu.Lock()
		switch m.Method {
		case "Runtime.exceptionThrown", "Log.entryAdded":
			p.said = append(p.said, string(m.Params))
		case "Runtime.consoleAPICalled":
			if strings.Contains(string(m.Params), `"type":"error"`) || strings.Contains(string(m.Params), `"type":"warning"`) {
				p.said = append(p.said, string(m.Params))
			}
		}
		if c := p.answers[m.ID]; c != nil && m.ID != 0 {
			delete(p.answers, m.ID)
			c <- m
		}
		p.mu.Unlock()
	}
}

func (p *page) call(method string, params map[string]any, result any) {
	p.t.Helper()
	p.mu.Lock()
	p.last++
	id, c := p.last, make(chan message, 1)
	p.answers[id] = c
	p.mu.Unlock()
	m := map[string]any{"id": id, "method": method, "params": params}
	if params == nil {
		delete(m, "params")
	}
	if p.session != "" {
		m["sessionId"] = p.session
	}
	data, err := json.Marshal(m)
	if err == nil {
		_, err = p.in.Write(append(data, 0))
	}
	if err != nil {
		p.t.Fatalf("%s: %v", method, err)
	}
	select {
	case a := <-c:
		if a.Error != nil {
			p.t.Fatalf("%s: %s", method, a.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(a.Result, result); err != nil {
				p.t.Fatalf("%s: %v", method, err)
			}
		}
	case <-time.After(30 * time.Second):
		p.t.Fatalf("%s: no answer within 30 s", method)
	}
}

// eval runs an expression in the page and reads its value.
func (p *page) eval(expression string, v any) {
	p.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Exception struct{ Description string }
		}
	}
	p.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		p.t.Fatalf("%s: %s", expression, r.ExceptionDetails.Exception.Description)
	}
	if v != nil && len(r.Result.Value) > 0 {
		if err := json.Unmarshal(r.Result.Value, v); err != nil {
			p.t.Fatalf("%s: %v", expression, err)
		}
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

func (p *page) open(url string) { p.call("Page.navigate", map[string]any{"url": url}, nil) }

// look sets size and colours.
func (p *page) look(width, height int, scheme string) {
	p.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
	p.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// shot saves a picture where SLUICE_SHOTS says, if it does.
func (p *page) shot(name string) {
	dir := os.Getenv("SLUICE_SHOTS")
	if dir == "" {
		return
	}
	var r struct{ Data string }
	p.call("Page.captureScreenshot", map[string]any{"format": "png"}, &r)
	data, err := base64.StdEncoding.DecodeString(r.Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644)
	}
	if err != nil {
		p.t.Error(err)
	}
}

// key presses a named key where the focus is.
func (p *page) key(name string) {
	codes := map[string]int{"ArrowDown": 40, "ArrowUp": 38, "Home": 36, "End": 35, "Enter": 13}
	for _, kind := range []string{"rawKeyDown", "keyUp"} {
		p.call("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": name, "code": name, "windowsVirtualKeyCode": codes[name]}, nil)
	}
}

// wrong lists what the page complained of.
func (p *page) wrong() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.said...)
}

func quoteJS(s string) string {
	data, _ := json.Marshal(s)
	return string(data)
}

func clickJS(selector string) string {
	return fmt.Sprintf("document.querySelector(%s).click()", quoteJS(selector))
}
