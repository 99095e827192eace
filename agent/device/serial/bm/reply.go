package bm

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// ErrReply tells that a frame is neither a nonce nor a register.
var ErrReply = errors.New("bm: a reply of no known kind")

// Reply is one frame from a chip: a Nonce or a Register.
type Reply struct {
	IsNonce  bool
	Nonce    Nonce
	Register Register
}

// Register is the answer to a read.
type Register struct {
	Value uint32
	Chip  byte
	Reg   byte
}

// Nonce is what a chip found.
type Nonce struct {
	Value   uint32 // as it stands in the header, little-endian
	Excess  byte   // half of it are zero bits beyond the ticket
	Job     byte   // id of the job as it was sent
	Lane    byte   // sub-core, or which of the midstates
	Version uint32 // rolled bits, in place; 0 where the host rolls
}

const (
	kindNonce    = 0x80
	kindRegister = 0x00
)

// ParseReply reads a frame that a Framer has passed. It never panics, whatever
// the bytes.
func (m *Model) ParseReply(frame []byte) (Reply, error) {
	if len(frame) != m.Framing.Reply && len(frame) != m.Framing.Rolling {
		return Reply{}, ErrReply
	}
	b := frame[2:]
	last := b[len(b)-1]
	switch last & 0xe0 {
	case kindNonce:
		n := Nonce{Value: binary.LittleEndian.Uint32(b), Excess: b[4]}
		id := b[5]
		n.Job, n.Lane = id&m.JobMask>>m.JobUp, id&^m.JobMask
		if m.Job == FullHeader && len(frame) == m.Framing.Rolling {
			n.Version = uint32(binary.BigEndian.Uint16(b[6:])) << versionShift
		}
		return Reply{IsNonce: true, Nonce: n}, nil
	case kindRegister:
		return Reply{Register: Register{Value: binary.BigEndian.Uint32(b), Chip: b[4], Reg: b[5]}}, nil
	}
	return Reply{}, ErrReply
}

// Chip tells which of n chips found a nonce.
func (m *Model) Chip(nonce uint32, chips int) int {
	be := bits.ReverseBytes32(nonce)
	if m.ByRange {
		return int(be >> 9 & 0xffff * uint32(chips) >> 16)
	}
	return min(int(be>>17&0xff)/Interval(chips), chips-1)
}

// Core tells which core of its chip found a nonce.
func Core(nonce uint32) int { return int(bits.ReverseBytes32(nonce) >> 25) }

// Offset is the CHIP_NONCE_OFFSET of chip i of n.
func Offset(i, chips int) uint32 {
	// Rounded up, so that Chip finds the same boundary.
	return 0x80000000 | uint32((i<<16+chips-1)/chips)&0xffff
}

// AppendNonce adds the frame by which a chip reports a nonce; rolling chips use
// the long form.
func (m *Model) AppendNonce(b []byte, n Nonce, rolling bool) []byte {
	start := len(b)
	b = append(b, m.Framing.Preamble[1], m.Framing.Preamble[0])
	b = binary.LittleEndian.AppendUint32(b, n.Value)
	b = append(b, n.Excess, n.Job<<m.JobUp&m.JobMask|n.Lane)
	if rolling && m.Framing.Rolling == maxReply {
		b = binary.BigEndian.AppendUint16(b, uint16(n.Version>>versionShift))
	}
	return append(b, seal(b[start+2:], kindNonce))
}

// AppendRegister adds the answer to a read.
func (m *Model) AppendRegister(b []byte, r Register, rolling bool) []byte {
	start := len(b)
	b = append(b, m.Framing.Preamble[1], m.Framing.Preamble[0])
	b = binary.BigEndian.AppendUint32(b, r.Value)
	b = append(b, r.Chip, r.Reg)
	if rolling && m.Framing.Rolling == maxReply {
		b = append(b, 0, 0)
	}
	return append(b, seal(b[start+2:], kindRegister))
}

// Identify finds chip-id replies of any known model in raw bytes, in their
// short and long form, and returns the model that most agree on and how many
// those are: nothing is known yet that a Framer would need.
func Identify(raw []byte) (*Model, int) {
	count := map[*Model]int{}
	var best *Model
	for i := 0; i+9 <= len(raw); i++ {
		if raw[i] != 0xaa || raw[i+1] != 0x55 {
			continue
		}
		m := ByID(binary.BigEndian.Uint16(raw[i+2:]))
		if m == nil || raw[i+7] != RegChipID {
			continue
		}
		short := crc5Shifted(raw[i+2:i+9]) == 0 && raw[i+8]&0xe0 == kindRegister
		long := i+11 <= len(raw) && crc5Shifted(raw[i+2:i+11]) == 0 && raw[i+10]&0xe0 == kindRegister
		if !short && !long {
			continue
		}
		if count[m]++; best == nil || count[m] > count[best] {
			best = m
		}
	}
	return best, count[best]
}
