package sim

import (
	"testing"
	"time"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/devicetest"
	"github.com/sluice-project/sluice/workload"
)

func fleet(now func() time.Time) *Driver {
	return New(Config{Name: "n1", Now: now, Models: []Model{
		{Name: "RTX 3080", Kind: workload.GPU, Memory: 10 << 30, Idle: 22, Count: 2},
		{Name: "S19", Kind: workload.ASIC, Idle: 40, Count: 1}}})
}

func TestConformance(t *testing.T) {
	devicetest.Exercise(t, func(*testing.T) device.Driver { return fleet(nil) })
}

func TestFiguresFollowTheUse(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	d := fleet(func() time.Time { return at })
	sample := func() workload.Sample {
		s, err := d.Sample(t.Context(), "sim-n1-000")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	idle := sample()
	if idle.Watts < 21 || idle.Watts > 22 || idle.Hashrate != 0 || !idle.Sim {
		t.Errorf("idle %+v", idle)
	}
	d.SetUse("sim-n1-000", device.Activity{Use: workload.Mining, Hashrate: 46_400_000_000, Watts: 279})
	busy := sample()
	if busy.Watts < 277 || busy.Watts > 279 || busy.Hashrate < 46_100_000_000 || busy.Hashrate > 46_400_000_000 || busy.MilliC <= idle.MilliC {
		t.Errorf("mining %+v", busy)
	}
	if busy.Accepted != -1 || busy.ProcessHashrate != -1 {
		t.Error("a model claims work of a real process")
	}
	if again := sample(); again != busy {
		t.Error("the same second gives another figure")
	}
	if _, err := d.SetPowerCap(t.Context(), "sim-n1-000", 200); err != nil {
		t.Fatal(err)
	}
	if s := sample(); s.Watts > 200 || s.Hashrate >= busy.Hashrate {
		t.Errorf("capped %+v", s)
	}
}
