package nvml

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// process is one helper. Only one caller at a time may use it.
type process struct {
	cmd  *exec.Cmd
	in   *os.File
	out  *os.File
	read *bufio.Reader
	id   uint64
	gone bool
	open bool // the library is open
}

// errHung means that a call did not come back in time and its helper was
// killed.
var errHung = errors.New("the call did not return")

// maxStuck bounds helpers that were killed and have not died: a process in the
// kernel's uninterruptible sleep holds its memory until the driver lets go.
const maxStuck = 8

// pool starts helpers and remembers those that will not die.
type pool struct {
	argv  []string
	env   []string
	stuck atomic.Int64 // started and not yet reaped
}

func (p *pool) start() (*process, error) {
	if len(p.argv) == 0 {
		return nil, workload.Errorf(workload.Unavailable, "nvml: this program does not know its own path")
	}
	if p.stuck.Load() >= maxStuck {
		return nil, workload.Errorf(workload.Unavailable, "nvml: %d helpers hang in the kernel driver", maxStuck).Hint("reboot when the node is empty")
	}
	// Pipes of our own: deadlines work on them, and nothing reads behind us.
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return nil, workload.Errorf(workload.Unavailable, "nvml: %w", err)
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		inRead.Close()
		inWrite.Close()
		return nil, workload.Errorf(workload.Unavailable, "nvml: %w", err)
	}
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Stdin, cmd.Stdout = inRead, outWrite
	// The helper is as small as it can be: it holds nothing worth a big heap.
	cmd.Env = append(append(os.Environ(), "GOGC=50", "GOMAXPROCS=1", "GOMEMLIMIT=16MiB"), p.env...)
	// A signal from the terminal is for the agent, which ends its helper.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	inRead.Close()
	outWrite.Close()
	if err != nil {
		inWrite.Close()
		outRead.Close()
		return nil, workload.Errorf(workload.Unavailable, "nvml: start the helper: %w", err)
	}
	h := &process{cmd: cmd, in: inWrite, out: outRead, read: bufio.NewReader(outRead)}
	p.stuck.Add(1) // until reaped; a living helper counts as one
	go func() {
		_ = cmd.Wait()
		p.stuck.Add(-1)
	}()
	return h, nil
}

// call sends one request and waits for its answer until the deadline. After an
// error the helper is gone.
func (h *process) call(ctx context.Context, q request, limit time.Duration) (reply, error) {
	if h.gone {
		return reply{}, workload.Errorf(workload.Unavailable, "nvml: the helper has ended")
	}
	end := time.Now().Add(limit)
	ours := true // whether the limit, and not the caller's context, ends the wait
	if at, ok := ctx.Deadline(); ok && at.Before(end) {
		end, ours = at, false
	}
	_ = h.in.SetWriteDeadline(end)
	_ = h.out.SetReadDeadline(end)
	h.id++
	q.ID = h.id
	var r reply
	err := writeFrame(h.in, q)
	if err == nil {
		err = readFrame(h.read, &r)
	}
	if err == nil && r.ID != q.ID {
		err = errors.New("the helper answers something else")
	}
	if err == nil {
		if r.Opening { // it ends by itself
			h.kill()
		}
		return r, nil
	}
	h.kill()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && ours:
		return reply{}, errHung
	case errors.Is(err, os.ErrDeadlineExceeded):
		return reply{}, workload.Errorf(workload.Unavailable, "nvml: %w", context.DeadlineExceeded)
	}
	return reply{}, workload.Errorf(workload.Unavailable, "nvml: the helper ended: %w", err)
}

// kill ends the helper without waiting for it: in a hung call it may not die.
func (h *process) kill() {
	if h.gone {
		return
	}
	h.gone = true
	_ = h.cmd.Process.Kill()
	h.in.Close()
	h.out.Close()
}
