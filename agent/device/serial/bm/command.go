package bm

import (
	"encoding/binary"
	"fmt"
)

// Bits of a command's header.
const (
	kindCommand = 0x40
	kindJob     = 0x21
	toAll       = 0x10
)

// What a command does.
const (
	OpAddress  = 0
	OpWrite    = 1
	OpRead     = 2
	OpInactive = 3
)

// All addresses every chip of a chain; other values are one chip's address.
const All = -1

// Registers that the driver uses.
const (
	RegChipID      = 0x00
	RegPLL0        = 0x08
	RegNonceOffset = 0x0c
	RegSweep       = 0x10 // hash counting number
	RegTicket      = 0x14
	RegMisc        = 0x18
	RegFastUART    = 0x28
	RegCore        = 0x3c
	RegPLLDivider  = 0x70
	RegRolling     = 0xa4
	RegReset       = 0xa8
	RegTempControl = 0xb0
	RegTempResult  = 0xb4
)

// Command is one command as the chip sees it.
type Command struct {
	Op    byte // OpAddress to OpInactive
	Chip  int  // All or an address
	Reg   byte
	Value uint32 // of a write
}

// SetAddress gives an address to the first chip that has none.
func SetAddress(addr byte) Command { return Command{Op: OpAddress, Chip: int(addr)} }

// Inactive makes every chip wait for its address.
func Inactive() Command { return Command{Op: OpInactive, Chip: All} }

// Write sets a register of one chip or of All.
func Write(chip int, reg byte, value uint32) Command {
	return Command{Op: OpWrite, Chip: chip, Reg: reg, Value: value}
}

// Read asks one chip or All for a register.
func Read(chip int, reg byte) Command { return Command{Op: OpRead, Chip: chip, Reg: reg} }

// Append adds the command's bytes to b.
func (c Command) Append(b []byte) []byte {
	header, addr, length := kindCommand|c.Op, byte(c.Chip), byte(5)
	if c.Chip == All {
		header, addr = header|toAll, 0
	}
	if c.Op == OpWrite {
		length = 9
	}
	b = append(b, 0x55, 0xaa)
	start := len(b)
	b = append(b, header, length, addr, c.Reg)
	if c.Op == OpWrite {
		b = binary.BigEndian.AppendUint32(b, c.Value)
	}
	return append(b, CRC5(b[start:]))
}

// Bytes is the command as it goes over the line.
func (c Command) Bytes() []byte { return c.Append(nil) }

// String shows the command in the notation of data sheets.
func (c Command) String() string {
	who := "all"
	if c.Chip != All {
		who = fmt.Sprintf("chip %02X", c.Chip)
	}
	switch c.Op {
	case OpAddress:
		return fmt.Sprintf("set address %02X", c.Chip)
	case OpInactive:
		return "chain inactive"
	case OpRead:
		return fmt.Sprintf("read %s %02X", who, c.Reg)
	}
	return fmt.Sprintf("write %s %02X=%08X", who, c.Reg, c.Value)
}

// maxRequest is the longest frame from the host: a job of four midstates.
const maxRequest = 152

// Requests finds commands and jobs in what a host sends: the chip's side of the
// line. Unlike a Framer it needs no care for what it drops, as an emulator is
// the only user. Its memory is bounded by the longest frame.
type Requests struct{ buf []byte }

// Reset forgets an incomplete frame, as a chip does that is reset.
func (r *Requests) Reset() { r.buf = r.buf[:0] }

// Push takes what was read and calls command or job for each good frame. A
// job's frame is without preamble and checksum and valid during the call.
func (r *Requests) Push(p []byte, command func(Command), job func(frame []byte)) {
	for _, b := range p {
		r.buf = append(r.buf, b)
		for r.step(command, job) {
		}
	}
}

// step handles what lies at the start of the buffer; false when more is needed.
func (r *Requests) step(command func(Command), job func([]byte)) bool {
	b := r.buf
	switch {
	case len(b) == 0:
		return false
	case b[0] != 0x55, len(b) > 1 && b[1] != 0xaa:
		r.skip(1)
		return true
	case len(b) < 4:
		return false
	}
	size := 2 + int(b[3])
	if b[2] == kindJob {
		// The length of a full-header job differs by writer, so only those of
		// midstate jobs, which also say how many there are, are believed.
		if len(b) < 6 {
			return false
		}
		switch {
		case b[3] == 0x96 && b[5] == 4:
			size = 152
		case b[3] == 0x36 && b[5] == 1:
			size = 56
		default:
			size = 88
		}
	}
	if size < 7 || size > maxRequest {
		r.skip(1)
		return true
	}
	if len(b) < size {
		return false
	}
	frame := b[2:size]
	if b[2] == kindJob {
		n := len(frame) - 2
		if CRC16(frame[:n]) != binary.BigEndian.Uint16(frame[n:]) {
			r.skip(1)
			return true
		}
		job(frame[:n])
	} else {
		c, ok := parseCommand(frame)
		if !ok {
			r.skip(1)
			return true
		}
		command(c)
	}
	r.skip(size)
	return true
}

func (r *Requests) skip(n int) { r.buf = r.buf[:copy(r.buf, r.buf[n:])] }

func parseCommand(frame []byte) (Command, bool) {
	n := len(frame) - 1
	if frame[0]&0xe0 != kindCommand || CRC5(frame[:n]) != frame[n] {
		return Command{}, false
	}
	c := Command{Op: frame[0] & 0x0f, Chip: int(frame[2]), Reg: frame[3]}
	if frame[0]&toAll != 0 {
		c.Chip = All
	}
	switch {
	case c.Op == OpWrite && len(frame) == 9:
		c.Value = binary.BigEndian.Uint32(frame[4:])
	case c.Op != OpWrite && c.Op <= OpInactive && len(frame) == 5:
	default:
		return Command{}, false
	}
	return c, true
}
