package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Every verb that runs until it is told to stop leaves no process, no port and
// no file behind, whichever signal tells it.
func TestStoppedVerbsLeaveNothing(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	c := lone(h)
	pool := h.pool()
	c.policy(pool)
	agent := c.agent("n1", "2xRTX 3080")
	c.ready("n1", 20*time.Second)
	job := c.submit(leasedJob)
	c.running(job, 20*time.Second)
	client := c.cli().env

	type verb struct {
		name  string
		env   []string
		args  []string
		ready func(*process) bool
		ports []string
		code  int // besides 0
	}
	says := func(text string) func(*process) bool {
		return func(p *process) bool { return strings.Contains(p.log(), text) }
	}
	asks := func(p *process) bool { return speaksTo(t, p.pid, c.servers[0].grpc) }
	verbs := func() []verb {
		host := ownHost()
		return []verb{
			{"pool", nil, []string{"practice", "pool", "--listen", host + ":3333"}, func(*process) bool { return listening(host + ":3333") }, []string{host + ":3333"}, 130},
			{"miner", []string{"SLUICE_MINER_TOKEN=x"}, []string{"practice", "miner", "--pool", pool, "--api", host + ":4028"}, func(*process) bool { return listening(host + ":4028") }, []string{host + ":4028"}, 130},
			{"train", nil, []string{"practice", "train", "--dir", h.path("ckpt")}, says("step"), nil, 130},
			{"gpu-watch", client, []string{"gpu", "list", "--watch"}, says("n1/0"), nil, 130},
			{"job-wait", client, []string{"job", "wait", job}, asks, nil, 130},
			{"job-logs", client, []string{"job", "logs", "-f", job}, asks, nil, 130},
		}
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		for _, v := range verbs() {
			standing := len(h.left())
			p := h.start(v.name, v.env, v.args...)
			poll(t, 10*time.Second, v.name+" works", func() (bool, string) { return v.ready(p), p.log() })
			p.signal(t, sig)
			if code := p.exit(t, 5*time.Second); code != 0 && code != v.code {
				t.Errorf("%s ended with %d after %s:\n%s", v.name, code, sig, tail(p.log(), 1000))
			}
			for _, addr := range v.ports {
				if listening(addr) {
					t.Errorf("%s still listens on %s after %s", v.name, addr, sig)
				}
			}
			poll(t, 3*time.Second, v.name+" leaves no process", func() (bool, string) { return len(h.left()) <= standing, strings.Join(names(h.left()), "\n") })
		}
	}
	// The workloads outlive their agent on purpose; server and agent themselves
	// go.
	agent.signal(t, syscall.SIGTERM)
	if code := agent.exit(t, 10*time.Second); code != 0 && code != 130 {
		t.Errorf("the agent ended with %d:\n%s", code, tail(agent.log(), 1000))
	}
	s := c.servers[0]
	s.signal(t, syscall.SIGINT)
	if code := s.exit(t, 10*time.Second); code != 0 && code != 130 {
		t.Errorf("the server ended with %d:\n%s", code, tail(s.log(), 1000))
	}
	for _, addr := range []string{s.grpc, s.http, strings.Replace(s.grpc, ":7070", ":7071", 1)} {
		if listening(addr) {
			t.Errorf("the server still listens on %s", addr)
		}
	}
	if left := files(t, h.path("tmp")); len(left) > 0 {
		t.Errorf("left in the temporary directory: %v", left)
	}
}

// speaksTo says whether a process holds an established connection to addr.
func speaksTo(t testing.TB, pid int, addr string) bool {
	t.Helper()
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ip := to.Addr().As4()
	slices.Reverse(ip[:])
	remote := fmt.Sprintf("%X:%04X", ip, to.Port())
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		return false // not born yet, or gone
	}
	const established = "01"
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 9 && f[2] == remote && f[3] == established && holds(pid, "socket:["+f[9]+"]") {
			return true
		}
	}
	return false
}

// holds says whether a process has a file open that links to target.
func holds(pid int, target string) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(fds, func(fd os.DirEntry) bool {
		link, err := os.Readlink(filepath.Join(dir, fd.Name()))
		return err == nil && link == target
	})
}

func names(list []alive) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}

// The whole demo, with its etcd, agents, miners and jobs, goes without a trace.
func TestStoppedDevLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		h := newHome(t)
		host, ready := ownHost(), h.path("ready.json")
		p := h.start("dev", nil, "dev", "--nodes", "1", "--http", host+":7080", "--grpc", host+":7070", "--ready-file", ready)
		poll(t, 30*time.Second, "dev is ready and work runs", func() (bool, string) {
			_, err := os.Stat(ready)
			return err == nil && len(h.works()) >= 2, tail(p.log(), 1000)
		})
		began := time.Now()
		p.signal(t, sig)
		if code := p.exit(t, 15*time.Second); code != 0 && code != 130 {
			t.Errorf("dev ended with %d after %s:\n%s", code, sig, tail(p.log(), 1000))
		}
		figure(t, "dev, %s -> ended: %.1f s", sig, time.Since(began).Seconds())
		h.noneLeft()
		for _, addr := range []string{host + ":7080", host + ":7070"} {
			if listening(addr) {
				t.Errorf("dev still listens on %s after %s", addr, sig)
			}
		}
		if left := files(t, h.path("tmp")); len(left) > 0 {
			t.Errorf("left in the temporary directory after %s: %v", sig, left)
		}
		if _, err := os.Stat(ready); err == nil {
			t.Errorf("the ready file is left after %s", sig)
		}
	}
}
