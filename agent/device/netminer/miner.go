package netminer

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-project/sluice/agent/device/netminer/lenient"
	"github.com/sluice-project/sluice/workload"
)

// Miner is one device at an address, of a known family. It holds no
// connection; its methods may be called at once by several, but its settings
// must have one writer.
type Miner struct {
	Host     string
	Ports    Ports
	Identity Identity
	Login    Login

	mu  sync.Mutex
	web *web
}

// NewMiner prepares to speak to a device. An empty login reads what is open to
// all.
func NewMiner(host string, ports Ports, id Identity, login Login) *Miner {
	m := &Miner{Host: host, Ports: ports.defaults(), Identity: id, Login: login}
	if login.Password != "" && login.User == "" {
		m.Login.User = "root"
	}
	m.web = newWeb("http", host, m.Ports.Web, m.Login)
	return m
}

// Open identifies an address and prepares to speak to it.
func Open(ctx context.Context, host string, ports Ports, login Login) (*Miner, error) {
	id, err := Identify(ctx, host, ports)
	if err != nil {
		return nil, err
	}
	return NewMiner(host, ports, id, login), nil
}

// questions are the commands of the cgminer API that a family answers.
var questions = map[Family][]string{
	Antminer:   {"stats", "summary", "pools", "version"},
	Whatsminer: {"summary", "devs", "pools", "get_version", "get_error_code", "devdetails", "status"},
	Braiins:    {"summary", "devs", "devdetails", "temps", "fans", "pools", "tunerstatus", "version", "stats"},
	LuxOS:      {"stats", "summary", "power", "pools", "version"},
	Avalon:     {"version", "stats", "summary", "pools"},
	Vnish:      {"stats", "summary", "pools", "version"},
	AxeOS:      {},
}

// pages are paths of HTTP APIs that need no login; loginPages need one.
var (
	pages      = map[Family][]string{AxeOS: {"/api/system/info"}, Vnish: {"/api/v1/summary", "/api/v1/info"}}
	loginPages = map[Family][]string{
		Antminer: {"/cgi-bin/get_system_info.cgi", "/cgi-bin/get_miner_conf.cgi"},
		Braiins:  {"/api/v1/miner/details", "/api/v1/miner/stats", "/api/v1/miner/hw/hashboards", "/api/v1/cooling/state", "/api/v1/performance/tuner-state", "/api/v1/pools"},
	}
)

// readLimit bounds one reading; what came until then is used.
const readLimit = 8 * time.Second

// Read asks for everything a device tells. Unavailable: nothing came.
func (m *Miner) Read(ctx context.Context) (Report, error) {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	replies, err := m.replies(ctx)
	if len(replies) == 0 {
		if err == nil {
			err = workload.Errorf(workload.Unavailable, "%s does not answer", m.Host)
		}
		return Report{}, err
	}
	report, err := Parse(replies...)
	if err != nil {
		return report, err
	}
	// What the address was found to be may be more than its replies show.
	if m.Identity.Family.rank() < report.Family.rank() {
		report.Family = m.Identity.Family
		if report.Make == "" {
			report.Make = makes[report.Family]
		}
	}
	return report, nil
}

func (m *Miner) replies(ctx context.Context) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out [][]byte
	var failed error
	keep := func(body []byte, err error) bool {
		if err != nil {
			failed = err
			return false
		}
		out = append(out, body)
		return true
	}
	family := m.Identity.Family
	asked, known := questions[family]
	if !known {
		asked = []string{"stats", "summary", "devs", "pools", "version"}
	}
	if m.Identity.V3 {
		asked = nil
		for _, q := range []struct{ cmd, param string }{{"get.device.info", ""}, {"get.miner.status", "summary"}, {"get.miner.status", "edevs"}, {"get.miner.status", "pools"}} {
			if !keep(m.v3Ask(ctx, q.cmd, q.param)) {
				break
			}
		}
	}
	for i, name := range asked {
		ok := keep(ask(ctx, m.Host, m.Ports.RPC, name, ""))
		if !ok && i == 0 || workload.KindOf(failed) == workload.Invalid {
			break // a service that is down or mad is not asked seven times
		}
	}
	if family == Avalon && len(out) > 0 {
		// Where stats leaves the module out, litestats may hold it.
		if r, err := Parse(out...); err == nil && r.Nominal == nil && r.Power == nil {
			keep(ask(ctx, m.Host, m.Ports.RPC, "litestats", ""))
		}
	}
	for _, path := range pages[family] {
		keep(m.web.get(ctx, path))
	}
	if m.Login.Password != "" {
		if family == Braiins {
			if err := m.braiinsLogin(ctx); err != nil {
				return out, err
			}
		}
		for _, path := range loginPages[family] {
			keep(m.web.get(ctx, path))
		}
	}
	return out, failed
}

// braiinsLogin fetches a token where none is held; tokens live for an hour.
func (m *Miner) braiinsLogin(ctx context.Context) error {
	if m.web.token != "" {
		if a, err := m.web.do(ctx, http.MethodGet, "/api/v1/miner/details", nil); err == nil && a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
			return nil
		}
		m.web.token = ""
	}
	body, err := json.Marshal(map[string]string{"username": m.Login.User, "password": m.Login.Password})
	if err != nil {
		return workload.Errorf(workload.Internal, "login: %w", err)
	}
	reply, err := m.web.must(ctx, http.MethodPost, "/api/v1/auth/login", body)
	if err != nil {
		return err
	}
	r, err := lenient.Parse(reply)
	if err != nil {
		return err
	}
	if m.web.token = r.Value.Get("token").Str(); m.web.token == "" {
		return workload.Errorf(workload.Denied, "%s gives no token", m.Host)
	}
	return nil
}
