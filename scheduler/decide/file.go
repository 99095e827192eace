package decide

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of the files. They are far above any fleet; what Validate allows
// beyond them would only fill the memory of whoever reads a stranger's file.
const (
	MaxFile        = 256 << 20 // bytes
	maxDepthOfFile = 4096      // lists and objects in one another
	maxClasses     = 20_000    // classes, tenants, coins: the solver's tables are as long as these
)

// FileError is the first defect of a problem or result file.
type FileError struct {
	Line    int    // from 1
	Path    string // such as offers[3].width; empty: the file as a whole
	Problem string
}

// Error gives place and cause.
func (e *FileError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("line %d: %s", e.Line, e.Problem)
	}
	return fmt.Sprintf("line %d: %s: %s", e.Line, e.Path, e.Problem)
}

// ParseProblem reads the JSON form of a Problem, which Fields describes. It is
// strict: a field that is unknown, given twice, missing without a default, or
// of another kind than its unit asks for is a *FileError. The figures
// themselves are judged by Validate.
func ParseProblem(data []byte) (Problem, error) {
	var p Problem
	if err := parse(data, &p, Fields); err != nil {
		return Problem{}, err
	}
	return p, nil
}

// ParseResult reads the JSON form of a Result as strictly. Whether it is true
// is for Verify to say.
func ParseResult(data []byte) (Result, error) {
	var r Result
	if err := parse(data, &r, nil); err != nil {
		return Result{}, err
	}
	return r, nil
}

// BudgetOf spreads a number of work units, counted in pivots of the relaxation,
// over all parts of Solve in the proportion of the defaults; 0 or less is the
// default. Some sweeps over prices are always made: without them the first
// bound is worth nothing.
func BudgetOf(units int64) Budget {
	if units <= 0 {
		return Budget{}
	}
	units = min(units, 1<<40)
	part := func(of int64) int64 { return max(1, units*of/defaultPivots) }
	return Budget{PriceSweeps: max(40, part(defaultSweeps)), Moves: part(defaultMoves), Nodes: part(defaultNodes), Pivots: units}
}

func parse(data []byte, into any, docs []Field) error {
	if len(data) > MaxFile {
		return &FileError{Line: 1, Problem: fmt.Sprintf("is larger than %d MiB", MaxFile>>20)}
	}
	if !utf8.Valid(data) {
		return &FileError{Line: 1, Problem: "is not UTF-8 text"}
	}
	r := &fileReader{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	r.dec.UseNumber()
	v := reflect.ValueOf(into).Elem()
	if err := r.value(planOf(v.Type(), "", docs, map[reflect.Type]*shape{}), v); err != nil {
		return err
	}
	if _, err := r.dec.Token(); err != io.EOF {
		return r.fail("goes on after its end")
	}
	return nil
}

// shape is what a place of a file must hold.
type shape struct {
	doc    Field
	fields map[string]*shape // of an object
	index  map[string]int
	names  []string // in order
	must   []bool   // per name: no default
	elem   *shape   // of a list
}

// planOf is the shape of a type. Fields of the problem are told apart by their
// path; without docs every type has one shape, so that types may hold
// themselves.
func planOf(t reflect.Type, path string, docs []Field, known map[reflect.Type]*shape) *shape {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s := known[t]; s != nil && docs == nil {
		return s
	}
	s := &shape{}
	known[t] = s
	if i := slices.IndexFunc(docs, func(f Field) bool { return f.Path == path }); i >= 0 {
		s.doc = docs[i]
	}
	switch t.Kind() {
	case reflect.Slice:
		s.elem = planOf(t.Elem(), path+"[]", docs, known)
	case reflect.Struct:
		s.fields, s.index = map[string]*shape{}, map[string]int{}
		for i := range t.NumField() {
			name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if name == "" || name == "-" {
				continue
			}
			f := planOf(t.Field(i).Type, strings.TrimPrefix(path+"."+name, "."), docs, known)
			s.fields[name], s.index[name], s.names = f, i, append(s.names, name)
			optional := strings.Contains(options, "omit")
			if docs != nil {
				optional = f.doc.Default != Required
			}
			s.must = append(s.must, !optional)
		}
	}
	return s
}

type fileReader struct {
	data []byte
	dec  *json.Decoder
	at   []place
}

// place is one step into the document: a name, or a position in a list.
type place struct {
	name string
	i    int
}

func (r *fileReader) path() string {
	var b strings.Builder
	for _, p := range r.at {
		switch {
		case p.name == "":
			fmt.Fprintf(&b, "[%d]", p.i)
		case b.Len() > 0:
			b.WriteString("." + p.name)
		default:
			b.WriteString(p.name)
		}
	}
	return b.String()
}

func (r *fileReader) fail(format string, args ...any) error {
	end := min(int(r.dec.InputOffset()), len(r.data))
	return &FileError{Line: 1 + bytes.Count(r.data[:end], []byte("\n")), Path: r.path(), Problem: fmt.Sprintf(format, args...)}
}

func (r *fileReader) token() (json.Token, error) {
	t, err := r.dec.Token()
	if err == nil {
		return t, nil
	}
	if s := err.Error(); strings.HasSuffix(s, "EOF") {
		return nil, r.fail("the file ends here, in the middle")
	}
	return nil, r.fail("is not JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
}

func (r *fileReader) value(s *shape, v reflect.Value) error {
	t, err := r.token()
	if err != nil {
		return err
	}
	if v.Kind() == reflect.Pointer {
		if t == nil {
			return nil
		}
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if len(r.at) > maxDepthOfFile {
		return r.fail("is nested deeper than %d", maxDepthOfFile)
	}
	switch v.Kind() {
	case reflect.Struct:
		return r.object(t, s, v)
	case reflect.Slice:
		return r.list(t, s, v)
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Int8, reflect.Uint64:
		return r.number(t, s, v)
	case reflect.String:
		x, ok := t.(string)
		if !ok {
			return r.fail("is %s, where a text in quotes belongs", kindOf(t))
		}
		v.SetString(x)
	case reflect.Bool:
		x, ok := t.(bool)
		if !ok {
			return r.fail("is %s, where true or false belongs", kindOf(t))
		}
		v.SetBool(x)
	default:
		return r.fail("cannot be read") // the test of Fields keeps such kinds out
	}
	return nil
}

func (r *fileReader) object(t json.Token, s *shape, v reflect.Value) error {
	if t != json.Delim('{') {
		return r.fail("is %s, where an object belongs", kindOf(t))
	}
	seen := make([]bool, v.NumField())
	for r.dec.More() {
		t, err := r.token()
		if err != nil {
			return err
		}
		name, _ := t.(string)
		f := s.fields[name]
		if f == nil {
			return r.fail("has no field %q; it takes %s", name, strings.Join(s.names, ", "))
		}
		if seen[s.index[name]] {
			return r.fail("has %q twice", name)
		}
		seen[s.index[name]] = true
		r.at = append(r.at, place{name: name})
		if err := r.value(f, v.Field(s.index[name])); err != nil {
			return err
		}
		r.at = r.at[:len(r.at)-1]
	}
	if _, err := r.token(); err != nil {
		return err
	}
	for i, name := range s.names {
		if seen[s.index[name]] {
			continue
		}
		if s.must[i] {
			return r.fail("has no %q%s", name, inUnit(", ", s.fields[name].doc.Unit))
		}
		if d, err := strconv.ParseInt(s.fields[name].doc.Default, 10, 64); err == nil && d != 0 {
			v.Field(s.index[name]).SetInt(d)
		}
	}
	return nil
}

func (r *fileReader) list(t json.Token, s *shape, v reflect.Value) error {
	if t == nil { // how encoding/json writes a list that was never made
		return nil
	}
	if t != json.Delim('[') {
		return r.fail("is %s, where a list belongs", kindOf(t))
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 4))
	r.at = append(r.at, place{})
	for i := 0; r.dec.More(); i++ {
		r.at[len(r.at)-1].i = i
		if i == v.Cap() {
			v.Grow(i)
		}
		v.SetLen(i + 1)
		if err := r.value(s.elem, v.Index(i)); err != nil {
			return err
		}
		if s.doc.Path == "classes" && i == maxClasses {
			return r.fail("is one class too many; a file holds %d", maxClasses)
		}
	}
	r.at = r.at[:len(r.at)-1]
	_, err := r.token()
	return err
}

func (r *fileReader) number(t json.Token, s *shape, v reflect.Value) error {
	whole := "a whole number" + inUnit(" of ", s.doc.Unit)
	n, ok := t.(json.Number)
	if !ok {
		return r.fail("is %s, where %s belongs", kindOf(t), whole)
	}
	if v.Kind() == reflect.Uint64 {
		x, err := strconv.ParseUint(n.String(), 10, 64)
		if err != nil {
			return r.fail("is %s, where %s from 0 to 18446744073709551615 belongs", brief(n.String()), whole)
		}
		v.SetUint(x)
		return nil
	}
	x, err := strconv.ParseInt(n.String(), 10, v.Type().Bits())
	switch {
	case err == nil:
	case strings.ContainsAny(n.String(), ".eE"):
		return r.fail("is %s, where %s belongs, without point or exponent", brief(n.String()), whole)
	default:
		return r.fail("is %s, which is beyond any figure here; %s belongs here", brief(n.String()), whole)
	}
	if (s.doc.Path == "tenants" || s.doc.Path == "coins") && x > maxClasses {
		return r.fail("is %d; a file holds at most %d", x, maxClasses)
	}
	v.SetInt(x)
	return nil
}

func inUnit(before, unit string) string {
	if unit == "" {
		return ""
	}
	return before + unit
}

func brief(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

func kindOf(t json.Token) string {
	switch x := t.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(x)
	case string:
		return "the text " + strconv.Quote(brief(strings.ToValidUTF8(x, "?")))
	case json.Number:
		return brief(x.String())
	case json.Delim:
		if x == '[' {
			return "a list"
		}
		return "an object"
	}
	return "something else"
}
