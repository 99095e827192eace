package config

import (
	"github.com/goccy/go-yaml/ast"
)

// LocateJob places a fault that only the cluster could find, such as a gang
// larger than the fleet: the error names the file, line and column of a path in
// a job that ParseJob accepted, or of its first key above that is written.
func LocateJob(file string, data []byte, path, text string) error {
	return locate(file, data, path, text, func(r *reader, n ast.Node) bool {
		r.job(n)
		return true
	})
}

// Locate does the same for one document of a file that Parse accepted. A
// document that the file does not hold is named without a place.
func Locate(file string, data []byte, key Key, path, text string) error {
	return locate(file, data, path, text, func(r *reader, n ast.Node) bool {
		d, _, ok := r.document(n)
		return ok && d.Key() == key
	})
}

func locate(file string, data []byte, path, text string, read func(*reader, ast.Node) bool) error {
	r, nodes, err := open(file, data)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if read(r, n) {
			r.list = nil
			r.fault(r.placeOf(path), path, "%s", text)
			return r.err()
		}
	}
	return nil
}
