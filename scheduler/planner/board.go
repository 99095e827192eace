// Package planner stands between names and numbers: it turns a View of the
// cluster into a decide.Problem, and what decide answers into a state.Plan, a
// forecast of a policy change, or an explanation. It is pure: the same view,
// instant and warm state give the same plan. It is a package of its own so that
// decide stays free of names, and because the leader's loop, the preview of a
// policy and the explanations all need it.
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

// Board is one round's question with the names behind its numbers.
type Board struct {
	View    *state.View
	Policy  *config.Set
	Cluster config.Cluster
	// Now is the market clock, Wall the real one.
	Now, Wall workload.Instant

	Problem   decide.Problem
	Inventory decide.Inventory

	zones   []zone
	zoneOf  map[zoneKey]int
	classes []class
	cells   []cell
	jobs    []workload.JobID
	jobAt   map[workload.JobID]int
	offers  []offer
	tenants []workload.TenantName
	coins   []workload.CoinName
	nodes   []workload.NodeID
	nodeAt  map[workload.NodeID]int
	devices []workload.DeviceID // of the inventory
	place   map[workload.DeviceID]int
	rows    []rowName
	// forced are devices a person ordered to park; fixed are left alone, with
	// why nothing may be decided for them.
	forced map[workload.DeviceID]workload.Reason
	fixed  map[workload.DeviceID]workload.Reason
	waits  map[workload.JobID]workload.Reason // jobs kept out of the problem
	sites  map[workload.SiteName]siteNow
}

type zoneKey struct {
	site workload.SiteName
	hall workload.HallName
	rack workload.RackName
}

type zone struct {
	key  zoneKey
	capW int64
}

// class is what makes devices interchangeable.
type classKey struct {
	zone     int
	hall     workload.HallName
	model    workload.ModelName
	devices  string // device class of the miners: sim, cuda, ...
	memory   int64
	nodeSize int
	noMine   bool // a person's override
	noTrain  bool
}

type class struct {
	key     classKey
	site    workload.SiteName
	pue     workload.PPM
	kind    workload.DeviceKind
	options []market.Option
	idle    market.Money
	devices []int // positions in Board.devices
	banned  string
	priced  bool // the energy price of its site is known
}

type cell struct {
	class  int
	option market.Option
	money  market.Money
}

type offer struct {
	job   int
	class int
	width int
	money market.Money // of one device
}

type rowName struct {
	kind   config.Kind
	name   string
	target *config.Target
}

type siteNow struct {
	micro int64
	known bool
	ban   string // calendar that forbids mining now
	cap   int64  // -1 = none
	by    string // what set the cap: "", calendar or override
}

// Compose builds the question. policy is usually the view's own; a preview
// passes another.
func Compose(v *state.View, policy *config.Set, now, wall workload.Instant) *Board {
	b := &Board{View: v, Policy: policy, Cluster: policy.Cluster(), Now: now, Wall: wall,
		zoneOf: map[zoneKey]int{}, jobAt: map[workload.JobID]int{}, nodeAt: map[workload.NodeID]int{},
		place: map[workload.DeviceID]int{}, forced: map[workload.DeviceID]workload.Reason{},
		fixed: map[workload.DeviceID]workload.Reason{}, waits: map[workload.JobID]workload.Reason{}, sites: map[workload.SiteName]siteNow{}}
	// 1. What each site allows now.
	b.addSites()
	// 2. Devices that stand outside the decision.
	b.setAside()
	// 3. Zones, classes and the concrete inventory.
	b.addClasses()
	// 4. What each class could mine.
	b.addMining()
	// 5. Jobs and where they could run.
	b.addJobs()
	// 6. Rules that couple them.
	b.addRows()
	b.Problem.Policy = decide.Policy{HorizonMinutes: max(int64(b.Cluster.Horizon.Minutes()), 1), HoldGapPPM: holdGapPPM}
	b.Problem.Tenants, b.Problem.Coins = len(b.tenants), len(b.coins)
	return b
}

// holdGapPPM is the limit of the hold test: a standing plan within 0.5 % of the
// proven best is kept.
const holdGapPPM = 5_000

func (b *Board) addSites() {
	names := map[workload.SiteName]bool{}
	for d := range b.Policy.OfKind(config.KindSite) {
		names[workload.SiteName(d.Name)] = true
	}
	for _, n := range b.View.Nodes {
		names[n.Site] = true
	}
	for name := range names { // each site stands alone: order does not matter
		b.sites[name] = b.siteNow(name)
	}
}

func (b *Board) siteNow(name workload.SiteName) siteNow {
	s := siteNow{cap: -1}
	s.micro, s.known = b.View.EnergyPrice(name)
	doc := b.Policy.Site(name)
	if doc == nil {
		return s
	}
	if doc.Power.Cap > 0 {
		s.cap = doc.Power.Cap
	}
	lower := func(to int64, by string) {
		if s.cap < 0 || to < s.cap {
			s.cap, s.by = to, by
		}
	}
	for d := range b.Policy.OfKind(config.KindCalendar) {
		c := d.Calendar
		if !c.Applies(name, doc) || !c.ActiveAt(b.Now, doc.Location()) {
			continue
		}
		if c.Forbidding(config.ActivityMine) && s.ban == "" {
			s.ban = d.Name
		}
		if r := c.Reduce; r != nil {
			if r.To != nil {
				lower(*r.To, d.Name)
			}
			if r.By != nil && doc.Power.Cap > 0 {
				lower(max(doc.Power.Cap-*r.By, 0), d.Name)
			}
		}
	}
	for d := range b.Policy.OfKind(config.KindOverride) {
		o := d.Override
		if o.Power != nil && o.ActiveAt(b.Now) && (o.Scope == nil || o.Scope.Site == "" || o.Scope.Site == name) &&
			(o.Scope == nil || o.Scope.Hall == "") {
			lower(o.Power.To, d.Name)
		}
	}
	return s
}

// setAside fixes what the decision must leave alone, and forces what a person
// ordered parked.
func (b *Board) setAside() {
	for _, id := range b.View.DeviceIDs() {
		d := b.View.Devices[id]
		switch {
		case d.Use.Kind == workload.Unknown || d.Use.Kind == workload.Offline:
			b.fixed[id] = workload.Why(workload.CodeSilent)
		case !d.Usable():
			b.fixed[id] = workload.Why(workload.CodeUnhealthy, workload.Name("note", d.Note))
		case b.Policy.Profile(d.Model) == nil:
			b.fixed[id] = workload.Why(workload.CodeNoProfile, workload.Name("model", string(d.Model)))
		}
		for doc := range b.Policy.OfKind(config.KindOverride) {
			o := doc.Override
			if !o.ActiveAt(b.Now) || !inScope(o.Scope, d) {
				continue
			}
			why := workload.Why(workload.CodeOverride, workload.Name("override", doc.Name), workload.Name("because", o.Reason))
			if o.Freeze {
				b.fixed[id] = why
			} else if o.Use == config.OverridePark {
				b.forced[id] = why
			}
		}
	}
	// An attempt with a seat that cannot be decided on is left alone as a whole.
	for _, id := range b.View.JobIDs() {
		a, ok := b.View.Jobs[id].Current()
		if !ok || a.Phase.Final() || a.Phase == workload.Stopping {
			continue
		}
		for _, dev := range a.Devices {
			if why, ok := b.fixed[dev]; ok {
				for _, other := range a.Devices {
					if _, also := b.fixed[other]; !also {
						b.fixed[other] = why
					}
				}
				break
			}
		}
	}
}

func inScope(s *config.Scope, d state.Device) bool {
	return s == nil || (s.Site == "" || s.Site == d.Site) && (s.Hall == "" || s.Hall == d.Hall) &&
		(s.Model == "" || s.Model == d.Model) && (s.Node == "" || s.Node == d.Node) && (s.Device == "" || s.Device == d.ID) && s.Tenant == ""
}

// restriction reads the overrides that narrow a device's uses.
func (b *Board) restriction(d state.Device) (noMine, noTrain bool) {
	for doc := range b.Policy.OfKind(config.KindOverride) {
		o := doc.Override
		if o.Use != "" && o.ActiveAt(b.Now) && inScope(o.Scope, d) {
			noMine = noMine || o.Use == config.OverrideTrain
			noTrain = noTrain || o.Use == config.OverrideMine
		}
	}
	return noMine, noTrain
}

func (b *Board) zone(k zoneKey, parent int, capW int64) int {
	if i, ok := b.zoneOf[k]; ok {
		return i
	}
	i := len(b.zones)
	b.zoneOf[k] = i
	b.zones = append(b.zones, zone{key: k, capW: capW})
	micro := b.sites[k.site].micro
	b.Problem.Zones = append(b.Problem.Zones, decide.Zone{Parent: parent, CapW: capW, EnergyMicroPerKWh: micro})
	return i
}

// zoneFor returns the smallest zone with a rule of its own that a device
// stands in.
func (b *Board) zoneFor(d state.Device) int {
	z := b.zone(zoneKey{site: d.Site}, decide.None, b.sites[d.Site].cap)
	site := b.Policy.Site(d.Site)
	if site == nil {
		return z
	}
	hall := site.Hall(d.Hall)
	if hall == nil {
		return z
	}
	z = b.zone(zoneKey{site: d.Site, hall: d.Hall}, z, orNone(b.hallCap(d.Site, hall)))
	for _, r := range hall.Racks {
		if r.Name == d.Rack {
			return b.zone(zoneKey{d.Site, d.Hall, d.Rack}, z, orNone(r.Cap))
		}
	}
	return z
}

func (b *Board) hallCap(site workload.SiteName, hall *config.Hall) int64 {
	limit := hall.Cap
	for d := range b.Policy.OfKind(config.KindOverride) {
		o := d.Override
		if o.Power != nil && o.ActiveAt(b.Now) && o.Scope != nil && o.Scope.Hall == hall.Name && (o.Scope.Site == "" || o.Scope.Site == site) &&
			(limit == 0 || o.Power.To < limit) {
			limit = max(o.Power.To, 1)
		}
	}
	return limit
}

func orNone(capW int64) int64 {
	if capW <= 0 {
		return -1
	}
	return capW
}

func (b *Board) addClasses() {
	nodeSize := map[workload.NodeID]int{}
	for _, d := range b.View.Devices {
		nodeSize[d.Node]++
	}
	byKey := map[classKey]int{}
	var aside []workload.DeviceID
	for _, id := range b.View.DeviceIDs() {
		d := b.View.Devices[id]
		zone := b.zoneFor(d)
		_, fixed := b.fixed[id]
		_, forced := b.forced[id]
		if fixed || forced {
			aside = append(aside, id)
			continue
		}
		noMine, noTrain := b.restriction(d)
		k := classKey{zone: zone, hall: d.Hall, model: d.Model, devices: market.DeviceClassOf(d.Device), memory: d.Memory,
			nodeSize: nodeSize[d.Node], noMine: noMine, noTrain: noTrain}
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
		b.Inventory.Devices = append(b.Inventory.Devices, decide.Device{Class: i, Node: n, Dwell: b.dwells(d)})
	}
	for i, c := range b.classes {
		b.Problem.Classes = append(b.Problem.Classes, decide.Class{Zone: c.key.zone, NodeSize: int64(c.key.nodeSize),
			Devices: int64(len(c.devices)), IdleWatts: c.idle.Watts, Trainable: c.kind == workload.GPU && !c.key.noTrain, Nodes: b.shapes(i)})
	}
	// What stands aside draws power all the same.
	for _, id := range aside {
		b.deduct(b.zoneFor(b.View.Devices[id]), b.draw(id))
	}
}

func (b *Board) newClass(k classKey, d state.Device) class {
	site := b.sites[d.Site]
	pue := market.PUE(b.Policy, d.Site, d.Hall)
	c := class{key: k, site: d.Site, pue: pue, kind: d.Kind, banned: site.ban, priced: site.known,
		idle: market.ParkedMoney(b.Policy.Profile(d.Model), pue, site.micro)}
	if !k.noMine {
		c.options = market.Options(b.Policy, d.Model, k.devices)
	}
	return c
}

// dwells reports whether a device changed too recently to be moved by a price.
func (b *Board) dwells(d state.Device) bool {
	return d.Assigned.Kind == workload.Mining && b.Now-d.AssignedAt < workload.Instant(b.Cluster.MinDwell.Milliseconds())
}

// draw is what a device outside the decision takes from its zone.
func (b *Board) draw(id workload.DeviceID) int64 {
	d := b.View.Devices[id]
	if _, forced := b.forced[id]; !forced && (d.Assigned.Kind == workload.Mining || d.Assigned.Kind == workload.Training) {
		return d.Work.Watts
	}
	if d.Use.Kind == workload.Offline {
		return 0
	}
	return market.ParkedMoney(b.Policy.Profile(d.Model), market.PUE(b.Policy, d.Site, d.Hall), 0).Watts
}

func (b *Board) deduct(zone int, watts int64) {
	for z := zone; z != decide.None; z = b.Problem.Zones[z].Parent {
		if limit := &b.Problem.Zones[z].CapW; *limit >= 0 {
			*limit = max(*limit-watts, 0)
		}
	}
}

func (b *Board) shapes(i int) []decide.NodeShape {
	at := map[int]int{}
	var out []decide.NodeShape
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
