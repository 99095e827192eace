package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/workload"
)

// A fleet of 100,000 devices is about 50 MB in one answer.
const maxAnswer = 256 << 20

// leaderPause is the pause between rounds over servers that have no leader; an
// election takes a second or two.
const leaderPause = 200 * time.Millisecond

// client calls the servers in turn until one answers. Every call of ours may
// be repeated: submissions and cancellations carry a request id, and applying
// the same document twice changes nothing the second time.
type client struct {
	target target
	conns  []*grpc.ClientConn
	notice func(string) // tells a person what we wait for; nil where none looks
}

func (a *app) connect() (*client, error) {
	t, err := a.resolve()
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13}
	if t.cacert != "" {
		pem, err := os.ReadFile(t.cacert)
		if err != nil {
			return nil, &exit{exitFailed, workload.Errorf(workload.Invalid, "CA file: %w", err)}
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &exit{exitFailed, workload.Errorf(workload.Invalid, "CA file %s holds no certificate", t.cacert)}
		}
	}
	c := &client{target: t}
	if a.errTTY {
		c.notice = func(text string) { fmt.Fprintln(a.err, text) }
	}
	for _, addr := range t.addrs {
		opts := []grpc.DialOption{
			grpc.WithTransportCredentials(credentials.NewTLS(config)),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
			grpc.WithUserAgent("sluice/" + buildVersion()),
		}
		if t.token != "" {
			opts = append(opts, grpc.WithPerRPCCredentials(bearer(t.token)))
		}
		conn, err := grpc.NewClient("passthrough:///"+addr, opts...)
		if err != nil {
			c.Close()
			return nil, err
		}
		c.conns = append(c.conns, conn)
	}
	return c, nil
}

// Close ends the connections.
func (c *client) Close() {
	for _, conn := range c.conns {
		conn.Close()
	}
}

// bearer is the token on every call; never without TLS.
type bearer string

var _ credentials.PerRPCCredentials = bearer("")

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

// call makes one request with the deadline of --timeout.
func call[Q, R any](ctx context.Context, c *client, method func(sluicev1.OperatorClient, context.Context, Q, ...grpc.CallOption) (R, error), req Q) (R, error) {
	var resp R
	limited, cancel := context.WithTimeout(ctx, c.target.timeout)
	defer cancel()
	err := c.do(limited, func(ctx context.Context, op sluicev1.OperatorClient) error {
		var err error
		resp, err = method(op, ctx, req)
		return err
	})
	return resp, err
}

// callCluster is call for what is asked of the servers themselves.
func callCluster[Q, R any](ctx context.Context, c *client, method func(sluicev1.ClusterClient, context.Context, Q, ...grpc.CallOption) (R, error), req Q) (R, error) {
	var resp R
	limited, cancel := context.WithTimeout(ctx, c.target.timeout)
	defer cancel()
	err := c.each(limited, func(ctx context.Context, conn *grpc.ClientConn) error {
		var err error
		resp, err = method(sluicev1.NewClusterClient(conn), ctx, req)
		return err
	})
	return resp, err
}

func (c *client) do(ctx context.Context, f func(context.Context, sluicev1.OperatorClient) error) error {
	return c.each(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		return f(ctx, sluicev1.NewOperatorClient(conn))
	})
}

// each runs f against each server until one answers with anything but "cannot be
// reached" or "not the leader". Where servers answer but none leads, it goes
// round again until --timeout has passed.
func (c *client) each(ctx context.Context, f func(context.Context, *grpc.ClientConn) error) error {
	giveUp := time.Now().Add(c.target.timeout)
	var told bool
	var lastRound error // that servers answered and none led says more than "too late"
	for {
		leaderless := false
		var failed []error
		for i, conn := range c.conns {
			err := error(workload.Errorf(workload.Unavailable, "no connection in time"))
			if c.await(ctx, conn) {
				err = f(ctx, conn)
			}
			if err == nil {
				return nil
			}
			e := wire.FromStatus(err)
			switch kind := workload.KindOf(e); {
			case !wire.Answered(err) && (ctx.Err() != nil || cutOff(err)):
				if lastRound != nil && !errors.Is(ctx.Err(), context.Canceled) {
					return lastRound
				}
				return c.late(ctx, failed)
			case kind == workload.NotLeader:
				leaderless = true
			case kind != workload.Unavailable:
				return e
			case wire.Answered(err) && len(c.conns) == 1:
				return e
			}
			if !wire.Answered(err) {
				e = unreachable(c.target.addrs[i], e)
			}
			failed = append(failed, e)
		}
		if !leaderless || !time.Now().Add(leaderPause).Before(giveUp) {
			return join(failed)
		}
		lastRound = join(failed)
		if c.notice != nil && !told {
			c.notice("no server leads yet; waiting for an election")
			told = true
		}
		select {
		case <-ctx.Done():
			return lastRound
		case <-time.After(leaderPause):
		}
	}
}

// await waits until a connection is up or is known not to come up, within this
// server's part of the time.
func (c *client) await(ctx context.Context, conn *grpc.ClientConn) bool {
	ctx, cancel := context.WithTimeout(ctx, c.target.timeout/time.Duration(len(c.conns)))
	defer cancel()
	conn.Connect()
	for {
		switch s := conn.GetState(); s {
		case connectivity.Ready:
			return true
		case connectivity.TransientFailure, connectivity.Shutdown:
			return true // f fails at once, with the cause
		default:
			if !conn.WaitForStateChange(ctx, s) {
				return false
			}
		}
	}
}

// cutOff reports a call that ran out of time. The server sees our deadline too
// and may end the call an instant before we do.
func cutOff(err error) bool {
	code := status.Code(err)
	return code == codes.DeadlineExceeded || code == codes.Canceled
}

func (c *client) late(ctx context.Context, failed []error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	e := workload.Errorf(workload.Unavailable, "no answer within %s from %s", c.target.timeout, strings.Join(c.target.addrs, ", "))
	if len(failed) > 0 {
		e.Text += "; " + join(failed).Error()
	}
	return e.Hint("--timeout sets a longer wait")
}

// unreachable puts gRPC's description of a failed connection into plain words.
func unreachable(addr string, err error) error {
	text := err.Error()
	if i := strings.LastIndex(text, `desc = "`); i >= 0 {
		text = strings.TrimSuffix(text[i+len(`desc = "`):], `"`)
	}
	for _, noise := range []string{"transport: Error while dialing: ", "transport: authentication handshake failed: ", "dial tcp " + addr + ": ", "connect: "} {
		text = strings.TrimPrefix(text, noise)
	}
	e := workload.Errorf(workload.Unavailable, "cannot reach %s: %s", addr, text)
	if strings.Contains(text, "x509:") || strings.Contains(text, "tls:") {
		return e.Hint("--cacert or SLUICE_CACERT names the file with the CA of the servers")
	}
	return e.Hint("is a server running there? --addr or SLUICE_ADDR names another")
}

func join(failed []error) error {
	if len(failed) == 1 {
		return failed[0]
	}
	texts := make([]string, len(failed))
	for i, err := range failed {
		texts[i] = err.Error()
	}
	last := failed[len(failed)-1]
	e := &workload.Error{Kind: workload.KindOf(last), Err: last, Next: workload.NextOf(last)}
	e.Text = fmt.Sprintf("none of %d servers could answer: %s", len(failed), strings.Join(texts, "; "))
	return e
}
