// Package emulate is miners without hardware: servers that replay recorded
// replies, and models of the families that Sluice steers, whose watts and
// hashrate follow what they are told. They misbehave on request, as the real
// ones do unasked. It serves `sluice agent emulate miner` and the tests.
package emulate

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-project/sluice/agent/device/netminer"
	"github.com/sluice-project/sluice/workload"
)

// Faults of a server. They hold for its TCP API; HTTP has chunks only.
type Faults struct {
	Chunk      int           // bytes per write; 0 writes all at once
	Pause      time.Duration // between chunks
	NoNUL      bool          // replies end without NUL
	Hold       bool          // connections stay open after the reply
	Silent     bool          // requests are taken and never answered
	ResetAfter int           // bytes of each reply after which the connection is reset; 0 never
	Endless    bool          // a reply never ends
}

// Miner is one device that can be served.
type Miner interface {
	// Family names the firmware that is played.
	Family() netminer.Family
	// RPC answers the cgminer API; nil is no such service.
	RPC() func(request []byte) []byte
	// Web answers HTTP; nil is no such service.
	Web() http.Handler
	// V3 answers btminer API 3; nil is no such service.
	V3() func(request []byte) []byte
}

// Server serves one miner at one address.
type Server struct {
	faults Faults
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	close  []io.Closer
	Host   string
	Ports  netminer.Ports
}

// Serve listens on loopback for a miner; a port of 0 takes a free one. Ports
// tells which they are. Invalid: the host is not loopback.
func Serve(m Miner, host string, ports netminer.Ports, faults Faults) (*Server, error) {
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, workload.Errorf(workload.Invalid, "emulated miners listen on loopback only, not on %q", host)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{faults: faults, ctx: ctx, cancel: cancel, Host: host}
	// A port without a service is one that nothing listens on.
	s.Ports = netminer.Ports{RPC: 1, Web: 1, TLS: 1, V3: 1}
	var err error
	if answer := m.RPC(); answer != nil && err == nil {
		s.Ports.RPC, err = s.listen(ports.RPC, func(c net.Conn) { s.rpc(c, answer) })
	}
	if answer := m.V3(); answer != nil && err == nil {
		s.Ports.V3, err = s.listen(ports.V3, func(c net.Conn) { s.v3(c, answer) })
	}
	if handler := m.Web(); handler != nil && err == nil {
		s.Ports.Web, err = s.web(ports.Web, handler)
	}
	if err != nil {
		s.Close()
		return nil, workload.Errorf(workload.Unavailable, "emulated miner: %w", err)
	}
	return s, nil
}

func (s *Server) open(port int) (net.Listener, int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(s.Host, strconv.Itoa(port)))
	if err != nil {
		return nil, 0, err
	}
	s.close = append(s.close, l)
	return l, l.Addr().(*net.TCPAddr).Port, nil
}

func (s *Server) listen(port int, serve func(net.Conn)) (int, error) {
	l, port, err := s.open(port)
	if err != nil {
		return 0, err
	}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() {
				defer c.Close()
				stop := context.AfterFunc(s.ctx, func() { c.Close() })
				defer stop()
				serve(c)
			})
		}
	})
	return port, nil
}

func (s *Server) web(port int, handler http.Handler) (int, error) {
	l, port, err := s.open(port)
	if err != nil {
		return 0, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	if s.faults.Chunk > 0 {
		l = slowListener{l, s.faults}
	}
	s.close = append(s.close, server)
	s.wg.Go(func() { server.Serve(l) })
	return port, nil
}

// slowListener hands out connections that write in pieces.
type slowListener struct {
	net.Listener
	faults Faults
}

func (l slowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return slowConn{c, l.faults}, nil
}

type slowConn struct {
	net.Conn
	faults Faults
}

func (c slowConn) Write(p []byte) (int, error) { return chunked(c.Conn, p, c.faults) }

func chunked(w io.Writer, p []byte, f Faults) (int, error) {
	size := f.Chunk
	if size <= 0 {
		size = max(len(p), 1)
	}
	for at := 0; at < len(p); at += size {
		end := min(at+size, len(p))
		if _, err := w.Write(p[at:end]); err != nil {
			return at, err
		}
		if f.Pause > 0 && end < len(p) {
			time.Sleep(f.Pause)
		}
	}
	return len(p), nil
}

// rpc answers one request of one connection, as cgminer does.
func (s *Server) rpc(c net.Conn, answer func([]byte) []byte) {
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 64<<10)
	n := 0
	// A JSON request is whole when it reads as one; text ends with the segment.
	for n < len(buf) {
		m, err := c.Read(buf[n:])
		n += m
		if err != nil || buf[0] != '{' || json.Valid(buf[:n]) {
			break
		}
	}
	if n == 0 {
		return
	}
	if s.faults.Silent {
		<-s.ctx.Done()
		return
	}
	reply := answer(buf[:n])
	switch trimmed := strings.TrimRight(string(reply), "\x00"); {
	case s.faults.NoNUL:
		reply = []byte(trimmed)
	case len(trimmed) == len(reply) && !s.faults.Endless:
		reply = append(reply, 0)
	}
	if s.faults.Endless {
		reply = []byte(strings.TrimRight(string(reply), "\x00}"))
	}
	if n := s.faults.ResetAfter; n > 0 && n < len(reply) {
		chunked(c, reply[:n], s.faults)
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0) // close sends a reset
		}
		return
	}
	if _, err := chunked(c, reply, s.faults); err != nil {
		return
	}
	for s.faults.Endless {
		if _, err := c.Write([]byte(`,"more":"and more"`)); err != nil {
			return
		}
	}
	if s.faults.Hold {
		<-s.ctx.Done()
	}
}

// v3 answers framed requests until the client closes.
func (s *Server) v3(c net.Conn, answer func([]byte) []byte) {
	for {
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		head := make([]byte, 4)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		n := binary.LittleEndian.Uint32(head)
		if n > 64<<10 {
			return
		}
		request := make([]byte, n)
		if _, err := io.ReadFull(c, request); err != nil {
			return
		}
		reply := answer(request)
		if _, err := chunked(c, append(binary.LittleEndian.AppendUint32(nil, uint32(len(reply))), reply...), s.faults); err != nil {
			return
		}
	}
}

// Close ends the server and every connection.
func (s *Server) Close() error {
	s.cancel()
	var errs []error
	for _, c := range s.close {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	s.wg.Wait()
	return errors.Join(errs...)
}

// asked reads the command of a cgminer request, in JSON or as text.
func asked(request []byte) (name, parameter string) {
	var r struct{ Command, Cmd, Parameter string }
	if json.Unmarshal(request, &r) == nil {
		if r.Command == "" {
			r.Command = r.Cmd
		}
		return r.Command, r.Parameter
	}
	name, parameter, _ = strings.Cut(strings.TrimSpace(string(request)), "|")
	return name, parameter
}
