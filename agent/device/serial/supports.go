package serial

import (
	"strings"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/serial/bm"
)

var (
	_ device.Catalogue = (*Driver)(nil)
	_ device.Resetter  = (*Driver)(nil)
	_ device.Tester    = (*Driver)(nil)
)

// Supports implements device.Catalogue: a row for each chip.
func (d *Driver) Supports() []device.Support {
	var rows []device.Support
	for i := range bm.Models {
		m := &bm.Models[i]
		reads := []string{"chips", "hashrate", "hardware errors"}
		if m.Thermal {
			reads = append(reads, "temperature")
		}
		found := "a port named by --serial"
		for _, q := range products {
			if q.chip == m.Name || q.chip == "" {
				found = q.name + ", " + found
			}
		}
		rows = append(rows, device.Support{Hardware: strings.ToUpper(m.Name), Reads: reads, Abilities: device.Abilities(d), Note: "mined on directly; found as " + found})
	}
	return rows
}
