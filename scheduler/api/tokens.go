package api

import (
	"context"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/workload"
)

const (
	defaultTokenLife = time.Hour
	maxTokenLife     = 30 * 24 * time.Hour
)

func (o *operator) IssueToken(ctx context.Context, req *sluicev1.IssueTokenRequest) (*sluicev1.IssueTokenResponse, error) {
	text, err := o.issueToken(ctx, req)
	return answer(o, "IssueToken", &sluicev1.IssueTokenResponse{Token: text}, err)
}

func (o *operator) issueToken(ctx context.Context, req *sluicev1.IssueTokenRequest) (string, error) {
	kind, person := req.GetKind(), req.GetKind() == "person"
	life := time.Duration(req.GetLifeMs()) * time.Millisecond
	switch {
	case kind != "node" && kind != "server" && !person:
		return "", workload.Errorf(workload.Invalid, "kind: %.40q is not one of node, server, person", kind)
	case person && req.GetName() == "":
		return "", workload.Errorf(workload.Invalid, "name: a person's token needs a name")
	case person && len(req.GetRoles()) == 0:
		return "", workload.Errorf(workload.Invalid, "roles: a person's token needs a role").Hint("roles are %v", identity.PeopleRoles())
	case !person && len(req.GetRoles()) > 0:
		return "", workload.Errorf(workload.Invalid, "roles: a %s has no roles", kind)
	case person && req.GetLifeMs() != 0:
		return "", workload.Errorf(workload.Invalid, "life_ms: a person's token does not expire; leave it out")
	case req.GetLifeMs() < 0 || req.GetLifeMs() > maxTokenLife.Milliseconds():
		return "", workload.Errorf(workload.Invalid, "life_ms: must be between 1 and %d (30 days)", maxTokenLife.Milliseconds())
	case life == 0 && !person:
		life = defaultTokenLife
	}
	return o.core.IssueToken(ctx, kind, req.GetName(), req.GetRoles(), life, identity.CallerFrom(ctx).Actor())
}
