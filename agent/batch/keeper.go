package batch

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-project/sluice/workload/slurm"
)

// Variables between the keeper and what runs under it.
const (
	dirVar = "SLUICE_BATCH_DIR" // where the keeper's socket lies
	binVar = "SLUICE_BATCH_BIN" // where the shims lie
	// VarKey names the variable with the secret that a job's keepers share. It
	// stands in the job's document: whoever may read that and reaches the first
	// keeper's port could call in as one of the other nodes, and would be given
	// that node's share of steps; it could not give orders.
	VarKey   = "SLUICE_BATCH_KEY"
	varNodes = "SLURM_JOB_NODELIST"
)

// assemble is how long the first keeper waits for the others, and they for it.
const assemble = 2 * time.Minute

// portGap lies between the port of the ranks' rendezvous and the keepers' own:
// the former are from 20000 to 29999, below it is ours.
const portGap = 10_000

// Config of a keeper.
type Config struct {
	Args  []string // of the script
	Env   []string
	Self  string // path of this program, which the shims are links to
	Shims []string
	Out   io.Writer // the job's log
}

// keeper is the process of a job on one node.
type keeper struct {
	conf   Config
	env    map[string]string
	dir    string // the run's own
	rank   int
	nodes  []string
	tasks  *tasks
	outMu  sync.Mutex
	signal signalPlan

	mu    sync.Mutex
	peers map[int]*link // by rank
	steps map[int]*step
	next  int
}

// step is one srun and the tasks it waits for.
type step struct {
	srun   *link
	ranks  []int
	left   int
	worst  int
	killed bool
}

type signalPlan struct {
	sig   syscall.Signal
	shell bool
	lead  time.Duration
}

// Run keeps the job on this node until its script has ended. It returns the
// script's exit code, on the other nodes 0.
func Run(conf Config) (int, error) {
	k, err := newKeeper(conf)
	if err != nil {
		return 1, err
	}
	if k.env[slurm.VarNoRequeue] != "" && k.env["SLURM_RESTART_COUNT"] != "0" {
		return 1, errors.New("the job was submitted with --no-requeue and has been started before")
	}
	if k.rank > 0 {
		return k.follow()
	}
	return k.lead()
}

func newKeeper(conf Config) (*keeper, error) {
	k := &keeper{conf: conf, env: map[string]string{}, peers: map[int]*link{}, steps: map[int]*step{}}
	for _, kv := range conf.Env {
		name, v, _ := strings.Cut(kv, "=")
		if _, twice := k.env[name]; !twice {
			k.env[name] = v
		}
	}
	if k.env["SLUICE_SCRIPT"] == "" || k.env["SLUICE_PROGRESS"] == "" {
		return nil, errors.New("this runs inside a job that was submitted with sbatch")
	}
	var err error
	if k.nodes, err = slurm.Expand(k.env[varNodes]); err != nil {
		return nil, err
	}
	if k.rank, err = strconv.Atoi(k.env["SLURM_NODEID"]); err != nil || k.rank < 0 || k.rank >= len(k.nodes) {
		return nil, fmt.Errorf("node %q of %s", k.env["SLURM_NODEID"], k.env[varNodes])
	}
	k.dir = filepath.Dir(k.env["SLUICE_PROGRESS"])
	bin := filepath.Join(k.dir, "slurm")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, err
	}
	for _, name := range conf.Shims {
		if err := os.Symlink(conf.Self, filepath.Join(bin, name)); err != nil && !os.IsExist(err) {
			return nil, err
		}
	}
	k.prepare(bin)
	k.tasks = newTasks(k.nodes[k.rank], k.env, k.report)
	return k, nil
}

// prepare turns the environment of the keeper into that of the script.
func (k *keeper) prepare(bin string) {
	if text := k.env[slurm.VarSignal]; text != "" {
		text, k.signal.shell = strings.CutPrefix(text, "B:")
		name, secs, _ := strings.Cut(text, "@")
		n, _ := strconv.Atoi(secs)
		k.signal.lead = time.Duration(n) * time.Second
		k.signal.sig = map[string]syscall.Signal{"SIGHUP": syscall.SIGHUP, "SIGINT": syscall.SIGINT, "SIGUSR1": syscall.SIGUSR1, "SIGUSR2": syscall.SIGUSR2, "SIGTERM": syscall.SIGTERM}[name]
	}
	path := k.env[slurm.VarPath]
	if path == "" {
		path = k.env["PATH"]
	}
	k.env["PATH"] = bin + ":" + path
	k.env[dirVar], k.env[binVar] = k.dir, bin
	now := time.Now()
	k.env["SLURM_JOB_START_TIME"] = strconv.FormatInt(now.Unix(), 10)
	if limit := k.limit(); limit > 0 {
		k.env["SLURM_JOB_END_TIME"] = strconv.FormatInt(now.Add(limit).Unix(), 10)
	}
	if k.env["SLURM_ARRAY_TASK_ID"] != "" && k.env["SLURM_ARRAY_JOB_ID"] == "" {
		k.env["SLURM_ARRAY_JOB_ID"] = k.env["SLURM_JOB_ID"] // the first of the array
	}
	// Under Slurm the script itself is no rank.
	for _, name := range []string{"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "NODE_RANK", "NNODES", "GPUS_PER_NODE"} {
		delete(k.env, name)
	}
}

func (k *keeper) limit() time.Duration {
	n, _ := strconv.ParseInt(k.env[slurm.VarTimeLimit], 10, 64)
	return time.Duration(n) * time.Second
}

// private are the keeper's own variables, which the script is not shown.
var private = []string{"SLUICE_SCRIPT", VarKey, slurm.VarOutput, slurm.VarError, slurm.VarOpenMode, slurm.VarSignal, slurm.VarTimeLimit, slurm.VarNoRequeue, slurm.VarPath, slurm.VarFile}

// say writes a line of our own into the job's log.
func (k *keeper) say(format string, args ...any) {
	k.outMu.Lock()
	defer k.outMu.Unlock()
	fmt.Fprintf(k.conf.Out, "sluice: "+format+"\n", args...)
}

func (k *keeper) port() (string, error) {
	n, err := strconv.Atoi(k.env["MASTER_PORT"])
	if err != nil {
		return "", errors.New("MASTER_PORT is not set")
	}
	return strconv.Itoa(n - portGap), nil
}

// follow starts tasks for the first keeper until that says that all is done.
func (k *keeper) follow() (int, error) {
	port, err := k.port()
	if err != nil {
		return 1, err
	}
	config, err := identity(k.env[VarKey])
	if err != nil {
		return 1, err
	}
	addr := net.JoinHostPort(k.env["MASTER_ADDR"], port)
	var conn net.Conn
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		conn, err = tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", addr, config)
		if err == nil {
			break
		}
		if time.Since(began) > assemble {
			return 1, fmt.Errorf("the job's first node cannot be reached: %w", err)
		}
	}
	defer conn.Close()
	l := newLink(conn)
	k.mu.Lock()
	k.peers[0] = l
	k.mu.Unlock()
	defer k.tasks.close()
	if err := l.send(message{Kind: kindHello, Rank: k.rank}); err != nil {
		return 1, err
	}
	stop := k.onSignal(func(sig syscall.Signal) {
		if sig == syscall.SIGTERM || !k.signal.shell {
			k.tasks.signal(-1, sig)
		}
	})
	defer stop()
	for {
		m, err := l.receive()
		if err != nil {
			return 1, fmt.Errorf("the job's first node is gone: %w", err)
		}
		switch m.Kind {
		case kindLaunch:
			if m.Launch != nil && len(m.Launch.Argv) > 0 {
				k.tasks.launch(m.Step, *m.Launch)
			}
		case kindSignal:
			k.tasks.signal(m.Step, syscall.Signal(m.Signal))
		case kindDone:
			return 0, nil
		}
	}
}

// onSignal calls f for each signal that asks the job to save or to end.
func (k *keeper) onSignal(f func(syscall.Signal)) (stop func()) {
	c := make(chan os.Signal, 8)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP)
	go func() {
		for s := range c {
			f(s.(syscall.Signal))
		}
	}()
	return func() { signal.Stop(c); close(c) }
}

// report passes on what a task of this node says: to its srun on the first
// node, to the first keeper on others.
func (k *keeper) report(m message) {
	if k.rank == 0 {
		k.deliver(m)
		return
	}
	k.mu.Lock()
	l := k.peers[0]
	k.mu.Unlock()
	l.send(m)
}

// lead gathers the nodes, runs the script and serves its steps.
func (k *keeper) lead() (int, error) {
	if err := k.gather(); err != nil {
		return 1, err
	}
	var listener net.Listener
	err := socket(k.dir, func(path string) error {
		os.Remove(path)
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err == nil {
			l.SetUnlinkOnClose(false) // by then the path names another directory
			err = os.Chmod(path, 0o600)
			listener = l
		}
		return err
	})
	if err != nil {
		return 1, err
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go k.serve(newLink(conn))
		}
	}()
	code, err := k.script()
	k.tasks.close()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.peers {
		l.send(message{Kind: kindDone})
		l.conn.Close()
	}
	return code, err
}

// gather waits for the other nodes.
func (k *keeper) gather() error {
	if len(k.nodes) == 1 {
		return nil
	}
	port, err := k.port()
	if err != nil {
		return err
	}
	config, err := identity(k.env[VarKey])
	if err != nil {
		return err
	}
	tcp, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	defer tcp.Close()
	limit := time.Now().Add(assemble)
	tcp.(*net.TCPListener).SetDeadline(limit)
	called := make(chan struct{}, len(k.nodes))
	go func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				close(called)
				return
			}
			// One at a time would let a stranger who says nothing hold up the job.
			go k.hello(tls.Server(conn, config), limit, called)
		}
	}()
	for range len(k.nodes) - 1 {
		if _, ok := <-called; !ok {
			return fmt.Errorf("only %d of the job's %d nodes have called in within %s", len(k.peers)+1, len(k.nodes), assemble)
		}
	}
	return nil
}

func (k *keeper) hello(conn net.Conn, limit time.Time, called chan<- struct{}) {
	conn.SetDeadline(limit)
	l := newLink(conn)
	m, err := l.receive()
	k.mu.Lock()
	if err != nil || m.Kind != kindHello || m.Rank <= 0 || m.Rank >= len(k.nodes) || k.peers[m.Rank] != nil {
		k.mu.Unlock()
		conn.Close()
		return
	}
	k.peers[m.Rank] = l
	k.mu.Unlock()
	conn.SetDeadline(time.Time{})
	go func() {
		for {
			r, err := l.receive()
			if err != nil {
				k.lost(m.Rank)
				return
			}
			if r.Kind == kindOutput || r.Kind == kindExit {
				k.deliver(r)
			}
		}
	}()
	called <- struct{}{}
}

// script runs the batch script.
func (k *keeper) script() (int, error) {
	file := filepath.Join(k.dir, "slurm_script")
	if err := os.WriteFile(file, []byte(k.env["SLUICE_SCRIPT"]), 0o700); err != nil {
		return 1, err
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(k.env["SLUICE_SCRIPT"], "#!"), "\n")
	// As the kernel reads it: one program and at most one argument.
	program, arg, _ := strings.Cut(strings.TrimSpace(first), " ")
	argv := []string{program, file}
	if arg = strings.TrimSpace(arg); arg != "" {
		argv = []string{program, arg, file}
	}
	dir, err := os.Getwd()
	if err != nil {
		return 1, err
	}
	out, errOut, closeAll, err := k.outputs(dir)
	if err != nil {
		return 1, err
	}
	defer closeAll()
	env := map[string]string{}
	for name, v := range k.env {
		env[name] = v
	}
	for _, name := range private {
		delete(env, name)
	}
	cmd := &exec.Cmd{Path: program, Args: append(argv, k.conf.Args...), Dir: dir, Env: flat(env), Stdout: out, Stderr: errOut,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true}, WaitDelay: lingering}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	var asked sync.Once
	shell := func(sig syscall.Signal) { syscall.Kill(-cmd.Process.Pid, sig) }
	ask := func() {
		if k.signal.shell {
			// The shell alone: its children get the signal from it, or not at all.
			syscall.Kill(cmd.Process.Pid, k.signal.sig)
		} else {
			k.broadcast(-1, k.signal.sig)
		}
	}
	stop := k.onSignal(func(sig syscall.Signal) {
		// SIGTERM ends the job: it always goes to the script as well.
		if sig == k.signal.sig && sig != syscall.SIGTERM {
			asked.Do(ask)
			return
		}
		k.broadcast(-1, sig)
		shell(sig)
	})
	defer stop()
	if limit := k.limit(); limit > 0 && k.signal.sig != 0 {
		timer := time.AfterFunc(max(limit-k.signal.lead, 0), func() { asked.Do(ask) })
		defer timer.Stop()
	}
	err = cmd.Wait()
	if cmd.ProcessState == nil {
		return 1, err
	}
	return exitCode(cmd.ProcessState), nil
}

// outputs opens the files of --output and --error. What goes to them goes to
// the job's log too.
func (k *keeper) outputs(dir string) (out, errOut io.Writer, closeAll func(), err error) {
	restarts, _ := strconv.Atoi(k.env["SLURM_RESTART_COUNT"])
	names := slurm.Names{Job: k.env["SLURM_JOB_ID"], Name: k.env["SLURM_JOB_NAME"], User: k.env["SLURM_JOB_USER"], Node: k.nodes[0],
		ArrayJob: k.env["SLURM_ARRAY_JOB_ID"], ArrayTask: k.env["SLURM_ARRAY_TASK_ID"], Restarts: restarts}
	pattern := k.env[slurm.VarOutput]
	if pattern == "" {
		pattern = "slurm-%j.out"
		if names.ArrayTask != "" {
			pattern = "slurm-%A_%a.out"
		}
	}
	flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if k.env[slurm.VarOpenMode] == "append" {
		flags = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	}
	var files []*os.File
	closeAll = func() {
		for _, f := range files {
			f.Close()
		}
	}
	open := func(pattern string) (io.Writer, error) {
		f, err := os.OpenFile(names.File(pattern, dir), flags, 0o644)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		return &tee{k: k, file: f}, nil
	}
	if out, err = open(pattern); err != nil {
		return nil, nil, nil, err
	}
	errOut = out
	if e := k.env[slurm.VarError]; e != "" && names.File(e, dir) != names.File(pattern, dir) {
		if errOut, err = open(e); err != nil {
			closeAll()
			return nil, nil, nil, err
		}
	}
	return out, errOut, closeAll, nil
}

// tee writes to a file and to the job's log. A full disk must not end the job:
// the log has it all.
type tee struct {
	k    *keeper
	file *os.File
	told bool
}

func (t *tee) Write(p []byte) (int, error) {
	t.k.outMu.Lock()
	_, err := t.file.Write(p)
	t.k.conf.Out.Write(p)
	t.k.outMu.Unlock()
	if err != nil && !t.told {
		t.told = true
		t.k.say("the output file cannot be written: %v", err)
	}
	return len(p), nil
}
