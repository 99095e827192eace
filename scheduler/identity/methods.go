package identity

import (
	"slices"
	"strings"

	"github.com/sluice-project/sluice/workload"
)

// Rule lists the roles that may call a method. Anyone stands for callers who
// have shown nothing.
type Rule []Role

// Anyone in a Rule opens a method to callers without a name.
const Anyone Role = "anyone"

var (
	readers    = Rule{Viewer, Submitter, Finance, Operator, Admin}
	submitters = Rule{Submitter, Operator, Admin}
	appliers   = Rule{Finance, Operator, Admin} // further limited by MayApply
	nodes      = Rule{Agent}
	servers    = Rule{Server}
)

// Methods says who may call what, by the full name that gRPC uses. What is not
// here nobody may call.
var Methods = map[string]Rule{
	"/sluice.v1.AgentService/Enroll":  {Anyone}, // checks a join token, or the certificate to be renewed
	"/sluice.v1.AgentService/Session": nodes,

	"/sluice.v1.Peer/Propose":      servers,
	"/sluice.v1.Peer/Join":         servers,
	"/sluice.v1.Peer/FetchHistory": servers,
	"/sluice.v1.Peer/Describe":     servers,

	"/sluice.v1.Cluster/GetMembers":         {Admin},
	"/sluice.v1.Cluster/TransferLeadership": {Admin},
	"/sluice.v1.Cluster/RemoveServer":       {Admin},
	"/sluice.v1.Cluster/SaveSnapshot":       {Admin},
	"/sluice.v1.Cluster/FenceNode":          {Admin},

	"/sluice.v1.Operator/GetStatus":    readers,
	"/sluice.v1.Operator/ListNodes":    readers,
	"/sluice.v1.Operator/ListGpus":     readers,
	"/sluice.v1.Operator/SubmitJob":    submitters,
	"/sluice.v1.Operator/ListJobs":     readers,
	"/sluice.v1.Operator/GetJob":       readers,
	"/sluice.v1.Operator/CancelJob":    submitters,
	"/sluice.v1.Operator/JobLogs":      readers,
	"/sluice.v1.Operator/ExplainGpu":   readers,
	"/sluice.v1.Operator/ExplainJob":   readers,
	"/sluice.v1.Operator/ListPolicies": readers,
	"/sluice.v1.Operator/PlanPolicy":   readers,
	"/sluice.v1.Operator/ApplyPolicy":  appliers,
	"/sluice.v1.Operator/GetTimeline":  readers,
	"/sluice.v1.Operator/GetMoney":     readers,
	"/sluice.v1.Operator/VerifyLedger": readers,
	"/sluice.v1.Operator/Watch":        readers,
	"/sluice.v1.Operator/IssueToken":   {Admin},
}

// Caller is who sent a request. The zero Caller has shown nothing.
type Caller struct {
	Name    string // of the person or machine
	Roles   []Role
	TokenID string // of the person's token; empty for machines
}

// Has reports whether the caller has a role.
func (c Caller) Has(r Role) bool { return slices.Contains(c.Roles, r) }

// Actor is the caller as the log records it.
func (c Caller) Actor() string {
	switch {
	case c.Name == "":
		return "anonymous"
	case c.TokenID == "" && c.Has(Server):
		return "server/" + c.Name
	case c.TokenID == "" && c.Has(Agent):
		return "node/" + c.Name
	default:
		return c.Name
	}
}

// Authorize returns an error of kind Denied unless the caller may call the
// method.
func Authorize(method string, c Caller) error {
	rule, ok := Methods[method]
	if !ok {
		return workload.Errorf(workload.Denied, "nobody may call %.200q", method)
	}
	for _, r := range rule {
		if r == Anyone || c.Has(r) {
			return nil
		}
	}
	name := method[strings.LastIndexByte(method, '/')+1:]
	if c.Name == "" {
		return workload.Errorf(workload.Denied, "%s needs a token or a certificate", name).
			Hint("set SLUICE_TOKEN, or use the page's link with its token")
	}
	return workload.Errorf(workload.Denied, "%s may not call %s: it needs the role %s", c.Actor(), name, rule)
}

// String names the roles in a sentence.
func (r Rule) String() string {
	names := make([]string, len(r))
	for i, role := range r {
		names[i] = string(role)
	}
	return strings.Join(names, " or ")
}

// MayApply says whether a caller whom Methods lets apply policy may touch
// documents of these kinds: finance sets targets and nothing else. The error is
// of kind Denied.
func MayApply(c Caller, kinds []string) error {
	if c.Has(Admin) || c.Has(Operator) {
		return nil
	}
	for _, k := range kinds {
		if !c.Has(Finance) || k != "Target" {
			return workload.Errorf(workload.Denied, "%s may not change a %s", c.Actor(), k).
				Hint("finance changes documents of kind Target; operator and admin change all")
		}
	}
	if !c.Has(Finance) {
		return workload.Errorf(workload.Denied, "%s may not change policy", c.Actor())
	}
	return nil
}

// MaySpeakFor says whether a node's or server's certificate is that of the name
// which a message claims.
func MaySpeakFor(c Caller, role Role, name string) error {
	if c.TokenID == "" && c.Has(role) && c.Name == name {
		return nil
	}
	return workload.Errorf(workload.Denied, "%s may not speak for %s", c.Actor(), name)
}
