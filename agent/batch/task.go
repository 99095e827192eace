package batch

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-project/sluice/workload/slurm"
)

// lingering is how long output is still taken once a task has ended.
const lingering = time.Second

// tasks starts and signals the tasks of one node.
type tasks struct {
	node   string
	own    map[string]string // what differs from node to node
	report func(message)

	mu     sync.Mutex
	closed bool
	live   map[*exec.Cmd]int // step
	wg     sync.WaitGroup
}

// ofNode are the variables that a task takes from its node, whatever srun had.
var ofNode = []string{"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "SLUICE_NODE", "SLUICE_PROGRESS", "SLUICE_CHECKPOINT_DIR", "SLUICE_RESUME_DIR",
	"SLURMD_NODENAME", "SLURM_JOB_GPUS", "SLURM_GPUS_ON_NODE", dirVar, binVar}

func newTasks(node string, own map[string]string, report func(message)) *tasks {
	return &tasks{node: node, own: own, report: report, live: map[*exec.Cmd]int{}}
}

// launch starts this node's tasks of a step and reports each end.
func (t *tasks) launch(step int, l Launch) {
	for i := range l.Count {
		t.start(step, l, i)
	}
}

func (t *tasks) start(step int, l Launch, local int) {
	task := l.First + local
	fail := func(code int, text string) {
		t.report(message{Kind: kindOutput, Step: step, Task: task, Stream: 2, Data: []byte("srun: error: " + t.node + ": task " + strconv.Itoa(task) + ": " + text + "\n")})
		t.report(message{Kind: kindExit, Step: step, Task: task, Code: code})
	}
	env := t.environ(step, l, local)
	path, err := lookPath(l.Argv[0], l.Dir, env["PATH"])
	if err != nil {
		fail(127, err.Error())
		return
	}
	cmd := &exec.Cmd{Path: path, Args: l.Argv, Dir: l.Dir, Env: flat(env),
		// A group of its own: what the agent sends to the keeper must not reach the
		// tasks twice.
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: 0}}
	outR, outW, err1 := os.Pipe()
	errR, errW, err2 := os.Pipe()
	if err1 != nil || err2 != nil {
		fail(1, "no pipe")
		return
	}
	cmd.Stdout, cmd.Stderr = outW, errW
	t.mu.Lock()
	if t.closed {
		err = os.ErrClosed
	} else if err = cmd.Start(); err == nil {
		t.live[cmd] = step
		t.wg.Add(1)
	}
	t.mu.Unlock()
	outW.Close()
	errW.Close()
	if err != nil {
		outR.Close()
		errR.Close()
		fail(126, err.Error())
		return
	}
	var copied sync.WaitGroup
	for stream, r := range map[int]*os.File{1: outR, 2: errR} {
		copied.Go(func() {
			defer r.Close()
			buf := make([]byte, 32<<10)
			for {
				n, err := r.Read(buf)
				if n > 0 {
					t.report(message{Kind: kindOutput, Step: step, Task: task, Stream: stream, Data: append([]byte(nil), buf[:n]...)})
				}
				if err != nil {
					return
				}
			}
		})
	}
	go func() {
		defer t.wg.Done()
		cmd.Wait()
		// All output comes before the exit, except of what the task left running:
		// that may hold the pipe for as long as it likes.
		outR.SetReadDeadline(time.Now().Add(lingering))
		errR.SetReadDeadline(time.Now().Add(lingering))
		copied.Wait()
		t.mu.Lock()
		delete(t.live, cmd)
		t.mu.Unlock()
		t.report(message{Kind: kindExit, Step: step, Task: task, Code: exitCode(cmd.ProcessState)})
	}()
}

// environ is the environment of one task: that of srun, with what belongs to
// the node and to the task on top.
func (t *tasks) environ(step int, l Launch, local int) map[string]string {
	env := map[string]string{}
	for _, kv := range l.Env {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	// The shims lie elsewhere on each node.
	if there := env[binVar]; there != "" {
		env["PATH"] = strings.ReplaceAll(env["PATH"], there, t.own[binVar])
	}
	for _, name := range ofNode {
		if v, ok := t.own[name]; ok {
			env[name] = v
		} else {
			delete(env, name)
		}
	}
	total := 0
	for _, n := range l.Counts {
		total += n
	}
	for k, v := range map[string]string{
		"SLURM_PROCID": strconv.Itoa(l.First + local), "SLURM_LOCALID": strconv.Itoa(local), "SLURM_NODEID": strconv.Itoa(l.NodeID),
		"SLURM_STEP_ID": strconv.Itoa(step), "SLURM_STEPID": strconv.Itoa(step), "SLURM_STEP_NUM_TASKS": strconv.Itoa(total), "SLURM_NTASKS": strconv.Itoa(total), "SLURM_NPROCS": strconv.Itoa(total),
		"SLURM_STEP_NODELIST": slurm.Compress(l.List), "SLURM_STEP_NUM_NODES": strconv.Itoa(len(l.List)), "SLURM_NNODES": strconv.Itoa(len(l.List)),
		"SLURM_STEP_TASKS_PER_NODE": slurm.Repeats(l.Counts), "SLURM_TASKS_PER_NODE": slurm.Repeats(l.Counts),
	} {
		env[k] = v
	}
	if l.GPUs > 0 {
		all := strings.Split(env["CUDA_VISIBLE_DEVICES"], ",")
		from := min(local*l.GPUs, len(all))
		mine := strings.Join(all[from:min(from+l.GPUs, len(all))], ",")
		env["CUDA_VISIBLE_DEVICES"], env["NVIDIA_VISIBLE_DEVICES"] = mine, mine
	}
	return env
}

// signal reaches every process group of a step; step -1 is all of them.
func (t *tasks) signal(step int, sig syscall.Signal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for cmd, s := range t.live {
		if step < 0 || s == step {
			syscall.Kill(-cmd.Process.Pid, sig)
		}
	}
}

// close ends all tasks; no other is started.
func (t *tasks) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.signal(-1, syscall.SIGKILL)
	t.wg.Wait()
}

func exitCode(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return s.ExitCode()
}

// lookPath finds a program as the task's own shell would.
func lookPath(name, dir, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, d := range strings.Split(path, ":") {
		if d == "" {
			d = dir
		}
		file := d + "/" + name
		if s, err := os.Stat(file); err == nil && !s.IsDir() && s.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

func flat(env map[string]string) []string {
	var out []string
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	return out
}
