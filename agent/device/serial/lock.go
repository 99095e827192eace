package serial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-project/sluice/workload"
)

// A port is locked by a socket in the abstract namespace that is named after
// its device number: the kernel frees it with its process, no file is left, and
// it holds whatever path a port was opened by. Whoever connects to it reads the
// holder's Status. Linux's own mark, TIOCEXCL, does not bind root.

// lockName of a port.
func lockName(path string) (string, error) {
	major, minor, err := deviceNumber(path)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("@sluice-serial-%d-%d", major, minor), nil
}

// hold is a held lock.
type hold struct{ ln *net.UnixListener }

// acquire locks a port. Conflict: a process of ours has it.
func acquire(path string) (*hold, error) {
	name, err := lockName(path)
	if err != nil {
		return nil, err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, workload.Errorf(workload.Conflict, "serial port %s is in use by another process of this program", path)
	}
	if err != nil {
		return nil, workload.Errorf(workload.Unavailable, "lock of serial port %s: %w", path, err)
	}
	return &hold{ln}, nil
}

// acquireWait waits for a holder that is about to leave, such as an agent that
// looks what is there.
func acquireWait(ctx context.Context, path string, limit time.Duration) (*hold, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		h, err := acquire(path)
		if err == nil || workload.KindOf(err) != workload.Conflict {
			return h, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// serve tells everyone who connects the status.
func (h *hold) serve(status func() Status) {
	for {
		conn, err := h.ln.AcceptUnix()
		if err != nil {
			return
		}
		conn.SetWriteDeadline(time.Now().Add(time.Second))
		json.NewEncoder(conn).Encode(status())
		conn.Close()
	}
}

func (h *hold) release() { h.ln.Close() }

// errNoHolder: nobody holds the lock.
var errNoHolder = errors.New("serial: nobody holds the port")

// maxStatus bounds what a holder may answer.
const maxStatus = 256 << 10

// ask reads the status of a port's holder. Only a process of our own account,
// or of root's, is believed: anyone may take an abstract name.
func ask(ctx context.Context, path string) (Status, error) {
	var s Status
	name, err := lockName(path)
	if err != nil {
		return s, err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", name)
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
		return s, errNoHolder
	}
	if err != nil {
		return s, workload.Errorf(workload.Unavailable, "holder of serial port %s: %w", path, err)
	}
	defer c.Close()
	conn := c.(*net.UnixConn)
	if err := ours(conn); err != nil {
		return s, workload.Errorf(workload.Denied, "holder of serial port %s: %w", path, err)
	}
	deadline := time.Now().Add(2 * time.Second)
	if at, ok := ctx.Deadline(); ok && at.Before(deadline) {
		deadline = at
	}
	conn.SetReadDeadline(deadline)
	data, err := io.ReadAll(io.LimitReader(conn, maxStatus))
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return s, workload.Errorf(workload.Unavailable, "holder of serial port %s: %w", path, err)
	}
	return s, nil
}

func ours(conn *net.UnixConn) error {
	rc, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	if err := rc.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return err
	}
	if credErr != nil {
		return credErr
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return fmt.Errorf("process %d belongs to another account", cred.Pid)
	}
	return nil
}
