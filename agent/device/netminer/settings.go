package netminer

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/agent/device/netminer/lenient"
	"github.com/sluice-project/sluice/workload"
)

// PoolSetting is a pool as it is written to a device. Devices do not give
// passwords back; one that is not known is written as "x", which pools ignore.
type PoolSetting struct {
	URL      string `json:"url"`
	User     string `json:"user"`
	Password string `json:"password,omitempty"`
}

// Settings are what can be set, as a device holds them; nil is unknown.
type Settings struct {
	Asleep *bool
	Pools  []PoolSetting
	Power  *int64 // target in watts

	raw map[string]any // of configurations that are written whole
}

// same reports whether two lists name the same pools.
func samePools(a, b []PoolSetting) bool {
	return slices.EqualFunc(a, b, func(x, y PoolSetting) bool { return SameEndpoint(x.URL, y.URL) && x.User == y.User })
}

// SameEndpoint compares pool addresses without their scheme and path.
func SameEndpoint(a, b string) bool { return endpoint(a) == endpoint(b) }

func endpoint(url string) string {
	if _, rest, ok := strings.Cut(url, "://"); ok {
		url = rest
	}
	url, _, _ = strings.Cut(url, "/")
	return strings.ToLower(url)
}

// lever is how one family is steered. settings reads what is set; write brings
// the device from one to another, touching only what differs.
type lever interface {
	settings(ctx context.Context) (Settings, error)
	write(ctx context.Context, from, to Settings) error
}

// lever finds the way to steer a device. Denied: its family is read-only.
func (m *Miner) lever() (lever, error) {
	switch {
	case m.Identity.Family == Whatsminer && m.Identity.V3:
		return whatsminer3{m}, nil
	case m.Identity.Family == Whatsminer:
		return whatsminer2{m}, nil
	case m.Identity.Family == Antminer:
		return antminer{m}, nil
	case m.Identity.Family == Braiins:
		return braiins{m}, nil
	case m.Identity.Family == AxeOS:
		return axe{m}, nil
	}
	return nil, workload.Errorf(workload.Denied, "%s is read-only: Sluice does not steer %s", m.Host, m.Identity.Family)
}

func password(p PoolSetting) string { return first(p.Password, "x") }

// antminer writes its configuration whole: what was read and is not ours to
// change goes back as it was.
type antminer struct{ m *Miner }

func (a antminer) settings(ctx context.Context) (Settings, error) {
	body, err := a.m.web.get(ctx, "/cgi-bin/get_miner_conf.cgi")
	if err != nil {
		return Settings{}, err
	}
	decoder := json.NewDecoder(bytes.NewReader(bytes.TrimRight(body, "\x00 \r\n")))
	decoder.UseNumber()
	s := Settings{raw: map[string]any{}}
	if err := decoder.Decode(&s.raw); err != nil {
		// To write back what was only half understood could lose settings.
		return Settings{}, workload.Errorf(workload.Unavailable, "%s: its configuration cannot be read: %w", a.m.Host, err)
	}
	r, err := lenient.Parse(body)
	if err != nil {
		return Settings{}, err
	}
	if mode := first(r.Value.Get("bitmain-work-mode").Str(), r.Value.Get("miner-mode").Str()); mode != "" {
		s.Asleep = new(mode == "1")
	}
	for _, p := range r.Value.Get("pools").List() {
		if url := p.Get("url").Str(); url != "" {
			s.Pools = append(s.Pools, PoolSetting{URL: url, User: p.Get("user").Str(), Password: p.Get("pass").Str()})
		}
	}
	return s, nil
}

func (a antminer) write(ctx context.Context, from, to Settings) error {
	out := map[string]any{}
	for k, v := range from.raw {
		switch k { // read under one name, written under another
		case "bitmain-work-mode":
			k = "miner-mode"
		case "bitmain-freq-level":
			k = "freq-level"
		}
		out[k] = v
	}
	mode := "0"
	if text, ok := out["miner-mode"].(string); ok && text != "1" {
		mode = text // low power stays low power
	}
	if to.Asleep != nil && *to.Asleep {
		mode = "1"
	}
	out["miner-mode"] = json.Number(mode)
	var pools []map[string]string
	for i := range 3 {
		p := map[string]string{"url": "", "user": "", "pass": ""}
		if i < len(to.Pools) {
			p = map[string]string{"url": to.Pools[i].URL, "user": to.Pools[i].User, "pass": password(to.Pools[i])}
		}
		pools = append(pools, p)
	}
	out["pools"] = pools
	body, err := json.Marshal(out)
	if err != nil {
		return workload.Errorf(workload.Internal, "configuration: %w", err)
	}
	_, err = a.m.web.must(ctx, http.MethodPost, "/cgi-bin/set_miner_conf.cgi", body)
	return err
}

// readSettings is what a report alone tells, for devices without a
// configuration that can be read.
func (m *Miner) readSettings(ctx context.Context) (Settings, error) {
	r, err := m.Read(ctx)
	if err != nil {
		return Settings{}, err
	}
	s := Settings{Power: r.PowerLimit}
	if r.State == StateAsleep || r.State == StateMining {
		s.Asleep = new(r.State == StateAsleep)
	}
	pools := slices.Clone(r.Pools)
	slices.SortStableFunc(pools, func(a, b Pool) int { return int(a.Priority - b.Priority) })
	for _, p := range pools {
		if p.URL != "" {
			s.Pools = append(s.Pools, PoolSetting{URL: p.URL, User: p.User})
		}
	}
	return s, nil
}

// differs reports whether an order changes a value that may be unknown.
func differs[T comparable](from, to *T) bool { return to != nil && (from == nil || *from != *to) }

type whatsminer2 struct{ m *Miner }

func (w whatsminer2) settings(ctx context.Context) (Settings, error) { return w.m.readSettings(ctx) }

func (w whatsminer2) write(ctx context.Context, from, to Settings) error {
	if !samePools(from.Pools, to.Pools) {
		params := map[string]string{}
		for i := range 3 {
			n := strconv.Itoa(i + 1)
			params["pool"+n], params["worker"+n], params["passwd"+n] = "", "", ""
			if i < len(to.Pools) {
				params["pool"+n], params["worker"+n], params["passwd"+n] = to.Pools[i].URL, to.Pools[i].User, password(to.Pools[i])
			}
		}
		if err := w.m.v2Order(ctx, "update_pools", params); err != nil {
			return err
		}
	}
	if differs(from.Power, to.Power) {
		if err := w.m.v2Order(ctx, "adjust_power_limit", map[string]string{"power_limit": strconv.FormatInt(*to.Power, 10)}); err != nil {
			return err
		}
	}
	if differs(from.Asleep, to.Asleep) {
		if *to.Asleep {
			return w.m.v2Order(ctx, "power_off", map[string]string{"respbefore": "true"})
		}
		return w.m.v2Order(ctx, "power_on", nil)
	}
	return nil
}

type whatsminer3 struct{ m *Miner }

func (w whatsminer3) settings(ctx context.Context) (Settings, error) { return w.m.readSettings(ctx) }

func (w whatsminer3) write(ctx context.Context, from, to Settings) error {
	if !samePools(from.Pools, to.Pools) {
		var pools []map[string]string
		for _, p := range to.Pools[:min(len(to.Pools), 3)] {
			pools = append(pools, map[string]string{"pool": p.URL, "worker": p.User, "passwd": password(p)})
		}
		if err := w.m.v3Order(ctx, "set.miner.pools", pools, true); err != nil {
			return err
		}
	}
	if differs(from.Power, to.Power) {
		if err := w.m.v3Order(ctx, "set.miner.power_limit", *to.Power, false); err != nil {
			return err
		}
	}
	if differs(from.Asleep, to.Asleep) {
		return w.m.v3Order(ctx, "set.miner.service", map[bool]string{true: "stop", false: "start"}[*to.Asleep], false)
	}
	return nil
}

type braiins struct{ m *Miner }

func (b braiins) settings(ctx context.Context) (Settings, error) {
	s, err := b.m.readSettings(ctx)
	if err != nil {
		return s, err
	}
	body, err := b.m.web.get(ctx, "/api/v1/pools")
	if err != nil {
		return s, err
	}
	r, err := lenient.Parse(body)
	if err != nil {
		return s, err
	}
	s.Pools = nil
	for _, group := range r.Value.List() {
		for _, p := range group.Get("pools").List() {
			s.Pools = append(s.Pools, PoolSetting{URL: p.Get("url").Str(), User: p.Get("user").Str(), Password: p.Get("password").Str()})
		}
	}
	return s, nil
}

func (b braiins) write(ctx context.Context, from, to Settings) error {
	if err := b.m.braiinsLogin(ctx); err != nil {
		return err
	}
	if !samePools(from.Pools, to.Pools) {
		var pools []map[string]string
		for _, p := range to.Pools {
			pools = append(pools, map[string]string{"url": p.URL, "user": p.User, "password": password(p)})
		}
		body, err := json.Marshal([]map[string]any{{"name": "sluice", "pools": pools, "load_balance_strategy": map[string]any{"quota": map[string]int{"value": 1}}}})
		if err != nil {
			return workload.Errorf(workload.Internal, "pools: %w", err)
		}
		if _, err := b.m.web.must(ctx, http.MethodPut, "/api/v1/pools/batch", body); err != nil {
			return err
		}
	}
	if differs(from.Power, to.Power) {
		if _, err := b.m.web.must(ctx, http.MethodPut, "/api/v1/performance/power-target", []byte(`{"watt":`+strconv.FormatInt(*to.Power, 10)+`}`)); err != nil {
			return err
		}
	}
	if differs(from.Asleep, to.Asleep) {
		_, err := b.m.web.must(ctx, http.MethodPut, "/api/v1/actions/"+map[bool]string{true: "pause", false: "resume"}[*to.Asleep], nil)
		return err
	}
	return nil
}

type axe struct{ m *Miner }

func (a axe) settings(ctx context.Context) (Settings, error) { return a.m.readSettings(ctx) }

func (a axe) write(ctx context.Context, from, to Settings) error {
	if !samePools(from.Pools, to.Pools) && len(to.Pools) > 0 {
		patch := map[string]any{}
		for i, p := range to.Pools[:min(len(to.Pools), 2)] {
			prefix := []string{"stratum", "fallbackStratum"}[i]
			host, portText, err := net.SplitHostPort(endpoint(p.URL))
			port, perr := strconv.Atoi(portText)
			if err != nil || perr != nil {
				return workload.Errorf(workload.Invalid, "pool %q is not host:port", p.URL)
			}
			patch[prefix+"URL"], patch[prefix+"Port"], patch[prefix+"User"] = host, port, p.User
		}
		body, err := json.Marshal(patch)
		if err != nil {
			return workload.Errorf(workload.Internal, "settings: %w", err)
		}
		if _, err := a.m.web.must(ctx, http.MethodPatch, "/api/system", body); err != nil {
			return err
		}
		// It reads its pools only when it starts.
		if _, err := a.m.web.must(ctx, http.MethodPost, "/api/system/restart", nil); err != nil {
			return err
		}
	}
	if differs(from.Asleep, to.Asleep) {
		_, err := a.m.web.must(ctx, http.MethodPost, "/api/system/"+map[bool]string{true: "pause", false: "resume"}[*to.Asleep], nil)
		return err
	}
	return nil
}
