package stratum

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	for name, tt := range map[string]struct {
		line string
		want Message
	}{
		"request":       {`{"id":1,"method":"mining.subscribe","params":["a"]}`, Message{ID: []byte("1"), Method: "mining.subscribe", Params: []byte(`["a"]`)}},
		"no params":     {`{"id":"x","method":"client.get_version"}`, Message{ID: []byte(`"x"`), Method: "client.get_version", Params: []byte("[]")}},
		"notification":  {`{"id":null,"method":"mining.set_difficulty","params":[1]}`, Message{ID: []byte("null"), Method: "mining.set_difficulty", Params: []byte("[1]")}},
		"result":        {`{"id":2,"result":true,"error":null}`, Message{ID: []byte("2"), Result: []byte("true")}},
		"null result":   {`{"id":2,"result":null,"error":null}`, Message{ID: []byte("2")}},
		"error array":   {`{"id":2,"result":null,"error":[23,"low",null]}`, Message{ID: []byte("2"), Error: &Error{23, "low"}}},
		"error object":  {`{"id":2,"error":{"code":21,"message":"old"}}`, Message{ID: []byte("2"), Error: &Error{21, "old"}}},
		"error string":  {`{"id":2,"error":"no"}`, Message{ID: []byte("2"), Error: &Error{20, "no"}}},
		"extra members": {`{"id":2,"result":false,"reject-reason":"x"}`, Message{ID: []byte("2"), Result: []byte("false")}},
	} {
		got, err := Decode([]byte(tt.line))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	for name, line := range map[string]string{
		"text": "GET / HTTP/1.1", "array": `[1]`, "open": `{"id":1`, "two": `{"id":1,"result":1}{}`, "empty": `{}`,
		"method number": `{"id":1,"method":5}`, "empty method": `{"id":1,"method":""}`, "params object": `{"id":1,"method":"a","params":{}}`,
		"id object": `{"id":{},"method":"a"}`, "id bool": `{"id":true,"method":"a"}`, "long id": `{"id":"` + strings.Repeat("1", 80) + `","method":"a"}`,
		"twice": `{"id":1,"id":2,"method":"a"}`, "no id": `{"result":true}`, "short error": `{"id":1,"error":[20]}`,
		"error code": `{"id":1,"error":["a","b"]}`, "error text": `{"id":1,"error":[20,5]}`, "error bool": `{"id":1,"error":true}`,
		"case": `{"ID":1,"METHOD":"a"}`,
	} {
		_, err := Decode([]byte(line))
		var fe *FormatError
		if !errors.As(err, &fe) {
			t.Errorf("%s: got %v, want a FormatError", name, err)
		}
	}
}

func TestReaderBounds(t *testing.T) {
	line := func(n int) string {
		head, tail := `{"id":1,"result":"`, `"}`
		return head + strings.Repeat("a", n-len(head)-len(tail)) + tail
	}
	r := NewReader(strings.NewReader("\r\n\n"+line(MaxLine)+"\r\n"+line(MaxLine+1)+"\n"), 0)
	if _, err := r.Read(); err != nil {
		t.Fatalf("a line of the limit: %v", err)
	}
	if _, err := r.Read(); !errors.Is(err, ErrLineTooLong) {
		t.Fatalf("a line above the limit: %v", err)
	}
	// An endless line must fail after the limit, not at the end of memory.
	if _, err := NewReader(endless{}, 4096).Read(); !errors.Is(err, ErrLineTooLong) {
		t.Fatalf("endless line: %v", err)
	}
	if _, err := NewReader(strings.NewReader(`{"id":1,"result":1}`), 0).Read(); !errors.Is(err, ErrTruncated) {
		t.Fatalf("no newline: %v", err)
	}
	if _, err := NewReader(strings.NewReader(""), 0).Read(); err != io.EOF {
		t.Fatalf("empty stream: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestEncodeBounds(t *testing.T) {
	m, err := NewCall(1, "a", strings.Repeat("x", MaxLine))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Encode(); !errors.Is(err, ErrLineTooLong) {
		t.Errorf("got %v", err)
	}
}

// Whatever decodes must encode to one line that decodes to the same message.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"id":1,"method":"mining.subscribe","params":["a"]}`, `{"id":null,"method":"mining.notify","params":` + workedNotify + `}`,
		`{"id":2,"result":[[["a","b"]],"00",4],"error":null}`, `{"id":2,"result":null,"error":[23,"low",null]}`,
		`{"id":2,"error":{"code":21}}`, `{"id":"é\u0000","error":"<x>"}`, `{}`, `{"id":-1e9,"result":[]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := Decode(in)
		if err != nil {
			return
		}
		line, err := m.Encode()
		if errors.Is(err, ErrLineTooLong) {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		if bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Fatalf("%q: more than one line %q", in, line)
		}
		again, err := NewReader(bytes.NewReader(line), 0).Read()
		if err != nil {
			t.Fatalf("%q: re-read %q: %v", in, line, err)
		}
		next, err := again.Encode()
		if err != nil || !bytes.Equal(line, next) {
			t.Fatalf("%q: %q then %q", in, line, next)
		}
	})
}
