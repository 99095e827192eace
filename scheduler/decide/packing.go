package decide

// packs tells whether the given offers of one class fit its nodes. The rule is
// part of the model: running gangs that stay hold the nodes they are on; the
// others are taken by falling PerNode, then falling width, then offer id, and
// each asks for its share on the fullest nodes that still have room. When sizes
// divide one another, as powers of two do, the rule loses nothing.
func (in *instance) packs(class int, offers []int) bool {
	_, ok := in.room(class, offers)
	return ok
}

// packsWith tells whether n devices on one node are left beside the offers.
func (in *instance) packsWith(class int, offers []int, n int64) bool {
	r, ok := in.room(class, offers)
	return ok && r.take(n, 1)
}

// shelf counts nodes by how many devices they have free, ascending. The rule
// above looks at nothing else of a node, and a class has few different figures.
type shelf []bin

type bin struct{ free, nodes int64 }

// add puts nodes on the shelf.
func (s *shelf) add(free, nodes int64) {
	i := len(*s)
	for i > 0 && (*s)[i-1].free >= free {
		i--
	}
	if i < len(*s) && (*s)[i].free == free {
		(*s)[i].nodes += nodes
		return
	}
	*s = append(*s, bin{})
	copy((*s)[i+1:], (*s)[i:])
	(*s)[i] = bin{free, nodes}
}

// take takes need devices on each of count different nodes, the fullest that
// fit first. What it took from is put back only at the end, so that no node
// serves twice. After a refusal the shelf is of no use.
func (s *shelf) take(need, count int64) bool {
	var few [8]bin
	back := few[:0]
	i := 0
	for i < len(*s) && (*s)[i].free < need {
		i++
	}
	for n := i; count > 0; n++ {
		if n == len(*s) {
			return false
		}
		b := &(*s)[n]
		k := min(b.nodes, count)
		b.nodes -= k
		count -= k
		back = append(back, bin{b.free - need, k})
	}
	n := i
	for _, b := range (*s)[i:] {
		if b.nodes > 0 {
			(*s)[n] = b
			n++
		}
	}
	*s = (*s)[:n]
	for _, b := range back {
		s.add(b.free, b.nodes)
	}
	return true
}

// shelfOf is the class with nothing on it.
func (in *instance) shelfOf(class int) shelf {
	if in.shelves == nil {
		in.shelves = make([]shelf, len(in.p.Classes))
	}
	if in.shelves[class] == nil {
		s := shelf{}
		for _, n := range in.p.Classes[class].Nodes {
			s.add(n.Free, 1)
		}
		in.shelves[class] = s
	}
	return in.shelves[class]
}

// room packs the offers and returns what is left, until the next call.
func (in *instance) room(class int, offers []int) (shelf, bool) {
	nodes := in.p.Classes[class].Nodes
	if len(nodes) == 0 {
		return nil, true
	}
	left, fresh := append(in.left[:0], in.shelfOf(class)...), in.fresh[:0]
	defer func() { in.left, in.fresh = left, fresh }()
	var taken map[int]int64 // by node
	for _, f := range offers {
		o := &in.p.Offers[f]
		j := &in.p.Jobs[o.Job]
		if j.Current != f || len(j.On) == 0 {
			if o.PerNode > 0 {
				fresh.add(o.PerNode, o.Width)
			}
			continue
		}
		for _, u := range j.On {
			i := nodeIndex(nodes, u.Node)
			if i < 0 {
				return nil, false
			}
			if taken == nil {
				taken = map[int]int64{}
			}
			if taken[i] += u.Devices; taken[i] > nodes[i].Free {
				return nil, false
			}
			left.shrink(nodes[i].Free-taken[i]+u.Devices, u.Devices)
		}
	}
	for _, q := range fresh {
		for range q.n {
			if !left.take(q.perNode, q.width/q.perNode) {
				return nil, false
			}
		}
	}
	return left, true
}

// queue counts offers in the order in which they are packed; which of equal ones
// comes first makes no difference to what fits.
type queue []queued

type queued struct{ perNode, width, n int64 }

func (q *queue) add(perNode, width int64) {
	i := 0
	for ; i < len(*q); i++ {
		x := &(*q)[i]
		if x.perNode == perNode && x.width == width {
			x.n++
			return
		}
		if x.perNode < perNode || x.perNode == perNode && x.width < width {
			break
		}
	}
	*q = append(*q, queued{})
	copy((*q)[i+1:], (*q)[i:])
	(*q)[i] = queued{perNode, width, 1}
}

// shrink takes n devices off one node that has free.
func (s *shelf) shrink(free, n int64) {
	for i := range *s {
		if b := &(*s)[i]; b.free == free {
			if b.nodes--; b.nodes == 0 {
				*s = append((*s)[:i], (*s)[i+1:]...)
			}
			break
		}
	}
	s.add(free-n, 1)
}

func sortFresh(p *Problem, fs []int) {
	for i := 1; i < len(fs); i++ { // short lists, and no closure to allocate
		for k := i; k > 0 && packBefore(p, fs[k], fs[k-1]); k-- {
			fs[k], fs[k-1] = fs[k-1], fs[k]
		}
	}
}

func packBefore(p *Problem, a, b int) bool {
	x, y := &p.Offers[a], &p.Offers[b]
	if x.PerNode != y.PerNode {
		return x.PerNode > y.PerNode
	}
	if x.Width != y.Width {
		return x.Width > y.Width
	}
	return a < b
}

func nodeIndex(nodes []NodeShape, node int) int {
	lo, hi := 0, len(nodes)
	for lo < hi {
		mid := (lo + hi) / 2
		if nodes[mid].Node < node {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(nodes) && nodes[lo].Node == node {
		return lo
	}
	return -1
}
