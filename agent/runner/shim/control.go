//go:build linux

package shim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Request is one line to a shim's socket.
type Request struct {
	Op string `json:"op"` // status | extend | stop
	// Deadline and Epoch of extend. A higher epoch sets the deadline as given;
	// the same one only ever moves it forward, unless Exact; a lower one is
	// refused.
	Deadline int64  `json:"deadline,omitempty"`
	Epoch    uint64 `json:"epoch,omitempty"`
	Exact    bool   `json:"exact,omitempty"`
	// Signal (0 = the spec's) and Grace (negative = the spec's) of stop.
	Signal int           `json:"signal,omitempty"`
	Grace  time.Duration `json:"grace,omitempty"`
}

// Reply is one line back.
type Reply struct {
	Error string `json:"error,omitempty"`
	State *State `json:"state,omitempty"`
}

// Path of a socket may be at most 107 bytes long, and data directories are
// often deeper. Naming the directory by descriptor keeps it short whatever its
// depth.
func socketPath(dir *os.File) string {
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), SocketFile)
}

func listen(dir string) (net.Listener, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	path := socketPath(d)
	os.Remove(path)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// The path would name another directory once d is closed.
	l.SetUnlinkOnClose(false)
	return l, nil
}

// Client speaks to one shim. It is not safe for concurrent use.
type Client struct {
	conn net.Conn
	in   *bufio.Reader
}

// Dial connects to the shim of a run directory.
func Dial(dir string) (*Client, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	conn, err := net.DialTimeout("unix", socketPath(d), 2*time.Second)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn, in: bufio.NewReader(conn)}, nil
}

// Do sends one request and returns the state after it.
func (c *Client) Do(r Request, timeout time.Duration) (State, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return State{}, err
	}
	c.conn.SetDeadline(time.Now().Add(timeout))
	if _, err = c.conn.Write(append(data, '\n')); err != nil {
		return State{}, err
	}
	line, err := c.in.ReadBytes('\n')
	if err != nil {
		return State{}, err
	}
	var reply Reply
	if err = json.Unmarshal(line, &reply); err != nil {
		return State{}, err
	}
	if reply.Error != "" {
		return State{}, fmt.Errorf("shim: %s", reply.Error)
	}
	if reply.State == nil {
		return State{}, fmt.Errorf("shim: empty reply")
	}
	return *reply.State, nil
}

// Wait returns when the shim has ended or the client is closed.
func (c *Client) Wait() {
	c.conn.SetDeadline(time.Time{})
	for {
		if _, err := c.in.ReadBytes('\n'); err != nil {
			return
		}
	}
}

// Close ends the conversation; the shim does not mind.
func (c *Client) Close() error { return c.conn.Close() }

// serve answers one connection.
func (k *keeper) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 1024)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		var r Request
		var reply Reply
		if err := json.Unmarshal(line, &r); err != nil {
			reply.Error = "request is not readable"
		} else if s, err := k.handle(r); err != nil {
			reply.Error = err.Error()
		} else {
			reply.State = &s
		}
		data, _ := json.Marshal(reply)
		if _, err := conn.Write(append(data, '\n')); err != nil {
			return
		}
	}
}

func (k *keeper) handle(r Request) (State, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch r.Op {
	case "status":
	case "extend":
		if r.Epoch < k.state.Epoch {
			return State{}, fmt.Errorf("epoch %d is below %d", r.Epoch, k.state.Epoch)
		}
		if r.Epoch == k.state.Epoch && r.Deadline <= k.state.Deadline && !r.Exact {
			return k.state, nil
		}
		k.state.Epoch, k.state.Deadline = r.Epoch, r.Deadline
		k.lease.set(r.Deadline)
		if err := WriteJSON(k.dir, StateFile, k.state, false); err != nil {
			k.note("state not written: " + err.Error())
		}
	case "stop":
		sig, grace := r.Signal, r.Grace
		if sig == 0 {
			sig = k.spec.Signal
		}
		if grace < 0 {
			grace = k.spec.Grace
		}
		k.stopLocked(CauseOrder, sig, grace)
	default:
		return State{}, fmt.Errorf("operation %q is not one of status, extend, stop", r.Op)
	}
	return k.state, nil
}
