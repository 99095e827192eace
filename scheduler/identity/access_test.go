package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
)

// everyMethod reads the methods from the contract itself.
func everyMethod() []string {
	var out []string
	for _, file := range []protoreflect.FileDescriptor{sluicev1.File_sluice_v1_agent_proto, sluicev1.File_sluice_v1_cluster_proto, sluicev1.File_sluice_v1_operator_proto, sluicev1.File_sluice_v1_peer_proto} {
		for i := range file.Services().Len() {
			s := file.Services().Get(i)
			for j := range s.Methods().Len() {
				out = append(out, "/"+string(s.FullName())+"/"+string(s.Methods().Get(j).Name()))
			}
		}
	}
	return out
}

// F17: a method that nobody has classified fails here.
func TestEveryMethodHasARule(t *testing.T) {
	methods := everyMethod()
	if len(methods) < 20 {
		t.Fatalf("only %d methods found", len(methods))
	}
	for _, m := range methods {
		if len(Methods[m]) == 0 {
			t.Errorf("%s has no rule: say in Methods who may call it", m)
		}
	}
	for m := range Methods {
		if !slices.Contains(methods, m) {
			t.Errorf("%s has a rule but does not exist", m)
		}
	}
}

// F17: every role at every method.
func TestWhoMayCallWhat(t *testing.T) {
	const (
		people = "admin operator finance submitter viewer"
		submit = "admin operator submitter"
		apply  = "admin operator finance"
	)
	want := map[string]string{
		"AgentService/Enroll":  people + " agent server nobody",
		"AgentService/Session": "agent",
		"Peer/Propose":         "server", "Peer/Join": "server", "Peer/FetchHistory": "server", "Peer/Describe": "server",
		"Operator/IssueToken": "admin",
		"Cluster/GetMembers":  "admin", "Cluster/TransferLeadership": "admin", "Cluster/RemoveServer": "admin", "Cluster/SaveSnapshot": "admin", "Cluster/FenceNode": "admin",
		"Operator/SubmitJob": submit, "Operator/CancelJob": submit, "Operator/ApplyPolicy": apply,
	}
	callers := map[string]Caller{"nobody": {}}
	for _, r := range append(PeopleRoles(), Agent, Server, PlanSigner) {
		callers[string(r)] = Caller{Name: "x", Roles: []Role{r}}
	}
	checks := 0
	for _, m := range everyMethod() {
		may, listed := want[strings.TrimPrefix(m, "/sluice.v1.")]
		if !listed {
			may = people // all that only reads
		}
		for role, c := range callers {
			err := Authorize(m, c)
			if allowed := slices.Contains(strings.Fields(may), role); allowed != (err == nil) && !(role == "plan-signer" && strings.HasSuffix(m, "/Enroll")) {
				t.Errorf("%s by %s: %v", m, role, err)
			}
			if err != nil && workload.KindOf(err) != workload.Denied {
				t.Errorf("%s by %s: kind %v", m, role, workload.KindOf(err))
			}
			checks++
		}
	}
	t.Logf("%d pairs of role and method", checks)
	admin := callers["admin"]
	for _, m := range []string{"", "/", "sluice.v1.Operator/GetStatus", "/sluice.v1.Operator/getstatus", "//sluice.v1.Operator/GetStatus", "/sluice.v1.Operator/GetStatus/", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"} {
		if Authorize(m, admin) == nil {
			t.Errorf("%q is allowed", m)
		}
	}
}

func TestFinanceSetsTargetsOnly(t *testing.T) {
	for _, c := range []struct {
		role  Role
		kinds []string
		ok    bool
	}{
		{Admin, []string{"Wallet", "Target"}, true}, {Operator, []string{"Site"}, true},
		{Finance, []string{"Target"}, true}, {Finance, []string{"Target", "Target"}, true},
		{Finance, []string{"Target", "Wallet"}, false}, {Finance, []string{"target"}, false},
		{Viewer, []string{"Target"}, false}, {Submitter, nil, false}, {Agent, []string{"Target"}, false},
	} {
		if err := MayApply(Caller{Name: "x", Roles: []Role{c.role}}, c.kinds); (err == nil) != c.ok {
			t.Errorf("%s applies %v: %v", c.role, c.kinds, err)
		}
	}
	node := Caller{Name: "n1", Roles: []Role{Agent}}
	if MaySpeakFor(node, Agent, "n1") != nil || MaySpeakFor(node, Agent, "n2") == nil || MaySpeakFor(node, Server, "n1") == nil ||
		MaySpeakFor(Caller{Name: "n1", Roles: []Role{Agent}, TokenID: "t"}, Agent, "n1") == nil {
		t.Error("a node speaks for another, or not for itself")
	}
}

// shelf is a TokenStore.
type shelf struct {
	tokens  map[string]BearerRecord
	revoked map[Identity]bool
}

func (s shelf) Bearer(id string) (BearerRecord, bool) { r, ok := s.tokens[id]; return r, ok }
func (s shelf) Revoked(id Identity) bool              { return s.revoked[id] }

var (
	_ TokenStore = shelf{}
	_ Revoker    = shelf{}
)

func TestGuard(t *testing.T) {
	ca := newCA(t, "hall")
	now := time.Now()
	token, rec, _ := NewBearer("alice", []Role{Viewer}, 7)
	unknown, _, _ := NewBearer("alice", []Role{Admin}, 7)
	g := &Guard{Trust: ca.Trust, Tokens: shelf{
		tokens:  map[string]BearerRecord{rec.ID: rec},
		revoked: map[Identity]bool{{"hall", Agent, "n9"}: true},
	}}
	over := func(c *Credential) credentials.AuthInfo {
		var s tls.ConnectionState
		if c != nil {
			s.PeerCertificates = []*x509.Certificate{c.Leaf()}
		}
		return credentials.TLSInfo{State: s}
	}
	node := over(issue(t, ca, Agent, "n1", now))
	for _, c := range []struct {
		name   string
		auth   credentials.AuthInfo
		shown  []string
		method string
		want   codes.Code
		who    string
	}{
		{"person", over(nil), []string{"Bearer " + token}, "/sluice.v1.Operator/GetStatus", codes.OK, "alice"},
		{"scheme in lower case", over(nil), []string{"bearer " + token}, "/sluice.v1.Operator/Watch", codes.OK, "alice"},
		{"person without the role", over(nil), []string{"Bearer " + token}, "/sluice.v1.Operator/SubmitJob", codes.PermissionDenied, ""},
		{"person without TLS", nil, []string{"Bearer " + token}, "/sluice.v1.Operator/GetStatus", codes.Unauthenticated, ""},
		{"unknown token", over(nil), []string{"Bearer " + unknown}, "/sluice.v1.Operator/GetStatus", codes.Unauthenticated, ""},
		{"unknown token at an open method", over(nil), []string{"Bearer " + unknown}, "/sluice.v1.AgentService/Enroll", codes.Unauthenticated, ""},
		{"two tokens", over(nil), []string{"Bearer " + token, "Bearer " + token}, "/sluice.v1.Operator/GetStatus", codes.Unauthenticated, ""},
		{"another scheme", over(nil), []string{"Basic " + token}, "/sluice.v1.Operator/GetStatus", codes.Unauthenticated, ""},
		{"nothing shown", over(nil), nil, "/sluice.v1.Operator/GetStatus", codes.Unauthenticated, ""},
		{"nothing shown, enrolling", over(nil), nil, "/sluice.v1.AgentService/Enroll", codes.OK, "anonymous"},
		{"agent", node, nil, "/sluice.v1.AgentService/Session", codes.OK, "node/n1"},
		{"agent asks for the fleet", node, nil, "/sluice.v1.Operator/ListNodes", codes.PermissionDenied, ""},
		{"agent proposes", node, nil, "/sluice.v1.Peer/Propose", codes.PermissionDenied, ""},
		{"agent with a bad token", node, []string{"Bearer x"}, "/sluice.v1.AgentService/Session", codes.Unauthenticated, ""},
		{"agent whose certificate ran out on an open connection", over(issue(t, ca, Agent, "n1", now.Add(-Life-time.Hour))), nil, "/sluice.v1.AgentService/Session", codes.Unauthenticated, ""},
		{"agent of another cluster", over(issue(t, newCA(t, "hall"), Agent, "n1", now)), nil, "/sluice.v1.AgentService/Session", codes.Unauthenticated, ""},
		{"agent that was shut out", over(issue(t, ca, Agent, "n9", now)), nil, "/sluice.v1.AgentService/Session", codes.Unauthenticated, ""},
		{"server", over(issue(t, ca, Server, "s1", now)), nil, "/sluice.v1.Peer/Propose", codes.OK, "server/s1"},
		{"server at an agent's method", over(issue(t, ca, Server, "s1", now)), nil, "/sluice.v1.AgentService/Session", codes.PermissionDenied, ""},
	} {
		ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: &net.TCPAddr{}, AuthInfo: c.auth})
		ctx = metadata.NewIncomingContext(ctx, metadata.MD{"authorization": c.shown})
		reached := 0
		_, err := g.Unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: c.method}, func(ctx context.Context, _ any) (any, error) {
			reached++
			if who := CallerFrom(ctx).Actor(); who != c.who {
				t.Errorf("%s: called as %s", c.name, who)
			}
			return nil, nil
		})
		serr := g.Stream(nil, stream{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: c.method}, func(_ any, ss grpc.ServerStream) error {
			reached++
			if who := CallerFrom(ss.Context()).Actor(); who != c.who {
				t.Errorf("%s: streams as %s", c.name, who)
			}
			return nil
		})
		if status.Code(err) != c.want || status.Code(serr) != c.want || (reached == 2) != (c.want == codes.OK) {
			t.Errorf("%s: %v, %v, reached %d times", c.name, err, serr, reached)
		}
		if err != nil && (workload.KindOf(err) != workload.Denied || strings.Contains(err.Error(), token)) {
			t.Errorf("%s: kind %v: %v", c.name, workload.KindOf(err), err)
		}
	}
	// The in-memory listener behind the HTTPS server is as good as TLS.
	g.Plain = func(a net.Addr) bool { return a.Network() == "tcp" }
	ctx := peer.NewContext(metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+token)), &peer.Peer{Addr: &net.TCPAddr{}})
	if c, err := g.Caller(ctx); err != nil || c.Name != "alice" {
		t.Errorf("over an allowed plain connection: %+v, %v", c, err)
	}
}

type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s stream) Context() context.Context { return s.ctx }
