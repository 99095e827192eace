package replica

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/hashicorp/raft"
)

// handshakeTimeout bounds a TLS handshake in either direction. A peer that
// connects and says nothing costs one goroutine for this long.
const handshakeTimeout = 5 * time.Second

// streams carries raft over TLS.
type streams struct {
	net.Listener
	tls       *tls.Config // nil in tests on loopback
	advertise address
}

// address is what peers dial: a name that they resolve, not we.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

var _ raft.StreamLayer = (*streams)(nil)

func newStreams(l net.Listener, conf *tls.Config, advertise string) *streams {
	return &streams{Listener: l, tls: conf, advertise: address(advertise)}
}

// Addr is the advertised address, as raft tells it to peers.
func (s *streams) Addr() net.Addr { return s.advertise }

// Accept returns at once: raft reads each connection in a goroutine of its own,
// and the handshake happens there, at the first read, under a deadline.
func (s *streams) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil || s.tls == nil {
		return c, err
	}
	return &accepted{Conn: tls.Server(c, s.tls)}, nil
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

// accepted handshakes at the first read. Reads come from one goroutine.
type accepted struct {
	*tls.Conn
	shaken bool
}

func (c *accepted) Read(p []byte) (int, error) {
	if !c.shaken {
		ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
		err := c.HandshakeContext(ctx)
		cancel()
		if err != nil {
			c.Close()
			return 0, err
		}
		c.shaken = true
	}
	return c.Conn.Read(p)
}
