package config

import (
	"reflect"
	"strings"
	"sync"
)

// field is one key of a document, read from its struct tag.
type field struct {
	key      string
	unit     string
	required bool
	index    int
}

// schema lists the keys of a struct in order.
type schema struct {
	fields []field
	keys   []string
}

var schemas sync.Map // of reflect.Type to *schema; a cache of what tags say

func schemaOf(t reflect.Type) *schema {
	if s, ok := schemas.Load(t); ok {
		return s.(*schema)
	}
	s := new(schema)
	for i := range t.NumField() {
		tag, ok := t.Field(i).Tag.Lookup("doc")
		if !ok {
			continue
		}
		// The unit of an enumeration contains no comma.
		parts := strings.Split(tag, ",")
		f := field{key: parts[0], index: i}
		if len(parts) > 1 {
			f.unit = parts[1]
		}
		f.required = len(parts) > 2 && parts[2] == "required"
		s.fields = append(s.fields, f)
		s.keys = append(s.keys, f.key)
	}
	schemas.Store(t, s)
	return s
}

func (s *schema) field(key string) (field, bool) {
	for _, f := range s.fields {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

// didYouMean names the nearest of the options, or nothing where none is near.
func didYouMean(text string, options []string) string {
	if best := nearest(text, options); best != "" {
		return " - did you mean \"" + best + "\"?"
	}
	return ""
}

func nearest(text string, options []string) string {
	best, least := "", 1+max(len(text), 2)/2
	for _, o := range options {
		d := distance(strings.ToLower(text), strings.ToLower(o))
		// "gpu_count" is near "gpus" by its beginning.
		if n := commonPrefix(text, o); n >= 3 && n >= len(o)-1 {
			d = min(d, 2)
		}
		if d < least {
			best, least = o, d
		}
	}
	return best
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// distance is Levenshtein's with exchanges of neighbours; long texts are not
// compared.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var rows [3][65]int
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur, prev, before := &rows[i%3], &rows[(i-1)%3], &rows[(i+1)%3]
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(cur[j-1]+1, prev[j]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}
