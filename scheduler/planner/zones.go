package planner

import (
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

func (b *Board) addOverrides() {
	for d := range b.Policy.OfKind(config.KindOverride) {
		if d.Override.ActiveAt(b.Now) {
			b.overrides = append(b.overrides, d)
		}
	}
}

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

// maxEnergyMicro is the energy price, per kWh and of either sign, beyond which
// it is not believed: it would leave the figures that a decision can count.
const maxEnergyMicro = 10_000_000_000

func (b *Board) siteNow(name workload.SiteName) siteNow {
	s := siteNow{cap: -1}
	s.micro, s.known = b.View.EnergyPrice(name)
	if s.micro > maxEnergyMicro || s.micro < -maxEnergyMicro {
		s.micro, s.known = 0, false
	}
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
		if !c.Applies(name, doc) {
			continue
		}
		active := c.ActiveAt(b.Now, doc.Location())
		if active && c.Forbidding(config.ActivityMine) && s.ban == "" {
			s.ban = d.Name
		}
		if w := c.Window; !active && w != nil && w.Ramp > 0 { // the draw has to be down when the window opens
			active = c.ActiveAt(b.Now.Add(w.Ramp), doc.Location())
		}
		if r := c.Reduce; active && r != nil && mayCall(c.Strike, s) {
			if r.To != nil {
				lower(*r.To, d.Name)
			}
			if r.By != nil && doc.Power.Cap > 0 {
				lower(max(doc.Power.Cap-*r.By, 0), d.Name)
			}
		}
	}
	for _, d := range b.overrides {
		if o := d.Override; o.Power != nil && levelOf(o.Scope) == ofSite && (o.Scope == nil || o.Scope.Site == "" || o.Scope.Site == name) {
			lower(o.Power.To, d.Name)
		}
	}
	return s
}

// mayCall tells whether the grid may call on a promise at the energy price of
// the site now. Where no price is known the promise holds.
func mayCall(strike *config.Strike, s siteNow) bool {
	return strike == nil || !s.known || s.micro >= strike.Low.Micro && s.micro <= strike.High.Micro
}

// level is how far down the tree of power an override's scope reaches.
type level int

const (
	ofSite level = iota
	ofHall
	ofNode
	ofDevice
)

func levelOf(s *config.Scope) level {
	switch {
	case s == nil:
		return ofSite
	case s.Device != "":
		return ofDevice
	case s.Node != "":
		return ofNode
	case s.Hall != "":
		return ofHall
	}
	return ofSite
}

func inScope(s *config.Scope, d state.Device) bool {
	return s == nil || (s.Site == "" || s.Site == d.Site) && (s.Hall == "" || s.Hall == d.Hall) &&
		(s.Model == "" || s.Model == d.Model) && (s.Node == "" || s.Node == d.Node) && (s.Device == "" || s.Device == d.ID) && s.Tenant == ""
}

func (b *Board) zone(k zoneKey, parent int, capW int64) int {
	if i, ok := b.zoneOf[k]; ok {
		return i
	}
	i := len(b.zones)
	b.zoneOf[k] = i
	b.zones = append(b.zones, zone{key: k, capW: capW})
	b.Problem.Zones = append(b.Problem.Zones, decide.Zone{Parent: parent, CapW: capW, EnergyMicroPerKWh: b.sites[k.site].micro})
	return i
}

// zoneFor returns the smallest zone with a rule of its own that a device
// stands in.
func (b *Board) zoneFor(d state.Device) int {
	k := zoneKey{site: d.Site}
	z := b.zone(k, decide.None, b.sites[d.Site].cap)
	if site := b.Policy.Site(d.Site); site != nil {
		if hall := site.Hall(d.Hall); hall != nil {
			k.hall = d.Hall
			z = b.zone(k, z, b.lowest(orNone(hall.Cap), ofHall, d))
			for _, r := range hall.Racks {
				if r.Name == d.Rack && r.Cap > 0 {
					k.rack = d.Rack
					z = b.zone(k, z, r.Cap)
				}
			}
		}
	}
	if len(b.overrides) == 0 {
		return z
	}
	if limit := b.lowest(decide.None, ofNode, d); limit >= 0 {
		k.node = d.Node
		z = b.zone(k, z, limit)
	}
	if limit := b.lowest(decide.None, ofDevice, d); limit >= 0 {
		k.device = d.ID
		z = b.zone(k, z, limit)
	}
	return z
}

// lowest is the lower one of a cap (negative: none) and what overrides at a
// level of the tree set for it.
func (b *Board) lowest(limit int64, at level, d state.Device) int64 {
	for _, doc := range b.overrides {
		o := doc.Override
		if o.Power != nil && levelOf(o.Scope) == at && inScope(o.Scope, d) && (limit < 0 || o.Power.To < limit) {
			limit = o.Power.To
		}
	}
	return limit
}

func orNone(capW int64) int64 {
	if capW <= 0 {
		return decide.None
	}
	return capW
}

// deduct takes a draw that is not decided on out of the caps above it.
func (b *Board) deduct(zone int, watts int64) {
	for z := zone; z != decide.None; z = b.Problem.Zones[z].Parent {
		if limit := &b.Problem.Zones[z].CapW; *limit >= 0 {
			*limit = max(*limit-watts, 0)
		}
	}
}
