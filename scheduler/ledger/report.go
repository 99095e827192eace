package ledger

import (
	"slices"

	"github.com/sluice-project/sluice/workload"
)

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

// DrawnSince is what a site drew from an hour's start on, up to now, in
// watt-milliseconds.
func (b *Book) DrawnSince(site workload.SiteName, since workload.Instant) int64 {
	var sum int64
	for i := len(b.Hours) - 1; i >= 0 && b.Hours[i].At+workload.HourMillis > since; i-- {
		for _, l := range b.Hours[i].Lines {
			if l.Site == site {
				sum = plus(sum, l.WattMillis)
			}
		}
	}
	for _, iv := range b.Open { // a sum: order does not matter
		if iv.Site == site {
			sum = plus(sum, workload.MulDiv(iv.Watts, int64(b.At-max(iv.MarkAt, since)), 1, workload.Up))
		}
	}
	return sum
}

// Totals is the whole book in a few numbers, for comparing two of them.
// WattHours is exact (rounded down at the end) where WattMillis has saturated.
type Totals struct {
	DeviceMillis int64 `json:"device_millis"`
	WattHours    int64 `json:"watt_hours"`
	Booked
}

// Totals adds up all hours and what is open.
func (b *Book) Totals() Totals {
	var t Totals
	var part int64 // watt-milliseconds short of a watt-hour
	for _, h := range b.HoursSince(-1 << 62) {
		for _, l := range h.Lines {
			t.DeviceMillis += l.Millis
			t.Booked.add(l.Booked)
			t.WattHours += l.WattMillis / workload.HourMillis
			part += l.WattMillis % workload.HourMillis
			t.WattHours, part = t.WattHours+part/workload.HourMillis, part%workload.HourMillis
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
		next := iv.From
		for i := len(b.Closed[id]) - 1; i >= 0; i-- { // intervals touch
			c := b.Closed[id][i]
			if c.To != next || c.From >= c.To {
				return workload.Errorf(workload.Internal, "ledger: device %s has an interval from %d to %d before %d", id, c.From, c.To, next)
			}
			next = c.From
		}
		sum += lived
	}
	if t := b.Totals(); t.DeviceMillis != sum {
		return workload.Errorf(workload.Internal, "ledger: hours hold %d device-ms, intervals %d", t.DeviceMillis, sum)
	}
	return nil
}
