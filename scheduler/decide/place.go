package decide

import (
	"slices"
	"sort"
)

// Place maps a plan's counts to concrete devices with few moves. Gangs that
// stay keep their devices; new ones go, by falling size, to nodes that hold the
// job's checkpoint, the fullest that fit first, to one rack and to one island of
// each node where that takes no other room; gangs without a wish for their nodes
// go where they spoil least room for the others; miners stay where they are as
// far as the counts allow. A device inside its minimum dwell stays on its
// option whatever the plan says, unless the option is banned or the plan had to
// break dwell to respect a class count or a power cap. A gang that finds no
// room is listed in Unplaced, and its devices go to the best mining that the
// limits allow, or park. Devices are taken in index order, so the same input
// gives the same placement. cur may be empty (everything parked).
func Place(inv Inventory, cur Placement, p *Problem, pl Plan) (Placement, []Move) {
	if len(pl.Cells) != len(p.Mining) || len(pl.Jobs) != len(p.Jobs) {
		pl = Plan{Cells: make([]CellPlan, len(p.Mining)), Jobs: make([]int, len(p.Jobs))}
		for j := range pl.Jobs {
			pl.Jobs[j] = None
		}
	}
	a := newPlacer(inv, cur, p, pl)
	a.dwell()
	a.keepJobs()
	a.placeJobs()
	a.mine()
	a.fallBack()
	out := Placement{Uses: a.next, Unplaced: a.unplaced, Held: a.held}
	moves := []Move{}
	for d := range a.next {
		if a.now[d] != a.next[d] {
			moves = append(moves, Move{Device: d, From: a.now[d], To: a.next[d]})
		}
	}
	return out, moves
}

var parkedUse = Use{Kind: UseParked, Index: None}

type placer struct {
	inv      Inventory
	p        *Problem
	pl       Plan
	in       *instance
	now      []Use
	next     []Use
	taken    []bool
	class    [][]int    // per class: devices by index
	count    []int64    // per cell: devices placed
	surplus  []int64    // per cell: devices there now beyond the plan
	short    []bool     // per class: a gang of it was left out
	shelf    []*shelves // per class, once a gang asked
	offers   []int      // per job: placed offer or None
	unplaced []int
	held     []int
}

func newPlacer(inv Inventory, cur Placement, p *Problem, pl Plan) *placer {
	n := len(inv.Devices)
	a := &placer{inv: inv, p: p, pl: pl, in: compile(p), now: make([]Use, n), next: make([]Use, n), taken: make([]bool, n),
		class: make([][]int, len(p.Classes)), count: make([]int64, len(p.Mining)), surplus: make([]int64, len(p.Mining)),
		short: make([]bool, len(p.Classes)), shelf: make([]*shelves, len(p.Classes)), offers: make([]int, len(p.Jobs))}
	for j := range a.offers {
		a.offers[j] = None
	}
	for k, c := range pl.Cells {
		a.surplus[k] = -(c.Keep + c.Enter)
	}
	for d := range n {
		a.now[d], a.next[d] = parkedUse, parkedUse
		if d < len(cur.Uses) {
			a.now[d] = a.sane(d, cur.Uses[d])
		}
		if c := inv.Devices[d].Class; c >= 0 && c < len(p.Classes) {
			a.class[c] = append(a.class[c], d)
		}
		if a.now[d].Kind == UseMining {
			a.surplus[a.now[d].Index]++
		}
	}
	return a
}

// sane reads a use that refers to nothing of this problem as parked.
func (a *placer) sane(d int, u Use) Use {
	switch {
	case u.Kind == UseMining && u.Index >= 0 && u.Index < len(a.p.Mining) && a.p.Mining[u.Index].Class == a.inv.Devices[d].Class:
		return u
	case u.Kind == UseJob && u.Index >= 0 && u.Index < len(a.p.Offers) && a.p.Offers[u.Index].Class == a.inv.Devices[d].Class:
		return u
	}
	return parkedUse
}

func (a *placer) assign(d int, u Use) {
	a.taken[d] = true
	a.next[d] = u
	if u.Kind == UseMining {
		a.count[u.Index]++
	}
}

// dwell fixes the devices whose minimum dwell is not over.
func (a *placer) dwell() {
	for d, dev := range a.inv.Devices {
		if !dev.Dwell || a.now[d].Kind != UseMining {
			continue
		}
		k := a.now[d].Index
		m := a.p.Mining[k]
		want := a.pl.Cells[k].Keep + a.pl.Cells[k].Enter
		broken := a.in.lock[k] < min(m.Locked, m.Current)
		if m.Banned || (broken && a.count[k] >= want) {
			continue
		}
		if a.count[k] >= want {
			a.held = append(a.held, d)
		}
		a.assign(d, a.now[d])
	}
}

// keepJobs leaves gangs that stay on their offer where they are, if all their
// devices are still there.
func (a *placer) keepJobs() {
	on := make([][]int, len(a.p.Offers))
	for d, u := range a.now {
		if u.Kind == UseJob {
			on[u.Index] = append(on[u.Index], d)
		}
	}
	for j, f := range a.pl.Jobs {
		if !a.owns(j, f) || int64(len(on[f])) != a.p.Offers[f].Width {
			continue
		}
		for _, d := range on[f] {
			a.assign(d, a.now[d])
		}
		a.offers[j] = f
	}
}

func (a *placer) owns(j, f int) bool {
	return f >= 0 && f < len(a.p.Offers) && a.p.Offers[f].Job == j
}

func (a *placer) placeJobs() {
	var queue []int
	for j, f := range a.pl.Jobs {
		if a.owns(j, f) && a.offers[j] == None {
			queue = append(queue, f)
		}
	}
	sortFresh(a.p, queue)
	for _, f := range queue {
		o := a.p.Offers[f]
		devices := a.find(f)
		if devices == nil {
			a.unplaced = append(a.unplaced, o.Job)
			a.short[o.Class] = true
			continue
		}
		for _, d := range devices {
			a.assign(d, Use{UseJob, f})
		}
		a.offers[o.Job] = f
	}
	slices.Sort(a.unplaced)
}

type nodeRoom struct {
	node int
	own  int64 // devices that run the same job now
	easy int64 // free devices that no miner has to leave for elsewhere
	free []int
}

// find picks the devices for a new gang, or nil. A gang that has devices of its
// own to go back to, or that may only go to certain nodes, looks at all nodes.
func (a *placer) find(f int) []int {
	o := &a.p.Offers[f]
	s := a.shelf[o.Class]
	if s == nil {
		s = a.shelve(o.Class)
		a.shelf[o.Class] = s
	}
	if a.p.Jobs[o.Job].Current != None || o.Job < len(a.inv.Local) && a.inv.Local[o.Job] != nil {
		devices := a.search(f)
		for _, d := range devices {
			s.drop(a, s.at[a.inv.Devices[d].Node], []int{d})
		}
		return devices
	}
	if o.PerNode > 0 {
		return a.gang(s, o.PerNode, o.Width/o.PerNode)
	}
	return a.spread(s, o.Width)
}

// search is find over all nodes.
func (a *placer) search(f int) []int {
	o := a.p.Offers[f]
	rooms := a.rooms(f)
	sort.SliceStable(rooms, func(x, y int) bool {
		r, s := rooms[x], rooms[y]
		if r.own != s.own {
			return r.own > s.own
		}
		if len(r.free) != len(s.free) {
			return len(r.free) < len(s.free)
		}
		if r.easy != s.easy {
			return r.easy > s.easy
		}
		return r.node < s.node
	})
	var out []int
	for _, r := range rooms {
		if o.PerNode > 0 {
			if int64(len(r.free)) >= o.PerNode {
				out = append(out, r.free[:o.PerNode]...)
			}
		} else {
			out = append(out, r.free[:min(int64(len(r.free)), o.Width-int64(len(out)))]...)
		}
		if int64(len(out)) == o.Width {
			return out
		}
	}
	return nil
}

// rooms lists the nodes where job of offer f may run with their free devices,
// the cheapest to take first: its own, parked, surplus miners, others.
func (a *placer) rooms(f int) []nodeRoom {
	o := a.p.Offers[f]
	byNode := map[int]int{}
	var rooms []nodeRoom
	for _, d := range a.class[o.Class] {
		n := a.inv.Devices[d].Node
		if a.taken[d] || !a.local(o.Job, n) {
			continue
		}
		i, ok := byNode[n]
		if !ok {
			i = len(rooms)
			byNode[n] = i
			rooms = append(rooms, nodeRoom{node: n})
		}
		rooms[i].free = append(rooms[i].free, d)
		switch a.cost(d, o.Job) {
		case 0:
			rooms[i].own++
			rooms[i].easy++
		case 1, 2:
			rooms[i].easy++
		}
	}
	for _, r := range rooms {
		sort.SliceStable(r.free, func(x, y int) bool { return a.cost(r.free[x], o.Job) < a.cost(r.free[y], o.Job) })
	}
	return rooms
}

func (a *placer) cost(d, job int) int {
	switch u := a.now[d]; {
	case u.Kind == UseJob && a.p.Offers[u.Index].Job == job:
		return 0
	case u.Kind == UseParked || u.Kind == UseJob:
		return 1
	case a.surplus[u.Index] > 0:
		return 2
	}
	return 3
}

func (a *placer) local(job, node int) bool {
	if job >= len(a.inv.Local) || a.inv.Local[job] == nil {
		return true
	}
	_, ok := slices.BinarySearch(a.inv.Local[job], node)
	return ok
}

// mine gives the free devices of each class to its cells: first those already
// there, then the rest, those that lose their present use before parked ones.
func (a *placer) mine() {
	want := func(k int) int64 {
		if a.in.limit[k] == 0 {
			return 0
		}
		return a.pl.Cells[k].Keep + a.pl.Cells[k].Enter
	}
	for d, u := range a.now {
		if !a.taken[d] && u.Kind == UseMining && a.count[u.Index] < want(u.Index) {
			a.assign(d, u)
		}
	}
	for c, devices := range a.class {
		k := a.in.cellLo[c]
		for _, idle := range [2]bool{false, true} { // what has to change anyway goes first, so that what is parked may stay so
			for _, d := range devices {
				for k < a.in.cellLo[c+1] && a.count[k] >= want(k) {
					k++
				}
				if k == a.in.cellLo[c+1] {
					break
				}
				if !a.taken[d] && (a.now[d].Kind == UseParked) == idle {
					a.assign(d, Use{UseMining, k})
				}
			}
		}
	}
}

// fallBack mines with what an unplaced gang left free, within all limits.
func (a *placer) fallBack() {
	if len(a.unplaced) == 0 {
		return
	}
	s := newState(a.in)
	for j, f := range a.offers {
		if f != None {
			s.setOffer(j, f)
		}
	}
	for k, n := range a.count {
		s.addCell(k, n)
	}
	before := slices.Clone(s.count)
	s.fill(a.short)
	for c, devices := range a.class {
		if !a.short[c] {
			continue
		}
		for k := a.in.cellLo[c]; k < a.in.cellLo[c+1]; k++ {
			for extra := s.count[k] - before[k]; extra > 0; extra-- {
				d := a.spare(devices, k)
				if d < 0 {
					break
				}
				a.assign(d, Use{UseMining, k})
			}
		}
	}
}

// spare is a free device, best one that mines cell k now, or -1.
func (a *placer) spare(devices []int, k int) int {
	at := -1
	for _, d := range devices {
		if a.taken[d] {
			continue
		}
		if a.now[d] == (Use{UseMining, k}) {
			return d
		}
		if at < 0 {
			at = d
		}
	}
	return at
}
