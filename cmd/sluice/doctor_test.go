package main

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/agent/runner/shim"
	"github.com/sluice-project/sluice/proto/sluicev1"
)

func healthy(id string, edit ...func(*sluicev1.Member)) *sluicev1.Member {
	m := &sluicev1.Member{Id: id, State: "follower", Voter: true, Version: "v1", ClockErrorMs: 1, DiskFree: 50 << 30, DiskSize: 100 << 30,
		CertificateUntilMs: time.Now().Add(80 * 24 * time.Hour).UnixMilli(), HistoryComplete: true}
	for _, f := range edit {
		f(m)
	}
	return m
}

// Each check says its verdict when, and only when, there is something to say.
func TestDoctorVerdicts(t *testing.T) {
	group := func(edit func(*sluicev1.GetMembersResponse), third ...func(*sluicev1.Member)) func(checkup) {
		m := &sluicev1.GetMembersResponse{Leader: "s1", Term: 2, Members: []*sluicev1.Member{healthy("s1"), healthy("s2"), healthy("s3", third...)}}
		if edit != nil {
			edit(m)
		}
		return func(c checkup) { c.group(m) }
	}
	member := func(edit func(*sluicev1.Member)) func(checkup) { return group(nil, edit) }
	store := func(state string, age time.Duration) func(checkup) {
		return func(c checkup) { c.policyStore(&sluicev1.Status{ConfigState: state, ConfigAgeMs: age.Milliseconds()}) }
	}
	for _, k := range []struct {
		name string
		do   func(checkup)
		want string // "verdict check" of the one that is not ok; empty: all are
	}{
		{"all well", group(nil), ""},
		{"no leader", group(func(m *sluicev1.GetMembersResponse) { m.Leader = "" }), "fail leader"},
		{"frozen", group(func(m *sluicev1.GetMembersResponse) { m.Frozen = true }), "warn decisions"},
		{"clock a little off", member(func(m *sluicev1.Member) { m.ClockMs = -600 }), "warn s3 clock"},
		{"clock off", member(func(m *sluicev1.Member) { m.ClockMs = 2500 }), "fail s3 clock"},
		{"clock unsure", member(func(m *sluicev1.Member) { m.ClockMs, m.ClockErrorMs = 900, 500 }), ""},
		{"certificate ends", member(func(m *sluicev1.Member) { m.CertificateUntilMs = time.Now().Add(time.Hour).UnixMilli() }), "warn s3 certificate"},
		{"certificate ended", member(func(m *sluicev1.Member) { m.CertificateUntilMs = 1 }), "fail s3 certificate"},
		{"disk nearly full", member(func(m *sluicev1.Member) { m.DiskFree = 5 << 30 }), "warn s3 disk"},
		{"disk full", member(func(m *sluicev1.Member) { m.DiskFree = 1 << 20 }), "fail s3 disk"},
		{"disk unknown", member(func(m *sluicev1.Member) { m.DiskFree, m.DiskSize = -1, -1 }), ""},
		{"behind", member(func(m *sluicev1.Member) { m.Behind = 5000 }), "warn s3 log"},
		{"history", member(func(m *sluicev1.Member) { m.HistoryComplete = false }), "warn s3 history"},
		{"version", member(func(m *sluicev1.Member) { m.Version = "v2" }), "warn versions"},
		{"down", member(func(m *sluicev1.Member) { m.State = "unreachable" }), "warn leader, fail s3"},
		{"store", store("ok", time.Second), ""},
		{"store old", store("ok", time.Hour), "warn policy store"},
		{"store with a bad document", store("ok, but Site/x is bad", time.Second), "warn policy store"},
		{"store gone", store("etcd does not answer", time.Second), "fail policy store"},
		{"feeds", func(c checkup) {
			c.quotes(&sluicev1.Status{Quotes: []*sluicev1.Quote{{Feed: "a"}, {Feed: "b", Stale: true}}})
		}, "warn feeds"},
		{"nodes", func(c checkup) {
			c.nodes([]*sluicev1.Node{{Id: "a", State: "ready", Drivers: []*sluicev1.NodeDriver{{Driver: "nvml", State: "absent"}, {Driver: "sim", State: "ok"}}}})
		}, ""},
		{"nodes in trouble", func(c checkup) {
			c.nodes([]*sluicev1.Node{{Id: "a", State: "unknown"}, {Id: "b", State: "fenced"}, {Id: "c", State: "ready", Drivers: []*sluicev1.NodeDriver{{Driver: "nvml", State: "mismatch"}}}})
		}, "warn nodes, warn nodes, warn drivers"},
		{"quarantine", func(c checkup) { c.devices([]*sluicev1.Gpu{{Id: "a/0"}, {Id: "a/1", Health: "quarantined"}}) }, "warn devices"},
		{"policy not acted on", func(c checkup) {
			c.documents(&sluicev1.ListPoliciesResponse{Policies: []*sluicev1.Policy{{Kind: "Feed", Name: "f", Yaml: "kind: Feed\nname: f\nsources: [{value: 1}, {value: 2}]\ncurrency: USD\ngate: {stale: 1h, agree: 2}\n"}}})
		}, "warn policy"},
		{"invalid policy", func(c checkup) { c.documents(&sluicev1.ListPoliciesResponse{Invalid: []string{"Site/x: bad"}}) }, "fail policy"},
		{"cgroup", func(c checkup) { c.containment(shim.ContainCgroup2) }, ""},
		{"no cgroup", func(c checkup) { c.containment(shim.ContainGroup) }, "warn this machine"},
	} {
		c := checkup{&sluicev1.Checkup{}}
		k.do(c)
		var got []string
		for _, f := range c.Findings {
			if f.Verdict != "ok" {
				got = append(got, f.Verdict+" "+f.Check)
				if f.Next == "" {
					t.Errorf("%s: %q says no next step", k.name, f.Text)
				}
			}
		}
		if len(c.Findings) == 0 || strings.Join(got, ", ") != k.want {
			t.Errorf("%s: %q, want %q", k.name, strings.Join(got, ", "), k.want)
		}
	}
}
