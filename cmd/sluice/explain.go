package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
)

func explainVerb(a *app) *cobra.Command {
	gpu := &cobra.Command{
		Use:     "gpu DEVICE",
		Aliases: []string{"device"},
		Short:   "Say why a device does what it does, and what else it could do",
		Args:    arguments("DEVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			site, id := splitDevice(args[0])
			c, err := a.connect()
			if err != nil {
				return err
			}
			defer c.Close()
			e, err := call(cmd.Context(), c, sluicev1.OperatorClient.ExplainGpu, &sluicev1.ExplainGpuRequest{Id: id})
			if err != nil {
				return err
			}
			if at := e.GetGpu().GetSite(); site != "" && at != site {
				return workload.Errorf(workload.NotFound, "device %s is at site %s, not %s", id, dash(at), site)
			}
			return showOne(a, e, func(e *sluicev1.GpuExplanation) string { return e.GetGpu().GetId() }, a.showGpuExplanation)
		},
	}
	job := &cobra.Command{
		Use:   "job JOB",
		Short: "Say why a job waits or runs, and what would change it",
		Args:  arguments("JOB"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			defer c.Close()
			e, err := call(cmd.Context(), c, sluicev1.OperatorClient.ExplainJob, &sluicev1.ExplainJobRequest{Id: args[0]})
			if err != nil {
				return err
			}
			return showOne(a, e, func(e *sluicev1.JobExplanation) string { return e.GetJob().GetId() }, a.showJobExplanation)
		},
	}
	return a.operator(noun("explain", "Say why", gpu, job))
}

// splitDevice takes "site/node/slot" apart; people copy that from pages. Names
// of nodes are unique in a cluster, so the site only is checked.
func splitDevice(s string) (site, id string) {
	if strings.Count(s, "/") == 2 {
		site, id, _ = strings.Cut(s, "/")
		return site, id
	}
	return "", s
}

func (a *app) showGpuExplanation(e *sluicev1.GpuExplanation) {
	g, cur := e.GetGpu(), e.GetCurrency()
	p := a.painter(a.outTTY)
	head := fmt.Sprintf("%s  %s  %s", clean(g.GetId()), clean(g.GetModel()), p.paint(useColour(g.GetUse()), clean(useWords(g.GetUse(), first(g.GetOption(), g.GetCoin()), g.GetJob()))))
	if g.GetSinceMs() != 0 {
		head += fmt.Sprintf(" since %s (%s)", a.clock(g.GetSinceMs(), e.GetMarketMs()), span(max(0, e.GetMarketMs()-g.GetSinceMs())))
	}
	if g.GetSim() {
		head += "  sim"
	}
	prices := "prices not known"
	if e.GetQuoteAgeMs() >= 0 {
		prices = "prices " + span(e.GetQuoteAgeMs()) + " old"
	}
	fmt.Fprintf(a.out, "%s          %s, %s\n", head, planWords(e.GetPlan()), prices)

	l := &lines{a: a, indent: "  "}
	if e.GetVerdict() != "" {
		l.add("why", "%s  %s", e.GetVerdict(), g.GetReason())
	} else {
		l.add("why", "%s", reasonWords(&sluicev1.Reason{Code: g.GetReason(), Text: g.GetReasonText(), Figures: g.GetReasonFigures()}))
	}
	if g.GetAssigned() != "" && g.GetAssigned() != g.GetUse() {
		l.add("goes to", "%s", g.GetAssigned())
	}
	if now := e.GetNow(); now != nil {
		l.add("earns", "%s   %s", perHour(now.GetNet(), cur), breakdownWords(now, cur))
	}
	next := false
	for _, alt := range e.GetAlternatives() {
		if isNow(g, alt) {
			continue // "earns" says it
		}
		label := alt.GetUse()
		switch {
		case alt.GetJob() != "":
			label = "job " + alt.GetJob()
		case alt.GetUse() == string(workload.Mining) && !next:
			label, next = "next", true
		}
		l.add(label, "%s", alternativeWords(label, alt, cur))
	}
	if parks := parksWords(e); parks != "" {
		l.add("parks", "%s", parks)
	}
	for _, iv := range lastIntervals(e.GetHistory(), 3) {
		l.add("was", "%s - %s  %s, revenue %s, energy %s  %s", a.clock(iv.GetFromMs(), e.GetMarketMs()), a.clock(iv.GetToMs(), e.GetMarketMs()),
			useWords(iv.GetUse(), iv.GetOption(), iv.GetJob()), workload.Decimal(iv.GetRevenue(), 4), workload.Decimal(iv.GetEnergy(), 4), iv.GetReason().GetCode())
	}
	l.add("record", "sluice explain gpu %s -o json", g.GetId())
	l.print()
}

func useWords(use, option, job string) string {
	switch {
	case use == string(workload.Mining) && option != "":
		return use + " " + option
	case use == string(workload.Training) && job != "":
		return use + " job " + job
	}
	return use
}

// breakdownWords shows how a net rate came about, from the draw at the board:
// times the power usage effectiveness it is the draw at the meter.
func breakdownWords(b *sluicev1.Breakdown, cur string) string {
	s := fmt.Sprintf("gross %s - risk %s - energy %s", workload.Decimal(b.GetGross(), 4), workload.Decimal(b.GetRisk(), 4), workload.Decimal(b.GetEnergy(), 4))
	if b.GetBoardWatts() > 0 {
		s += fmt.Sprintf(" (%s x PUE %s x %s)", watts(b.GetBoardWatts()), workload.Decimal(b.GetPuePpm(), 2), perKWh(b.GetEnergyMicroPerKwh(), cur))
	}
	return s
}

// isNow recognises the alternative that the device has chosen already.
func isNow(g *sluicev1.Gpu, alt *sluicev1.Alternative) bool {
	return alt.GetVsNow() == 0 && alt.GetUse() == first(g.GetAssigned(), g.GetUse()) && alt.GetJob() == g.GetJob() && alt.GetOption() == g.GetOption()
}

// alternativeWords says what one other use would bring, and why it is not
// chosen. The use is left out where the label of the line says it.
func alternativeWords(label string, alt *sluicev1.Alternative, cur string) string {
	var what []string
	if alt.GetJob() == "" && alt.GetUse() != label {
		what = append(what, useWords(alt.GetUse(), alt.GetOption(), ""))
	} else if alt.GetOption() != "" {
		what = append(what, alt.GetOption())
	}
	if text := sentence(alt.GetReason(), cur); text != "" {
		what = append(what, text)
	}
	if alt.GetWouldWinAt() != "" {
		what = append(what, "would win at "+alt.GetWouldWinAt())
	}
	s := strings.Join(what, "; ")
	if alt.GetMoney() != nil {
		rate := perHour(alt.GetMoney().GetNet(), cur)
		if v := alt.GetVsNow(); v > 0 {
			rate += " (+" + workload.Decimal(v, 4) + ")"
		} else if v < 0 {
			rate += " (" + workload.Decimal(v, 4) + ")"
		}
		s = rate + "   " + s
	}
	if alt.GetReason().GetCode() != "" {
		s += "      " + alt.GetReason().GetCode()
	}
	return s
}

func parksWords(e *sluicev1.GpuExplanation) string {
	var parts []string
	if v := e.GetParksBelowGrossMicroPerHour(); v >= 0 {
		parts = append(parts, "below "+perHour(v, e.GetCurrency())+" gross")
	}
	if v := e.GetParksAboveEnergyMicroPerKwh(); v >= 0 {
		parts = append(parts, "above "+perKWh(v, e.GetCurrency()))
	}
	return strings.Join(parts, ", or ")
}

// lastIntervals returns the newest n closed intervals, newest first.
func lastIntervals(all []*sluicev1.Interval, n int) []*sluicev1.Interval {
	var got []*sluicev1.Interval
	for i := len(all) - 1; i >= 0 && len(got) < n; i-- {
		if all[i].GetToMs() != 0 {
			got = append(got, all[i])
		}
	}
	return got
}

func (a *app) showJobExplanation(e *sluicev1.JobExplanation) {
	j, cur := e.GetJob(), e.GetCurrency()
	p := a.painter(a.outTTY)
	reason := j.GetReason()
	text := first(e.GetVerdict(), sentence(reason, cur))
	fmt.Fprintf(a.out, "%s %s  %s  %s  %s          %s\n", clean(j.GetId()), clean(j.GetName()), p.paint(useColour(j.GetPhase()), clean(strings.ToUpper(j.GetPhase()))),
		dash(clean(reason.GetCode())), clean(text), planWords(e.GetPlan()))
	l := &lines{a: a, indent: "  "}
	for _, r := range e.GetReasons() {
		l.add("why", "%s  %s", sentence(r, cur), r.GetCode())
	}
	if v := e.GetBreakEvenBid(); v >= 0 {
		l.add("bid", "would start now at %s %s/GPU-h (bids %s)", workload.Decimal(v, 4), cur, workload.Decimal(j.GetBidMicroPerHour(), 4))
	} else if j.GetPhase() == string(workload.Queued) {
		l.add("bid", "no bid would start it now (bids %s %s/GPU-h)", workload.Decimal(j.GetBidMicroPerHour(), 4), cur)
	}
	for _, way := range e.GetWays() {
		l.add("or", "%s", way)
	}
	l.print()
}
