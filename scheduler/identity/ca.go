package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluice-project/sluice/workload"
)

const (
	// caLife is long, as every machine of the cluster pins the authority.
	caLife = 20 * 365 * 24 * time.Hour
	// Life is how long a machine's certificate is valid. It is renewed after
	// two thirds of it, see RenewAfter.
	Life = 7 * 24 * time.Hour
	// skew lets a machine whose clock is a little behind use a new certificate.
	skew = 5 * time.Minute

	caFile    = "ca.pem"
	caKeyFile = "ca.key"
)

// Trust is what a machine needs to know the others by: the authority's
// certificate and, from it, the cluster.
type Trust struct {
	CA      *x509.Certificate
	Cluster string
}

// ParseTrust reads an authority's certificate, DER.
func ParseTrust(der []byte) (Trust, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return Trust{}, workload.Errorf(workload.Invalid, "reading the authority's certificate: %w", err)
	}
	id, err := ParseIdentity(cert)
	if err != nil || id.Role != authority || !cert.IsCA {
		return Trust{}, workload.Errorf(workload.Invalid, "the certificate is not that of a cluster's authority")
	}
	return Trust{CA: cert, Cluster: id.Cluster}, nil
}

// LoadTrust reads the authority's certificate from a PEM file, as operators and
// agents have it.
func LoadTrust(file string) (Trust, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return Trust{}, workload.Errorf(workload.NotFound, "no authority's certificate at %s", file).
			Hint("copy ca.pem from a server's identity directory")
	}
	if err != nil {
		return Trust{}, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return Trust{}, workload.Errorf(workload.Invalid, "%s holds no certificate", file)
	}
	return ParseTrust(block.Bytes)
}

// PEM is the authority's certificate as a file.
func (t Trust) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: t.CA.Raw})
}

// Pin is the digest of the authority's certificate that join tokens carry.
func (t Trust) Pin() [sha256.Size]byte { return sha256.Sum256(t.CA.Raw) }

// Verify checks that a certificate was issued by the authority, is valid at now
// and names one of the roles in this cluster. The error is of kind Denied.
func (t Trust) Verify(cert *x509.Certificate, now time.Time, roles ...Role) (Identity, error) {
	id, err := ParseIdentity(cert)
	if err != nil {
		return Identity{}, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(t.CA)
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return Identity{}, workload.Errorf(workload.Denied, "the certificate of %s: %w", id, err)
	}
	if id.Cluster != t.Cluster {
		return Identity{}, workload.Errorf(workload.Denied, "%s is of another cluster than %s", id, t.Cluster)
	}
	if !slices.Contains(roles, id.Role) {
		return Identity{}, workload.Errorf(workload.Denied, "%s does not have the role %v", id, roles)
	}
	return id, nil
}

// CA issues certificates.
type CA struct {
	Trust
	dir string
	key crypto.Signer
}

// CreateCA makes a cluster's authority in dir: ca.pem and, readable by its owner
// alone, ca.key. The error is of kind Conflict where there is one already.
func CreateCA(dir, cluster string, now time.Time) (*CA, error) {
	id := Identity{Cluster: cluster, Role: authority}
	if !id.valid() {
		return nil, workload.Errorf(workload.Invalid, "cluster name %q must be 1 to 63 of a-z, 0-9 and hyphen", cluster)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Sluice " + cluster},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		URIs:                  []*url.URL{id.URI()},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	trust, err := ParseTrust(der)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// The key goes first: a certificate without a key would be an authority
	// that can never issue anything.
	if err := writeKey(filepath.Join(dir, caKeyFile), key, os.O_EXCL); err != nil {
		if errors.Is(err, os.ErrExist) {
			return nil, workload.Errorf(workload.Conflict, "%s already holds an authority", dir)
		}
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, caFile), trust.PEM(), 0o600); err != nil {
		return nil, err
	}
	return &CA{Trust: trust, dir: dir, key: key}, nil
}

// LoadCA opens what CreateCA made. The error is of kind NotFound where there is
// none, and Denied where others can read the key.
func LoadCA(dir string) (*CA, error) {
	trust, err := LoadTrust(filepath.Join(dir, caFile))
	if err != nil {
		return nil, err
	}
	key, err := readKey(filepath.Join(dir, caKeyFile))
	if err != nil {
		return nil, err
	}
	if pub, ok := trust.CA.PublicKey.(*ecdsa.PublicKey); !ok || !pub.Equal(key.Public()) {
		return nil, workload.Errorf(workload.Invalid, "ca.key in %s does not belong to ca.pem", dir)
	}
	return &CA{Trust: trust, dir: dir, key: key}, nil
}

// Issue signs a certificate for the key in a request (DER). Of the request only
// the key counts: who the holder is, the caller has established. A server's
// certificate also names localhost and hosts (names or addresses), for browsers.
func (ca *CA) Issue(csr []byte, role Role, name string, hosts []string, now time.Time) ([]byte, error) {
	req, err := x509.ParseCertificateRequest(csr)
	if err == nil {
		err = req.CheckSignature()
	}
	if err != nil {
		return nil, workload.Errorf(workload.Invalid, "certificate request: %w", err)
	}
	id := Identity{Cluster: ca.Cluster, Role: role, Name: name}
	if role == authority || !id.valid() {
		return nil, workload.Errorf(workload.Invalid, "no certificate is issued for role %q and name %q", role, name)
	}
	cert := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-skew),
		NotAfter:     now.Add(Life),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		URIs:         []*url.URL{id.URI()},
	}
	switch role {
	case Agent:
		cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case Server:
		cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
		for _, h := range append([]string{"localhost", "127.0.0.1", "::1"}, hosts...) {
			if ip := net.ParseIP(h); ip != nil {
				cert.IPAddresses = append(cert.IPAddresses, ip)
			} else if h != "" {
				cert.DNSNames = append(cert.DNSNames, h)
			}
		}
	case PlanSigner:
		cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
		cert.NotAfter = now.Add(planLife)
	}
	return x509.CreateCertificate(rand.Reader, cert, ca.CA, req.PublicKey, ca.key)
}

// RenewAfter is when a certificate should be replaced: at two thirds of its
// life, so that an outage of two days harms nobody.
func RenewAfter(cert *x509.Certificate) time.Time {
	return cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) / 3 * 2)
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[0] &= 0x7f // positive
	return new(big.Int).SetBytes(b)
}

func writeKey(file string, key crypto.Signer, flag int) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writeSecret(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), flag)
}

func writeSecret(file string, data []byte, flag int) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|flag, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// readSecret refuses a file that others can read: its secret is one no more.
func readSecret(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, workload.Errorf(workload.NotFound, "%s does not exist", file)
	}
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, workload.Errorf(workload.Denied, "%s can be read by others (mode %04o)", file, info.Mode().Perm()).
			Hint("chmod 600 %s, and replace the key if the machine is shared", file)
	}
	return os.ReadFile(file)
}

func readKey(file string) (crypto.Signer, error) {
	data, err := readSecret(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, workload.Errorf(workload.Invalid, "%s holds no private key", file)
	}
	return parseKey(file, block.Bytes)
}

func parseKey(file string, der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, workload.Errorf(workload.Invalid, "reading the key in %s: %w", file, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, workload.Errorf(workload.Invalid, "the key in %s cannot sign: %T", file, key)
	}
	return signer, nil
}
