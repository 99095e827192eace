package state

import (
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/workload"
)

// Apply takes one committed command. It is total: every command yields a
// result, and a refused one changes nothing but time and the memory of its
// request.
func (s *State) Apply(index uint64, c Command) Result {
	if index <= s.Index { // an epoch is an index, so an index must never return
		return refuse(workload.Errorf(workload.Internal, "entry %d comes after entry %d has been applied", index, s.Index))
	}
	s.Index = index
	if err := s.checkTime(c); err != nil {
		return refuse(err)
	}
	s.advance(c)
	if c.Request != "" {
		if old, seen := s.Requests[c.Request]; seen {
			r := old.Result
			r.Repeat = true
			return r
		}
		if err := s.checkDate(c.Request); err != nil {
			return refuse(err)
		}
	}
	r := s.dispatch(c)
	if c.Request != "" {
		s.remember(c.Request, r)
	}
	return r
}

// checkTime refuses a clock that has certainly gone wrong. The log's time never
// runs backwards, so one such command would otherwise stop it for good, and
// would have the book count years of hours.
func (s *State) checkTime(c Command) *workload.Error {
	for _, t := range []struct {
		name     string
		old, now workload.Instant
	}{{"market clock", s.At, c.At}, {"clock", s.Wall, c.Wall}} {
		if t.old > 0 && t.now > t.old+MaxLeap || t.now > lastInstant {
			return workload.Errorf(workload.Invalid, "the proposer's %s says %d, the log has reached %d: it is too far ahead", t.name, t.now, t.old).
				Hint("correct the clock of the server that leads")
		}
	}
	return nil
}

// advance moves both clocks of the log, never backwards, and the book with
// them. The book begins with the first command that carries a market time.
func (s *State) advance(c Command) {
	before := s.At
	s.Wall = max(s.Wall, c.Wall)
	s.At = max(s.At, c.At)
	if s.Book == nil {
		s.Book = ledger.New(s.At)
	}
	if before == 0 && s.At > MaxLeap { // nearer, it is a clock that began at 0, as a simulation does
		s.Book.Begin(s.At)
		s.date()
	}
	s.Book.Advance(s.At)
	if s.At/staleCheck != before/staleCheck { // a price also goes stale while nothing is observed
		s.refreshYields()
	}
}

// date puts the first known instant on what was entered before it.
func (s *State) date() {
	for id, d := range s.Devices {
		d.Since, d.AssignedAt = s.At, s.At
		s.Devices[id] = d
		s.memo.touchDevices()
	}
}

func (s *State) dispatch(c Command) Result {
	if n := c.bodies(); n != 1 {
		return refuse(workload.Errorf(workload.Internal, "command %s has %d bodies that this version knows, not one", c.Request, n))
	}
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
	case c.Fence != nil:
		return s.applyFence(*c.Fence, c.Actor)
	case c.Events != nil:
		return s.applyEvents(*c.Events)
	case c.Submit != nil:
		return s.applySubmit(*c.Submit, c.Actor)
	case c.Cancel != nil:
		return s.applyCancel(*c.Cancel)
	case c.Plan != nil:
		return s.applyPlan(*c.Plan)
	case c.Server != nil:
		if c.Server.ID == "" {
			return refuse(workload.Errorf(workload.Invalid, "a server without id announced itself"))
		}
		s.Servers[c.Server.ID] = *c.Server
		return Result{}
	case c.Token != nil:
		return s.applyToken(*c.Token)
	case c.Consume != nil:
		return s.applyConsume(*c.Consume)
	case c.Bearer != nil:
		if c.Bearer.ID == "" {
			return refuse(workload.Errorf(workload.Invalid, "a token without id was issued"))
		}
		s.Bearers[c.Bearer.ID] = *c.Bearer
		return Result{}
	}
	return Result{}
}

func (s *State) applyPolicy(c PolicyChanged) Result {
	if c.Documents == nil {
		return refuse(workload.Errorf(workload.Invalid, "policy revision %d has no documents", c.Revision))
	}
	s.Policy, s.Revision = c.Documents, c.Revision
	s.memo.idle = nil
	s.refreshYields()
	for _, d := range s.Devices { // idle draw and PUE may have changed; each stands alone, order does not matter
		s.account(d)
	}
	return Result{}
}

func (s *State) applyQuotes(c QuotesObserved) Result {
	for _, o := range c.Observations {
		old, seen := s.Quotes[o.Feed]
		feed := s.Policy.Feed(o.Feed)
		if feed == nil {
			continue // the feed was removed while the value was on its way
		}
		o.At = min(o.At, s.At) // a value dated ahead would never go stale and could never be followed
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
	case !workload.ValidName(c.Name):
		return refuse(workload.Errorf(workload.Denied, "name %q must be 1 to 63 of a-z, 0-9 and hyphen", c.Name))
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
	s.memo.touchDevices()
	s.account(d)
}

// account tells the book what a device does. A device on the way from one use
// to another draws its idle power and earns nothing; one whose node is silent
// is presumed to do what it was told, since silence is neither failure nor
// idleness.
func (s *State) account(d Device) {
	do := ledger.Doing{Site: d.Site, Use: d.Use, Reason: d.Reason, Plan: d.Plan, Sim: d.Sim}
	doing := d.Use.Kind
	if doing == workload.Unknown {
		doing = d.Assigned.Kind
	}
	switch doing {
	case workload.Mining:
		do.Watts, do.Hash, do.Coin = d.Work.Watts, d.Work.Hash, d.Work.Coin
	case workload.Training:
		do.Watts, do.Rate, do.Tenant = d.Work.Watts, d.Work.Rate, d.Work.Tenant
	case workload.Offline:
	default:
		do.Watts = s.idleWatts(d)
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
		s.putNode(n)
	}
}
