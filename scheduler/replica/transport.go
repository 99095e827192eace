package replica

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// handshakeTimeout bounds a TLS handshake in either direction. A peer that
// connects and says nothing costs one goroutine for this long.
const handshakeTimeout = 5 * time.Second

// streams carries raft over TLS. It keeps the connections that peers opened,
// because raft's transport leaves them open when it is closed: a server that was
// taken out of service would go on holding its peers' calls.
type streams struct {
	net.Listener
	tls       *tls.Config // nil in tests on loopback
	advertise address

	mu     sync.Mutex
	open   map[*accepted]struct{}
	closed bool
}

// address is what peers dial: a name that they resolve, not we.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

var _ raft.StreamLayer = (*streams)(nil)

func newStreams(l net.Listener, conf *tls.Config, advertise string) *streams {
	return &streams{Listener: l, tls: conf, advertise: address(advertise), open: map[*accepted]struct{}{}}
}

// Addr is the advertised address, as raft tells it to peers.
func (s *streams) Addr() net.Addr { return s.advertise }

// Accept returns at once: raft reads each connection in a goroutine of its own,
// and the handshake happens there, at the first read, under a deadline.
func (s *streams) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	a := &accepted{Conn: c, from: s, shaken: true}
	if s.tls != nil {
		a.Conn, a.shaken = tls.Server(c, s.tls), false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return nil, net.ErrClosed
	}
	s.open[a] = struct{}{}
	return a, nil
}

// Close stops listening and ends what peers opened.
func (s *streams) Close() error {
	err := s.Listener.Close()
	s.mu.Lock()
	s.closed = true
	open := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	for _, a := range open {
		a.Close()
	}
	return err
}

func (s *streams) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	if timeout <= 0 || timeout > handshakeTimeout {
		timeout = handshakeTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if s.tls == nil {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", string(to))
	}
	d := tls.Dialer{Config: s.tls}
	return d.DialContext(ctx, "tcp", string(to))
}

// accepted is a connection from a peer. It handshakes at the first read; reads
// come from one goroutine.
type accepted struct {
	net.Conn
	from   *streams
	shaken bool
}

func (c *accepted) Read(p []byte) (int, error) {
	if !c.shaken {
		ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
		err := c.Conn.(*tls.Conn).HandshakeContext(ctx)
		cancel()
		if err != nil {
			return 0, errors.Join(err, c.Close())
		}
		c.shaken = true
	}
	return c.Conn.Read(p)
}

func (c *accepted) Close() error {
	c.from.mu.Lock()
	delete(c.from.open, c)
	c.from.mu.Unlock()
	return c.Conn.Close()
}
