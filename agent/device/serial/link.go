package serial

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-project/sluice/agent/device/serial/bm"
	"github.com/sluice-project/sluice/workload"
)

// find is a nonce as it came in.
type find struct {
	nonce  bm.Nonce
	nested bool // its frame began inside another one
}

// errGone: the port itself has failed. What comes back under its name may be
// another one.
var errGone = errors.New("the serial port is gone")

// Bounds of what a link holds for those who read from it late.
const (
	rawLimit   = 64 << 10
	findLimit  = 4096
	regLimit   = 1024
	writeLimit = 5 * time.Second // of a link, for the line to take a frame
)

// link is an open line: a goroutine reads frames, another writes, so that a
// line that hangs stops neither.
type link struct {
	port  Port
	limit time.Duration // for the line to take a frame
	out   chan request
	finds chan find
	regs  chan bm.Register
	done  chan struct{} // closed when reading ended; err is then final
	quit  chan struct{} // closed to end the writer
	once  sync.Once

	mu     sync.Mutex
	model  *bm.Model // nil: bytes are kept in raw
	framer *bm.Framer
	raw    []byte
	err    error
	lost   atomic.Uint64 // nonces dropped because nobody took them
}

type request struct {
	data []byte
	done chan error // nil = nobody waits
}

func newLink(p Port) *link {
	l := &link{port: p, limit: writeLimit, out: make(chan request, 64), finds: make(chan find, findLimit), regs: make(chan bm.Register, regLimit),
		done: make(chan struct{}), quit: make(chan struct{})}
	go l.read()
	go l.write()
	return l
}

func (l *link) read() {
	defer close(l.done)
	buf := make([]byte, 4096)
	for {
		n, err := l.port.Read(buf)
		if n > 0 {
			l.received(buf[:n])
		}
		if err != nil {
			l.mu.Lock()
			l.err = workload.Errorf(workload.Unavailable, "%w: %v", errGone, err)
			l.mu.Unlock()
			return
		}
	}
}

func (l *link) received(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.model == nil {
		l.raw = append(l.raw, b[:min(len(b), rawLimit-len(l.raw))]...)
		return
	}
	l.framer.Push(b, func(frame []byte, nested bool) {
		r, err := l.model.ParseReply(frame)
		switch {
		case err != nil:
		case r.IsNonce:
			select {
			case l.finds <- find{r.Nonce, nested}:
			default:
				l.lost.Add(1)
			}
		default:
			select {
			case l.regs <- r.Register:
			default: // nobody asked for so many
			}
		}
	})
}

func (l *link) write() {
	for {
		select {
		case <-l.quit:
			return
		case r := <-l.out:
			var err error
			for b := r.data; len(b) > 0 && err == nil; {
				var n int
				n, err = l.port.Write(b)
				b = b[n:]
			}
			if r.done != nil {
				r.done <- err
			}
			if err != nil {
				l.port.Close() // ends the reader, which tells everyone
				return
			}
		}
	}
}

// send puts bytes on the line and returns when the kernel has them.
func (l *link) send(b []byte) error {
	r := request{bytes.Clone(b), make(chan error, 1)}
	late := time.NewTimer(l.limit)
	defer late.Stop()
	select {
	case l.out <- r:
	case <-l.done:
		return l.failure()
	case <-late.C:
		return workload.Errorf(workload.Unavailable, "serial line takes nothing")
	}
	select {
	case err := <-r.done:
		if err != nil {
			return workload.Errorf(workload.Unavailable, "%w: %v", errGone, err)
		}
		return nil
	case <-l.done:
		return l.failure()
	case <-late.C:
		return workload.Errorf(workload.Unavailable, "serial line takes nothing")
	}
}

func (l *link) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *link) command(c bm.Command) error { return l.send(c.Bytes()) }

// speak sets how frames are read; before it, bytes are only kept.
func (l *link) speak(m *bm.Model, rolling bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.model != m {
		l.model, l.framer = m, bm.NewFramer(m.Framing)
	}
	l.raw = nil
	if rolling {
		l.framer.SetLength(m.Framing.Rolling)
	} else {
		l.framer.SetLength(m.Framing.Reply)
	}
}

// listen reads raw bytes until the line has been quiet for a while, or for
// limit when nothing comes.
func (l *link) listen(ctx context.Context, limit, quiet time.Duration) []byte {
	deadline := time.Now().Add(limit)
	seen := 0
	for time.Now().Before(deadline) && ctx.Err() == nil {
		time.Sleep(quiet)
		l.mu.Lock()
		n := len(l.raw)
		l.mu.Unlock()
		if n > 0 && n == seen {
			break
		}
		seen = n
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	raw := l.raw
	l.raw = nil
	return raw
}

func (l *link) noise() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.framer == nil {
		return 0
	}
	return l.framer.Noise()
}

// drainRegs forgets answers that came late.
func (l *link) drainRegs() {
	for {
		select {
		case <-l.regs:
		default:
			return
		}
	}
}

// ask reads a register of one chip or all, until want answers are there (0 =
// as many as come) or no more come: none at all for first, or none for quiet
// after the last.
func (l *link) ask(ctx context.Context, chip int, reg byte, want int, first, quiet time.Duration) ([]bm.Register, error) {
	l.drainRegs()
	if err := l.command(bm.Read(chip, reg)); err != nil {
		return nil, err
	}
	var out []bm.Register
	t := time.NewTimer(first)
	defer t.Stop()
	for want <= 0 || len(out) < want {
		select {
		case r := <-l.regs:
			if r.Reg == reg && (chip == bm.All || int(r.Chip) == chip) {
				out = append(out, r)
				t.Reset(quiet)
			}
		case <-t.C:
			return out, nil
		case <-l.done:
			return out, l.failure()
		case <-ctx.Done():
			return out, ctx.Err()
		}
	}
	return out, nil
}

// close ends both goroutines. A writer inside a write that hangs is left
// behind: nothing can end it but the line.
func (l *link) close() {
	l.once.Do(func() {
		close(l.quit)
		l.port.Close()
	})
	<-l.done
}
