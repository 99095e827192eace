package main

import (
	"fmt"
	"strings"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
)

var changeSigns = map[string]struct {
	sign   string
	colour colour
}{"added": {"+", green}, "changed": {"~", yellow}, "removed": {"-", red}}

// showChanges prints one line for each document that changes, with its fields.
func (a *app) showChanges(changes []*sluicev1.PolicyChange) {
	if len(changes) == 0 {
		fmt.Fprintln(a.out, "no changes")
		return
	}
	p := a.painter(a.outTTY)
	for _, ch := range changes {
		s, ok := changeSigns[ch.GetWhat()]
		if !ok {
			s.sign = "?"
		}
		line := fmt.Sprintf("%s %s/%s", p.paint(s.colour, s.sign), clean(ch.GetKind()), clean(ch.GetName()))
		if len(ch.GetFields()) > 0 {
			line += "  " + clean(strings.Join(ch.GetFields(), ", "))
		}
		fmt.Fprintln(a.out, line)
	}
}

// showPlan prints what an edit would do, best known first: moves, cost, who
// loses work, whether targets can be met, and how to apply exactly this.
func (a *app) showPlan(e edit, p *sluicev1.PolicyPlan, advise bool) {
	a.showChanges(p.GetChanges())
	if len(p.GetChanges()) == 0 {
		return
	}
	cur := p.GetCurrency()
	l := &lines{a: a, indent: "  "}
	if len(p.GetMoves()) == 0 {
		l.add("moves", "no device")
	}
	for _, m := range p.GetMoves() {
		model := ""
		if m.GetModel() != "" {
			model = " (" + m.GetModel() + ")"
		}
		l.add("moves", "%s %s -> %s%s", count(m.GetDevices(), "device"), m.GetFrom(), m.GetTo(), model)
	}
	l.add(costWords(p, cur))
	if p.GetBefore() != nil && p.GetAfter() != nil {
		l.add("net", "%s -> %s, before risk and switching", perHour(p.GetBefore().GetNet(), cur), perHour(p.GetAfter().GetNet(), cur))
	}
	displaced := "no job"
	if len(p.GetDisplaced()) > 0 {
		displaced = "job " + strings.Join(p.GetDisplaced(), ", job ")
	}
	l.add("displaced", "%s", displaced)
	for _, t := range p.GetTargets() {
		l.add("target", "%s", targetWords(t, cur))
	}
	for _, n := range p.GetNotes() {
		l.add("note", "%s", n)
	}
	if advise {
		l.add("apply with:", "sluice policy apply -f %s --check-index %d", quoteArg(e.file), p.GetCheckIndex())
	}
	l.print()
}

// costWords names the cost: the difference of the two bounds, which no luck of
// rounding disturbs, beside that of the two plans.
func costWords(p *sluicev1.PolicyPlan, cur string) (label, format string, arg any) {
	cost, plans := p.GetCostMicroPerHour(), p.GetPlanCostMicroPerHour()
	if p.GetBelowResolution() {
		return "costs", "%s", fmt.Sprintf("below resolution (bounds differ by %s, plans by %s)", perHour(cost, cur), perHour(plans, cur))
	}
	label = "costs"
	if cost < 0 {
		label, cost, plans = "gains", -cost, -plans
	}
	day := workload.Rate(cost).Over(24*workload.HourMillis, workload.Up)
	return label, "%s", fmt.Sprintf("%s = %s %s/day at today's prices (plans differ by %s)", perHour(cost, cur), workload.Decimal(int64(day), 2), cur, perHour(plans, cur))
}

// quoteArg makes a file name safe to paste into a shell.
func quoteArg(s string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./+=:,@", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
