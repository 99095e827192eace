package api

import (
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/workload"
)

// TestListenersAreGuarded calls over a socket without TLS: nobody is anybody
// there, and a token sent in clear is refused even though it is good.
func TestListenersAreGuarded(t *testing.T) {
	_, op := working(t)
	text, rec, err := identity.NewBearer("ann", []identity.Role{identity.Admin}, 1)
	if err != nil {
		t.Fatal(err)
	}
	guard := &identity.Guard{Tokens: &tokens{recs: map[string]identity.BearerRecord{rec.ID: rec}}}
	server := grpc.NewServer(ServerOptions(guard)...)
	sluicev1.RegisterOperatorServer(server, op)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		<-ended
	})
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := sluicev1.NewOperatorClient(conn)
	if _, err := client.GetStatus(t.Context(), &sluicev1.GetStatusRequest{}); wire.HTTPStatus(err) != 401 {
		t.Errorf("nobody: %v", err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+text)
	if _, err := client.GetStatus(ctx, &sluicev1.GetStatusRequest{}); kindOf(err) != workload.Denied || !strings.Contains(err.Error(), "without TLS") {
		t.Errorf("a token in clear: %v", err)
	}
	big := &sluicev1.SubmitJobRequest{Document: strings.Repeat("x", 5<<20)}
	if _, err := client.SubmitJob(ctx, big); kindOf(err) != workload.Exhausted {
		t.Errorf("5 MiB: %v", err)
	}
}
