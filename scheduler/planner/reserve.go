package planner

import (
	"cmp"
	"slices"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

const (
	maxHolds = 8 // reservations at a time
	// maxLooks is how many waiting kinds are looked at for one.
	maxLooks = 64
	never    = workload.Instant(1) << 62
)

// hold is a reservation: the devices on which a waiting gang will start first.
// It lasts one round and is worked out anew in the next. Nothing stands idle for
// it: what is free of it goes on mining, and only weaker jobs keep off.
type hold struct {
	by      member
	class   int
	width   int
	perNode int
	nodes   []int // of a gang that asks for whole shares of nodes, ascending
	free    int   // of its devices that no job holds now
	kept    int   // free devices of the class that weaker jobs keep off
	at      workload.Instant
}

// known reports whether it can be told when the gang will start: every job that
// it waits for has a time limit.
func (h hold) known() bool { return h.at < never }

// addHolds reserves devices for the strongest waiting gangs that do not fit what
// is free: where all the running jobs in their way end first. Jobs whose turn it
// is hold theirs even where they are free, or wider gangs, which bring more
// together, could pass over them for ever. Only a gang that
// could start there if they had ended holds any: one that its bid, a quota or a
// cap keeps waiting keeps nobody else off.
func (b *Board) addHolds() {
	var r *releases
	for i := range b.kins {
		if i == maxLooks || len(b.holds) == maxHolds {
			return
		}
		k := &b.kins[i]
		width := narrowest(k.spec.Gang)
		if k.asked == 0 || width < 2 && !b.claims[k.members[0].id].first() || !b.withinLimit(k.key.tenant, width) {
			continue
		}
		if r == nil {
			r = b.releases()
		}
		if h, ok := b.holdFor(r, k, width); ok {
			r.take(h)
			h.kept = r.kept(h)
			b.holds = append(b.holds, h.hold)
		}
	}
}

// withinLimit reports whether a tenant may have so many devices beside those of
// its running jobs.
func (b *Board) withinLimit(name workload.TenantName, width int) bool {
	t := b.Policy.Tenant(name)
	if t == nil || t.Guarantee+t.Borrow == 0 {
		return true
	}
	used := 0
	for _, id := range b.active {
		if j, a, runs := b.attempt(id); runs && j.Spec.Tenant == name {
			used += len(a.Devices)
		}
	}
	return used+width <= t.Guarantee+t.Borrow
}

// releases says when each device of the inventory will be free of jobs.
type releases struct {
	b     *Board
	at    []workload.Instant // 0: now
	taken []bool             // by a reservation
	order [][]int            // by class: devices, the earliest free first
}

func (b *Board) releases() *releases {
	r := &releases{b: b, at: make([]workload.Instant, len(b.devices)), taken: make([]bool, len(b.devices)), order: make([][]int, len(b.classes))}
	for _, id := range b.active {
		j, a, runs := b.attempt(id)
		if _, ends := b.ends[id]; !runs || ends {
			continue
		}
		end := b.endOfRun(&j)
		for _, dev := range a.Devices {
			if i, inside := b.place[dev]; inside {
				r.at[i] = end
			}
		}
	}
	return r
}

// endOfRun is when a running job will have left its devices at the latest.
func (b *Board) endOfRun(j *state.Job) workload.Instant {
	if j.Spec.Limits.Time == 0 {
		return never
	}
	return b.Now + runLeft(j, b.Now) + workload.Instant(j.Spec.Checkpoint.Grace.Milliseconds())
}

func (r *releases) byRelease(ci int) []int {
	if r.order[ci] == nil {
		r.order[ci] = slices.Clone(r.b.classes[ci].devices)
		slices.SortStableFunc(r.order[ci], func(x, y int) int { return cmp.Compare(r.at[x], r.at[y]) })
	}
	return r.order[ci]
}

func (r *releases) take(h chosen) {
	for _, i := range h.devices {
		r.taken[i] = true
	}
}

// kept counts what a reservation keeps from others: of a gang that asks for
// shares of nodes all that is free there, or the share might be broken.
func (r *releases) kept(h chosen) int {
	n := h.free
	if h.perNode > 0 {
		n = 0
		for _, i := range r.b.classes[h.class].devices {
			if r.at[i] == 0 && contains(h.nodes, r.b.Inventory.Devices[i].Node) {
				n++
			}
		}
	}
	return n
}

// chosen is a reservation with its devices.
type chosen struct {
	hold
	devices []int
}

func (b *Board) holdFor(r *releases, k *kin, width int) (chosen, bool) {
	var best chosen
	found := false
	nodes := b.boundTo(k)
	m := k.members[0]
	own := b.claims[m.id]
	for ci := range b.classes {
		c := &b.classes[ci]
		if c.kind != workload.GPU || c.key.noTrain || len(c.devices) < width || !b.suits(k.spec, *c) {
			continue
		}
		money, ok := market.TrainingMoney(b.Policy.Profile(c.key.model), own.bid, c.pue, b.sites[c.site].micro)
		if !ok || money.Net() < b.others[ci] && m.level != guaranteed || !b.powers(ci, int64(width), money.Watts) {
			continue
		}
		h := chosen{hold: hold{by: m, class: ci, width: width, perNode: min(k.spec.Gang.PerNode, width)}}
		if !r.choose(&h, nodes) {
			continue
		}
		if h.free == width && !own.first() {
			return chosen{}, false // it can start now; the decision weighs it against the others
		}
		if !found || h.at < best.at || h.at == best.at && h.free > best.free {
			best, found = h, true
		}
	}
	return best, found
}

// boundTo lists the nodes a kind is bound to by its checkpoint; nil when any
// will do.
func (b *Board) boundTo(k *kin) []int {
	if k.key.bound == "" {
		return nil
	}
	local, _ := b.localTo(b.View.Jobs[k.members[0].id])
	return b.positions(local)
}

// powers reports whether the caps above a class could carry a gang if all else
// below them idled.
func (b *Board) powers(ci int, width, watts int64) bool {
	for z := b.classes[ci].key.zone; z != decide.None; z = b.Problem.Zones[z].Parent {
		if limit := b.Problem.Zones[z].CapW; limit >= 0 && b.idleBelow(z)+width*(watts-b.classes[ci].idle.Watts) > limit {
			return false
		}
	}
	return true
}

func (b *Board) idleBelow(zone int) int64 {
	if b.idle == nil {
		b.idle = make([]int64, len(b.Problem.Zones))
		for _, c := range b.classes {
			for z := c.key.zone; z != decide.None; z = b.Problem.Zones[z].Parent {
				b.idle[z] += int64(len(c.devices)) * c.idle.Watts
			}
		}
	}
	return b.idle[zone]
}

// choose picks a gang's devices: those that are free first, by whole shares of
// nodes where it asks for them.
func (r *releases) choose(h *chosen, nodes []int) bool {
	share := max(h.perNode, 1)
	byNode := map[int][]int{}
	for _, i := range r.byRelease(h.class) {
		n := r.b.Inventory.Devices[i].Node
		if r.taken[i] || nodes != nil && !contains(nodes, n) {
			continue
		}
		if h.perNode == 0 {
			h.add(r, i)
		} else if byNode[n] = append(byNode[n], i); len(byNode[n]) == share {
			// A share is complete when its last device is free, and shares
			// complete in that order: the first to do so are the earliest.
			for _, i := range byNode[n] {
				h.add(r, i)
			}
			h.nodes = append(h.nodes, n)
		}
		if len(h.devices) >= h.width {
			slices.Sort(h.nodes)
			return true
		}
	}
	return false
}

func (h *chosen) add(r *releases, i int) {
	h.devices = append(h.devices, i)
	h.at = max(h.at, r.at[i])
	if r.at[i] == 0 {
		h.free++
	}
}

func contains(sorted []int, n int) bool {
	_, ok := slices.BinarySearch(sorted, n)
	return ok
}

// holdOf is the reservation that a job holds.
func (b *Board) holdOf(id workload.JobID) (hold, bool) {
	for _, h := range b.holds {
		if h.by.id == id {
			return h, true
		}
	}
	return hold{}, false
}

// whyHeld says what a gang with a reservation waits for.
func (b *Board) whyHeld(h hold) workload.Reason {
	figures := []workload.Figure{workload.Count("needs", int64(h.width)), workload.Count("best place has", int64(h.free)), workload.Count("reserved", int64(h.free))}
	if h.known() {
		figures = append(figures, workload.When("starts by", h.at))
	}
	return workload.Why(workload.CodeNoFit, figures...)
}

// whyReserved says for whom devices are kept that a weaker job could have had.
func (b *Board) whyReserved(id workload.JobID) (workload.Reason, bool) {
	for _, h := range b.holds {
		if _, limited := b.admitted[admission{id, h.class}]; limited {
			figures := []workload.Figure{workload.Count("for job", int64(h.by.id)), workload.Count("gang", int64(h.width)), workload.Count("free of it", int64(h.free))}
			if h.known() {
				figures = append(figures, workload.When("starts by", h.at))
			}
			return workload.Why(workload.CodeReserved, figures...), true
		}
	}
	return workload.Reason{}, false
}
