package batch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/sluice-project/sluice/workload/slurm"
)

// serve answers one srun.
func (k *keeper) serve(l *link) {
	defer l.conn.Close()
	m, err := l.receive()
	if err != nil || m.Kind != kindLaunch || m.Launch == nil {
		return
	}
	id, err := k.startStep(l, *m.Launch)
	if err != nil {
		l.send(message{Kind: kindRefuse, Text: err.Error()})
		return
	}
	for {
		m, err := l.receive()
		if err != nil {
			// srun is gone: so are its tasks. One that has ended has none left.
			k.broadcast(id, syscall.SIGKILL)
			return
		}
		if m.Kind == kindSignal {
			k.broadcast(id, syscall.Signal(m.Signal))
		}
	}
}

// startStep spreads the tasks of a step over its nodes and starts them.
func (k *keeper) startStep(l *link, req Launch) (int, error) {
	ranks, counts, err := k.spread(req)
	if err != nil {
		return 0, err
	}
	req.Counts, req.List = counts, nil
	total := 0
	for i, r := range ranks {
		req.List = append(req.List, k.nodes[r])
		total += counts[i]
	}
	k.mu.Lock()
	id := k.next
	k.next++
	k.steps[id] = &step{srun: l, ranks: ranks, left: total}
	peers := map[int]*link{}
	for r, p := range k.peers {
		peers[r] = p
	}
	k.mu.Unlock()
	for i, r := range ranks {
		part := req
		part.Count, part.NodeID = counts[i], i
		if r == 0 {
			k.tasks.launch(id, part)
		} else if p := peers[r]; p == nil || p.send(message{Kind: kindLaunch, Step: id, Launch: &part}) != nil {
			k.missing(id, part, k.nodes[r])
		}
		req.First += counts[i]
	}
	return id, nil
}

// missing ends the tasks of a node that cannot be reached.
func (k *keeper) missing(id int, part Launch, node string) {
	for i := range part.Count {
		k.deliver(message{Kind: kindOutput, Step: id, Task: part.First + i, Stream: 2, Data: []byte("srun: error: node " + node + " is gone\n")})
		k.deliver(message{Kind: kindExit, Step: id, Task: part.First + i, Code: 1})
	}
}

// spread chooses the nodes of a step and the number of tasks on each.
func (k *keeper) spread(req Launch) (ranks, counts []int, err error) {
	if len(req.Argv) == 0 {
		return nil, nil, errors.New("no program to run")
	}
	for _, name := range req.Nodes {
		r := slices.Index(k.nodes, name)
		if r < 0 {
			return nil, nil, fmt.Errorf("node %s is not in the job's allocation %s", name, slurm.Compress(k.nodes))
		}
		if !slices.Contains(ranks, r) {
			ranks = append(ranks, r)
		}
	}
	number := func(name string) int {
		n, _ := strconv.Atoi(k.env[name])
		return n
	}
	perNode := req.PerNode
	if perNode == 0 && req.Tasks == 0 {
		perNode = number("SLURM_NTASKS_PER_NODE")
	}
	n := req.NodeCount
	if n == 0 {
		n = len(k.nodes)
		if len(ranks) > 0 {
			n = len(ranks)
		}
		if req.Tasks > 0 && req.PerNode > 0 {
			n = min(n, (req.Tasks+req.PerNode-1)/req.PerNode)
		}
	}
	total := req.Tasks
	switch {
	case total > 0:
	case req.PerNode > 0:
		total = n * req.PerNode
	case req.NodeCount > 0 && req.NodeCount != len(k.nodes):
		total = n * max(perNode, 1)
	case len(ranks) > 0 && len(ranks) != len(k.nodes):
		total = n * max(perNode, 1)
	default:
		total = max(number("SLURM_NTASKS"), 1)
	}
	n = min(n, total)
	if n > len(k.nodes) {
		return nil, nil, fmt.Errorf("the step needs %d nodes, the job has %d", n, len(k.nodes))
	}
	if total > 65_536 {
		return nil, nil, fmt.Errorf("a step of %d tasks", total)
	}
	for r := 0; len(ranks) < n; r++ {
		if !slices.Contains(ranks, r) {
			ranks = append(ranks, r)
		}
	}
	ranks = ranks[:n]
	slices.Sort(ranks)
	if perNode > 0 && perNode*n < total {
		if req.PerNode > 0 {
			return nil, nil, fmt.Errorf("%d tasks do not fit on %d nodes with %d each", total, n, perNode)
		}
		perNode = 0
	}
	return ranks, slurm.TasksPerNode(total, n, perNode), nil
}

// deliver gives srun what a task says and ends the step with its last task.
func (k *keeper) deliver(m message) {
	k.mu.Lock()
	s := k.steps[m.Step]
	done := false
	if s != nil && m.Kind == kindExit {
		s.left--
		s.worst = max(s.worst, m.Code)
		if done = s.left == 0; done {
			delete(k.steps, m.Step)
		}
	}
	k.mu.Unlock()
	if s == nil {
		return
	}
	s.srun.send(m)
	if done {
		s.srun.send(message{Kind: kindDone, Code: s.worst})
	}
}

// lost ends what waits for a node that is gone. The agents end the job anyway:
// its gang is no longer whole.
func (k *keeper) lost(rank int) {
	k.mu.Lock()
	delete(k.peers, rank)
	var refused []*step
	for id, s := range k.steps {
		if slices.Contains(s.ranks, rank) {
			refused = append(refused, s)
			delete(k.steps, id)
		}
	}
	k.mu.Unlock()
	for _, s := range refused {
		s.srun.send(message{Kind: kindRefuse, Text: "node " + k.nodes[rank] + " is gone"})
	}
}

// broadcast signals the tasks of a step on all nodes; -1 is every step.
func (k *keeper) broadcast(id int, sig syscall.Signal) {
	k.tasks.signal(id, sig)
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, live := k.steps[id]; !live && id >= 0 {
		return
	}
	for _, l := range k.peers {
		l.send(message{Kind: kindSignal, Step: id, Signal: int(sig)})
	}
}

// Inside reports whether this environment is that of a job with a keeper.
func Inside(env func(string) string) bool { return env(dirVar) != "" }

// Step is srun inside a job: it runs the tasks and returns the highest of their
// exit codes. With label each line of output begins with its task's number.
// kill carries signals for the tasks.
func Step(env func(string) string, l Launch, label bool, out, errOut io.Writer, kill <-chan os.Signal) (int, error) {
	k, err := dialSocket(env(dirVar))
	if err != nil {
		return 1, err
	}
	defer k.conn.Close()
	if err := k.send(message{Kind: kindLaunch, Launch: &l}); err != nil {
		return 1, err
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case s := <-kill:
				k.send(message{Kind: kindSignal, Signal: int(s.(syscall.Signal))})
			case <-ended:
				return
			}
		}
	}()
	w := labeller{label: label, rest: map[[2]int][]byte{}}
	for {
		m, err := k.receive()
		if err != nil {
			return 1, fmt.Errorf("the job's keeper is gone: %w", err)
		}
		switch m.Kind {
		case kindOutput:
			to := out
			if m.Stream == 2 {
				to = errOut
			}
			w.write(to, m)
		case kindExit:
			w.flush(out, errOut, m.Task)
			if m.Code != 0 {
				fmt.Fprintf(errOut, "srun: error: task %d: %s\n", m.Task, exitWords(m.Code))
			}
		case kindRefuse:
			return 1, errors.New(m.Text)
		case kindDone:
			return m.Code, nil
		}
	}
}

func exitWords(code int) string {
	if code > 128 {
		return "ended by signal " + strconv.Itoa(code-128)
	}
	return "exited with exit code " + strconv.Itoa(code)
}

// labeller writes output, each line behind its task's number where asked.
type labeller struct {
	label bool
	rest  map[[2]int][]byte // the begun line of task and stream
}

func (w *labeller) write(to io.Writer, m message) {
	if !w.label {
		to.Write(m.Data)
		return
	}
	key := [2]int{m.Task, m.Stream}
	data := append(w.rest[key], m.Data...)
	i := strings.LastIndexByte(string(data), '\n') + 1
	for line := range strings.Lines(string(data[:i])) {
		fmt.Fprintf(to, "%d: %s", m.Task, line)
	}
	w.rest[key] = append([]byte(nil), data[i:]...)
}

func (w *labeller) flush(out, errOut io.Writer, task int) {
	for stream, to := range map[int]io.Writer{1: out, 2: errOut} {
		if rest := w.rest[[2]int{task, stream}]; len(rest) > 0 {
			fmt.Fprintf(to, "%d: %s\n", task, rest)
			delete(w.rest, [2]int{task, stream})
		}
	}
}
