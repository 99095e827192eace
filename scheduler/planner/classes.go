package planner

import (
	"cmp"
	"slices"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// classKeys says of every device that does not stand aside by itself what it is
// interchangeable with.
func (b *Board) classKeys() map[workload.DeviceID]classKey {
	keys := make(map[workload.DeviceID]classKey, len(b.ids))
	for _, id := range b.ids {
		d := b.View.Devices[id]
		zone := b.zoneFor(d) // also of those aside: they draw power
		if b.aside(id) {
			continue
		}
		k := classKey{zone: zone, hall: d.Hall, model: d.Model, devices: market.DeviceClassOf(d.Device), memory: d.Memory,
			nodeSize: len(b.View.Nodes[d.Node].Devices)}
		k.noMine, k.noTrain, _ = b.restriction(d)
		keys[id] = k
	}
	return keys
}

// rack numbers the racks from 1, so that gangs over several nodes can stay in
// one; 0 is a device whose rack is not known.
func (b *Board) rack(d state.Device) int {
	if d.Rack == "" {
		return 0
	}
	k := zoneKey{site: d.Site, hall: d.Hall, rack: d.Rack}
	if b.rackAt[k] == 0 {
		if b.rackAt == nil {
			b.rackAt = map[zoneKey]int{}
		}
		b.rackAt[k] = len(b.rackAt) + 1
	}
	return b.rackAt[k]
}

func (b *Board) aside(id workload.DeviceID) bool {
	if _, fixed := b.fixed[id]; fixed {
		return true
	}
	_, forced := b.forced[id]
	return forced
}

// restriction reads the overrides that narrow a device's uses.
func (b *Board) restriction(d state.Device) (noMine, noTrain bool, by workload.Reason) {
	if d.Health == workload.OnProbation {
		noTrain, by = true, unhealthy(d)
	}
	for _, doc := range b.overrides {
		o := doc.Override
		if (o.Use == config.OverrideTrain || o.Use == config.OverrideMine) && inScope(o.Scope, d) {
			noMine = noMine || o.Use == config.OverrideTrain
			noTrain = noTrain || o.Use == config.OverrideMine
			by = workload.Why(workload.CodeOverride, workload.Name("override", doc.Name), workload.Name("because", o.Reason))
		}
	}
	return noMine, noTrain, by
}

func (b *Board) addClasses(keys map[workload.DeviceID]classKey) {
	byKey := map[classKey]int{}
	kinds := map[kindKey]bool{}
	for _, id := range b.ids {
		d := b.View.Devices[id]
		if b.aside(id) { // what stands aside draws power all the same
			b.deduct(b.zoneFor(d), b.draw(id))
			if k := (kindKey{d.Kind, d.Model, d.Memory, d.Site}); !kinds[k] {
				kinds[k] = true
				b.asideKind = append(b.asideKind, d)
			}
			continue
		}
		k := keys[id]
		i, ok := byKey[k]
		if !ok {
			i = len(b.classes)
			byKey[k] = i
			b.classes = append(b.classes, b.newClass(k, d))
		}
		b.classes[i].devices = append(b.classes[i].devices, len(b.devices))
		b.place[id] = len(b.devices)
		b.devices = append(b.devices, id)
		n, ok := b.nodeAt[d.Node]
		if !ok {
			n = len(b.nodes)
			b.nodeAt[d.Node] = n
			b.nodes = append(b.nodes, d.Node)
		}
		b.Inventory.Devices = append(b.Inventory.Devices, decide.Device{Class: i, Node: n, Rack: b.rack(d), Dwell: b.dwells(d)})
	}
	b.addQueue()
	b.liftDwell()
	for i, c := range b.classes {
		b.Problem.Classes = append(b.Problem.Classes, decide.Class{Zone: c.key.zone, NodeSize: int64(c.key.nodeSize),
			Devices: int64(len(c.devices)), IdleWatts: c.idle.Watts, Trainable: c.kind == workload.GPU && !c.key.noTrain, Nodes: b.shapes(i)})
	}
}

// kindKey is what a gang can ask for.
type kindKey struct {
	kind   workload.DeviceKind
	model  workload.ModelName
	memory int64
	site   workload.SiteName
}

func (b *Board) newClass(k classKey, d state.Device) class {
	site := b.sites[d.Site]
	pue := market.PUE(b.Policy, d.Site, d.Hall)
	c := class{key: k, site: d.Site, pue: pue, kind: d.Kind, banned: site.ban, priced: site.known,
		idle: market.ParkedMoney(b.Policy.Profile(d.Model), pue, site.micro)}
	_, _, c.by = b.restriction(d)
	if !k.noMine {
		c.options = market.Options(b.Policy, d.Model, k.devices)
	}
	return c
}

// dwells reports whether a device changed too recently to be moved by a price.
// A ban is no price.
func (b *Board) dwells(d state.Device) bool {
	return d.Assigned.Kind == workload.Mining && b.sites[d.Site].ban == "" &&
		b.Now-d.AssignedAt < workload.Instant(b.Cluster.MinDwell.Milliseconds())
}

// liftDwell frees the devices of every class that a newly queued job could run
// on: dwell keeps prices from moving a device to and fro, and is no reason to
// let a job wait. Once the job has been answered, it holds again, but for jobs
// that go before all bids.
func (b *Board) liftDwell() {
	b.lifted = make([]bool, len(b.classes))
	for _, k := range b.unanswered() {
		for ci, c := range b.classes {
			b.lifted[ci] = b.lifted[ci] || c.kind == workload.GPU && !c.key.noTrain && b.suits(k.spec, c)
		}
	}
	for i := range b.Inventory.Devices {
		if d := &b.Inventory.Devices[i]; b.lifted[d.Class] {
			d.Dwell = false
		}
	}
}

func (b *Board) shapes(i int) []decide.NodeShape {
	var out []decide.NodeShape
	at := map[int]int{}
	for _, dev := range b.classes[i].devices {
		d := b.Inventory.Devices[dev]
		j, ok := at[d.Node]
		if !ok {
			j = len(out)
			at[d.Node] = j
			out = append(out, decide.NodeShape{Node: d.Node})
		}
		out[j].Total++
		if !d.Dwell {
			out[j].Free++
		}
	}
	slices.SortFunc(out, func(a, b decide.NodeShape) int { return cmp.Compare(a.Node, b.Node) })
	return out
}
