package decide

import (
	"cmp"
	"container/heap"
	"slices"
)

// shelves keep the nodes of one class by how many of their devices are free, so
// that a gang finds its nodes without looking at the others. A node that changes
// is put up again; what stands for it in its old place is passed over when it
// comes up.
type shelves struct {
	nodes []shelfNode
	at    map[int]int // node to its position
	by    []shelf     // per count of free devices
	loss  []int64     // per count: devices that the gangs of the class could not use there
	parts bool        // some node has islands
	count []int64     // per count of free devices: nodes

	// By rack, in the order in which they came up; nothing where none is known.
	inRack    [][]int // nodes
	rackCount [][]int64
}

type shelfNode struct {
	rack    int   // position in inRack, or None
	free    []int // devices, those first that are cheapest to take
	easy    int64 // of them, those that no miner has to leave for elsewhere
	version int
}

type shelfEntry struct {
	easy        int64
	at, version int
}

// shelf is a heap: most easy devices first, then by node.
type shelf []shelfEntry

func (s shelf) Len() int { return len(s) }
func (s shelf) Less(a, b int) bool {
	return s[a].easy > s[b].easy || s[a].easy == s[b].easy && s[a].at < s[b].at
}
func (s shelf) Swap(a, b int) { s[a], s[b] = s[b], s[a] }
func (s *shelf) Push(x any)   { *s = append(*s, x.(shelfEntry)) }
func (s *shelf) Pop() any {
	old := *s
	x := old[len(old)-1]
	*s = old[:len(old)-1]
	return x
}

// shelve sorts the free devices of a class by node.
func (a *placer) shelve(class int) *shelves {
	s := &shelves{at: map[int]int{}}
	rackAt := map[int]int{}
	for _, d := range a.class[class] {
		if a.taken[d] {
			continue
		}
		dev := &a.inv.Devices[d]
		i, ok := s.at[dev.Node]
		if !ok {
			i = len(s.nodes)
			s.at[dev.Node] = i
			s.nodes = append(s.nodes, shelfNode{rack: None})
			if dev.Rack > 0 {
				r, ok := rackAt[dev.Rack]
				if !ok {
					r = len(s.inRack)
					rackAt[dev.Rack] = r
					s.inRack = append(s.inRack, nil)
				}
				s.nodes[i].rack = r
				s.inRack[r] = append(s.inRack[r], i)
			}
		}
		n := &s.nodes[i]
		n.free = append(n.free, d)
		if a.cost(d, None) < 3 {
			n.easy++
		}
		s.parts = s.parts || dev.Island > 0
	}
	most := 0
	for i := range s.nodes {
		slices.SortStableFunc(s.nodes[i].free, func(x, y int) int { return cmp.Compare(a.cost(x, None), a.cost(y, None)) })
		most = max(most, len(s.nodes[i].free))
	}
	s.by, s.count = make([]shelf, most+1), make([]int64, most+1)
	s.rackCount = make([][]int64, len(s.inRack))
	for r := range s.rackCount {
		s.rackCount[r] = make([]int64, most+1)
	}
	for i := range s.nodes {
		n := &s.nodes[i]
		s.count[len(n.free)]++
		if n.rack >= 0 {
			s.rackCount[n.rack][len(n.free)]++
		}
		s.by[len(n.free)] = append(s.by[len(n.free)], shelfEntry{n.easy, i, 0})
	}
	for f := range s.by {
		heap.Init(&s.by[f])
	}
	s.loss = a.losses(class, most)
	return s
}

// losses says, per number of free devices on a node, how many of them are lost
// to the gangs that the class is offered to: those that none of a size fits
// into, weighed by how many jobs ask for that size.
func (a *placer) losses(class, most int) []int64 {
	weight := map[int64]int64{}
	for f := range a.p.Offers {
		if o := &a.p.Offers[f]; o.Class == class && o.PerNode > 1 && a.in.usable[f] {
			weight[o.PerNode]++
		}
	}
	loss := make([]int64, most+1)
	for per, w := range weight { // a sum: order does not matter
		for f := range loss {
			loss[f] += w * (int64(f) % per)
		}
	}
	return loss
}

// peek is the best node with exactly free free devices, or -1.
func (s *shelves) peek(free int) int {
	for len(s.by[free]) > 0 {
		e := s.by[free][0]
		if e.version == s.nodes[e.at].version {
			return e.at
		}
		heap.Pop(&s.by[free])
	}
	return -1
}

// put files a node again after its free devices changed.
func (s *shelves) put(i int) {
	n := &s.nodes[i]
	n.version++
	if len(n.free) > 0 {
		heap.Push(&s.by[len(n.free)], shelfEntry{n.easy, i, n.version})
	}
}

// hide takes a node off its shelf until it is put back.
func (s *shelves) hide(i int) { s.nodes[i].version++ }

// gang finds need devices on each of count nodes, the fullest that fit first as
// the model's rule has it, and of those with equally many free devices the ones
// that displace fewest miners; one rack before several where that costs no
// fuller node. It returns nil when there is no room.
func (a *placer) gang(s *shelves, need, count int64) []int {
	if len(s.inRack) > 0 && count > 1 {
		if out := a.oneRack(s, need, count); out != nil {
			return out
		}
	}
	var picked []int
	for f := int(need); f < len(s.by) && int64(len(picked)) < count; f++ {
		for int64(len(picked)) < count {
			i := s.peek(f)
			if i < 0 {
				break
			}
			if s.parts {
				i = a.whole(s, f, i, need)
			}
			s.hide(i)
			picked = append(picked, i)
		}
	}
	return a.settleOn(s, picked, need, count)
}

// settleOn takes the devices on the picked nodes, or puts the nodes back.
func (a *placer) settleOn(s *shelves, picked []int, need, count int64) []int {
	if int64(len(picked)) < count {
		for _, i := range picked {
			s.put(i)
		}
		return nil
	}
	out := make([]int, 0, need*count)
	for _, i := range picked {
		out = append(out, a.from(s, i, need)...)
	}
	return out
}

// whole looks for a node with f free devices of which need form one island; first
// is the best of them and the answer where there is none among the next few.
func (a *placer) whole(s *shelves, f, first int, need int64) int {
	const few = 8
	at := first
	var passed []int
	for i := first; i >= 0; i = s.peek(f) {
		if a.island(s.nodes[i].free, need) > 0 {
			at = i
			break
		}
		if len(passed) == few {
			break
		}
		passed = append(passed, i)
		s.hide(i)
	}
	for _, i := range passed {
		s.put(i)
	}
	return at
}

// island is the smallest island with need of the devices, 0 when there is none.
func (a *placer) island(free []int, need int64) int {
	count := map[int]int64{}
	for _, d := range free {
		if i := a.inv.Devices[d].Island; i > 0 {
			count[i]++
		}
	}
	best := 0
	for i, n := range count { // the least by (size, number)
		if n >= need && (best == 0 || n < count[best] || n == count[best] && i < best) {
			best = i
		}
	}
	return best
}

// from takes n devices of a node: of one island where one holds them, else the
// cheapest.
func (a *placer) from(s *shelves, i int, n int64) []int {
	node := &s.nodes[i]
	if s.parts && n > 1 {
		if isle := a.island(node.free, n); isle > 0 {
			slices.SortStableFunc(node.free, func(x, y int) int {
				return cmp.Compare(boolInt(a.inv.Devices[x].Island != isle), boolInt(a.inv.Devices[y].Island != isle))
			})
		}
	}
	out := slices.Clone(node.free[:n])
	s.drop(a, i, out)
	return out
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// drop notes that devices of a node are taken.
func (s *shelves) drop(a *placer, i int, devices []int) {
	n := &s.nodes[i]
	kept := make([]int, 0, len(n.free)-len(devices))
	for _, d := range n.free {
		if !slices.Contains(devices, d) {
			kept = append(kept, d)
		}
	}
	for _, d := range devices {
		if a.cost(d, None) < 3 {
			n.easy--
		}
	}
	s.resize(i, len(n.free), len(kept))
	n.free = kept
	if s.parts { // a choice of an island left them in another order
		slices.SortStableFunc(n.free, func(x, y int) int { return cmp.Or(cmp.Compare(a.cost(x, None), a.cost(y, None)), cmp.Compare(x, y)) })
	}
	s.put(i)
}

// oneRack looks for a rack with count nodes of exactly the sizes that the rule
// would take elsewhere: the same fullness, so that no later gang loses room.
func (a *placer) oneRack(s *shelves, need, count int64) []int {
	size := make([]int64, len(s.by)) // the rule's own choice: nodes of each size
	left := count
	for f := int(need); f < len(s.by) && left > 0; f++ {
		size[f] = min(s.count[f], left)
		left -= size[f]
	}
	if left > 0 {
		return nil
	}
	for rack := range s.inRack {
		ok := true
		for f, n := range size {
			ok = ok && s.rackCount[rack][f] >= n
		}
		if !ok {
			continue
		}
		var picked []int
		for _, i := range s.inRack[rack] {
			if f := len(s.nodes[i].free); size[f] > 0 {
				size[f]--
				s.hide(i)
				picked = append(picked, i)
			}
		}
		return a.settleOn(s, picked, need, count)
	}
	return nil
}

// resize keeps count of the nodes by size.
func (s *shelves) resize(i, from, to int) {
	s.count[from]--
	s.count[to]++
	if r := s.nodes[i].rack; r >= 0 {
		s.rackCount[r][from]--
		s.rackCount[r][to]++
	}
}

// spread finds width devices on whatever nodes: at each step where taking them
// costs the gangs of the class least room per device, then on the fullest node.
func (a *placer) spread(s *shelves, width int64) []int {
	var out []int
	for int64(len(out)) < width {
		want := width - int64(len(out))
		at := -1
		var size, loss int64 // of the best: devices, and room lost with them
		for f := 1; f < len(s.by); f++ {
			i := s.peek(f)
			if i < 0 {
				continue
			}
			n := min(int64(f), want)
			if l := s.loss[int64(f)-n] - s.loss[f]; at < 0 || l*size < loss*n {
				at, size, loss = i, n, l
			}
		}
		if at < 0 {
			break
		}
		out = append(out, a.from(s, at, size)...)
	}
	if int64(len(out)) == width {
		return out
	}
	for _, d := range out { // not enough: as if nothing had been taken
		s.back(a, d)
	}
	return nil
}

// back undoes drop for one device.
func (s *shelves) back(a *placer, d int) {
	i := s.at[a.inv.Devices[d].Node]
	n := &s.nodes[i]
	s.resize(i, len(n.free), len(n.free)+1)
	n.free = append(n.free, d)
	slices.SortStableFunc(n.free, func(x, y int) int { return cmp.Or(cmp.Compare(a.cost(x, None), a.cost(y, None)), cmp.Compare(x, y)) })
	if a.cost(d, None) < 3 {
		n.easy++
	}
	s.put(i)
}
