package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// report takes one fault of a document at a path.
type report func(path, format string, args ...any)

// nameKey is the key that holds the document's name.
func (d *Document) nameKey() string {
	if d.Kind == KindDeviceProfile {
		return "model"
	}
	return "name"
}

// nameUnit says how the document's name is checked.
func (d *Document) nameUnit() string {
	switch d.Kind {
	case KindDeviceProfile:
		return "model"
	case KindCoin:
		return "coin"
	}
	return "name"
}

// check reports what is wrong with the document by itself.
func (d *Document) check(bad report) {
	switch {
	case d.Cluster != nil:
		if d.Name != "" && d.Name != ClusterName {
			bad("name", "the one Cluster must be named %q", ClusterName)
		}
	case d.Site != nil:
		d.Site.check(bad)
	case d.Tariff != nil:
		d.Tariff.check(bad)
	case d.Calendar != nil:
		d.Calendar.check(bad)
	case d.Target != nil:
		d.Target.check(bad)
	case d.Override != nil:
		d.Override.check(bad)
	case d.Coin != nil:
		d.Coin.check(bad)
	case d.Pool != nil:
		if w := d.Pool.Window; w != 0 && d.Pool.Scheme != SchemePPLNS {
			bad("window", "belongs to scheme PPLNS only")
		}
	case d.Miner != nil:
		d.Miner.check(bad)
	case d.DeviceProfile != nil:
		d.DeviceProfile.check(bad)
	case d.Feed != nil:
		d.Feed.check(bad)
	case d.RoleBinding != nil:
		checkScope("scope", d.RoleBinding.Scope, bad, "hall", "model", "node", "device")
	}
}

// checkScope reports parts of a scope that do not belong.
func checkScope(path string, s *Scope, bad report, without ...string) {
	if s == nil {
		return
	}
	if *s == (Scope{}) {
		bad(path, "narrows nothing: leave it out for the whole cluster")
	}
	parts := map[string]bool{"site": s.Site != "", "hall": s.Hall != "", "tenant": s.Tenant != "", "model": s.Model != "", "node": s.Node != "", "device": s.Device != ""}
	for _, w := range without {
		if parts[w] {
			bad(path+"."+w, "cannot narrow this kind of document")
		}
	}
	if s.Hall != "" && s.Site == "" {
		bad(path+".hall", "needs the site that the hall is in")
	}
}

func (s *Site) check(bad report) {
	p := s.Power
	if p.Cap == 0 && len(p.Halls) == 0 && p.Cooling == nil {
		bad("power", "needs a cap, cooling or halls")
	}
	checkCooling("power.cooling", p.Cooling, bad)
	halls := map[workload.HallName]bool{}
	for i, h := range p.Halls {
		at := fmt.Sprintf("power.halls[%d]", i)
		if halls[h.Name] {
			bad(at+".name", "a second hall named %q", h.Name)
		}
		halls[h.Name] = true
		if p.Cap > 0 && h.Cap > p.Cap {
			bad(at+".cap", "%s is above the site's cap %s", showWatts(h.Cap), showWatts(p.Cap))
		}
		checkCooling(at+".cooling", h.Cooling, bad)
		racks := map[workload.RackName]bool{}
		for j, r := range h.Racks {
			if racks[r.Name] {
				bad(fmt.Sprintf("%s.racks[%d].name", at, j), "a second rack named %q", r.Name)
			}
			racks[r.Name] = true
			if h.Cap > 0 && r.Cap > h.Cap {
				bad(fmt.Sprintf("%s.racks[%d].cap", at, j), "%s is above the hall's cap %s", showWatts(r.Cap), showWatts(h.Cap))
			}
		}
	}
	if q := s.EnergyQuota; q != nil && q.Amount == 0 {
		bad("energyQuota.amount", "is zero: leave the quota out, or park the site with an Override")
	}
}

func showWatts(w int64) string {
	return showScaled(w, []scale{{"GW", 9}, {"MW", 6}, {"kW", 3}, {"W", 0}})
}

func checkCooling(path string, c *Cooling, bad report) {
	switch {
	case c == nil:
	case (c.PUE != 0) == (len(c.Curve) > 0):
		bad(path, "needs either pue or curve")
	default:
		for i := 1; i < len(c.Curve); i++ {
			if c.Curve[i].Outdoor <= c.Curve[i-1].Outdoor {
				bad(fmt.Sprintf("%s.curve[%d].outdoor", path, i), "must be above the point before")
			}
		}
	}
}

func (t *Tariff) check(bad report) {
	if (t.Feed != "") == (len(t.Bands) > 0) {
		bad("", "needs either feed or bands")
	}
	same := func(path string, a Amount) {
		if a.Currency != "" && t.Currency != "" && a.Currency != t.Currency {
			bad(path, "is in %s but the tariff is in %s", a.Currency, t.Currency)
		}
	}
	for i, b := range t.Bands {
		same(fmt.Sprintf("bands[%d].price", i), b.Price)
		if i < len(t.Bands)-1 && b.Days == 0 && b.Hours == nil {
			bad(fmt.Sprintf("bands[%d]", i+1), "is never reached: the band before covers every hour")
		}
	}
	if n := len(t.Bands); n > 0 && !t.covered() {
		bad("bands", "leave hours of the week without a price: end with a band that has neither days nor hours")
	}
	for i, a := range t.Adders {
		same(fmt.Sprintf("adders[%d].price", i), a.Price)
	}
	if t.DemandCharge != nil {
		same("demandCharge.price", t.DemandCharge.Price)
	}
}

// covered reports whether every minute of the week is in some band.
func (t *Tariff) covered() bool {
	for day := range 7 {
		for minute := range 1440 {
			if t.bandAt(day, minute) == nil {
				return false
			}
		}
	}
	return true
}

func (c *Calendar) check(bad report) {
	if c.Territory != "" && c.Site != "" {
		bad("site", "cannot be given together with territory")
	}
	if (len(c.Forbids) > 0) == (c.Reduce != nil) {
		bad("", "needs either forbids or reduce")
	}
	if r := c.Reduce; r != nil && (r.To == nil) == (r.By == nil) {
		bad("reduce", "needs either to or by")
	}
	if c.From != "" && c.Until != "" && c.From > c.Until {
		bad("until", "%s is before from %s", c.Until, c.From)
	}
	if c.Strike != nil {
		if c.Strike.Low.Currency != c.Strike.High.Currency {
			bad("strike.high", "is in another currency than low")
		} else if c.Strike.Low.Micro > c.Strike.High.Micro {
			bad("strike.high", "is below low")
		}
	}
	if c.Reduce == nil {
		for _, p := range []struct {
			path string
			set  bool
		}{{"strike", c.Strike != nil}, {"credit", c.Credit != nil}} {
			if p.set {
				bad(p.path, "belongs to a promise to the grid: needs reduce")
			}
		}
	}
	if c.Exempt != nil && !c.Exempt.OwnIsolatedGeneration {
		bad("exempt", "exempts nobody: leave it out")
	}
}

func (t *Target) check(bad report) {
	checkScope("scope", t.Scope, bad, "node", "device")
	if t.Min == nil && t.Max == nil && len(t.Glide) == 0 {
		bad("", "needs min, max or glide")
	}
	if t.Min != nil && len(t.Glide) > 0 {
		bad("glide", "replaces min: give one of them, not both")
	}
	if t.Min != nil && t.Max != nil && *t.Min > *t.Max {
		bad("min", "%s is above max %s", showShare(*t.Min), showShare(*t.Max))
	}
	for i, g := range t.Glide {
		if i > 0 && g.Date <= t.Glide[i-1].Date {
			bad(fmt.Sprintf("glide[%d].date", i), "%s is not after %s, the date before", g.Date, t.Glide[i-1].Date)
		}
		if t.Max != nil && g.Min > *t.Max {
			bad(fmt.Sprintf("glide[%d].min", i), "%s is above max %s", showShare(g.Min), showShare(*t.Max))
		}
	}
	if t.From != "" && t.Until != "" && t.From > t.Until {
		bad("until", "%s is before from %s", t.Until, t.From)
	}
	if t.Tier > 100 {
		bad("tier", "must be at most 100")
	}
}

func showShare(p workload.PPM) string { return showDecimal(int64(p), 4) + "%" }

func (o *Override) check(bad report) {
	checkScope("scope", o.Scope, bad)
	n := 0
	for _, set := range []bool{o.Use != "", o.Power != nil, o.Freeze} {
		if set {
			n++
		}
	}
	if n != 1 {
		bad("", "needs exactly one of use, power and freeze")
	}
	if o.Power != nil && o.Scope != nil && (o.Scope.Model != "" || o.Scope.Tenant != "") {
		bad("scope", "power can be bounded for a site, hall, node or device only")
	}
	if o.Until != 0 && o.From >= o.Until {
		bad("until", "is not after from")
	}
}

func (c *Coin) check(bad report) {
	byPrice := c.Price != nil || c.Difficulty != nil || c.Block != nil
	switch {
	case c.Hashprice != nil && byPrice:
		bad("hashprice", "replaces price, difficulty and block: give one or the other")
	case c.Hashprice == nil && (c.Price == nil || c.Difficulty == nil):
		bad("", "needs feeds of price and difficulty, or one of hashprice")
	}
	if a := c.Address; a != nil {
		needs := slices.Contains(a.Formats, AddressBech32) || slices.Contains(a.Formats, AddressCashAddr)
		if needs && a.Prefix == "" {
			bad("address", "formats bech32 and cashaddr need a prefix, such as bc")
		}
		if strings.ToLower(a.Prefix) != a.Prefix {
			bad("address.prefix", "must be in lower case")
		}
	}
}

func (m *Miner) check(bad report) {
	if a := m.API; a != nil && (a.Kind != "") == (a.Hashrate != "") {
		bad("api", "needs either a kind, or JSON paths of which hashrate is one")
	}
	seen := map[string]bool{}
	for i, a := range m.Algorithms {
		if seen[a] {
			bad(fmt.Sprintf("algorithms[%d]", i), "%q is given twice", a)
		}
		seen[a] = true
	}
}

func (p *DeviceProfile) check(bad report) {
	if len(p.Modes) == 0 && p.Training == nil {
		bad("", "needs modes or training")
	}
	for i, m := range p.Modes {
		at := fmt.Sprintf("modes[%d]", i)
		if m.Hashrate == 0 {
			bad(at+".hashrate", "is zero")
		}
		if m.Power == 0 {
			bad(at+".power", "is zero")
		}
		if m.PowerCap != 0 && m.Power > m.PowerCap {
			bad(at+".power", "%s is above powerCap %s", showWatts(m.Power), showWatts(m.PowerCap))
		}
	}
	if p.Training != nil {
		for i, s := range p.Training.Steps {
			if s.Speed > workload.One {
				bad(fmt.Sprintf("training.powerSteps[%d].speed", i), "is above 1: a cap makes nothing faster")
			}
		}
	}
}

func (f *Feed) check(bad report) {
	for i, s := range f.Sources {
		n := 0
		for _, set := range []bool{s.URL != "", s.File != "", s.Value != ""} {
			if set {
				n++
			}
		}
		at := fmt.Sprintf("sources[%d]", i)
		switch {
		case n != 1:
			bad(at, "needs exactly one of url, file and value")
		case s.URL != "" && s.Path == "":
			bad(at, "needs the path of the number in the reply, such as $.usd")
		case s.URL == "" && s.Path != "":
			bad(at+".path", "belongs to a url")
		case s.File == "" && s.Column != "":
			bad(at+".column", "belongs to a file")
		}
		if s.Every != 0 && s.Every < time.Second {
			bad(at+".every", "is below 1s")
		}
	}
	if f.Gate.Agree > len(f.Sources) {
		bad("gate.agree", "asks %d sources to agree but there are %d", f.Gate.Agree, len(f.Sources))
	}
	low, okLow := parseNumber(f.Gate.Min)
	high, okHigh := parseNumber(f.Gate.Max)
	if okLow && okHigh && low.Cmp(high) > 0 {
		bad("gate.min", "%s is above max %s", f.Gate.Min, f.Gate.Max)
	}
}
