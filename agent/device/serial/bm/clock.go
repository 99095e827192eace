package bm

import (
	"fmt"
	"math/bits"
	"time"
)

// crystal is the clock of every chip, in kHz.
const crystal = 25_000

// vcoFlag is the oscillator frequency from which a bit of the PLL register
// changes, in kHz.
const vcoFlag = 2_400_000

// PLL is one setting of a chip's clock: crystal * FB / (Ref * Post1 * Post2).
type PLL struct{ FB, Ref, Post1, Post2 int }

// KHz is the clock that comes out.
func (p PLL) KHz() int { return crystal * p.FB / (p.Ref * p.Post1 * p.Post2) }

func (p PLL) vco() int { return crystal * p.FB / p.Ref }

// maxClock keeps a slip of the pen from a chip, in kHz: none runs above it.
const maxClock = 1_500_000

// PLL finds the setting nearest to a clock in kHz; of several the one whose
// oscillator runs slowest.
func (m *Model) PLL(kHz int) (PLL, error) {
	var best PLL
	miss := 1 << 30
	for ref := 2; ref >= 1; ref-- {
		for p1 := 1; p1 <= 7; p1++ {
			for p2 := 1; p2 <= p1; p2++ {
				// The multiplier on either side of the wanted clock.
				base := kHz * ref * p1 * p2 / crystal
				for fb := base; fb <= base+1; fb++ {
					if fb < m.Feedback[0] || fb > m.Feedback[1] {
						continue
					}
					p := PLL{fb, ref, p1, p2}
					off := max(p.KHz(), kHz) - min(p.KHz(), kHz)
					if off < miss || off == miss && p.vco() < best.vco() {
						best, miss = p, off
					}
				}
			}
		}
	}
	if miss > kHz/50 || kHz > maxClock {
		return PLL{}, fmt.Errorf("bm: %s cannot be clocked at %d kHz", m.Name, kHz)
	}
	return best, nil
}

// Register is the setting as PLL0 takes it.
func (m *Model) Register(p PLL) uint32 {
	flag := uint32(0x40)
	if p.vco() >= vcoFlag {
		flag = 0x50
	}
	p1, p2 := p.Post1, p.Post2
	if !m.RawPost {
		p1, p2 = p1-1, p2-1
	}
	return flag<<24 | uint32(p.FB)<<16 | uint32(p.Ref)<<8 | uint32(p1)<<4 | uint32(p2)
}

// ParsePLL reads a PLL0 register; false when no clock comes of it.
func (m *Model) ParsePLL(v uint32) (PLL, bool) {
	p := PLL{FB: int(v >> 16 & 0xff), Ref: int(v >> 8 & 0x3f), Post1: int(v >> 4 & 7), Post2: int(v & 7)}
	if !m.RawPost {
		p.Post1, p.Post2 = p.Post1+1, p.Post2+1
	}
	return p, p.FB > 0 && p.Ref > 0 && p.Post1 > 0 && p.Post2 > 0
}

// Where a ramp begins, and its steps, in kHz: a chip that jumps to its clock
// draws more current at once than its supply gives.
const (
	RampStart = 56_250
	RampStep  = 6_250
)

// Ramp lists the clocks on the way to a target, which is the last.
func Ramp(kHz int) []int {
	var steps []int
	for f := RampStart; f < kHz; f += RampStep {
		steps = append(steps, f)
	}
	return append(steps, kHz)
}

// pow2ceil is the smallest power of two that is not below n.
func pow2ceil(n int) int { return 1 << bits.Len(uint(max(n, 1)-1)) }

// sweepGuard is how many ticks of the crystal a sweep ends early: it must be
// over before the next begins.
const sweepGuard = 200

// Sweep is the hash counting number: how many ticks of the crystal the cores of
// one of n chips need for their slice of the nonces.
func (m *Model) Sweep(p PLL, chips int) uint32 {
	slice := uint64(1) << 32 / uint64(pow2ceil(m.Cores)) / uint64(pow2ceil(chips))
	ticks := slice * uint64(p.Ref*p.Post1*p.Post2) / uint64(2*p.FB)
	return uint32(max(ticks, sweepGuard+1) - sweepGuard)
}

// Epoch is how long the versions of one job last: then the chip begins anew and
// every nonce it finds is a repetition.
func (m *Model) Epoch(sweep uint32, versionBits int) time.Duration {
	rounds := max(uint64(1)<<versionBits/uint64(m.SubCores), 1)
	hi, lo := bits.Mul64(uint64(sweep)*40, rounds) // a tick is 40 ns
	if hi != 0 || lo > uint64(time.Hour) {
		return time.Hour
	}
	return time.Duration(lo)
}

// minPeriod is the shortest time between jobs that a line can carry.
const minPeriod = 2 * time.Millisecond

// JobPeriod is how often a chain of n chips needs a new job.
func (m *Model) JobPeriod(p PLL, chips, versionBits int) time.Duration {
	if m.Job == Midstates {
		// All nonces of every midstate, less a tenth.
		n := uint64(1)<<32*uint64(m.MidstatesFor(versionBits))/10*9 + 1
		perMilli := max(m.HashesPerSecond(p.KHz(), chips)/1000, 1)
		return max(time.Duration(n/perMilli)*time.Millisecond, minPeriod)
	}
	return max(min(m.Period, m.Epoch(m.Sweep(p, chips), versionBits)*4/5), minPeriod)
}

// MidstatesFor is how many versions a host rolls when the pool leaves so many
// bits.
func (m *Model) MidstatesFor(versionBits int) int {
	if versionBits >= 2 {
		return 4
	}
	return 1
}

// MilliC reads the temperature register; false when the chip has none to tell.
func MilliC(v uint32) (int64, bool) {
	if v&0x80000000 == 0 {
		return 0, false
	}
	milli := int64(v&0xffff)*171_342/1000 - 299_514
	return milli, milli > -40_000 && milli < 150_000
}
