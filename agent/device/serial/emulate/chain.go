package emulate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/sluice-project/sluice/agent/device/serial/bm"
)

// Config of a Chain.
type Config struct {
	Model string // such as "bm1370"
	Chips int    // 1 to 256; default 1
	// ZeroBits every nonce has; 32 in silicon. Default 12: a chip that does
	// 1.07 TH/s in silicon is then emulated at 1.02 MH/s.
	ZeroBits int
	// Divider of the line speed at power-on; default bm.ResetDivider.
	Divider int
	MilliC  int64 // temperature; default 55,000
	Faults  Faults
}

// Stats are what the chain has done.
type Stats struct {
	Chips    int
	Jobs     uint64
	Hashes   uint64
	Nonces   uint64 // reported
	Whole    uint64 // of those, left whole by the faults
	Commands uint64
	Resets   uint64
	Baud     int
	KHz      int // the first chip's clock; 0 = none, or halted
}

// Chain is an emulated chain on a pseudo-terminal.
type Chain struct {
	model *bm.Model
	cfg   Config
	pty   *pty

	mu       sync.Mutex
	chips    []*chip
	divider  int
	host     int // the host's speed when it was last heard
	rolling  bool
	muted    bool
	load     *load
	wire     *wire
	stats    Stats
	requests bm.Requests
	credit   float64 // hashes that time has earned
}

// New opens the pseudo-terminal; Run answers on it.
func New(cfg Config) (*Chain, error) {
	m, err := bm.ByName(cfg.Model)
	if err != nil {
		return nil, err
	}
	if cfg.Chips == 0 {
		cfg.Chips = 1
	}
	if cfg.ZeroBits == 0 {
		cfg.ZeroBits = 12
	}
	if cfg.Divider == 0 {
		cfg.Divider = bm.ResetDivider
	}
	if cfg.MilliC == 0 {
		cfg.MilliC = 55_000
	}
	if cfg.Chips < 1 || cfg.Chips > bm.MaxChips || cfg.ZeroBits < 1 || cfg.ZeroBits > bm.BaseBits || cfg.Divider < 0 || cfg.Divider > 255 {
		return nil, fmt.Errorf("emulate: %d chips, %d zero bits, divider %d: out of range", cfg.Chips, cfg.ZeroBits, cfg.Divider)
	}
	p, err := openPTY()
	if err != nil {
		return nil, err
	}
	c := &Chain{model: m, cfg: cfg, pty: p}
	c.wire = newWire(c.transmit)
	c.wire.set(cfg.Faults)
	c.divider = cfg.Divider
	c.powerOn()
	return c, nil
}

// Path is the host's end of the line.
func (c *Chain) Path() string { return c.pty.path }

// SetFaults changes what goes wrong from now on.
func (c *Chain) SetFaults(f Faults) {
	c.mu.Lock()
	defer c.mu.Unlock()
	missing := c.cfg.Faults.Missing
	c.cfg.Faults = f
	c.wire.set(f)
	c.muted = c.muted && f.MuteOnBaud
	if f.Missing != missing {
		c.powerOn()
	}
}

// Reset is the reset line or a power cycle: everything is as at power-on.
func (c *Chain) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Resets++
	c.divider = bm.ResetDivider
	c.muted = false
	c.powerOn()
}

// powerOn is called with mu held, or before anyone else knows the chain.
func (c *Chain) powerOn() {
	c.chips = nil
	for range max(c.cfg.Chips-c.cfg.Faults.Missing, 0) {
		ch := &chip{}
		ch.reset()
		c.chips = append(c.chips, ch)
	}
	c.rolling, c.load = false, nil
	c.requests.Reset()
}

// Stats returns a copy.
func (c *Chain) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Chips, s.Baud = len(c.chips), bm.Baud(c.divider)
	if len(c.chips) > 0 && c.chips[0].regs[bm.RegSweep] != 0 {
		if p, ok := c.model.ParsePLL(c.chips[0].regs[bm.RegPLL0]); ok {
			s.KHz = p.KHz()
		}
	}
	return s
}

// Run answers until ctx ends; then the host sees its port vanish.
func (c *Chain) Run(ctx context.Context) error {
	defer c.pty.line.Close()
	defer c.pty.Close()
	stop := context.AfterFunc(ctx, func() { c.pty.Close() })
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { c.hashLoop(ctx) })
	buf := make([]byte, 4096)
	for {
		n, err := c.pty.Read(buf)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, os.ErrClosed) {
				return nil
			}
			return fmt.Errorf("emulate: read: %w", err)
		}
		c.receive(buf[:n])
	}
}

// tolerance of a UART: a few percent, of which this is the usual part.
const tolerancePercent = 3

// inTune reports whether a host at that speed and the chips understand each
// other.
func (c *Chain) inTune(host int) bool {
	chips := bm.Baud(c.divider)
	return max(host, chips)-min(host, chips) <= chips*tolerancePercent/100
}

// heard reports whether bytes that are read now were sent at the chips' speed. A
// pseudo-terminal does not tell at which speed bytes were sent, so the first
// after a change may be from before it.
func (c *Chain) heard() bool {
	before := c.host
	c.host = c.pty.baud()
	return c.inTune(c.host) || c.inTune(before)
}

func (c *Chain) receive(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cfg.Faults.Stalled {
		return
	}
	if !c.heard() {
		c.requests.Reset()
		return
	}
	c.requests.Push(b, c.command, c.job)
	c.wire.flush()
}

func (c *Chain) job(frame []byte) {
	rolling := uint32(0)
	if len(c.chips) > 0 {
		rolling = c.chips[0].regs[bm.RegRolling]
	}
	l, err := prepare(c.model, frame, rolling)
	if err != nil {
		return // a chip does not complain
	}
	c.load = l
	for _, ch := range c.chips {
		ch.next = 0
	}
	c.stats.Jobs++
}

func (c *Chain) command(cmd bm.Command) {
	c.stats.Commands++
	switch cmd.Op {
	case bm.OpInactive:
		for _, ch := range c.chips {
			ch.addr, ch.addressed = -1, false
		}
	case bm.OpAddress:
		for _, ch := range c.chips {
			if ch.addr < 0 {
				ch.addr, ch.addressed = cmd.Chip, true
				break
			}
		}
	case bm.OpWrite:
		for _, ch := range c.to(cmd.Chip) {
			ch.regs[cmd.Reg] = cmd.Value
		}
		c.written(cmd)
	case bm.OpRead:
		for _, ch := range c.to(cmd.Chip) {
			c.reply(c.model.AppendRegister(nil, bm.Register{Value: c.register(ch, cmd.Reg), Chip: byte(max(ch.addr, 0)), Reg: cmd.Reg}, c.rolling))
		}
	}
}

// to lists the chips that a command is for.
func (c *Chain) to(addr int) []*chip {
	if addr == bm.All {
		return c.chips
	}
	for _, ch := range c.chips {
		if ch.addr == addr {
			return []*chip{ch}
		}
	}
	return nil
}

func (c *Chain) register(ch *chip, reg byte) uint32 {
	switch reg {
	case bm.RegChipID:
		id := uint32(c.model.ID) << 16
		if ch.addressed {
			id |= uint32(ch.addr)
		}
		return id
	case bm.RegTempResult:
		if c.model.Thermal && ch.regs[bm.RegTempControl] != 0 {
			return 0x80000000 | uint32((c.cfg.MilliC+299_514)*1000/171_342)
		}
		return 0
	}
	return ch.regs[reg]
}

// written acts on registers that do something at once.
func (c *Chain) written(cmd bm.Command) {
	switch {
	case cmd.Reg == c.model.Baud.Reg && cmd.Chip == bm.All:
		if d := c.model.Baud.Divider(cmd.Value); d != c.divider && !c.cfg.Faults.DeafToBaud {
			c.divider = d
			c.muted = c.muted || c.cfg.Faults.MuteOnBaud
		}
	case cmd.Reg == bm.RegRolling:
		c.rolling = true
	}
}

// reply sends a frame to the host; mu is held.
func (c *Chain) reply(frame []byte) (whole bool) {
	if c.muted || c.cfg.Faults.Stalled {
		return false
	}
	if !c.inTune(c.pty.baud()) {
		c.transmit(c.wire.garbled(len(frame)))
		return false
	}
	whole, err := c.wire.send(frame)
	return whole && err == nil
}

// sendLimit is how long a host may leave its buffer full; then bytes are lost,
// as on a wire.
const sendLimit = time.Second

func (c *Chain) transmit(b []byte) error {
	c.pty.SetWriteDeadline(time.Now().Add(sendLimit))
	_, err := c.pty.Write(b)
	return err
}

// burst is how long the chain hashes before it looks at the line again.
const burst = 5 * time.Millisecond

func (c *Chain) hashLoop(ctx context.Context) {
	tick := time.NewTicker(burst)
	defer tick.Stop()
	h := newHasher()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			c.mu.Lock()
			c.hash(h, now.Sub(last))
			c.mu.Unlock()
			last = now
		}
	}
}

// rate is the nominal speed of the chain as it is clocked, scaled down as much
// as its nonces are easier than silicon's, in hashes a second.
func (c *Chain) rate() float64 {
	sum := 0.0
	for _, ch := range c.chips {
		p, ok := c.model.ParsePLL(ch.regs[bm.RegPLL0])
		if ok && ch.regs[bm.RegSweep] != 0 {
			sum += float64(c.model.HashesPerSecond(p.KHz(), 1)) / float64(uint64(1)<<(bm.BaseBits-c.cfg.ZeroBits))
		}
	}
	return sum
}

// hash spends what time has earned, at most a burst's worth of the processor.
func (c *Chain) hash(h *hasher, elapsed time.Duration) {
	rate := c.rate()
	if c.load == nil || rate == 0 || c.cfg.Faults.Stalled {
		c.credit = 0
		return
	}
	c.credit = min(c.credit+rate*elapsed.Seconds(), rate/4)
	for began := time.Now(); c.credit >= 1 && time.Since(began) < burst; {
		for i, ch := range c.chips {
			c.credit -= float64(c.sweep(h, i, ch))
		}
	}
}

// stride is how many hashes a chip does in its turn.
const stride = 64

// sweep tries a chip's next nonces.
func (c *Chain) sweep(h *hasher, i int, ch *chip) int {
	l := c.load
	more, ok := bm.ParseTicket(ch.regs[bm.RegTicket])
	if !ok {
		more = 31
	}
	need := c.cfg.ZeroBits + more
	for range stride {
		ln := &l.lanes[ch.next%uint64(len(l.lanes))]
		n, left := nonce(c.model, i, len(c.chips), max(ch.addr, 0), ch.next/uint64(len(l.lanes)))
		if !left {
			ch.next = 0 // it begins anew and repeats itself, as silicon does
			continue
		}
		ch.next++
		binary.LittleEndian.PutUint32(l.tail[12:], n)
		if zeros := h.zeros(ln.state, &l.tail); zeros >= need && c.cfg.Faults.DeadChip != i+1 && !c.cfg.Faults.Mute {
			c.report(bm.Nonce{Value: n, Excess: byte(min(2*(zeros-need), 255)), Job: l.id, Lane: ln.index, Version: ln.version})
		}
	}
	c.stats.Hashes += stride
	return stride
}

func (c *Chain) report(n bm.Nonce) {
	if c.wire.chance(c.cfg.Faults.BadNonce) {
		n.Value ^= 1 << 20
	}
	c.stats.Nonces++
	if c.reply(c.model.AppendNonce(nil, n, c.rolling)) {
		c.stats.Whole++
	}
}
