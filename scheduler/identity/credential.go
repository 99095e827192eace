package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/sluice-project/sluice/workload"
)

// Request is a new key and the certificate request for it. The key never leaves
// the machine that made it.
type Request struct {
	key crypto.Signer
	CSR []byte // DER
}

// NewRequest makes a key.
func NewRequest() (*Request, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	return &Request{key: key, CSR: csr}, nil
}

// Credential is a machine's key and certificate. Renewed replaces them below
// TLS settings that are in use.
type Credential struct {
	trust Trust
	now   atomic.Pointer[tls.Certificate]
}

// Accept joins a request and the certificate that came back for it, and checks
// that they belong together.
func (r *Request) Accept(trust Trust, der []byte) (*Credential, error) {
	c := &Credential{trust: trust}
	return c, c.renew(r.key, der)
}

// Renew takes a newer certificate for a newer key. TLS settings made from the
// credential use it for new connections.
func (c *Credential) Renew(r *Request, der []byte) error { return c.renew(r.key, der) }

func (c *Credential) renew(key crypto.Signer, der []byte) error {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return workload.Errorf(workload.Invalid, "reading the certificate: %w", err)
	}
	pub, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !pub.Equal(key.Public()) {
		return workload.Errorf(workload.Invalid, "the certificate is for another key")
	}
	if err := leaf.CheckSignatureFrom(c.trust.CA); err != nil {
		return workload.Errorf(workload.Invalid, "the certificate is from another authority: %w", err)
	}
	// The authority is sent along, so that a machine that holds only its digest
	// can check it while enrolling.
	c.now.Store(&tls.Certificate{Certificate: [][]byte{der, c.trust.CA.Raw}, PrivateKey: key, Leaf: leaf})
	return nil
}

// Trust is the authority that the credential is from.
func (c *Credential) Trust() Trust { return c.trust }

// Leaf is the certificate in use.
func (c *Credential) Leaf() *x509.Certificate { return c.now.Load().Leaf }

// Identity is who the credential says its holder is.
func (c *Credential) Identity() (Identity, error) { return ParseIdentity(c.Leaf()) }

const credentialFile = "identity.pem"

// Save writes key, certificate and authority to one file in dir, readable by its
// owner alone, and ca.pem beside it. One file, as a key and a certificate that
// do not match are worse than old ones.
func (c *Credential) Save(dir string) error {
	cert := c.now.Load()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return err
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for _, der := range cert.Certificate {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := replaceSecret(filepath.Join(dir, credentialFile), data); err != nil {
		return err
	}
	return replaceSecret(filepath.Join(dir, caFile), c.trust.PEM())
}

func replaceSecret(file string, data []byte) error {
	temp := file + ".tmp"
	if err := errors.Join(writeSecret(temp, data, os.O_TRUNC), os.Chmod(temp, 0o600)); err != nil {
		return err
	}
	return os.Rename(temp, file)
}

// LoadCredential reads what Save wrote. The error is of kind NotFound where
// there is none.
func LoadCredential(dir string) (*Credential, error) {
	file := filepath.Join(dir, credentialFile)
	data, err := readSecret(file)
	if err != nil {
		return nil, err
	}
	key, rest := pem.Decode(data)
	leaf, rest := pem.Decode(rest)
	ca, _ := pem.Decode(rest)
	if key == nil || leaf == nil || ca == nil {
		return nil, workload.Errorf(workload.Invalid, "%s is not a key, a certificate and an authority", file)
	}
	signer, err := parseKey(file, key.Bytes)
	if err != nil {
		return nil, err
	}
	trust, err := ParseTrust(ca.Bytes)
	if err != nil {
		return nil, err
	}
	c := &Credential{trust: trust}
	return c, c.renew(signer, leaf.Bytes)
}
