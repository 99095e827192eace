package emulate

import (
	"math/rand/v2"
	"time"
)

// Faults is what goes wrong on the line and in the chips. Rates are in parts
// per million of the frames sent.
type Faults struct {
	Seed uint64

	Noise     int // random bytes before the frame
	Corrupt   int // a bit flips
	Drop      int // a byte is lost
	Split     int // the frame arrives in two pieces
	Duplicate int // the frame arrives twice
	BadNonce  int // a nonce that does not hash to enough zeros
	Join      int // so many frames arrive at once; 0 and 1 = each by itself

	Missing    int  // chips at the end of the chain that are not there
	DeadChip   int  // 1-based: answers, but never finds a nonce
	Stalled    bool // nothing is read or answered
	Mute       bool // no nonce is ever reported, all else works
	MuteOnBaud bool // silent once the line speed was changed
	DeafToBaud bool // the line speed cannot be changed
}

// wire is the way from the chips to the host, with all that happens on it.
type wire struct {
	faults Faults
	rng    *rand.Rand
	held   []byte
	frames int
	write  func([]byte) error
}

func newWire(write func([]byte) error) *wire {
	return &wire{write: write, rng: rand.New(rand.NewPCG(0, 0))}
}

func (w *wire) set(f Faults) {
	w.faults = f
	w.rng = rand.New(rand.NewPCG(f.Seed, 0x5e71a1))
}

func (w *wire) chance(ppm int) bool { return ppm > 0 && w.rng.IntN(1_000_000) < ppm }

// splitGap is long enough for a host to read the first half by itself.
const splitGap = 2 * time.Millisecond

// send takes one frame. It reports whether the frame was left whole.
func (w *wire) send(frame []byte) (whole bool, err error) {
	f := w.faults
	whole = true
	if w.chance(f.Noise) {
		for range 1 + w.rng.IntN(20) {
			// Much of it looks like the beginning of a frame.
			w.held = append(w.held, [...]byte{0xaa, 0x55, byte(w.rng.Uint32()), byte(w.rng.Uint32())}[w.rng.IntN(4)])
		}
	}
	at := len(w.held)
	w.held = append(w.held, frame...)
	if w.chance(f.Duplicate) {
		w.held = append(w.held, frame...)
	}
	if w.chance(f.Corrupt) {
		w.held[at+2+w.rng.IntN(len(frame)-2)] ^= 1 << w.rng.IntN(8)
		whole = false
	}
	if w.chance(f.Drop) {
		i := at + w.rng.IntN(len(frame))
		w.held = append(w.held[:i], w.held[i+1:]...)
		whole = false
	}
	if w.frames++; w.frames < f.Join {
		return whole, nil
	}
	if w.chance(f.Split) {
		cut := min(at+1+w.rng.IntN(len(frame)-1), len(w.held)-1)
		if err := w.write(w.held[:cut]); err != nil {
			return whole, err
		}
		time.Sleep(splitGap)
		w.held = w.held[:copy(w.held, w.held[cut:])]
	}
	return whole, w.flush()
}

func (w *wire) flush() error {
	if len(w.held) == 0 {
		return nil
	}
	err := w.write(w.held)
	w.held, w.frames = w.held[:0], 0
	return err
}

// garbled is what a host reads that listens at another speed.
func (w *wire) garbled(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(w.rng.Uint32())
	}
	return b
}
