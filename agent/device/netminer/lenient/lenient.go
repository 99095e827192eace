// Package lenient reads the JSON that miners send, which often is none: commas
// are missing between members, replies end in the middle, numbers are nan. It
// is one token parser with a rule per fault, not a chain of textual repairs,
// so a brace inside a string is never taken for structure. What it had to
// forgive is listed, and memory is bounded by the input. It is pure.
package lenient

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluice-project/sluice/workload"
)

// Limits of one reply. Whole replies of 36 kB are seen in the field.
const (
	MaxBytes  = 4 << 20
	MaxDepth  = 64
	MaxValues = 100_000
	// MaxMembers of one object: keys are looked for one by one, and the longest
	// real object has about a thousand.
	MaxMembers = 4096
)

// Kind of a Value.
type Kind uint8

const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// Value is one value of a reply. The zero Value is null.
type Value struct {
	Kind    Kind
	Text    string   // of a number as written, of a string decoded, of a bool "true" or "false"
	Items   []Value  // of an array
	Members []Member // of an object, in order, repeated keys kept
}

// Member is one key of an object.
type Member struct {
	Key   string
	Value Value
}

// Reply is a parsed reply and what was wrong with it.
type Reply struct {
	Value     Value
	Fixes     []string // each sort of fault once, in the order of appearance
	Truncated bool     // the reply ends in its middle; what was complete is kept
}

// Parse reads one reply. Invalid: it is no object or array, is too large or
// too deep. Unavailable: it is the text of a service that is down, or the tail
// of a reply whose beginning was lost, so asking again may help.
func Parse(data []byte) (Reply, error) {
	if len(data) > MaxBytes {
		return Reply{}, workload.Errorf(workload.Invalid, "reply of %d bytes exceeds %d", len(data), MaxBytes)
	}
	p := &parser{in: trim(data)}
	if len(p.in) == 0 {
		return Reply{}, workload.Errorf(workload.Unavailable, "the reply is empty")
	}
	if p.in[0] != '{' && p.in[0] != '[' {
		return Reply{}, notJSON(p.in)
	}
	v := p.value(0)
	if p.err != nil {
		return Reply{}, p.err
	}
	p.space()
	if p.at < len(p.in) && !p.cut {
		p.fix("text after the reply is ignored")
	}
	return Reply{Value: v, Fixes: p.fixes, Truncated: p.cut}, nil
}

// trim drops what surrounds a reply: a byte order mark, white space, and the
// NUL that ends it; what follows a NUL is no part of the reply.
func trim(data []byte) []byte {
	s := strings.TrimPrefix(string(data), "\ufeff")
	s = strings.TrimLeft(s, "\x00 \t\r\n")
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	return []byte(strings.TrimRight(s, " \t\r\n"))
}

// notJSON tells a service that is down from a reply without its head and from
// garbage.
func notJSON(in []byte) error {
	text := string(in[:min(len(in), 300)])
	low := strings.ToLower(text)
	switch {
	case strings.Contains(low, "connect failed") || strings.Contains(low, "connection refused"):
		return workload.Errorf(workload.Unavailable, "the miner's service is down: %s", quote(text))
	case strings.HasPrefix(low, "<"):
		return workload.Errorf(workload.Unavailable, "the miner answers with a page, not with its API: %s", quote(text))
	case in[0] == ',' || in[0] == '"' || in[0] == '}' || in[0] == ']':
		return workload.Errorf(workload.Unavailable, "the reply begins in its middle: %s", quote(text))
	}
	return workload.Errorf(workload.Invalid, "the reply is not JSON: %s", quote(text))
}

func quote(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 60 {
		s = s[:60]
	}
	return strconv.QuoteToASCII(s)
}

type parser struct {
	in     []byte
	at     int
	values int
	cut    bool // the input ended inside a value
	fixes  []string
	err    error
}

func (p *parser) fix(what string) {
	for _, f := range p.fixes {
		if f == what {
			return
		}
	}
	p.fixes = append(p.fixes, what)
}

func (p *parser) space() {
	for p.at < len(p.in) {
		switch c := p.in[p.at]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			p.at++
		case c < ' ':
			p.fix("control bytes between values are skipped")
			p.at++
		default:
			return
		}
	}
}

// next is the next byte that is not white space, 0 at the end.
func (p *parser) next() byte {
	p.space()
	if p.at >= len(p.in) {
		return 0
	}
	return p.in[p.at]
}

// value reads one value; the caller has made sure that one begins here.
func (p *parser) value(depth int) Value {
	if p.values++; p.values > MaxValues && p.err == nil {
		p.err = workload.Errorf(workload.Invalid, "the reply has more than %d values", MaxValues)
	}
	if depth > MaxDepth && p.err == nil {
		p.err = workload.Errorf(workload.Invalid, "the reply is nested deeper than %d", MaxDepth)
	}
	if p.err != nil {
		return Value{}
	}
	switch c := p.next(); {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		text, whole := p.str()
		if !whole {
			return Value{}
		}
		return Value{Kind: String, Text: text}
	}
	return p.word()
}

func (p *parser) array(depth int) Value {
	p.at++
	v := Value{Kind: Array}
	comma := true // an item may follow
	for p.err == nil {
		switch c := p.next(); c {
		case 0:
			p.cut = true
			return v
		case ']':
			p.at++
			if comma && len(v.Items) > 0 {
				p.fix("comma before ] is dropped")
			}
			return v
		case '}':
			// The bracket is missing; the object around this array ends here.
			p.fix("missing ] is added")
			return v
		case ',':
			p.at++
			if comma {
				p.fix("surplus comma is dropped")
			}
			comma = true
			continue
		case ':':
			p.at++
			p.fix("stray colon is skipped")
			continue
		}
		if !comma {
			p.fix("missing comma between values is added")
		}
		if item := p.value(depth + 1); !p.cut || item.Kind >= Array {
			v.Items = append(v.Items, item)
		}
		comma = false
	}
	return v
}

// object reads members. An object whose strings have no values, as in
// {"111","222"}, is the list that was meant.
func (p *parser) object(depth int) Value {
	p.at++
	v := Value{Kind: Object}
	var bare []Value
	comma := true
	for p.err == nil {
		switch c := p.next(); {
		case c == 0:
			p.cut = true
			return list(v, bare)
		case c == '}':
			p.at++
			if comma && len(v.Members)+len(bare) > 0 {
				p.fix("comma before } is dropped")
			}
			if len(bare) > 0 {
				p.fix("an object of bare strings is read as a list")
			}
			return list(v, bare)
		case c == ']':
			p.fix("missing } is added")
			return list(v, bare)
		case c == ',':
			p.at++
			if comma {
				p.fix("surplus comma is dropped")
			}
			comma = true
			continue
		case c == '"':
		default:
			// No key begins here: a lost quote, or a value without a key.
			p.fix("a value without a key is skipped")
			p.value(depth + 1)
			if p.next() == ':' {
				p.at++
				p.value(depth + 1)
			}
			comma = false
			continue
		}
		if !comma {
			p.fix("missing comma between members is added")
		}
		comma = false
		key, whole := p.str()
		if !whole {
			continue
		}
		switch p.next() {
		case ':':
			p.at++
		case ',', '}':
			bare = append(bare, Value{Kind: String, Text: key})
			continue
		case 0:
			p.cut = true
			continue
		default:
			p.fix("missing colon is added")
		}
		switch p.next() {
		case ',', '}', ']':
			p.fix("a member without a value is null")
			v.Members = append(v.Members, Member{key, Value{}})
		case 0:
			p.cut = true
		default:
			if item := p.value(depth + 1); len(v.Members) >= MaxMembers {
				p.fix("members beyond 4096 are dropped")
			} else if !p.cut || item.Kind >= Array {
				v.Members = append(v.Members, Member{key, item})
			}
		}
	}
	return v
}

func list(v Value, bare []Value) Value {
	if len(v.Members) == 0 && len(bare) > 0 {
		return Value{Kind: Array, Items: bare}
	}
	for _, b := range bare {
		v.Members = append(v.Members, Member{b.Text, Value{}})
	}
	return v
}

// str reads a string. Control bytes, of which raw newlines are seen, become
// spaces; unknown escapes and broken UTF-8 are kept readable.
func (p *parser) str() (string, bool) {
	p.at++
	start := p.at
	// The common string needs no copy piece by piece.
	for p.at < len(p.in) {
		if c := p.in[p.at]; c == '"' {
			s := string(p.in[start:p.at])
			p.at++
			return s, true
		} else if c == '\\' || c < ' ' || c >= utf8.RuneSelf {
			break
		}
		p.at++
	}
	var b strings.Builder
	b.Write(p.in[start:p.at])
	for p.at < len(p.in) {
		c := p.in[p.at]
		switch {
		case c == '"':
			p.at++
			return b.String(), true
		case c == '\\':
			if !p.escape(&b) {
				return "", false
			}
		case c < ' ':
			p.fix("control bytes inside strings become spaces")
			b.WriteByte(' ')
			p.at++
		case c < utf8.RuneSelf:
			b.WriteByte(c)
			p.at++
		default:
			r, n := utf8.DecodeRune(p.in[p.at:])
			if r == utf8.RuneError {
				p.fix("broken UTF-8 is replaced")
			}
			b.WriteRune(r)
			p.at += n
		}
	}
	p.cut = true
	return "", false
}

var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': ' ', 'f': ' ', 'n': ' ', 'r': ' ', 't': ' '}

func (p *parser) escape(b *strings.Builder) bool {
	if p.at+1 >= len(p.in) {
		p.at, p.cut = len(p.in), true
		return false
	}
	c := p.in[p.at+1]
	p.at += 2
	if out, ok := escapes[c]; ok {
		b.WriteByte(out)
		return true
	}
	if c == 'u' && p.at+4 <= len(p.in) {
		if n, err := strconv.ParseUint(string(p.in[p.at:p.at+4]), 16, 16); err == nil {
			p.at += 4
			if n < ' ' {
				n = ' '
			}
			b.WriteRune(rune(n))
			return true
		}
	}
	p.fix("an unknown escape is kept as text")
	b.WriteByte('\\')
	b.WriteByte(c)
	return true
}

// structure are the bytes that end a bare word.
var structure = [256]bool{',': true, ':': true, '{': true, '}': true, '[': true, ']': true, '"': true, ' ': true, '\t': true, '\r': true, '\n': true}

// word reads a number, true, false, null, or what stands where one should.
func (p *parser) word() Value {
	start := p.at
	for p.at < len(p.in) && !structure[p.in[p.at]] {
		p.at++
	}
	if p.at == start { // only structure the caller did not expect
		p.at++
		p.fix("stray bytes are skipped")
		return Value{}
	}
	text := string(p.in[start:p.at])
	if p.at == len(p.in) {
		p.cut = true // a number may have lost digits
		return Value{}
	}
	switch low := strings.ToLower(text); low {
	case "true", "false":
		return Value{Kind: Bool, Text: low}
	case "null", "none":
		return Value{}
	}
	if _, ok := Milli(text); ok || numeric(text) {
		return Value{Kind: Number, Text: text}
	}
	if NotANumber(text) {
		p.fix("nan and inf are null")
	} else {
		p.fix("a bare word is null")
	}
	return Value{}
}

// numeric reports whether a text is a number, though perhaps one too large.
func numeric(s string) bool {
	return len(s) <= 400 && strings.ContainsAny(s, "0123456789") && strings.Trim(s, "0123456789+-.eE") == ""
}

// NotANumber reports whether a text is one of the ways to write no number.
func NotANumber(s string) bool {
	switch strings.TrimLeft(strings.ToLower(strings.TrimSpace(s)), "+-") {
	case "nan", "inf", "infinity", "nan(ind)", "1.#inf", "1.#ind", "1.#qnan":
		return true
	}
	return false
}
