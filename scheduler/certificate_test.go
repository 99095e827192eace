package scheduler

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/identity"
)

// A server that runs for longer than a certificate lives shows a new one, also
// after a restart.
func TestCertificateIsRenewedWhileTheServerRuns(t *testing.T) {
	g := newTestGroup(t)
	s := g.start("s1")
	g.await("s1 leads", s.leads)
	shown := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", s.GRPCAddr(), identity.ClientTLS(s.trust))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := shown()
	if err := s.takeCertificate(time.Now()); err != nil {
		t.Fatal(err)
	}
	second := shown()
	if second == first || second != s.cred.Leaf().SerialNumber.String() {
		t.Errorf("shows %s after %s", second, first)
	}
	kept, err := identity.LoadCredential(s.identityDir())
	if err != nil || kept.Leaf().SerialNumber.String() != second {
		t.Errorf("on disk is %v, %v", kept.Leaf().SerialNumber, err)
	}
}
