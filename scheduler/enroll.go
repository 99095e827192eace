package scheduler

import (
	"context"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// Enroll trades a join token for a certificate; an agent that already has one
// shows it instead of a token and gets a newer one under the same name.
func (a *agents) Enroll(ctx context.Context, r *sluicev1.EnrollRequest) (*sluicev1.EnrollResponse, error) {
	out, err := a.s.enroll(ctx, r)
	return out, wire.ToStatus(err)
}

func (s *Server) enroll(ctx context.Context, r *sluicev1.EnrollRequest) (*sluicev1.EnrollResponse, error) {
	role := identity.Agent
	if r.Token == "" {
		caller := identity.CallerFrom(ctx)
		if err := identity.MaySpeakFor(caller, identity.Agent, r.Name); err != nil {
			return nil, err
		}
	} else {
		token, err := identity.ParseJoinToken(r.Token)
		if err != nil {
			return nil, err
		}
		if !workload.ValidName(r.Name) {
			return nil, workload.Errorf(workload.Invalid, "%q is not a node name: use 1 to 63 of a-z, 0-9 and -", r.Name)
		}
		proof := token.Proof()
		_, result, err := s.Propose(ctx, state.Command{Actor: "node/" + r.Name, Consume: &state.TokenConsumed{ID: proof.ID, Hash: proof.Hash, Name: r.Name}})
		if err != nil {
			return nil, err
		}
		role = identity.Role(result.Role)
	}
	der, err := s.ca.Issue(r.Csr, role, r.Name, nil, time.Now())
	if err != nil {
		return nil, err
	}
	return &sluicev1.EnrollResponse{Certificate: der, Ca: s.trust.CA.Raw, Cluster: s.trust.Cluster}, nil
}

// IssueToken makes a join token or a person's token. The log keeps a digest.
func (s *Server) IssueToken(ctx context.Context, kind, name string, roles []string, life time.Duration, by string) (string, error) {
	now := Wall()
	switch kind {
	case "person":
		var rs []identity.Role
		for _, r := range roles {
			rs = append(rs, identity.Role(r))
		}
		token, rec, err := identity.NewBearer(name, rs, int64(now))
		if err != nil {
			return "", err
		}
		_, _, err = s.Propose(ctx, state.Command{Actor: by, Bearer: &state.BearerIssued{ID: rec.ID, Hash: rec.HashSHA256, Name: name, Roles: roles, Created: now}})
		return token, err
	case "node", "server":
		role := identity.Agent
		if kind == "server" {
			role = identity.Server
		}
		if life <= 0 {
			life = time.Hour
		}
		token, rec, err := identity.NewJoinToken(s.trust, role, name, by, int64(now), int64(now.Add(life)))
		if err != nil {
			return "", err
		}
		_, _, err = s.Propose(ctx, state.Command{Actor: by, Token: &state.TokenIssued{ID: rec.ID, Hash: rec.Hash, Role: string(role), Name: name, Expires: workload.Instant(rec.Expires)}})
		return token.Text(), err
	}
	return "", workload.Errorf(workload.Invalid, "kind %q is not one of node, server, person", kind)
}
