package planner

import (
	"path"
	"slices"
	"strings"

	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// localTo lists the nodes on which a job that has run before finds its
// checkpoint: those it ran on and, where their site shares the directory, every
// node of that site. bound is false when any node will do.
func (b *Board) localTo(j state.Job) (nodes []workload.NodeID, bound bool) {
	if j.Spec.Checkpoint.Dir == "" || len(j.CheckpointNodes) == 0 {
		return nil, false
	}
	shared := map[workload.SiteName]bool{}
	for _, n := range j.CheckpointNodes {
		node := b.View.Nodes[n]
		if site := b.Policy.Site(node.Site); site != nil && under(j.Spec.Checkpoint.Dir, site.SharedPaths) {
			shared[node.Site] = true
		} else {
			nodes = append(nodes, n)
		}
	}
	if len(shared) > 0 {
		for _, n := range b.View.NodeIDs() {
			if shared[b.View.Nodes[n].Site] {
				nodes = append(nodes, n)
			}
		}
		if len(nodes) >= len(b.View.Nodes) {
			return nil, false
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes), true
}

// under reports whether a directory is one of the paths or lies below one. A
// relative one lies below each node's own data and never is.
func under(dir string, paths []string) bool {
	dir = path.Clean(dir)
	for _, p := range paths {
		p = path.Clean(p)
		if path.IsAbs(dir) && (dir == p || strings.HasPrefix(dir, strings.TrimSuffix(p, "/")+"/")) {
			return true
		}
	}
	return false
}

// room counts a class's devices on some nodes that no job holds, in portions of
// perNode where that is not 0. A job that is bound to nodes waits until they
// have room: counts alone could stop another job elsewhere for it, in vain.
func (b *Board) room(ci int, nodes []workload.NodeID, perNode int) int {
	sum := 0
	for _, n := range nodes {
		here := 0
		for _, dev := range b.View.Nodes[n].Devices {
			i, inside := b.place[dev]
			if !inside || b.Inventory.Devices[i].Class != ci || b.Inventory.Devices[i].Dwell {
				continue
			}
			use := b.View.Devices[dev].Assigned
			if _, ends := b.ends[use.Job]; use.Kind != workload.Training || ends {
				here++
			}
		}
		if perNode > 0 && here >= perNode {
			here = perNode
		} else if perNode > 0 {
			here = 0
		}
		sum += here
	}
	return sum
}

// setLocal tells Place on which nodes a job may stand.
func (b *Board) setLocal(pos int, nodes []int) {
	for len(b.Inventory.Local) <= pos {
		b.Inventory.Local = append(b.Inventory.Local, nil)
	}
	b.Inventory.Local[pos] = nodes
}

// positions translates nodes into those of the inventory, ascending.
func (b *Board) positions(nodes []workload.NodeID) []int {
	at := []int{}
	for _, n := range nodes {
		if i, ok := b.nodeAt[n]; ok {
			at = append(at, i)
		}
	}
	slices.Sort(at)
	return at
}
