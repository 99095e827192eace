package stratum

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// maxPending bounds requests in flight: a pool that stops answering must not
// make us keep a growing table.
const maxPending = 64

// session is one connection. Everything from subscribe on is handled by its
// reading goroutine, because a notify may follow the subscribe reply at once
// and needs the extranonce that reply carried.
type session struct {
	c       *Client
	ep      Endpoint
	conn    net.Conn
	publish func(Assignment) // nil while probing
	done    chan struct{}    // closed when the reader ended; err, move and wait are then final
	err     error
	move    *Endpoint
	wait    time.Duration

	wmu sync.Mutex // one writer at a time

	mu      sync.Mutex
	next    uint64
	pending map[uint64]*request
	closed  error

	// Owned by the reader goroutine.
	en1     []byte
	en2Size int
	diff    Difficulty
	mask    uint32
	ready   bool        // authorised
	cur     *Assignment // the last job under the terms it came with
}

type request struct {
	reply  chan Message
	accept func(json.RawMessage) error // runs in the reader before the reply is handed over
}

// dial is the default of Config.Dial.
func dial(ctx context.Context, e Endpoint) (net.Conn, error) {
	d := &net.Dialer{KeepAlive: 30 * time.Second}
	if e.TLS {
		td := &tls.Dialer{NetDialer: d, Config: &tls.Config{ServerName: e.Host, MinVersion: tls.VersionTLS12}}
		return td.DialContext(ctx, "tcp", e.Addr())
	}
	return d.DialContext(ctx, "tcp", e.Addr())
}

// open connects and completes the handshake. When that fails the session, if
// one was made, is over and returned as well: a pool may send us elsewhere in
// the middle of it.
func (c *Client) open(ctx context.Context, ep Endpoint, publish func(Assignment)) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Handshake)
	defer cancel()
	conn, err := c.cfg.Dial(ctx, ep)
	if err != nil {
		return nil, err
	}
	s := &session{c: c, ep: ep, conn: conn, publish: publish, done: make(chan struct{}), pending: map[uint64]*request{}}
	go s.read()
	if err := s.handshake(ctx); err != nil {
		s.close(err)
		<-s.done
		return s, err
	}
	return s, nil
}

func (s *session) handshake(ctx context.Context) error {
	cfg := &s.c.cfg
	if cfg.VersionMask != 0 {
		_, err := s.call(ctx, "mining.configure", s.acceptConfigure, []string{"version-rolling"},
			map[string]any{"version-rolling.mask": hex32(cfg.VersionMask), "version-rolling.min-bit-count": 2})
		// A pool that does not know the extension refuses the call; mining
		// without rolling is then what it offers.
		if refused := (*Error)(nil); err != nil && !errors.As(err, &refused) {
			return fmt.Errorf("configure: %w", err)
		}
	}
	if _, err := s.call(ctx, "mining.subscribe", s.acceptSubscribe, cfg.Agent); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if _, err := s.call(ctx, "mining.authorize", s.acceptAuthorize, cfg.User, cfg.Password); err != nil {
		return fmt.Errorf("authorize: %w", err)
	}
	// Optional, so the answer does not matter; it must not delay mining.
	return s.send(s.newCall("mining.extranonce.subscribe", nil, false))
}

func (s *session) acceptConfigure(raw json.RawMessage) error {
	var r struct {
		Rolling json.RawMessage `json:"version-rolling"`
		Mask    json.RawMessage `json:"version-rolling.mask"`
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return badf("configure result: %v", err)
	}
	if string(r.Rolling) != "true" {
		return nil
	}
	mask, err := word(r.Mask)
	if err != nil {
		return badf("configure mask: %v", err)
	}
	s.mask = mask & s.c.cfg.VersionMask
	return nil
}

func (s *session) acceptSubscribe(raw json.RawMessage) error {
	var r []json.RawMessage
	if err := json.Unmarshal(raw, &r); err != nil || len(r) < 3 {
		return badf("subscribe result needs three members")
	}
	return s.setExtranonce(r[1:])
}

func (s *session) acceptAuthorize(raw json.RawMessage) error {
	if string(raw) != "true" {
		return &Error{Code: CodeUnauthorized, Message: "worker not authorised"}
	}
	s.ready = true
	s.announce()
	return nil
}

func (s *session) setExtranonce(p []json.RawMessage) error {
	if len(p) < 2 {
		return badf("extranonce needs a value and a size")
	}
	en1, err := anyHex(p[0], maxEN1)
	if err != nil {
		return badf("extranonce1: %v", err)
	}
	var size int
	if err := json.Unmarshal(p[1], &size); err != nil || size < 1 || size > maxEN2 {
		return badf("extranonce2 size not in 1..%d", maxEN2)
	}
	s.en1, s.en2Size = en1, size
	return nil
}

// read is the session's reading goroutine.
func (s *session) read() {
	r := NewReader(s.conn, MaxLine)
	var err error
	for err == nil {
		var m Message
		s.conn.SetReadDeadline(time.Now().Add(s.c.cfg.Idle))
		if m, err = r.Read(); err == nil {
			err = s.handle(m)
		}
	}
	s.close(err)
	s.mu.Lock()
	s.err = s.closed // a deliberate close explains the read error it caused
	for id, req := range s.pending {
		close(req.reply)
		delete(s.pending, id)
	}
	s.mu.Unlock()
	close(s.done)
}

func (s *session) handle(m Message) error {
	if m.Method == "" {
		return s.deliver(m)
	}
	var p []json.RawMessage
	if err := json.Unmarshal(m.Params, &p); err != nil {
		return badf("params: %v", err)
	}
	switch m.Method {
	case "mining.notify":
		job, err := ParseNotify(m.Params)
		if err != nil {
			return err
		}
		if s.en1 == nil && s.en2Size == 0 {
			return badf("notify before subscribe")
		}
		d := s.diff
		if d.IsZero() {
			d = Difficulty{mant: 1} // the protocol's default
		}
		s.cur = &Assignment{Job: job, Extranonce1: s.en1, EN2Size: s.en2Size, Difficulty: d, Mask: s.mask, session: s}
		s.announce()
	case "mining.set_difficulty":
		// Terms change with the next job: the pool judges shares of a job by
		// the difficulty that was in force when it was sent.
		if len(p) < 1 {
			return badf("set_difficulty without a value")
		}
		d, err := ParseDifficulty(string(p[0]))
		if err != nil {
			return badf("set_difficulty: %v", err)
		}
		s.diff = d
	case "mining.set_extranonce":
		return s.setExtranonce(p)
	case "mining.set_version_mask":
		if len(p) < 1 {
			return badf("set_version_mask without a value")
		}
		mask, err := word(p[0])
		if err != nil {
			return badf("set_version_mask: %v", err)
		}
		// Unlike the rest the mask counts at once.
		s.mask = mask & s.c.cfg.VersionMask
		if s.cur != nil {
			s.cur.Mask = s.mask
		}
		s.announce()
	case "client.reconnect":
		return s.reconnect(p)
	case "client.show_message":
		if len(p) > 0 {
			s.c.cfg.Log.Info("pool message", "pool", s.ep.String(), "text", fmt.Sprintf("%.200s", p[0]))
		}
	case "client.get_version":
		return s.answer(m.ID, s.c.cfg.Agent, nil)
	default:
		if !isNull(m.ID) {
			return s.answer(m.ID, nil, &Error{Code: CodeOther, Message: "unknown method"})
		}
	}
	return nil
}

// announce hands the current job on, but not before we are authorised: a share
// found earlier would be refused.
func (s *session) announce() {
	if s.publish != nil && s.ready && s.cur != nil {
		s.publish(*s.cur)
	}
}

// reconnect follows client.reconnect [host, port, wait seconds] where that is
// allowed and otherwise stays: F4m, the theft of a hall's hashrate.
func (s *session) reconnect(p []json.RawMessage) error {
	var host string
	var port, wait int
	for i, dst := range []any{&host, &port, &wait} {
		if i >= len(p) || isNull(p[i]) {
			continue
		}
		raw := p[i]
		if i > 0 { // numbers arrive quoted from some pools
			raw = json.RawMessage(strings.Trim(string(raw), `"`))
		}
		if err := json.Unmarshal(raw, dst); err != nil {
			return badf("reconnect param %d", i)
		}
	}
	to, ok := s.ep.redirect(host, port, s.c.cfg.AllowHosts)
	s.c.mu.Lock()
	if ok {
		s.c.stats.Redirects++
	} else {
		s.c.stats.Hijacks++
	}
	s.c.mu.Unlock()
	if !ok {
		s.c.cfg.Log.Error("pool tried to move us to a host that is not allowed; staying", "pool", s.ep.String(), "to", to.Addr())
		return nil
	}
	// The wait has a floor, or a pool could keep us in a connecting loop.
	s.move, s.wait = &to, max(time.Duration(min(max(wait, 0), 3600))*time.Second, s.c.cfg.BackoffMin)
	return errMoved
}

func (s *session) deliver(m Message) error {
	var id uint64
	if err := json.Unmarshal(m.ID, &id); err != nil {
		return nil // not ours: every id we use is a number
	}
	s.mu.Lock()
	req := s.pending[id]
	delete(s.pending, id)
	s.mu.Unlock()
	if req == nil {
		return nil
	}
	if req.accept != nil && m.Error == nil {
		if err := req.accept(m.Result); err != nil {
			close(req.reply)
			return err
		}
	}
	req.reply <- m
	return nil
}

// newCall registers a request; an unexpected reply is dropped when wait is
// false.
func (s *session) newCall(method string, req *request, wait bool, params ...any) (uint64, Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return 0, Message{}, s.closed
	}
	if len(s.pending) >= maxPending {
		return 0, Message{}, ErrBusy
	}
	s.next++
	m, err := NewCall(s.next, method, params...)
	if err == nil && wait {
		s.pending[s.next] = req
	}
	return s.next, m, err
}

func (s *session) send(_ uint64, m Message, err error) error {
	if err != nil {
		return err
	}
	line, err := m.Encode()
	if err != nil {
		return err
	}
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.conn.SetWriteDeadline(time.Now().Add(s.c.cfg.Reply))
	if _, err := s.conn.Write(line); err != nil {
		s.close(err)
		return err
	}
	return nil
}

func (s *session) answer(id json.RawMessage, result any, refusal *Error) error {
	m, err := NewReply(id, result, refusal)
	return s.send(0, m, err)
}

// call sends a request and waits for its reply.
func (s *session) call(ctx context.Context, method string, accept func(json.RawMessage) error, params ...any) (json.RawMessage, error) {
	req := &request{reply: make(chan Message, 1), accept: accept}
	id, m, err := s.newCall(method, req, true, params...)
	if err := s.send(id, m, err); err != nil {
		s.forget(id)
		return nil, err
	}
	select {
	case m, ok := <-req.reply:
		if !ok {
			<-s.done
			return nil, s.err
		}
		if m.Error != nil {
			return nil, m.Error
		}
		return m.Result, nil
	case <-ctx.Done():
		s.forget(id)
		return nil, ctx.Err()
	}
}

func (s *session) forget(id uint64) {
	s.mu.Lock()
	delete(s.pending, id)
	s.mu.Unlock()
}

// close ends the session; the first cause given is the one reported.
func (s *session) close(cause error) {
	s.mu.Lock()
	if s.closed == nil {
		if cause == nil {
			cause = net.ErrClosed
		}
		s.closed = cause
	}
	s.mu.Unlock()
	s.conn.Close()
}
