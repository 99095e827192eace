package netminer

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/sluice-project/sluice/agent/device/netminer/lenient"
	"github.com/sluice-project/sluice/workload"
)

// Ports of a miner. Zero is the usual one.
type Ports struct {
	RPC int // cgminer API, 4028
	Web int // HTTP, 80
	TLS int // HTTPS, 443
	V3  int // btminer API 3, 4433
}

func (p Ports) defaults() Ports {
	for to, standard := range map[*int]int{&p.RPC: 4028, &p.Web: 80, &p.TLS: 443, &p.V3: 4433} {
		if *to == 0 {
			*to = standard
		}
	}
	return p
}

// Limits of one exchange with a miner. A miner that is slow, silent or never
// stops costs its own caller these and no more.
const (
	dialLimit  = 2 * time.Second
	replyLimit = 3 * time.Second
	idleLimit  = time.Second            // without a byte
	idleRounds = 3                      // then what came must do
	afterWhole = 120 * time.Millisecond // for the NUL or the close after a whole reply
)

// command sends one request of the cgminer API and returns the reply's bytes.
// Connections are for one request. Unavailable: no connection, or no byte.
func command(ctx context.Context, host string, port int, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, replyLimit+dialLimit)
	defer cancel()
	conn, err := dial(ctx, host, port)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn.SetWriteDeadline(time.Now().Add(idleLimit))
	if _, err := conn.Write(request); err != nil {
		return nil, workload.Errorf(workload.Unavailable, "%s does not take a request: %w", host, err)
	}
	body, err := readReply(ctx, conn)
	switch {
	case len(body) == 0:
		return nil, workload.Errorf(workload.Unavailable, "%s gives no answer: %w", host, err)
	case len(body) > lenient.MaxBytes:
		return nil, workload.Errorf(workload.Invalid, "%s answers more than %d bytes", host, lenient.MaxBytes)
	}
	return body, nil
}

func dial(ctx context.Context, host string, port int) (net.Conn, error) {
	d := net.Dialer{Timeout: dialLimit}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, workload.Errorf(workload.Unavailable, "%s: %w", host, err)
	}
	return conn, nil
}

// readReply reads until NUL, close, a whole object followed by silence, three
// idle seconds, too many bytes, or the deadline; what came before is returned.
func readReply(ctx context.Context, conn net.Conn) ([]byte, error) {
	var body []byte
	var scan balance
	buf := make([]byte, 16<<10)
	for idle := 0; idle < idleRounds; {
		wait := idleLimit
		if scan.whole {
			wait = afterWhole
		}
		deadline := time.Now().Add(wait)
		if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
			deadline = end
		}
		conn.SetReadDeadline(deadline)
		n, err := conn.Read(buf)
		body = append(body, buf[:n]...)
		scan.add(buf[:n])
		switch {
		case scan.ended, len(body) > lenient.MaxBytes:
			return body, nil
		case err == nil:
			idle = 0
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
			if scan.whole {
				return body, nil
			}
			idle++
		default: // closed, reset, or out of time
			return body, err
		}
	}
	return body, os.ErrDeadlineExceeded
}

// balance follows the brackets of a reply as it arrives, so that a peer that
// neither ends with NUL nor closes is not waited for.
type balance struct {
	depth           int
	inside, escaped bool // of a string
	began           bool
	whole           bool // as many brackets closed as opened
	ended           bool // NUL seen after something
}

func (s *balance) add(data []byte) {
	for _, c := range data {
		switch {
		case s.ended:
			return
		case c == 0:
			s.ended = s.began
			continue
		case s.escaped:
			s.escaped = false
		case s.inside:
			switch c {
			case '\\':
				s.escaped = true
			case '"':
				s.inside = false
			}
		case c == '"':
			s.inside = true
		case c == '{' || c == '[':
			s.depth++
		case c == '}' || c == ']':
			s.depth--
		}
		if c > ' ' {
			s.began = true
			s.whole = s.depth <= 0 && !s.inside
		}
	}
}

// retryBelow: a reply of this size is no accident of timing.
const retryBelow = 256 << 10

// ask sends a JSON command with an optional parameter. A reply that begins in
// its middle, as btminer's does with many errors, is asked for once more.
func ask(ctx context.Context, host string, port int, name, parameter string) ([]byte, error) {
	request := map[string]string{"command": name}
	if parameter != "" {
		request["parameter"] = parameter
	}
	text, err := json.Marshal(request)
	if err != nil {
		return nil, workload.Errorf(workload.Internal, "request %s: %w", name, err)
	}
	body, err := command(ctx, host, port, text)
	if err == nil && len(body) < retryBelow && !usable(body) && ctx.Err() == nil {
		if again, err := command(ctx, host, port, text); err == nil {
			return again, nil
		}
	}
	return body, err
}

// usable reports whether a reply has its head and its end.
func usable(body []byte) bool {
	r, err := lenient.Parse(body)
	return err == nil && !r.Truncated
}

// frame exchanges one length-prefixed message of btminer API 3.
func frame(ctx context.Context, conn net.Conn, request []byte) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn.SetDeadline(time.Now().Add(replyLimit))
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(request)))
	if _, err := conn.Write(append(head, request...)); err != nil {
		return nil, workload.Errorf(workload.Unavailable, "the miner does not take a request: %w", err)
	}
	if _, err := io.ReadFull(conn, head); err != nil {
		return nil, workload.Errorf(workload.Unavailable, "the miner gives no answer: %w", err)
	}
	n := binary.LittleEndian.Uint32(head)
	if n > lenient.MaxBytes {
		return nil, workload.Errorf(workload.Invalid, "reply of %d bytes exceeds %d", n, lenient.MaxBytes)
	}
	// Not allocated beforehand: the length is the peer's word.
	body, err := io.ReadAll(io.LimitReader(conn, int64(n)))
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, workload.Errorf(workload.Unavailable, "the miner gives no answer: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	return body, nil
}
