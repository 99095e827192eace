package serial

import (
	"testing"

	"github.com/sluice-project/sluice/agent/device/serial/bm"
	"github.com/sluice-project/sluice/agent/device/serial/emulate"
	"github.com/sluice-project/sluice/agent/stratum"
	"github.com/sluice-project/sluice/agent/stratum/practice"
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
			// The fast speed, or the slow one where a busy machine let the chips
			// answer too late.
			if chips := c.Stats().Baud; max(chips, st.Baud)-min(chips, st.Baud) > chips/30 {
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
			until(t, patience, "the chips rest", func() (bool, any) { return c.Stats().KHz <= bm.RampStart, c.Stats() })
		})
	}
}

// Without a pool the chips rest; with one again they mine, and nothing of the
// time before is sent to it.
func TestPoolLost(t *testing.T) {
	t.Parallel()
	c := emulated(t, emulate.Config{Model: "bm1370", ZeroBits: 6})
	first, err := practice.NewPool(practice.PoolConfig{Difficulty: stratum.MustDifficulty("0.0000005")})
	if err != nil {
		t.Fatal(err)
	}
	lose := background(t, first.Run)
	second := pool(t, "0.0000005")
	m := testMiner(t, MinerConfig{Port: PortSpec{Path: c.Path(), ZeroBits: 6}, Pools: []string{first.Addr(), second.Addr()}})
	background(t, m.Run)
	mined(t, m, 10)
	lose()
	until(t, patience, "the other pool accepts shares", func() (bool, any) {
		st := second.Stats()
		return st.Accepted >= 3, st
	})
	if st := m.Status(); st.Pool != "stratum+tcp://"+second.Addr() || refused(m) > 0 {
		t.Errorf("%+v, %+v", st, m.Stats())
	}
	if c.Stats().KHz <= bm.RampStart {
		t.Errorf("the chips rest: %+v", c.Stats())
	}
}
