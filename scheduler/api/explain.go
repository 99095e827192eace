package api

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/planner"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

func (o *operator) ExplainGpu(ctx context.Context, req *sluicev1.ExplainGpuRequest) (*sluicev1.GpuExplanation, error) {
	m, err := o.explainGpu(ctx, req.GetId())
	return answer(o, "ExplainGpu", m, err)
}

// findDevice takes "node/slot", or "site/node/slot" as pages show it.
func findDevice(v *state.View, text string) (state.Device, error) {
	id, site := text, ""
	if strings.Count(text, "/") == 2 {
		site, id, _ = strings.Cut(text, "/")
	}
	d, ok := v.Devices[workload.DeviceID(id)]
	switch {
	case !ok:
		return d, workload.Errorf(workload.NotFound, "there is no device %.200q", text).Hint("sluice gpu list")
	case site != "" && site != string(d.Site) && site != string(d.Hall):
		return d, workload.Errorf(workload.NotFound, "device %s is at site %s, not %.80q", id, d.Site, site)
	}
	return d, nil
}

const explainHours = 24

func (o *operator) explainGpu(ctx context.Context, text string) (*sluicev1.GpuExplanation, error) {
	v := o.core.View()
	d, err := findDevice(v, text)
	if err != nil {
		return nil, err
	}
	done, err := o.solve(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	r := o.roundFor(v, func(decided *state.View) bool {
		was, ok := decided.Devices[d.ID]
		return ok && was.Epoch == d.Epoch && was.Use == d.Use
	})
	x, err := r.ExplainDevice(d.ID)
	if err != nil {
		return nil, err
	}
	f := o.fleet(v)
	now, _ := o.clock(v)
	m := &sluicev1.GpuExplanation{Gpu: f.gpu(d), Plan: summary(v, o.core.Round()), Currency: f.currency, Verdict: deviceVerdict(d, x, now, f.currency),
		Now: breakdown(x, x.Now.Money), ParksBelowGrossMicroPerHour: int64(max(x.ParksBelow, -1)), ParksAboveEnergyMicroPerKwh: max(x.ParksAbove, -1),
		QuoteAgeMs: -1, HorizonMs: x.Horizon.Milliseconds(), MarketMs: int64(now)}
	if x.QuoteAt != 0 {
		m.QuoteAgeMs = int64(max(now-x.QuoteAt, 0))
	}
	for _, alt := range x.Alternatives {
		if !alt.Now {
			m.Alternatives = append(m.Alternatives, alternative(x, alt, f.currency))
		}
	}
	var history []ledger.Interval
	o.core.Book(func(b *ledger.Book) { history = b.History(d.ID, now-explainHours*workload.HourMillis) })
	m.History = intervals(history, f.currency)
	return m, nil
}

func breakdown(x planner.DeviceExplanation, money market.Money) *sluicev1.Breakdown {
	// The meter shows board x PUE rounded up, so this finds the board's again.
	board := workload.MulDiv(money.Watts, int64(workload.One), int64(max(x.PUE, 1)), workload.Down)
	return &sluicev1.Breakdown{Gross: int64(money.Gross), Risk: int64(money.Risk), Energy: int64(money.Energy), Net: int64(money.Net()),
		Watts: money.Watts, BoardWatts: board, EnergyMicroPerKwh: x.Micro, PuePpm: int64(x.PUE)}
}

func alternative(x planner.DeviceExplanation, alt planner.Alternative, currency string) *sluicev1.Alternative {
	m := &sluicev1.Alternative{Use: string(alt.Use.Kind), Option: string(alt.Use.Option), Money: breakdown(x, alt.Money),
		VsNow: int64(alt.Money.Net() - x.Now.Money.Net()), Reason: reason(alt.Reason, currency)}
	if alt.Use.Job != 0 {
		m.Job = alt.Use.Job.String()
	}
	if w := alt.WouldWinAt; w != nil {
		m.WouldWinAt = w.Name + " " + w.Show(currency)
		if alt.Use.Kind == workload.Training {
			m.WouldWinAt = "a bid of " + bidText(workload.Rate(w.Value), currency)
		}
	}
	return m
}

func bidText(r workload.Rate, currency string) string {
	return workload.Decimal(int64(r), 4) + " " + currency + "/GPU-h"
}

// deviceVerdict says in two sentences what a device does and why nothing else.
func deviceVerdict(d state.Device, x planner.DeviceExplanation, now workload.Instant, currency string) string {
	return doesSentence(d, x, now, currency) + " " + whySentence(d, x, currency)
}

func doesSentence(d state.Device, x planner.DeviceExplanation, now workload.Instant, currency string) string {
	net := x.Now.Money.Net()
	rate := workload.RateOf("", net).Show(currency)
	var does string
	switch d.Assigned.Kind {
	case workload.Mining:
		does = "Mines " + string(d.Assigned.Option) + " for " + rate + "."
	case workload.Training:
		does = fmt.Sprintf("Trains job %d for %s.", d.Assigned.Job, rate)
	default:
		does = "Parked."
		if net < 0 {
			does = "Parked, which costs " + workload.RateOf("", -net).Show(currency) + "."
		}
	}
	switch d.Use.Kind {
	case workload.Draining:
		return "On its way from one use to another: ordered to " + orders(d.Assigned) + "."
	case workload.Unknown:
		return fmt.Sprintf("Its node has not been heard for %s; it was ordered to %s.", workload.FormatSpan(now.Sub(d.Since)), orders(d.Assigned))
	case workload.Mining, workload.Training, workload.Parked:
		return does
	}
	return fmt.Sprintf("Is %s.", d.Use.Kind)
}

func orders(u workload.Use) string {
	switch u.Kind {
	case workload.Mining:
		return "mine " + string(u.Option)
	case workload.Training:
		return fmt.Sprintf("train job %d", u.Job)
	}
	return "park"
}

// whySentence names the best thing that pays more and what stops it, else why
// what it does is best.
func whySentence(d state.Device, x planner.DeviceExplanation, currency string) string {
	own := x.Now.Money.Net()
	var next *planner.Alternative
	for i := range x.Alternatives {
		if alt := &x.Alternatives[i]; !alt.Now && next == nil {
			next = alt
		}
	}
	switch {
	case next != nil && next.Money.Net() > own:
		gain := workload.Decimal(int64(next.Money.Net()-own), 4)
		if payback, horizon, ok := stability(next.Reason); ok {
			return fmt.Sprintf("%s pays %s more, but the switch pays back in %s and the horizon is %s.", label(next.Use), gain, payback, horizon)
		}
		return fmt.Sprintf("%s would pay %s more, but %s.", label(next.Use), gain, next.Reason.Sentence(currency))
	case d.Assigned.Kind == workload.Parked && x.Now.Reason.Code != workload.CodeNew:
		return capital(x.Now.Reason.Sentence(currency)) + "."
	case next == nil:
		if x.Now.Reason.Code == "" {
			return "Nothing else is open to it."
		}
		return capital(x.Now.Reason.Sentence(currency)) + "."
	}
	return fmt.Sprintf("Nothing else pays more: next is %s with %s.", lower(label(next.Use)), workload.RateOf("", next.Money.Net()).Show(currency))
}

func stability(r workload.Reason) (payback, horizon string, ok bool) {
	if r.Code != workload.CodeStable {
		return "", "", false
	}
	for _, f := range r.Figures {
		switch f.Name {
		case "pays back in":
			payback = f.Show("")
		case "horizon":
			horizon = f.Show("")
		}
	}
	return payback, horizon, payback != "" && horizon != ""
}

func label(u workload.Use) string {
	switch u.Kind {
	case workload.Mining:
		return string(u.Option)
	case workload.Training:
		return "Job " + u.Job.String()
	}
	return "Parking"
}

// lower undoes the capital of a label's first word, but not of a coin's name.
func lower(s string) string {
	if strings.HasPrefix(s, "Job ") || s == "Parking" {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
