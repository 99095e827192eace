package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
)

func policyVerb(a *app) *cobra.Command {
	return a.operator(noun("policy", "Read, plan and change policy documents", policyApplyVerb(a), policyPlanVerb(a), policyDiffVerb(a), policyGetVerb(a), policyDeleteVerb(a)))
}

func policyGetVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get [KIND[/NAME]]",
		Short: "List policy documents, or print one as written",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s: %q is one argument too many", cmd.CommandPath(), args[1]).Hint("%s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.policyGet(cmd.Context(), strings.Join(args, ""), cmd.Flags().Changed("output"))
		},
	}
	a.addListFlags(cmd)
	return cmd
}

func (a *app) policyGet(ctx context.Context, what string, formatGiven bool) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	kind, name, one := strings.Cut(canonical(what), "/")
	resp, err := call(ctx, c, sluicev1.OperatorClient.ListPolicies, &sluicev1.ListPoliciesRequest{Kind: kind, Name: name})
	if err != nil {
		return err
	}
	for _, problem := range resp.GetInvalid() {
		fmt.Fprintf(a.err, "warning: %s\n", clean(problem))
	}
	if one && len(resp.GetPolicies()) == 0 {
		return workload.Errorf(workload.NotFound, "there is no policy %s", what).Hint("sluice policy get")
	}
	// Documents are printed as they were written, so that what get prints is
	// what apply takes.
	if a.view.format == "yaml" || one && !formatGiven && a.forPeople() {
		for i, p := range resp.GetPolicies() {
			if i > 0 {
				fmt.Fprintln(a.out, "---")
			}
			fmt.Fprintln(a.out, strings.TrimRight(p.GetYaml(), "\n"))
		}
		return nil
	}
	if one && a.view.format != "csv" {
		return showOne(a, resp.GetPolicies()[0], policyKey, func(p *sluicev1.Policy) { _ = policyList().show(a, []*sluicev1.Policy{p}) })
	}
	return policyList().show(a, resp.GetPolicies())
}

// canonical gives a kind its capitals. A kind that this program does not know
// is left to the server, which may be newer.
func canonical(what string) string {
	kind, name, one := strings.Cut(what, "/")
	for _, k := range config.Kinds {
		if strings.EqualFold(kind, string(k)) {
			kind = string(k)
		}
	}
	if one {
		return kind + "/" + name
	}
	return kind
}

func policyKey(p *sluicev1.Policy) string { return p.GetKind() + "/" + p.GetName() }

func policyList() list[*sluicev1.Policy] {
	type policy = *sluicev1.Policy
	return list[policy]{
		noun: "policy documents",
		name: policyKey,
		columns: []column[policy]{
			{name: "kind", head: "KIND", cell: policy.GetKind},
			{name: "name", head: "NAME", cell: policy.GetName},
			{name: "revision", head: "REVISION", num: policy.GetRevision},
		},
	}
}

// edit is a change of policy before it is made.
type edit struct {
	file     string
	document string
	delete   []string
}

func (a *app) fileFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "file", "f", "", "file with the documents; - is standard input")
}

func (a *app) readEdit(cmd *cobra.Command, file string) (edit, error) {
	if file == "" {
		return edit{}, usagef("%s: -f FILE is missing", cmd.CommandPath()).Hint("%s -f FILE", cmd.CommandPath())
	}
	data, err := a.readDocument(file)
	return edit{file: file, document: string(data)}, err
}

func policyPlanVerb(a *app) *cobra.Command {
	var file string
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "plan -f FILE",
		Short: "Show what documents would change: moves, cost, displaced work",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.policyPlan(cmd, file, exitCode, func(e edit, p *sluicev1.PolicyPlan) { a.showPlan(e, p, true) })
		},
	}
	a.fileFlag(cmd, &file)
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit 9 if anything would change")
	return cmd
}

func policyDiffVerb(a *app) *cobra.Command {
	var file string
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "diff -f FILE",
		Short: "Show which documents and fields differ from the policy in force",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.policyPlan(cmd, file, exitCode, func(_ edit, p *sluicev1.PolicyPlan) { a.showChanges(p.GetChanges()) })
		},
	}
	a.fileFlag(cmd, &file)
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit 9 if anything differs")
	return cmd
}

func (a *app) policyPlan(cmd *cobra.Command, file string, exitCode bool, show func(edit, *sluicev1.PolicyPlan)) error {
	e, err := a.readEdit(cmd, file)
	if err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	p, err := a.plan(cmd.Context(), c, e)
	if err != nil {
		return err
	}
	name := func(p *sluicev1.PolicyPlan) string { return changedNames(p.GetChanges()) }
	if err := showOne(a, p, name, func(p *sluicev1.PolicyPlan) { show(e, p) }); err != nil {
		return err
	}
	if exitCode && len(p.GetChanges()) > 0 {
		return &exit{code: exitChanges}
	}
	return nil
}

func changedNames(changes []*sluicev1.PolicyChange) string {
	names := make([]string, len(changes))
	for i, ch := range changes {
		names[i] = ch.GetKind() + "/" + ch.GetName()
	}
	return strings.Join(names, "\n")
}

func (a *app) plan(ctx context.Context, c *client, e edit) (*sluicev1.PolicyPlan, error) {
	return call(ctx, c, sluicev1.OperatorClient.PlanPolicy, &sluicev1.PlanPolicyRequest{Document: e.document, File: e.file, Delete: e.delete})
}

type applyOptions struct {
	yes        bool
	checkIndex int64
	comment    string
}

func (o *applyOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	cmd.Flags().Int64Var(&o.checkIndex, "check-index", 0, "refuse if the policy is not at this revision, as plan printed it")
	cmd.Flags().StringVarP(&o.comment, "comment", "m", "", "why, for the record")
}

func policyApplyVerb(a *app) *cobra.Command {
	var file string
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Put documents in force; on a terminal shows the plan and asks",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := a.readEdit(cmd, file)
			if err != nil {
				return err
			}
			return a.apply(cmd.Context(), e, o, "Apply?")
		},
	}
	a.fileFlag(cmd, &file)
	o.addFlags(cmd)
	return cmd
}

func policyDeleteVerb(a *app) *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:     "delete KIND/NAME",
		Aliases: []string{"rm"},
		Short:   "Take a document out of force; on a terminal shows the plan and asks",
		Args:    arguments("KIND/NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if kind, name, ok := strings.Cut(args[0], "/"); !ok || kind == "" || name == "" {
				return usagef("%q is not of the form KIND/NAME", args[0]).Hint("sluice policy get lists what there is")
			}
			return a.apply(cmd.Context(), edit{delete: []string{canonical(args[0])}}, o, "Delete?")
		},
	}
	o.addFlags(cmd)
	return cmd
}

// apply makes an edit. A person sees the plan first and is asked, and then
// exactly what was shown is applied: the plan's revision is checked.
func (a *app) apply(ctx context.Context, e edit, o applyOptions, question string) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	if a.outTTY && a.errTTY {
		p, err := a.plan(ctx, c, e)
		if err != nil {
			return err
		}
		out := a.out
		a.out = a.err // the plan is for the person; the answer for the pipe
		a.showPlan(e, p, false)
		a.out = out
		if len(p.GetChanges()) == 0 {
			return nil
		}
		if !o.yes && e.file != "-" {
			if err := a.confirm(ctx, question); err != nil {
				return err
			}
		}
		if o.checkIndex == 0 {
			o.checkIndex = p.GetCheckIndex()
		}
	}
	resp, err := call(ctx, c, sluicev1.OperatorClient.ApplyPolicy, &sluicev1.ApplyPolicyRequest{
		Document: e.document, File: e.file, Delete: e.delete, CheckIndex: o.checkIndex, Comment: o.comment,
	})
	if err != nil {
		return err
	}
	name := func(r *sluicev1.ApplyPolicyResponse) string { return changedNames(r.GetChanges()) }
	return showOne[*sluicev1.ApplyPolicyResponse](a, resp, name, func(r *sluicev1.ApplyPolicyResponse) {
		a.showChanges(r.GetChanges())
		if len(r.GetChanges()) > 0 {
			fmt.Fprintf(a.out, "applied as revision %d\n", r.GetRevision())
		}
		for _, n := range r.GetNotes() {
			fmt.Fprintf(a.out, "note: %s\n", clean(n))
		}
	})
}
