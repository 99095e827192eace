package state

import (
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/workload"
)

// Apply takes one committed command. It is total: every command yields a
// result, and a refused one changes nothing but time and the memory of its
// request.
func (s *State) Apply(index uint64, c Command) Result {
	s.Index = index
	s.advance(c)
	if c.Request != "" {
		if old, seen := s.Requests[c.Request]; seen {
			r := old.Result
			r.Repeat = true
			return r
		}
		if at, dated := requestTime(c.Request); dated && s.Wall-at > RequestMemory {
			return refuse(workload.Errorf(workload.Conflict, "request %s is more than a day old; whether it was applied is no longer known", c.Request).
				Hint("look at the present state, then send a new request"))
		}
	}
	r := s.dispatch(c)
	if c.Request != "" {
		s.remember(c.Request, r)
	}
	return r
}

// advance moves both clocks of the log, never backwards, and the book with
// them.
func (s *State) advance(c Command) {
	s.Wall = max(s.Wall, c.Wall)
	s.At = max(s.At, c.At)
	if s.Book == nil {
		s.Book = ledger.New(s.At)
	}
	s.Book.Advance(s.At)
}

func (s *State) dispatch(c Command) Result {
	switch {
	case c.Policy != nil:
		return s.applyPolicy(*c.Policy)
	case c.Quotes != nil:
		return s.applyQuotes(*c.Quotes)
	case c.Node != nil:
		return s.applyNode(*c.Node)
	case c.Devices != nil:
		return s.applyDevices(*c.Devices)
	case c.Silent != nil:
		return s.applySilent(*c.Silent)
	case c.Lost != nil:
		return s.applyLost(*c.Lost)
	case c.Events != nil:
		return s.applyEvents(*c.Events)
	case c.Submit != nil:
		return s.applySubmit(*c.Submit, c.Actor)
	case c.Cancel != nil:
		return s.applyCancel(*c.Cancel)
	case c.Plan != nil:
		return s.applyPlan(*c.Plan)
	case c.Server != nil:
		s.Servers[c.Server.ID] = *c.Server
		return Result{}
	case c.Token != nil:
		return s.applyToken(*c.Token)
	case c.Consume != nil:
		return s.applyConsume(*c.Consume)
	case c.Bearer != nil:
		s.Bearers[c.Bearer.ID] = *c.Bearer
		return Result{}
	}
	return refuse(workload.Errorf(workload.Internal, "command %s has no body that this version knows", c.Request))
}

// requestTime reads the instant out of a request id of the form NewRequestID
// makes. Ids of other forms carry no date.
func requestTime(id string) (workload.Instant, bool) {
	stamp, _, ok := strings.Cut(id, "-")
	if !ok || len(stamp) < 8 || len(stamp) > 10 {
		return 0, false
	}
	ms, err := strconv.ParseInt(stamp, 36, 64)
	return workload.Instant(ms), err == nil
}

// NewRequestID makes a request id that carries its date, so that the log can
// refuse it once it has forgotten its result. entropy must be unique.
func NewRequestID(now workload.Instant, entropy string) string {
	return strconv.FormatInt(int64(now), 36) + "-" + entropy
}

func (s *State) remember(id string, r Result) {
	s.Requests[id] = Request{Index: s.Index, Wall: s.Wall, Result: r}
	s.RequestOrder = append(s.RequestOrder, id)
	n := 0
	for n < len(s.RequestOrder) && s.Wall-s.Requests[s.RequestOrder[n]].Wall > RequestMemory {
		delete(s.Requests, s.RequestOrder[n])
		n++
	}
	s.RequestOrder = s.RequestOrder[n:]
}

func (s *State) applyPolicy(c PolicyChanged) Result {
	if c.Documents == nil {
		return refuse(workload.Errorf(workload.Invalid, "policy revision %d has no documents", c.Revision))
	}
	s.Policy, s.Revision = c.Documents, c.Revision
	s.refreshYields()
	for _, id := range s.DeviceIDs() { // idle draw and PUE may have changed
		s.account(s.Devices[id])
	}
	return Result{}
}

func (s *State) applyQuotes(c QuotesObserved) Result {
	for _, o := range c.Observations {
		var old market.Quote
		old, seen := s.Quotes[o.Feed]
		feed := s.Policy.Feed(o.Feed)
		if feed == nil {
			continue // the feed was removed while the value was on its way
		}
		s.Quotes[o.Feed] = market.Observe(old, seen, o, feed.Gate)
	}
	for site, steps := range c.Energy { // each site stands alone: order does not matter
		s.Book.SetEnergy(site, steps)
	}
	if c.Baseline != nil {
		s.Book.Base = *c.Baseline
	}
	s.refreshYields()
	return Result{}
}

// refreshYields takes the coins' earning power from the quotes in force.
func (s *State) refreshYields() {
	for d := range s.Policy.OfKind("Coin") {
		coin := workload.CoinName(d.Name)
		price, _, ok := market.Yield(s.Policy, coin, s.Quotes, s.At)
		if !ok { // a price that went stale keeps its last value, marked
			price = s.Book.Yields[coin].Now
		}
		s.Book.SetYield(coin, price, ok)
	}
}

func (s *State) applyToken(c TokenIssued) Result {
	if _, seen := s.Tokens[c.ID]; seen {
		return refuse(workload.Errorf(workload.Conflict, "join token %s exists", c.ID))
	}
	s.Tokens[c.ID] = Token{TokenIssued: c}
	return Result{}
}

func (s *State) applyConsume(c TokenConsumed) Result {
	t, ok := s.Tokens[c.ID]
	switch {
	case !ok || t.Hash != c.Hash:
		return refuse(workload.Errorf(workload.Denied, "join token is not known"))
	case t.UsedBy != "":
		return refuse(workload.Errorf(workload.Denied, "join token %s has been used", c.ID).Hint("ask an admin for a new one"))
	case t.Name != "" && t.Name != c.Name:
		return refuse(workload.Errorf(workload.Denied, "join token %s is for %s, not for %s", c.ID, t.Name, c.Name))
	case s.Wall > t.Expires:
		return refuse(workload.Errorf(workload.Denied, "join token %s has expired", c.ID).Hint("ask an admin for a new one"))
	}
	t.UsedBy = c.Name
	s.Tokens[c.ID] = t
	return Result{Role: t.Role}
}

// put stores a device and tells the book what it now does.
func (s *State) put(d Device) {
	if old, seen := s.Devices[d.ID]; !seen || old.Use != d.Use {
		d.Since = s.At
	}
	s.Devices[d.ID] = d
	s.account(d)
}

// account tells the book what a device does. A device on the way from one use
// to another draws its idle power and earns nothing; one whose node is silent
// is presumed to go on, since silence is neither failure nor idleness.
func (s *State) account(d Device) {
	do := ledger.Doing{Site: d.Site, Use: d.Use, Reason: d.Reason, Plan: d.Plan, Sim: d.Sim}
	switch d.Use.Kind {
	case workload.Mining, workload.Training, workload.Unknown:
		do.Watts, do.Hash, do.Coin, do.Rate, do.Tenant = d.Work.Watts, d.Work.Hash, d.Work.Coin, d.Work.Rate, d.Work.Tenant
	case workload.Offline:
	default:
		do.Watts = market.ParkedMoney(s.Policy.Profile(d.Model), market.PUE(s.Policy, d.Site, d.Hall), 0).Watts
	}
	if do.Use.Kind != workload.Training {
		do.Rate, do.Tenant = 0, ""
	}
	if do.Use.Kind != workload.Mining && do.Use.Kind != workload.Unknown {
		do.Hash, do.Coin = 0, ""
	}
	s.Book.Set(d.ID, do)
}

// order grants a device to a use under a new epoch, which is the index of the
// command that does so.
func (s *State) order(d Device, use workload.Use, work Work, why workload.Reason, plan uint64) {
	d.Assigned, d.Epoch, d.AssignedAt = use, workload.Epoch(s.Index), s.At
	d.Work, d.Reason, d.Plan = work, why, plan
	switch {
	case d.Use.Kind == workload.Unknown || d.Use.Kind == workload.Offline:
		// It will be told when it is heard again.
	case use.Kind == workload.Parked && !d.Busy:
		d.Use = use
	default:
		d.Use = workload.Use{Kind: workload.Draining}
	}
	s.put(d)
	s.touch(d.Node)
}

// touch notes that what a node is ordered to do has changed.
func (s *State) touch(id workload.NodeID) {
	if n, ok := s.Nodes[id]; ok {
		n.Touched = s.Index
		s.Nodes[id] = n
	}
}
