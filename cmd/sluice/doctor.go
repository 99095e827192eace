package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/agent/runner/shim"
	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/planner"
	"github.com/sluice-project/sluice/workload"
)

// What doctor thinks worth a word.
const (
	clockWarn       = 500 * time.Millisecond
	clockFail       = 2 * time.Second // a leader so far ahead is not to be trusted
	certificateWarn = 48 * time.Hour  // they live for a week
	diskWarnPercent = 15
	diskFailBytes   = 1 << 30
	lagWarn         = 1000 // entries
	policyOldWarn   = time.Minute
)

func doctorVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this machine and the cluster, one line a check, with the next step",
		Long: "Check this machine and the cluster, one line a check, with the next step.\n" +
			"Needs an admin's token for what the servers tell of themselves.\n\n" +
			"Exits 0 when nothing fails (warnings do not count), else 1.",
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context()) },
	}
	return a.operator(cmd)
}

// checkup gathers findings.
type checkup struct{ *sluicev1.Checkup }

func (c checkup) note(verdict, check, next, format string, args ...any) {
	c.Findings = append(c.Findings, &sluicev1.Finding{Check: check, Verdict: verdict, Text: fmt.Sprintf(format, args...), Next: next})
}

func (c checkup) ok(check, format string, args ...any) { c.note("ok", check, "", format, args...) }

func (c checkup) warn(check, next, format string, args ...any) {
	c.note("warn", check, next, format, args...)
}

func (c checkup) fail(check, next, format string, args ...any) {
	c.note("fail", check, next, format, args...)
}

// failed notes an error with its own next step.
func (c checkup) failed(check string, err error) {
	c.fail(check, workload.NextOf(err), "%s", firstLine(err.Error()))
}

func (a *app) doctor(ctx context.Context) error {
	c := checkup{&sluicev1.Checkup{}}
	c.containment(shim.Probe())
	if err := a.examine(ctx, c); err != nil {
		return err
	}
	bad := slices.ContainsFunc(c.Findings, func(f *sluicev1.Finding) bool { return f.Verdict == "fail" })
	err := showOne(a, c.Checkup, func(m *sluicev1.Checkup) string { return "" }, a.showCheckup)
	if err == nil && bad {
		return &exit{code: exitFailed}
	}
	return err
}

func (a *app) showCheckup(m *sluicev1.Checkup) {
	p := a.painter(a.outTTY)
	width := 0
	for _, f := range m.GetFindings() {
		width = max(width, len(f.GetCheck()))
	}
	hues := map[string]colour{"ok": green, "warn": yellow, "fail": red}
	for _, f := range m.GetFindings() {
		next := ""
		if f.GetNext() != "" {
			next = "; next: " + f.GetNext()
		}
		fmt.Fprintf(a.out, "%s  %-*s  %s\n", p.paint(hues[f.GetVerdict()], fmt.Sprintf("%-4s", f.GetVerdict())), width, clean(f.GetCheck()), clean(f.GetText()+next))
	}
}

// examine asks the cluster. A part that cannot be asked is a finding, not the end.
func (a *app) examine(ctx context.Context, c checkup) error {
	known, err := a.resolve() // also says what is wrong with flags and files
	if err != nil {
		return err
	}
	m, err := a.settledMembers(ctx)
	if err != nil {
		c.failed("servers", err)
	} else {
		c.group(m)
	}
	a.reach(ctx, c, known, m)
	// Who leads knows most: of the policy store, of feeds, of who was heard.
	for _, s := range m.GetMembers() {
		if s.GetId() == m.GetLeader() && s.GetGrpcAddress() != "" {
			back := a.remote.addr
			a.remote.addr = s.GetGrpcAddress()
			defer func() { a.remote.addr = back }()
		}
	}
	cl, err := a.connect()
	if err != nil {
		return err
	}
	defer cl.Close()
	if st, err := call(ctx, cl, sluicev1.OperatorClient.GetStatus, &sluicev1.GetStatusRequest{}); err != nil {
		c.failed("status", err)
	} else {
		c.policyStore(st)
		c.quotes(st)
	}
	if nodes, err := call(ctx, cl, sluicev1.OperatorClient.ListNodes, &sluicev1.ListNodesRequest{}); err != nil {
		c.failed("nodes", err)
	} else {
		c.nodes(nodes.GetNodes())
	}
	if gpus, err := call(ctx, cl, sluicev1.OperatorClient.ListGpus, &sluicev1.ListGpusRequest{}); err != nil {
		c.failed("devices", err)
	} else {
		c.devices(gpus.GetGpus())
	}
	if docs, err := call(ctx, cl, sluicev1.OperatorClient.ListPolicies, &sluicev1.ListPoliciesRequest{}); err != nil {
		c.failed("policy", err)
	} else {
		c.documents(docs)
	}
	return nil
}

// electionWait outlasts an election: that none leads for a moment is no illness.
const electionWait = 4 * time.Second

func (a *app) settledMembers(ctx context.Context) (*sluicev1.GetMembersResponse, error) {
	for giveUp := time.Now().Add(electionWait); ; {
		m, err := a.members(ctx)
		if err != nil || m.GetLeader() != "" || time.Now().After(giveUp) {
			return m, err
		}
		select {
		case <-ctx.Done():
			return m, ctx.Err()
		case <-time.After(leaderPause):
		}
	}
}

func (c checkup) containment(kind string) {
	switch kind {
	case shim.ContainCgroup2:
		c.ok("this machine", "workloads are contained by a cgroup: one write ends them all")
	case shim.ContainFreezer:
		c.warn("this machine", "boot with the unified cgroup hierarchy", "only the older cgroup freezer can be used for workloads")
	default:
		c.warn("this machine", "run the agent where it may make cgroups: as the packaged unit does, with Delegate=yes", "no cgroup can be made by this user: a workload is contained by its process group alone")
	}
}

// reach tries each server from here, those given and those the group names.
func (a *app) reach(ctx context.Context, c checkup, t target, m *sluicev1.GetMembersResponse) {
	addrs := slices.Clone(t.addrs)
	for _, s := range m.GetMembers() {
		if s.GetGrpcAddress() != "" && !slices.Contains(addrs, s.GetGrpcAddress()) {
			addrs = append(addrs, s.GetGrpcAddress())
		}
	}
	back := a.remote.addr
	defer func() { a.remote.addr = back }()
	for _, addr := range addrs {
		a.remote.addr = addr
		cl, err := a.connect()
		if err != nil {
			c.failed("server "+addr, err)
			continue
		}
		began := time.Now()
		_, err = call(ctx, cl, sluicev1.OperatorClient.GetStatus, &sluicev1.GetStatusRequest{})
		cl.Close()
		switch {
		case err == nil:
			c.ok("server "+addr, "answers in %s", span(time.Since(began).Milliseconds()))
		case errors.Is(err, context.Canceled):
			return
		default:
			c.failed("server "+addr, err)
		}
	}
}

// group judges what the servers tell of themselves.
func (c checkup) group(m *sluicev1.GetMembersResponse) {
	up, voters := quorum(m)
	switch {
	case m.GetLeader() == "":
		c.fail("leader", fmt.Sprintf("start servers until %d of the %d voters reach one another", voters/2+1, voters), "none; %d of %d voters can be reached", up, voters)
	case up < voters:
		c.warn("leader", "start the others, or sluice cluster remove those that are gone for good", "%s in term %d; %d of %d voters can be reached, %d must be", m.GetLeader(), m.GetTerm(), up, voters, voters/2+1)
	default:
		c.ok("leader", "%s in term %d; all %d voters can be reached", m.GetLeader(), m.GetTerm(), voters)
	}
	if voters == 2 {
		c.warn("voters", "add a third server", "two voters stop when either does")
	}
	if m.GetFrozen() {
		c.warn("decisions", "sluice cluster thaw", "frozen by Override/%s: %s", m.GetFrozenBy(), m.GetFrozenBecause())
	} else {
		c.ok("decisions", "not frozen")
	}
	versions := map[string]bool{}
	for _, s := range m.GetMembers() {
		if !answers(s) {
			c.fail(s.GetId(), "start it, or sluice cluster remove "+s.GetId()+" if it is gone for good", "is %s", s.GetState())
			continue
		}
		versions[s.GetVersion()] = true
		c.member(s)
	}
	if len(versions) > 1 {
		c.warn("versions", "finish the upgrade", "the servers run %d versions", len(versions))
	}
}

func (c checkup) member(s *sluicev1.Member) {
	before := len(c.Findings)
	clock := time.Duration(s.GetClockMs()) * time.Millisecond
	unsure := time.Duration(s.GetClockErrorMs()) * time.Millisecond
	switch off := clock.Abs() - unsure; {
	case off > clockFail:
		c.fail(s.GetId()+" clock", "make NTP work there", "is off by %s", clock)
	case off > clockWarn:
		c.warn(s.GetId()+" clock", "make NTP work there", "is off by %s", clock)
	}
	switch left := time.Until(time.UnixMilli(s.GetCertificateUntilMs())); {
	case left <= 0:
		c.fail(s.GetId()+" certificate", "restart the server: it renews its own", "has ended")
	case left < certificateWarn:
		c.warn(s.GetId()+" certificate", "restart the server: it renews its own", "ends in %s", span(left.Milliseconds()))
	}
	if free, size := s.GetDiskFree(), s.GetDiskSize(); free >= 0 && size > 0 {
		switch {
		case free < diskFailBytes:
			c.fail(s.GetId()+" disk", "make room below its data directory", "has %s left", bytesWords(free))
		case free < size/100*diskWarnPercent:
			c.warn(s.GetId()+" disk", "make room below its data directory", "has %s left of %s", bytesWords(free), bytesWords(size))
		}
	}
	if s.GetBehind() > lagWarn {
		c.warn(s.GetId()+" log", "look at its disk and network", "is %d entries behind", s.GetBehind())
	}
	if !s.GetHistoryComplete() {
		c.warn(s.GetId()+" history", "it is fetched from the other servers; after a restore from a backup nobody has it", "has a gap: the ledger cannot be verified there")
	}
	if len(c.Findings) == before {
		c.ok(s.GetId(), "%s, clock %+d ms, certificate for %s, %s free, %d entries behind", s.GetState(), s.GetClockMs(),
			span(time.Until(time.UnixMilli(s.GetCertificateUntilMs())).Milliseconds()), bytesWords(s.GetDiskFree()), s.GetBehind())
	}
}

func (c checkup) policyStore(st *sluicev1.Status) {
	age := time.Duration(st.GetConfigAgeMs()) * time.Millisecond
	switch state := st.GetConfigState(); {
	case state == "followed by the leader":
		c.warn("policy store", "sluice doctor again when a server leads", "the server that answered does not follow it")
	case strings.HasPrefix(state, "ok") && state != "ok":
		c.warn("policy store", "sluice policy get shows which; apply it anew", "%s", state)
	case state != "ok":
		c.fail("policy store", "check etcd; until then the last good policy stays in force", "%s", state)
	case age > policyOldWarn:
		c.warn("policy store", "check etcd", "revision %d, read %s ago", st.GetConfigRevision(), span(age.Milliseconds()))
	default:
		c.ok("policy store", "revision %d, read %s ago", st.GetConfigRevision(), span(age.Milliseconds()))
	}
}

func (c checkup) quotes(st *sluicev1.Status) {
	var stale []string
	for _, q := range st.GetQuotes() {
		if q.GetStale() {
			stale = append(stale, q.GetFeed()+" ("+span(q.GetAgeMs())+" old)")
		}
	}
	if len(stale) > 0 {
		c.warn("feeds", "check their sources; what depends on a stale price is not started", "stale: %s", strings.Join(stale, ", "))
		return
	}
	c.ok("feeds", "%d read, none stale", len(st.GetQuotes()))
}

func (c checkup) nodes(nodes []*sluicev1.Node) {
	var silent, fenced, degraded []string
	for _, n := range nodes {
		switch n.GetState() {
		case "unknown":
			silent = append(silent, n.GetId())
		case "fenced":
			fenced = append(fenced, n.GetId())
		}
		for _, d := range n.GetDrivers() {
			if s := workload.DriverState(d.GetState()); s != workload.DriverOK && s != workload.DriverAbsent && s != workload.DriverNotBuilt {
				degraded = append(degraded, n.GetId()+" ("+driverWords(d.GetDriver(), d.GetState(), d.GetDevices(), d.GetText(), d.GetNext())+")")
			}
		}
	}
	if len(silent) > 0 {
		c.warn("nodes", "look at their agents and network; sluice node fence those that are powered off", "not heard: %s", some(silent))
	}
	if len(fenced) > 0 {
		c.warn("nodes", "boot them; one that still runs must be rebooted", "fenced: %s", some(fenced))
	}
	if len(degraded) > 0 {
		c.warn("drivers", "sluice node show NODE", "%s", some(degraded))
	}
	if len(silent)+len(fenced)+len(degraded) == 0 {
		c.ok("nodes", "all %d are heard, their drivers work", len(nodes))
	}
}

func (c checkup) devices(gpus []*sluicev1.Gpu) {
	var out []string
	for _, g := range gpus {
		if g.GetUse() == string(workload.Quarantined) || g.GetHealth() == string(workload.InQuarantine) {
			out = append(out, g.GetId())
		}
	}
	if len(out) > 0 {
		c.warn("devices", "sluice explain gpu DEVICE", "in quarantine: %s", some(out))
		return
	}
	c.ok("devices", "none of %d in quarantine", len(gpus))
}

// documents names what is stored though this version does not act on it.
func (c checkup) documents(docs *sluicev1.ListPoliciesResponse) {
	var idle []string
	for _, p := range docs.GetPolicies() {
		parsed, err := config.Parse(policyKey(p), []byte(p.GetYaml()))
		if err != nil {
			continue // written by a newer program; the server has judged it
		}
		for _, d := range parsed {
			if keys := planner.NotActedOn(d); len(keys) > 0 {
				idle = append(idle, policyKey(p)+" "+strings.Join(keys, ", "))
			}
		}
	}
	if len(docs.GetInvalid()) > 0 {
		c.fail("policy", "apply them anew", "cannot be used: %s", some(docs.GetInvalid()))
	}
	if len(idle) > 0 {
		c.warn("policy", "do not rely on them", "stored, but not acted on: %s", some(idle))
	}
	if len(docs.GetInvalid())+len(idle) == 0 {
		c.ok("policy", "%s, every field acted on", count(int64(len(docs.GetPolicies())), "document"))
	}
}

// some names the first few.
func some(list []string) string {
	const few = 5
	if len(list) > few {
		return strings.Join(list[:few], ", ") + fmt.Sprintf(" and %d more", len(list)-few)
	}
	return strings.Join(list, ", ")
}
