package web

import (
	"bytes"
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

func TestDistHoldsThePage(t *testing.T) {
	for _, name := range []string{"index.html", "icon.svg", "licenses.txt", "assets/app.js", "assets/app.css"} {
		if b, err := fs.ReadFile(Dist(), name); err != nil || len(b) == 0 {
			t.Errorf("dist/%s: %d bytes, %v", name, len(b), err)
		}
	}
}

func TestIndexCarriesItsBase(t *testing.T) {
	tests := []struct{ base, want string }{
		{"/", `<base href="/" />`},
		{"", `<base href="/" />`},
		{"/ops/sluice", `<base href="/ops/sluice/" />`},
		{"ops/", `<base href="/ops/" />`},
		{`/a"b/`, `<base href="/a&#34;b/" />`},
	}
	for _, test := range tests {
		page, err := Index(test.base)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(page, []byte(test.want)) {
			t.Errorf("Index(%q) lacks %s", test.base, test.want)
		}
	}
}

// The policy the server sends is default-src 'self': a script in the page, or
// an address on another host, would be refused by the browser.
func TestPageNeedsNothingFromElsewhere(t *testing.T) {
	page, err := Index("/")
	if err != nil {
		t.Fatal(err)
	}
	if regexp.MustCompile(`<script[^>]*>[^<]`).Match(page) {
		t.Error("index.html has an inline script")
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(string(page), -1) {
		if strings.Contains(m[1], "//") {
			t.Errorf("index.html refers to %s", m[1])
		}
	}
	css, err := fs.ReadFile(Dist(), "assets/app.css")
	if err != nil {
		t.Fatal(err)
	}
	if regexp.MustCompile(`url\(["']?(?:https?:)?//`).Match(css) {
		t.Error("app.css fetches from another host")
	}
}
