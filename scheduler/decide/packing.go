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
	free, ok := in.room(class, offers)
	return ok && takeNodes(free, n, 1)
}

// room packs the offers and returns what is left on each node.
func (in *instance) room(class int, offers []int) ([]int64, bool) {
	nodes := in.p.Classes[class].Nodes
	if len(nodes) == 0 {
		return nil, true
	}
	free := make([]int64, len(nodes))
	for i, n := range nodes {
		free[i] = n.Free
	}
	var fresh []int
	for _, f := range offers {
		o := in.p.Offers[f]
		j := in.p.Jobs[o.Job]
		if j.Current != f || len(j.On) == 0 {
			if o.PerNode > 0 {
				fresh = append(fresh, f)
			}
			continue
		}
		for _, u := range j.On {
			i := nodeIndex(nodes, u.Node)
			if i < 0 || free[i] < u.Devices {
				return nil, false
			}
			free[i] -= u.Devices
		}
	}
	sortFresh(in.p, fresh)
	for _, f := range fresh {
		o := in.p.Offers[f]
		if !takeNodes(free, o.PerNode, o.Width/o.PerNode) {
			return nil, false
		}
	}
	return free, true
}

// takeNodes takes need devices on each of count different nodes, the fullest
// that fit first.
func takeNodes(free []int64, need, count int64) bool {
	used := make([]bool, len(free))
	for ; count > 0; count-- {
		best := -1
		for i, f := range free {
			if !used[i] && f >= need && (best < 0 || f < free[best]) {
				best = i
			}
		}
		if best < 0 {
			return false
		}
		used[best] = true
		free[best] -= need
	}
	return true
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
