package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// place is a position in a file, both from 1.
type place struct{ line, column int }

// reader reads one file and collects its faults.
type reader struct {
	file   string
	lines  []string
	list   []*Error
	places map[string]place // of the paths of the document being read
	first  place            // of that document
	// notBuilt names keys that are refused with a sentence of their own.
	notBuilt map[string]string
	// faulted are the paths of the document with a fault already: what follows
	// from it is not reported again.
	faulted []string
}

// Parse reads every policy document of a file, separated by lines of "---".
// The error is an *Errors with every fault up to MaxErrors; each document is
// complete and valid by itself when there is none. References between
// documents are checked by Validate.
func Parse(file string, data []byte) ([]Document, error) {
	r, nodes, err := open(file, data)
	if err != nil {
		return nil, err
	}
	var docs []Document
	seen := map[Key]place{}
	for _, n := range nodes {
		before := len(r.list)
		d, at, ok := r.document(n)
		if !ok || len(r.list) > before {
			continue
		}
		if _, dup := seen[d.Key()]; dup {
			r.fault(at, "", "a second document named %s in this file", d.Key())
			continue
		}
		seen[d.Key()] = at
		docs = append(docs, d)
	}
	if len(nodes) == 0 {
		r.fault(place{1, 1}, "", "contains no document")
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return docs, nil
}

// open checks the text and hands it to the library.
func open(file string, data []byte) (*reader, []ast.Node, error) {
	// Some editors put a byte order mark first; inside the text it is refused.
	data = []byte(strings.TrimPrefix(string(data), "\ufeff"))
	r := &reader{file: file}
	if f, refused := scan(data); refused {
		// Lines are split here only up to the fault: the file may be hostile.
		head := data[:min(f.offset, len(data), maxBytes)]
		from := max(strings.LastIndexByte(string(head), '\n')+1, 0)
		prev := max(strings.LastIndexByte(string(head[:max(from-1, 0)]), '\n')+1, 0)
		end := min(len(data), f.offset+200)
		if i := strings.IndexByte(string(data[min(f.offset, end):end]), '\n'); i >= 0 {
			end = min(f.offset, end) + i
		}
		line := 1 + strings.Count(string(head), "\n")
		e := &Error{File: file, Line: line, Column: 1 + utf8.RuneCount(head[from:]), Text: f.text}
		if len(data) <= maxBytes && end-prev <= 4096 {
			shown := make([]string, line)
			copy(shown[max(line-2, 0):], strings.Split(string(data[prev:end]), "\n"))
			e.Snippet = snippet(shown, line)
		}
		return nil, nil, &Errors{List: []*Error{e}}
	}
	r.lines = strings.Split(string(data), "\n")
	tokens := lexer.Tokenize(string(data))
	if at, text := checkTokens(tokens); text != "" {
		r.fault(at, "", "%s", text)
		return nil, nil, r.err()
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil, nil, r.err()
	}
	var nodes []ast.Node
	for _, d := range f.Docs {
		if d.Body != nil && d.Body.Type() != ast.NullType {
			nodes = append(nodes, d.Body)
		}
	}
	return r, nodes, nil
}

// checkTokens judges once more what the library's own lexer made of the text,
// so that a difference between its reading and the scanner's costs nothing.
func checkTokens(tokens token.Tokens) (place, string) {
	depth, columns := 0, map[int]int{}
	if len(tokens) > 8*maxNodes {
		return placeOf(tokens[0]), "has more than 20,000 values"
	}
	for i, t := range tokens {
		switch t.Type {
		case token.AnchorType, token.AliasType, token.TagType, token.MergeKeyType, token.DirectiveType, token.MappingKeyType:
			return placeOf(t), fmt.Sprintf("uses %q, which is not supported: quote the text", shorten(t.Value))
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.DocumentHeaderType:
			clear(columns)
		case token.MappingValueType:
			if i > 0 && tokens[i-1].Position != nil {
				at := tokens[i-1].Position.Column
				if columns[at]++; columns[at] > 10*maxKeys {
					return placeOf(t), "has too many keys"
				}
			}
		}
		if depth > maxDepth {
			return placeOf(t), "is nested deeper than 64 levels"
		}
	}
	return place{}, ""
}

func placeOf(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{1, 1}
	}
	return place{max(t.Position.Line, 1), max(t.Position.Column, 1)}
}

// syntax reports what the library refused.
func (r *reader) syntax(err error) {
	at, text := place{1, 1}, err.Error()
	if e, ok := errors.AsType[yaml.Error](err); ok {
		at, text = placeOf(e.GetToken()), e.GetMessage()
	}
	r.fault(at, "", "is not YAML: %s", strings.SplitN(text, "\n", 2)[0])
}

func (r *reader) fault(at place, path, format string, args ...any) *Error {
	e := &Error{File: r.file, Line: at.line, Column: at.column, Path: path, Text: fmt.Sprintf(format, args...), Snippet: snippet(r.lines, at.line)}
	r.list = append(r.list, e)
	r.faulted = append(r.faulted, path)
	return e
}

// consequence reports a fault of the whole unless one is known at the same
// path or below it.
func (r *reader) consequence(path, format string, args ...any) {
	for _, f := range r.faulted {
		if rest, ok := strings.CutPrefix(f, path); ok && (rest == "" || path == "" || rest[0] == '.' || rest[0] == '[') {
			return
		}
	}
	r.fault(r.placeOf(path), path, format, args...)
	r.faulted = r.faulted[:len(r.faulted)-1]
}

// err returns the faults in the order of their places, or nil.
func (r *reader) err() error {
	if len(r.list) == 0 {
		return nil
	}
	slices.SortStableFunc(r.list, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	e := &Errors{List: r.list}
	if len(r.list) > MaxErrors {
		e.List, e.More = r.list[:MaxErrors], len(r.list)-MaxErrors
	}
	return e
}

// entry is one key of a mapping.
type entry struct {
	key   string
	at    place
	value ast.Node
}

// entries lists a mapping's keys in order and reports duplicates.
func (r *reader) entries(path string, n ast.Node) ([]entry, bool) {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		r.fault(placeOf(n.GetToken()), path, "must be keys with values, not %s", describe(n))
		return nil, false
	}
	out := make([]entry, 0, len(values))
	seen := make(map[string]bool, len(values))
	for _, v := range values {
		at := placeOf(v.Key.GetToken())
		key, ok := v.Key.(ast.ScalarNode)
		if !ok {
			r.fault(at, path, "has a key that is not plain text")
			continue
		}
		name := key.GetToken().Value
		if seen[name] {
			r.fault(at, path, "key %q is given twice", name)
			continue
		}
		seen[name] = true
		out = append(out, entry{name, at, v.Value})
	}
	return out, true
}

// startOf is where a node begins: the first key of a mapping, not its colon.
func startOf(n ast.Node) place {
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return placeOf(m.Values[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		return placeOf(m.Key.GetToken())
	}
	return placeOf(n.GetToken())
}

func describe(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys with values"
	}
	return fmt.Sprintf("%q", shorten(n.GetToken().Value))
}

// begin forgets the document before.
func (r *reader) begin(n ast.Node) {
	r.places, r.first, r.faulted = map[string]place{}, startOf(n), nil
}

// document reads one policy document.
func (r *reader) document(n ast.Node) (Document, place, bool) {
	r.begin(n)
	all, ok := r.entries("", n)
	if !ok {
		return Document{}, r.first, false
	}
	kind, kindAt, ok := r.kind(all)
	if !ok {
		return Document{}, r.first, false
	}
	d := Document{Kind: kind}
	body := d.newBody()
	if body == nil {
		if kind == KindJob {
			r.fault(kindAt, "", "a Job is not policy: submit it with sluice job submit -f")
			return Document{}, r.first, false
		}
		names := make([]string, len(Kinds))
		for i, k := range Kinds {
			names[i] = string(k)
		}
		e := r.fault(kindAt, "", "unknown kind %q: kinds are %s", kind, joinKinds())
		e.Suggestion = nearest(string(kind), names)
		return Document{}, r.first, false
	}
	nameKey := d.nameKey()
	rest := all[:0:0]
	nameAt := r.first
	for _, e := range all {
		switch e.key {
		case "kind":
		case nameKey:
			nameAt = e.at
			r.places[nameKey] = e.at
			var name string
			if r.scalar(nameKey, d.nameUnit(), reflect.ValueOf(&name).Elem(), e.value) {
				d.Name = name
			}
		default:
			rest = append(rest, e)
		}
	}
	if _, given := r.places[nameKey]; !given {
		r.fault(r.first, "", "has no %q", nameKey)
	}
	r.fields("", reflect.ValueOf(body).Elem(), rest, r.first, "kind", nameKey)
	d.check(r.consequence)
	return d, nameAt, true
}

// kind finds the kind of a document.
func (r *reader) kind(all []entry) (Kind, place, bool) {
	for _, e := range all {
		if e.key == "kind" {
			if s, ok := e.value.(ast.ScalarNode); ok {
				return Kind(s.GetToken().Value), placeOf(s.GetToken()), true
			}
			r.fault(e.at, "kind", "must be one word")
			return "", e.at, false
		}
	}
	e := r.fault(r.first, "", "has no \"kind\": kinds are %s", joinKinds())
	for _, one := range all {
		if nearest(one.key, []string{"kind"}) != "" {
			e.Line, e.Column, e.Snippet = one.at.line, one.at.column, snippet(r.lines, one.at.line)
			e.Text, e.Suggestion = fmt.Sprintf("unknown key %q", one.key), "kind"
		}
	}
	return "", r.first, false
}

// placeOf finds a path or the nearest one above it.
func (r *reader) placeOf(path string) place {
	for {
		if at, ok := r.places[path]; ok {
			return at
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return r.first
		}
		path = path[:i]
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// fields reads the keys of a struct.
func (r *reader) fields(path string, v reflect.Value, all []entry, at place, also ...string) {
	s := schemaOf(v.Type())
	given := make(map[string]bool, len(all))
	for _, e := range all {
		sub := join(path, e.key)
		if text, refused := r.notBuilt[sub]; refused {
			r.fault(e.at, sub, "%s", text)
			continue
		}
		f, ok := s.field(e.key)
		if !ok {
			fault := r.fault(e.at, path, "unknown key %q", e.key)
			fault.Suggestion = nearest(e.key, append(slices.Clone(s.keys), also...))
			continue
		}
		given[e.key] = true
		r.places[sub] = e.at
		r.value(sub, f.unit, v.Field(f.index), e.value, e.at)
	}
	for _, f := range s.fields {
		if f.required && !given[f.key] {
			r.fault(at, path, "has no %q", f.key)
			r.faulted[len(r.faulted)-1] = join(path, f.key)
		}
	}
}

// compound reports a struct that is written as keys, not as a scalar.
func compound(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Amount]() && t != reflect.TypeFor[Hours]()
}

// value reads any node into a field.
func (r *reader) value(path, unit string, v reflect.Value, n ast.Node, at place) {
	if n == nil || n.Type() == ast.NullType {
		r.fault(at, path, "has no value")
		return
	}
	switch {
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.value(path, unit, v.Elem(), n, at)
	case v.Kind() == reflect.Slice:
		r.items(path, unit, v, n)
	case v.Kind() == reflect.Map:
		r.stringMap(path, unit, v, n)
	case compound(v.Type()):
		if all, ok := r.entries(path, n); ok {
			r.fields(path, v, all, startOf(n))
		}
	default:
		r.scalar(path, unit, v, n)
	}
}

// items reads a list; a scalar alone stands for a list of one.
func (r *reader) items(path, unit string, v reflect.Value, n ast.Node) {
	nodes := []ast.Node{n}
	if seq, ok := n.(*ast.SequenceNode); ok {
		nodes = seq.Values
	} else if compound(v.Type().Elem()) || unit == "arg" || unit == "command" {
		r.fault(placeOf(n.GetToken()), path, "must be a list, not %s", describe(n))
		return
	}
	if len(nodes) == 0 {
		r.fault(placeOf(n.GetToken()), path, "is an empty list: leave it out or fill it")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(nodes), len(nodes)))
	for i, item := range nodes {
		sub := fmt.Sprintf("%s[%d]", path, i)
		at := place{1, 1}
		if item != nil {
			at = startOf(item)
		}
		r.places[sub] = at
		r.value(sub, unit, v.Index(i), item, at)
	}
}

// stringMap reads keys and values that are both text.
func (r *reader) stringMap(path, unit string, v reflect.Value, n ast.Node) {
	all, ok := r.entries(path, n)
	if !ok {
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(all)))
	for _, e := range all {
		sub := join(path, e.key)
		r.places[sub] = e.at
		var text string
		if r.scalar(sub, unit, reflect.ValueOf(&text).Elem(), e.value) {
			v.SetMapIndex(reflect.ValueOf(e.key), reflect.ValueOf(text))
		}
	}
}

// scalar reads one scalar as its written text: what YAML would make of it (a
// number, a date) does not matter here.
func (r *reader) scalar(path, unit string, v reflect.Value, n ast.Node) bool {
	var text string
	switch s := n.(type) {
	case *ast.NullNode:
		r.fault(placeOf(s.GetToken()), path, "has no value")
		return false
	case *ast.LiteralNode:
		text = s.Value.Value
	case ast.ScalarNode:
		text = s.GetToken().Value
	default:
		at := place{1, 1}
		if n != nil {
			at = startOf(n)
		}
		r.fault(at, path, "must be one value, not %s", describe(n))
		return false
	}
	if err := readScalar(unit, v, text); err != nil {
		r.fault(placeOf(n.GetToken()), path, "%s", err)
		return false
	}
	return true
}
