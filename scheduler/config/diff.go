package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Op is what happens to a document.
type Op string

const (
	Added   Op = "+"
	Removed Op = "-"
	Changed Op = "~"
)

// FieldChange is one value of a document before and after, as written; "" is
// one that is not there.
type FieldChange struct {
	Path string `json:"path"`
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

// Change is one document's part of a difference.
type Change struct {
	Op     Op            `json:"op"`
	Key    Key           `json:"document"`
	Fields []FieldChange `json:"fields,omitempty"`
}

// String writes "~ Target/ai-share  min 10% -> 20%".
func (c Change) String() string {
	var b strings.Builder
	b.WriteString(string(c.Op) + " " + c.Key.String())
	for i, f := range c.Fields {
		if i == 0 {
			b.WriteString("  ")
		} else {
			b.WriteString(", ")
		}
		switch {
		case f.Old == "":
			b.WriteString(f.Path + " " + f.New)
		case f.New == "":
			b.WriteString(f.Path + " " + f.Old + " -> none")
		default:
			b.WriteString(f.Path + " " + f.Old + " -> " + f.New)
		}
	}
	return b.String()
}

// Diff lists what turns one policy into another, in order of key; documents
// that are equal are not listed.
func Diff(before, after *Set) []Change {
	var out []Change
	add := func(op Op, key Key, old, now Document) {
		fields := diffFields(flatten(old), flatten(now))
		if op != Changed || len(fields) > 0 {
			out = append(out, Change{op, key, fields})
		}
	}
	var old, now []Document
	for d := range before.All() {
		old = append(old, d)
	}
	for d := range after.All() {
		now = append(now, d)
	}
	for len(old) > 0 || len(now) > 0 {
		c := 0
		switch {
		case len(old) == 0:
			c = 1
		case len(now) == 0:
			c = -1
		default:
			c = old[0].Key().Compare(now[0].Key())
		}
		switch {
		case c < 0:
			add(Removed, old[0].Key(), old[0], Document{})
			old = old[1:]
		case c > 0:
			add(Added, now[0].Key(), Document{}, now[0])
			now = now[1:]
		default:
			add(Changed, now[0].Key(), old[0], now[0])
			old, now = old[1:], now[1:]
		}
	}
	return out
}

// leaf is one written value with its path.
type leaf struct{ path, text string }

// flatten lists a document's values in their order.
func flatten(d Document) []leaf {
	body := d.Body()
	if body == nil {
		return nil
	}
	var out []leaf
	flattenFields(&out, "", reflect.ValueOf(body).Elem())
	return out
}

func flattenFields(out *[]leaf, path string, v reflect.Value) {
	present(v, func(f field, v reflect.Value) { flattenValue(out, join(path, f.key), f.unit, v) })
}

func flattenValue(out *[]leaf, path, unit string, v reflect.Value) {
	switch {
	case v.Kind() == reflect.Slice && compound(v.Type().Elem()):
		used := map[string]bool{}
		for i := range v.Len() {
			name := itemName(v.Index(i), i)
			if used[name] {
				name = fmt.Sprintf("%s#%d", name, i)
			}
			used[name] = true
			flattenFields(out, path+"["+name+"]", v.Index(i))
		}
	case v.Kind() == reflect.Slice:
		text, _ := flowText(unit, v)
		*out = append(*out, leaf{path, text})
	case compound(v.Type()):
		flattenFields(out, path, v)
	default:
		*out = append(*out, leaf{path, showScalar(unit, v)})
	}
}

// itemName calls a list's item by its name or date where it has one, so that
// one more item does not look like a change of all that follow.
func itemName(v reflect.Value, i int) string {
	for _, key := range []string{"name", "date"} {
		if f, ok := schemaOf(v.Type()).field(key); ok {
			return v.Field(f.index).String()
		}
	}
	return fmt.Sprint(i)
}

func diffFields(before, after []leaf) []FieldChange {
	old := make(map[string]string, len(before))
	for _, l := range before {
		old[l.path] = l.text
	}
	var out []FieldChange
	seen := make(map[string]bool, len(after))
	for _, l := range after {
		seen[l.path] = true
		if old[l.path] != l.text {
			out = append(out, FieldChange{l.path, old[l.path], l.text})
		}
	}
	for _, l := range before {
		if !seen[l.path] {
			out = append(out, FieldChange{Path: l.path, Old: l.text})
		}
	}
	return out
}
