package state

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/workload"
)

// View is a consistent copy for readers. It shares values with the state, which
// never edits them, and leaves the accounts and the request memory out. Its
// maps are shared with other views: clone one before changing it.
type View = State

// View copies the state. Nodes, devices and jobs are cloned only if they changed since
// the last view, so that readers of a quiet state cost nothing; figures are in
// DESIGN.md. Views may be taken concurrently, but not beside Apply.
func (s *State) View() *View {
	v := s.copy()
	if s.memo == nil { // a view of a view
		v.Nodes, v.Devices, v.Jobs = maps.Clone(s.Nodes), maps.Clone(s.Devices), maps.Clone(s.Jobs)
	} else {
		v.Nodes, v.Devices, v.Jobs = shared(&s.memo.nodes, s.Nodes), shared(&s.memo.devices, s.Devices), shared(&s.memo.jobs, s.Jobs)
	}
	v.Requests, v.RequestOrder = nil, nil
	v.Book = nil
	if s.Book != nil { // prices, without the accounts
		v.Book = &ledger.Book{At: s.Book.At, Energy: maps.Clone(s.Book.Energy), Yields: maps.Clone(s.Book.Yields), Base: s.Book.Base,
			Drawn: s.drawn()}
	}
	return v
}

// drawn is what the sites with a quota of energy have used of it.
func (s *State) drawn() map[workload.SiteName]int64 {
	out := s.Book.Drawn // of a view of a view
	for d := range s.Policy.OfKind(config.KindSite) {
		if d.Site.EnergyQuota == nil || s.Book.Drawn != nil {
			continue
		}
		if out == nil {
			out = map[workload.SiteName]int64{}
		}
		from, _ := d.Site.QuotaPeriod(s.Book.At)
		out[workload.SiteName(d.Name)] = s.Book.DrawnSince(workload.SiteName(d.Name), from)
	}
	return out
}

// Clone copies the whole state, for a snapshot that is written while Apply goes
// on, or for one that goes its own way.
func (s *State) Clone() *State {
	c := s.copy()
	c.memo = &memo{}
	c.Nodes, c.Devices, c.Jobs = maps.Clone(s.Nodes), maps.Clone(s.Devices), maps.Clone(s.Jobs)
	c.Requests, c.RequestOrder = maps.Clone(s.Requests), slices.Clone(s.RequestOrder)
	c.Waiting, c.Finished = slices.Clone(s.Waiting), slices.Clone(s.Finished)
	if s.Book != nil {
		c.Book = s.Book.Clone()
	}
	return c
}

// copy shares the nodes, devices and jobs; the caller clones what it must.
func (s *State) copy() *State {
	v := *s
	v.memo = nil
	v.Quotes = maps.Clone(s.Quotes)
	v.Servers = maps.Clone(s.Servers)
	v.Tokens = maps.Clone(s.Tokens)
	v.Bearers = maps.Clone(s.Bearers)
	return &v
}

// memo holds what can be derived from the state at any time.
type memo struct {
	nodes   atomic.Pointer[map[workload.NodeID]Node] // of the last view, if nothing changed since
	devices atomic.Pointer[map[workload.DeviceID]Device]
	jobs    atomic.Pointer[map[workload.JobID]Job]
	idle    map[idleKey]int64 // of the present policy
}

func shared[K comparable, V any](last *atomic.Pointer[map[K]V], now map[K]V) map[K]V {
	if m := last.Load(); m != nil {
		return *m
	}
	m := maps.Clone(now)
	last.Store(&m)
	return m
}

func (m *memo) touchDevices() { m.devices.Store(nil) }

func (s *State) putNode(n Node) {
	s.Nodes[n.ID] = n
	s.memo.nodes.Store(nil)
}

func (s *State) putJob(j Job) {
	s.Jobs[j.ID] = j
	s.memo.jobs.Store(nil)
}

func (s *State) dropJob(id workload.JobID) {
	delete(s.Jobs, id)
	s.memo.jobs.Store(nil)
}

type idleKey struct {
	model workload.ModelName
	site  workload.SiteName
	hall  workload.HallName
}

// idleWatts is what a device of ours draws at the meter while it does nothing.
func (s *State) idleWatts(d Device) int64 {
	k := idleKey{d.Model, d.Site, d.Hall}
	w, known := s.memo.idle[k]
	if !known {
		if s.memo.idle == nil {
			s.memo.idle = map[idleKey]int64{}
		}
		w = market.ParkedMoney(s.Policy.Profile(d.Model), market.PUE(s.Policy, d.Site, d.Hall), 0).Watts
		s.memo.idle[k] = w
	}
	return w
}
