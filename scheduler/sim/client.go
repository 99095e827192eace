package sim

import (
	"fmt"
	"time"

	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// client submits and cancels jobs, and asks again until it has an answer.
type client struct {
	w     *world
	next  int
	acked map[workload.JobID]string // name under which each acknowledged job was submitted
}

func (c *client) begin() {
	c.acked = map[workload.JobID]string{}
	c.w.every(c.w.between(3*time.Second, 15*time.Second), func() bool {
		if c.w.calm {
			return false
		}
		if len(c.acked) > 0 && c.w.chance(10) {
			c.ask(state.Command{Actor: "ann", Request: c.request(), Cancel: &state.JobCancelled{Job: pick(c.w, sorted(c.acked))}})
			c.w.cover["cancels"]++
			return true
		}
		c.submit()
		return true
	})
}

func (c *client) request() string {
	c.next++
	return state.NewRequestID(c.w.wall(), fmt.Sprintf("%d-%d", c.w.o.Seed, c.next))
}

func (c *client) submit() {
	w := c.w
	spec := workload.Spec{Run: workload.Run{Command: []string{"train"}}, Gang: workload.Gang{GPUs: 1 + w.rng.IntN(4)},
		Value:      workload.Value{Bid: workload.Rate(1 + w.rng.IntN(300_000))},
		Checkpoint: workload.Checkpoint{Grace: w.between(time.Second, 8*time.Second)},
		Limits:     workload.Limits{Lease: w.between(15*time.Second, time.Minute).Truncate(time.Second)}}
	if spec.Gang.GPUs%2 == 0 && w.chance(40) {
		spec.Gang.PerNode = 2
	} else if w.chance(30) {
		spec.Gang.Elastic = &workload.Elastic{Min: 1, Max: 4, Step: 1}
	}
	if w.chance(15) && len(c.acked) > 0 {
		spec.After = []workload.After{{Job: pick(w, sorted(c.acked)).String()}}
	}
	request := c.request()
	spec.Name = fmt.Sprintf("job%d", c.next)
	if w.state.Fits(spec.Default()) != nil {
		return
	}
	c.ask(state.Command{Actor: "ann", Request: request, Submit: &state.JobSubmitted{Spec: spec}})
	w.cover["submissions"]++
}

// ask proposes until it is answered; sometimes twice at once.
func (c *client) ask(cmd state.Command) {
	w := c.w
	to := w.leader
	if to == nil || w.chance(10) {
		to = pick(w, w.servers)
	}
	done := func(r state.Result, err error) {
		switch {
		case err == errUnknown:
			w.cover["asked again"]++
			w.after(w.between(10*time.Millisecond, 2*time.Second), func() { c.ask(cmd) })
		case err != nil:
			w.cover["request refused"]++
		case cmd.Submit != nil:
			if name, known := c.acked[r.Job]; known && name != cmd.Submit.Spec.Name {
				w.fail("I4", "job %d was acknowledged to %s and to %s", r.Job, name, cmd.Submit.Spec.Name)
			}
			c.acked[r.Job] = cmd.Submit.Spec.Name
			if r.Repeat {
				w.cover["repeat answered"]++
			}
		}
	}
	w.propose(to, cmd, done)
	if w.chance(5) {
		w.propose(to, cmd, done)
	}
}
