package api

import (
	"context"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/test/bufconn"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/identity"
)

const (
	maxMessage      = 4 << 20 // one gRPC request, in bytes
	maxStreams      = 100     // of one connection
	minPing         = 30 * time.Second
	maxMemoryAnswer = 256 << 20 // the list of a large fleet
)

// ServerOptions are what every gRPC listener of a server is made with: who may
// call what, and bounds on what one caller can take.
func ServerOptions(g *identity.Guard) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.ChainUnaryInterceptor(g.Unary),
		grpc.ChainStreamInterceptor(g.Stream),
	}
}

// loop is the Operator service on an in-memory listener. REST goes through it so
// that one guard decides for both faces.
type loop struct {
	server *grpc.Server
	conn   *grpc.ClientConn
	done   chan struct{}
}

func newLoop(op sluicev1.OperatorServer, g *identity.Guard) (*loop, error) {
	guard := *g
	guard.Plain = func(a net.Addr) bool { return a.Network() == bufconn.Listen(1).Addr().Network() }
	listener := bufconn.Listen(1 << 20)
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMemoryAnswer)))
	if err != nil {
		return nil, err
	}
	// No bound on streams here: all pages share the one connection.
	l := &loop{server: grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.ChainUnaryInterceptor(guard.Unary), grpc.ChainStreamInterceptor(guard.Stream)),
		conn: conn, done: make(chan struct{})}
	sluicev1.RegisterOperatorServer(l.server, op)
	go func() {
		defer close(l.done)
		_ = l.server.Serve(listener) // ends with close
	}()
	return l, nil
}

func (l *loop) close() error {
	err := l.conn.Close()
	l.server.Stop()
	<-l.done
	if errors.Is(err, grpc.ErrClientConnClosing) {
		return nil
	}
	return err
}
