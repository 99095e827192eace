package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/workload"
)

func statusVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the cluster: servers, devices, power, money, the standing plan",
		Args:  arguments(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.status(cmd.Context()) },
	}
	a.addWatchFlag(cmd)
	return a.operator(cmd)
}

func (a *app) status(ctx context.Context) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	name := func(s *sluicev1.Status) string { return s.GetCluster() }
	get := func() (*sluicev1.Status, error) {
		return call(ctx, c, sluicev1.OperatorClient.GetStatus, &sluicev1.GetStatusRequest{})
	}
	if !a.view.watch {
		s, err := get()
		if err != nil {
			return err
		}
		return showOne(a, s, name, a.showStatus)
	}
	if a.view.format == "json" {
		a.view.format = "jsonl"
	}
	var last []byte
	return a.repeat(ctx, c, func() error {
		s, err := get()
		if err != nil {
			return err
		}
		if a.view.format != "jsonl" {
			return a.redraw(func() error { return showOne(a, s, name, a.showStatus) })
		}
		raw := wire.JSON(s)
		if bytes.Equal(raw, last) {
			return nil
		}
		last = bytes.Clone(raw)
		return a.showJSON(raw)
	})
}

func (a *app) showStatus(s *sluicev1.Status) {
	cur := s.GetCurrency()
	l := &lines{a: a}
	leader := "no leader"
	if s.GetLeader() != "" {
		leader = fmt.Sprintf("leader %s in term %d", s.GetLeader(), s.GetTerm())
	}
	l.add("cluster", "%s  %s  %s  log %d", dash(s.GetCluster()), s.GetVersion(), leader, s.GetLogIndex())
	for _, srv := range s.GetServers() {
		voter := ""
		if !srv.GetVoter() {
			voter = "  does not vote"
		}
		l.add("server", "%s  %s  %s%s", srv.GetId(), srv.GetAddress(), srv.GetState(), voter)
	}
	l.add("policy", "revision %d  %s", s.GetConfigRevision(), configWords(s))
	d := s.GetDevices()
	l.add("devices", "%d on %s: %d training, %d mining, %d parked, %d other%s", d.GetTotal(), count(s.GetNodes(), "node"),
		d.GetTraining(), d.GetMining(), d.GetParked(), d.GetOther(), simWords(s.GetSim()))
	l.add("AI share", "%s of %d that can train", share(s.GetAiSharePpm()), d.GetTrainable())
	for _, t := range s.GetTargets() {
		l.add("target", "%s", targetWords(t, cur))
	}
	l.add("power", "%s", ofCap(s.GetPowerW().GetNow(), s.GetPowerW().GetCap()))
	for _, site := range s.GetSites() {
		price := "energy price not known"
		if site.GetEnergyKnown() {
			price = perKWh(site.GetEnergyMicroPerKwh(), cur)
		}
		l.add("site", "%s  %s  %s  %s", site.GetName(), site.GetZone(), ofCap(site.GetNowW(), site.GetCapW()), price)
	}
	m := s.GetMoneyPerHour()
	l.add("net", "%s = revenue %s - energy %s%s", perHour(m.GetNet(), cur), perHour(m.GetRevenue(), cur), perHour(m.GetEnergy(), cur), simWords(s.GetSim()))
	if s.GetAllMining() != nil && s.GetAllParked() != nil {
		l.add("instead", "all mining %s, all parked %s", perHour(s.GetAllMining().GetNet(), cur), perHour(s.GetAllParked().GetNet(), cur))
	}
	if p := s.GetPlan(); p.GetId() != 0 {
		l.add("plan", "%d  %s  gap %s (%s) proven, %s in %s, %s ago", p.GetId(), p.GetStage(), share(p.GetGapPpm()), perHour(p.GetGapMicroPerHour(), cur),
			count(p.GetMoves(), "move"), span(p.GetMilliseconds()), span(max(0, s.GetMarketMs()-p.GetAtMs())))
	} else {
		l.add("plan", "none yet")
	}
	j := s.GetJobs()
	l.add("jobs", "%d queued, %d active, %d done", j.GetQueued(), j.GetActive(), j.GetDone())
	for _, q := range s.GetQuotes() {
		l.add("price", "%s", quoteWords(q, s.GetCurrency()))
	}
	speed := ""
	if s.GetMarketSpeed() > 1 {
		speed = fmt.Sprintf("  runs %d times as fast as real time", s.GetMarketSpeed())
	}
	l.add("market", "%s%s", a.at(s.GetMarketMs()), speed)
	l.print()
}

func configWords(s *sluicev1.Status) string {
	state := dash(s.GetConfigState())
	if s.GetConfigAgeMs() > 0 {
		state += ", read " + span(s.GetConfigAgeMs()) + " ago"
	}
	return state
}

func simWords(is bool) string {
	if is {
		return " (some simulated: their rate and money are modelled)"
	}
	return ""
}

func ofCap(now, limit int64) string {
	if limit < 0 {
		return watts(now) + ", no cap"
	}
	return watts(now) + " of " + watts(limit)
}

// targetWords shows one target: what is, what was asked, and why not.
func targetWords(t *sluicev1.TargetStatus, currency string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s %s", t.GetName(), t.GetUse(), share(t.GetActualPpm()))
	if t.GetMinPpm() >= 0 {
		fmt.Fprintf(&b, ", min %s", share(t.GetMinPpm()))
	}
	if t.GetMaxPpm() >= 0 {
		fmt.Fprintf(&b, ", max %s", share(t.GetMaxPpm()))
	}
	if text := sentence(&sluicev1.Reason{Code: t.GetCode(), Text: t.GetText()}, currency); text != "" {
		fmt.Fprintf(&b, "  %s", text)
	}
	if t.GetCode() != "" {
		fmt.Fprintf(&b, "  %s", t.GetCode())
	}
	return b.String()
}

func quoteWords(q *sluicev1.Quote, currency string) string {
	amount := workload.Decimal(q.GetValue(), 4) + " " + currency
	switch q.GetUnit() {
	case "micro_per_kwh":
		amount += "/kWh"
	case "micro_per_hour":
		amount += fmt.Sprintf("/h for 10^%d H/s", q.GetScale())
	case "difficulty":
		amount = fmt.Sprintf("difficulty %d", q.GetValue())
	}
	stale := ""
	if q.GetStale() {
		stale = "  STALE"
	}
	return fmt.Sprintf("%s  %s  %s old%s", q.GetFeed(), amount, span(q.GetAgeMs()), stale)
}
