package planner

import (
	"cmp"
	"slices"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
)

// owing is one job's part of its tenant's guarantee while it is shared out.
type owing struct {
	id       workload.JobID
	width    int // narrowest, or as it runs
	priority int
	runs     bool
}

// addGuarantees finds the jobs that their tenants' guarantees cover. A guarantee
// goes to the tenant's jobs of the highest priority first, among those to the
// ones that run already, then to the oldest; a gang that no longer fits as a
// whole is borrowed as a whole, and a narrower one after it may still fit. What
// is covered is never preempted, and started before all else.
func (b *Board) addGuarantees() {
	owings := map[workload.TenantName][]owing{}
	for d := range b.Policy.OfKind(config.KindTenant) {
		if d.Tenant.Guarantee > 0 {
			owings[workload.TenantName(d.Name)] = nil
		}
	}
	if len(owings) == 0 {
		return
	}
	for _, id := range b.active {
		j, a, runs := b.attempt(id)
		if list, has := owings[j.Spec.Tenant]; has && runs {
			owings[j.Spec.Tenant] = append(list, owing{id: id, width: len(a.Devices), priority: priorityOf(j.Spec.Value.Priority), runs: true})
		}
	}
	for _, k := range b.kins {
		if _, has := owings[k.key.tenant]; !has {
			continue
		}
		for _, m := range k.members {
			owings[k.key.tenant] = append(owings[k.key.tenant], owing{id: m.id, width: narrowest(k.spec.Gang), priority: priorityOf(k.key.priority)})
		}
	}
	for tenant, list := range owings { // each tenant stands alone: order does not matter
		slices.SortFunc(list, func(x, y owing) int {
			if c := cmp.Compare(y.priority, x.priority); c != 0 || x.runs == y.runs {
				return cmp.Or(c, cmp.Compare(x.id, y.id))
			}
			if x.runs {
				return -1
			}
			return 1
		})
		left := b.Policy.Tenant(tenant).Guarantee
		for _, o := range list {
			if o.width <= left {
				left -= o.width
				b.owed[o.id] = true
			}
		}
	}
}

func priorityOf(p workload.Priority) int {
	switch p {
	case workload.Low:
		return -1
	case workload.High:
		return 1
	}
	return 0
}

// narrowest is the least width at which a gang runs.
func narrowest(g workload.Gang) int {
	if g.Elastic != nil && g.Elastic.Min > 0 {
		return g.Elastic.Min
	}
	return g.GPUs
}
