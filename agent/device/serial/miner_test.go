package serial

import (
	"testing"
	"time"

	"github.com/sluice-project/sluice/agent/device/serial/bm"
	"github.com/sluice-project/sluice/agent/device/serial/emulate"
)

// Every model mines: chips are found, brought up and fed, and the pool accepts
// what they return.
func TestMines(t *testing.T) {
	for i := range bm.Models {
		m := &bm.Models[i]
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			c := emulated(t, emulate.Config{Model: m.Name, Chips: 3, ZeroBits: 6})
			p := pool(t, "0.0000005")
			miner := testMiner(t, MinerConfig{Port: PortSpec{Path: c.Path(), ZeroBits: 6}, Pools: []string{p.Addr()}})
			stop := background(t, miner.Run)
			until(t, patience, "shares are accepted", func() (bool, any) {
				st := miner.Status()
				return st.Accepted >= 10 && st.Hashrate > 0, st
			})
			st := miner.Status()
			if st.Chip != m.Name || st.Chips != 3 || st.State != "mining" || st.Note != "" {
				t.Errorf("status %+v", st)
			}
			if st.HardwareErrors > st.Nonces/100 || refused(miner) > 0 {
				t.Errorf("%d of %d nonces are wrong, %+v", st.HardwareErrors, st.Nonces, miner.Stats())
			}
			if st.Baud != bm.Baud(m.Baud.Fast) || c.Stats().Baud != st.Baud {
				t.Errorf("the line runs at %d, the chips at %d", st.Baud, c.Stats().Baud)
			}
			for chip, n := range st.PerChip {
				if n == 0 && st.Nonces > 60 {
					t.Errorf("chip %d has no nonce of %d", chip, st.Nonces)
				}
			}
			if m.Thermal != (st.MilliC > 0) {
				t.Errorf("temperature %d", st.MilliC)
			}
			stop()
			until(t, patience, "the chips rest", func() (bool, any) {
				before := c.Stats().Hashes
				time.Sleep(50 * time.Millisecond)
				return c.Stats().Hashes == before, c.Stats()
			})
		})
	}
}
