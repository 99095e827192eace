package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// pages are the files of the dashboard, held in memory under tags of their
// content, so that a browser asks again and is told "as before".
type pages struct {
	files map[string]page // by path with a leading slash
}

type page struct {
	data []byte
	kind string
	tag  string
}

const indexPage = "/index.html"

func readPages(dist fs.FS) (*pages, error) {
	p := &pages{files: map[string]page{}}
	if dist == nil {
		return p, nil
	}
	err := fs.WalkDir(dist, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		kind := mime.TypeByExtension(path.Ext(name))
		if kind == "" {
			kind = "application/octet-stream"
		}
		sum := sha256.Sum256(data)
		p.files["/"+name] = page{data: data, kind: kind, tag: `"` + hex.EncodeToString(sum[:16]) + `"`}
		return nil
	})
	return p, err
}

func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeError(w, http.StatusMethodNotAllowed, workload.Errorf(workload.Invalid, "%.20q is not a method of a page", r.Method))
		return
	}
	f, ok := p.files[r.URL.Path]
	if !ok && !strings.HasPrefix(r.URL.Path, "/assets/") { // the page itself knows its paths
		f, ok = p.files[indexPage]
	}
	if !ok {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("There is no such page here. The API is below /api/v1/.\n"))
		return
	}
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", f.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
}
