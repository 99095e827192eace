package market

import (
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
)

// PUE is the power usage effectiveness of a hall, and 1 at a site that no
// document describes. No feed tells the outdoor temperature yet.
func PUE(set *config.Set, site workload.SiteName, hall workload.HallName) workload.PPM {
	if s := set.Site(site); s != nil {
		return s.PUE(hall, nil)
	}
	return workload.One
}
