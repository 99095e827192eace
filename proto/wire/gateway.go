package wire

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-project/sluice/workload"
)

// MaxBody bounds what one REST request may post, in bytes.
const MaxBody = 2 << 20

// GatewayMarshaler makes the REST gateway speak the JSON of this package. A
// body that is mapped to a string field (`document`) is taken as it is: that
// is how YAML is posted. Programs may post it as one JSON string, which no
// document is by itself.
type GatewayMarshaler struct{}

var (
	_ runtime.Marshaler = GatewayMarshaler{}
	_ runtime.Delimited = GatewayMarshaler{}
)

// ContentType is the same for every message.
func (GatewayMarshaler) ContentType(any) string { return "application/json" }

// Delimiter separates the messages of a stream.
func (GatewayMarshaler) Delimiter() []byte { return []byte("\n") }

// Marshal encodes messages, and the maps of messages that the gateway wraps
// the chunks of a stream in.
func (g GatewayMarshaler) Marshal(v any) ([]byte, error) { return appendAny(nil, v) }

func appendAny(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case *spb.Status:
		body := ErrorJSON(status.ErrorProto(v))
		return append(b, body[len(`{"error":`):len(body)-1]...), nil
	case proto.Message:
		return AppendJSON(b, v), nil
	case map[string]proto.Message:
		wide := make(map[string]any, len(v))
		for k, m := range v {
			wide[k] = m
		}
		return appendAny(b, wide)
	case map[string]any:
		b = append(b, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, k), ':')
			var err error
			if b, err = appendAny(b, v[k]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	default:
		raw, err := json.Marshal(v)
		return append(b, raw...), err
	}
}

// WriteError answers a REST request that failed. Give it to the gateway:
//
//	runtime.WithErrorHandler(wire.WriteGatewayError)
func WriteError(w http.ResponseWriter, err error) {
	code := HTTPStatus(err)
	if routed, ok := errors.AsType[*runtime.HTTPStatusError](err); ok {
		code = routed.HTTPStatus // wrong path or method: the gateway knows better
	}
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(ErrorJSON(err), '\n'))
}

// WriteGatewayError is WriteError in the form that the gateway takes.
func WriteGatewayError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	WriteError(w, err)
}

// Unmarshal decodes as NewDecoder does.
func (g GatewayMarshaler) Unmarshal(data []byte, v any) error {
	switch v := v.(type) {
	case *string:
		if !utf8.Valid(data) {
			return workload.Errorf(workload.Invalid, "document is not UTF-8 text")
		}
		if len(data) > 0 && data[0] == '"' && json.Unmarshal(data, v) == nil {
			return nil
		}
		*v = string(data)
		return nil
	case proto.Message:
		return ParseJSON(data, v)
	default:
		return json.Unmarshal(data, v)
	}
}

// NewDecoder reads one whole body of at most MaxBody bytes. An empty body is
// io.EOF, which the gateway takes for "no body".
func (g GatewayMarshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		data, err := io.ReadAll(io.LimitReader(r, MaxBody+1))
		switch {
		case err != nil:
			return err
		case len(data) > MaxBody:
			return workload.Errorf(workload.Invalid, "body is larger than %d MiB", MaxBody>>20)
		case len(data) == 0:
			return io.EOF
		}
		return g.Unmarshal(data, v)
	})
}

// NewEncoder writes each message and a newline.
func (g GatewayMarshaler) NewEncoder(w io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(v any) error {
		data, err := g.Marshal(v)
		if err != nil {
			return err
		}
		n, err := w.Write(append(data, '\n'))
		if err == nil && n < len(data)+1 {
			err = errors.New("short write")
		}
		return err
	})
}
