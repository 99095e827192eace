package emulate

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"fmt"
	"hash"
	"maps"
	"math/bits"

	"github.com/sluice-project/sluice/agent/device/serial/bm"
)

// chip is the state of one chip of the chain.
type chip struct {
	addr      int // -1: waits for one
	addressed bool
	regs      map[byte]uint32
	next      uint64 // of its nonces of the present job
}

// powerOn is what registers hold after a reset.
var powerOn = map[byte]uint32{bm.RegMisc: 0x0000c100, bm.RegTicket: 0, bm.RegSweep: 1}

func (c *chip) reset() { *c = chip{addr: 0, regs: maps.Clone(powerOn)} }

// lane is one of the versions that a job is hashed under side by side.
type lane struct {
	state   []byte // of SHA-256 after the first block
	version uint32 // rolled bits
	index   byte
}

// load is the job that the chain works on.
type load struct {
	id    byte
	tail  [16]byte // header bytes 64-79
	lanes []lane
}

// hasher computes SHA-256 twice from a saved state; it allocates nothing.
type hasher struct {
	inner   hash.Hash
	restore encoding.BinaryUnmarshaler
	sum     [sha256.Size]byte
}

func newHasher() *hasher {
	h := sha256.New()
	return &hasher{inner: h, restore: h.(encoding.BinaryUnmarshaler)}
}

// zeros is how many leading zero bits the hash has, as explorers show it.
func (h *hasher) zeros(state []byte, tail *[16]byte) int {
	if h.restore.UnmarshalBinary(state) != nil {
		return 0
	}
	h.inner.Write(tail[:])
	sum := sha256.Sum256(h.inner.Sum(h.sum[:0]))
	n := bits.LeadingZeros64(binary.LittleEndian.Uint64(sum[24:]))
	if n == 64 {
		n += bits.LeadingZeros64(binary.LittleEndian.Uint64(sum[16:]))
	}
	return n
}

// prepare turns a job's frame into a load. rolling is the chain's MIDSTATE_CONFIG.
func prepare(m *bm.Model, frame []byte, rolling uint32) (*load, error) {
	w, err := m.ParseJob(frame)
	if err != nil {
		return nil, err
	}
	l := &load{id: w.ID}
	if !w.Full {
		copy(l.tail[:], w.Tail[:])
		for k, mid := range w.Midstate {
			l.lanes = append(l.lanes, lane{state: bm.State(mid), index: byte(k)})
		}
		return l, nil
	}
	copy(l.tail[:], w.Header[64:])
	mask := bm.RollMask(rolling & 0xffff << 13)
	for k := range m.SubCores {
		version := bm.Spread(uint32(k), mask)
		if k > 0 && version == 0 {
			break // no more versions than the mask allows
		}
		h := w.Header
		binary.LittleEndian.PutUint32(h[:], binary.LittleEndian.Uint32(h[:])|version)
		inner := sha256.New()
		inner.Write(h[:64])
		state, err := inner.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("emulate: %w", err)
		}
		l.lanes = append(l.lanes, lane{state: state, version: version, index: byte(k)})
	}
	return l, nil
}

// nonce is the n-th that chip i of a chain tries in one lane; false when its
// part is used up.
func nonce(m *bm.Model, i, chips int, addr int, n uint64) (uint32, bool) {
	core := uint32(n % uint64(m.Cores))
	k := uint32(n / uint64(m.Cores))
	base, size := uint32(addr)<<17, uint32(bm.Interval(chips))<<17
	if m.ByRange {
		base = bm.Offset(i, chips) & 0xffff << 9
		size = 1<<25/uint32(chips) - 1<<9
	}
	if k >= size {
		return 0, false
	}
	return bits.ReverseBytes32(core<<25 | (base+k)&(1<<25-1)), true
}
