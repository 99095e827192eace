package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/sluice-project/sluice/workload"
)

// Tokens are written in lower-case base32, which survives being read aloud and
// selected with a double click.
var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

const (
	joinPrefix   = "sluice-join-1"
	bearerPrefix = "sluice"
	idBytes      = 10 // 16 letters
	secretBytes  = 32 // 52 letters
)

// JoinToken lets one machine into the cluster once:
// sluice-join-1.<digest of the authority>.<id>.<secret>.
type JoinToken struct {
	Pin    [sha256.Size]byte // of the authority's certificate, see EnrollTLS
	ID     string
	secret [secretBytes]byte
}

// TokenRecord is what the cluster keeps of a join token: a digest of the secret.
// Package state keeps it and lets each token in once.
type TokenRecord struct {
	ID      string `json:"id"`
	Hash    string `json:"hash"` // SHA-256 of the secret, hexadecimal
	Role    Role   `json:"role"` // Agent or Server
	Name    string `json:"name,omitempty"`
	Expires int64  `json:"expires"` // Unix milliseconds
	Created int64  `json:"created"`
	By      string `json:"by"`
}

// NewJoinToken makes a token for a role, for one machine's name where name is
// not empty. Instants are in Unix milliseconds.
func NewJoinToken(t Trust, role Role, name, by string, now, expires int64) (JoinToken, TokenRecord, error) {
	switch {
	case role != Agent && role != Server:
		return JoinToken{}, TokenRecord{}, workload.Errorf(workload.Invalid, "a join token is for a node or a server, not for %q", role)
	case name != "" && !workload.ValidName(name):
		return JoinToken{}, TokenRecord{}, workload.Errorf(workload.Invalid, "name %q must be 1 to 63 of a-z, 0-9 and hyphen", name)
	case expires <= now:
		return JoinToken{}, TokenRecord{}, workload.Errorf(workload.Invalid, "a join token must expire later than now")
	}
	j := JoinToken{Pin: t.Pin(), ID: newID()}
	rand.Read(j.secret[:]) // never fails
	return j, TokenRecord{ID: j.ID, Hash: j.Proof().Hash, Role: role, Name: name, Expires: expires, Created: now, By: by}, nil
}

func newID() string {
	id := make([]byte, idBytes)
	rand.Read(id)
	return base32Lower.EncodeToString(id)
}

// Text is the token as people pass it on.
func (j JoinToken) Text() string {
	return strings.Join([]string{joinPrefix, base32Lower.EncodeToString(j.Pin[:]), j.ID, base32Lower.EncodeToString(j.secret[:])}, ".")
}

// String hides the secret, so that a token in a log line is of no use.
func (j JoinToken) String() string { return joinPrefix + ".…." + j.ID + ".…" }

// GoString hides the secret from %#v.
func (j JoinToken) GoString() string { return j.String() }

// Proof is what a server puts into the log of a token that was shown to it.
type Proof struct {
	ID   string `json:"id"`
	Hash string `json:"hash"`
}

// Proof digests the secret.
func (j JoinToken) Proof() Proof {
	sum := sha256.Sum256(j.secret[:])
	return Proof{ID: j.ID, Hash: hex.EncodeToString(sum[:])}
}

// ParseJoinToken reads what Text writes, spaces around it aside. The error is of
// kind Invalid and does not repeat the token.
func ParseJoinToken(s string) (JoinToken, error) {
	bad := workload.Errorf(workload.Invalid, "this is not a join token").
		Hint("it looks like %s.<52 letters>.<16 letters>.<52 letters>; copy it whole", joinPrefix)
	s = strings.TrimSpace(s)
	parts := strings.Split(s, ".")
	if len(s) > 256 || len(parts) != 4 || parts[0] != joinPrefix {
		return JoinToken{}, bad
	}
	var j JoinToken
	if !decode(j.Pin[:], parts[1]) || !decode(make([]byte, idBytes), parts[2]) || !decode(j.secret[:], parts[3]) {
		return JoinToken{}, bad
	}
	j.ID = parts[2]
	return j, nil
}

// decode accepts only the one way to write exactly these bytes.
func decode(into []byte, s string) bool {
	b, err := base32Lower.DecodeString(s)
	if err != nil || len(b) != len(into) || base32Lower.EncodeToString(b) != s {
		return false
	}
	copy(into, b)
	return true
}

// BearerRecord is what the cluster keeps of a person's token.
type BearerRecord struct {
	ID         string `json:"id"`
	HashSHA256 string `json:"hash"` // of the secret, hexadecimal
	Name       string `json:"name"`
	Roles      []Role `json:"roles"`
	CreatedAt  int64  `json:"created"` // Unix milliseconds
}

// NewBearer makes a person's token, sluice_<id>_<secret>, which is shown once.
func NewBearer(name string, roles []Role, now int64) (token string, rec BearerRecord, err error) {
	if name == "" || len(name) > 128 || len(roles) == 0 {
		return "", BearerRecord{}, workload.Errorf(workload.Invalid, "a token needs a name of at most 128 bytes and a role")
	}
	for _, r := range roles {
		if !slices.Contains(PeopleRoles(), r) {
			return "", BearerRecord{}, workload.Errorf(workload.Invalid, "a person cannot have the role %q", r).
				Hint("roles are %v", PeopleRoles())
		}
	}
	secret := make([]byte, secretBytes)
	rand.Read(secret)
	rec = BearerRecord{ID: newID(), HashSHA256: hashHex(secret), Name: name, Roles: slices.Clone(roles), CreatedAt: now}
	return bearerPrefix + "_" + rec.ID + "_" + base32Lower.EncodeToString(secret), rec, nil
}

func hashHex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// ParseBearer splits a person's token into its id and the digest of its secret.
// The error is of kind Denied and does not repeat the token.
func ParseBearer(s string) (Proof, error) {
	parts := strings.Split(s, "_")
	secret := make([]byte, secretBytes)
	if len(s) > 256 || len(parts) != 3 || parts[0] != bearerPrefix || !decode(make([]byte, idBytes), parts[1]) || !decode(secret, parts[2]) {
		return Proof{}, workload.Errorf(workload.Denied, "this is not a token").
			Hint("it looks like %s_<16 letters>_<52 letters>; copy it whole", bearerPrefix)
	}
	return Proof{ID: parts[1], Hash: hashHex(secret)}, nil
}

// Check reports whether the proof is of this record's token, in constant time.
func (r BearerRecord) Check(p Proof) bool {
	return subtle.ConstantTimeCompare([]byte(r.HashSHA256), []byte(p.Hash)) == 1 && r.ID != "" && r.ID == p.ID
}
