// Package ledger accounts for every device at every moment of market time:
// what it did, what it drew, what that earned and cost, and why. It is pure and
// counts in integers.
//
// Two things are kept apart. An Interval is a span in which a device's use,
// power and reason did not change; intervals of a device touch, so that their
// lengths add up to exactly the market time since it joined. Prices are step
// functions of their own: an interval is valued by the integral of the price
// over it, so a price that changes every second splits nothing.
//
// The second consumer, beside the replicated state that feeds it, is the
// recomputation from history, which must arrive at the same book.
package ledger

import (
	"cmp"
	"maps"
	"slices"

	"github.com/sluice-project/sluice/workload"
)

// KeepClosed is how much market time of closed intervals the book keeps for
// pages; hours are kept for good, and everything can be recomputed.
const KeepClosed = 25 * workload.HourMillis

// keepPerDevice bounds closed intervals of one device; older ones live on in
// the hours and in the history.
const keepPerDevice = 256

// Interval is a span of one device's time. To is 0 while it is open.
type Interval struct {
	From workload.Instant `json:"from"`
	To   workload.Instant `json:"to,omitempty"`
	Doing
	Booked
	// The marks are the price integrals up to which Booked counts.
	MarkAt     workload.Instant `json:"mark_at,omitempty"`
	MarkEnergy int64            `json:"mark_energy,omitempty"`
	MarkYield  int64            `json:"mark_yield,omitempty"`
}

// Doing is what splits intervals.
type Doing struct {
	Site   workload.SiteName   `json:"site,omitempty"`
	Use    workload.Use        `json:"use"`
	Watts  int64               `json:"watts"`            // at the meter
	Hash   int64               `json:"hash,omitempty"`   // milli-hashes/s after fees
	Coin   workload.CoinName   `json:"coin,omitempty"`   // whose yield Hash earns
	Rate   workload.Rate       `json:"rate,omitempty"`   // earned by training
	Tenant workload.TenantName `json:"tenant,omitempty"` // who pays Rate
	Reason workload.Reason     `json:"reason"`
	Plan   uint64              `json:"plan,omitempty"` // log index of the plan that decided
	Sim    bool                `json:"sim,omitempty"`
}

// same reports whether nothing that splits an interval differs. Figures inside
// a reason do not split: they change with every price.
func (d Doing) same(o Doing) bool {
	return d.Site == o.Site && d.Use == o.Use && d.Watts == o.Watts && d.Hash == o.Hash && d.Coin == o.Coin &&
		d.Rate == o.Rate && d.Tenant == o.Tenant && d.Reason.Code == o.Reason.Code && d.Sim == o.Sim
}

// Booked is what time came to.
type Booked struct {
	Revenue    workload.Money `json:"revenue"`
	Energy     workload.Money `json:"energy"`      // cost; negative when we were paid to draw
	WattMillis int64          `json:"watt_millis"` // energy in watt-milliseconds
	Unpriced   int64          `json:"unpriced,omitempty"`
}

// Net is revenue less energy.
func (b Booked) Net() workload.Money { return b.Revenue - b.Energy }

func (b *Booked) add(o Booked) {
	b.Revenue += o.Revenue
	b.Energy += o.Energy
	b.WattMillis += o.WattMillis
	b.Unpriced += o.Unpriced
}

// Line is one hour's total for one use at one site.
type Line struct {
	Site   workload.SiteName   `json:"site,omitempty"`
	Use    workload.UseKind    `json:"use"`
	Coin   workload.CoinName   `json:"coin,omitempty"`
	Tenant workload.TenantName `json:"tenant,omitempty"`
	Sim    bool                `json:"sim,omitempty"`
	Millis int64               `json:"millis"` // device-milliseconds
	Booked
}

func (l Line) compare(o Line) int {
	return cmp.Or(cmp.Compare(l.Site, o.Site), cmp.Compare(l.Use, o.Use), cmp.Compare(l.Coin, o.Coin),
		cmp.Compare(l.Tenant, o.Tenant), compareBool(l.Sim, o.Sim))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// Hour is one market hour. AllMining and AllParked are what the fleet would
// have netted under the simpler rules; they are comparisons, never booked.
type Hour struct {
	At        workload.Instant `json:"at"`
	Millis    int64            `json:"millis"` // elapsed
	Lines     []Line           `json:"lines"`
	AllMining workload.Money   `json:"all_mining"`
	AllParked workload.Money   `json:"all_parked"`
}

// Total adds the lines up.
func (h Hour) Total() Booked {
	var b Booked
	for _, l := range h.Lines {
		b.add(l.Booked)
	}
	return b
}

// Step is an energy price from an instant on, in micro-units per kWh. Known is
// false where no price is known.
type Step struct {
	At          workload.Instant `json:"at"`
	MicroPerKWh int64            `json:"micro_per_kwh"`
	Known       bool             `json:"known"`
}

// Energy is one site's price: now, its integral since the hour began, the
// steps to come, and those of the last day.
type Energy struct {
	Now      Step   `json:"now"`
	Integral int64  `json:"integral"` // micro x ms / kWh
	Ahead    []Step `json:"ahead,omitempty"`
	Past     []Step `json:"past,omitempty"`
}

// Yield is one coin's earning power.
type Yield struct {
	Now      workload.Hashprice `json:"now"`
	Known    bool               `json:"known"`
	Integral int64              `json:"integral"` // micro x ms / h for 10^Scale H/s
}

// Baseline is what simpler rules would net now, for the whole fleet.
type Baseline struct {
	AllMining workload.Rate `json:"all_mining"`
	AllParked workload.Rate `json:"all_parked"`
}

// Book is the account of a fleet. The zero value is not ready: use New.
type Book struct {
	At      workload.Instant                       `json:"at"`
	Energy  map[workload.SiteName]Energy           `json:"energy"`
	Yields  map[workload.CoinName]Yield            `json:"yields"`
	Open    map[workload.DeviceID]Interval         `json:"open"`
	Closed  map[workload.DeviceID][]Interval       `json:"closed"`
	Hours   []Hour                                 `json:"hours"`
	Base    Baseline                               `json:"base"`
	Joined  map[workload.DeviceID]workload.Instant `json:"joined"`  // start of the device's first interval
	Elapsed map[workload.DeviceID]int64            `json:"elapsed"` // ms of closed intervals since then
}

// New returns an empty book that starts at an instant.
func New(at workload.Instant) *Book {
	return &Book{At: at, Energy: map[workload.SiteName]Energy{}, Yields: map[workload.CoinName]Yield{},
		Open: map[workload.DeviceID]Interval{}, Closed: map[workload.DeviceID][]Interval{},
		Joined: map[workload.DeviceID]workload.Instant{}, Elapsed: map[workload.DeviceID]int64{}}
}

// Clone copies the book so that the copy does not see later changes. The lines
// of the two newest hours are the only values ever edited in place.
func (b *Book) Clone() *Book {
	c := *b
	c.Energy, c.Yields, c.Open, c.Closed = maps.Clone(b.Energy), maps.Clone(b.Yields), maps.Clone(b.Open), maps.Clone(b.Closed)
	c.Joined, c.Elapsed = maps.Clone(b.Joined), maps.Clone(b.Elapsed)
	c.Hours = slices.Clone(b.Hours)
	for i := max(len(c.Hours)-2, 0); i < len(c.Hours); i++ {
		c.Hours[i].Lines = slices.Clone(c.Hours[i].Lines)
	}
	return &c
}

// hourOf returns the start of an instant's hour, also before 1970.
func hourOf(at workload.Instant) workload.Instant {
	r := int64(at) % workload.HourMillis
	if r < 0 {
		r += workload.HourMillis
	}
	return at - workload.Instant(r)
}

// SetEnergy replaces a site's price from the first step on. Steps ascend by
// instant; those before the book's time count from now.
func (b *Book) SetEnergy(site workload.SiteName, steps []Step) {
	e := b.Energy[site]
	e.Ahead = nil
	for _, s := range steps {
		if s.At <= b.At {
			if s.MicroPerKWh != e.Now.MicroPerKWh || s.Known != e.Now.Known {
				s.At = b.At
				e.Now = s
				e.Past = append(slices.Clone(e.Past), s)
			}
			continue
		}
		e.Ahead = append(e.Ahead, s)
	}
	b.Energy[site] = e
}

// SetYield sets a coin's earning power from now on. The first scale seen stays,
// so that an integral keeps one unit; a price that needs a finer one loses
// digits but never magnitude.
func (b *Book) SetYield(coin workload.CoinName, price workload.Hashprice, known bool) {
	y, seen := b.Yields[coin]
	if seen && (y.Now.MicroPerHour != 0 || y.Integral != 0) {
		price = rescale(price, y.Now.Scale)
	}
	y.Now, y.Known = price, known
	b.Yields[coin] = y
}

func rescale(p workload.Hashprice, scale uint8) workload.Hashprice {
	for ; p.Scale < scale; p.Scale++ {
		p.MicroPerHour = workload.MulDiv(p.MicroPerHour, 10, 1, workload.Down)
	}
	for ; p.Scale > scale; p.Scale-- {
		p.MicroPerHour /= 10
	}
	return p
}

// Advance moves the book's time, taking price steps and hours as they come. An
// instant in the past changes nothing.
func (b *Book) Advance(to workload.Instant) {
	for b.At < to {
		next := min(to, hourOf(b.At)+workload.HourMillis)
		for _, e := range b.Energy {
			if len(e.Ahead) > 0 {
				next = min(next, e.Ahead[0].At)
			}
		}
		b.integrate(next)
		if hourOf(next) == next {
			b.closeHour()
		}
	}
}

// integrate moves time to an instant before which no price changes and no hour
// ends. Map order does not matter: every site and coin stands alone.
func (b *Book) integrate(to workload.Instant) {
	span := int64(to - b.At)
	hour := b.hour()
	hour.Millis += span
	hour.AllMining += b.Base.AllMining.Over(span, workload.Down)
	hour.AllParked += b.Base.AllParked.Over(span, workload.Down)
	for site, e := range b.Energy {
		e.Integral += e.Now.MicroPerKWh * span
		for len(e.Ahead) > 0 && e.Ahead[0].At <= to {
			e.Now, e.Ahead = e.Ahead[0], e.Ahead[1:]
			e.Past = append(slices.Clone(e.Past), e.Now)
		}
		for len(e.Past) > 1 && e.Past[1].At <= to-KeepClosed {
			e.Past = e.Past[1:]
		}
		b.Energy[site] = e
	}
	for coin, y := range b.Yields {
		y.Integral += y.Now.MicroPerHour * span
		b.Yields[coin] = y
	}
	b.At = to
}

// closeHour books every open interval up to now and starts the integrals anew,
// which keeps them small.
func (b *Book) closeHour() {
	for _, id := range b.openIDs() {
		iv := b.Open[id]
		b.book(&iv)
		iv.MarkEnergy, iv.MarkYield = 0, 0
		b.Open[id] = iv
	}
	for site, e := range b.Energy {
		e.Integral = 0
		b.Energy[site] = e
	}
	for coin, y := range b.Yields {
		y.Integral = 0
		b.Yields[coin] = y
	}
}

func (b *Book) openIDs() []workload.DeviceID {
	ids := make([]workload.DeviceID, 0, len(b.Open))
	for id := range b.Open {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// hour returns the hour that the book's time lies in; time at an exact hour
// belongs to the one that begins.
func (b *Book) hour() *Hour {
	at := hourOf(b.At)
	if n := len(b.Hours); n == 0 || b.Hours[n-1].At < at {
		b.Hours = append(b.Hours, Hour{At: at})
	}
	return &b.Hours[len(b.Hours)-1]
}

// book values the time since the interval's mark and enters it. The hour is
// that of the mark: closeHour sees to it that a mark never lies an hour back.
func (b *Book) book(iv *Interval) {
	span := int64(b.At - iv.MarkAt)
	if span <= 0 {
		return
	}
	got := b.value(*iv)
	iv.Booked.add(got)
	at := hourOf(iv.MarkAt)
	i, ok := slices.BinarySearchFunc(b.Hours, at, func(h Hour, at workload.Instant) int { return cmp.Compare(h.At, at) })
	if !ok { // the hour passed before the device joined the book's time
		b.Hours = slices.Insert(b.Hours, i, Hour{At: at})
	}
	line := Line{Site: iv.Site, Use: iv.Use.Kind, Coin: iv.Coin, Tenant: iv.Tenant, Sim: iv.Sim}
	h := &b.Hours[i]
	j, ok := slices.BinarySearchFunc(h.Lines, line, Line.compare)
	if !ok {
		h.Lines = slices.Insert(slices.Clone(h.Lines), j, line)
	}
	h.Lines[j].Millis += span
	h.Lines[j].Booked.add(got)
	iv.MarkAt = b.At
	iv.MarkEnergy = b.Energy[iv.Site].Integral
	iv.MarkYield = b.Yields[iv.Coin].Integral
}

// value is what the time since the mark came to. What we pay is rounded up,
// what we earn down.
func (b *Book) value(iv Interval) Booked {
	span := int64(b.At - iv.MarkAt)
	e, y := b.Energy[iv.Site], b.Yields[iv.Coin]
	got := Booked{WattMillis: iv.Watts * span}
	// watts x micro x ms / kWh: 1000 W in a kW and 3.6e6 ms in an hour.
	got.Energy = workload.Money(workload.MulDiv(iv.Watts, e.Integral-iv.MarkEnergy, 1000*workload.HourMillis, workload.Up))
	if iv.Hash > 0 {
		earned := workload.Hashprice{MicroPerHour: y.Integral - iv.MarkYield, Scale: y.Now.Scale}.Gross(iv.Hash)
		got.Revenue += workload.Money(workload.MulDiv(int64(earned), 1, workload.HourMillis, workload.Down))
	}
	got.Revenue += iv.Rate.Over(span, workload.Down)
	if !e.Now.Known && iv.Watts > 0 || iv.Hash > 0 && !y.Known {
		got.Unpriced = span
	}
	return got
}

// Set says what a device does from now on. An unchanged Doing changes nothing
// but the figures of its reason.
func (b *Book) Set(id workload.DeviceID, do Doing) {
	iv, open := b.Open[id]
	if open && iv.Doing.same(do) {
		iv.Reason, iv.Plan = do.Reason, do.Plan
		b.Open[id] = iv
		return
	}
	if open {
		b.close(id, iv)
	} else if _, seen := b.Joined[id]; !seen {
		b.Joined[id] = b.At
	}
	b.Open[id] = Interval{From: b.At, Doing: do, MarkAt: b.At, MarkEnergy: b.Energy[do.Site].Integral, MarkYield: b.Yields[do.Coin].Integral}
}

func (b *Book) close(id workload.DeviceID, iv Interval) {
	b.book(&iv)
	iv.To = b.At
	b.Elapsed[id] += int64(iv.To - iv.From)
	if iv.To == iv.From {
		return // nothing took place in it
	}
	kept := b.Closed[id]
	for len(kept) > 0 && (kept[0].To <= b.At-KeepClosed || len(kept) >= keepPerDevice) {
		kept = kept[1:]
	}
	b.Closed[id] = append(slices.Clone(kept), iv)
}

// Peek returns an open interval valued up to now, without booking it.
func (b *Book) Peek(id workload.DeviceID) (Interval, bool) {
	iv, ok := b.Open[id]
	if ok {
		iv.Booked.add(b.value(iv))
	}
	return iv, ok
}

// History returns a device's intervals since an instant, oldest first, the open
// one last and valued up to now.
func (b *Book) History(id workload.DeviceID, since workload.Instant) []Interval {
	var out []Interval
	for _, iv := range b.Closed[id] {
		if iv.To > since {
			out = append(out, iv)
		}
	}
	if iv, ok := b.Peek(id); ok {
		out = append(out, iv)
	}
	return out
}

// HoursSince returns the hours from an instant on, the last one with the open
// intervals valued up to now.
func (b *Book) HoursSince(since workload.Instant) []Hour {
	var out []Hour
	for _, h := range b.Hours {
		if h.At+workload.HourMillis > since {
			h.Lines = slices.Clone(h.Lines)
			out = append(out, h)
		}
	}
	if len(out) == 0 {
		return nil
	}
	last := &out[len(out)-1]
	for _, id := range b.openIDs() {
		iv := b.Open[id]
		if iv.MarkAt == b.At {
			continue
		}
		line := Line{Site: iv.Site, Use: iv.Use.Kind, Coin: iv.Coin, Tenant: iv.Tenant, Sim: iv.Sim}
		j, ok := slices.BinarySearchFunc(last.Lines, line, Line.compare)
		if !ok {
			last.Lines = slices.Insert(last.Lines, j, line)
		}
		last.Lines[j].Millis += int64(b.At - iv.MarkAt)
		last.Lines[j].Booked.add(b.value(iv))
	}
	return out
}

// Totals is the whole book in four numbers, for comparing two of them.
type Totals struct {
	DeviceMillis int64 `json:"device_millis"`
	Booked
}

// Totals adds up all hours and what is open.
func (b *Book) Totals() Totals {
	var t Totals
	for _, h := range b.HoursSince(-1 << 62) {
		for _, l := range h.Lines {
			t.DeviceMillis += l.Millis
			t.Booked.add(l.Booked)
		}
	}
	return t
}

// Check verifies the book against itself: each device's intervals add up to
// exactly the time since it joined, and so do the hours. It returns the first
// fault found, or nil.
func (b *Book) Check() error {
	var sum int64
	for _, id := range b.openIDs() {
		iv := b.Open[id]
		lived := int64(b.At - b.Joined[id])
		if got := b.Elapsed[id] + int64(b.At-iv.From); got != lived {
			return workload.Errorf(workload.Internal, "ledger: device %s has %d ms of intervals in %d ms of time", id, got, lived)
		}
		sum += lived
	}
	if t := b.Totals(); t.DeviceMillis != sum {
		return workload.Errorf(workload.Internal, "ledger: hours hold %d device-ms, intervals %d", t.DeviceMillis, sum)
	}
	return nil
}
