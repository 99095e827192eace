package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-project/sluice/workload"
)

// maxDepth bounds nesting, so that a hostile document cannot cost stack.
const maxDepth = 64

// ParseJSON reads one JSON object in the form that JSON writes into m, which
// it clears first. It is strict: an unknown or repeated key, a number out of
// range or in quotes, a second member of a oneof, and anything after the
// object are errors of kind Invalid that name the key. null means unset.
func ParseJSON(data []byte, m proto.Message) error {
	proto.Reset(m)
	p := parser{dec: json.NewDecoder(bytes.NewReader(data))}
	p.dec.UseNumber()
	tok, err := p.next("")
	if err != nil {
		return err
	}
	if tok != json.Delim('{') {
		return bad("", "is not a JSON object")
	}
	if err := p.message("", m.ProtoReflect(), 1); err != nil {
		return err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return bad("", "something follows the JSON object")
	}
	return nil
}

type parser struct{ dec *json.Decoder }

func bad(path, format string, args ...any) error {
	if path == "" {
		path = "request"
	}
	return workload.Errorf(workload.Invalid, "%s: "+format, append([]any{path}, args...)...)
}

func (p *parser) next(path string) (json.Token, error) {
	tok, err := p.dec.Token()
	if errors.Is(err, io.EOF) {
		return nil, bad(path, "ends too early")
	}
	if err != nil {
		return nil, bad(path, "is not JSON: %v", err)
	}
	return tok, nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// message reads members up to and with the closing brace.
func (p *parser) message(path string, m protoreflect.Message, depth int) error {
	if depth > maxDepth {
		return bad(path, "is nested deeper than %d", maxDepth)
	}
	fields := m.Descriptor().Fields()
	seen := make(map[protoreflect.FieldNumber]bool)
	for {
		tok, err := p.next(path)
		if err != nil {
			return err
		}
		name, isName := tok.(string)
		if !isName {
			return nil // the only other token here is '}'
		}
		at := join(path, name)
		fd := fields.ByName(protoreflect.Name(name))
		if fd == nil {
			return bad(at, "unknown field")
		}
		if seen[fd.Number()] {
			return bad(at, "is given twice")
		}
		seen[fd.Number()] = true
		if tok, err = p.next(at); err != nil {
			return err
		}
		if tok == nil {
			continue
		}
		if o := fd.ContainingOneof(); o != nil && m.WhichOneof(o) != nil {
			return bad(at, "excludes %s", m.WhichOneof(o).Name())
		}
		if err := p.field(at, m, fd, tok, depth); err != nil {
			return err
		}
	}
}

func (p *parser) field(at string, m protoreflect.Message, fd protoreflect.FieldDescriptor, tok json.Token, depth int) error {
	switch {
	case fd.IsList():
		if tok != json.Delim('[') {
			return bad(at, "must be a list")
		}
		return p.list(at, m.Mutable(fd).List(), fd, depth)
	case fd.IsMap():
		if tok != json.Delim('{') {
			return bad(at, "must be an object")
		}
		return p.entries(at, m.Mutable(fd).Map(), fd, depth)
	case fd.Message() != nil:
		if tok != json.Delim('{') {
			return bad(at, "must be an object")
		}
		return p.message(at, m.Mutable(fd).Message(), depth+1)
	}
	v, err := scalar(at, fd, tok)
	if err == nil {
		m.Set(fd, v)
	}
	return err
}

func (p *parser) list(at string, list protoreflect.List, fd protoreflect.FieldDescriptor, depth int) error {
	for {
		here := at + "[" + strconv.Itoa(list.Len()) + "]"
		tok, err := p.next(here)
		if err != nil {
			return err
		}
		if tok == json.Delim(']') {
			return nil
		}
		if fd.Message() != nil {
			if tok != json.Delim('{') {
				return bad(here, "must be an object")
			}
			if err := p.message(here, list.AppendMutable().Message(), depth+1); err != nil {
				return err
			}
			continue
		}
		v, err := scalar(here, fd, tok)
		if err != nil {
			return err
		}
		list.Append(v)
	}
}

func (p *parser) entries(at string, entries protoreflect.Map, fd protoreflect.FieldDescriptor, depth int) error {
	for {
		tok, err := p.next(at)
		if err != nil {
			return err
		}
		name, isName := tok.(string)
		if !isName {
			return nil
		}
		here := join(at, name)
		key, err := mapKey(here, fd.MapKey(), name)
		if err != nil {
			return err
		}
		if entries.Has(key) {
			return bad(here, "is given twice")
		}
		if tok, err = p.next(here); err != nil {
			return err
		}
		if fd.MapValue().Message() != nil {
			if tok != json.Delim('{') {
				return bad(here, "must be an object")
			}
			if err := p.message(here, entries.Mutable(key).Message(), depth+1); err != nil {
				return err
			}
			continue
		}
		v, err := scalar(here, fd.MapValue(), tok)
		if err != nil {
			return err
		}
		entries.Set(key, v)
	}
}

func mapKey(at string, fd protoreflect.FieldDescriptor, name string) (protoreflect.MapKey, error) {
	var tok json.Token = name
	switch fd.Kind() {
	case protoreflect.StringKind:
	case protoreflect.BoolKind:
		tok = name == "true"
		if name != "true" && name != "false" {
			return protoreflect.MapKey{}, bad(at, "must be true or false")
		}
	default:
		tok = json.Number(name)
	}
	v, err := scalar(at, fd, tok)
	if err != nil {
		return protoreflect.MapKey{}, err
	}
	return v.MapKey(), nil
}

func scalar(at string, fd protoreflect.FieldDescriptor, tok json.Token) (protoreflect.Value, error) {
	none := protoreflect.Value{}
	switch fd.Kind() {
	case protoreflect.BoolKind:
		if v, ok := tok.(bool); ok {
			return protoreflect.ValueOfBool(v), nil
		}
		return none, bad(at, "must be true or false")
	case protoreflect.StringKind:
		if v, ok := tok.(string); ok {
			return protoreflect.ValueOfString(v), nil
		}
		return none, bad(at, "must be a string")
	case protoreflect.BytesKind:
		if v, ok := tok.(string); ok {
			if raw, err := base64.StdEncoding.Strict().DecodeString(v); err == nil {
				return protoreflect.ValueOfBytes(raw), nil
			}
		}
		return none, bad(at, "must be a string of base64")
	case protoreflect.EnumKind:
		return enum(at, fd.Enum().Values(), tok)
	}
	n, ok := tok.(json.Number)
	if !ok {
		return none, bad(at, "must be a number")
	}
	return number(at, fd.Kind(), n.String())
}

func enum(at string, values protoreflect.EnumValueDescriptors, tok json.Token) (protoreflect.Value, error) {
	if n, ok := tok.(json.Number); ok {
		v, err := strconv.ParseInt(n.String(), 10, 32)
		if err != nil {
			return protoreflect.Value{}, bad(at, "%s is out of range", n)
		}
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(v)), nil
	}
	s, _ := tok.(string)
	names := make([]string, values.Len())
	for i := range values.Len() {
		names[i] = strings.ToLower(string(values.Get(i).Name()))
		if s == names[i] {
			return protoreflect.ValueOfEnum(values.Get(i).Number()), nil
		}
	}
	return protoreflect.Value{}, bad(at, "must be one of %s", strings.Join(names, ", "))
}

func number(at string, kind protoreflect.Kind, s string) (protoreflect.Value, error) {
	var v protoreflect.Value
	var err error
	switch kind {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		var n int64
		n, err = strconv.ParseInt(s, 10, 32)
		v = protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		var n int64
		n, err = strconv.ParseInt(s, 10, 64)
		v = protoreflect.ValueOfInt64(n)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		var n uint64
		n, err = strconv.ParseUint(s, 10, 32)
		v = protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.FloatKind:
		var f float64
		f, err = strconv.ParseFloat(s, 32)
		v = protoreflect.ValueOfFloat32(float32(f))
	case protoreflect.DoubleKind:
		var f float64
		f, err = strconv.ParseFloat(s, 64)
		v = protoreflect.ValueOfFloat64(f)
	default:
		var n uint64
		n, err = strconv.ParseUint(s, 10, 64)
		v = protoreflect.ValueOfUint64(n)
	}
	switch {
	case errors.Is(err, strconv.ErrRange):
		return v, bad(at, "%s is out of range", s)
	case err != nil:
		return v, bad(at, "%s is not a whole number that fits", s)
	}
	return v, nil
}
