package wire

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
)

func TestJSONForm(t *testing.T) {
	tests := []struct {
		name string
		m    proto.Message
		want string
	}{
		{"nil", nil, `null`},
		{"every field is there", &sluicev1.ListGpusResponse{}, `{"gpus":[],"currency":""}`},
		{"unset message is null", &sluicev1.SubmitJobResponse{Id: "7"}, `{"id":"7","log_index":0,"job":null}`},
		{"64 bits are numbers", &sluicev1.WatchResponse{LogIndex: math.MaxUint64, MarketMs: math.MinInt64},
			`{"log_index":18446744073709551615,"plan":0,"market_ms":-9223372036854775808}`},
		{"snake case", &sluicev1.PowerNow{Now: 1, Cap: -1}, `{"now":1,"cap":-1}`},
		{"bytes", &sluicev1.JobLogsResponse{Data: []byte{0xfb, 0xff}, Offset: 2}, `{"data":"+/8=","offset":2}`},
		{"strings", &sluicev1.Figure{Name: "a\"\\\n\r\t\x01é\u2028<&>", Text: "x\xffy"},
			`{"name":"a\"\\\n\r\t\u0001é\u2028<&>","value":0,"text":"x\ufffdy","unit":""}`},
		{"lists", &sluicev1.PolicyChange{Kind: "Target", Fields: []string{"a", "b"}}, `{"kind":"Target","name":"","what":"","fields":["a","b"]}`},
		{"maps are sorted and oneofs null", &structpb.Struct{Fields: map[string]*structpb.Value{"b": structpb.NewBoolValue(true), "a": structpb.NewNullValue()}},
			`{"fields":{"a":{"null_value":"null_value","number_value":null,"string_value":null,"bool_value":null,"struct_value":null,"list_value":null},` +
				`"b":{"null_value":null,"number_value":null,"string_value":null,"bool_value":true,"struct_value":null,"list_value":null}}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := JSON(tt.m)
			if string(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if !json.Valid(got) {
				t.Errorf("not valid JSON: %s", got)
			}
		})
	}
}

// TestJSONFieldOrder holds the order to the numbers, not to the source text:
// descriptor.proto declares fields out of order.
func TestJSONFieldOrder(t *testing.T) {
	got := string(JSON(&descriptorpb.FieldDescriptorProto{Type: descriptorpb.FieldDescriptorProto_TYPE_INT64.Enum()}))
	last := -1
	for _, name := range []string{"name", "extendee", "number", "label", "type", "type_name", "default_value", "options", "oneof_index", "json_name", "proto3_optional"} {
		at := strings.Index(got, `"`+name+`":`)
		if at <= last {
			t.Fatalf("%s is out of order in %s", name, got)
		}
		last = at
	}
	if !strings.Contains(got, `"type":"type_int64"`) {
		t.Errorf("enum is not in lower case: %s", got)
	}
}

func TestParseJSONErrors(t *testing.T) {
	tests := []struct{ in, want string }{
		{``, "ends too early"},
		{`[]`, "not a JSON object"},
		{`{"id":"1"`, "ends too early"},
		{`{"id":"1"} {}`, "follows"},
		{`{"identity":"1"}`, "identity: unknown field"},
		{`{"job":{"reason":{"cod":"x"}}}`, "job.reason.cod: unknown field"},
		{`{"id":"1","id":"2"}`, "id: is given twice"},
		{`{"id":1}`, "id: must be a string"},
		{`{"log_index":"5"}`, "log_index: must be a number"},
		{`{"log_index":-1}`, "log_index: -1"},
		{`{"log_index":1.5}`, "log_index: 1.5"},
		{`{"log_index":18446744073709551616}`, "log_index: 18446744073709551616 is out of range"},
		{`{"job":{"exit_code":2147483648}}`, "job.exit_code: 2147483648 is out of range"},
		{`{"job":[]}`, "job: must be an object"},
		{`{"job":{"models":{}}}`, "job.models: must be a list"},
		{`{"job":{"models":["a",null]}}`, "job.models[1]: must be a string"},
		{`{"job":{"attempts":[{"number":1},7]}}`, "job.attempts[1]: must be an object"},
		{`{"id":tru}`, "is not JSON"},
	}
	for _, tt := range tests {
		err := ParseJSON([]byte(tt.in), &sluicev1.SubmitJobResponse{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.in, err, tt.want)
		} else if workload.KindOf(err) != workload.Invalid {
			t.Errorf("%s: kind %v", tt.in, workload.KindOf(err))
		}
	}
}

func TestParseJSONBytesEnumsDepthAndOneofs(t *testing.T) {
	if err := ParseJSON([]byte(`{"data":"!!"}`), &sluicev1.JobLogsResponse{}); err == nil || !strings.Contains(err.Error(), "base64") {
		t.Errorf("bytes: %v", err)
	}
	if err := ParseJSON([]byte(`{"type":"TYPE_INT64"}`), &descriptorpb.FieldDescriptorProto{}); err == nil || !strings.Contains(err.Error(), "type_int64") {
		t.Errorf("enum: %v", err)
	}
	if err := ParseJSON([]byte(`{"bool_value":true,"string_value":"x"}`), &structpb.Value{}); err == nil || !strings.Contains(err.Error(), "excludes bool_value") {
		t.Errorf("oneof: %v", err)
	}
	deep := strings.Repeat(`{"list_value":{"values":[`, 200)
	if err := ParseJSON([]byte(deep), &structpb.Value{}); err == nil || !strings.Contains(err.Error(), "deeper") {
		t.Errorf("depth: %v", err)
	}
}

// TestJSONRoundTrip fills whole messages at random: what is written is read
// back as the same message.
func TestJSONRoundTrip(t *testing.T) {
	kinds := []proto.Message{&sluicev1.Status{}, &sluicev1.ListGpusResponse{}, &sluicev1.JobExplanation{}, &sluicev1.GpuExplanation{},
		&sluicev1.PolicyPlan{}, &sluicev1.Timeline{}, &sluicev1.JobLogsResponse{}, &descriptorpb.FieldDescriptorProto{}, &structpb.Value{}}
	rapid.Check(t, func(t *rapid.T) {
		m := proto.Clone(rapid.SampledFrom(kinds).Draw(t, "message"))
		fill(t, m.ProtoReflect(), 3)
		text := JSON(m)
		if !json.Valid(text) {
			t.Fatalf("not JSON: %s", text)
		}
		back := m.ProtoReflect().New().Interface()
		if err := ParseJSON(text, back); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if !proto.Equal(m, back) {
			t.Fatalf("%s\ncame back as\n%s", text, JSON(back))
		}
	})
}

func fill(t *rapid.T, m protoreflect.Message, depth int) {
	fds := m.Descriptor().Fields()
	for i := range fds.Len() {
		fd := fds.Get(i)
		if fd.ContainingOneof() != nil && m.WhichOneof(fd.ContainingOneof()) != nil || !rapid.Bool().Draw(t, "set") {
			continue
		}
		n := 1
		if fd.IsList() || fd.IsMap() {
			n = rapid.IntRange(0, 2).Draw(t, "n")
		}
		for range n {
			switch {
			case fd.IsMap():
				key := rapid.String().Draw(t, "key")
				if depth > 0 && fd.MapValue().Message() != nil {
					fill(t, m.Mutable(fd).Map().Mutable(protoreflect.ValueOfString(key).MapKey()).Message(), depth-1)
				}
			case fd.Message() != nil && fd.IsList():
				if depth > 0 {
					fill(t, m.Mutable(fd).List().AppendMutable().Message(), depth-1)
				}
			case fd.Message() != nil:
				if depth > 0 {
					fill(t, m.Mutable(fd).Message(), depth-1)
				}
			case fd.IsList():
				m.Mutable(fd).List().Append(draw(t, fd))
			default:
				m.Set(fd, draw(t, fd))
			}
		}
	}
}

func draw(t *rapid.T, fd protoreflect.FieldDescriptor) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "v"))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(rapid.String().Draw(t, "v"))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "v"))
	case protoreflect.EnumKind:
		values := fd.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(rapid.IntRange(0, values.Len()-1).Draw(t, "v")).Number())
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "v"))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "v"))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "v"))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(rapid.Float64().Draw(t, "v"))
	}
	panic("no generator for " + fd.Kind().String())
}

// FuzzParseJSON: whatever is accepted is written back in a form that reads as
// the same message, and no input panics.
func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"id":"1","log_index":3,"job":{"id":"1","attempts":[{"number":1,"devices":["a/0"]}],"progress":null}}`,
		`{"log_index":18446744073709551615}`, `{"id":"\ud800"}`, `{"id":"a","id":"b"}`, `{"job":{"reason":{"figures":[{"value":-1}]}}}`, "{\"id\":\"\xff\"}", `{"job":`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, m := range []proto.Message{&sluicev1.SubmitJobResponse{}, &structpb.Value{}} {
			if ParseJSON(data, m) != nil {
				continue
			}
			text := JSON(m)
			back := m.ProtoReflect().New().Interface()
			if err := ParseJSON(text, back); err != nil {
				t.Fatalf("%q was accepted, %s was not: %v", data, text, err)
			}
			if string(JSON(back)) != string(text) {
				t.Fatalf("%s became %s", text, JSON(back))
			}
		}
	})
}

func BenchmarkJSONThousandGpus(b *testing.B) {
	m := &sluicev1.ListGpusResponse{Currency: "USD"}
	for range 1000 {
		m.Gpus = append(m.Gpus, &sluicev1.Gpu{Id: "n07/3", Node: "n07", Model: "RTX 3080", Use: "mining", Coin: "KAS", Reason: "PRICE", Watts: 290,
			MoneyPerHour: &sluicev1.MoneyPerHour{Revenue: 1, Energy: 2, Net: 3}, ReasonFigures: []*sluicev1.Figure{{Name: "next", Value: 4, Unit: "micro_per_hour"}}})
	}
	buf := JSON(m)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendJSON(buf[:0], m)
	}
}
