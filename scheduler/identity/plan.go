package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// planLife is longer than a machine's, since an agent that is cut off goes on
// checking the plan it has.
const planLife = 365 * 24 * time.Hour

// planDomain keeps a signature on a plan from being one on anything else.
const planDomain = "sluice plan v1\x00"

const planFile = "plan-signer.pem"

// PlanKey signs what agents obey. Each server has its own, with a certificate
// of the authority that says sluice://<cluster>/plan-signer. The certificate
// travels inside each signature, so that an agent needs to hold nothing but the
// authority, and a server's key is replaced without telling any agent.
type PlanKey struct {
	cert *x509.Certificate
	key  ed25519.PrivateKey
}

// PlanRequest is a new plan key and the request for its certificate.
type PlanRequest struct {
	key ed25519.PrivateKey
	CSR []byte // DER
}

// NewPlanRequest makes a key.
func NewPlanRequest() (*PlanRequest, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	return &PlanRequest{key: key, CSR: csr}, nil
}

// Accept joins the request and the certificate that came back for it.
func (r *PlanRequest) Accept(t Trust, der []byte, now time.Time) (*PlanKey, error) {
	return newPlanKey(t, r.key, der, now)
}

func newPlanKey(t Trust, key ed25519.PrivateKey, der []byte, now time.Time) (*PlanKey, error) {
	cert, err := planCertificate(t, der, now)
	if err != nil {
		return nil, err
	}
	if !cert.PublicKey.(ed25519.PublicKey).Equal(key.Public()) {
		return nil, workload.Errorf(workload.Invalid, "the plan signer's certificate is for another key")
	}
	return &PlanKey{cert: cert, key: key}, nil
}

// planCertificate verifies a plan signer's certificate.
func planCertificate(t Trust, der []byte, now time.Time) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, workload.Errorf(workload.Denied, "the plan signer's certificate: %w", err)
	}
	if _, err := t.Verify(cert, now, PlanSigner); err != nil {
		return nil, err
	}
	if _, ok := cert.PublicKey.(ed25519.PublicKey); !ok {
		return nil, workload.Errorf(workload.Denied, "the plan signer's key is %s, not Ed25519", cert.PublicKeyAlgorithm)
	}
	return cert, nil
}

// PlanKey loads this server's plan key from the authority's directory, and makes
// one where there is none or where it is due for renewal.
func (ca *CA) PlanKey(now time.Time) (*PlanKey, error) {
	k, err := LoadPlanKey(ca.dir, ca.Trust, now)
	if err == nil && now.Before(RenewAfter(k.cert)) {
		return k, nil
	}
	if err != nil && workload.KindOf(err) != workload.NotFound && workload.KindOf(err) != workload.Denied {
		return nil, err
	}
	req, err := NewPlanRequest()
	if err != nil {
		return nil, err
	}
	der, err := ca.Issue(req.CSR, PlanSigner, "", nil, now)
	if err != nil {
		return nil, err
	}
	if k, err = req.Accept(ca.Trust, der, now); err != nil {
		return nil, err
	}
	return k, k.Save(ca.dir)
}

// Save writes the key to dir, readable by its owner alone.
func (k *PlanKey) Save(dir string) error {
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	data = append(data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.cert.Raw})...)
	return replaceSecret(filepath.Join(dir, planFile), data)
}

// LoadPlanKey reads what Save wrote. The error is of kind NotFound where there
// is none, and Denied where it has expired.
func LoadPlanKey(dir string, t Trust, now time.Time) (*PlanKey, error) {
	file := filepath.Join(dir, planFile)
	data, err := readSecret(file)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(data)
	cert, _ := pem.Decode(rest)
	if block == nil || cert == nil {
		return nil, workload.Errorf(workload.Invalid, "%s is not a key and a certificate", file)
	}
	signer, err := parseKey(file, block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := signer.(ed25519.PrivateKey)
	if !ok {
		return nil, workload.Errorf(workload.Invalid, "the key in %s is not Ed25519", file)
	}
	return newPlanKey(t, key, cert.Bytes, now)
}

// SignPlan returns the signature for SignedPlan: two bytes of length, the
// certificate, and 64 bytes of Ed25519.
func (k *PlanKey) SignPlan(body []byte) []byte {
	out := binary.BigEndian.AppendUint16(nil, uint16(len(k.cert.Raw)))
	out = append(out, k.cert.Raw...)
	return append(out, ed25519.Sign(k.key, append([]byte(planDomain), body...))...)
}

// PlanVerifier checks signatures on plans. It remembers the last certificate it
// verified, as each leader signs many plans.
type PlanVerifier struct {
	trust Trust
	last  atomic.Pointer[x509.Certificate]
}

// NewPlanVerifier needs nothing but the authority.
func NewPlanVerifier(t Trust) *PlanVerifier { return &PlanVerifier{trust: t} }

// Verify returns an error of kind Denied for a plan that no server of this
// cluster signed.
func (v *PlanVerifier) Verify(body, signature []byte, now time.Time) error {
	refused := workload.Errorf(workload.Denied, "the plan's signature is malformed")
	if len(signature) < 2 {
		return refused
	}
	n := int(binary.BigEndian.Uint16(signature))
	rest := signature[2:]
	if len(rest) != n+ed25519.SignatureSize {
		return refused
	}
	cert := v.last.Load()
	if cert == nil || string(cert.Raw) != string(rest[:n]) || now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		var err error
		if cert, err = planCertificate(v.trust, rest[:n], now); err != nil {
			return err
		}
		v.last.Store(cert)
	}
	if !ed25519.Verify(cert.PublicKey.(ed25519.PublicKey), append([]byte(planDomain), body...), rest[n:]) {
		return workload.Errorf(workload.Denied, "the plan was altered after it was signed")
	}
	return nil
}
