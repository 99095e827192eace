package netminer

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// Order is what a device shall do; what is left out stays as it is.
type Order struct {
	Asleep *bool
	Pools  []PoolSetting // in order of preference
	Power  int64         // target in watts; 0 leaves it
}

// Sleep and Wake are the two ends of curtailment.
func Sleep() Order { return Order{Asleep: new(true)} }

// Wake ends a sleep.
func Wake() Order { return Order{Asleep: new(false)} }

// Watch says how an order's effect is looked for.
type Watch struct {
	Every  time.Duration // between looks; default 2 s
	Within time.Duration // then it did not work; default 5 min, as waking takes minutes
}

func (w Watch) defaults() Watch {
	if w.Every <= 0 {
		w.Every = 2 * time.Second
	}
	if w.Within <= 0 {
		w.Within = 5 * time.Minute
	}
	return w
}

// Outcome of an order.
type Outcome struct {
	Changed    bool   // something was written
	RolledBack bool   // and taken back
	Report     Report // newest
}

// Apply brings a device to what an order says: it reads what is set, writes
// what differs, reads it back, and then watches watts, hashrate and pool until
// they show it. What does not show is taken back, except sleep: an order to
// draw less is never undone because its effect could not be seen. Denied: the
// family is read-only or the login is wrong. Unavailable: the device does not
// answer, or does not do it.
func (m *Miner) Apply(ctx context.Context, order Order, watch Watch) (Outcome, error) {
	watch = watch.defaults()
	l, err := m.lever()
	if err != nil {
		return Outcome{}, err
	}
	before, err := m.Read(ctx)
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Report: before}
	from, err := l.settings(ctx)
	if err != nil {
		return out, err
	}
	to, err := order.onto(from, m.Identity.Family)
	if err != nil {
		return out, err
	}
	if same := settled(from, to) && !differs(from.Asleep, to.Asleep); same && order.shown(before, before) == "" {
		return out, nil
	} else if !same {
		out.Changed = true
		if err := l.write(ctx, from, to); err != nil {
			return out, m.takeBack(ctx, l, from, to, order, &out, err)
		}
	}
	missing := ""
	deadline := time.NewTimer(watch.Within)
	defer deadline.Stop()
	for {
		if now, err := m.Read(ctx); err == nil {
			out.Report = now
			missing = order.shown(before, now)
		} else {
			missing = "it does not answer: " + err.Error()
		}
		if missing == "" {
			back, err := l.settings(ctx)
			if err == nil && settled(back, to) {
				return out, nil
			}
			missing = "it holds other settings than were written"
		}
		select {
		case <-ctx.Done():
			return out, workload.Errorf(workload.Unavailable, "%s: %s: %w", m.Host, missing, context.Cause(ctx))
		case <-deadline.C:
			return out, m.takeBack(ctx, l, from, to, order, &out, workload.Errorf(workload.Unavailable, "%s: after %v %s", m.Host, watch.Within, missing))
		case <-time.After(watch.Every):
		}
	}
}

// takeBack restores what was set before and says so.
func (m *Miner) takeBack(ctx context.Context, l lever, from, to Settings, order Order, out *Outcome, cause error) error {
	if !out.Changed || order.Asleep != nil && *order.Asleep {
		return cause
	}
	now, err := l.settings(ctx)
	if err == nil {
		// raw of now, so that what others changed meanwhile is kept.
		to.raw = now.raw
		if settled(now, from) {
			return cause // it was never taken
		}
		if err = l.write(ctx, to, from); err == nil {
			now, err = l.settings(ctx)
		}
	}
	if err != nil || !settled(now, from) {
		return workload.Errorf(workload.KindOf(cause), "%w; it could not be set back", cause)
	}
	out.RolledBack = true
	return workload.Errorf(workload.KindOf(cause), "%w; what was set before is set again", cause)
}

// onto works out the settings that an order asks for. Invalid: the family
// cannot do that.
func (o Order) onto(from Settings, family Family) (Settings, error) {
	to := from
	if o.Asleep != nil {
		to.Asleep = o.Asleep
	}
	if len(o.Pools) > 0 {
		to.Pools = slices.Clone(o.Pools)
		if slots := poolSlots[family]; len(to.Pools) > slots {
			to.Pools = to.Pools[:slots]
		}
	}
	if o.Power > 0 {
		if from.Power == nil || family != Whatsminer && family != Braiins {
			return to, workload.Errorf(workload.Invalid, "%s has no power target in watts", family)
		}
		to.Power = new(o.Power)
	}
	return to, nil
}

// poolSlots is how many pools a device of a family holds.
var poolSlots = map[Family]int{Antminer: 3, Whatsminer: 3, Braiins: 8, AxeOS: 2}

// settled reports whether settings are as wanted. Empty slots do not count,
// nor does a sleep that the device does not tell: its effect is watched anyway.
func settled(have, want Settings) bool {
	if have.Asleep != nil && differs(have.Asleep, want.Asleep) || differs(have.Power, want.Power) {
		return false
	}
	n := min(len(have.Pools), len(want.Pools))
	return n == len(want.Pools) && samePools(have.Pools[:n], want.Pools)
}

// shown says what of an order a report does not show; "" is all of it.
func (o Order) shown(before, now Report) string {
	asleep := o.Asleep != nil && *o.Asleep
	switch {
	case asleep && now.Hashrate == nil && now.Power == nil:
		return "neither hashrate nor watts can be seen"
	case asleep && now.Hashrate != nil && now.Hashrate.Milli > 0:
		return "it still hashes"
	case asleep && now.Power != nil && before.Power != nil && before.Hashrate != nil && before.Hashrate.Milli > 0 && now.Power.Watts > before.Power.Watts/2:
		return "it still draws more than half of what it drew"
	case asleep:
		return ""
	case (o.Asleep != nil || len(o.Pools) > 0) && (now.Hashrate == nil || now.Hashrate.Milli == 0):
		return "it does not hash"
	case o.Power > 0 && now.Power == nil:
		return "its watts cannot be seen"
	case o.Power > 0 && now.Power.Watts > o.Power+o.Power*3/100+10:
		return "it draws more than its target"
	}
	if len(o.Pools) > 0 {
		p, ok := now.ActivePool()
		if !ok && len(now.Pools) > 0 {
			p = now.Pools[0] // it does not tell, but it hashes: for the first
		}
		if !slices.ContainsFunc(o.Pools, func(w PoolSetting) bool { return SameEndpoint(w.URL, p.URL) && strings.EqualFold(w.User, p.User) }) {
			return "it works for another pool"
		}
	}
	return ""
}

// Result is the outcome for one of many.
type Result struct {
	Miner *Miner
	Outcome
	Err error
}

// Curtail gives one order to many devices, at most parallel at once, and
// returns when each has shown it or the context ends. Results are in the order
// of the devices. One that hangs holds up only its own place.
func Curtail(ctx context.Context, miners []*Miner, order Order, watch Watch, parallel int) []Result {
	results := make([]Result, len(miners))
	limit := make(chan struct{}, max(parallel, 1))
	var wg sync.WaitGroup
	for i, m := range miners {
		results[i].Miner = m
		select {
		case limit <- struct{}{}:
		case <-ctx.Done():
			results[i].Err = workload.Errorf(workload.Unavailable, "%s: %w", m.Host, context.Cause(ctx))
			continue
		}
		wg.Go(func() {
			defer func() { <-limit }()
			results[i].Outcome, results[i].Err = m.Apply(ctx, order, watch)
		})
	}
	wg.Wait()
	return results
}
