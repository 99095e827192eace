package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An ASIC that mines by itself, from the wire to the list of devices: the
// agent finds it, a grant sets it to our pool, a killed agent changes nothing,
// a meddled pool is set back, and parking puts it to sleep.
func TestNetworkMiner(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	played := h.start("asic", nil, "agent", "emulate", "miner", "--model", "antminer", "--delay", "200ms", "-o", "json")
	var asic struct{ Host, Ports string }
	poll(t, 10*time.Second, "the miner prints where it is", func() (bool, string) {
		line, _, ok := strings.Cut(played.log(), "\n")
		return ok && json.Unmarshal([]byte(line), &asic) == nil && asic.Host != "", played.log()
	})
	logins := h.write("logins", "antminer root root\n")
	if err := os.Chmod(logins, 0o600); err != nil {
		t.Fatal(err)
	}
	reach := []string{"--miner-ports", asic.Ports, "--miner-logins", logins}
	type probe struct {
		Control bool
		Report  struct {
			Model, State string
			Pools        []struct {
				URL, User string
				Active    bool
			}
		}
	}
	look := func() probe {
		var p probe
		cli{h: h}.json(&p, append([]string{"agent", "probe", asic.Host}, reach...)...)
		return p
	}
	if p := look(); !p.Control || p.Report.Model != "Antminer S19 Pro" || p.Report.State != "mining" {
		t.Fatalf("a probe finds %+v", p)
	}

	c := lone(h)
	text, err := os.ReadFile("testdata/netminer.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pool := h.pool()
	c.cli().must("", "policy", "apply", "--yes", "-f", h.write("netminer.yaml", strings.ReplaceAll(string(text), "{pool}", pool)))
	token := c.cli().must("", "token", "node", "n1")
	args := append(append(c.agentArgs("n1"), "--miners", asic.Host), reach...)
	agent := h.start("agent-n1", []string{"SLUICE_JOIN_TOKEN=" + token}, args...)

	type gpu struct {
		Model, Kind, Use, Coin, Health, Note string
		Hashrate                             int64
		Sim                                  bool
	}
	list := func() []gpu {
		var out []gpu
		c.cli().json(&out, "gpu", "list")
		return out
	}
	ours := func() (bool, string) {
		p := look()
		for _, at := range p.Report.Pools {
			if at.Active && strings.HasSuffix(at.URL, pool) && at.User == "treasury.n1-0" && p.Report.State == "mining" {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%+v %+v %s", p, list(), agent.log())
	}
	poll(t, 60*time.Second, "the miner works for our pool", ours)
	poll(t, 30*time.Second, "its hashrate is shown", func() (bool, string) {
		g := list()
		return len(g) == 1 && g[0].Use == "mining" && g[0].Coin == "BTC" && g[0].Hashrate > 100e15 && g[0].Kind == "asic" && g[0].Model == "Antminer S19 Pro" && !g[0].Sim, fmt.Sprintf("%+v", g)
	})

	before := h.works()
	agent.kill(t)
	agent = h.start("agent-n1-again", nil, args...)
	poll(t, 20*time.Second, "the new agent adopts what steers the miner", func() (bool, string) { return strings.Contains(agent.log(), "msg=adopted"), agent.log() })
	if after := h.works(); !sameWork(before, after) {
		t.Errorf("workloads changed from %v to %v", before, after)
	}

	c.cli().must("", "policy", "apply", "--yes", "-f", h.write("park.yaml", "kind: Override\nname: call\nscope: {site: hall}\nuse: park\nuntil: 2099-01-01T00:00:00Z\nreason: test\n"))
	poll(t, 60*time.Second, "the parked miner sleeps", func() (bool, string) {
		p := look()
		return p.Report.State == "asleep", fmt.Sprintf("%+v %+v", p, list())
	})
	agent.signal(t, syscall.SIGTERM)
	agent.exit(t, 20*time.Second)
}
