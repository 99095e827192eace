package api

import (
	"fmt"
	"strings"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/planner"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

func figures(r workload.Reason) []*sluicev1.Figure {
	out := make([]*sluicev1.Figure, len(r.Figures))
	for i, f := range r.Figures {
		out[i] = &sluicev1.Figure{Name: f.Name, Value: f.Value, Text: f.Text, Unit: string(f.Unit)}
	}
	return out
}

func reason(r workload.Reason, currency string) *sluicev1.Reason {
	m := &sluicev1.Reason{Code: string(r.Code), Figures: figures(r)}
	if r.Code != "" {
		m.Text = r.Sentence(currency)
	}
	return m
}

// perHour adds up; net is revenue less energy.
func perHour(revenue, energy workload.Rate) *sluicev1.MoneyPerHour {
	return &sluicev1.MoneyPerHour{Revenue: int64(revenue), Energy: int64(energy), Net: int64(revenue - energy)}
}

// summary describes the standing plan. Stage, gap and time are those of the
// newest decision, which may have confirmed a plan made earlier.
func summary(v *state.View, info RoundInfo) *sluicev1.PlanSummary {
	p := v.Plan
	m := &sluicev1.PlanSummary{Id: p.ID, AtMs: int64(p.At), Moves: int64(p.Moves), Stage: p.Stage, GapPpm: p.GapPPM,
		GapMicroPerHour: int64(p.Gap), BoundMicroPerHour: int64(p.Bound), ObjectiveMicroPerHour: int64(p.Objective), Milliseconds: millis(p.Micros)}
	if r := info.Round; r != nil && p.ID != 0 {
		m.Stage, m.GapPpm, m.GapMicroPerHour = string(r.Result.Stage), r.Result.GapPPM, r.Result.GapMicroPerHour
		m.BoundMicroPerHour, m.ObjectiveMicroPerHour, m.Milliseconds = r.Result.BoundMicroPerHour, r.Result.ObjectiveMicroPerHour, millis(info.Micros)
	}
	return m
}

// millis rounds up: a decision took some time.
func millis(micros int64) int64 { return (max(micros, 0) + 999) / 1000 }

func targets(list []planner.Target, currency string) []*sluicev1.TargetStatus {
	out := make([]*sluicev1.TargetStatus, len(list))
	for i, t := range list {
		out[i] = &sluicev1.TargetStatus{Name: t.Name, Use: t.Use, ActualPpm: int64(t.Actual), MinPpm: int64(max(t.Min, -1)), MaxPpm: int64(max(t.Max, -1)),
			Code: t.Code, Text: targetText(t, currency)}
	}
	return out
}

var targetWords = map[string]string{
	"TARGET_NOT_BINDING":  "holds without deciding anything",
	"TARGET_MET":          "holds, and decides",
	"TARGET_MET_COST":     "holds at a price",
	"BELOW_RESOLUTION":    "holds, at a cost below resolution",
	"TARGET_MISSED":       "is missed, though not proven out of reach",
	"TARGET_CONFLICT":     "yields to a stronger rule",
	"TARGET_UNATTAINABLE": "cannot be reached now",
}

func targetText(t planner.Target, currency string) string {
	words, ok := targetWords[t.Code]
	if !ok {
		words = strings.ToLower(t.Code)
	}
	text := words + ": " + share(t.Actual)
	switch {
	case t.Min >= 0 && t.Max >= 0:
		text += " of at least " + share(t.Min) + " and at most " + share(t.Max)
	case t.Min >= 0:
		text += " of at least " + share(t.Min)
	case t.Max >= 0:
		text += " of at most " + share(t.Max)
	}
	if len(t.Limits) > 0 {
		text += "; best possible now " + share(t.Best) + ", limited by " + strings.Join(t.Limits, ", ")
	}
	if t.Cost > 0 {
		day := t.Cost.Over(24*workload.HourMillis, workload.Up)
		text += fmt.Sprintf("; costs %s %s/h = %s %s/day at today's prices (plans differ by %s %s/h)", workload.Decimal(int64(t.Cost), 4), currency,
			workload.Decimal(int64(day), 2), currency, workload.Decimal(int64(t.PlanCost), 4), currency)
	}
	return text
}

func share(p workload.PPM) string { return workload.Share("", p).Show("") }

func interval(iv ledger.Interval, currency string) *sluicev1.Interval {
	m := &sluicev1.Interval{FromMs: int64(iv.From), ToMs: int64(iv.To), Use: string(iv.Use.Kind), Option: string(iv.Use.Option), Watts: iv.Watts,
		Reason: reason(iv.Reason, currency), Revenue: int64(iv.Revenue), Energy: int64(iv.Energy), Plan: iv.Plan}
	if iv.Use.Job != 0 {
		m.Job = iv.Use.Job.String()
	}
	return m
}

func intervals(list []ledger.Interval, currency string) []*sluicev1.Interval {
	out := make([]*sluicev1.Interval, len(list))
	for i, iv := range list {
		out[i] = interval(iv, currency)
	}
	return out
}
