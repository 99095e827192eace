package emulate

import (
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/sluice-project/sluice/agent/device/netminer"
	"github.com/sluice-project/sluice/workload"
)

// Model is a device whose figures follow its settings. Its fields may be
// changed only before it is served; afterwards through its methods.
type Model struct {
	Kind     netminer.Family
	Version3 bool // a Whatsminer of API 3
	Name     string
	Login    netminer.Login
	Rated    int64         // GH/s at full power
	Watts    int64         // at full power
	Idle     int64         // watts asleep
	Delay    time.Duration // until an order takes effect
	// Stubborn devices take orders, hold the settings, and go on as before.
	Stubborn bool
	// Forgetful devices answer an order with success and hold nothing.
	Forgetful bool
	Now       func() time.Time

	mu      sync.Mutex
	asleep  bool
	pools   []netminer.PoolSetting
	target  int64
	since   time.Time // of the newest change
	was     setting   // what it did before
	started time.Time
	Orders  []string // every order that came, for tests
}

type setting struct {
	asleep bool
	target int64
}

// NewModel makes a device of a family with figures of a usual model.
func NewModel(family netminer.Family, v3 bool) (*Model, error) {
	m := &Model{Kind: family, Version3: v3, Idle: 60, Login: netminer.Login{User: "root", Password: "root"}, Now: time.Now,
		pools: []netminer.PoolSetting{{URL: "stratum+tcp://old.example:3333", User: "somebody.1", Password: "old"}}}
	switch family {
	case netminer.Antminer:
		m.Name, m.Rated, m.Watts = "Antminer S19 Pro", 110_000, 3250
	case netminer.Whatsminer:
		m.Name, m.Rated, m.Watts = "M30S++", 112_000, 3472
		m.Login = netminer.Login{User: "super", Password: "secret"}
	case netminer.Braiins:
		m.Name, m.Rated, m.Watts = "Antminer S19j Pro", 104_000, 3068
	case netminer.AxeOS:
		m.Name, m.Rated, m.Watts, m.Idle = "Gamma", 1_071, 18, 2
		m.Login = netminer.Login{}
	default:
		return nil, workload.Errorf(workload.Invalid, "there is no model of %q; use antminer, whatsminer, braiins or axeos", family)
	}
	m.target = m.Watts
	m.started = m.Now().Add(-time.Hour)
	return m, nil
}

// Family implements Miner.
func (m *Model) Family() netminer.Family { return m.Kind }

// order notes an order and carries it out.
func (m *Model) order(text string, change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Orders = append(m.Orders, text)
	if m.Forgetful {
		return
	}
	m.was.asleep, m.was.target = m.effect()
	m.since = m.Now()
	change()
}

// effect is what the device does now; m.mu is held.
func (m *Model) effect() (asleep bool, target int64) {
	if !m.since.IsZero() && (m.Stubborn || m.Now().Sub(m.since) < m.Delay) {
		return m.was.asleep, m.was.target
	}
	return m.asleep, m.target
}

// state is what the device shows.
type state struct {
	asleep  bool // by its settings
	ghs     int64
	watts   int64
	target  int64
	elapsed int64
	pools   []netminer.PoolSetting
}

func (m *Model) state() state {
	m.mu.Lock()
	defer m.mu.Unlock()
	asleep, target := m.effect()
	s := state{asleep: m.asleep, watts: m.Idle, target: m.target, elapsed: int64(m.Now().Sub(m.started) / time.Second), pools: append([]netminer.PoolSetting(nil), m.pools...)}
	if !asleep {
		s.watts = min(target, m.Watts)
		s.ghs = m.Rated * s.watts / m.Watts
	}
	return s
}

// Seen returns what the device holds and does: for tests and the table of
// `sluice agent emulate miner`.
func (m *Model) Seen() (asleep bool, pools []netminer.PoolSetting, watts, ghs int64) {
	s := m.state()
	return s.asleep, s.pools, s.watts, s.ghs
}

// Ordered lists the orders that came.
func (m *Model) Ordered() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.Orders...)
}

// Meddle sets pools as a person at the device would.
func (m *Model) Meddle(pools ...netminer.PoolSetting) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pools = pools
}

// mac is made from a name, in the range for local use.
func mac(name string) string {
	h := fnv.New32a()
	h.Write([]byte(name))
	n := h.Sum32()
	return fmt.Sprintf("02:00:%02x:%02x:%02x:%02x", n>>24, n>>16&255, n>>8&255, n&255)
}
