package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A chain of chips on a serial line, from the wire to the list of devices: the
// agent finds it, the scheduler lets it mine, the workload mines on it, the pool
// accepts its shares, and its hashrate is shown. A killed agent changes nothing.
func TestSerialChips(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	chip := h.start("chip", nil, "agent", "emulate", "chip", "--model", "bm1370", "--chips", "2", "--noise", "20000", "--split", "20000")
	var port string
	poll(t, 10*time.Second, "the chips print where they are", func() (bool, string) {
		port = strings.TrimSpace(chip.log())
		return strings.HasPrefix(port, "/dev/pts/"), chip.log()
	})
	var probed struct{ Model string }
	cli{h: h}.json(&probed, "agent", "probe", "--serial", port+",zero-bits=12")
	if probed.Model != "BM1370 x2" {
		t.Fatalf("a probe finds %q", probed.Model)
	}

	c := lone(h)
	text, err := os.ReadFile("testdata/serial.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c.cli().must("", "policy", "apply", "--yes", "-f", h.write("serial.yaml", strings.ReplaceAll(string(text), "{pool}", h.pool())))
	token := c.cli().must("", "token", "node", "n1")
	args := append(c.agentArgs("n1"), "--serial", port+",zero-bits=12")
	agent := h.start("agent-n1", []string{"SLUICE_JOIN_TOKEN=" + token}, args...)

	type gpu struct {
		Model, Kind, Use, Coin, Health, Note string
		Hashrate                             int64
		SharesAccepted                       int64 `json:"shares_accepted"`
		SharesRejected                       int64 `json:"shares_rejected"`
		Sim                                  bool
	}
	list := func() []gpu {
		var out []gpu
		c.cli().json(&out, "gpu", "list")
		return out
	}
	mines := func() (bool, string) {
		g := list()
		return len(g) == 1 && g[0].Use == "mining" && g[0].SharesAccepted > 0 && g[0].Hashrate > 0, fmt.Sprintf("%+v %v", g, h.works())
	}
	began := time.Now()
	poll(t, 60*time.Second, "the chips mine and their hashrate is shown", mines)
	figure(t, "agent started -> shares accepted and hashrate shown: %.1f s", time.Since(began).Seconds())
	if g := list()[0]; g.Model != "BM1370 x2" || g.Kind != "asic" || g.Coin != "BTC" || g.Health != "healthy" || g.Sim || g.SharesRejected > g.SharesAccepted/10 {
		t.Errorf("the device is shown as %+v", g)
	}
	before := h.works()
	if len(before) != 1 {
		t.Fatalf("workloads: %v", before)
	}
	agent.kill(t)
	agent = h.start("agent-n1-again", nil, args...)
	poll(t, 20*time.Second, "the new agent adopts the miner", func() (bool, string) { return strings.Contains(agent.log(), "msg=adopted"), agent.log() })
	type probe struct {
		Model string
		Chain struct {
			State  string
			Nonces int64
		}
	}
	var first, later probe
	cli{h: h}.json(&first, "agent", "probe", "--serial", port) // answered by the miner: the port is not touched
	poll(t, 30*time.Second, "it mines on", func() (bool, string) {
		cli{h: h}.json(&later, "agent", "probe", "--serial", port)
		return later.Chain.State == "mining" && later.Chain.Nonces > first.Chain.Nonces, fmt.Sprintf("%+v", later)
	})
	poll(t, 20*time.Second, "the new agent reports it", func() (bool, string) {
		g := list()
		return g[0].Use == "mining" && g[0].Health == "healthy" && g[0].Hashrate > 0, fmt.Sprintf("%+v", g)
	})
	if after := h.works(); !sameWork(before, after) {
		t.Errorf("workloads changed from %v to %v", before, after)
	}
	agent.signal(t, syscall.SIGTERM)
	agent.exit(t, 20*time.Second)
}
