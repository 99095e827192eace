package wire

import (
	"cmp"
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The JSON form of a message, the same for REST and the command line:
//
//   - names are the proto's own snake_case, in the order of field numbers;
//   - every field is there: an empty list is [], an unset sub-message or an
//     unset optional is null, so that a reader needs no defaults of its own;
//   - 64-bit integers are JSON numbers. protojson writes them as strings for
//     JavaScript's sake; our values stay below 2^53 where a page reads them,
//     and jq, Python and Go read them exactly;
//   - enumerations are their names in lower case, bytes are standard base64;
//   - maps are sorted by key. A float that is not finite is null.

// JSON returns a message in the form above, without a newline.
func JSON(m proto.Message) []byte { return AppendJSON(nil, m) }

// AppendJSON appends the form above to b.
func AppendJSON(b []byte, m proto.Message) []byte {
	if m == nil {
		return append(b, "null"...)
	}
	return appendMessage(b, m.ProtoReflect())
}

// fieldsByNumber caches the order of a message's fields, as descriptors list
// them in the order of the source text.
var fieldsByNumber sync.Map // protoreflect.MessageDescriptor -> []field

type field struct {
	protoreflect.FieldDescriptor
	prefix string // `"name":`
}

func fieldsOf(md protoreflect.MessageDescriptor) []field {
	if got, ok := fieldsByNumber.Load(md); ok {
		return got.([]field)
	}
	fds := md.Fields()
	fields := make([]field, fds.Len())
	for i := range fields {
		fd := fds.Get(i)
		fields[i] = field{fd, `"` + string(fd.Name()) + `":`}
	}
	slices.SortFunc(fields, func(a, b field) int { return cmp.Compare(a.Number(), b.Number()) })
	fieldsByNumber.Store(md, fields)
	return fields
}

func appendMessage(b []byte, m protoreflect.Message) []byte {
	b = append(b, '{')
	for i, fd := range fieldsOf(m.Descriptor()) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, fd.prefix...)
		switch {
		case fd.IsList():
			b = appendList(b, fd, m.Get(fd.FieldDescriptor).List())
		case fd.IsMap():
			b = appendMap(b, fd, m.Get(fd.FieldDescriptor).Map())
		case fd.HasPresence() && !m.Has(fd.FieldDescriptor):
			b = append(b, "null"...)
		default:
			b = appendValue(b, fd, m.Get(fd.FieldDescriptor))
		}
	}
	return append(b, '}')
}

func appendList(b []byte, fd protoreflect.FieldDescriptor, list protoreflect.List) []byte {
	b = append(b, '[')
	for i := range list.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendValue(b, fd, list.Get(i))
	}
	return append(b, ']')
}

func appendMap(b []byte, fd protoreflect.FieldDescriptor, entries protoreflect.Map) []byte {
	keys := make([]protoreflect.MapKey, 0, entries.Len())
	entries.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k)
		return true
	})
	slices.SortFunc(keys, func(a, b protoreflect.MapKey) int {
		switch x := a.Interface().(type) {
		case int32:
			return cmp.Compare(x, b.Interface().(int32))
		case int64:
			return cmp.Compare(x, b.Interface().(int64))
		case uint32:
			return cmp.Compare(x, b.Interface().(uint32))
		case uint64:
			return cmp.Compare(x, b.Interface().(uint64))
		}
		return cmp.Compare(a.String(), b.String())
	})
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, k.String())
		b = append(b, ':')
		b = appendValue(b, fd.MapValue(), entries.Get(k))
	}
	return append(b, '}')
}

func appendValue(b []byte, fd protoreflect.FieldDescriptor, v protoreflect.Value) []byte {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return appendMessage(b, v.Message())
	case protoreflect.BoolKind:
		return strconv.AppendBool(b, v.Bool())
	case protoreflect.StringKind:
		return appendString(b, v.String())
	case protoreflect.BytesKind:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
		return append(b, '"')
	case protoreflect.EnumKind:
		if ev := fd.Enum().Values().ByNumber(v.Enum()); ev != nil {
			return appendString(b, strings.ToLower(string(ev.Name())))
		}
		return strconv.AppendInt(b, int64(v.Enum()), 10) // newer than this program
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind,
		protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return strconv.AppendInt(b, v.Int(), 10)
	case protoreflect.FloatKind:
		return appendFloat(b, v.Float(), 32)
	case protoreflect.DoubleKind:
		return appendFloat(b, v.Float(), 64)
	default:
		return strconv.AppendUint(b, v.Uint(), 10)
	}
}

func appendFloat(b []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, f, 'g', -1, bits)
}

const hexDigits = "0123456789abcdef"

// appendString quotes s. Bytes that are not UTF-8 become U+FFFD; the two line
// separators are escaped because old JavaScript ends a string at them.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, `\n`...)
			case '\r':
				b = append(b, `\r`...)
			case '\t':
				b = append(b, `\t`...)
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || r == 0x2028 || r == 0x2029 {
			b = append(b, s[start:i]...)
			b = append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
			start = i + size
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
