package serial

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// Probe asks what is behind a port. A port that is in use is not touched: its
// holder answers. Otherwise the chips are counted and addressed, and left as
// they are. Conflict: another program has the port. NotFound: no chip answers.
func Probe(ctx context.Context, spec PortSpec) (Status, error) {
	st, err := ask(ctx, spec.Path)
	if err != errNoHolder {
		return st, err
	}
	lock, err := acquireWait(ctx, spec.Path, 2*time.Second)
	if err != nil {
		return Status{}, err
	}
	defer lock.release()
	st = unknownStatus(spec, workload.Instant(time.Now().UnixMilli()))
	st.State = "bring-up"
	go lock.serve(func() Status { return unknownStatus(spec, workload.Instant(time.Now().UnixMilli())) })
	p, err := openPort(spec.Path)
	if err != nil {
		return st, err
	}
	l := newLink(p)
	defer l.close()
	c, err := openChain(ctx, l, spec)
	if err != nil {
		return st, err
	}
	if err := c.setRolling(poolMask); err != nil {
		return st, err
	}
	if err := c.address(ctx); err != nil {
		return st, err
	}
	if st.MilliC, err = c.temperature(ctx); err != nil {
		return st, err
	}
	st.Chip, st.Chips, st.Baud, st.State, st.Hashrate, st.HashrateError = c.model.Name, c.chips, c.baud, "idle", 0, 0
	st.ExpectedHashrate = int64(spec.scaled(c.model.HashesPerSecond(c.model.MHz*1000, c.chips)) * 1000)
	st.NoiseBytes = l.noise()
	st.At = workload.Instant(time.Now().UnixMilli())
	if spec.Chips > c.chips {
		st.Note = fmt.Sprintf("%d of %d chips answer", c.chips, spec.Chips)
	}
	return st, nil
}

// ModelName is what a chain is called in profiles and lists: its capacity as it
// was found, not as it was meant.
func (s Status) ModelName() workload.ModelName {
	if s.Chip == "" {
		return ""
	}
	return workload.ModelName(fmt.Sprintf("%s x%d", strings.ToUpper(s.Chip), s.Chips))
}

// Sample is the status as every driver reports it.
func (s Status) Sample() workload.Sample {
	sample := workload.UnknownSample("", s.At)
	sample.Hashrate, sample.MilliC = s.Hashrate, s.MilliC
	if s.State == "silent" || s.State == "no pool" {
		sample.Hashrate = 0
	}
	return sample
}
