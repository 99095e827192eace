package config

import (
	"bytes"
	"unicode/utf8"
)

// Bounds of what is read at all. The YAML library takes gigabytes and minutes
// on a megabyte of brackets, aliases or keys of one mapping, so that nothing
// beyond these bounds ever reaches it.
const (
	maxBytes     = 1 << 20
	maxDepth     = 64
	maxNodes     = 20_000
	maxKeys      = 1_000  // of one block mapping: the library's time is quadratic in it
	maxScalar    = 64_000 // bytes
	maxDocuments = 1_000  // of one file: likewise quadratic
	maxLines     = 50_000
	maxBlanks    = 1_000 // in a row, outside of values
)

// fault is a refusal at a byte offset of the input.
type fault struct {
	offset int
	text   string
}

// level is one open block collection.
type level struct {
	column int
	seq    bool
	keys   int
}

// scanner walks YAML once, in order, without allocating. It follows YAML's
// context just far enough to tell an alias from "*.txt" in quotes, and leaves
// judging the grammar to the library.
type scanner struct {
	data   []byte
	pos    int
	line   int // start of the line
	levels [maxDepth + 1]level
	depth  int // of levels
	flow   int // open brackets
	nodes  int
	docs   int
	// parent is the column of the collection whose value is read; the lines of
	// a block scalar or a plain scalar go on while they are indented deeper.
	parent int
	plain  bool // the last line ended inside a plain scalar
	start  int  // of that scalar
	wide   bool // more than maxBlanks were skipped
}

// scan refuses input that is too large, too deep, not text, or that uses what
// policy never needs: anchors, aliases, tags, merge keys, directives and
// complex keys. It takes time in proportion to the input and no memory.
func scan(data []byte) (fault, bool) {
	if len(data) > maxBytes {
		return fault{maxBytes, "is larger than 1 MiB"}, true
	}
	if f, bad := scanText(data); bad {
		return f, true
	}
	s := scanner{data: data, parent: -1}
	for s.pos < len(s.data) {
		if f, bad := s.scanLine(); bad {
			return f, true
		}
	}
	if s.flow > 0 {
		return fault{len(data), "ends inside brackets"}, true
	}
	return fault{}, false
}

// scanText refuses what is not plain text of bounded length.
func scanText(data []byte) (fault, bool) {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return fault{i, "contains a NUL byte"}, true
	}
	lines := 0
	for i := 0; i < len(data); {
		c := data[i]
		if c < utf8.RuneSelf {
			switch {
			case c == '\n':
				if lines++; lines > maxLines {
					return fault{i, "has more than 50,000 lines"}, true
				}
			case c == '\r' && i+1 < len(data) && data[i+1] == '\n', c == '\t':
			case c < ' ' || c == 0x7f:
				return fault{i, "contains a control character"}, true
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return fault{i, "is not valid UTF-8"}, true
		case hiddenRune(r):
			return fault{i, "contains an invisible character"}, true
		}
		i += n
	}
	return fault{}, false
}

// hiddenRune reports controls, line separators, marks that reorder text and
// the byte order mark: what makes a file read otherwise than it looks.
func hiddenRune(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 ||
		r == 0xfeff || r == 0x200b || r == 0x200e || r == 0x200f
}

// peek returns the byte at an offset, or a newline beyond the end.
func (s *scanner) peek(at int) byte {
	if at < len(s.data) {
		return s.data[at]
	}
	return '\n'
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// lineEnd returns the offset of the newline that ends the line at pos.
func (s *scanner) lineEnd() int {
	if i := bytes.IndexByte(s.data[s.pos:], '\n'); i >= 0 {
		return s.pos + i
	}
	return len(s.data)
}

func (s *scanner) skipBlanks() {
	from := s.pos
	for s.pos < len(s.data) && (s.data[s.pos] == ' ' || s.data[s.pos] == '\t' || s.data[s.pos] == '\r') {
		s.pos++
	}
	s.wide = s.wide || s.pos-from > maxBlanks
}

func (s *scanner) column() int { return s.pos - s.line }

// scanLine reads one line, or more where a quoted or block scalar goes on.
func (s *scanner) scanLine() (fault, bool) {
	s.line = s.pos
	if s.flow == 0 {
		if s.atMarker() {
			if s.docs++; s.docs > maxDocuments {
				return fault{s.pos, "has more than 1,000 documents"}, true
			}
			s.depth, s.plain = 0, false
			s.pos += 3
		} else if s.peek(s.pos) == '%' && s.depth == 0 && !s.plain {
			return fault{s.pos, "uses a directive (%), which is not supported"}, true
		}
	}
	s.skipBlanks()
	if s.flow == 0 && s.peek(s.pos) != '\n' && s.peek(s.pos) != '#' {
		goesOn := s.plain && s.column() > s.parent
		s.parent = -1
		for i := s.depth; i > 0 && s.parent < 0; i-- {
			if at := s.levels[i-1].column; at < s.column() {
				s.parent = at
			}
		}
		if goesOn {
			if f, bad := s.scanPlain(); bad {
				return f, true
			}
		} else {
			s.plain = false
		}
	}
	return s.scanNodes()
}

// atMarker reports "---" or "..." at the beginning of a line.
func (s *scanner) atMarker() bool {
	c := s.peek(s.pos)
	return (c == '-' || c == '.') && s.peek(s.pos+1) == c && s.peek(s.pos+2) == c && blank(s.peek(s.pos+3))
}

// scanNodes reads to the end of the line, or past the end of a scalar that
// spans lines.
func (s *scanner) scanNodes() (fault, bool) {
	for s.pos < len(s.data) {
		s.skipBlanks()
		c, next := s.peek(s.pos), s.peek(s.pos+1)
		if s.wide {
			return fault{s.pos, "has more than 1,000 blanks in a row"}, true
		}
		if s.nodes > maxNodes {
			return fault{s.pos, "has more than 20,000 values"}, true
		}
		bad := false
		var f fault
		switch {
		case c == '\n':
			s.pos++
			return fault{}, false
		case c == '#' && (s.pos == s.line || blank(s.data[s.pos-1])):
			s.plain = false
			s.pos = s.lineEnd()
		case s.plain && s.flow > 0 && !flowMark(c) && c != ':':
			f, bad = s.scanPlain() // goes on from the line above
		case c == '-' && blank(next) && s.flow == 0:
			f, bad = s.open(true)
			s.pos++
		case c == '?' && blank(next):
			return fault{s.pos, "uses a complex key (?), which is not supported"}, true
		case c == '&':
			return fault{s.pos, "uses an anchor (&), which is not supported: quote the text or write the value out"}, true
		case c == '*':
			return fault{s.pos, "uses an alias (*), which is not supported: quote the text or write the value out"}, true
		case c == '!':
			return fault{s.pos, "uses a tag (!), which is not supported: quote the text"}, true
		case c == '<' && next == '<' && s.mergeKey():
			return fault{s.pos, "uses a merge key (<<), which is not supported: write the values out"}, true
		case c == '[' || c == '{':
			s.flow++
			s.nodes++
			s.plain = false
			if s.flow+s.depth > maxDepth {
				return fault{s.pos, "is nested deeper than 64 levels"}, true
			}
			s.pos++
		case (c == ']' || c == '}') && s.flow > 0:
			s.flow--
			s.plain = false
			s.pos++
		case c == ',' && s.flow > 0, c == ':' && (blank(next) || s.flow > 0):
			s.nodes++
			s.plain = false
			s.pos++
		case c == '"' || c == '\'':
			f, bad = s.scanQuoted(c)
		case (c == '|' || c == '>') && s.flow == 0 && s.blockHeader():
			return s.scanBlock()
		default:
			s.start = s.pos
			s.nodes++
			f, bad = s.scanPlain()
		}
		if bad {
			return f, true
		}
	}
	return fault{}, false
}

func flowMark(c byte) bool { return c == ',' || c == '[' || c == ']' || c == '{' || c == '}' }

// mergeKey reports "<<" followed by a colon.
func (s *scanner) mergeKey() bool {
	at := s.pos + 2
	for s.peek(at) == ' ' || s.peek(at) == '\t' {
		at++
	}
	return s.peek(at) == ':'
}

// open enters, or goes on with, the block collection at the current column.
func (s *scanner) open(seq bool) (fault, bool) {
	at := s.column()
	for s.depth > 0 {
		top := s.levels[s.depth-1]
		if top.column < at || top.column == at && (top.seq == seq || seq) {
			break
		}
		s.depth--
	}
	if s.depth == 0 || s.levels[s.depth-1].column != at || s.levels[s.depth-1].seq != seq {
		if s.depth+s.flow >= maxDepth {
			return fault{s.pos, "is nested deeper than 64 levels"}, true
		}
		s.levels[s.depth] = level{column: at, seq: seq}
		s.depth++
	}
	top := &s.levels[s.depth-1]
	if top.keys++; !seq && top.keys > maxKeys {
		return fault{s.pos, "has more than 1,000 keys in one mapping"}, true
	}
	s.nodes++
	s.parent = at
	return fault{}, false
}

// key enters the mapping whose key began at an offset and ends before pos.
func (s *scanner) key(start int) (fault, bool) {
	end := s.pos
	s.pos = start
	f, bad := s.open(false)
	if !bad {
		s.pos = end
	}
	return f, bad
}

// scanPlain reads a plain scalar to its end, past its colon if it is a key, or
// up to the end of the line, where it may go on.
func (s *scanner) scanPlain() (fault, bool) {
	begin := s.pos
	s.plain = false
	for ; s.pos < len(s.data); s.pos++ {
		c := s.data[s.pos]
		switch {
		case s.pos-s.start > maxScalar:
			return fault{s.start, "has a value longer than 64,000 bytes"}, true
		case c == '\n':
			s.plain = true
			return fault{}, false
		case c == ':' && s.flow == 0 && blank(s.peek(s.pos+1)):
			s.pos++
			return s.key(begin)
		case c == ':' && s.flow > 0 && (blank(s.peek(s.pos+1)) || flowMark(s.peek(s.pos+1))),
			c == '#' && s.pos > begin && blank(s.data[s.pos-1]),
			s.flow > 0 && flowMark(c):
			return fault{}, false
		}
	}
	return fault{}, false
}

// scanQuoted reads a quoted scalar, over lines if need be, and the colon after
// it if it is a key.
func (s *scanner) scanQuoted(quote byte) (fault, bool) {
	begin := s.pos
	for s.pos++; ; s.pos++ {
		switch {
		case s.pos >= len(s.data):
			return fault{begin, "has a quote that is never closed"}, true
		case s.pos-begin > maxScalar:
			return fault{begin, "has a value longer than 64,000 bytes"}, true
		case s.data[s.pos] == '\\' && quote == '"':
			s.pos++
			continue
		case s.data[s.pos] == '\'' && quote == '\'' && s.peek(s.pos+1) == '\'':
			s.pos++
			continue
		case s.data[s.pos] != quote:
			continue
		}
		break
	}
	s.pos++
	s.nodes++
	s.plain = false
	if last := bytes.LastIndexByte(s.data[begin:s.pos], '\n'); last >= 0 {
		s.line = begin + last + 1
		return fault{}, false // a key never spans lines
	}
	at := s.pos
	for s.peek(at) == ' ' || s.peek(at) == '\t' {
		at++
	}
	if s.flow == 0 && s.peek(at) == ':' && blank(s.peek(at+1)) {
		s.pos = at + 1
		return s.key(begin)
	}
	return fault{}, false
}

// blockHeader reports whether "|" or ">" begins a block scalar: indicators and
// a comment only follow on its line.
func (s *scanner) blockHeader() bool {
	at := s.pos + 1
	for c := s.peek(at); c == '+' || c == '-' || c >= '1' && c <= '9'; c = s.peek(at) {
		at++
	}
	if !blank(s.peek(at)) {
		return false
	}
	for s.peek(at) == ' ' || s.peek(at) == '\t' || s.peek(at) == '\r' {
		at++
	}
	return s.peek(at) == '\n' || s.peek(at) == '#'
}

// scanBlock skips a block scalar: the lines that are blank or indented deeper
// than its parent.
func (s *scanner) scanBlock() (fault, bool) {
	begin := s.pos
	s.nodes++
	s.pos = s.lineEnd() + 1
	for s.pos < len(s.data) {
		at := s.pos
		for s.peek(at) == ' ' {
			at++
		}
		if c := s.peek(at); c != '\n' && c != '\r' && at-s.pos <= s.parent {
			break
		}
		if s.parent < 0 && s.atMarker() {
			break
		}
		if s.pos = s.lineEnd() + 1; s.pos-begin > maxScalar {
			return fault{begin, "has a value longer than 64,000 bytes"}, true
		}
	}
	if s.pos > len(s.data) {
		s.pos = len(s.data)
	}
	return fault{}, false
}
