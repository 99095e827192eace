package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Hash identifies an entry and, through the chain, everything before it. The
// zero Hash precedes the first entry.
type Hash [sha256.Size]byte

// String returns 64 lower-case hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText makes a Hash readable in JSON.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) || bytes.ContainsAny(text, "ABCDEF") {
		return errors.New("a hash is 64 lower-case hexadecimal digits")
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// Entry is one applied command.
type Entry struct {
	Index   uint64          // in the Raft log; grows, with gaps where Raft wrote entries of its own
	Term    uint64          // of the leader that proposed it
	At      int64           // the proposer's clock, Unix milliseconds
	Command json.RawMessage // compacted when appended
	Prev    Hash            // of the entry before; set by the Log
	Hash    Hash            // of this entry; set by the Log
}

// A line is
//
//	{"i":7,"t":2,"at":1764500000000,"prev":"<hex>","c":{...},"h":"<hex>"}
//
// and h is the SHA-256 of the bytes of the line in front of ,"h": and so
// covers prev. Anybody can check a line with a text editor and sha256sum.
const (
	hashTail = len(`,"h":"`) + 2*sha256.Size + len(`"}`)

	// maxLine bounds a line, in bytes, line feed included.
	maxLine = 8 << 20
)

// errLine is the cause of every refusal of parseLine.
var errLine = errors.New("not a history line")

// appendLine writes an entry as a line with its line feed and returns its hash.
// The command must be compact.
func appendLine(b []byte, e Entry) ([]byte, Hash) {
	start := len(b)
	b = append(b, `{"i":`...)
	b = strconv.AppendUint(b, e.Index, 10)
	b = append(b, `,"t":`...)
	b = strconv.AppendUint(b, e.Term, 10)
	b = append(b, `,"at":`...)
	b = strconv.AppendInt(b, e.At, 10)
	b = append(b, `,"prev":"`...)
	b = hex.AppendEncode(b, e.Prev[:])
	b = append(b, `","c":`...)
	b = append(b, e.Command...)
	h := Hash(sha256.Sum256(b[start:]))
	b = append(b, `,"h":"`...)
	b = hex.AppendEncode(b, h[:])
	return append(b, '"', '}', '\n'), h
}

// parseLine reads a line without its line feed. It accepts only what appendLine
// writes, byte for byte, and checks the line's own hash, not the chain. Command
// is a part of line.
func parseLine(line []byte) (Entry, error) {
	var e Entry
	if len(line) < hashTail || !bytes.HasSuffix(line, []byte(`"}`)) {
		return e, fmt.Errorf("%w: no hash at its end", errLine)
	}
	body, tail := line[:len(line)-hashTail], line[len(line)-hashTail:]
	digits, ok := bytes.CutPrefix(tail, []byte(`,"h":"`))
	if !ok || e.Hash.UnmarshalText(digits[:len(digits)-2]) != nil {
		return e, fmt.Errorf("%w: no hash at its end", errLine)
	}
	if Hash(sha256.Sum256(body)) != e.Hash {
		return e, fmt.Errorf("%w: its bytes do not have the hash at its end", errLine)
	}
	p := lineParser{rest: body}
	e.Index = p.number(`{"i":`)
	e.Term = p.number(`,"t":`)
	e.At = p.signed(`,"at":`)
	p.literal(`,"prev":"`)
	if len(p.rest) < 2*len(e.Prev) || e.Prev.UnmarshalText(p.rest[:2*len(e.Prev)]) != nil {
		p.failed = true
	} else {
		p.rest = p.rest[2*len(e.Prev):]
	}
	p.literal(`","c":`)
	e.Command = p.rest
	if p.failed || e.Index == 0 || !compact(e.Command) {
		return Entry{}, fmt.Errorf("%w: its fields are not in the one form that is written", errLine)
	}
	return e, nil
}

// compact reports whether c is JSON as json.Compact leaves it.
func compact(c []byte) bool {
	if !json.Valid(c) {
		return false
	}
	inString := false
	for i := 0; i < len(c); i++ {
		switch c[i] {
		case '"':
			inString = !inString
		case '\\':
			i++ // only inside strings, as the text is valid
		case ' ', '\t', '\r', '\n':
			if !inString {
				return false
			}
		}
	}
	return true
}

type lineParser struct {
	rest   []byte
	failed bool
}

func (p *lineParser) literal(s string) {
	rest, ok := bytes.CutPrefix(p.rest, []byte(s))
	p.rest, p.failed = rest, p.failed || !ok
}

// digits takes a number in its one canonical form.
func (p *lineParser) digits(name string, sign bool) string {
	p.literal(name)
	n := 0
	for n < len(p.rest) && n < 20 && (p.rest[n] >= '0' && p.rest[n] <= '9' || sign && n == 0 && p.rest[n] == '-') {
		n++
	}
	s := string(p.rest[:n])
	p.rest = p.rest[n:]
	return s
}

func (p *lineParser) number(name string) uint64 {
	s := p.digits(name, false)
	v, err := strconv.ParseUint(s, 10, 64)
	p.failed = p.failed || err != nil || strconv.FormatUint(v, 10) != s
	return v
}

func (p *lineParser) signed(name string) int64 {
	s := p.digits(name, true)
	v, err := strconv.ParseInt(s, 10, 64)
	p.failed = p.failed || err != nil || strconv.FormatInt(v, 10) != s
	return v
}
