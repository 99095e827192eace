package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
)

const longJob = `kind: Job
name: long
gang: {gpus: %d, perNode: %d, models: [RTX 3080]}
run: {command: [sleep, "100000"]}
value: {bid: 2.00 USD/GPU-h}
`

const shortJob = `kind: Job
name: short
gang: {gpus: 1, models: [RTX 3080]}
run: {command: [sleep, "0.5"]}
value: {bid: 0.60 USD/GPU-h}
`

// watcher looks at processes and servers all the time and keeps what must never
// be seen.
type watcher struct {
	c      *cluster
	stop   context.CancelFunc
	done   sync.WaitGroup
	mu     sync.Mutex
	looks  int
	faults []string
	epochs map[string]map[string]uint64 // server -> device -> highest epoch seen
	away   map[string]bool              // servers that were killed and have not caught up
}

func watch(c *cluster) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{c: c, stop: cancel, epochs: map[string]map[string]uint64{}, away: map[string]bool{}}
	w.done.Go(func() {
		for ctx.Err() == nil {
			w.processes()
			time.Sleep(40 * time.Millisecond)
		}
	})
	w.done.Go(func() {
		for ctx.Err() == nil {
			for _, s := range c.servers {
				w.devices(s)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	return w
}

func (w *watcher) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// processes checks that no device is in two workloads.
func (w *watcher) processes() {
	holder := map[string]work{}
	for _, p := range w.c.h.works() {
		for _, d := range p.devices {
			if other, taken := holder[d]; taken {
				w.fault("device %s is held by two: %v and %v", d, other, p)
			}
			holder[d] = p
		}
	}
	w.mu.Lock()
	w.looks++
	w.mu.Unlock()
}

// devices checks that no epoch falls, as each server tells it. A server that was
// started anew replays its log from the beginning; it is looked at again once it
// has caught up.
func (w *watcher) devices(s *server) {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	resp, err := s.ListGpus(ctx, &sluicev1.ListGpusRequest{})
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || w.away[s.id] {
		return
	}
	highest := w.epochs[s.id]
	if highest == nil {
		highest = map[string]uint64{}
		w.epochs[s.id] = highest
	}
	for _, g := range resp.Gpus {
		if g.Epoch < highest[g.Id] {
			w.faults = append(w.faults, fmt.Sprintf("server %s: the epoch of %s fell from %d to %d", s.id, g.Id, highest[g.Id], g.Epoch))
		}
		highest[g.Id] = g.Epoch
	}
}

func (w *watcher) setAway(s *server, away bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away[s.id] = away
}

func (w *watcher) end(t *testing.T) {
	w.stop()
	w.done.Wait()
	if w.looks < 20 {
		t.Errorf("the watcher looked only %d times", w.looks)
	}
	slices.Sort(w.faults)
	for _, f := range slices.Compact(w.faults) {
		t.Error(f)
	}
}

// firstWrite sends a job to the servers that live until one acknowledges it.
func firstWrite(t *testing.T, servers []*server, request string, limit time.Duration) (string, error) {
	t.Helper()
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for _, s := range servers {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			var r *sluicev1.SubmitJobResponse
			r, err = s.SubmitJob(ctx, &sluicev1.SubmitJobRequest{Document: shortJob, RequestId: request})
			cancel()
			if err == nil {
				return r.Id, nil
			}
		}
	}
	return "", err
}

// Twenty times the leader is killed while jobs run, submissions are under way
// and devices change hands.
func TestLeaderKilled(t *testing.T) {
	const kills = 20
	h := newHome(t)
	c := trio(h)
	c.policy(h.pool())
	c.agent("n1", "4xRTX 3080")
	c.agent("n2", "2xRTX 3080", "2xRTX 3070")
	wide := c.submit(fmt.Sprintf(longJob, 4, 4))
	narrow := c.submit(fmt.Sprintf(longJob, 1, 1))
	c.running(wide, 20*time.Second)
	c.running(narrow, 20*time.Second)
	steady := func() []work { // what no failover may touch
		return slices.DeleteFunc(h.works(), func(w work) bool {
			return w.job != wide && w.job != narrow && !(w.job == "" && strings.Contains(strings.Join(w.args, " "), ".n2-2") || strings.Contains(strings.Join(w.args, " "), ".n2-3"))
		})
	}
	poll(t, 20*time.Second, "two jobs run and the two small devices mine", func() (bool, string) { return len(steady()) == 4, fmt.Sprint(h.works()) })
	before := steady()
	w := watch(c)
	defer w.end(t)

	var writes, agents []time.Duration
	var ids []string
	for n := range kills {
		ids = append(ids, c.submit(shortJob))
		victim := c.leader()
		others := slices.DeleteFunc(slices.Clone(c.servers), func(s *server) bool { return s == victim })
		during := make(chan answer, 1)
		go func() { during <- c.cli().run(shortJob, "job", "submit", "-") }()
		time.Sleep(time.Duration(n%5) * 40 * time.Millisecond) // at another moment of that submission each time
		w.setAway(victim, true)
		began := time.Now()
		victim.kill(t)
		id, err := firstWrite(t, others, fmt.Sprintf("kill-%d", n), 10*time.Second)
		if err != nil {
			t.Fatalf("kill %d: no write within 10 s: %v", n, err)
		}
		writes = append(writes, time.Since(began))
		ids = append(ids, id)
		poll(t, 15*time.Second, "both agents speak to the new leader", func() (bool, string) {
			var state string
			for _, s := range others {
				r, err := s.ListNodes(brief(t, time.Second), &sluicev1.ListNodesRequest{})
				heard := 0
				for _, node := range r.GetNodes() {
					if node.State == "ready" && node.LastSeenMs != 0 { // only the leader knows when
						heard++
					}
				}
				if heard == 2 {
					return true, ""
				}
				state += fmt.Sprint(r.GetNodes(), err)
			}
			return false, state
		})
		agents = append(agents, time.Since(began))
		if a := <-during; a.code == 0 {
			ids = append(ids, strings.TrimSpace(a.out))
		} else {
			t.Errorf("kill %d: a submission through the command line did not survive: exit code %d: %s", n, a.code, a.err)
		}
		if after := steady(); !sameWork(before, after) {
			t.Fatalf("kill %d: workloads changed from\n%v to\n%v", n, before, after)
		}
		victim.start(h)
		poll(t, 15*time.Second, victim.id+" catches up", func() (bool, string) {
			_, err := victim.GetJob(brief(t, time.Second), &sluicev1.GetJobRequest{Id: id})
			return err == nil, fmt.Sprint(err)
		})
		w.setAway(victim, false)
	}
	figure(t, "leader killed -> first acknowledged write: %v", spreadOf(writes))
	figure(t, "leader killed -> both agents with the new leader: %v", spreadOf(agents))
	if p := spreadOf(writes); p.max > 5*time.Second {
		t.Errorf("a write took %s", p.max)
	}
	if p := spreadOf(agents); p.p50 > 4*time.Second || p.max > 15*time.Second {
		t.Errorf("agents were without a leader for %s", p.max)
	}

	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			t.Errorf("job %s was acknowledged to two submissions", id)
		}
		seen[id] = true
	}
	for _, s := range c.servers {
		r, err := s.ListJobs(brief(t, 5*time.Second), &sluicev1.ListJobsRequest{All: true})
		if err != nil {
			t.Fatal(err)
		}
		have, done := map[string]bool{}, 0
		for _, j := range r.Jobs {
			have[j.Id] = true
			if j.Phase == "succeeded" {
				done++
			}
		}
		for _, id := range ids {
			if !have[id] {
				t.Errorf("server %s does not have job %s, which was acknowledged", s.id, id)
			}
		}
		if done < 10 {
			t.Errorf("only %d short jobs ran meanwhile: the kills met an idle cluster", done)
		}
		if want := len(ids) + 2; len(have) != want {
			t.Errorf("server %s has %d jobs, %d were submitted", s.id, len(have), want)
		}
	}
	agree(t, c)
	for _, s := range c.servers {
		s.signal(t, 15)
		if code := s.exit(t, 10*time.Second); code != 0 && code != 130 {
			t.Errorf("server %s ended with %d", s.id, code)
		}
	}
}

func sameWork(a, b []work) bool {
	identity := func(list []work) map[string]bool {
		m := map[string]bool{}
		for _, w := range list {
			m[fmt.Sprint(w.pid, " ", w.ticks)] = true
		}
		return m
	}
	return maps.Equal(identity(a), identity(b))
}

// agree checks that each server's books follow from its history and that the
// histories are one.
func agree(t *testing.T, c *cluster) {
	t.Helper()
	poll(t, 20*time.Second, "the servers agree at one entry", func() (bool, string) {
		heads := map[string]string{}
		var state []string
		for _, s := range c.servers {
			v, err := s.VerifyLedger(brief(t, 10*time.Second), &sluicev1.VerifyLedgerRequest{})
			if err != nil {
				return false, err.Error()
			}
			if !v.Ok {
				t.Fatalf("server %s: %s", s.id, v.Text)
			}
			heads[fmt.Sprint(v.ToIndex, " ", v.Head, " ", v.DeviceMillis, " ", v.Net)] = s.id
			state = append(state, fmt.Sprintf("%s %d %s", s.id, v.ToIndex, v.Head[:12]))
		}
		return len(heads) == 1, strings.Join(state, ", ")
	})
	for _, s := range c.servers {
		one := cli{h: c.h, env: []string{"SLUICE_ADDR=" + s.grpc, "SLUICE_TOKEN=" + c.token, "SLUICE_CACERT=" + c.ca()}}
		if a := one.run("", "ledger", "verify"); a.code != 0 {
			t.Errorf("sluice ledger verify on %s: exit code %d\n%s%s", s.id, a.code, a.out, a.err)
		}
	}
}
