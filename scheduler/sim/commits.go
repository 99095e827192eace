package sim

import (
	"bytes"
	"time"

	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// commits stands for Raft: one order of commands, each of which is committed a
// moment after it was proposed, or whose fate is unknown to its proposer because
// leadership was lost meanwhile.
type commits struct {
	waiting []*proposal
	last    time.Duration // when the newest proposal will be committed
	applied int
}

type proposal struct {
	by   *server
	term int
	data []byte
	done func(state.Result, error)
}

// errUnknown is what a proposer hears who lost leadership: the command may have
// been committed.
var errUnknown = workload.Errorf(workload.Unavailable, "leadership was lost")

// propose gives a command to a server. done is called once.
func (w *world) propose(s *server, c state.Command, done func(state.Result, error)) {
	if w.leader != s {
		w.after(w.between(time.Millisecond, 20*time.Millisecond), func() { done(state.Result{}, errUnknown) })
		return
	}
	c.Version = state.SchemaVersion
	c.At, c.Wall = w.wall(), w.wall().Add(s.skew)
	data, err := state.Encode(c)
	if err != nil {
		panic(err)
	}
	p := &proposal{by: s, term: w.term, data: data, done: done}
	w.log.waiting = append(w.log.waiting, p)
	took := w.between(time.Millisecond, 30*time.Millisecond)
	if !w.calm && w.chance(5) {
		took = w.between(100*time.Millisecond, 2*time.Second) // a slow disk
	}
	w.log.last = max(w.log.last, w.now+took)
	w.after(w.log.last-w.now, func() {
		if len(w.log.waiting) > 0 && w.log.waiting[0] == p {
			w.log.waiting = w.log.waiting[1:]
			r := w.apply(p.data)
			done(r, r.Err())
		}
	})
}

// commit applies at once what happens before the run begins.
func (w *world) commit(c state.Command) {
	c.Version, c.At, c.Wall = state.SchemaVersion, w.wall(), w.wall()
	data, err := state.Encode(c)
	if err != nil {
		panic(err)
	}
	if r := w.apply(data); r.Error != "" {
		w.fail("setup", "%s", r.Error)
	}
}

// orphan decides the fate of what an old leader had proposed: a prefix of it has
// reached a majority.
func (w *world) orphan() {
	waiting := w.log.waiting
	w.log.waiting = nil
	keep := 0
	if len(waiting) > 0 {
		keep = w.rng.IntN(len(waiting) + 1)
	}
	for i, p := range waiting {
		if i < keep {
			w.apply(p.data)
			w.cover["committed but unknown"]++
		}
		w.after(w.between(time.Millisecond, 100*time.Millisecond), func() { p.done(state.Result{}, errUnknown) })
	}
}

func (w *world) apply(data []byte) state.Result {
	c, err := state.Decode(data)
	if err != nil {
		w.fail("I5", "a committed command cannot be read: %v", err)
		return state.Result{}
	}
	w.cover["commands"]++
	w.log.applied++
	index := w.state.Index + 1
	r := w.state.Apply(index, c)
	w.twin.Apply(index, c) // neither edits what a command holds: the other would see it
	w.tracef("%d %s %s", index, c.Actor, describe(c, r))
	w.applied(c, r)
	if w.log.applied%251 == 0 {
		w.compare()
	}
	return r
}

// compare holds both replicas against each other, and restores one of them from
// the other's snapshot.
func (w *world) compare() {
	var a, b bytes.Buffer
	if err := w.state.Save(&a); err != nil {
		w.fail("I5", "save: %v", err)
		return
	}
	if err := w.twin.Save(&b); err != nil {
		w.fail("I5", "save: %v", err)
		return
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		w.fail("I5", "two replicas differ at index %d", w.state.Index)
		return
	}
	w.cover["state compared"]++
	if w.chance(50) {
		restored, err := state.Load(&a)
		if err != nil {
			w.fail("I5", "load: %v", err)
			return
		}
		w.twin = restored
		w.cover["snapshot restored"]++
	}
}
