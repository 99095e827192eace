package identity

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sluice-project/sluice/workload"
)

func newCA(t testing.TB, cluster string) *CA {
	t.Helper()
	ca, err := CreateCA(filepath.Join(t.TempDir(), "ca"), cluster, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t testing.TB, ca *CA, role Role, name string, now time.Time) *Credential {
	t.Helper()
	req, err := NewRequest()
	if err != nil {
		t.Fatal(err)
	}
	der, err := ca.Issue(req.CSR, role, name, []string{"sched.example", "192.0.2.7"}, now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := req.Accept(ca.Trust, der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParseURI(t *testing.T) {
	for _, good := range []Identity{
		{"hall", Server, "s1"}, {"hall", Agent, "n-07"}, {"hall", PlanSigner, ""}, {"hall", authority, ""},
	} {
		if got, err := ParseURI(good.String()); err != nil || got != good {
			t.Errorf("%s is read as %+v, %v", good, got, err)
		}
	}
	for _, bad := range []string{
		"", "sluice://", "sluice://hall", "sluice://hall/", "sluice://hall/server", "sluice://hall/server/", "sluice://hall/server/s1/x",
		"sluice://hall/server/S1", "sluice://hall/server/..", "sluice://HALL/server/s1", "sluice:///server/s1", "http://hall/server/s1",
		"sluice://hall/agent/n1", "sluice://hall/plan-signer/x", "sluice://hall/server/s1?x", "sluice://a@hall/server/s1", "sluice://hall:1/server/s1",
		"sluice://hall/server/s%31", "sluice://hall//server/s1", "SLUICE://hall/server/s1", "sluice://hall/plan-signer/",
	} {
		if id, err := ParseURI(bad); workload.KindOf(err) != workload.Denied {
			t.Errorf("%q is read as %+v, %v", bad, id, err)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("sluice://hall/server/s1")
	f.Add("sluice://hall/plan-signer")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseURI(s); err == nil && id.String() != s {
			t.Fatalf("%q is read and written as %q", s, id)
		}
	})
}

func TestAuthorityOnDisk(t *testing.T) {
	ca := newCA(t, "hall")
	if _, err := CreateCA(ca.dir, "hall", time.Now()); workload.KindOf(err) != workload.Conflict {
		t.Errorf("a second authority in its place: %v", err)
	}
	again, err := LoadCA(ca.dir)
	if err != nil || again.Pin() != ca.Pin() || again.Cluster != "hall" {
		t.Fatalf("loaded %v: %v", again, err)
	}
	key := filepath.Join(ca.dir, caKeyFile)
	if info, _ := os.Stat(key); info.Mode().Perm() != 0o600 {
		t.Errorf("ca.key has mode %v", info.Mode())
	}
	os.Chmod(key, 0o640)
	if _, err := LoadCA(ca.dir); workload.KindOf(err) != workload.Denied {
		t.Errorf("a key that a group can read: %v", err)
	}
	if _, err := LoadCA(t.TempDir()); workload.KindOf(err) != workload.NotFound {
		t.Errorf("no authority: %v", err)
	}
	os.WriteFile(filepath.Join(ca.dir, caFile), newCA(t, "hall").PEM(), 0o600)
	os.Chmod(key, 0o600)
	if _, err := LoadCA(ca.dir); workload.KindOf(err) != workload.Invalid {
		t.Errorf("a key of another authority: %v", err)
	}
}

func TestCertificates(t *testing.T) {
	ca := newCA(t, "hall")
	now := time.Now()
	c := issue(t, ca, Server, "s1", now)
	leaf := c.Leaf()
	if id, err := ca.Verify(leaf, now, Server); err != nil || id != (Identity{"hall", Server, "s1"}) {
		t.Errorf("verified as %+v, %v", id, err)
	}
	if !slices.Contains(leaf.DNSNames, "sched.example") || !slices.Contains(leaf.DNSNames, "localhost") || len(leaf.IPAddresses) != 3 {
		t.Errorf("names %v %v", leaf.DNSNames, leaf.IPAddresses)
	}
	if d := leaf.NotAfter.Sub(now).Round(time.Minute); d != Life {
		t.Errorf("valid for %s", d)
	}
	if r := RenewAfter(leaf); !r.After(now.Add(4*24*time.Hour)) || !r.Before(now.Add(5*24*time.Hour)) {
		t.Errorf("renewed at %s", r)
	}
	other := newCA(t, "hall")
	foreign := newCA(t, "yard")
	for _, c := range []struct {
		name  string
		trust Trust
		cert  *x509.Certificate
		at    time.Time
		roles []Role
	}{
		{"expired", ca.Trust, leaf, now.Add(Life + time.Second), []Role{Server}},
		{"not yet valid", ca.Trust, leaf, now.Add(-time.Hour), []Role{Server}},
		{"wrong role", ca.Trust, leaf, now, []Role{Agent}},
		{"another authority with the same name", other.Trust, leaf, now, []Role{Server}},
		{"another cluster", ca.Trust, issue(t, foreign, Server, "s1", now).Leaf(), now, []Role{Server}},
		{"a node as a server", ca.Trust, issue(t, ca, Agent, "s1", now).Leaf(), now, []Role{Server}},
		{"another cluster's name under this authority", Trust{CA: ca.CA, Cluster: "yard"}, leaf, now, []Role{Server}},
		{"the authority itself", ca.Trust, ca.CA, now, []Role{Server, Agent, PlanSigner}},
	} {
		if id, err := c.trust.Verify(c.cert, c.at, c.roles...); workload.KindOf(err) != workload.Denied {
			t.Errorf("%s: %+v, %v", c.name, id, err)
		}
	}
	two := *leaf
	two.URIs = append(two.URIs, &url.URL{Scheme: "https", Host: "x"})
	if _, err := ParseIdentity(&two); err == nil {
		t.Error("a certificate with two URIs was read")
	}
	req, _ := NewRequest()
	for _, c := range []struct {
		role Role
		name string
	}{{authority, ""}, {Admin, "x"}, {Agent, ""}, {Agent, "../x"}, {PlanSigner, "x"}} {
		if _, err := ca.Issue(req.CSR, c.role, c.name, nil, now); workload.KindOf(err) != workload.Invalid {
			t.Errorf("issued for role %q and name %q: %v", c.role, c.name, err)
		}
	}
	broken := slices.Clone(req.CSR)
	broken[len(broken)-3] ^= 1
	if _, err := ca.Issue(broken, Agent, "n1", nil, now); workload.KindOf(err) != workload.Invalid {
		t.Errorf("issued for a request whose signature is wrong: %v", err)
	}
}

func TestCredentialIsSavedAndRenewed(t *testing.T) {
	ca := newCA(t, "hall")
	now := time.Now()
	c := issue(t, ca, Agent, "n1", now.Add(-6*24*time.Hour))
	dir := t.TempDir()
	if err := c.Save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := LoadCredential(dir)
	if err != nil || !got.Leaf().Equal(c.Leaf()) {
		t.Fatal(err)
	}
	if trust, err := LoadTrust(filepath.Join(dir, caFile)); err != nil || trust.Pin() != ca.Pin() {
		t.Error(err)
	}
	conf := AgentTLS(got)
	req, _ := NewRequest()
	der, _ := ca.Issue(req.CSR, Agent, "n1", nil, now)
	if err := got.Renew(req, der); err != nil {
		t.Fatal(err)
	}
	shown, _ := conf.GetClientCertificate(nil)
	if !shown.Leaf.Equal(got.Leaf()) || got.Leaf().Equal(c.Leaf()) {
		t.Error("settings in use still show the old certificate")
	}
	other, _ := NewRequest()
	if err := got.Renew(other, der); workload.KindOf(err) != workload.Invalid {
		t.Errorf("a certificate for another key: %v", err)
	}
	os.Chmod(filepath.Join(dir, credentialFile), 0o644)
	if _, err := LoadCredential(dir); workload.KindOf(err) != workload.Denied {
		t.Errorf("a key that all can read: %v", err)
	}
}

// shake connects two ends and returns what each said.
func shake(server, client *tls.Config) (serverErr, clientErr error) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	done := make(chan error, 1)
	go func() {
		s := tls.Server(a, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte{1})
		} else {
			a.Close()
		}
		done <- err
	}()
	c := tls.Client(b, client)
	err := c.Handshake()
	if err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	b.Close()
	return <-done, err
}

func TestHandshakes(t *testing.T) {
	ca, foreign := newCA(t, "hall"), newCA(t, "hall")
	now := time.Now()
	server, node := issue(t, ca, Server, "s1", now), issue(t, ca, Agent, "n1", now)
	stale := issue(t, ca, Agent, "n1", now.Add(-Life-time.Hour))
	stranger := issue(t, foreign, Agent, "n1", now)
	fake := issue(t, foreign, Server, "s1", now)
	// blind shows a certificate and trusts anybody, so that the server decides.
	blind := func(c *Credential) *tls.Config {
		conf := AgentTLS(c)
		conf.VerifyConnection = nil
		return conf
	}
	for _, c := range []struct {
		name           string
		server, client *tls.Config
		ok             bool
	}{
		{"agent", ListenTLS(server), AgentTLS(node), true},
		{"person", ListenTLS(server), ClientTLS(ca.Trust), true},
		{"enrolling", ListenTLS(server), EnrollTLS(ca.Pin()), true},
		{"server", RaftTLS(server), RaftTLS(server), true},
		{"agent with an expired certificate", ListenTLS(server), blind(stale), false},
		{"agent of another authority", ListenTLS(server), blind(stranger), false},
		{"agent at raft", RaftTLS(server), blind(node), false},
		{"person at raft", RaftTLS(server), ClientTLS(ca.Trust), false},
		{"agent meets a false server", ListenTLS(fake), AgentTLS(node), false},
		{"person meets a false server", ListenTLS(fake), ClientTLS(ca.Trust), false},
		{"enrolling meets a false server", ListenTLS(fake), EnrollTLS(ca.Pin()), false},
		{"agent meets a node that listens", ListenTLS(node), AgentTLS(node), false},
		{"enrolling meets a node that listens", ListenTLS(node), EnrollTLS(ca.Pin()), false},
		{"TLS 1.2", ListenTLS(server), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}, false},
	} {
		s, cl := shake(c.server, c.client)
		if (s == nil && cl == nil) != c.ok {
			t.Errorf("%s: server says %v, client says %v", c.name, s, cl)
		}
	}
}

func TestPlanSignatures(t *testing.T) {
	ca := newCA(t, "hall")
	now := time.Now()
	k, err := ca.PlanKey(now)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ca.PlanKey(now)
	if err != nil || !again.cert.Equal(k.cert) {
		t.Errorf("a second start made another key: %v", err)
	}
	later, err := ca.PlanKey(now.Add(300 * 24 * time.Hour))
	if err != nil || later.cert.Equal(k.cert) {
		t.Errorf("the key is not renewed: %v", err)
	}
	v := NewPlanVerifier(ca.Trust)
	body := []byte(`{"node":"n1"}`)
	sig := k.SignPlan(body)
	for range 2 { // the second time with the certificate remembered
		if err := v.Verify(body, sig, now); err != nil {
			t.Error(err)
		}
	}
	for i := range sig {
		bad := slices.Clone(sig)
		bad[i] ^= 1
		if err := v.Verify(body, bad, now); err == nil {
			t.Fatalf("a signature with byte %d altered is taken", i)
		}
		if err := v.Verify(body, sig[:i], now); workload.KindOf(err) != workload.Denied {
			t.Fatalf("%d bytes of a signature: %v", i, err)
		}
	}
	if err := v.Verify([]byte(`{"node":"n2"}`), sig, now); workload.KindOf(err) != workload.Denied {
		t.Errorf("another plan: %v", err)
	}
	if err := v.Verify(body, sig, now.Add(planLife+time.Hour)); workload.KindOf(err) != workload.Denied {
		t.Errorf("signed by an expired key: %v", err)
	}
	stranger, _ := newCA(t, "hall").PlanKey(now)
	if err := v.Verify(body, stranger.SignPlan(body), now); workload.KindOf(err) != workload.Denied {
		t.Errorf("signed by another authority's key: %v", err)
	}
	// A server's own certificate signs no plans, nor does a node's.
	req, _ := NewPlanRequest()
	for _, role := range []Role{Server, Agent} {
		der, err := ca.Issue(req.CSR, role, "x1", nil, now)
		if err != nil {
			t.Fatal(err)
		}
		cert, _ := x509.ParseCertificate(der)
		forged := (&PlanKey{cert: cert, key: req.key}).SignPlan(body)
		if err := v.Verify(body, forged, now); workload.KindOf(err) != workload.Denied {
			t.Errorf("signed by a %s: %v", role, err)
		}
	}
}
