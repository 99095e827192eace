package planner

import (
	"slices"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// admission is what the reservations leave of a class to one weaker job.
type admission struct {
	job   workload.JobID
	class int
}

// admit goes through the queue by strength and leaves to each job of a class
// with reservations what is free beyond them and beyond what jobs before it may
// take. A job that will certainly have ended when the gang can start may have
// everything.
func (b *Board) admit() {
	if len(b.holds) == 0 {
		return
	}
	b.admitted = map[admission]int{}
	free := b.freeDevices()
	for i := range b.kins {
		k := &b.kins[i]
		for _, m := range k.members[:k.asked] {
			b.admitOne(k, m, free)
		}
	}
}

func (b *Board) admitOne(k *kin, m member, free []int) {
	done := map[int]bool{}
	for _, h := range b.holds {
		if done[h.class] || stronger(h.by, m) >= 0 || !b.suits(k.spec, b.classes[h.class]) {
			continue
		}
		done[h.class] = true
		held, late := 0, false
		for _, other := range b.holds {
			if other.class == h.class && stronger(other.by, m) < 0 {
				held += other.kept
				late = late || !b.endsBefore(k.spec, m.id, other.at)
			}
		}
		if !late {
			continue
		}
		room := max(free[h.class]-held, 0)
		b.admitted[admission{m.id, h.class}] = room
		if width := narrowest(k.spec.Gang); width <= room {
			free[h.class] -= min(widest(k.spec.Gang), room)
		}
	}
}

// endsBefore reports whether a job that starts now has certainly ended by an
// instant.
func (b *Board) endsBefore(spec workload.Spec, id workload.JobID, at workload.Instant) bool {
	if spec.Limits.Time == 0 || at >= never {
		return false
	}
	j := b.View.Jobs[id]
	return b.endOfRun(&j)+workload.Instant((startMargin).Milliseconds()) <= at
}

// startMargin is what a start may take before a job's run time begins.
const startMargin = 2 * time.Minute

func widest(g workload.Gang) int {
	if g.Elastic != nil {
		return max(g.Elastic.Max, g.GPUs)
	}
	return g.GPUs
}

// freeDevices counts by class the devices that no job holds.
func (b *Board) freeDevices() []int {
	free := make([]int, len(b.classes))
	for i, c := range b.classes {
		free[i] = len(c.devices)
	}
	for _, id := range b.active {
		_, a, runs := b.attempt(id)
		if _, ends := b.ends[id]; !runs || ends {
			continue
		}
		for _, dev := range a.Devices {
			if i, inside := b.place[dev]; inside {
				free[b.Inventory.Devices[i].Class]--
			}
		}
	}
	return free
}

// admittedWidth is the width up to which a job may be offered a class; every width where
// nothing is reserved from it.
func (b *Board) admittedWidth(id workload.JobID, ci int) int {
	if room, limited := b.admitted[admission{id, ci}]; limited {
		return room
	}
	return workload.MaxGang
}

// keepOff tells Place the nodes that a job which may have the rest of a class
// must leave alone: those whose shares stronger gangs wait for.
func (b *Board) keepOff(pos int, id workload.JobID) {
	n := 0 // the reservations come by strength, so that those in its way are the first
	limited := false
	for i, h := range b.holds {
		if _, limits := b.admitted[admission{id, h.class}]; limits && h.perNode > 0 && stronger(h.by, b.memberOf(id)) < 0 {
			n, limited = i+1, true
		}
	}
	if !limited {
		return
	}
	if b.outsideOf == nil {
		b.outsideOf = make([][]int, len(b.holds)+1)
	}
	if b.outsideOf[n] == nil {
		off := map[int]bool{}
		for _, h := range b.holds[:n] {
			for _, node := range h.nodes {
				off[node] = true
			}
		}
		rest := make([]int, 0, len(b.nodes))
		for node := range b.nodes {
			if !off[node] {
				rest = append(rest, node)
			}
		}
		b.outsideOf[n] = rest
	}
	b.setLocal(pos, b.outsideOf[n])
}

func (b *Board) memberOf(id workload.JobID) member {
	k := &b.kins[b.kinAt[id]]
	return k.members[slices.IndexFunc(k.members[:k.asked], func(m member) bool { return m.id == id })]
}
