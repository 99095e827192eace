package bm

import (
	"fmt"
	"strings"
	"time"
)

// JobFormat is what a chip is fed.
type JobFormat int

const (
	FullHeader JobFormat = iota // the chip rolls version bits by itself
	Midstates                   // the host rolls up to four versions
)

// Model is what a driver must know of a chip; none of it can be read from the
// chip itself.
type Model struct {
	Name  string // "bm1370"
	ID    uint16 // the chip's answer, 0x1370
	Cores int
	// SmallCores count hashes per clock.
	SmallCores int
	// SubCores roll the version side by side; 1 where the host rolls.
	SubCores int
	MHz      int // default clock

	Framing Framing
	Job     JobFormat
	JobStep int // between the ids of successive jobs, modulo 128
	JobMask byte
	JobUp   uint          // the id in a reply is shifted up by so many bits
	Period  time.Duration // between jobs, where the versions last longer; 0 = as long as the nonces last
	ByRange bool          // nonces name their chip by CHIP_NONCE_OFFSET ranges, not by address

	Feedback [2]int // bounds of the PLL's multiplier
	RawPost  bool   // the PLL's dividers are written as they are, not less one

	Baud    BaudRule
	Thermal bool // the chip's own temperature can be read
	Bringup []Step
}

// BaudRule is where a model's line speed is set.
type BaudRule struct {
	Reg   byte
	Value uint32 // the register apart from its divider, bits 15-8
	Mask  uint32 // of the divider in the register
	Fast  int    // divider for the speed to work at
}

// ResetDivider is the divider of a chip after reset: 115,740 baud, near enough
// to a host's 115,200.
const ResetDivider = 26

// Baud is the speed of a divider, in bits per second.
func Baud(divider int) int { return 25_000_000 / (8 * (divider + 1)) }

// At is the register's value for a divider.
func (b BaudRule) At(divider int) uint32 { return b.Value | uint32(divider)<<8&b.Mask }

// Divider reads it back.
func (b BaudRule) Divider(value uint32) int { return int(value & b.Mask >> 8) }

// StepKind is one sort of step while a chain is brought up.
type StepKind int

const (
	SetRegister StepKind = iota // Chip, Reg, Value; Chip is All, Each or First
	SetRolling                  // version rolling with the pool's mask
	SetAddresses
	SetTicket
	SetClock // ramp the PLL to the target
	SetSweep // hash counting number
	SetBaud
	SetOffsets // nonce ranges, where there is more than one chip
)

// Besides All, which chips a step is for.
const (
	Each  = -2
	First = -3
)

// Step is one step of a bring-up.
type Step struct {
	Kind  StepKind
	Chip  int
	Reg   byte
	Value uint32
}

func all(reg byte, value uint32) Step   { return Step{SetRegister, All, reg, value} }
func each(reg byte, value uint32) Step  { return Step{SetRegister, Each, reg, value} }
func first(reg byte, value uint32) Step { return Step{SetRegister, First, reg, value} }
func do(kind StepKind) Step             { return Step{Kind: kind} }

// Models holds every chip that can be driven.
var Models = []Model{
	{Name: "bm1397", ID: 0x1397, Cores: 168, SmallCores: 672, SubCores: 1, MHz: 425,
		Framing: framing1397, Job: Midstates, JobStep: 4, JobMask: 0xfc,
		Feedback: [2]int{60, 200}, RawPost: true,
		Baud: BaudRule{Reg: RegMisc, Value: 0x6031, Mask: 0x1f00, Fast: 1},
		Bringup: []Step{do(SetAddresses), all(0x80, 0), all(0x84, 0), all(0x20, 1), all(RegCore, 0x80008074), do(SetTicket),
			all(0x68, 0xc0700111), all(RegFastUART, 0x0600000f), do(SetBaud),
			all(RegPLLDivider, 0x0f0f0f00), all(RegPLLDivider, 0x0f0f0f00), do(SetClock)}},
	{Name: "bm1362", ID: 0x1362, Cores: 65, SmallCores: 512, SubCores: 8, MHz: 525,
		Framing: framing136x, Job: FullHeader, JobStep: 8, JobMask: 0xf8, Period: time.Second,
		Feedback: [2]int{0x10, 0xfa},
		Baud:     BaudRule{Reg: RegFastUART, Value: 0x11300000, Mask: 0xff00, Fast: 2},
		Bringup: []Step{do(SetRolling), all(RegReset, 0), all(RegMisc, 0xb000c100), do(SetAddresses), all(RegCore, 0x80008540), all(RegCore, 0x80008008),
			do(SetTicket), all(0x54, 3), all(0x58, 0x00011111),
			each(RegReset, 2), each(RegMisc, 0xb000c100), each(RegCore, 0x80008540), each(RegCore, 0x80008008), each(RegCore, 0x800082aa),
			do(SetClock), do(SetSweep), do(SetBaud), do(SetRolling)}},
	{Name: "bm1366", ID: 0x1366, Cores: 112, SmallCores: 894, SubCores: 8, MHz: 485,
		Framing: framing136x, Job: FullHeader, JobStep: 8, JobMask: 0xf8, Period: 2 * time.Second,
		Feedback: [2]int{144, 235},
		Baud:     BaudRule{Reg: RegFastUART, Value: 0x11300000, Mask: 0xff00, Fast: 2},
		Bringup: []Step{do(SetRolling), all(RegReset, 0x00070000), all(RegMisc, 0xff0fc100), do(SetAddresses), all(RegCore, 0x80008540), all(RegCore, 0x80008020),
			do(SetTicket), all(0x54, 3), all(0x58, 0x02111111), first(0x2c, 0x007c0003),
			each(RegReset, 0x000701f0), each(RegMisc, 0xf000c100), each(RegCore, 0x80008540), each(RegCore, 0x80008020), each(RegCore, 0x800082aa),
			do(SetClock), do(SetSweep), do(SetBaud), do(SetRolling)}},
	{Name: "bm1368", ID: 0x1368, Cores: 80, SmallCores: 1276, SubCores: 16, MHz: 490,
		Framing: framing136x, Job: FullHeader, JobStep: 24, JobMask: 0xf0, JobUp: 1, Period: 500 * time.Millisecond,
		Feedback: [2]int{144, 235}, Thermal: true,
		Baud: BaudRule{Reg: RegFastUART, Value: 0x11300000, Mask: 0xff00, Fast: 2},
		Bringup: []Step{do(SetRolling), all(RegReset, 0x00070000), all(RegMisc, 0xff0fc100), do(SetAddresses), all(RegCore, 0x80008b00), all(RegCore, 0x80008018),
			do(SetTicket), all(0x54, 3), all(0x58, 0x02111111), first(0x2c, 0x007c0003),
			each(RegReset, 0x000701f0), each(RegMisc, 0xf000c100), each(RegCore, 0x80008b00), each(RegCore, 0x80008018), each(RegCore, 0x800082aa),
			do(SetClock), do(SetSweep), do(SetBaud), do(SetRolling)}},
	{Name: "bm1370", ID: 0x1370, Cores: 128, SmallCores: 2040, SubCores: 16, MHz: 525,
		Framing: framing136x, Job: FullHeader, JobStep: 24, JobMask: 0xf0, JobUp: 1, Period: 500 * time.Millisecond, ByRange: true,
		Feedback: [2]int{160, 239},
		Baud:     BaudRule{Reg: RegFastUART, Value: 0x11300000, Mask: 0xff00, Fast: 2},
		Bringup: []Step{do(SetRolling), all(RegReset, 0x00070000), all(RegMisc, 0xf000c100), do(SetAddresses), all(RegCore, 0x80008b00), all(RegCore, 0x8000800c),
			do(SetTicket), all(0x58, 0x00011111),
			each(RegReset, 0x000701f0), each(RegMisc, 0xf000c100), each(RegCore, 0x80008b00), each(RegCore, 0x8000800c), each(RegCore, 0x800082aa),
			all(0xb9, 0x00004480), all(0x54, 2), all(0xb9, 0x00004480), all(RegCore, 0x80008dee), do(SetOffsets),
			do(SetClock), do(SetSweep), do(SetBaud), do(SetRolling)}},
}

// ByName finds a model by its name, in any case.
func ByName(name string) (*Model, error) {
	var known []string
	for i := range Models {
		if strings.EqualFold(Models[i].Name, name) {
			return &Models[i], nil
		}
		known = append(known, Models[i].Name)
	}
	return nil, fmt.Errorf("bm: no chip model %q; known are %s", name, strings.Join(known, ", "))
}

// ByID finds a model by what its chips answer; nil when there is none.
func ByID(id uint16) *Model {
	for i := range Models {
		if Models[i].ID == id {
			return &Models[i]
		}
	}
	return nil
}

// HashesPerSecond is what chips at a clock in kHz should compute.
func (m *Model) HashesPerSecond(kHz, chips int) uint64 {
	return uint64(kHz) * 1000 * uint64(m.SmallCores) * uint64(chips)
}

// Interval is the distance of the addresses of n chips.
func Interval(n int) int { return 256 / max(n, 1) }

// MaxChips of one chain: more addresses than there are.
const MaxChips = 256
