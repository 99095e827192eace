package market

import (
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
)

// PUE is the power usage effectiveness of a hall: its own cooling, else its
// site's, else 1.
func PUE(set *config.Set, site workload.SiteName, hall workload.HallName) workload.PPM {
	s := set.Site(site)
	if s == nil {
		return workload.One
	}
	cooling := s.Power.Cooling
	for _, h := range s.Power.Halls {
		if h.Name == hall && h.Cooling != nil {
			cooling = h.Cooling
		}
	}
	if cooling == nil {
		return workload.One
	}
	pue := cooling.PUE
	for _, p := range cooling.Curve {
		pue = max(pue, p.PUE) // no outdoor feed: the worst case of the curve
	}
	return max(pue, workload.One)
}
