package serial

import (
	"context"
	"fmt"
	"math/bits"
	"time"

	"github.com/sluice-project/sluice/agent/device/serial/bm"
	"github.com/sluice-project/sluice/agent/stratum"
	"github.com/sluice-project/sluice/workload"
)

// session is one chain that was brought up, from first to last nonce.
type session struct {
	m     *Miner
	chain *chain
	work  *work

	good     time.Time // of the last good nonce, or of the first job
	assigned bool      // the chips have work
	halted   bool      // for want of a pool
	milliC   int64
	looked   time.Time // at the temperature
	window   []uint64  // nonces of each chip when a census of them began
}

// How often things are looked at beside nonces and jobs.
const (
	publishEvery     = 250 * time.Millisecond
	temperatureEvery = 10 * time.Second
	idlePeriod       = time.Second // between looks while there is no pool
)

// run feeds the chain and takes its nonces until ctx ends (nil), the line fails
// or the chips fall silent (errSilent).
func (s *session) run(ctx context.Context) error {
	s.milliC = -1
	s.window = make([]uint64, s.chain.chips)
	changed := s.m.client.Changed()
	publish := time.NewTicker(publishEvery)
	defer publish.Stop()
	job := time.NewTimer(0)
	defer job.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.chain.link.done:
			return s.chain.link.failure()
		case f := <-s.chain.link.finds:
			s.found(f)
		case <-changed:
			if err := s.feed(job); err != nil {
				return err
			}
		case <-job.C:
			if err := s.feed(job); err != nil {
				return err
			}
		case now := <-publish.C:
			if err := s.tend(ctx, now); err != nil {
				return err
			}
		}
	}
}

// feed sends the next job and sets when the one after it is due.
func (s *session) feed(job *time.Timer) error {
	a, ok := s.m.client.Assignment()
	if !ok {
		if s.assigned {
			s.work.lost()
			s.assigned = false
			var err error
			if s.halted, err = s.chain.halt(); err != nil {
				return err
			}
		}
		job.Reset(idlePeriod)
		return nil
	}
	if s.halted {
		if err := s.chain.resume(); err != nil {
			return err
		}
		s.halted = false
	}
	if err := s.terms(a); err != nil {
		return err
	}
	j, err := s.work.renew(a)
	if err != nil {
		return err
	}
	if err := s.chain.sendJob(j); err != nil {
		return err
	}
	if !s.assigned {
		s.assigned, s.good = true, time.Now()
		s.m.mining()
	}
	// A frame must have left before the next is due.
	wire := 2 * time.Second * time.Duration(10*len(s.chain.frame)) / time.Duration(s.chain.baud)
	job.Reset(max(s.chain.model.JobPeriod(s.chain.pll, s.chain.chips, bits.OnesCount32(j.Mask)), wire))
	return nil
}

// terms brings chips in line with what the pool asks: version bits and ticket.
func (s *session) terms(a stratum.Assignment) error {
	if mask := bm.RollMask(a.Mask); mask != s.chain.mask {
		if err := s.chain.setRolling(mask); err != nil {
			return err
		}
	}
	c := s.chain
	want := ticketFor(s.work.base, s.m.cfg.Port.scaled(c.model.HashesPerSecond(c.pll.KHz(), 1)), a.Difficulty)
	if s.m.cfg.Ticket > 0 {
		want = s.m.cfg.Ticket - 1
	}
	if want == c.ticket {
		return nil
	}
	s.work.setTicket(want)
	return c.setTicket(want)
}

func (s *session) found(f find) {
	v := s.work.judge(f)
	if v.hashes == 0 {
		return
	}
	s.good = time.Now()
	s.m.count(v.hashes)
	if v.share != nil {
		select {
		case s.m.shares <- v.share:
		default:
			s.m.unsent.Add(1)
		}
	}
}

// tend looks after the chain: its temperature, its silence, and what others are
// told.
func (s *session) tend(ctx context.Context, now time.Time) error {
	if now.Sub(s.looked) >= temperatureEvery {
		s.looked = now
		milli, err := s.chain.temperature(ctx)
		if err != nil {
			return err
		}
		s.milliC = milli
	}
	if s.assigned && now.Sub(s.good) > s.silence() {
		return workload.Errorf(workload.Unavailable, "%w: none for %s", errSilent, now.Sub(s.good).Round(time.Second))
	}
	s.publish(now)
	return nil
}

// silence is how long the chips may take for a nonce: long enough that chance
// alone does not (e^-30), at least what is configured.
func (s *session) silence() time.Duration {
	perSecond := max(s.m.cfg.Port.scaled(s.chain.model.HashesPerSecond(s.chain.pll.KHz(), s.chain.chips)), 1)
	each := uint64(1) << min(s.work.base+s.work.ticket, 50)
	return max(s.m.cfg.Silence, time.Duration(min(each/perSecond, 600))*30*time.Second)
}

// publish writes the status that API, lock and driver show.
func (s *session) publish(now time.Time) {
	c, b := s.chain, &s.work.books
	st := unknownStatus(s.m.cfg.Port, workload.Instant(now.UnixMilli()))
	st.Chip, st.Chips, st.Baud, st.KHz = c.model.Name, c.chips, c.baud, c.pll.KHz()
	st.State = "mining"
	if !s.assigned {
		st.State = "no pool"
	}
	st.ExpectedHashrate = int64(s.m.cfg.Port.scaled(c.model.HashesPerSecond(c.pll.KHz(), c.chips)) * 1000)
	st.Nonces, st.HardwareErrors, st.Duplicates, st.NoiseBytes = b.good, b.bad, b.duplicate, c.link.noise()
	if all := b.good + b.bad; all > 0 {
		st.ErrorRate = workload.PPM(b.bad * 1_000_000 / all)
	}
	st.MilliC = s.milliC
	st.PerChip = append([]uint64(nil), b.perChip...)
	st.Note = s.judgement()
	s.m.publish(st)
}

// meanNonces is how many nonces a chip must have had the chance to find before
// none counts as a fault: by chance that happens once in 10^13.
const meanNonces = 30

// judgement says what is wrong with the chain, if anything.
func (s *session) judgement() string {
	if want := s.m.cfg.Port.Chips; want > s.chain.chips {
		return fmt.Sprintf("%d of %d chips answer", s.chain.chips, want)
	}
	total, silent := uint64(0), 0
	for i, n := range s.work.books.perChip {
		total += n - s.window[i]
		if n == s.window[i] {
			silent = i + 1
		}
	}
	if total < uint64(meanNonces*s.chain.chips) {
		return s.m.lastNote() // too early to say something else
	}
	copy(s.window, s.work.books.perChip)
	if silent > 0 {
		return fmt.Sprintf("chip %d of %d finds nothing", silent, s.chain.chips)
	}
	return ""
}
