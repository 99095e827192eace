package identity

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// ListenTLS is for the port that agents, people and browsers reach. A client
// certificate is not asked of people; one that is given must be good.
func ListenTLS(c *Credential) *tls.Config {
	conf := c.present()
	conf.ClientAuth = tls.VerifyClientCertIfGiven
	conf.ClientCAs = c.trust.pool()
	conf.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return nil
		}
		_, err := c.trust.Verify(s.PeerCertificates[0], time.Now(), Agent, Server)
		return err
	}
	return conf
}

// RaftTLS is for both ends of the connections between servers: nobody but a
// server of the same cluster gets past the handshake.
func RaftTLS(c *Credential) *tls.Config {
	conf := c.present()
	conf.ClientAuth = tls.RequireAndVerifyClientCert
	conf.ClientCAs = c.trust.pool()
	c.trust.expectServer(conf)
	return conf
}

// AgentTLS is for an agent or a server that calls a server.
func AgentTLS(c *Credential) *tls.Config {
	conf := c.present()
	c.trust.expectServer(conf)
	return conf
}

// ClientTLS is for people's programs, which know the authority and show a token.
func ClientTLS(t Trust) *tls.Config {
	conf := &tls.Config{MinVersion: tls.VersionTLS13}
	t.expectServer(conf)
	return conf
}

// EnrollTLS is for a machine that has nothing but a join token: the server must
// show the authority whose digest the token carries, and a certificate from it.
func EnrollTLS(pin [sha256.Size]byte) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // VerifyConnection does it, by digest and role
		VerifyConnection: func(s tls.ConnectionState) error {
			for _, cert := range s.PeerCertificates {
				if sha256.Sum256(cert.Raw) != pin {
					continue
				}
				t, err := ParseTrust(cert.Raw)
				if err != nil {
					return err
				}
				_, err = t.Verify(s.PeerCertificates[0], time.Now(), Server)
				return err
			}
			return workload.Errorf(workload.Denied, "the server is not of the cluster that the join token is for").
				Hint("check the server's address, or ask for a new token")
		},
	}
}

// present is the part in which we show our own certificate, the newest one.
func (c *Credential) present() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.now.Load(), nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return c.now.Load(), nil
		},
	}
}

func (t Trust) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(t.CA)
	return p
}

// expectServer verifies that the other side is a server of this cluster. Host
// names are not compared: an address can change, and a server's role in the
// certificate says more than its name in DNS.
func (t Trust) expectServer(conf *tls.Config) {
	conf.InsecureSkipVerify = true // VerifyConnection does it, by authority and role
	conf.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the other side showed no certificate")
		}
		_, err := t.Verify(s.PeerCertificates[0], time.Now(), Server)
		return err
	}
}
