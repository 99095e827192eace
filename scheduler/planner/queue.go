package planner

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// Bounds of one round's question. A queue is asked about from its head; what
// stands behind is asked about once the head has moved.
const (
	maxAsked = 1_000 // queued jobs in all
	kinSpare = 2     // of one kind, beyond what could start
)

// kinKey is all that a decision sees of a queued job: jobs that share it are
// interchangeable but for their place in the queue.
type kinKey struct {
	tenant   workload.TenantName
	priority workload.Priority
	bid      workload.Rate
	gpus     int
	perNode  int
	memory   int64
	site     workload.SiteName
	models   string
	elastic  workload.Elastic
	limit    time.Duration
	bound    string // the nodes that hold its checkpoint
}

// kin are queued jobs of one kind, the strongest claim first.
type kin struct {
	key     kinKey
	members []member
	spec    workload.Spec // of one of them
	asked   int           // how many, from the head, this round asks about
}

// member is one job of a kind, kept small: a queue may hold 100,000.
type member struct {
	id    workload.JobID
	base  int64 // its bid with its factor
	age   workload.PPM
	level claimLevel
	score int64
}

// stronger orders members of one kind and of several alike.
func stronger(x, y member) int {
	return cmp.Or(cmp.Compare(y.level, x.level), cmp.Compare(y.score, x.score), cmp.Compare(x.id, y.id))
}

// lineUp puts a queued job among its kind. The order comes in addQueue.
func (b *Board) lineUp(j *state.Job, at map[kinKey]int) {
	k := b.kinOf(j)
	i, ok := at[k]
	if !ok {
		i = len(b.kins)
		at[k] = i
		b.kins = append(b.kins, kin{key: k, spec: j.Spec})
	}
	c := b.claimOf(j)
	b.topBid = max(b.topBid, c.bid)
	b.kins[i].members = append(b.kins[i].members, member{id: j.ID, base: c.base(), age: c.age, level: c.level})
}

// addQueue orders the queue: jobs of one kind together, kinds by the claim of
// their head. It picks those that this round asks about: of each kind as many as
// could start if every device it may use were free, and of all kinds no more
// than a decision can weigh in good time, the strongest first but each kind once
// before any kind twice.
func (b *Board) addQueue() {
	for i := range b.kins {
		k := &b.kins[i]
		for n := range k.members {
			m := &k.members[n]
			m.score = score(m.base, m.age, b.topBid)
			if b.owed[m.id] {
				m.level = guaranteed
			}
		}
		slices.SortFunc(k.members, stronger)
	}
	slices.SortFunc(b.kins, func(x, y kin) int { return stronger(x.members[0], y.members[0]) })
	b.ask()
}

func (b *Board) ask() {
	left := maxAsked
	for i := range b.kins {
		if left > 0 {
			b.kins[i].asked = 1
			left--
		}
	}
	for i := range b.kins {
		k := &b.kins[i]
		if k.asked == 0 {
			break
		}
		if len(k.members) > 1 {
			more := min(b.couldStart(k)+kinSpare, len(k.members)) - k.asked
			more = max(min(more, left), 0)
			k.asked += more
			left -= more
		}
	}
	for i := range b.kins {
		for _, m := range b.kins[i].members[:b.kins[i].asked] {
			j := b.View.Jobs[m.id]
			c := b.claimOf(&j)
			c.level = m.level
			b.claims[m.id] = c
			b.kinAt[m.id] = i
			b.asked = append(b.asked, m.id)
		}
	}
	slices.Sort(b.asked)
}

// couldStart is how many of a kind the devices that no protected job holds
// could carry, each class on its own.
func (b *Board) couldStart(k *kin) int {
	n, width := 0, max(narrowest(k.spec.Gang), 1)
	for ci, c := range b.classes {
		if c.kind == workload.GPU && !c.key.noTrain && b.suits(k.spec, c) {
			n += b.openDevices(ci) / width
		}
	}
	if t := b.Policy.Tenant(k.key.tenant); t != nil && t.Guarantee+t.Borrow > 0 {
		n = min(n, (t.Guarantee+t.Borrow)/width)
	}
	return n
}

// openDevices counts a class's devices that a queued job could have: all but
// those of jobs that nothing may preempt now.
func (b *Board) openDevices(ci int) int {
	if b.open == nil {
		b.open = make([]int, len(b.classes))
		for i, c := range b.classes {
			b.open[i] = len(c.devices)
		}
		for _, id := range b.active {
			j, a, runs := b.attempt(id)
			if _, ends := b.ends[id]; !runs || ends || b.preemptible(&j, a) {
				continue
			}
			for _, dev := range a.Devices {
				if i, inside := b.place[dev]; inside {
					b.open[b.Inventory.Devices[i].Class]--
				}
			}
		}
	}
	return b.open[ci]
}

func (b *Board) kinOf(j *state.Job) kinKey {
	g := j.Spec.Gang
	k := kinKey{tenant: j.Spec.Tenant, priority: j.Spec.Value.Priority, bid: j.Spec.Value.Bid, gpus: g.GPUs, perNode: g.PerNode, memory: g.Memory,
		site: g.Site, limit: j.Spec.Limits.Time}
	if g.Elastic != nil {
		k.elastic = *g.Elastic
	}
	switch len(g.Models) {
	case 0:
	case 1:
		k.models = string(g.Models[0])
	default:
		names := make([]string, len(g.Models))
		for i, m := range g.Models {
			names[i] = string(m)
		}
		k.models = strings.Join(names, ",")
	}
	if j.Spec.Checkpoint.Dir == "" || len(j.CheckpointNodes) == 0 {
		return k
	}
	if nodes, bound := b.localTo(*j); bound {
		names := make([]string, len(nodes))
		for i, n := range nodes {
			names[i] = string(n)
		}
		k.bound = strings.Join(names, ",")
	}
	return k
}

// suits reports whether a class's devices are of the kind that a spec asks for.
func (b *Board) suits(spec workload.Spec, c class) bool {
	return state.Eligible(spec, b.View.Devices[b.devices[c.devices[0]]])
}

// Standing is where a queued job stands among those that wait.
type Standing struct {
	Position int // in the whole queue, from 1
	Queue    int // jobs that wait for devices
	OfKind   int // position among the jobs of its kind, from 1
	Kind     int // jobs of its kind
	Asked    bool
}

// Standing tells a queued job's place, by the claims of this round; ok is false
// for a job that is not in the queue, or backs off.
func (b *Board) Standing(id workload.JobID) (Standing, bool) {
	s := Standing{}
	var own member
	found := false
	for i := range b.kins {
		s.Queue += len(b.kins[i].members)
		if n := slices.IndexFunc(b.kins[i].members, func(m member) bool { return m.id == id }); n >= 0 {
			own, found = b.kins[i].members[n], true
			s.OfKind, s.Kind, s.Asked = n+1, len(b.kins[i].members), n < b.kins[i].asked
		}
	}
	if !found {
		return s, false
	}
	s.Position = 1
	for i := range b.kins {
		for _, m := range b.kins[i].members {
			if stronger(m, own) >= 0 {
				break // they are in order
			}
			s.Position++
		}
	}
	return s, true
}

// standingReason says where a queued job stands and what its claim is made of.
func (b *Board) standingReason(id workload.JobID) (workload.Reason, bool) {
	s, ok := b.Standing(id)
	if !ok {
		return workload.Reason{}, false
	}
	j := b.View.Jobs[id]
	c := b.claimOf(&j)
	figures := []workload.Figure{workload.Count("position", int64(s.Position)), workload.Count("of", int64(s.Queue))}
	if s.Kind > 1 {
		figures = append(figures, workload.Count("among its kind", int64(s.OfKind)), workload.Count("alike", int64(s.Kind)))
	}
	if c.factor != workload.One {
		figures = append(figures, workload.Share("bid counts", c.factor))
	}
	figures = append(figures, workload.Span("waited", time.Duration(c.waited)*time.Millisecond))
	switch {
	case c.dated:
		figures = append(figures, workload.Span("laxity", max(time.Duration(c.slack)*time.Millisecond, 0)))
	case j.Spec.Value.Deadline != 0:
		figures = append(figures, workload.When("too late for", j.Spec.Value.Deadline))
	}
	if b.owed[id] {
		figures = append(figures, workload.Name("guarantee of", string(j.Spec.Tenant)))
	}
	return workload.Why(workload.CodeQueue, figures...), true
}

// unanswered lists the kinds with a job that no round has answered yet.
func (b *Board) unanswered() []*kin {
	var out []*kin
	for i := range b.kins {
		k := &b.kins[i]
		fresh := func(m member) bool {
			return m.level != plain || !answered(b.View.Jobs[m.id].Reason.Code)
		}
		if slices.ContainsFunc(k.members[:k.asked], fresh) {
			out = append(out, k)
		}
	}
	return out
}
