package identity

import (
	"context"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/sluice-project/sluice/workload"
)

// TokenStore looks up people's tokens.
type TokenStore interface {
	// Bearer returns the record of an id; ok is false when there is none.
	Bearer(id string) (rec BearerRecord, ok bool)
}

// Revoker is an optional ability of a TokenStore: to shut out a machine whose
// certificate is still valid.
type Revoker interface {
	Revoked(id Identity) bool
}

// Guard stands in front of every method.
type Guard struct {
	Trust  Trust
	Tokens TokenStore

	// Plain says from which addresses a token is taken without TLS. It is for
	// an in-memory listener behind our own HTTPS server; nil means never.
	Plain func(net.Addr) bool
}

type callerKey struct{}

// CallerFrom returns who sent the request that a context belongs to.
func CallerFrom(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// WithCaller returns a context for work on behalf of a caller.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// Person returns who holds a bearer token. The error is of kind Denied and says
// the same for an unknown and for a wrong one.
func (g *Guard) Person(token string) (Caller, error) {
	proof, err := ParseBearer(token)
	if err != nil {
		return Caller{}, err
	}
	rec, ok := g.Tokens.Bearer(proof.ID)
	if !rec.Check(proof) || !ok {
		return Caller{}, workload.Errorf(workload.Denied, "the token is not known here").
			Hint("it may have been withdrawn, or is for another cluster")
	}
	return Caller{Name: rec.Name, Roles: rec.Roles, TokenID: rec.ID}, nil
}

// Caller finds out who sent a gRPC request: by token where one is shown, else by
// certificate. The zero Caller has shown neither. A token that is shown must be
// good: a bad one never falls back to a certificate.
func (g *Guard) Caller(ctx context.Context) (Caller, error) {
	p, _ := peer.FromContext(ctx)
	var info credentials.TLSInfo
	secure := false
	if p != nil {
		info, secure = p.AuthInfo.(credentials.TLSInfo)
	}
	md, _ := metadata.FromIncomingContext(ctx)
	if shown := md.Get("authorization"); len(shown) > 0 {
		if !secure && (p == nil || g.Plain == nil || !g.Plain(p.Addr)) {
			return Caller{}, workload.Errorf(workload.Denied, "a token is not taken over a connection without TLS").
				Hint("replace the token: it was sent in clear")
		}
		scheme, token, _ := strings.Cut(shown[0], " ")
		if len(shown) != 1 || !strings.EqualFold(scheme, "bearer") {
			return Caller{}, workload.Errorf(workload.Denied, "authorization must be one bearer token")
		}
		return g.Person(strings.TrimSpace(token))
	}
	if !secure || len(info.State.PeerCertificates) == 0 {
		return Caller{}, nil
	}
	// Verified again, because a connection outlives the handshake by days.
	id, err := g.Trust.Verify(info.State.PeerCertificates[0], time.Now(), Agent, Server)
	if err != nil {
		return Caller{}, err
	}
	if r, ok := g.Tokens.(Revoker); ok && r.Revoked(id) {
		return Caller{}, workload.Errorf(workload.Denied, "%s was shut out of the cluster", id)
	}
	return Caller{Name: id.Name, Roles: []Role{id.Role}}, nil
}

func (g *Guard) admit(ctx context.Context, method string) (context.Context, error) {
	c, err := g.Caller(ctx)
	if err != nil {
		return nil, denial{err, codes.Unauthenticated}
	}
	if err := Authorize(method, c); err != nil {
		code := codes.PermissionDenied
		if c.Name == "" {
			code = codes.Unauthenticated
		}
		return nil, denial{err, code}
	}
	return WithCaller(ctx, c), nil
}

// Unary guards methods with one answer.
func (g *Guard) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	ctx, err := g.admit(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return next(ctx, req)
}

// Stream guards methods with streams. Who calls is established when a stream
// opens; a stream that lives longer than a certificate is ended by its owner.
func (g *Guard) Stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, err := g.admit(ss.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return next(srv, callerStream{ss, ctx})
}

var (
	_ grpc.UnaryServerInterceptor  = (*Guard)(nil).Unary
	_ grpc.StreamServerInterceptor = (*Guard)(nil).Stream
)

type callerStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s callerStream) Context() context.Context { return s.ctx }

// denial tells gRPC whether to show other credentials or to give up, which the
// one kind Denied does not.
type denial struct {
	error
	code codes.Code
}

func (d denial) Unwrap() error              { return d.error }
func (d denial) GRPCStatus() *status.Status { return status.New(d.code, d.Error()) }
