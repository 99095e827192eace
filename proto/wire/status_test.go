package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
)

func TestStatusRoundTrip(t *testing.T) {
	tests := []struct {
		kind workload.Kind
		code codes.Code
		http int
	}{
		{workload.Internal, codes.Internal, 500},
		{workload.Invalid, codes.InvalidArgument, 400},
		{workload.NotFound, codes.NotFound, 404},
		{workload.Conflict, codes.Aborted, 409},
		{workload.Unavailable, codes.Unavailable, 503},
		{workload.NotLeader, codes.Unavailable, 503},
		{workload.Denied, codes.PermissionDenied, 403},
		{workload.Exhausted, codes.ResourceExhausted, 429},
	}
	for _, tt := range tests {
		t.Run(tt.kind.String(), func(t *testing.T) {
			in := fmt.Errorf("api: %w", workload.Errorf(tt.kind, "job %d does what", 7).Hint("try %s", "that"))
			sent := ToStatus(in)
			if got := status.Code(sent); got != tt.code {
				t.Errorf("code %v, want %v", got, tt.code)
			}
			out := FromStatus(fmt.Errorf("call: %w", sent))
			if workload.KindOf(out) != tt.kind || workload.NextOf(out) != "try that" || out.Error() != "api: job 7 does what" {
				t.Errorf("came back as %v %q next %q", workload.KindOf(out), out, workload.NextOf(out))
			}
			if !Answered(sent) {
				t.Error("an answer of ours is not recognised")
			}
			for _, err := range []error{in, sent} {
				if got := HTTPStatus(err); got != tt.http {
					t.Errorf("HTTP status %d, want %d", got, tt.http)
				}
			}
			if ToStatus(sent) != sent {
				t.Error("a status was wrapped again")
			}
		})
	}
}

func TestStatusOfOtherErrors(t *testing.T) {
	if ToStatus(nil) != nil || FromStatus(nil) != nil || HTTPStatus(nil) != 200 {
		t.Error("nil is not nil")
	}
	tests := []struct {
		err  error
		kind workload.Kind
		http int
	}{
		{errors.New("boom"), workload.Internal, 500},
		{ToStatus(errors.New("boom")), workload.Internal, 500},
		{ToStatus(context.DeadlineExceeded), workload.Unavailable, 504},
		{status.Error(codes.Unauthenticated, "no token"), workload.Denied, 401},
		{status.Error(codes.Unimplemented, "no"), workload.Internal, 501},
		{status.Error(codes.AlreadyExists, "there"), workload.Conflict, 409},
		{status.Error(codes.Unavailable, "connection refused"), workload.Unavailable, 503},
		{workload.Errorf(workload.Kind(99), "odd"), workload.Kind(99), 500},
	}
	for _, tt := range tests {
		if got := workload.KindOf(FromStatus(tt.err)); got != tt.kind {
			t.Errorf("%v: kind %v, want %v", tt.err, got, tt.kind)
		}
		if got := HTTPStatus(tt.err); got != tt.http {
			t.Errorf("%v: HTTP %d, want %d", tt.err, got, tt.http)
		}
	}
	if Answered(status.Error(codes.Unavailable, "connection refused")) {
		t.Error("gRPC's own error passes for an answer of ours")
	}
	if status.Code(ToStatus(workload.Errorf(workload.Invalid, "bad \xff byte"))) != codes.InvalidArgument {
		t.Error("text that is not UTF-8 loses its code")
	}
}

func TestErrorJSON(t *testing.T) {
	got := string(ErrorJSON(ToStatus(workload.Errorf(workload.NotLeader, "not \"leader\"").Hint("wait"))))
	if want := `{"error":{"kind":"not_leader","text":"not \"leader\"","next":"wait"}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestGatewayMarshaler(t *testing.T) {
	g := GatewayMarshaler{}
	decode := func(body string, v any) error { return g.NewDecoder(strings.NewReader(body)).Decode(v) }

	var doc string
	yaml := "kind: Job\nname: \"a\"\n"
	if err := decode(yaml, &doc); err != nil || doc != yaml {
		t.Errorf("raw body: %v %q", err, doc)
	}
	if err := decode("", &doc); !errors.Is(err, io.EOF) {
		t.Errorf("empty body: %v", err)
	}
	if err := decode(strings.Repeat("x", MaxBody), &doc); err != nil {
		t.Errorf("largest body: %v", err)
	}
	if err := decode(strings.Repeat("x", MaxBody+1), &doc); err == nil || HTTPStatus(err) != http.StatusBadRequest {
		t.Errorf("too large a body: %v", err)
	}
	if err := decode("a\xffb", &doc); err == nil {
		t.Error("a body that is not UTF-8 passes")
	}
	var req sluicev1.GetJobRequest
	if err := decode(`{"id":"7"}`, &req); err != nil || req.GetId() != "7" {
		t.Errorf("message body: %v %v", err, &req)
	}
	var n int
	if err := decode("5", &n); err != nil || n != 5 {
		t.Errorf("plain body: %v %d", err, n)
	}

	for _, tt := range []struct {
		v    any
		want string
	}{
		{&sluicev1.GetJobRequest{Id: "7"}, `{"id":"7"}`},
		{map[string]any{"result": &sluicev1.GetJobRequest{Id: "7"}}, `{"result":{"id":"7"}}`},
		{map[string]proto.Message{"error": status.Convert(ToStatus(workload.Errorf(workload.NotFound, "no job 7"))).Proto()},
			`{"error":{"kind":"not_found","text":"no job 7","next":""}}`},
		{[]string{"a"}, `["a"]`},
	} {
		var b strings.Builder
		if err := g.NewEncoder(&b).Encode(tt.v); err != nil || b.String() != tt.want+"\n" {
			t.Errorf("%v: got %s (%v), want %s", tt.v, b.String(), err, tt.want)
		}
	}
	if g.ContentType(nil) != "application/json" {
		t.Error("content type")
	}
}
