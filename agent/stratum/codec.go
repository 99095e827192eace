package stratum

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// MaxLine bounds one message, newline excluded. A notify with 16 merkle
// branches and a large coinbase is near 4 KiB, so a longer line is an attack
// or a stream that is not Stratum.
const MaxLine = 64 << 10

// maxID bounds the raw length of a message id, which a server must echo.
const maxID = 64

// Errors of the codec. A *FormatError says what in a line was wrong.
var (
	ErrLineTooLong = errors.New("stratum: line exceeds the length limit")
	ErrTruncated   = errors.New("stratum: stream ended inside a line")
)

// FormatError reports a line that is not a Stratum message.
type FormatError struct{ Reason string }

func (e *FormatError) Error() string { return "stratum: bad message: " + e.Reason }

func badf(format string, args ...any) error {
	return &FormatError{Reason: fmt.Sprintf(format, args...)}
}

// Code is the reason a pool gives for refusing a request.
type Code int

// The six codes in use by Stratum v1 pools.
const (
	CodeOther         Code = 20
	CodeStale         Code = 21 // job not found or no longer current
	CodeDuplicate     Code = 22
	CodeLowDifficulty Code = 23
	CodeUnauthorized  Code = 24
	CodeNotSubscribed Code = 25
)

// String names the code for logs and statistics.
func (c Code) String() string {
	switch c {
	case CodeOther:
		return "other"
	case CodeStale:
		return "stale"
	case CodeDuplicate:
		return "duplicate"
	case CodeLowDifficulty:
		return "low-difficulty"
	case CodeUnauthorized:
		return "unauthorized"
	case CodeNotSubscribed:
		return "not-subscribed"
	}
	return "code-" + strconv.Itoa(int(c))
}

// Error is a refusal carried by the protocol: the peer understood and said no.
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("stratum: refused: %s (%d %s)", e.Message, int(e.Code), e.Code)
}

// Message is one line: a request or notification when Method is set, else a
// response. ID is the raw JSON id (nil or null for a notification).
type Message struct {
	ID     json.RawMessage
	Method string
	Params json.RawMessage // a JSON array
	Result json.RawMessage
	Error  *Error
}

// Decode parses one line without its newline. It fails with a *FormatError on
// anything that is not exactly one message; unknown members are tolerated,
// because pools add their own.
func Decode(line []byte) (Message, error) {
	var m Message
	dec := json.NewDecoder(bytes.NewReader(line))
	tok, err := dec.Token()
	if err != nil || tok != json.Delim('{') {
		return m, badf("not a JSON object")
	}
	members := map[string]json.RawMessage{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return m, badf("%v", err)
		}
		name, ok := key.(string)
		if !ok {
			return m, badf("member name is not a string")
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return m, badf("member %.32q: %v", name, err)
		}
		// Two readings of one line must not exist: a proxy that takes the
		// first member and a miner that takes the last would disagree.
		if _, twice := members[name]; twice {
			return m, badf("member %.32q occurs twice", name)
		}
		members[name] = raw
	}
	if _, err := dec.Token(); err != nil {
		return m, badf("%v", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return m, badf("text after the message")
	}
	return fromMembers(members)
}

func fromMembers(members map[string]json.RawMessage) (Message, error) {
	m := Message{ID: members["id"]}
	if err := checkID(m.ID); err != nil {
		return Message{}, err
	}
	if raw := members["method"]; !isNull(raw) {
		if err := json.Unmarshal(raw, &m.Method); err != nil || m.Method == "" {
			return Message{}, badf("method is not a name")
		}
		m.Params = members["params"]
		if isNull(m.Params) {
			m.Params = json.RawMessage("[]")
		}
		if m.Params[0] != '[' {
			return Message{}, badf("params is not an array")
		}
		return m, nil
	}
	result, hasResult := members["result"]
	rawErr, hasError := members["error"]
	if !hasResult && !hasError {
		return Message{}, badf("neither a method nor a result")
	}
	if isNull(m.ID) {
		return Message{}, badf("response without an id")
	}
	if !isNull(result) {
		m.Result = result
	}
	var err error
	m.Error, err = decodeError(rawErr)
	return m, err
}

func isNull(raw json.RawMessage) bool {
	return len(raw) == 0 || string(raw) == "null"
}

func checkID(raw json.RawMessage) error {
	if isNull(raw) {
		return nil
	}
	if len(raw) > maxID {
		return badf("id longer than %d bytes", maxID)
	}
	if c := raw[0]; c != '"' && c != '-' && (c < '0' || c > '9') {
		return badf("id is neither a number nor a string")
	}
	return nil
}

// decodeError reads the three spellings seen in the field: the array
// [code, text, trace], the object {code, message} and a bare string.
func decodeError(raw json.RawMessage) (*Error, error) {
	if isNull(raw) {
		return nil, nil
	}
	e := &Error{Code: CodeOther}
	switch raw[0] {
	case '[':
		var parts []json.RawMessage
		if err := json.Unmarshal(raw, &parts); err != nil || len(parts) < 2 {
			return nil, badf("error array needs a code and a text")
		}
		if err := json.Unmarshal(parts[0], &e.Code); err != nil {
			return nil, badf("error code is not an integer")
		}
		if err := json.Unmarshal(parts[1], &e.Message); err != nil {
			return nil, badf("error text is not a string")
		}
	case '{':
		var obj struct {
			Code    Code   `json:"code"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal(raw, &obj); err != nil {
			return nil, badf("error object: %v", err)
		}
		e.Code, e.Message = obj.Code, obj.Message
	case '"':
		if err := json.Unmarshal(raw, &e.Message); err != nil {
			return nil, badf("error text: %v", err)
		}
	default:
		return nil, badf("error is neither array, object, string nor null")
	}
	return e, nil
}

// Encode renders m as one line, newline included.
func (m Message) Encode() ([]byte, error) {
	id := m.ID
	if len(id) == 0 {
		id = json.RawMessage("null")
	}
	var v any
	if m.Method != "" {
		params := m.Params
		if len(params) == 0 {
			params = json.RawMessage("[]")
		}
		v = struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Params json.RawMessage `json:"params"`
		}{id, m.Method, params}
	} else {
		result := m.Result
		if len(result) == 0 {
			result = json.RawMessage("null")
		}
		var werr any
		if m.Error != nil {
			werr = []any{int(m.Error.Code), m.Error.Message, nil}
		}
		v = struct {
			ID     json.RawMessage `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  any             `json:"error"`
		}{id, result, werr}
	}
	line, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("stratum: encode: %w", err)
	}
	if len(line) > MaxLine {
		return nil, ErrLineTooLong
	}
	return append(line, '\n'), nil
}

// NewCall builds a request; id 0 makes it a notification.
func NewCall(id uint64, method string, params ...any) (Message, error) {
	if params == nil {
		params = []any{}
	}
	raw, err := json.Marshal(params)
	if err != nil {
		return Message{}, fmt.Errorf("stratum: encode %s: %w", method, err)
	}
	m := Message{Method: method, Params: raw}
	if id != 0 {
		m.ID = strconv.AppendUint(nil, id, 10)
	}
	return m, nil
}

// NewReply builds the answer to a request with the given id. A non-nil refusal
// replaces the result.
func NewReply(id json.RawMessage, result any, refusal *Error) (Message, error) {
	m := Message{ID: id, Error: refusal}
	if refusal == nil {
		raw, err := json.Marshal(result)
		if err != nil {
			return Message{}, fmt.Errorf("stratum: encode reply: %w", err)
		}
		m.Result = raw
	}
	return m, nil
}

// Reader cuts a stream into messages and never buffers more than its limit.
type Reader struct {
	br    *bufio.Reader
	limit int
	buf   []byte
}

// NewReader reads from r with the given line limit in bytes; a limit outside
// 1..MaxLine means MaxLine.
func NewReader(r io.Reader, limit int) *Reader {
	if limit < 1 || limit > MaxLine {
		limit = MaxLine
	}
	return &Reader{br: bufio.NewReaderSize(r, 2048), limit: limit}
}

// Read returns the next message; blank lines are skipped. It fails with io.EOF
// at a clean end, ErrTruncated, ErrLineTooLong, a *FormatError, or the
// stream's own error. After any error but *FormatError the stream is spent.
func (r *Reader) Read() (Message, error) {
	for {
		line, err := r.line()
		if err != nil {
			return Message{}, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return Decode(line)
		}
	}
}

func (r *Reader) line() ([]byte, error) {
	r.buf = r.buf[:0]
	for {
		part, err := r.br.ReadSlice('\n')
		r.buf = append(r.buf, part...)
		if n := len(bytes.TrimRight(r.buf, "\r\n")); n > r.limit {
			return nil, ErrLineTooLong
		}
		switch {
		case err == nil:
			return r.buf, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(r.buf) > 0:
			return nil, ErrTruncated
		default:
			return nil, err
		}
	}
}
