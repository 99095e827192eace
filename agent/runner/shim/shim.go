//go:build linux

package shim

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ReadyFD is the descriptor on which a shim answers its starter: "ok" and a
// newline once the workload runs and its state is on disk, or else one line
// that says what failed. It is optional.
const ReadyFD = 3

// keeper is the state of a running shim.
type keeper struct {
	dir  string
	spec Spec
	box  containment
	log  *ring

	mu      sync.Mutex
	state   State
	lease   *boottimer
	reaped  bool // the main process has been reaped
	ended   bool // its end has been decided: later causes do not count
	cause   string
	killed  bool
	strays  int
	notes   []string
	stopped chan struct{} // closed at the first stop
	exited  chan syscall.WaitStatus
	empty   chan struct{} // closed when no child is left
	drained chan struct{} // closed when the log has all that was written
}

// Main runs the shim of a run directory to its end and returns the exit status
// of the shim itself.
func Main(dir string) int {
	// A node may hold dozens of shims that do nothing for days.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(20)
	debug.SetMemoryLimit(32 << 20)
	ready := os.NewFile(ReadyFD, "ready")
	// Called by hand there is none, and the number may be a descriptor of the
	// Go runtime, which must not be closed.
	if info, err := ready.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		ready = nil
	} else {
		unix.CloseOnExec(ReadyFD)
	}
	say := func(line string) {
		if ready != nil {
			io.WriteString(ready, line+"\n")
			ready.Close()
			ready = nil
		}
	}
	k, err := begin(dir)
	if err != nil {
		say(strings.ReplaceAll(err.Error(), "\n", " "))
		return 1
	}
	say("ok")
	debug.FreeOSMemory()
	if err := k.run(); err != nil {
		k.note(err.Error())
		return 1
	}
	return 0
}

func begin(dir string) (*keeper, error) {
	// The main thread forks the workload: no_new_privs belongs to a thread and
	// is inherited by what it forks.
	runtime.LockOSThread()
	// Whatever the agent's own parent left open, the workload must not get.
	if err := unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC); err != nil && err != unix.ENOSYS {
		return nil, fmt.Errorf("shut inherited files: %w", err)
	}
	k := &keeper{dir: dir, stopped: make(chan struct{}), exited: make(chan syscall.WaitStatus, 1), empty: make(chan struct{}), drained: make(chan struct{})}
	if err := ReadJSON(dir, SpecFile, &k.spec); err != nil {
		return nil, fmt.Errorf("read spec: %w", err)
	}
	if len(k.spec.Argv) == 0 || k.spec.Argv[0] == "" {
		return nil, fmt.Errorf("spec has no command")
	}
	if k.spec.Deadline <= 0 {
		return nil, fmt.Errorf("spec has no lease")
	}
	if _, err := os.Stat(filepath.Join(dir, ExitFile)); err == nil {
		return nil, fmt.Errorf("run has already ended")
	}
	boot, err := BootID()
	if err != nil {
		return nil, fmt.Errorf("read boot id: %w", err)
	}
	self, err := Identify(os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("read own identity: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become subreaper: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("set no_new_privs: %w", err)
	}
	if k.log, err = newRing(dir, LogHalf); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if k.lease, err = newBoottimer(k.spec.Deadline); err != nil {
		return nil, fmt.Errorf("set lease: %w", err)
	}
	l, err := listen(dir)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	k.box = contain(k.spec.ID, k.spec.Contain)
	k.state = State{BootID: boot, Shim: self, Epoch: k.spec.Epoch, Deadline: k.spec.Deadline, Contain: k.box.kind, Cgroup: k.box.dir}
	if err := WriteJSON(dir, StateFile, k.state, false); err != nil {
		k.box.remove()
		return nil, fmt.Errorf("write state: %w", err)
	}
	if err := k.start(); err != nil {
		k.box.remove()
		return nil, err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go k.serve(conn)
		}
	}()
	return k, nil
}

// start forks the workload and records it.
func (k *keeper) start() error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	path, err := lookPath(k.spec.Argv[0], k.spec.Dir, k.spec.Env)
	if err != nil {
		out.Close()
		return err
	}
	dir := k.spec.Dir
	if dir == "" {
		dir = k.dir
	}
	attr := &syscall.ProcAttr{Dir: dir, Env: k.spec.Env, Files: []uintptr{null.Fd(), in.Fd(), in.Fd()}, Sys: &syscall.SysProcAttr{Setsid: true}}
	if k.spec.Switch {
		attr.Sys.Credential = &syscall.Credential{Uid: k.spec.UID, Gid: k.spec.GID, Groups: []uint32{k.spec.GID}}
	}
	pid, err := k.box.start(path, k.spec.Argv, attr)
	if err != nil {
		out.Close()
		return fmt.Errorf("start %s: %w", k.spec.Argv[0], err)
	}
	// Not a zombie's ticks yet: only our reaper, which starts below, can free
	// the pid.
	k.state.Work, err = Identify(pid)
	if err == nil {
		err = WriteJSON(k.dir, StateFile, k.state, false)
	}
	if err != nil {
		k.box.killAll(pid)
		return fmt.Errorf("record %s: %w", k.spec.Argv[0], err)
	}
	// The kernel shall rather take the workload than the one who must stop it.
	os.WriteFile("/proc/self/oom_score_adj", []byte("-900"), 0)
	go k.drain(out)
	go k.reap(pid)
	return nil
}

// lookPath finds a program in the PATH of the workload, not in ours.
func lookPath(name, dir string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return name, nil
	}
	for _, e := range slices.Backward(env) {
		list, ok := strings.CutPrefix(e, "PATH=")
		if !ok {
			continue
		}
		for _, d := range filepath.SplitList(list) {
			if p := filepath.Join(d, name); filepath.IsAbs(p) {
				if s, err := os.Stat(p); err == nil && s.Mode().IsRegular() && s.Mode()&0o111 != 0 {
					return p, nil
				}
			}
		}
		break
	}
	return "", fmt.Errorf("start %s: %w", name, exec.ErrNotFound)
}

// drain copies what the workload writes into its log.
func (k *keeper) drain(out *os.File) {
	defer close(k.drained)
	defer out.Close()
	buf := make([]byte, 16<<10)
	for {
		n, err := out.Read(buf)
		if n > 0 {
			k.log.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// reap collects every child, our own and those we inherit. It waits without
// reaping and reaps under the lock, so that whoever holds the lock may signal
// a child by its pid.
func (k *keeper) reap(main int) {
	defer close(k.empty)
	for {
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return // ECHILD: nobody is left
		}
		k.mu.Lock()
		for {
			var ws unix.WaitStatus
			pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
			if err == unix.EINTR {
				continue
			}
			if err != nil || pid <= 0 {
				break
			}
			if pid == main {
				k.reaped = true
				if !k.ended {
					k.ended, k.cause = true, CauseSelf
				}
				k.exited <- syscall.WaitStatus(ws)
			} else if k.reaped {
				k.strays++
			}
		}
		k.mu.Unlock()
	}
}

// stopLocked begins the stop ladder; k.mu is held. A second stop with a
// shorter grace shortens the first.
func (k *keeper) stopLocked(cause string, sig int, grace time.Duration) {
	if k.reaped {
		return
	}
	first := !k.ended
	if first {
		k.ended, k.cause = true, cause
		close(k.stopped)
		// Counted before it is asked: a workload may have saved by the time that
		// the signal's sender runs again.
		saved := 0
		if unix.Signal(sig) != unix.SIGTERM {
			saved = savedLines(k.spec.Progress, 0)
		}
		// Every rank is asked, not the shell in front of them alone.
		unix.Kill(-k.state.Work.PID, unix.Signal(sig))
		if unix.Signal(sig) != unix.SIGTERM {
			go k.terminate(saved, grace)
		}
	}
	deadline := time.Duration(max(grace, 0))
	time.AfterFunc(deadline, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if !k.reaped {
			k.killed = true
			k.box.killAll(k.state.Work.PID)
		}
	})
}

// terminate tells a workload that was asked to save, and may have gone on, to
// end: as soon as it has saved, or in the last quarter of its grace.
func (k *keeper) terminate(before int, grace time.Duration) {
	limit := time.Now().Add(grace - min(grace/4, 5*time.Second))
	for time.Now().Before(limit) && savedLines(k.spec.Progress, before) <= before {
		time.Sleep(20 * time.Millisecond)
		k.mu.Lock()
		over := k.reaped
		k.mu.Unlock()
		if over {
			return
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.reaped {
		unix.Kill(-k.state.Work.PID, unix.SIGTERM)
	}
}

// savedLines counts the lines of a progress file that report a checkpoint. The
// file belongs to a foreign program: no link is followed, no pipe waited for,
// and of a file that cannot be read the count stays what it was.
func savedLines(path string, before int) int {
	if path == "" {
		return before
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return before
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	count := 0
	in := bufio.NewReader(io.LimitReader(f, 64<<20)) // beyond any progress file
	for {
		line, err := in.ReadSlice('\n')
		if bytes.Contains(line, []byte(`"checkpoint":true`)) || bytes.Contains(line, []byte(`"checkpoint": true`)) {
			count++
		}
		if err != nil && err != bufio.ErrBufferFull {
			return count
		}
	}
}

// run waits for the end, sweeps what is left and writes the exit status.
func (k *keeper) run() error {
	go func() {
		for k.lease.wait() {
			k.mu.Lock()
			if Boottime() >= k.state.Deadline {
				k.stopLocked(CauseLease, k.spec.Signal, k.spec.Grace)
			}
			k.mu.Unlock()
		}
	}()
	// Whoever stops the shim means the workload: alone it would be unleashed.
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	go func() {
		for range terminate {
			k.mu.Lock()
			k.stopLocked(CauseOrder, k.spec.Signal, k.spec.Grace)
			k.mu.Unlock()
		}
	}()
	ws := <-k.exited
	clean := k.sweep()
	select {
	case <-k.drained:
	case <-time.After(time.Second): // an unkillable process holds the pipe
	}
	k.mu.Lock()
	exit := Exit{Code: exitCode(ws), Cause: k.cause, AtMs: time.Now().UnixMilli(), Killed: k.killed, Strays: k.strays, Contain: k.box.kind, Note: strings.Join(k.notes, "; ")}
	k.mu.Unlock()
	if !clean {
		exit.Note = strings.TrimPrefix(exit.Note+"; some processes could not be killed", "; ")
	}
	err := WriteJSON(k.dir, ExitFile, exit, true)
	k.box.remove()
	return err
}

// sweepLimit bounds how long a shim tries to kill what outlived the main
// process; only what sleeps uninterruptibly takes longer.
const sweepLimit = 5 * time.Second

func (k *keeper) sweep() bool {
	limit := time.After(sweepLimit)
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		k.mu.Lock()
		k.box.killAll(0)
		k.mu.Unlock()
		select {
		case <-k.empty:
			return true
		case <-limit:
			return false
		case <-time.After(wait):
		}
	}
}

func exitCode(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// note keeps a remark for the exit file.
func (k *keeper) note(text string) {
	k.notes = append(k.notes[:min(len(k.notes), 7)], text)
}

// boottimer fires at an instant of CLOCK_BOOTTIME; Go's own timers stand still
// while the machine is suspended.
type boottimer struct{ file *os.File }

func newBoottimer(deadline int64) (*boottimer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	t := &boottimer{file: os.NewFile(uintptr(fd), "lease"+strconv.Itoa(fd))}
	return t, t.set(deadline)
}

func (t *boottimer) set(deadline int64) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(deadline, 1))}
	conn, err := t.file.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if err := conn.Control(func(fd uintptr) { result = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME, &spec, nil) }); err != nil {
		return err
	}
	return result
}

// wait returns true each time the timer fires.
func (t *boottimer) wait() bool {
	var buf [8]byte
	_, err := t.file.Read(buf[:])
	return err == nil
}
