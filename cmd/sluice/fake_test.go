package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/workload"
)

// fakeServer speaks the operator's protocol over TLS with a small consistent
// cluster behind it. The verbs, their flags, the wire and the exit codes are
// real; only the cluster is not.
type fakeServer struct {
	sluicev1.UnimplementedOperatorServer
	addr string
	ca   []byte // PEM
	stop func()

	mode    string        // "" | leaderless | down | silent | broken (ledger)
	changes chan struct{} // each sends one Watch message

	mu       sync.Mutex
	jobs     []*sluicev1.Job
	policies []*sluicev1.Policy
	revision int64
	asked    map[string]int // GetJob calls by id
	requests map[string]string
	drops    int // log streams to break after one chunk
}

// Tokens of the fake cluster.
const (
	adminToken  = "admin-token"
	readerToken = "reader-token"
)

func startFake(mode string) (*fakeServer, error) {
	cert, caPEM, err := selfSigned()
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &fakeServer{addr: ln.Addr().String(), ca: caPEM, mode: mode, revision: 118, asked: map[string]int{}, requests: map[string]string{},
		changes: make(chan struct{}, 1), jobs: seedJobs(), policies: seedPolicies(), drops: 1}
	srv := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := f.admit(ctx, info.FullMethod); err != nil {
				return nil, wire.ToStatus(err)
			}
			resp, err := next(ctx, req)
			return resp, wire.ToStatus(err)
		}),
		grpc.StreamInterceptor(func(s any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := f.admit(ss.Context(), info.FullMethod); err != nil {
				return wire.ToStatus(err)
			}
			return wire.ToStatus(next(s, ss))
		}))
	sluicev1.RegisterOperatorServer(srv, f)
	go srv.Serve(ln)
	f.stop = srv.Stop
	return f, nil
}

func (f *fakeServer) admit(ctx context.Context, method string) error {
	switch f.mode {
	case "leaderless":
		return workload.Errorf(workload.NotLeader, "no scheduler leads (3 of 3 servers answered)").Hint("sluice status")
	case "down":
		return workload.Errorf(workload.Unavailable, "the policy store cannot be reached")
	case "silent":
		<-ctx.Done()
		return ctx.Err()
	}
	md, _ := metadata.FromIncomingContext(ctx)
	token := strings.TrimPrefix(strings.Join(md.Get("authorization"), ""), "Bearer ")
	writes := strings.HasSuffix(method, "/SubmitJob") || strings.HasSuffix(method, "/CancelJob") || strings.HasSuffix(method, "/ApplyPolicy")
	switch {
	case token == "":
		return status.Error(codes.Unauthenticated, "no token was sent")
	case token == readerToken && writes:
		return workload.Errorf(workload.Denied, "role reader may not do this").Hint("ask for the role operator")
	case token != adminToken && token != readerToken:
		return workload.Errorf(workload.Denied, "the token is not valid")
	}
	return nil
}

// base is the moment at which the fake market stands still.
var base = time.Date(2026, 11, 20, 14, 2, 11, 0, time.UTC).UnixMilli()

const marketMs = 130 * 60_000 // after base

func money(revenue, energy int64) *sluicev1.MoneyPerHour {
	return &sluicev1.MoneyPerHour{Revenue: revenue, Energy: energy, Net: revenue - energy}
}

func fakePlan() *sluicev1.PlanSummary {
	return &sluicev1.PlanSummary{GapPpm: 2100, Stage: "final", Milliseconds: 43, Id: 5121, AtMs: base + marketMs - 4000,
		BoundMicroPerHour: 12_367_000, ObjectiveMicroPerHour: 12_341_100, GapMicroPerHour: 25_900, Moves: 12}
}

func fakeGpus() []*sluicev1.Gpu {
	mine := func(slot int, coin, option string, hash int64) *sluicev1.Gpu {
		return &sluicev1.Gpu{Id: fmt.Sprintf("n07/%d", slot), Node: "n07", Model: "RTX 3080", Use: "mining", Coin: coin, Option: option, Reason: "STABLE",
			Watts: 290, Sim: true, Kind: "gpu", Site: "bratsk-1", Hall: "tank", Rack: "r3", Uuid: fmt.Sprintf("sim-n07-%d", slot), Health: "healthy",
			ReasonFigures: []*sluicev1.Figure{{Name: "horizon", Value: 3_600_000, Unit: "ms"}}, SinceMs: base, Epoch: 812, Assigned: "mining",
			MoneyPerHour: money(70_200, 29_000), Hashrate: hash, TemperatureMilliC: 61_500, Memory: 10 << 30, SharesAccepted: 41, SharesRejected: 1, Pid: 4242}
	}
	gpus := []*sluicev1.Gpu{mine(3, "KAS", "KAS", 97_900_000_000), mine(10, "RVN", "RVN#1", 46_400_000_000)}
	return append(gpus,
		&sluicev1.Gpu{Id: "n07/9", Node: "n07", Model: "RTX 3080", Use: "training", Job: "18", Reason: "JOB", ReasonText: "a job pays best here", Watts: 320, Sim: true,
			Kind: "gpu", Site: "bratsk-1", Hall: "tank", Rack: "r3", Uuid: "sim-n07-9", Health: "healthy", SinceMs: base + 60_000, Epoch: 840, Assigned: "training",
			MoneyPerHour: money(300_000, 33_000), TemperatureMilliC: 66_000, Memory: 10 << 30, SharesAccepted: -1, SharesRejected: -1},
		&sluicev1.Gpu{Id: "edge-1/0", Node: "edge-1", Model: "RTX 4090", Use: "unknown", Reason: "SILENT", Watts: -1, Kind: "gpu", Site: "bratsk-1", Hall: "air", Rack: "r1",
			Uuid: "GPU-11", Health: "healthy", Note: "=cmd|' /C calc'!A0", Assigned: "mining", TemperatureMilliC: -1, Memory: 24 << 30, SharesAccepted: -1, SharesRejected: -1, Hashrate: -1})
}

func fakeNodes() []*sluicev1.Node {
	return []*sluicev1.Node{
		{Id: "n07", Site: "bratsk-1", Hall: "tank", Rack: "r3", State: "ready", Sim: true, Version: "v0.1.0", Address: "10.0.0.7:7072", LastSeenMs: time.Now().UnixMilli() + 5000,
			Devices: &sluicev1.DeviceCounts{Total: 3, Mining: 2, Training: 1, Trainable: 3}, Watts: 900, Drivers: []*sluicev1.NodeDriver{
				{Driver: "nvml", State: "mismatch", Text: "kernel driver and library differ", Next: "reboot when the node is empty"}, {Driver: "sim", State: "ok", Devices: 3}}},
		{Id: "edge-1", Site: "bratsk-1", Hall: "air", Rack: "r1", State: "unknown", Version: "v0.1.0", Address: "10.0.0.9:7072",
			Devices: &sluicev1.DeviceCounts{Total: 1, Other: 1, Trainable: 1}, Watts: -1},
	}
}

func seedJobs() []*sluicev1.Job {
	noFit := &sluicev1.Reason{Code: "NO_FIT", Text: "8 x RTX 3080 on one node with its checkpoint; n07 can free 5, n12 4"}
	return []*sluicev1.Job{
		{Id: "9", Name: "prepare-data", Tenant: "research", Phase: "succeeded", Reason: &sluicev1.Reason{Code: "EXIT"}, Gpus: 1, SubmittedMs: base - 7_200_000, StartedMs: base - 7_100_000,
			EndedMs: base - 3_600_000, Actor: "alice", Attempts: []*sluicev1.Attempt{{Number: 1, Phase: "exited", Devices: []string{"n07/1"}, StartedMs: base - 7_100_000, EndedMs: base - 3_600_000}}},
		{Id: "12", Name: "broken", Tenant: "research", Phase: "failed", Reason: &sluicev1.Reason{Code: "ATTEMPTS_USED"}, Gpus: 1, ExitCode: 3, SubmittedMs: base - 7_000_000, EndedMs: base - 6_000_000, Actor: "alice"},
		{Id: "13", Name: "unwanted", Tenant: "research", Phase: "cancelled", Reason: &sluicev1.Reason{Code: "CANCELLED"}, Gpus: 1, SubmittedMs: base - 7_000_000, EndedMs: base - 6_000_000, Actor: "alice"},
		{Id: "17", Name: "llama-ft", Tenant: "research", Phase: "queued", Reason: noFit, Gpus: 8, BidMicroPerHour: 220_000, SubmittedMs: base, Actor: "alice", Models: []string{"RTX 3080"}},
		{Id: "18", Name: "vision", Tenant: "research", Phase: "active", Reason: &sluicev1.Reason{Code: "JOB"}, Gpus: 1, Width: 1, BidMicroPerHour: 300_000, SubmittedMs: base, StartedMs: base + 60_000, Actor: "bob",
			Attempts: []*sluicev1.Attempt{{Number: 1, Phase: "running", Devices: []string{"n07/9"}, CreatedMs: base + 50_000, StartedMs: base + 60_000}},
			Progress: &sluicev1.Progress{Step: 120, Steps: 1000, Note: "loss 0.42"}, SpecYaml: "kind: Job\nname: vision\n"},
		{Id: "20", Name: "ending", Tenant: "research", Phase: "active", Reason: &sluicev1.Reason{Code: "JOB"}, Gpus: 1, Width: 1, SubmittedMs: base, Actor: "bob"},
	}
}

func seedPolicies() []*sluicev1.Policy {
	return []*sluicev1.Policy{
		{Kind: "Site", Name: "bratsk-1", Yaml: "kind: Site\nname: bratsk-1\nzone: Asia/Irkutsk # local\n", Revision: 100},
		{Kind: "Target", Name: "ai-share", Yaml: "kind: Target\nname: ai-share\nmin: 10%\n", Revision: 118},
	}
}

func (f *fakeServer) GetStatus(context.Context, *sluicev1.GetStatusRequest) (*sluicev1.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &sluicev1.Status{
		Servers: []*sluicev1.Server{{Id: "s1", Address: "127.0.0.1:7071", State: "leader", Voter: true}, {Id: "s2", Address: "127.0.0.1:7081", State: "follower"}},
		Leader:  "s1", Term: 3, LogIndex: 9_007_199_254_740_993, ConfigRevision: f.revision, Nodes: 2,
		Devices: &sluicev1.DeviceCounts{Total: 4, Mining: 2, Training: 1, Other: 1, Trainable: 4}, AiSharePpm: 250_000,
		PowerW: &sluicev1.PowerNow{Now: 900, Cap: 8_500_000}, MoneyPerHour: money(440_400, 91_000), Plan: fakePlan(), Currency: "USD", MarketMs: base + marketMs,
		MarketSpeed: 60, Cluster: "lab", Version: "v0.1.0", Jobs: &sluicev1.JobCounts{Queued: 1, Active: 2, Done: 3},
		Quotes:    []*sluicev1.Quote{{Feed: "btc-usd", Value: 64_000_000_000, Unit: "micro", AtMs: base, AgeMs: 40_000}, {Feed: "kheavy", Value: 5_123_400, Unit: "micro_per_hour", Scale: 12, AgeMs: 900_000, Stale: true}},
		AllMining: money(300_000, 90_000), AllParked: money(0, 9_000),
		Targets:     []*sluicev1.TargetStatus{{Name: "ai-share", Use: "training", ActualPpm: 250_000, MinPpm: 100_000, MaxPpm: -1}, {Name: "ai-more", Use: "training", ActualPpm: 250_000, MinPpm: 500_000, MaxPpm: 600_000, Code: "NO_FIT", Text: "too few fitting jobs"}},
		ConfigState: "ok", Sites: []*sluicev1.SiteStatus{{Name: "bratsk-1", Zone: "Asia/Irkutsk", CapW: 8_500_000, NowW: 900, EnergyMicroPerKwh: 100_000, EnergyKnown: true}}, Sim: true,
	}, nil
}

func (f *fakeServer) ListNodes(context.Context, *sluicev1.ListNodesRequest) (*sluicev1.ListNodesResponse, error) {
	return &sluicev1.ListNodesResponse{Nodes: fakeNodes()}, nil
}

func (f *fakeServer) ListGpus(_ context.Context, req *sluicev1.ListGpusRequest) (*sluicev1.ListGpusResponse, error) {
	gpus := slices.DeleteFunc(fakeGpus(), func(g *sluicev1.Gpu) bool { return req.GetNode() != "" && g.GetNode() != req.GetNode() })
	return &sluicev1.ListGpusResponse{Gpus: gpus, Currency: "USD"}, nil
}

func (f *fakeServer) find(id string) (*sluicev1.Job, error) {
	for _, j := range f.jobs {
		if j.GetId() == id {
			return j, nil
		}
	}
	if _, err := workload.ParseJobID(id); err != nil {
		return nil, err
	}
	return nil, workload.Errorf(workload.NotFound, "there is no job %s", id).Hint("sluice job list --all")
}

func (f *fakeServer) SubmitJob(_ context.Context, req *sluicev1.SubmitJobRequest) (*sluicev1.SubmitJobResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch doc := req.GetDocument(); {
	case strings.Contains(doc, "name: too-many"):
		return nil, workload.Errorf(workload.Exhausted, "tenant research may hold 64 GPUs")
	case strings.Contains(doc, "name: taken"):
		return nil, workload.Errorf(workload.Conflict, "request was made before with another document")
	case req.GetRequestId() == "":
		return nil, workload.Errorf(workload.Invalid, "request id is missing")
	case req.GetDryRun():
		return &sluicev1.SubmitJobResponse{}, nil
	case f.requests[req.GetRequestId()] != "":
		return &sluicev1.SubmitJobResponse{Id: f.requests[req.GetRequestId()]}, nil
	}
	j := &sluicev1.Job{Id: fmt.Sprint(21 + len(f.requests)), Name: "new", Phase: "queued", Gpus: 1, SubmittedMs: base, Actor: "admin", SpecYaml: req.GetDocument()}
	if strings.Contains(req.GetDocument(), "name: nofit") {
		j.Name, j.Reason = "nofit", &sluicev1.Reason{Code: "NO_FIT", Text: "n07 can free 5"}
	}
	f.jobs = append(f.jobs, j)
	f.requests[req.GetRequestId()] = j.GetId()
	return &sluicev1.SubmitJobResponse{Id: j.GetId(), LogIndex: 1234, Job: j}, nil
}

func (f *fakeServer) ListJobs(_ context.Context, req *sluicev1.ListJobsRequest) (*sluicev1.ListJobsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	resp := &sluicev1.ListJobsResponse{Currency: "USD"}
	for _, j := range f.jobs {
		if req.GetAll() || !workload.Phase(j.GetPhase()).Final() {
			resp.Jobs = append(resp.Jobs, proto.CloneOf(j))
		}
	}
	return resp, nil
}

// GetJob lets time pass: job 20 ends at the second look and a new job starts.
func (f *fakeServer) GetJob(_ context.Context, req *sluicev1.GetJobRequest) (*sluicev1.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j, err := f.find(req.GetId())
	if err != nil {
		return nil, err
	}
	f.asked[j.GetId()]++
	if j.GetName() == "ending" || j.GetName() == "new" {
		select {
		case f.changes <- struct{}{}:
		default:
		}
	}
	if f.asked[j.GetId()] >= 2 {
		switch j.GetName() {
		case "ending":
			j.Phase, j.ExitCode, j.EndedMs = "failed", 42, base+90_000
		case "new":
			j.Phase, j.Reason, j.Attempts = "active", &sluicev1.Reason{Code: "JOB"}, []*sluicev1.Attempt{{Number: 1, Phase: "running"}}
		}
	}
	return proto.CloneOf(j), nil
}

func (f *fakeServer) CancelJob(_ context.Context, req *sluicev1.CancelJobRequest) (*sluicev1.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j, err := f.find(req.GetId())
	switch {
	case err != nil:
		return nil, err
	case workload.Phase(j.GetPhase()).Final():
		return nil, workload.Errorf(workload.Conflict, "job %s has ended already", j.GetId())
	case j.GetPhase() == "queued":
		j.Phase = "cancelled"
	}
	return proto.CloneOf(j), nil
}

const fakeLog = "epoch 1 loss 0.50\nepoch 2 loss 0.42\n"

func (f *fakeServer) JobLogs(req *sluicev1.JobLogsRequest, s grpc.ServerStreamingServer[sluicev1.JobLogsResponse]) error {
	f.mu.Lock()
	_, err := f.find(req.GetId())
	broken := req.GetFollow() && f.drops > 0
	if broken {
		f.drops--
	}
	f.mu.Unlock()
	if err != nil {
		return err
	}
	for at := req.GetOffset(); at < int64(len(fakeLog)); at += 18 {
		end := min(at+18, int64(len(fakeLog)))
		if err := s.Send(&sluicev1.JobLogsResponse{Data: []byte(fakeLog[at:end]), Offset: at}); err != nil {
			return err
		}
		if broken {
			return workload.Errorf(workload.Unavailable, "this server stops")
		}
	}
	return nil
}

func (f *fakeServer) ExplainGpu(_ context.Context, req *sluicev1.ExplainGpuRequest) (*sluicev1.GpuExplanation, error) {
	for _, g := range fakeGpus() {
		if g.GetId() != req.GetId() {
			continue
		}
		return &sluicev1.GpuExplanation{Gpu: g, Plan: fakePlan(), Currency: "USD", QuoteAgeMs: 40_000, HorizonMs: 3_600_000, MarketMs: base + marketMs,
			Verdict: "the better use does not pay the switch back within the horizon",
			Now:     &sluicev1.Breakdown{Gross: 73_100, Risk: 2_900, Energy: 29_000, Net: 41_200, Watts: 290, BoardWatts: 279, EnergyMicroPerKwh: 100_000, PuePpm: 1_040_000},
			Alternatives: []*sluicev1.Alternative{
				{Use: g.GetUse(), Option: g.GetOption(), Job: g.GetJob(), Money: &sluicev1.Breakdown{Net: 41_200}},
				{Use: "mining", Option: "RVN", Money: &sluicev1.Breakdown{Net: 45_300}, VsNow: 4_100, Reason: &sluicev1.Reason{Code: "STABLE", Text: "switching costs 0.0080 USD, pays back in 1 h 57 m, horizon 1 h"}},
				{Use: "training", Job: "17", Reason: &sluicev1.Reason{Code: "NO_FIT", Text: "needs 8 on one node that holds its checkpoint; n07 can free 5, n12 4"}},
				{Use: "parked", Money: &sluicev1.Breakdown{Net: -2_200}, VsNow: -43_400, WouldWinAt: "0.263 USD/kWh"},
			},
			ParksBelowGrossMicroPerHour: 27_800, ParksAboveEnergyMicroPerKwh: 263_000,
			History: []*sluicev1.Interval{{FromMs: base - 3_600_000, ToMs: base, Use: "parked", Reason: &sluicev1.Reason{Code: "UNPROFITABLE"}, Energy: 2_200}, {FromMs: base, Use: "mining", Option: "KAS"}},
		}, nil
	}
	return nil, workload.Errorf(workload.NotFound, "there is no device %s", req.GetId()).Hint("sluice gpu list")
}

func (f *fakeServer) ExplainJob(_ context.Context, req *sluicev1.ExplainJobRequest) (*sluicev1.JobExplanation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j, err := f.find(req.GetId())
	if err != nil {
		return nil, err
	}
	e := &sluicev1.JobExplanation{Job: j, Plan: fakePlan(), Currency: "USD", BreakEvenBid: -1}
	if j.GetId() == "17" {
		e.BreakEvenBid = 330_000
		e.Reasons = []*sluicev1.Reason{{Code: "DATA_LOCALITY", Figures: []*sluicev1.Figure{{Name: "node", Text: "n12", Unit: "text"}}}}
		e.Ways = []string{"gang.perNode: 4 (two nodes)"}
	}
	return e, nil
}

func (f *fakeServer) ListPolicies(_ context.Context, req *sluicev1.ListPoliciesRequest) (*sluicev1.ListPoliciesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	resp := &sluicev1.ListPoliciesResponse{Revision: f.revision}
	for _, p := range f.policies {
		if (req.GetKind() == "" || req.GetKind() == p.GetKind()) && (req.GetName() == "" || req.GetName() == p.GetName()) {
			resp.Policies = append(resp.Policies, p)
		}
	}
	if req.GetKind() == "" {
		resp.Invalid = []string{"Tariff/old: price: is missing"}
	}
	return resp, nil
}

func (f *fakeServer) diff(document string, deleted []string) ([]*sluicev1.PolicyChange, error) {
	if strings.Contains(document, "min: 200%") {
		return nil, workload.Errorf(workload.Invalid, "target.yaml:3:6: min: share \"200%%\" is not between 0 %% and 100 %%\n    2 | name: ai-share\n >  3 | min: 200%%")
	}
	for _, key := range deleted {
		if key != "Target/ai-share" {
			return nil, workload.Errorf(workload.NotFound, "there is no policy %s", key)
		}
		return []*sluicev1.PolicyChange{{Kind: "Target", Name: "ai-share", What: "removed"}}, nil
	}
	if strings.Contains(document, "min: 20%") {
		return []*sluicev1.PolicyChange{{Kind: "Target", Name: "ai-share", What: "changed", Fields: []string{"min 10% -> 20%"}}}, nil
	}
	return nil, nil
}

func (f *fakeServer) PlanPolicy(_ context.Context, req *sluicev1.PlanPolicyRequest) (*sluicev1.PolicyPlan, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changes, err := f.diff(req.GetDocument(), req.GetDelete())
	if err != nil {
		return nil, err
	}
	check := f.revision
	if strings.Contains(req.GetDocument(), "# meanwhile") {
		f.revision++ // somebody else applies while the reader thinks
	}
	return &sluicev1.PolicyPlan{CheckIndex: check, Changes: changes, Moves: []*sluicev1.PlannedMove{{Devices: 48, From: "mining KAS", To: "training", Model: "RTX 3080"}},
		Before: money(440_400, 91_000), After: money(430_000, 92_000), CostMicroPerHour: 1_460_000, PlanCostMicroPerHour: 1_520_000, Currency: "USD", MovedDevices: 48,
		Targets: []*sluicev1.TargetStatus{{Name: "ai-share", Use: "training", ActualPpm: 227_000, MinPpm: 200_000, MaxPpm: -1}}}, nil
}

func (f *fakeServer) ApplyPolicy(_ context.Context, req *sluicev1.ApplyPolicyRequest) (*sluicev1.ApplyPolicyResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := req.GetCheckIndex(); i != 0 && i != f.revision {
		return nil, workload.Errorf(workload.Conflict, "the policy is at revision %d, not %d", f.revision, i).Hint("plan again: sluice policy plan -f %s", req.GetFile())
	}
	changes, err := f.diff(req.GetDocument(), req.GetDelete())
	if err != nil {
		return nil, err
	}
	if len(changes) > 0 {
		f.revision++
	}
	return &sluicev1.ApplyPolicyResponse{Revision: f.revision, Changes: changes}, nil
}

func (f *fakeServer) VerifyLedger(context.Context, *sluicev1.VerifyLedgerRequest) (*sluicev1.LedgerVerification, error) {
	v := &sluicev1.LedgerVerification{Ok: true, Entries: 812, ToIndex: 1234, Head: "9f2c", DeviceMillis: 8_640_000, Net: 12_345_600}
	if f.mode == "broken" {
		v.Ok, v.Text = false, "entry 77 has another hash"
	}
	return v, nil
}

func (f *fakeServer) Watch(_ *sluicev1.WatchRequest, s grpc.ServerStreamingServer[sluicev1.WatchResponse]) error {
	for {
		select {
		case <-s.Context().Done():
			return nil
		case <-f.changes:
			if err := s.Send(&sluicev1.WatchResponse{LogIndex: 1}); err != nil {
				return err
			}
		}
	}
}

func selfSigned() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sluice test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
