package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
)

// decimals is a micro amount as the pages write it, rounded half away from zero.
func decimals(micro int64, digits int) string {
	sign := ""
	if micro < 0 {
		sign, micro = "\u2212", -micro
	}
	unit := int64(1)
	for range 6 - digits {
		unit *= 10
	}
	micro += unit / 2
	s := fmt.Sprintf("%d.%06d", micro/1_000_000, micro%1_000_000)
	return sign + s[:len(s)-6+digits]
}

// hyphen is what stands before a negative figure in the server's sentences; the
// page sets a true minus there.
var hyphen = regexp.MustCompile(`(^|[\s(])-\b`)

// A newcomer's first look in a real browser.
func TestBrowserShowsTheDemo(t *testing.T) {
	t.Parallel() // it mostly waits
	d := startDemo(t)
	d.write("steady.yaml", tariff("0.03"))
	d.must("", "policy", "apply", "-f", "steady.yaml", "--yes")
	d.settled(t, 3, 17)
	if code, head, body := d.rest(t, "GET", "/", "", ""); code != http.StatusOK || !strings.Contains(head.Get("Content-Security-Policy"), "default-src 'none'") ||
		strings.Contains(string(body), d.ready.Env["SLUICE_TOKEN"]) {
		t.Errorf("page: %d, policy %q", code, head.Get("Content-Security-Policy"))
	}
	p := openChromium(t, d.home)
	p.look(1440, 1000, "light")
	began := time.Now()
	p.open(d.ready.HTTP + "/#token=" + d.ready.Env["SLUICE_TOKEN"])
	p.until("the fleet page is drawn", "document.querySelector('.kpis') && document.querySelector('[role=application]')")
	figure(t, "fleet page drawn %.2f s after it was opened", time.Since(began).Seconds())
	if at := p.text("location.href"); strings.Contains(at, "token") || strings.Contains(at, "#") {
		t.Errorf("the address bar shows %s", at)
	}
	// The figures are those of the interface.
	var shown string
	poll(t, 20*time.Second, "the page shows the figures of the interface", func() (bool, string) {
		s := d.status()
		shown = p.text("document.querySelector('.kpis').innerText")
		want := []string{decimals(s.MoneyPerHour.Net, 3), decimals(s.MoneyPerHour.Revenue, 3), decimals(-s.MoneyPerHour.Energy, 3), "3 of 16", "18.8"}
		for _, w := range want {
			if !strings.Contains(shown, w) {
				return false, "no " + w + " in " + shown
			}
		}
		return true, ""
	})
	p.checkHeatMap(t, d)
	p.shot("fleet-light")
	p.look(1440, 1000, "dark")
	p.until("dark colours", "getComputedStyle(document.body).backgroundColor === 'rgb(13, 15, 18)'")
	p.shot("fleet-dark")
	p.checkPhone(t, "fleet-390")
	p.checkWhy(t, d)
	p.checkSubmit(t, d)
	for _, bad := range p.wrong() {
		t.Errorf("the page reports: %.400s", bad)
	}
	d.stop(t)
}

// enterMap gives the map a row for every device, and the focus.
func (p *page) enterMap() {
	p.t.Helper()
	p.eval("document.querySelectorAll('.labels button[aria-expanded=false]').forEach((b) => b.click())", nil) // racks may be closed
	p.eval("document.querySelector('[role=application]').focus()", nil)
}

// spoken is the device that the map's cursor is on, as a screen reader hears it.
func (p *page) spoken() string {
	p.t.Helper()
	id, _, _ := strings.Cut(p.text("document.querySelector('.hm [aria-live]').innerText"), ",")
	return id
}

// checkHeatMap walks the map with the keyboard: every device has a row.
func (p *page) checkHeatMap(t *testing.T, d *demo) {
	t.Helper()
	p.enterMap()
	seen := map[string]bool{}
	p.key(kb.Home)
	for range 40 {
		p.key(kb.ArrowDown)
		seen[p.spoken()] = true
	}
	p.key(kb.Home)
	seen[p.spoken()] = true
	for _, g := range d.gpus() {
		if !seen[g.ID] {
			t.Errorf("the heat map has no row for %s; it has %v", g.ID, seen)
		}
	}
}

// checkPhone: at 390 px nothing scrolls sideways.
func (p *page) checkPhone(t *testing.T, name string) {
	t.Helper()
	p.look(390, 844, "light")
	p.until("the phone's layout", "innerWidth === 390")
	var wide int
	p.eval("document.scrollingElement.scrollWidth - innerWidth", &wide)
	if wide > 0 {
		t.Errorf("%s: the page is %d px wider than a phone", name, wide)
	}
	p.shot(name)
	p.look(1440, 1000, "light")
}

// checkClick opens a device with the mouse and comes back.
func (p *page) checkClick(t *testing.T) {
	t.Helper()
	p.enterMap()
	p.key(kb.Home)
	id := p.spoken()
	// The cursor's frame says where the row is; the mouse has to find the same one.
	var at struct{ X, Y float64 }
	p.eval(`(() => { const hit = document.querySelector('.hm .hit'); hit.scrollIntoView({ block: 'center' });
		const r = hit.getBoundingClientRect(); return { X: r.x + r.width / 2, Y: r.y + r.height / 2 }; })()`, &at)
	p.click(at.X, at.Y)
	p.until("the page of "+id+" after a click", "decodeURIComponent(location.pathname) === "+strconv.Quote("/why/gpu/"+id)+" && document.querySelector('.verdict')")
	p.eval("history.back()", nil)
	p.until("the fleet page again", "document.querySelector('[role=application]')")
}

// checkWhy opens a device from the map, by mouse and by keyboard, and holds its
// page against explain.
func (p *page) checkWhy(t *testing.T, d *demo) {
	t.Helper()
	p.checkClick(t)
	p.enterMap()
	p.key(kb.End)
	p.key(kb.Enter)
	p.until("a device's page", "location.pathname.startsWith('/why/gpu/') && document.querySelector('.verdict')")
	id := strings.TrimPrefix(p.text("decodeURIComponent(location.pathname)"), "/why/gpu/")
	poll(t, 20*time.Second, "the page says what explain says", func() (bool, string) {
		var x struct {
			Verdict string
			Now     struct{ Gross, Risk, Energy, Net int64 }
		}
		d.json(&x, "explain", "gpu", id)
		main := p.text("document.querySelector('.main').innerText")
		for _, w := range []string{hyphen.ReplaceAllString(x.Verdict, "${1}\u2212"), decimals(x.Now.Net, 4), decimals(x.Now.Gross, 4)} {
			if !strings.Contains(main, w) {
				return false, fmt.Sprintf("%q is not in %s", w, main)
			}
		}
		return true, ""
	})
	p.shot("why-light")
	p.look(1440, 1000, "dark")
	p.shot("why-dark")
	p.checkPhone(t, "why-390")
}

// checkSubmit sends a job through the page.
func (p *page) checkSubmit(t *testing.T, d *demo) {
	t.Helper()
	p.eval("[...document.querySelectorAll('nav a')].find((a) => a.textContent.includes('Jobs')).click()", nil)
	p.until("the jobs page", "document.querySelector('textarea')")
	p.eval("(() => { const t = document.querySelector('textarea'); t.focus(); t.select(); })()", nil)
	p.insert(oneGPU("from-the-page", "0.44", 100_000))
	p.eval("[...document.querySelectorAll('button')].find((b) => b.textContent === 'Submit job').click()", nil)
	p.until("the page says it is submitted", "document.body.innerText.includes('Submitted as')")
	var list []job
	d.json(&list, "job", "list")
	found := false
	for _, j := range list {
		found = found || j.Name == "from-the-page"
	}
	if !found {
		t.Errorf("no job came from the page: %+v", list)
	}
	p.until("the list shows it", "document.querySelector('table') && document.querySelector('table').innerText.includes('from-the-page')")
	p.shot("jobs-light")
	// What is wrong is shown with its place.
	p.eval("(() => { const t = document.querySelector('textarea'); t.focus(); t.select(); })()", nil)
	p.insert("kind: Job\nname: x\ngang: {gpu: 1}\n")
	p.eval("[...document.querySelectorAll('button')].find((b) => b.textContent === 'Submit job').click()", nil)
	p.until("the page shows the fault", "document.querySelector('[role=alert]') && document.querySelector('[role=alert]').innerText.includes('did you mean')")
	p.shot("jobs-fault")
	p.forgive("status of 400") // the browser notes the answer itself
}

// What a page complains of is heard, or the test above could not fail by it.
func TestBrowserHearsComplaints(t *testing.T) {
	t.Parallel()
	p := openChromium(t, newHome(t))
	p.open("data:text/html,<script>console.info('fine');console.warn('odd');console.error('bad');setTimeout(() => { throw new Error('thrown') })</script>")
	for _, part := range []string{"odd", "bad", "thrown"} {
		p.forgive(part)
	}
	if rest := p.wrong(); len(rest) > 0 {
		t.Errorf("the page complains too of %q", rest)
	}
}
