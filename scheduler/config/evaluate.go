package config

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/sluice-project/sluice/workload"
)

var zones sync.Map // of name to *time.Location: loading one takes tens of microseconds

// Zone returns a time zone by its IANA name; an unknown one, which Validate
// reports, counts as UTC.
func Zone(name string) *time.Location {
	if z, ok := zones.Load(name); ok {
		return z.(*time.Location)
	}
	z, err := zoneOf(name)
	if err != nil {
		return time.UTC
	}
	zones.Store(name, z)
	return z
}

// Location is the site's time zone.
func (s *Site) Location() *time.Location { return Zone(s.Zone) }

// QuotaPeriod is the day, month or year of the site's zone that an instant lies
// in. Without a quota it is the month.
func (s *Site) QuotaPeriod(at workload.Instant) (from, until workload.Instant) {
	t := at.Time().In(s.Location())
	y, m, d := t.Date()
	begin, end := time.Date(y, m, 1, 0, 0, 0, 0, t.Location()), time.Date(y, m+1, 1, 0, 0, 0, 0, t.Location())
	switch {
	case s.EnergyQuota == nil:
	case s.EnergyQuota.Per == "day":
		begin, end = time.Date(y, m, d, 0, 0, 0, 0, t.Location()), time.Date(y, m, d+1, 0, 0, 0, 0, t.Location())
	case s.EnergyQuota.Per == "year":
		begin, end = time.Date(y, 1, 1, 0, 0, 0, 0, t.Location()), time.Date(y+1, 1, 1, 0, 0, 0, 0, t.Location())
	}
	return workload.InstantOf(begin), workload.InstantOf(end)
}

// Hall returns a hall by name, or nil.
func (s *Site) Hall(name workload.HallName) *Hall {
	for i := range s.Power.Halls {
		if s.Power.Halls[i].Name == name {
			return &s.Power.Halls[i]
		}
	}
	return nil
}

// PUE returns the power usage effectiveness of a hall: its own cooling's, else
// the site's, else 1. outdoor is in milli-degrees Celsius, nil when not known.
func (s *Site) PUE(hall workload.HallName, outdoor *int64) workload.PPM {
	if h := s.Hall(hall); h != nil && h.Cooling != nil {
		return h.Cooling.At(outdoor)
	}
	return s.Power.Cooling.At(outdoor)
}

// At returns the PUE at an outdoor temperature, linear between the points of
// the curve, rounded up, and that of its ends beyond them. While the
// temperature is not known the highest of the curve counts, so that no cap is
// overdrawn.
func (c *Cooling) At(outdoor *int64) workload.PPM {
	if c == nil {
		return workload.One
	}
	if len(c.Curve) == 0 {
		return max(c.PUE, workload.One)
	}
	if outdoor == nil {
		highest := workload.One
		for _, p := range c.Curve {
			highest = max(highest, p.PUE)
		}
		return highest
	}
	for i, p := range c.Curve {
		if *outdoor > p.Outdoor {
			continue
		}
		if i == 0 {
			return p.PUE
		}
		q := c.Curve[i-1]
		return q.PUE + workload.PPM(workload.MulDiv(int64(p.PUE-q.PUE), *outdoor-q.Outdoor, p.Outdoor-q.Outdoor, workload.Up))
	}
	return c.Curve[len(c.Curve)-1].PUE
}

// local splits an instant into day of the week (0 is Monday) and minute of the
// day in a zone.
func local(t time.Time) (day, minute int) {
	return (int(t.Weekday()) + 6) % 7, t.Hour()*60 + t.Minute()
}

// inHours reports whether a part of some days covers a minute of a day. The
// part after midnight belongs to the day on which it began.
func inHours(days Weekdays, h *Hours, day, minute int) bool {
	switch {
	case h == nil:
		return days.Has(day)
	case h.From < h.To:
		return days.Has(day) && minute >= h.From && minute < h.To
	}
	return days.Has(day) && minute >= h.From || days.Has((day+6)%7) && minute < h.To
}

func (t *Tariff) bandAt(day, minute int) *Band {
	for i := range t.Bands {
		if inHours(t.Bands[i].Days, t.Bands[i].Hours, day, minute) {
			return &t.Bands[i]
		}
	}
	return nil
}

// PriceAt returns what a kWh costs with every adder, in micro-units. A tariff
// with a feed needs the feed's value, in micro-units per kWh; without it, or
// where no band covers the time, the price is not known.
func (t *Tariff) PriceAt(at workload.Instant, zone *time.Location, feed *int64) (microPerKWh int64, ok bool) {
	switch {
	case t.Feed != "" && feed == nil:
		return 0, false
	case t.Feed != "":
		microPerKWh = *feed
	default:
		b := t.bandAt(local(at.Time().In(zone)))
		if b == nil {
			return 0, false
		}
		microPerKWh = b.Price.Micro
	}
	for _, a := range t.Adders {
		microPerKWh = addClamped(microPerKWh, a.Price.Micro)
	}
	return microPerKWh, true
}

func addClamped(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
}

// NextChange returns the first instant after at when the table's price is
// another; a tariff with a feed, or with one price, has none.
func (t *Tariff) NextChange(at workload.Instant, zone *time.Location) (workload.Instant, bool) {
	if t.Feed != "" {
		return 0, false
	}
	minutes := []int{0}
	for _, b := range t.Bands {
		minutes = addHours(minutes, b.Hours)
	}
	price := func(u time.Time) any {
		if b := t.bandAt(local(u)); b != nil {
			return b.Price
		}
		return nil
	}
	return nextEdge(at, zone, minutes, 9, price)
}

func addHours(minutes []int, h *Hours) []int {
	if h == nil {
		return minutes
	}
	return append(minutes, h.From, h.To%1440)
}

// ActiveAt reports whether the calendar holds at an instant in its site's
// zone. From, Until and Annual are judged by the local day, the window by the
// local hour.
func (c *Calendar) ActiveAt(at workload.Instant, zone *time.Location) bool {
	return c.activeLocal(at.Time().In(zone))
}

func (c *Calendar) activeLocal(t time.Time) bool {
	date := t.Format(time.DateOnly)
	if c.From != "" && date < string(c.From) || c.Until != "" && date > string(c.Until) {
		return false
	}
	if a := c.Annual; a != nil {
		day, start, end := date[5:], string(a.Start), string(a.End)
		if start <= end && (day < start || day > end) || start > end && day < start && day > end {
			return false
		}
	}
	if w := c.Window; w != nil {
		day, minute := local(t)
		return inHours(w.Days, w.Hours, day, minute)
	}
	return true
}

// NextEdge returns the first instant after at when the calendar begins or
// ends, if it ever does.
func (c *Calendar) NextEdge(at workload.Instant, zone *time.Location) (workload.Instant, bool) {
	minutes := []int{0}
	if c.Window != nil {
		minutes = addHours(minutes, c.Window.Hours)
	}
	if c.From != "" {
		// Nothing begins before the first day: look from there on.
		if day, err := time.ParseInLocation(time.DateOnly, string(c.From), zone); err == nil {
			at = max(at, workload.InstantOf(day)-86_400_000)
		}
	}
	days := 400
	if c.Annual == nil && c.Window == nil {
		if c.Until != "" {
			if day, err := time.ParseInLocation(time.DateOnly, string(c.Until), zone); err == nil {
				if last := workload.InstantOf(day) - 86_400_000; last > at && c.ActiveAt(at, zone) {
					at = last
				}
			}
		}
		days = 3
	}
	return nextEdge(at, zone, minutes, days, func(u time.Time) any { return c.activeLocal(u) })
}

// nextEdge walks the local minutes of each day after at, in order, until state
// differs from that at at. It walks span by span of constant offset, so that a
// local time that a clock change skips or repeats is met never or twice, and
// the change itself is looked at as well.
func nextEdge(at workload.Instant, zone *time.Location, minutes []int, days int, state func(time.Time) any) (workload.Instant, bool) {
	now := at.Time().In(zone)
	limit := now.AddDate(0, 0, days)
	was := state(now)
	slices.Sort(minutes)
	for from := now; from.Before(limit); {
		_, end := from.ZoneBounds()
		if end.IsZero() || end.After(limit) {
			end = limit
		}
		_, offset := from.Zone()
		year, month, day := from.Date()
		for d := 0; ; d++ {
			midnight := time.Date(year, month, day+d, 0, 0, 0, 0, time.UTC).Add(-time.Duration(offset) * time.Second)
			if !midnight.Before(end) {
				break
			}
			for _, m := range minutes {
				u := midnight.Add(time.Duration(m) * time.Minute)
				if u.After(now) && !u.Before(from) && u.Before(end) && state(u.In(zone)) != was {
					return workload.InstantOf(u), true
				}
			}
		}
		end = end.In(zone)
		if state(end) != was {
			return workload.InstantOf(end), true
		}
		from = end
	}
	return 0, false
}

// BoundsAt returns the target's bounds at an instant in its scope's zone.
func (t *Target) BoundsAt(at workload.Instant, zone *time.Location) (lo, hi workload.PPM, hasMin, hasMax bool) {
	today := Date(at.Time().In(zone).Format(time.DateOnly))
	if t.From != "" && today < t.From || t.Until != "" && today > t.Until {
		return 0, 0, false, false
	}
	if t.Max != nil {
		hi, hasMax = *t.Max, true
	}
	if t.Min != nil {
		return *t.Min, hi, true, hasMax
	}
	for i := len(t.Glide) - 1; i >= 0; i-- {
		g := t.Glide[i]
		if today < g.Date {
			continue
		}
		lo, hasMin = g.Min, true
		if i+1 < len(t.Glide) {
			next := t.Glide[i+1]
			lo += workload.PPM(workload.MulDiv(int64(next.Min-g.Min), daysBetween(g.Date, today), max(daysBetween(g.Date, next.Date), 1), workload.Down))
		}
		break
	}
	return lo, hi, hasMin, hasMax
}

func daysBetween(a, b Date) int64 {
	from, err1 := time.Parse(time.DateOnly, string(a))
	to, err2 := time.Parse(time.DateOnly, string(b))
	if err1 != nil || err2 != nil {
		return 0
	}
	return int64(to.Sub(from) / (24 * time.Hour))
}

// ActiveAt reports whether the override holds at an instant.
func (o *Override) ActiveAt(at workload.Instant) bool {
	return at >= o.From && (o.Until == 0 || at < o.Until)
}
