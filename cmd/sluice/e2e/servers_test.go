package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/config/etcd"
)

// hosts counts loopback addresses: each server has one of its own, so that no
// outgoing connection can take its port while it is down.
var hosts atomic.Uint32

func ownHost() string {
	n, pid := hosts.Add(1), os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 2+pid%250, pid/250%250, n)
}

// server is one scheduler server, which may be killed and started again.
type server struct {
	id, dir    string
	grpc, http string
	args       []string
	env        []string
	*process
	conn *grpc.ClientConn
	sluicev1.OperatorClient
}

// cluster is a group of servers, their policy store and an admin's token.
type cluster struct {
	h       *home
	servers []*server
	token   string
	etcd    *etcd.Embedded
}

// bearer puts a token on every call.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}
func (bearer) RequireTransportSecurity() bool { return true }

func (h *home) newServer(id string, args ...string) *server {
	host := ownHost()
	s := &server{id: id, dir: h.path(id), grpc: host + ":7070", http: host + ":7080"}
	s.args = append([]string{"server", "--id", id, "--data-dir", s.dir, "--grpc", s.grpc, "--http", s.http, "--raft", host + ":7071"}, args...)
	return s
}

func (s *server) start(h *home) { s.process = h.start(s.id, s.env, s.args...) }

// lone starts a cluster of one server with an etcd of its own.
func lone(h *home) *cluster {
	h.t.Helper()
	s := h.newServer("s1", "--bootstrap")
	c := &cluster{h: h, servers: []*server{s}}
	s.start(h)
	c.connect()
	return c
}

// trio starts three servers and the etcd they share, which is embedded in the
// test so that the test can take it away.
func trio(h *home) *cluster {
	h.t.Helper()
	c := &cluster{h: h}
	c.openEtcd()
	store := "--etcd-endpoints=unix://" + h.path("etcd-link", "c")
	s1 := h.newServer("s1", "--bootstrap", store)
	c.servers = []*server{s1}
	s1.start(h)
	c.connect()
	for _, id := range []string{"s2", "s3"} {
		ca := h.path(id + "-ca")
		if err := os.CopyFS(ca, os.DirFS(filepath.Join(s1.dir, "ca"))); err != nil {
			h.t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(ca, "ca.key"), 0o600); err != nil {
			h.t.Fatal(err)
		}
		s := h.newServer(id, "--ca-dir", ca, "--join", s1.grpc, store)
		c.servers = append(c.servers, s)
		s.start(h)
	}
	c.connect()
	poll(h.t, 20*time.Second, "three servers vote and are known", func() (bool, string) {
		st, err := c.status(s1)
		if err != nil {
			return false, err.Error()
		}
		n := 0
		for _, s := range st.Servers {
			if s.Voter && s.Address != "" && s.State != "unreachable" {
				n++
			}
		}
		return n == 3, fmt.Sprint(st.Servers)
	})
	return c
}

// openEtcd starts etcd on the same directory each time and makes the link by
// which the servers know it point at its sockets, which have a new place each
// time.
func (c *cluster) openEtcd() {
	c.h.t.Helper()
	e, err := etcd.Embed(c.h.path("etcd"), etcd.EmbedOptions{})
	if err != nil {
		c.h.t.Fatal(err)
	}
	c.etcd = e
	c.h.t.Cleanup(func() { e.Close() })
	link := c.h.path("etcd-link")
	os.Remove(link)
	if err := os.Symlink(filepath.Dir(strings.TrimPrefix(e.Endpoint(), "unix://")), link); err != nil {
		c.h.t.Fatal(err)
	}
}

// connect waits for the first server's token and opens a connection to each
// server.
func (c *cluster) connect() {
	c.h.t.Helper()
	first := c.servers[0]
	poll(c.h.t, 20*time.Second, "the first server makes an admin", func() (bool, string) {
		data, err := os.ReadFile(filepath.Join(first.dir, "admin-token"))
		c.token = strings.TrimSpace(string(data))
		return err == nil && c.token != "", tail(first.log(), 500)
	})
	pem, err := os.ReadFile(c.ca())
	if err != nil {
		c.h.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for _, s := range c.servers {
		if s.conn != nil {
			continue
		}
		s.conn, err = grpc.NewClient("passthrough:///"+s.grpc, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13})),
			grpc.WithPerRPCCredentials(bearer(c.token)),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond}, MinConnectTimeout: time.Second}))
		if err != nil {
			c.h.t.Fatal(err)
		}
		c.h.t.Cleanup(func() { s.conn.Close() })
		s.OperatorClient = sluicev1.NewOperatorClient(s.conn)
	}
}

func (c *cluster) ca() string { return filepath.Join(c.servers[0].dir, "ca", "ca.pem") }

// cli is the command line as admin; it knows every server.
func (c *cluster) cli() cli {
	var addrs []string
	for _, s := range c.servers {
		addrs = append(addrs, s.grpc)
	}
	return cli{h: c.h, env: []string{"SLUICE_ADDR=" + strings.Join(addrs, ","), "SLUICE_TOKEN=" + c.token, "SLUICE_CACERT=" + c.ca()}}
}

func brief(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func (c *cluster) status(s *server) (*sluicev1.Status, error) {
	return s.GetStatus(brief(c.h.t, 2*time.Second), &sluicev1.GetStatusRequest{})
}

// leader is the server that says of itself that it leads.
func (c *cluster) leader() *server {
	c.h.t.Helper()
	var found *server
	poll(c.h.t, 20*time.Second, "one server leads", func() (bool, string) {
		var state []string
		for _, s := range c.servers {
			st, err := c.status(s)
			if err == nil && st.Leader == s.id {
				found = s
				return true, ""
			}
			state = append(state, fmt.Sprintf("%s: leader %q, %v", s.id, st.GetLeader(), err))
		}
		return false, strings.Join(state, "; ")
	})
	return found
}

// policy applies the policy of testdata with a pool's address.
func (c *cluster) policy(pool string) {
	c.h.t.Helper()
	text, err := os.ReadFile("testdata/policy.yaml")
	if err != nil {
		c.h.t.Fatal(err)
	}
	file := c.h.write("policy.yaml", strings.ReplaceAll(string(text), "{pool}", pool))
	c.cli().must("", "policy", "apply", "--yes", "-f", file)
}

// pool starts a practice pool and returns its address.
func (h *home) pool() string {
	addr := ownHost() + ":3333"
	h.start("pool", nil, "practice", "pool", "--listen", addr)
	poll(h.t, 10*time.Second, "the pool listens", func() (bool, string) { return listening(addr), addr })
	return addr
}

// agentArgs are the arguments of a node's agent with simulated devices.
func (c *cluster) agentArgs(node string, devices ...string) []string {
	args := []string{"agent", "--node", node, "--site", "hall", "--hall", "air", "--address", "127.0.0.1", "--data-dir", c.h.path(node)}
	for _, s := range c.servers {
		args = append(args, "--servers", s.grpc)
	}
	for _, d := range devices {
		args = append(args, "--sim", d)
	}
	return args
}

// agent enrols a node with a join token and starts its agent.
func (c *cluster) agent(node string, devices ...string) *process {
	c.h.t.Helper()
	token := c.cli().must("", "token", "node", node)
	return c.h.start("agent-"+node, []string{"SLUICE_JOIN_TOKEN=" + token}, c.agentArgs(node, devices...)...)
}

// submit hands a job in through the command line and returns its id.
func (c *cluster) submit(job string) string {
	c.h.t.Helper()
	return c.cli().must(job, "job", "submit", "-")
}

// job reads a job from any server that answers.
func (c *cluster) job(id string) *sluicev1.Job {
	c.h.t.Helper()
	var j *sluicev1.Job
	poll(c.h.t, 10*time.Second, "some server knows job "+id, func() (bool, string) {
		var err error
		for _, s := range c.servers {
			if j, err = s.GetJob(brief(c.h.t, time.Second), &sluicev1.GetJobRequest{Id: id}); err == nil {
				return true, ""
			}
		}
		return false, err.Error()
	})
	return j
}

// running waits until a job's newest attempt runs.
func (c *cluster) running(id string, limit time.Duration) {
	c.h.t.Helper()
	poll(c.h.t, limit, "job "+id+" runs", func() (bool, string) {
		j := c.job(id)
		n := len(j.Attempts)
		return n > 0 && j.Attempts[n-1].Phase == "running", fmt.Sprintf("%s %v %v", j.Phase, j.Reason, j.Attempts)
	})
}

// work is one live workload as /proc shows it.
type work struct {
	alive
	session int
	devices []string
	job     string // empty: a miner
}

func (w work) String() string {
	return fmt.Sprintf("%s (started at tick %d) on %s", w.alive, w.ticks, strings.Join(w.devices, " "))
}

// works lists the live workloads of a home: the first process of each session
// whose environment names devices.
func (h *home) works() []work {
	var out []work
	for _, p := range h.left() {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid))
		if err != nil || len(env) == 0 {
			continue
		}
		w := work{alive: p, session: session(p.pid)}
		for kv := range strings.SplitSeq(string(env), "\x00") {
			name, value, _ := strings.Cut(kv, "=")
			switch name {
			case "NVIDIA_VISIBLE_DEVICES":
				w.devices = strings.Split(value, ",")
			case "SLUICE_JOB":
				w.job = value
			}
		}
		if len(w.devices) > 0 && w.session == p.pid {
			out = append(out, w)
		}
	}
	return out
}

func (h *home) workOf(job string) (work, bool) {
	all := h.works()
	i := slices.IndexFunc(all, func(w work) bool { return w.job == job })
	if i < 0 {
		return work{}, false
	}
	return all[i], true
}
