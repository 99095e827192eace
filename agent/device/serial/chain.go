package serial

import (
	"context"
	"slices"
	"time"

	"github.com/sluice-project/sluice/agent/device/serial/bm"
	"github.com/sluice-project/sluice/workload"
)

// Waits of a bring-up, as other drivers keep them.
const (
	answerQuiet = 120 * time.Millisecond // without another answer: that was all
	settle      = 10 * time.Millisecond  // after resets and addresses
	rampEvery   = 100 * time.Millisecond // between steps of the clock
	silentLimit = 500 * time.Millisecond // for a first answer
)

// bauds are the speeds at which chips of a model, "" for any, may listen: that
// after a reset, and that at which a process left them that was killed.
func bauds(model string) []int {
	list := []int{slowBaud}
	for i := range bm.Models {
		b := bm.Baud(bm.Models[i].Baud.Fast)
		if !slices.Contains(list, b) && (model == "" || bm.Models[i].Name == model) {
			list = append(list, b)
		}
	}
	return list
}

// identity is what answers on a line.
type identity struct {
	model *bm.Model
	count int // answers; noise may hide or add some
	baud  int
}

// identify asks for the chip id at every speed that may be set. NotFound: no
// chip answers.
func identify(ctx context.Context, l *link, model string) (identity, error) {
	for _, baud := range bauds(model) {
		if err := l.port.SetBaud(baud); err != nil {
			continue // not every adapter knows every speed
		}
		for range 2 { // what the line carried at another speed spoils the first
			l.listen(ctx, 0, 0)
			if err := l.command(bm.Read(bm.All, bm.RegChipID)); err != nil {
				return identity{}, err
			}
			if m, n := bm.Identify(l.listen(ctx, silentLimit, 40*time.Millisecond)); m != nil {
				return identity{m, n, baud}, nil
			}
		}
		if ctx.Err() != nil {
			return identity{}, ctx.Err()
		}
	}
	return identity{}, workload.Errorf(workload.NotFound, "no chip answers at any speed")
}

// chain is a chain of chips on an open line.
type chain struct {
	link    *link
	model   *bm.Model
	spec    PortSpec
	chips   int
	baud    int
	pll     bm.PLL
	ticket  int    // zero bits beyond the base
	mask    uint32 // version bits the chips roll
	rolling bool
	ramp    time.Duration // between steps; default rampEvery
	kHz     int           // to run at; 0 = the model's
	slow    bool          // the fast speed failed before: stay slow
	frame   []byte
}

// openChain finds out what is on the line and brings the line speed to where
// bring-ups begin.
func openChain(ctx context.Context, l *link, spec PortSpec) (*chain, error) {
	id, err := identify(ctx, l, spec.Model)
	if err != nil {
		return nil, err
	}
	if spec.Model != "" && spec.Model != id.model.Name {
		return nil, workload.Errorf(workload.Invalid, "the chips say they are %s, not %s", id.model.Name, spec.Model)
	}
	c := &chain{link: l, model: id.model, spec: spec, chips: id.count, baud: id.baud, ramp: rampEvery}
	l.speak(c.model, false)
	if id.baud != slowBaud {
		if err := c.setBaud(ctx, bm.ResetDivider, slowBaud); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *chain) write(chip int, reg byte, value uint32) error {
	return c.link.command(bm.Write(chip, reg, value))
}

// pause waits; false when ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// setBaud changes both sides. The command must have left at the old speed
// before the host changes.
func (c *chain) setBaud(ctx context.Context, divider, baud int) error {
	if err := c.write(bm.All, c.model.Baud.Reg, c.model.Baud.At(divider)); err != nil {
		return err
	}
	// The kernel has the bytes; the wire needs ten bit times for each.
	if !pause(ctx, settle+time.Second*11*10/time.Duration(c.baud)) {
		return ctx.Err()
	}
	if err := c.link.port.SetBaud(baud); err != nil {
		return workload.Errorf(workload.Unavailable, "line speed %d: %w", baud, err)
	}
	c.baud = baud
	return nil
}

// census counts the chips that answer to a broadcast.
func (c *chain) census(ctx context.Context) (int, error) {
	best := 0
	for range 3 {
		regs, err := c.link.ask(ctx, bm.All, bm.RegChipID, 0, silentLimit, answerQuiet)
		if err != nil {
			return 0, err
		}
		n := 0
		for _, r := range regs {
			if uint16(r.Value>>16) == c.model.ID {
				n++
			}
		}
		if n > 0 && n == best {
			break // twice the same
		}
		best = max(best, n)
	}
	return min(best, bm.MaxChips), nil
}

// address numbers the chips and checks each. Noise may have hidden a chip from
// the census or added one, so it goes on until count and answers agree.
func (c *chain) address(ctx context.Context) error {
	n, err := c.census(ctx)
	if err != nil {
		return err
	}
	for range 5 {
		if n == 0 {
			return workload.Errorf(workload.Unavailable, "chips have stopped answering")
		}
		for range 3 {
			if err := c.link.command(bm.Inactive()); err != nil {
				return err
			}
		}
		pause(ctx, settle)
		for i := range n {
			if err := c.link.command(bm.SetAddress(byte(i * bm.Interval(n)))); err != nil {
				return err
			}
		}
		pause(ctx, settle)
		answered := 0
		for i := range n {
			ok, err := c.answers(ctx, i*bm.Interval(n))
			if err != nil {
				return err
			}
			if ok {
				answered++
			}
		}
		count, err := c.census(ctx)
		if err != nil {
			return err
		}
		if answered == n && count <= n {
			c.chips = n
			return nil
		}
		if count > n {
			n = count // chips without an address answer the census alone
		} else {
			n = answered
		}
	}
	return workload.Errorf(workload.Unavailable, "chips cannot be counted: the line is too noisy")
}

// answers asks one chip for its id, three times at most.
func (c *chain) answers(ctx context.Context, addr int) (bool, error) {
	for range 3 {
		regs, err := c.link.ask(ctx, addr, bm.RegChipID, 1, silentLimit, answerQuiet)
		if err != nil {
			return false, err
		}
		if len(regs) > 0 && uint16(regs[0].Value>>16) == c.model.ID {
			return true, nil
		}
	}
	return false, nil
}

// bringUp takes the chain from reset to hashing, all but the jobs. Unavailable:
// the line fell silent on the way.
func (c *chain) bringUp(ctx context.Context) error {
	kHz := c.kHz
	if kHz == 0 {
		kHz = c.model.MHz * 1000
	}
	target, err := c.model.PLL(kHz)
	if err != nil {
		return workload.Errorf(workload.Invalid, "%w", err)
	}
	c.rolling = false
	for _, s := range c.model.Bringup {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := c.step(ctx, s, target); err != nil {
			return err
		}
	}
	n, err := c.census(ctx)
	if err != nil {
		return err
	}
	if n == 0 {
		return workload.Errorf(workload.Unavailable, "chips fell silent while they were brought up")
	}
	return nil
}

func (c *chain) step(ctx context.Context, s bm.Step, target bm.PLL) error {
	switch s.Kind {
	case bm.SetRegister:
		return c.set(ctx, s)
	case bm.SetRolling:
		return c.setRolling(c.mask)
	case bm.SetAddresses:
		return c.address(ctx)
	case bm.SetTicket:
		return c.setTicket(c.ticket)
	case bm.SetOffsets:
		for i := range c.chips {
			if c.chips > 1 {
				if err := c.write(i*bm.Interval(c.chips), bm.RegNonceOffset, bm.Offset(i, c.chips)); err != nil {
					return err
				}
			}
		}
	case bm.SetClock:
		return c.climb(ctx, target)
	case bm.SetSweep:
		return c.write(bm.All, bm.RegSweep, c.model.Sweep(c.pll, c.chips))
	case bm.SetBaud:
		return c.hurry(ctx)
	}
	return nil
}

// set writes a register of the chips that a step is for.
func (c *chain) set(ctx context.Context, s bm.Step) error {
	chips := []int{s.Chip}
	switch s.Chip {
	case bm.First:
		chips[0] = 0
	case bm.Each:
		chips = chips[:0]
		for i := range c.chips {
			chips = append(chips, i*bm.Interval(c.chips))
		}
	}
	for _, chip := range chips {
		if err := c.write(chip, s.Reg, s.Value); err != nil {
			return err
		}
	}
	if s.Reg == bm.RegReset {
		pause(ctx, settle)
	}
	return nil
}

// climb raises the clock in steps.
func (c *chain) climb(ctx context.Context, target bm.PLL) error {
	for _, kHz := range bm.Ramp(target.KHz()) {
		p, err := c.model.PLL(kHz)
		if err != nil {
			return workload.Errorf(workload.Invalid, "%w", err)
		}
		for range 2 { // some chips take the first write for a rehearsal
			if err := c.write(bm.All, bm.RegPLL0, c.model.Register(p)); err != nil {
				return err
			}
		}
		c.pll = p
		if !pause(ctx, c.ramp) {
			return ctx.Err()
		}
	}
	return nil
}

// hurry raises the line speed and falls back where nothing answers then.
func (c *chain) hurry(ctx context.Context) error {
	if c.slow {
		return nil
	}
	fast := c.model.Baud.Fast
	if err := c.setBaud(ctx, fast, bm.Baud(fast)); err != nil {
		c.slow = true
		return err
	}
	for range 3 {
		regs, err := c.link.ask(ctx, bm.All, bm.RegChipID, 1, silentLimit, answerQuiet)
		if err != nil {
			return err
		}
		if len(regs) > 0 {
			return nil
		}
	}
	c.slow = true
	if err := c.link.port.SetBaud(slowBaud); err != nil {
		return workload.Errorf(workload.Unavailable, "line speed: %w", err)
	}
	c.baud = slowBaud
	if regs, err := c.link.ask(ctx, bm.All, bm.RegChipID, 1, silentLimit, answerQuiet); err != nil || len(regs) > 0 {
		return err // they have not heard, and are as good as before
	}
	return workload.Errorf(workload.Unavailable, "chips are silent since the line speed was changed")
}

// setRolling sets which version bits the chips roll. From the first time on
// their answers are longer.
func (c *chain) setRolling(mask uint32) error {
	c.mask = mask
	if c.model.Job == bm.Midstates {
		return nil // the host rolls
	}
	for range 3 {
		if err := c.write(bm.All, bm.RegRolling, bm.Rolling(mask)); err != nil {
			return err
		}
		if !c.rolling {
			c.rolling = true
			c.link.speak(c.model, true)
		}
	}
	return nil
}

func (c *chain) setTicket(n int) error {
	c.ticket = n
	return c.write(bm.All, bm.RegTicket, bm.Ticket(n))
}

// halt stops the hashing of chips that do so on command; it says whether these
// do. resume undoes it.
func (c *chain) halt() (bool, error) {
	if c.model.Job == bm.Midstates {
		return false, nil // their sweep is never set, so it could not be set back
	}
	return true, c.write(bm.All, bm.RegSweep, 0)
}

func (c *chain) resume() error { return c.write(bm.All, bm.RegSweep, c.model.Sweep(c.pll, c.chips)) }

// rest leaves a chain that nobody feeds any more as cool as can be: halted, or
// at the lowest clock.
func (c *chain) rest() error {
	if halted, err := c.halt(); halted || err != nil {
		return err
	}
	p, err := c.model.PLL(bm.RampStart)
	if err != nil {
		return err
	}
	c.pll = p
	return c.write(bm.All, bm.RegPLL0, c.model.Register(p))
}

// sendJob gives the chain a job.
func (c *chain) sendJob(j *bm.Job) error {
	var err error
	if c.frame, err = c.model.Append(c.frame[:0], j); err != nil {
		return err
	}
	return c.link.send(c.frame)
}

// temperature asks the hottest chip; -1 where chips cannot tell.
func (c *chain) temperature(ctx context.Context) (int64, error) {
	if !c.model.Thermal {
		return -1, nil
	}
	for _, v := range []uint32{0x00020000, 0x01020000, 0x10020000} {
		if err := c.write(bm.All, bm.RegTempControl, v); err != nil {
			return -1, err
		}
		pause(ctx, settle)
	}
	regs, err := c.link.ask(ctx, bm.All, bm.RegTempResult, c.chips, silentLimit, answerQuiet)
	hottest := int64(-1)
	for _, r := range regs {
		if milli, ok := bm.MilliC(r.Value); ok {
			hottest = max(hottest, milli)
		}
	}
	return hottest, err
}
