package api

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/scheduler/planner"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

func (o *operator) ListPolicies(_ context.Context, req *sluicev1.ListPoliciesRequest) (*sluicev1.ListPoliciesResponse, error) {
	m, err := o.listPolicies(req)
	return answer(o, "ListPolicies", m, err)
}

func (o *operator) listPolicies(req *sluicev1.ListPoliciesRequest) (*sluicev1.ListPoliciesResponse, error) {
	v := o.core.View()
	kind, name := req.GetKind(), req.GetName()
	if kind != "" && !slices.ContainsFunc(config.Kinds, func(k config.Kind) bool { return strings.EqualFold(string(k), kind) }) {
		_, err := config.ParseKey(kind + "/x") // says which kinds there are
		return nil, workload.Errorf(workload.Invalid, "kind: there is no kind of policy named %.40q", kind).Hint("%s", workload.NextOf(err))
	}
	m := &sluicev1.ListPoliciesResponse{Revision: v.Revision}
	for d := range v.Policy.All() {
		if (kind == "" || strings.EqualFold(string(d.Kind), kind)) && (name == "" || d.Name == name) {
			m.Policies = append(m.Policies, &sluicev1.Policy{Kind: string(d.Kind), Name: d.Name, Yaml: string(config.Render(d)), Revision: v.Revision})
		}
	}
	_, _, invalid := o.core.PolicyState()
	for _, i := range invalid {
		m.Invalid = append(m.Invalid, i.String())
	}
	if name != "" && len(m.Policies) == 0 {
		return nil, workload.Errorf(workload.NotFound, "there is no policy document %s%.100s", keyPrefix(kind), name).Hint("sluice policy get")
	}
	return m, nil
}

func keyPrefix(kind string) string {
	if kind == "" {
		return "named "
	}
	return kind + "/"
}

// change is an edit that has been found possible on a view.
type change struct {
	edits []config.Edit
	kinds []string
	after *config.Set
	diff  []config.Change
	notes []string // what is stored though nothing acts on it
}

// readChange parses an edit and checks the policy that it would make. Nothing is
// stored.
func readChange(v *state.View, file, document string, remove []string) (change, error) {
	if file == "" {
		file = "policy"
	}
	var c change
	if strings.TrimSpace(document) != "" || len(remove) == 0 {
		docs, err := config.Parse(file, []byte(document))
		if err != nil {
			return c, err
		}
		for i, d := range docs {
			if text := planner.Unsupported(d); text != "" {
				at := config.Locate(file, []byte(document), d.Key(), "", text)
				return c, workload.Errorf(workload.Invalid, "%s", cmp.Or(at, error(workload.Errorf(workload.Invalid, "%s: %s: %s", file, d.Key(), text))))
			}
			if keys := planner.NotActedOn(d); len(keys) > 0 {
				c.notes = append(c.notes, d.Key().String()+": stored, but this version does not act on "+strings.Join(keys, ", "))
			}
			c.edits = append(c.edits, config.Edit{Put: &docs[i]})
			c.kinds = append(c.kinds, string(d.Kind))
		}
	}
	for _, text := range remove {
		key, err := config.ParseKey(text)
		if err != nil {
			return c, err
		}
		if _, ok := v.Policy.Get(key); !ok {
			return c, workload.Errorf(workload.NotFound, "there is no policy document %s", key).Hint("sluice policy get")
		}
		c.edits = append(c.edits, config.Edit{Delete: &key})
		c.kinds = append(c.kinds, string(key.Kind))
	}
	c.after = v.Policy.With(c.edits...)
	c.diff = config.Diff(v.Policy, c.after)
	return c, c.check(v.Policy, file, document)
}

// check reports what the edit would break: faults of the documents it touches,
// and those that others would only then have.
func (c change) check(before *config.Set, file, document string) error {
	touched := map[config.Key]bool{}
	for _, e := range c.edits {
		touched[e.Key()] = true
	}
	old := map[config.Issue]bool{}
	for _, i := range config.Validate(before) {
		old[i] = true
	}
	var texts []string
	next := ""
	for _, i := range config.Validate(c.after) {
		if touched[i.Document] || !old[i] {
			text := file + ": " + i.String()
			if at := config.Locate(file, []byte(document), i.Document, i.Path, i.Text); at != nil {
				text = at.Error()
			}
			texts = append(texts, text)
			if next == "" {
				next = i.Next
			}
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return workload.Errorf(workload.Invalid, "%s", strings.Join(texts, "\n")).Hint("%s", next)
}

var changeWords = map[config.Op]string{config.Added: "added", config.Changed: "changed", config.Removed: "removed"}

func (c change) messages() []*sluicev1.PolicyChange {
	out := make([]*sluicev1.PolicyChange, len(c.diff))
	for i, d := range c.diff {
		out[i] = &sluicev1.PolicyChange{Kind: string(d.Key.Kind), Name: d.Key.Name, What: changeWords[d.Op]}
		if d.Op == config.Removed {
			continue // that it is gone says all
		}
		for _, f := range d.Fields {
			out[i].Fields = append(out[i].Fields, fieldText(f))
		}
	}
	return out
}

func fieldText(f config.FieldChange) string {
	switch {
	case f.Old == "":
		return f.Path + " " + f.New
	case f.New == "":
		return f.Path + " " + f.Old + " -> none"
	}
	return f.Path + " " + f.Old + " -> " + f.New
}

func (o *operator) PlanPolicy(ctx context.Context, req *sluicev1.PlanPolicyRequest) (*sluicev1.PolicyPlan, error) {
	m, err := o.planPolicy(ctx, req)
	return answer(o, "PlanPolicy", m, err)
}

func (o *operator) planPolicy(ctx context.Context, req *sluicev1.PlanPolicyRequest) (*sluicev1.PolicyPlan, error) {
	v := o.core.View()
	c, err := readChange(v, req.GetFile(), req.GetDocument(), req.GetDelete())
	if err != nil {
		return nil, err
	}
	done, err := o.solve(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	now, wall := o.clock(v)
	p := planner.PlanChange(v, c.after, now, wall)
	m := &sluicev1.PolicyPlan{CheckIndex: v.Revision, Changes: c.messages(), Notes: c.notes, CostMicroPerHour: int64(p.Cost), PlanCostMicroPerHour: int64(p.PlanCost),
		BelowResolution: p.BelowResolution, Targets: targets(p.After.Costs(p.After.Targets()), c.after.Cluster().Currency), Currency: c.after.Cluster().Currency, MovedDevices: int64(p.MovedDevices),
		Before: perHour(p.Before.Money()), After: perHour(p.After.Money())}
	for _, mv := range p.Moves {
		m.Moves = append(m.Moves, &sluicev1.PlannedMove{Devices: int64(mv.Devices), From: mv.From.String(), To: mv.To.String(), Model: string(mv.Model)})
	}
	for _, id := range p.Displaced {
		m.Displaced = append(m.Displaced, id.String())
	}
	return m, nil
}

func (o *operator) ApplyPolicy(ctx context.Context, req *sluicev1.ApplyPolicyRequest) (*sluicev1.ApplyPolicyResponse, error) {
	m, err := o.applyPolicy(ctx, req)
	return answer(o, "ApplyPolicy", m, err)
}

func (o *operator) applyPolicy(ctx context.Context, req *sluicev1.ApplyPolicyRequest) (*sluicev1.ApplyPolicyResponse, error) {
	v := o.core.View()
	c, err := readChange(v, req.GetFile(), req.GetDocument(), req.GetDelete())
	if err != nil {
		return nil, err
	}
	caller := identity.CallerFrom(ctx)
	if err := identity.MayApply(caller, c.kinds); err != nil {
		return nil, err
	}
	check := req.GetCheckIndex()
	switch {
	case check < 0:
		return nil, workload.Errorf(workload.Invalid, "check_index: must not be negative; 0 is whatever is in force")
	case check == 0:
		check = config.AnyRevision
	}
	m := &sluicev1.ApplyPolicyResponse{Changes: c.messages(), Notes: c.notes}
	_, wall := o.clock(v)
	m.Revision, err = o.core.Policy().Apply(ctx, config.Batch{Edits: c.edits, Actor: caller.Actor(), Comment: req.GetComment(), At: wall}, check)
	if err != nil {
		if workload.KindOf(err) == workload.Unavailable && workload.NextOf(err) == "" {
			err = workload.Errorf(workload.Unavailable, "%w", err).Hint("the policy in force stays and scheduling goes on; apply again when the policy store answers")
		}
		return nil, err
	}
	o.awaitPolicy(ctx, m.Revision)
	return m, nil
}

// awaitPolicy waits a moment until the view shows a stored revision, so that who
// reads next sees what was just written. The policy is safe either way.
func (o *operator) awaitPolicy(ctx context.Context, revision int64) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for {
		changed := o.core.Changed()
		if o.core.View().Revision >= revision {
			return
		}
		select {
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.Canceled) {
				o.log.Info("a stored policy is not yet in force", "revision", revision)
			}
			return
		case <-changed:
		}
	}
}
