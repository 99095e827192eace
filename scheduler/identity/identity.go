// Package identity says who is calling and what they may do: the cluster's own
// certificate authority, join tokens for machines, bearer tokens for people,
// the signature on plans, and one table of every method and who may call it.
// It hides crypto/x509 and the TLS settings, which nobody else writes.
//
// Names are in the certificate as one URI: sluice://<cluster>/server/<name>,
// sluice://<cluster>/node/<name>, sluice://<cluster>/plan-signer and
// sluice://<cluster>/ca. Subjects, DNS names and addresses decide nothing
// between our own programs; they are there for browsers.
package identity

import (
	"crypto/x509"
	"net/url"
	"strings"

	"github.com/sluice-project/sluice/workload"
)

// Role is what a caller is. People have the first five, by token; machines have
// one of the last, by certificate.
type Role string

const (
	Admin     Role = "admin"
	Operator  Role = "operator"
	Finance   Role = "finance"
	Submitter Role = "submitter"
	Viewer    Role = "viewer"

	// Agent is a node. It speaks only for itself.
	Agent Role = "agent"
	// Server is a scheduler.
	Server Role = "server"
	// PlanSigner signs what agents obey. It calls nobody.
	PlanSigner Role = "plan-signer"
	// authority is the cluster's own root.
	authority Role = "ca"
)

// PeopleRoles lists the roles that a bearer token can carry.
func PeopleRoles() []Role { return []Role{Admin, Operator, Finance, Submitter, Viewer} }

// Identity is what a certificate says of its holder. Name is empty for a plan
// signer.
type Identity struct {
	Cluster string
	Role    Role
	Name    string
}

// rolePaths are the first parts of the URI's path.
var rolePaths = map[Role]string{Server: "server", Agent: "node", PlanSigner: "plan-signer", authority: "ca"}

func (r Role) named() bool { return r == Server || r == Agent }

// URI is how the identity stands in a certificate.
func (id Identity) URI() *url.URL {
	path := "/" + rolePaths[id.Role]
	if id.Role.named() {
		path += "/" + id.Name
	}
	return &url.URL{Scheme: "sluice", Host: id.Cluster, Path: path}
}

func (id Identity) String() string { return id.URI().String() }

func (id Identity) valid() bool {
	_, known := rolePaths[id.Role]
	return known && workload.ValidName(id.Cluster) && (id.Role.named() && workload.ValidName(id.Name) || !id.Role.named() && id.Name == "")
}

// ParseURI reads what String writes, and nothing else.
func ParseURI(s string) (Identity, error) {
	refused := workload.Errorf(workload.Denied, "%.100q is not an identity of this product", s)
	rest, ok := strings.CutPrefix(s, "sluice://")
	if !ok {
		return Identity{}, refused
	}
	cluster, path, _ := strings.Cut(rest, "/")
	kind, name, _ := strings.Cut(path, "/")
	for role, p := range rolePaths {
		if p == kind {
			id := Identity{Cluster: cluster, Role: role, Name: name}
			if id.valid() && id.String() == s {
				return id, nil
			}
		}
	}
	return Identity{}, refused
}

// ParseIdentity reads the identity in a certificate, which must hold exactly
// one URI. It does not verify the certificate. The error is of kind Denied.
func ParseIdentity(cert *x509.Certificate) (Identity, error) {
	if cert == nil || len(cert.URIs) != 1 {
		return Identity{}, workload.Errorf(workload.Denied, "the certificate does not hold exactly one URI")
	}
	return ParseURI(cert.URIs[0].String())
}
