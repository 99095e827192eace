package api

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// Metrics is what a Prometheus reads. Values are taken from the view when they
// are asked for; only decisions are counted as they happen.
type Metrics struct {
	registry  *prometheus.Registry
	decisions *prometheus.HistogramVec
	o         *operator
	sessions  func() int
}

var (
	_ prometheus.Collector = (*Metrics)(nil)

	devicesDesc  = describe("devices", "Devices by what they do.", "use")
	jobsDesc     = describe("jobs", "Jobs that have not ended, by phase.", "phase")
	moneyDesc    = describe("money_rate", "Money per hour at the prices now, in units of the currency.", "kind", "currency")
	powerDesc    = describe("power_watts", "Draw at the meter.", "site")
	energyDesc   = describe("energy_price", "Energy price now, in units of the currency per kWh.", "site", "currency")
	gapDesc      = describe("plan_gap_ppm", "Proven gap of the standing plan, in millionths of its scale.")
	planDesc     = describe("plan_log_index", "Log index of the standing plan.")
	policyDesc   = describe("policy_revision", "Revision of the policy in force.")
	storeDesc    = describe("policy_store_ok", "1 if the policy store can be written.")
	feedDesc     = describe("feed_failing", "1 for each feed that cannot be read now.", "feed")
	staleDesc    = describe("quote_age_seconds", "Age of a quote by the market clock.", "feed")
	appliedDesc  = describe("raft_applied_index", "Newest log index that this server has applied.")
	termDesc     = describe("raft_term", "Term of this server.")
	leaderDesc   = describe("raft_leader", "1 if this server leads.")
	sessionsDesc = describe("agent_sessions", "Agents connected to this server.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sluice_"+name, help, labels, nil)
}

// NewMetrics returns the metrics of a server. sessions counts the agents that
// are connected to it and may be nil.
func NewMetrics(core Core, sessions func() int) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), o: &operator{core: core}, sessions: sessions,
		decisions: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sluice_decision_seconds", Help: "Time that decisions took.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 14)}, []string{"stage"})}
	m.registry.MustRegister(m, m.decisions, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// ObserveDecision counts one decision by the stage it ended in.
func (m *Metrics) ObserveDecision(stage string, took time.Duration) {
	m.decisions.WithLabelValues(stage).Observe(took.Seconds())
}

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Describe is empty: which series there are depends on sites and feeds.
func (m *Metrics) Describe(chan<- *prometheus.Desc) {}

// Collect reads one view.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	v := m.o.core.View()
	m.collectFleet(gauge, v)
	now, _ := m.o.clock(v)
	for name, q := range v.Quotes {
		if v.Policy.Feed(name) != nil {
			gauge(staleDesc, float64(max(now-q.At, 0))/1000, name)
		}
	}
	for feed := range m.o.core.FeedErrors() {
		gauge(feedDesc, 1, feed)
	}
	gauge(gapDesc, float64(summary(v, m.o.core.Round()).GetGapPpm()))
	gauge(planDesc, float64(v.Plan.ID))
	gauge(policyDesc, float64(v.Revision))
	store, _, _ := m.o.core.PolicyState()
	gauge(storeDesc, one(store == "ok"))
	gauge(appliedDesc, float64(v.Index))
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	g := m.o.core.Group(ctx)
	gauge(termDesc, float64(g.Term))
	gauge(leaderDesc, one(g.Leader != "" && g.Leader == g.Self))
	if m.sessions != nil {
		gauge(sessionsDesc, float64(m.sessions()))
	}
}

func (m *Metrics) collectFleet(gauge func(*prometheus.Desc, float64, ...string), v *state.View) {
	f := m.o.fleet(v)
	uses := map[workload.UseKind]int{}
	watts := map[workload.SiteName]int64{}
	var revenue, energy workload.Rate
	for _, d := range v.Devices { // sums: order does not matter
		uses[d.Use.Kind]++
		watts[d.Site] += f.watts(d, f.sample(d))
		revenue += f.now[d.ID].Revenue
		energy += f.now[d.ID].Energy
	}
	for _, use := range workload.UseKinds {
		gauge(devicesDesc, float64(uses[use]), string(use))
	}
	for site, w := range watts {
		gauge(powerDesc, float64(w), string(site))
		if price, known := v.EnergyPrice(site); known {
			gauge(energyDesc, units(price), string(site), f.currency)
		}
	}
	gauge(moneyDesc, units(int64(revenue)), "revenue", f.currency)
	gauge(moneyDesc, units(int64(energy)), "energy", f.currency)
	gauge(moneyDesc, units(int64(revenue-energy)), "net", f.currency)
	phases := map[workload.Phase]int{workload.Waiting: 0, workload.Held: 0, workload.Queued: 0, workload.Active: 0}
	for _, j := range v.Jobs {
		if !j.Phase.Final() {
			phases[j.Phase]++
		}
	}
	for phase, n := range phases {
		gauge(jobsDesc, float64(n), string(phase))
	}
}

// units turns micro-units into a float, for display alone.
func units(micro int64) float64 { return float64(micro) / 1e6 }

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
