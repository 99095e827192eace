package wire

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
)

// echo answers with what it was asked, so that the way there and back is seen.
type echo struct {
	sluicev1.UnimplementedOperatorServer
}

func (echo) SubmitJob(_ context.Context, req *sluicev1.SubmitJobRequest) (*sluicev1.SubmitJobResponse, error) {
	return &sluicev1.SubmitJobResponse{Id: "1", LogIndex: 1 << 60, Job: &sluicev1.Job{SpecYaml: req.GetDocument(), Name: req.GetFile()}}, nil
}

func (echo) ListJobs(_ context.Context, req *sluicev1.ListJobsRequest) (*sluicev1.ListJobsResponse, error) {
	if req.GetAll() {
		return &sluicev1.ListJobsResponse{Currency: "USD"}, nil
	}
	return nil, status.Error(codes.Unauthenticated, "no token was sent")
}

func (echo) ExplainGpu(_ context.Context, req *sluicev1.ExplainGpuRequest) (*sluicev1.GpuExplanation, error) {
	return nil, ToStatus(workload.Errorf(workload.NotFound, "there is no device %s", req.GetId()).Hint("look"))
}

func (echo) JobLogs(req *sluicev1.JobLogsRequest, s grpc.ServerStreamingServer[sluicev1.JobLogsResponse]) error {
	if err := s.Send(&sluicev1.JobLogsResponse{Data: []byte(req.GetId()), Offset: req.GetOffset()}); err != nil {
		return err
	}
	return ToStatus(workload.Errorf(workload.NotLeader, "not the leader"))
}

// TestGatewaySpeaksOurJSON drives the generated gateway over a real gRPC
// connection.
func TestGatewaySpeaksOurJSON(t *testing.T) {
	ln := bufconn.Listen(1 << 16)
	srv := grpc.NewServer()
	sluicev1.RegisterOperatorServer(srv, echo{})
	go srv.Serve(ln)
	defer srv.Stop()
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return ln.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	mux := runtime.NewServeMux(runtime.WithMarshalerOption(runtime.MIMEWildcard, GatewayMarshaler{}), runtime.WithErrorHandler(WriteGatewayError))
	if err := sluicev1.RegisterOperatorHandler(t.Context(), mux, conn); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(mux)
	defer web.Close()

	tests := []struct {
		method, path, body string
		status             int
		want               string // a part of the answer
	}{
		{"POST", "/api/v1/jobs?file=a.yaml", "kind: Job\nname: \"x\"\n", 200, `"log_index":1152921504606846976,"job":{"id":"","name":"a.yaml",`},
		{"POST", "/api/v1/jobs", "kind: Job\nname: \"x\"\n", 200, `"spec_yaml":"kind: Job\nname: \"x\"\n"`},
		{"POST", "/api/v1/jobs", `{"kind":"Job"}`, 200, `"spec_yaml":"{\"kind\":\"Job\"}"`},
		{"POST", "/api/v1/jobs", strings.Repeat("x", MaxBody+1), 400, `body is larger than 2 MiB`},
		{"GET", "/api/v1/jobs?all=true", "", 200, `{"jobs":[],"currency":"USD"}`},
		{"GET", "/api/v1/jobs", "", 401, `{"error":{"kind":"denied","text":"no token was sent","next":""}}`},
		{"GET", "/api/v1/explain/gpus/n07/3", "", 404, `{"error":{"kind":"not_found","text":"there is no device n07/3","next":"look"}}`},
		{"GET", "/api/v1/jobs/7/logs?offset=5", "", 200, `{"result":{"data":"Nw==","offset":5}}` + "\n" + `{"error":{"kind":"not_leader","text":"not the leader","next":""}}`},
		{"GET", "/api/v1/nothing", "", 404, `"kind":"not_found"`},
		{"GET", "/api/v1/status", "", 501, `"kind":"internal"`},
	}
	for _, tt := range tests {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, web.URL+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status || !strings.Contains(string(got), tt.want) {
			t.Errorf("%s %s: %d %s (%v), want %d with %s", tt.method, tt.path, resp.StatusCode, got, err, tt.status, tt.want)
		}
		if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
			t.Errorf("%s %s: content type %q", tt.method, tt.path, ct)
		}
	}
}
