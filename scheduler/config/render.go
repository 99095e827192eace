package config

import (
	"reflect"
	"strconv"
	"strings"
)

// Render writes a document in its canonical form, which Parse reads back to an
// equal document.
func Render(d Document) []byte {
	var b strings.Builder
	b.WriteString("kind: " + string(d.Kind) + "\n")
	b.WriteString(d.nameKey() + ": " + quote(d.Name, false) + "\n")
	if body := d.Body(); body != nil {
		renderFields(&b, "", reflect.ValueOf(body).Elem())
	}
	return []byte(b.String())
}

// RenderAll writes documents one after the other, separated by "---".
func RenderAll(docs ...Document) []byte {
	parts := make([]string, len(docs))
	for i, d := range docs {
		parts[i] = string(Render(d))
	}
	return []byte(strings.Join(parts, "---\n"))
}

// present yields the fields to write: those that are required or not zero.
func present(v reflect.Value, yield func(f field, v reflect.Value)) {
	for _, f := range schemaOf(v.Type()).fields {
		fv := v.Field(f.index)
		if fv.IsZero() && !f.required || fv.Kind() == reflect.Slice && fv.Len() == 0 {
			continue
		}
		if fv.Kind() == reflect.Pointer {
			fv = fv.Elem()
		}
		if fv.IsValid() {
			yield(f, fv)
		}
	}
}

const flowWidth = 110

func renderFields(b *strings.Builder, indent string, v reflect.Value) {
	present(v, func(f field, v reflect.Value) {
		if text, ok := flowText(f.unit, v); ok && len(indent)+len(f.key)+2+len(text) <= flowWidth || v.Kind() != reflect.Slice && !compound(v.Type()) {
			if v.Kind() != reflect.Slice && !compound(v.Type()) {
				text = quote(showScalar(f.unit, v), false)
			}
			b.WriteString(indent + f.key + ": " + text + "\n")
			return
		}
		b.WriteString(indent + f.key + ":\n")
		if v.Kind() == reflect.Slice {
			for i := range v.Len() {
				renderItem(b, indent+"  ", f.unit, v.Index(i))
			}
			return
		}
		renderFields(b, indent+"  ", v)
	})
}

func renderItem(b *strings.Builder, indent, unit string, v reflect.Value) {
	if !compound(v.Type()) {
		b.WriteString(indent + "- " + quote(showScalar(unit, v), false) + "\n")
		return
	}
	if text, ok := flowText(unit, v); ok && len(indent)+2+len(text) <= flowWidth {
		b.WriteString(indent + "- " + text + "\n")
		return
	}
	var inner strings.Builder
	renderFields(&inner, indent+"  ", v)
	b.WriteString(indent + "- " + strings.TrimPrefix(inner.String(), indent+"  "))
}

// flowText writes a value in brackets if it is flat enough to be read so: lists
// of scalars, and keys with such values one level deep.
func flowText(unit string, v reflect.Value) (string, bool) {
	switch {
	case v.Kind() == reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			if compound(v.Type().Elem()) {
				return "", false
			}
			parts[i] = quote(showScalar(unit, v.Index(i)), true)
		}
		return "[" + strings.Join(parts, ", ") + "]", true
	case compound(v.Type()):
		var parts []string
		flat := true
		present(v, func(f field, v reflect.Value) {
			if compound(v.Type()) || v.Kind() == reflect.Slice && compound(v.Type().Elem()) {
				// One more level is readable for a short pair, such as cooling: {pue: 1.28}.
				text, ok := flowText(f.unit, v)
				flat = flat && ok && len(text) <= 40
				parts = append(parts, f.key+": "+text)
				return
			}
			if v.Kind() == reflect.Slice {
				text, _ := flowText(f.unit, v)
				parts = append(parts, f.key+": "+text)
				return
			}
			parts = append(parts, f.key+": "+quote(showScalar(f.unit, v), true))
		})
		return "{" + strings.Join(parts, ", ") + "}", flat
	}
	return "", false
}

// quote writes a scalar plainly where no reader of YAML can take it for
// anything else, and in double quotes otherwise.
func quote(s string, flow bool) string {
	if plainSafe(s, flow) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func plainSafe(s string, flow bool) bool {
	if s == "" || strings.TrimSpace(s) != s || strings.ContainsAny(s, "\n\t\"'\\`") {
		return false
	}
	switch strings.ToLower(s) {
	case "null", "~", "yes", "no", "on", "off", "y", "n", ".nan", ".inf", "-.inf", "+.inf":
		return false
	}
	if strings.Contains(s, ": ") || strings.Contains(s, " #") || strings.HasSuffix(s, ":") || flow && strings.ContainsAny(s, "[]{},:") {
		return false
	}
	switch c := s[0]; {
	case alphanumeric(c):
		// 17:00-21:00 is base sixty to old readers.
		return strings.Count(s, ":") == 0 || !digits(s[:strings.IndexByte(s, ':')])
	case c == '/' || c == '.' || c == '(' || c == '$':
		return true
	case c == '-':
		return len(s) > 1 && s[1] >= '0' && s[1] <= '9'
	}
	return false
}

func digits(s string) bool { _, err := strconv.Atoi(s); return err == nil }
