package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
)

// The lease of leasedJob and the grace that counts on top of it.
const (
	lease  = 3 * time.Second
	grace  = time.Second
	margin = 15 * time.Second // the leader's, see scheduler/sessions.go
	beat   = 2 * time.Second  // an agent's heartbeat: how long before its death it was last heard
	slack  = 2 * time.Second  // for a busy machine
)

const leasedJob = `kind: Job
name: leased
gang: {gpus: 1, models: [RTX 3080]}
run: {command: [sleep, "100000"]}
checkpoint: {signal: SIGTERM, grace: 1s}
value: {bid: 2.00 USD/GPU-h}
limits: {attempts: 5, lease: 3s}
`

// workOf waits for the process of a job.
func (c *cluster) work(job string) work {
	c.h.t.Helper()
	var w work
	poll(c.h.t, 20*time.Second, "job "+job+" has a process", func() (ok bool, _ string) {
		w, ok = c.h.workOf(job)
		return ok, fmt.Sprint(c.h.works())
	})
	return w
}

func (w work) lives() bool {
	ticks, state := startTicks(w.pid)
	return ticks == w.ticks && state != 'Z' && state != 'X'
}

// nodeState is ready, unknown or lost, or "" for a node that is not known.
func (c *cluster) nodeState(node string) string {
	r, err := c.servers[0].ListNodes(brief(c.h.t, 2*time.Second), &sluicev1.ListNodesRequest{})
	if err != nil {
		return err.Error()
	}
	for _, n := range r.Nodes {
		if n.Id == node {
			return n.State
		}
	}
	return ""
}

func (c *cluster) ready(node string, limit time.Duration) {
	c.h.t.Helper()
	poll(c.h.t, limit, node+" is ready", func() (bool, string) { s := c.nodeState(node); return s == "ready", s })
}

// startLeased makes a cluster with one node on which leasedJob runs.
func startLeased(t *testing.T) (c *cluster, agent *process, job string, first work) {
	h := newHome(t)
	c = lone(h)
	c.policy(h.pool())
	agent = c.agent("n1", "1xRTX 3080")
	c.ready("n1", 20*time.Second)
	job = c.submit(leasedJob)
	c.running(job, 20*time.Second)
	return c, agent, job, c.work(job)
}

// A killed agent that comes back finds its workloads; one that does not leaves
// the leases to end them, and the leader gives the job to another node only when
// the lease has certainly run out.
func TestAgentKilled(t *testing.T) {
	t.Parallel()
	c, agent, job, first := startLeased(t)
	w := watch(c)
	defer w.end(t)

	agent.kill(t)
	began := time.Now()
	agent = c.h.start("agent-n1-again", nil, c.agentArgs("n1", "1xRTX 3080")...)
	poll(t, 10*time.Second, "the new agent adopts the workload", func() (bool, string) {
		return strings.Contains(agent.log(), "msg=adopted") && strings.Contains(agent.log(), "msg=session"), agent.log()
	})
	figure(t, "agent killed -> workload adopted and leader reached: %.0f ms", float64(time.Since(began).Milliseconds()))
	// Twice the lease: the new agent extends what the old one promised.
	for end := time.Now().Add(2 * lease); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if !first.lives() {
			t.Fatalf("workload %v ended though its agent came back", first)
		}
	}
	if now := c.work(job); now.pid != first.pid || now.ticks != first.ticks {
		t.Fatalf("job %s runs as %v, was %v", job, now, first)
	}
	if n := len(c.job(job).Attempts); n != 1 {
		t.Errorf("job %s has %d attempts", job, n)
	}

	// Somewhere else the job could run at once.
	c.agent("n2", "1xRTX 3080")
	c.ready("n2", 20*time.Second)
	died := time.Now()
	agent.kill(t)
	poll(t, lease+grace+slack, "the shim ends its workload at the end of the lease", func() (bool, string) { return !first.lives(), first.String() })
	ended := time.Since(died)
	figure(t, "agent killed -> workload ended by its lease of %s: %.1f s", lease, ended.Seconds())
	if ended < lease-beat-grace {
		t.Errorf("the workload ended %s after its agent: its lease had not run out", ended)
	}
	latest := lease + grace + margin + slack
	poll(t, latest, "the job runs on the other node", func() (bool, string) {
		j := c.job(job)
		return len(j.Attempts) > 1 && j.Attempts[1].Phase == "running", fmt.Sprint(j.Phase, j.Attempts)
	})
	again := time.Since(died)
	figure(t, "agent killed -> job runs elsewhere: %.1f s (lease + grace + %s = %s)", again.Seconds(), margin, lease+grace+margin)
	if earliest := lease + grace + margin - beat; again < earliest {
		t.Errorf("the job was started anew after %s; the lease is only sure to be over after %s", again, earliest)
	}
	if second := c.work(job); second.pid == first.pid && second.ticks == first.ticks {
		t.Errorf("the job still runs as %v", second)
	}
}

// A stopped agent cannot extend leases; when it goes on, nothing is run twice.
func TestAgentStopped(t *testing.T) {
	t.Parallel()
	c, agent, job, first := startLeased(t)
	w := watch(c)
	defer w.end(t)

	began := time.Now()
	agent.signal(t, syscall.SIGSTOP)
	poll(t, lease+grace+slack, "the shim ends its workload though the agent is stopped", func() (bool, string) { return !first.lives(), first.String() })
	figure(t, "agent stopped -> workload ended by its lease of %s: %.1f s", lease, time.Since(began).Seconds())
	poll(t, 15*time.Second, "the node is unknown", func() (bool, string) { s := c.nodeState("n1"); return s == "unknown", s })
	agent.signal(t, syscall.SIGCONT)
	c.ready("n1", 15*time.Second)
	poll(t, 20*time.Second, "the job is started anew", func() (bool, string) {
		j := c.job(job)
		n := len(j.Attempts)
		return n == 2 && j.Attempts[1].Phase == "running", fmt.Sprint(j.Phase, j.Attempts)
	})
	if second := c.work(job); second.pid == first.pid && second.ticks == first.ticks {
		t.Errorf("the job still runs as %v", second)
	}
}

// Of two agents that claim one node the first keeps it.
func TestTwoAgentsOfOneName(t *testing.T) {
	t.Parallel()
	c, agent, job, first := startLeased(t)
	token := c.cli().must("", "token", "node", "n1")
	args := c.agentArgs("n1", "1xRTX 3080")
	for i, a := range args {
		if a == c.h.path("n1") {
			args[i] = c.h.path("n1-twin") // with its own directory a lock cannot tell
		}
	}
	twin := c.h.start("agent-twin", []string{"SLUICE_JOIN_TOKEN=" + token}, args...)
	poll(t, 10*time.Second, "the second is refused", func() (bool, string) {
		return strings.Contains(twin.log(), "another agent already speaks for node n1"), twin.log()
	})
	for end := time.Now().Add(lease + grace + slack); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if !first.lives() {
			t.Fatalf("the workload of the first agent ended: %v", first)
		}
	}
	if n := strings.Count(agent.log(), "msg=session server="); n != 1 {
		t.Errorf("the first agent had %d sessions, want 1:\n%s", n, agent.log())
	}
	if strings.Contains(twin.log(), "msg=session server=") {
		t.Error("the second was welcomed")
	}
	if j := c.job(job); len(j.Attempts) != 1 {
		t.Errorf("job %s has %d attempts", job, len(j.Attempts))
	}
	// The same directory is refused before any server is asked.
	same := c.h.start("agent-same-dir", nil, c.agentArgs("n1", "1xRTX 3080")...)
	if code := same.exit(t, 10*time.Second); code != 4 {
		t.Errorf("a second agent on one directory ended with %d, want 4:\n%s", code, same.log())
	}
}
