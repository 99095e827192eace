package scheduler

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/orders"
	"github.com/sluice-project/sluice/scheduler/planner"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// follow runs the leader's duties whenever this server leads, and ends them at
// once when it no longer does.
func (s *Server) follow(ctx context.Context) error {
	for {
		leader, changed := s.replica.LeaderChanged()
		if leader.ID != s.conf.ID || !s.replica.IsLeader() {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-changed:
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		term, cancel := context.WithCancel(ctx)
		go func() {
			defer cancel()
			for s.replica.IsLeader() && term.Err() == nil {
				_, moved := s.replica.LeaderChanged()
				select {
				case <-term.Done():
				case <-moved:
				case <-time.After(50 * time.Millisecond):
				}
			}
		}()
		err := s.lead(term)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && term.Err() == nil {
			s.log.Error("a duty of the leader ended", "err", err)
			time.Sleep(200 * time.Millisecond)
		}
	}
}

// lead is one term. Before it acts on its state it applies all that was
// committed before it.
func (s *Server) lead(ctx context.Context) error {
	if err := s.replica.Barrier(ctx); err != nil {
		return err
	}
	if _, _, err := s.Propose(ctx, state.Command{Actor: "server/" + s.conf.ID, Server: s.announcement()}); err != nil {
		return err
	}
	s.hub.lead(true)
	defer s.hub.lead(false)
	s.log.Info("leads", "server", s.conf.ID, "index", s.machine.View().Index)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.followPolicy(ctx) })
	g.Go(func() error { return s.observe(ctx) })
	g.Go(func() error { return s.decide(ctx) })
	g.Go(func() error { return s.dispatch(ctx) })
	g.Go(func() error { return s.watchLiveness(ctx) })
	return g.Wait()
}

// resendFor outlasts an election, in which a replica itself waits for the next
// leader.
const resendFor = 1500 * time.Millisecond

// Propose commits a command and returns its index and result. A command that
// was committed and refused is returned as an error.
func (s *Server) Propose(ctx context.Context, c state.Command) (uint64, state.Result, error) {
	c.Version = state.SchemaVersion
	if c.Wall == 0 {
		c.Wall = Wall()
	}
	if c.At == 0 {
		c.At = s.clock.Now()
	}
	data, err := state.Encode(c)
	if err != nil {
		return 0, state.Result{}, err
	}
	index, out, err := s.replica.Propose(ctx, data)
	// A leader that dies with a command in its hands leaves its fate unknown.
	// With a request id it can be sent again, as the state takes each id once.
	for giveUp := time.Now().Add(resendFor); err != nil && c.Request != "" && workload.KindOf(err) == workload.Unavailable &&
		ctx.Err() == nil && time.Now().Before(giveUp); {
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
			index, out, err = s.replica.Propose(ctx, data)
		}
	}
	if err != nil {
		return 0, state.Result{}, err
	}
	var r state.Result
	if err := json.Unmarshal(out, &r); err != nil {
		return index, r, workload.Errorf(workload.Internal, "cannot read the result of entry %d: %w", index, err)
	}
	return index, r, r.Err()
}

// marketNow is the market clock, never behind the log's.
func (s *Server) marketNow(v *state.View) workload.Instant { return max(s.clock.Now(), v.At) }

// followPolicy copies every valid revision of the policy into the log. With
// etcd gone the last good one stays in force.
func (s *Server) followPolicy(ctx context.Context) error {
	for {
		err := s.copyPolicy(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			s.setPolicyState(config.Snapshot{}, err)
			s.log.Warn("the policy is not followed; trying again", "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(policyRetry):
		}
	}
}

// Pace of looking at the policy store: after a failure, and while it is quiet,
// so that its loss is noticed when nobody changes policy.
const (
	policyRetry = 250 * time.Millisecond
	policyProbe = 5 * time.Second
)

// copyPolicy follows the store until it fails or a revision cannot be
// committed; what it missed then is read anew.
func (s *Server) copyPolicy(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	snap, err := s.source.Load(ctx)
	if err != nil {
		return err
	}
	s.setPolicyState(snap, nil)
	if err := s.takePolicy(ctx, snap); err != nil {
		return err
	}
	changes := s.source.Watch(ctx, snap.Revision)
	probe := time.NewTicker(policyProbe)
	defer probe.Stop()
	for {
		var ok bool
		select {
		case snap, ok = <-changes:
			if !ok {
				return ctx.Err()
			}
		case <-probe.C:
			if snap, err = s.source.Load(ctx); err != nil {
				return err
			}
		}
		s.setPolicyState(snap, nil)
		if err := s.takePolicy(ctx, snap); err != nil {
			return err
		}
	}
}

func (s *Server) takePolicy(ctx context.Context, snap config.Snapshot) error {
	v := s.machine.View()
	if snap.Regressed || snap.Revision <= v.Revision {
		return nil
	}
	_, _, err := s.Propose(ctx, state.Command{Actor: "scheduler", Policy: &state.PolicyChanged{Revision: snap.Revision, Documents: snap.Set()}})
	return err
}

// observe polls the feeds and proposes what changed, with the energy prices
// that follow.
func (s *Server) observe(ctx context.Context) error {
	// A quarter of a market hour, but at least ten times a second is of no use
	// and less than once a second too slow.
	every := min(max(15*time.Minute/time.Duration(s.clock.Speed()), 100*time.Millisecond), time.Second)
	tick := time.NewTicker(every)
	defer tick.Stop()
	failed := map[string]string{}
	for {
		changed := s.machine.Changed()
		v := s.machine.View()
		now := s.marketNow(v)
		q := state.QuotesObserved{}
		for _, r := range s.poller.Poll(ctx, v.Policy, now) {
			if r.Err != nil {
				if failed[r.Feed] != r.Err.Error() {
					s.log.Warn("a feed cannot be read", "feed", r.Feed, "err", r.Err)
				}
				failed[r.Feed] = r.Err.Error()
				continue
			}
			delete(failed, r.Feed)
			if old, seen := v.Quotes[r.Feed]; !seen || old.Observation != r.Observation && (old.Pending == nil || *old.Pending != r.Observation) {
				q.Observations = append(q.Observations, r.Observation)
			}
		}
		s.setFeedState(failed)
		q.Energy = energySteps(v, q.Observations, now)
		if len(q.Observations) > 0 || len(q.Energy) > 0 {
			if _, _, err := s.Propose(ctx, state.Command{Actor: "scheduler", Quotes: &q}); err != nil && ctx.Err() == nil {
				s.log.Warn("quotes were not committed", "err", err)
			}
		}
		// A new policy wakes the feeds early; other changes do not concern them.
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
				waiting = false
			case <-changed:
				changed = s.machine.Changed()
				waiting = s.machine.View().Revision == v.Revision
			}
		}
	}
}

// energySteps returns the sites whose price, now or within a day, is not what
// the book holds.
func energySteps(v *state.View, fresh []market.Observation, now workload.Instant) map[workload.SiteName][]ledger.Step {
	quotes := v.Quotes
	if len(fresh) > 0 {
		quotes = maps.Clone(v.Quotes)
		for _, o := range fresh {
			old, seen := quotes[o.Feed]
			if feed := v.Policy.Feed(o.Feed); feed != nil {
				quotes[o.Feed] = market.Observe(old, seen, o, feed.Gate)
			}
		}
	}
	out := map[workload.SiteName][]ledger.Step{}
	for d := range v.Policy.OfKind(config.KindSite) {
		site := workload.SiteName(d.Name)
		want := planner.EnergySteps(v.Policy, quotes, site, now, now+orders.BanHorizon)
		if !sameSteps(v.Book.Energy[site], want, now) {
			out[site] = want
		}
	}
	return out
}

func sameSteps(have ledger.Energy, want []ledger.Step, now workload.Instant) bool {
	if have.Now.MicroPerKWh != want[0].MicroPerKWh || have.Now.Known != want[0].Known {
		return false
	}
	soon := func(s ledger.Step) bool { return s.At > now && s.At <= now+orders.BanHorizon/2 }
	near := func(list []ledger.Step) []ledger.Step {
		var out []ledger.Step
		for _, s := range list {
			if soon(s) {
				out = append(out, s)
			}
		}
		return out
	}
	return slices.Equal(near(have.Ahead), near(want[1:]))
}

// Pace of the global round: at once when idle, else debounced.
const (
	roundDebounce = 50 * time.Millisecond
	roundIdle     = time.Second
)

// decide runs the global round at every change and at least once a second of
// real time, since dwell, calendars and tariffs move with the clock alone.
func (s *Server) decide(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.begun:
	}
	var warm *decide.Warm
	var last time.Time
	for {
		changed := s.machine.Changed()
		var err error
		if warm, err = s.round(ctx, warm); err != nil {
			return err
		}
		last = time.Now()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			if wait := roundDebounce - time.Since(last); wait > 0 {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(wait):
				}
			}
		case <-time.After(roundIdle):
		}
	}
}

// round is one decision: compose, decide, propose what changes.
func (s *Server) round(ctx context.Context, warm *decide.Warm) (*decide.Warm, error) {
	v := s.machine.View()
	if v.Revision == 0 || len(v.Nodes) == 0 || s.frozen(v) {
		return warm, nil
	}
	start := time.Now()
	board := planner.Compose(v, v.Policy, s.marketNow(v), Wall())
	if issues := decide.Validate(&board.Problem); len(issues) > 0 {
		s.log.Error("the decision's problem is not valid", "path", issues[0].Path, "problem", issues[0].Problem, "issues", len(issues))
		return nil, nil
	}
	r, next := board.Decide(warm, board.Budget(warm))
	if r.Result.Stage != decide.StageHeld { // a held plan was checked when it was new
		if err := decide.Verify(&r.Board.Problem, &r.Result); err != nil {
			s.log.Error("a plan did not pass its own check and was not proposed", "err", err)
			return nil, nil
		}
	}
	plan, some := r.Plan()
	plan.Micros = time.Since(start).Microseconds()
	s.setRound(r, plan.Micros)
	if !some && *plan.Baseline == v.Book.Base {
		return next, nil
	}
	cmd := state.Command{Actor: "scheduler", Plan: &plan}
	if !some {
		cmd = state.Command{Actor: "scheduler", Quotes: &state.QuotesObserved{Baseline: plan.Baseline}}
	}
	_, result, err := s.Propose(ctx, cmd)
	if err != nil {
		if ctx.Err() != nil {
			return next, ctx.Err()
		}
		s.log.Warn("a plan was not committed", "err", err)
	}
	if len(result.Refused) > 0 {
		s.log.Info("parts of a plan no longer applied", "parts", len(result.Refused), "first", result.Refused[0].Text)
	}
	return next, nil
}

// frozen reports whether a person froze the whole cluster.
func (s *Server) frozen(v *state.View) bool {
	_, is := s.freezer(v)
	return is
}

// freezer is the document by which a person froze the whole cluster.
func (s *Server) freezer(v *state.View) (config.Document, bool) {
	now := s.marketNow(v)
	for d := range v.Policy.OfKind(config.KindOverride) {
		if o := d.Override; o.Freeze && o.Scope == nil && o.ActiveAt(now) {
			return d, true
		}
	}
	return config.Document{}, false
}
