package serial

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-project/sluice/agent/device/serial/bm"
	"github.com/sluice-project/sluice/agent/device/serial/emulate"
)

// mined waits for a number of good nonces.
func mined(t *testing.T, m *Miner, nonces uint64) Status {
	t.Helper()
	var st Status
	until(t, patience, "nonces come", func() (bool, any) { st = m.Status(); return st.Nonces >= nonces, st })
	return st
}

// E1: noise, flipped bits, lost bytes, frames in pieces and several at once cost
// the frames hit and no others.
func TestNoisyLine(t *testing.T) {
	t.Parallel()
	c := emulated(t, emulate.Config{Model: "bm1366", Chips: 4, ZeroBits: 6,
		Faults: emulate.Faults{Seed: 7, Noise: 300_000, Corrupt: 20_000, Drop: 20_000, Split: 50_000, Join: 3, Duplicate: 20_000}})
	p := pool(t, "0.0000005")
	m := testMiner(t, MinerConfig{Port: PortSpec{Path: c.Path(), ZeroBits: 6}, Pools: []string{p.Addr()}, Ticket: 1})
	stop := background(t, m.Run)
	mined(t, m, 1000)
	c.SetFaults(emulate.Faults{Mute: true}) // so that what is under way arrives
	chip := c.Stats()
	until(t, patience, "every whole nonce arrives", func() (bool, any) {
		st := m.Status()
		return st.Nonces+st.Duplicates >= chip.Whole, st
	})
	stop()
	st := m.Status()
	if st.NoiseBytes == 0 || st.Duplicates == 0 || chip.Whole == chip.Nonces {
		t.Errorf("the line was not noisy: %+v, %+v", st, chip)
	}
	if st.HardwareErrors > st.Nonces/20 {
		t.Errorf("noise is taken for %d errors of %d nonces", st.HardwareErrors, st.Nonces)
	}
	if st.Chips != 4 || refused(m) > 0 {
		t.Errorf("status %+v, %+v", st, m.Stats())
	}
}

// More than a thousand nonces a second come through, and none is lost.
func TestNonceRate(t *testing.T) {
	if testing.Short() {
		t.Skip("a figure")
	}
	c := emulated(t, emulate.Config{Model: "bm1368", Chips: 12, ZeroBits: 6})
	p := pool(t, "0.0001")
	m := testMiner(t, MinerConfig{Port: PortSpec{Path: c.Path(), ZeroBits: 6}, Pools: []string{p.Addr()}, Ticket: 1})
	stop := background(t, m.Run)
	before := mined(t, m, 100)
	began := time.Now()
	after := mined(t, m, before.Nonces+3000)
	rate := float64(after.Nonces-before.Nonces) / time.Since(began).Seconds()
	c.SetFaults(emulate.Faults{Mute: true}) // so that what is under way arrives
	sent := c.Stats().Nonces
	until(t, patience, "all arrive", func() (bool, any) {
		st := m.Status()
		return st.Nonces+st.Duplicates >= sent, st
	})
	stop()
	t.Logf("figure: %.0f nonces/s, %d sent, %d good, %d twice, %d wrong", rate, sent, m.Status().Nonces, m.Status().Duplicates, m.Status().HardwareErrors)
	if st := m.Status(); st.HardwareErrors > 0 || st.NoiseBytes > 0 {
		t.Errorf("%+v", st)
	}
}

// E3: chips that fall silent are brought up anew, then power-cycled, then given
// up.
func TestSilence(t *testing.T) {
	t.Parallel()
	c := emulated(t, emulate.Config{Model: "bm1370", Chips: 2, ZeroBits: 6})
	p := pool(t, "0.0000005")
	var cycles atomic.Int32
	m := testMiner(t, MinerConfig{Port: PortSpec{Path: c.Path(), Model: "bm1370", ZeroBits: 6}, Pools: []string{p.Addr()}, Silence: time.Second,
		Cycle: func(context.Context) error {
			cycles.Add(1)
			c.SetFaults(emulate.Faults{})
			c.Reset()
			return nil
		}})
	background(t, m.Run)
	first := mined(t, m, 20)
	c.SetFaults(emulate.Faults{Mute: true})
	until(t, patience, "the power is cycled", func() (bool, any) { return cycles.Load() == 1, m.Status() })
	until(t, patience, "it mines again", func() (bool, any) {
		st := m.Status()
		return st.State == "mining" && st.Nonces > 0 && st.BringUps > first.BringUps, st
	})
	if st := m.Status(); st.BringUps < first.BringUps+2 {
		t.Errorf("%d bring-ups after %d: the first was to be without a power cycle", st.BringUps, first.BringUps)
	}
}

func TestGivenUp(t *testing.T) {
	t.Parallel()
	c := emulated(t, emulate.Config{Model: "bm1370", ZeroBits: 6, Faults: emulate.Faults{Mute: true}})
	p := pool(t, "0.0000005")
	m := testMiner(t, MinerConfig{Port: PortSpec{Path: c.Path(), Model: "bm1370", ZeroBits: 6}, Pools: []string{p.Addr()}, Silence: time.Second, Cycle: func(context.Context) error { return errors.New("no way") }})
	if err := m.Run(t.Context()); !errors.Is(err, errSilent) {
		t.Errorf("chips that never find anything: %v", err)
	}
}

// A chain that hangs altogether, and comes back.
func TestStall(t *testing.T) {
	t.Parallel()
	c := emulated(t, emulate.Config{Model: "bm1362", Chips: 2, ZeroBits: 6})
	p := pool(t, "0.0000005")
	m := testMiner(t, MinerConfig{Port: PortSpec{Path: c.Path(), Model: "bm1362", ZeroBits: 6}, Pools: []string{p.Addr()}, Silence: time.Second,
		Cycle: func(context.Context) error { c.SetFaults(emulate.Faults{}); c.Reset(); return nil }})
	background(t, m.Run)
	mined(t, m, 20)
	c.SetFaults(emulate.Faults{Stalled: true})
	until(t, patience, "it is seen", func() (bool, any) { st := m.Status(); return st.State != "mining", st })
	until(t, patience, "it mines again", func() (bool, any) { st := m.Status(); return st.State == "mining" && st.Nonces > 0, st })
}

// E4: what is found counts, not what should be there.
func TestMissingChips(t *testing.T) {
	t.Parallel()
	c := emulated(t, emulate.Config{Model: "bm1370", Chips: 4, ZeroBits: 6, Faults: emulate.Faults{Missing: 1}})
	st, err := Probe(t.Context(), PortSpec{Path: c.Path(), ZeroBits: 6, Chips: 4})
	if err != nil || st.Chips != 3 || st.ModelName() != "BM1370 x3" || st.Note != "3 of 4 chips answer" {
		t.Errorf("%+v, %v", st, err)
	}
}

// E4: a chain that was left at another speed is found, and brought back.
func TestWrongBaud(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bm1370", "bm1397"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			model, _ := bm.ByName(name)
			c := emulated(t, emulate.Config{Model: name, Chips: 2, ZeroBits: 6, Divider: model.Baud.Fast})
			st, err := Probe(t.Context(), PortSpec{Path: c.Path(), ZeroBits: 6})
			if err != nil || st.Chips != 2 || st.Baud != slowBaud {
				t.Errorf("%+v, %v", st, err)
			}
		})
	}
	t.Run("a speed nobody uses", func(t *testing.T) {
		t.Parallel()
		c := emulated(t, emulate.Config{Model: "bm1370", Divider: 77})
		if st, err := Probe(t.Context(), PortSpec{Path: c.Path()}); err == nil {
			t.Errorf("found %+v", st)
		}
	})
}

// Chips that do not survive the change of speed are used at the slow one, once
// a power cycle has brought them back.
func TestMuteOnBaud(t *testing.T) {
	t.Parallel()
	c := emulated(t, emulate.Config{Model: "bm1370", Chips: 1, ZeroBits: 6, Faults: emulate.Faults{MuteOnBaud: true}})
	p := pool(t, "0.0000005")
	m := testMiner(t, MinerConfig{Port: PortSpec{Path: c.Path(), Model: "bm1370", ZeroBits: 6}, Pools: []string{p.Addr()},
		Cycle: func(context.Context) error { c.Reset(); return nil }})
	background(t, m.Run)
	if st := mined(t, m, 10); st.Baud != slowBaud {
		t.Errorf("it mines at %d baud", st.Baud)
	}
}

// Chips that do not follow are used at the slow speed without more ado.
func TestDeafToBaud(t *testing.T) {
	t.Parallel()
	c := emulated(t, emulate.Config{Model: "bm1366", Chips: 2, ZeroBits: 6, Faults: emulate.Faults{DeafToBaud: true}})
	p := pool(t, "0.0000005")
	var log strings.Builder
	m := testMiner(t, MinerConfig{Port: PortSpec{Path: c.Path(), ZeroBits: 6}, Pools: []string{p.Addr()},
		Out: &log})
	stop := background(t, m.Run)
	if st := mined(t, m, 10); st.Baud != slowBaud || st.BringUps != 1 {
		t.Errorf("it mines at %d baud after %d bring-ups", st.Baud, st.BringUps)
	}
	if stop(); strings.Contains(log.String(), "rung") {
		t.Errorf("it took more than one session:\n%s", &log)
	}
}

// One chip of several that finds nothing is named.
func TestDeadChip(t *testing.T) {
	t.Parallel()
	c := emulated(t, emulate.Config{Model: "bm1366", Chips: 3, ZeroBits: 6, Faults: emulate.Faults{DeadChip: 2}})
	p := pool(t, "0.0000005")
	m := testMiner(t, MinerConfig{Port: PortSpec{Path: c.Path(), ZeroBits: 6}, Pools: []string{p.Addr()}, Ticket: 1})
	background(t, m.Run)
	until(t, patience, "the chip is named", func() (bool, any) {
		st := m.Status()
		return strings.Contains(st.Note, "chip 2 of 3"), st
	})
	// And forgiven when it works again.
	c.SetFaults(emulate.Faults{})
	until(t, patience, "the remark goes", func() (bool, any) { st := m.Status(); return st.Note == "", st })
}

// Nonces that do not hash are counted as the chips' errors and never sent on.
func TestHardwareErrors(t *testing.T) {
	t.Parallel()
	c := emulated(t, emulate.Config{Model: "bm1368", Chips: 2, ZeroBits: 6, Faults: emulate.Faults{BadNonce: 100_000}})
	p := pool(t, "0.0000005")
	m := testMiner(t, MinerConfig{Port: PortSpec{Path: c.Path(), ZeroBits: 6}, Pools: []string{p.Addr()}, Ticket: 1})
	background(t, m.Run)
	st := mined(t, m, 600)
	if st.ErrorRate < 50_000 || st.ErrorRate > 150_000 || refused(m) > 0 {
		t.Errorf("of one nonce in ten that is wrong: %d ppm, %+v", st.ErrorRate, m.Stats())
	}
}

// E2: a port that goes away ends the miner, which says so.
func TestUnplugged(t *testing.T) {
	t.Parallel()
	c, err := emulate.New(emulate.Config{Model: "bm1370", ZeroBits: 6})
	if err != nil {
		t.Fatal(err)
	}
	unplug := background(t, c.Run)
	p := pool(t, "0.0000005")
	m := testMiner(t, MinerConfig{Port: PortSpec{Path: c.Path(), ZeroBits: 6}, Pools: []string{p.Addr()}})
	ended := make(chan error, 1)
	go func() { ended <- m.Run(t.Context()) }()
	mined(t, m, 5)
	unplug()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the miner ends as if all were well")
		}
	case <-time.After(patience):
		t.Fatal("the miner goes on without its port")
	}
	if _, err := os.Stat(c.Path()); err == nil {
		t.Error("the port is still there: the test tests nothing")
	}
}

// Of two miners on one port the second is refused; when the first ends, it may.
func TestPortHeld(t *testing.T) {
	t.Parallel()
	c := emulated(t, emulate.Config{Model: "bm1370", ZeroBits: 6})
	lock, err := acquire(c.Path())
	if err != nil {
		t.Fatal(err)
	}
	want := Status{Chip: "bm1370", Chips: 9, State: "mining"}
	go lock.serve(func() Status { return want })
	if _, err := acquire(c.Path()); err == nil {
		t.Fatal("a port is held by two")
	}
	if st, err := Probe(t.Context(), PortSpec{Path: c.Path()}); err != nil || st.Chips != 9 {
		t.Errorf("a probe of a held port: %+v, %v", st, err)
	}
	if n := c.Stats().Commands; n != 0 {
		t.Errorf("a held port was sent %d commands", n)
	}
	lock.release()
	lock, err = acquireWait(t.Context(), c.Path(), patience)
	if err != nil {
		t.Fatal(err)
	}
	lock.release()
	if _, err := ask(t.Context(), c.Path()); err != errNoHolder {
		t.Errorf("a free port: %v", err)
	}
}
