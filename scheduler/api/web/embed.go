// Package web carries the dashboard: its sources and, under dist, the build
// that the server hands out. The build is committed, so that building the
// product needs no Node; `npm ci && npm run build` in this folder renews it.
package web

import (
	"bytes"
	"embed"
	"html"
	"io/fs"
	"strings"
)

//go:embed all:dist
var files embed.FS

// Dist returns the built files: index.html, icon.svg, assets, and the licences
// of the packages in the bundle.
func Dist() fs.FS {
	sub, err := fs.Sub(files, "dist")
	if err != nil {
		panic(err) // the name is a constant and the folder is embedded
	}
	return sub
}

// Index returns index.html for a dashboard reached under base, such as "/" or
// "/sluice/". Every relative address of the page, assets and API alike, starts
// there, so one build serves any path; paths the server does not know answer
// with this page too.
func Index(base string) ([]byte, error) {
	if !strings.HasPrefix(base, "/") {
		base = "/" + base
	}
	if !strings.HasSuffix(base, "/") {
		base += "/"
	}
	page, err := fs.ReadFile(Dist(), "index.html")
	if err != nil {
		return nil, err
	}
	return bytes.Replace(page, []byte(`<base href="/" />`), []byte(`<base href="`+html.EscapeString(base)+`" />`), 1), nil
}
