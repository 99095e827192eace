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
	"math"
	"slices"

	"github.com/sluice-project/sluice/workload"
)

// KeepClosed is how much market time of closed intervals the book keeps for
// pages; hours are kept for good, and everything can be recomputed.
const KeepClosed = 25 * workload.HourMillis

// Closed intervals are kept for pages only, so their number is bounded: per
// device, and for the whole fleet, which a snapshot must hold. Older ones live
// on in the hours and in the history.
const (
	keepMost  = 256
	keepLeast = 16
	keepFleet = 1_000_000
)

// keep is how many closed intervals of one device the book holds.
func (b *Book) keep() int { return max(keepLeast, min(keepMost, keepFleet/max(len(b.Open), 1))) }

// Prices beyond these bounds (a million units per kWh or per hour) are taken as
// the bound, so that an hour's integral cannot overflow.
const maxPrice = 1_000_000_000_000

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
	// Likewise for the time in which a price was not known.
	MarkNoEnergy int64 `json:"mark_no_energy,omitempty"`
	MarkNoYield  int64 `json:"mark_no_yield,omitempty"`
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
	// Unpriced is the time in ms for which a price was not known. Where both
	// prices were missing it may be overstated, up to the whole span.
	Unpriced int64 `json:"unpriced,omitempty"`
}

// Net is revenue less energy.
func (b Booked) Net() workload.Money { return b.Revenue - b.Energy }

// add saturates: 292 MW drawn for a year is all that WattMillis can count.
func (b *Booked) add(o Booked) {
	b.Revenue = workload.Money(plus(int64(b.Revenue), int64(o.Revenue)))
	b.Energy = workload.Money(plus(int64(b.Energy), int64(o.Energy)))
	b.WattMillis = plus(b.WattMillis, o.WattMillis)
	b.Unpriced = plus(b.Unpriced, o.Unpriced)
}

func plus(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
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
	Integral int64  `json:"integral"`          // micro x ms / kWh
	Unknown  int64  `json:"unknown,omitempty"` // ms without a price since the hour began
	Ahead    []Step `json:"ahead,omitempty"`
	Past     []Step `json:"past,omitempty"`
}

// Yield is one coin's earning power.
type Yield struct {
	Now      workload.Hashprice `json:"now"`
	Known    bool               `json:"known"`
	Integral int64              `json:"integral"`          // micro x ms / h for 10^Scale H/s
	Unknown  int64              `json:"unknown,omitempty"` // ms without a price since the hour began
}

// Baseline is what simpler rules would net now, for the whole fleet.
type Baseline struct {
	AllMining workload.Rate `json:"all_mining"`
	AllParked workload.Rate `json:"all_parked"`
}

// BaseSum integrates the baseline since the hour began, in micro x ms / h, so
// that the hour's figure does not depend on how often time was advanced.
type BaseSum struct {
	AllMining int64 `json:"all_mining"`
	AllParked int64 `json:"all_parked"`
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
	BaseSum BaseSum                                `json:"base_sum"`
	Joined  map[workload.DeviceID]workload.Instant `json:"joined"`  // start of the device's first interval
	Elapsed map[workload.DeviceID]int64            `json:"elapsed"` // ms of closed intervals since then
	// Drawn is set in views only: what each site with a quota of energy has drawn
	// since the period began, in watt-milliseconds.
	Drawn map[workload.SiteName]int64 `json:"-"`
}

// New returns an empty book that starts at an instant.
func New(at workload.Instant) *Book {
	return &Book{At: at, Energy: map[workload.SiteName]Energy{}, Yields: map[workload.CoinName]Yield{},
		Open: map[workload.DeviceID]Interval{}, Closed: map[workload.DeviceID][]Interval{},
		Joined: map[workload.DeviceID]workload.Instant{}, Elapsed: map[workload.DeviceID]int64{}}
}

// Clone copies the book so that neither sees later changes of the other. The
// lines of the two newest hours are the only values ever edited in place; lists
// that are appended to are clipped, so that the copy appends elsewhere.
func (b *Book) Clone() *Book {
	c := *b
	c.Energy, c.Yields, c.Open, c.Closed = maps.Clone(b.Energy), maps.Clone(b.Yields), maps.Clone(b.Open), maps.Clone(b.Closed)
	c.Joined, c.Elapsed = maps.Clone(b.Joined), maps.Clone(b.Elapsed)
	for id, kept := range c.Closed {
		c.Closed[id] = slices.Clip(kept)
	}
	for site, e := range c.Energy {
		e.Past = slices.Clip(e.Past)
		c.Energy[site] = e
	}
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

// Begin moves an empty-handed book to the first instant that is known: time
// before the log had a clock is nobody's. Once an hour was counted it does
// nothing.
func (b *Book) Begin(at workload.Instant) {
	if len(b.Hours) > 0 || at < b.At {
		return
	}
	b.At = at
	for id, iv := range b.Open { // each alone: order does not matter
		iv.From, iv.MarkAt = at, at
		b.Open[id], b.Joined[id] = iv, at
	}
	for site, e := range b.Energy {
		b.Energy[site] = Energy{Now: e.Now}
	}
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
	b.BaseSum.AllMining += clampPrice(b.Base.AllMining) * span
	b.BaseSum.AllParked += clampPrice(b.Base.AllParked) * span
	hour.AllMining = workload.Rate(b.BaseSum.AllMining).Over(1, workload.Down)
	hour.AllParked = workload.Rate(b.BaseSum.AllParked).Over(1, workload.Down)
	for site, e := range b.Energy {
		e.Integral += e.Now.MicroPerKWh * span
		if !e.Now.Known {
			e.Unknown += span
		}
		for len(e.Ahead) > 0 && e.Ahead[0].At <= to {
			next := e.Ahead[0]
			e.Ahead = e.Ahead[1:]
			if next.MicroPerKWh != e.Now.MicroPerKWh || next.Known != e.Now.Known {
				e.step(next)
			}
		}
		for len(e.Past) > 1 && e.Past[1].At <= to-KeepClosed {
			e.Past = e.Past[1:]
		}
		b.Energy[site] = e
	}
	for coin, y := range b.Yields {
		y.Integral += y.Now.MicroPerHour * span
		if !y.Known {
			y.Unknown += span
		}
		b.Yields[coin] = y
	}
	b.At = to
}

func clampPrice(r workload.Rate) int64 { return max(-maxPrice, min(int64(r), maxPrice)) }

// closeHour books every open interval up to now and starts the integrals anew,
// which keeps them small. Sums commute, so the order of the map does not show.
func (b *Book) closeHour() {
	for id, iv := range b.Open {
		b.book(&iv)
		iv.MarkEnergy, iv.MarkYield, iv.MarkNoEnergy, iv.MarkNoYield = 0, 0, 0, 0
		b.Open[id] = iv
	}
	for site, e := range b.Energy {
		e.Integral, e.Unknown = 0, 0
		b.Energy[site] = e
	}
	for coin, y := range b.Yields {
		y.Integral, y.Unknown = 0, 0
		b.Yields[coin] = y
	}
	b.BaseSum = BaseSum{}
}

func (b *Book) openIDs() []workload.DeviceID {
	return slices.Sorted(maps.Keys(b.Open))
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
	b.mark(iv)
}

// mark notes the integrals from which on the interval is not booked yet. The
// integrals of its site and coin begin here if nothing has needed them before.
func (b *Book) mark(iv *Interval) {
	e, seen := b.Energy[iv.Site]
	if !seen {
		b.Energy[iv.Site] = e
	}
	iv.MarkAt, iv.MarkEnergy, iv.MarkNoEnergy = b.At, e.Integral, e.Unknown
	iv.MarkYield, iv.MarkNoYield = 0, 0
	if iv.Coin != "" {
		y, seen := b.Yields[iv.Coin]
		if !seen {
			b.Yields[iv.Coin] = y
		}
		iv.MarkYield, iv.MarkNoYield = y.Integral, y.Unknown
	}
}

// value is what the time since the mark came to. What we pay is rounded up,
// what we earn down.
func (b *Book) value(iv Interval) Booked {
	span := int64(b.At - iv.MarkAt)
	e, y := b.Energy[iv.Site], b.Yields[iv.Coin]
	got := Booked{WattMillis: workload.MulDiv(iv.Watts, span, 1, workload.Up)}
	// watts x micro x ms / kWh: 1000 W in a kW and 3.6e6 ms in an hour.
	got.Energy = workload.Money(workload.MulDiv(iv.Watts, e.Integral-iv.MarkEnergy, 1000*workload.HourMillis, workload.Up))
	if iv.Hash > 0 {
		earned := workload.Hashprice{MicroPerHour: y.Integral - iv.MarkYield, Scale: y.Now.Scale}.Gross(iv.Hash)
		got.Revenue += workload.Money(workload.MulDiv(int64(earned), 1, workload.HourMillis, workload.Down))
	}
	got.Revenue = workload.Money(plus(int64(got.Revenue), int64(iv.Rate.Over(span, workload.Down))))
	if iv.Watts > 0 {
		got.Unpriced += e.Unknown - iv.MarkNoEnergy
	}
	if iv.Hash > 0 {
		got.Unpriced += y.Unknown - iv.MarkNoYield
	}
	got.Unpriced = min(got.Unpriced, span)
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
	iv = Interval{From: b.At, Doing: do}
	b.mark(&iv)
	b.Open[id] = iv
}

func (b *Book) close(id workload.DeviceID, iv Interval) {
	b.book(&iv)
	iv.To = b.At
	b.Elapsed[id] += int64(iv.To - iv.From)
	if iv.To == iv.From {
		return // nothing took place in it
	}
	kept := b.Closed[id]
	for len(kept) > 0 && (kept[0].To <= b.At-KeepClosed || len(kept) >= b.keep()) {
		kept = kept[1:]
	}
	b.Closed[id] = append(kept, iv) // never written within: see step
}
