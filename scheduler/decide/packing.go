package decide

import "slices"

// packs tells whether the given offers of one class fit its nodes. The rule is
// part of the model: running gangs that stay hold the nodes they are on; the
// others are taken by falling PerNode, then falling width, then offer id, and
// each asks for its share on the fullest nodes that still have room. When sizes
// divide one another, as powers of two do, the rule loses nothing.
//
// Nodes with equally many free devices are the same to the rule, so it works on
// how many nodes there are of each size: there are few sizes even where there
// are ten thousand nodes.
func (in *instance) packs(class int, offers []int) bool {
	_, ok := in.room(class, offers)
	return ok
}

// packsWith tells whether n devices on one node are left beside the offers.
func (in *instance) packsWith(class int, offers []int, n int64) bool {
	left, ok := in.room(class, offers)
	return ok && left.take(n, 1)
}

// sizes counts nodes by their free devices, ascending. It is empty for a class
// whose nodes are not known.
type sizes []sizeCount

type sizeCount struct{ free, nodes int64 }

// at is where a size stands, or would.
func (s sizes) at(free int64) (int, bool) {
	return slices.BinarySearchFunc(s, free, func(c sizeCount, f int64) int { return int(c.free - f) })
}

// put adds nodes of a size, or takes them away. Sizes that ran out stay, so that
// no position moves under a loop over larger ones.
func (s *sizes) put(free, nodes int64) {
	i, ok := s.at(free)
	if !ok {
		*s = slices.Insert(*s, i, sizeCount{free: free})
	}
	(*s)[i].nodes += nodes
}

// take takes need devices on each of count different nodes, the fullest that fit
// first.
func (s *sizes) take(need, count int64) bool {
	i, _ := s.at(need)
	for count > 0 && i < len(*s) {
		c := (*s)[i]
		if n := min(count, c.nodes); n > 0 {
			(*s)[i].nodes -= n
			before := len(*s)
			s.put(c.free-need, n) // smaller, hence behind us: no node serves a gang twice
			i += len(*s) - before
			count -= n
		}
		i++
	}
	return count == 0
}

// room packs the offers and returns what is left. The result is valid until the
// next call.
func (in *instance) room(class int, offers []int) (*sizes, bool) {
	nodes := in.p.Classes[class].Nodes
	in.left = in.left[:0]
	if len(nodes) == 0 {
		return &in.left, true
	}
	if in.shelf == nil {
		in.shelf = make([]sizes, len(in.p.Classes))
	}
	if in.shelf[class] == nil {
		for _, n := range nodes {
			in.shelf[class].put(n.Free, 1)
		}
	}
	in.left = append(in.left, in.shelf[class]...)
	in.fresh = in.fresh[:0]
	if !in.standing(class, offers) {
		return nil, false
	}
	sortFresh(in.p, in.fresh)
	for _, f := range in.fresh {
		o := &in.p.Offers[f]
		if !in.left.take(o.PerNode, o.Width/o.PerNode) {
			return nil, false
		}
	}
	return &in.left, true
}

// standing takes the nodes of the running gangs that stay out of in.left and
// collects the others in in.fresh.
func (in *instance) standing(class int, offers []int) bool {
	nodes := in.p.Classes[class].Nodes
	if len(in.used) < len(nodes) {
		in.used = make([]int64, len(nodes))
	}
	in.touched = in.touched[:0]
	ok := true
	for _, f := range offers {
		o := &in.p.Offers[f]
		j := &in.p.Jobs[o.Job]
		if j.Current != f || len(j.On) == 0 {
			if o.PerNode > 0 {
				in.fresh = append(in.fresh, f)
			}
			continue
		}
		for _, u := range j.On {
			i := nodeIndex(nodes, u.Node)
			if i < 0 {
				ok = false
				continue
			}
			if in.used[i] == 0 {
				in.touched = append(in.touched, i)
			}
			in.used[i] += u.Devices
		}
	}
	for _, i := range in.touched {
		if u := in.used[i]; u > nodes[i].Free {
			ok = false
		} else {
			in.left.put(nodes[i].Free, -1)
			in.left.put(nodes[i].Free-u, 1)
		}
		in.used[i] = 0
	}
	return ok
}

// sortFresh puts offers in the order in which the rule packs them.
func sortFresh(p *Problem, fs []int) {
	slices.SortFunc(fs, func(a, b int) int {
		if packBefore(p, a, b) {
			return -1
		}
		return 1
	})
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
