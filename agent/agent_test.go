package agent

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/sim"
	"github.com/sluice-project/sluice/agent/reconcile"
	"github.com/sluice-project/sluice/agent/runner/shim"
	pb "github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/workload"
)

// The plan key of the tests, fixed so that an agent process of ours has it too.
var private = ed25519.NewKeyFromSeed([]byte("a seed of thirty-two bytes, no m"))

// TestMain lets the test binary be a shim, a miner or a whole agent.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "shim":
			os.Exit(shim.Main(os.Args[2]))
		case "miner":
			os.Exit(fakeMiner(os.Args[2]))
		case "agent":
			a, err := New(config(os.Args[2], os.Args[3]))
			if err == nil {
				err = a.Run(context.Background())
			}
			fmt.Println(err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// fakeMiner answers as a miner of the practice kind does, to its token alone.
func fakeMiner(port string) int {
	http.HandleFunc("/2/summary", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+os.Getenv("SLUICE_MINER_TOKEN") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"hashrate":{"total":[1234.5]},"results":{"shares_good":7,"shares_total":9}}`)
	})
	fmt.Println(http.ListenAndServe("127.0.0.1:"+port, nil))
	return 1
}

func verifyPlan(body, signature []byte, _ time.Time) error {
	if !ed25519.Verify(private.Public().(ed25519.PublicKey), body, signature) {
		return errors.New("signed by another key")
	}
	return nil
}

func config(dir string, servers ...string) Config {
	return Config{Node: "n1", Cluster: "c1", Site: "s1", VerifyPlan: verifyPlan, DataDir: dir, Servers: servers, Plaintext: true, SelfPath: os.Args[0],
		Heartbeat: 50 * time.Millisecond, SampleEvery: 50 * time.Millisecond, ReportEvery: 300 * time.Millisecond, PollMiners: 50 * time.Millisecond,
		Drivers: []device.Driver{sim.New(sim.Config{Name: "n1", Models: []sim.Model{{Name: "RTX 3080", Kind: workload.GPU, Memory: 10 << 30, Idle: 22, Count: 4}}})}}
}

// leader is a server of the wire contract that does as the test says.
type leader struct {
	pb.UnimplementedAgentServiceServer
	t        testing.TB
	address  string
	redirect string
	mute     bool // acknowledges no heartbeat

	mu      sync.Mutex
	hellos  []*pb.Hello
	reports []reconcile.Report // taken, once each
	repeats int
	last    uint64
	ignore  bool // takes no reports of the first session
	first   pb.AgentService_SessionServer
	samples map[string]*pb.Sample
	devices map[string]*pb.Device
	drivers []*pb.DriverStatus
	logs    []*pb.LogChunk
	stream  pb.AgentService_SessionServer
	serial  uint64
	ackWall int64
}

func newLeader(t testing.TB) *leader {
	t.Helper()
	l := &leader{t: t, samples: map[string]*pb.Sample{}, devices: map[string]*pb.Device{}}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.address = lis.Addr().String()
	s := grpc.NewServer()
	pb.RegisterAgentServiceServer(s, l)
	go s.Serve(lis)
	t.Cleanup(s.Stop)
	return l
}

func (l *leader) Session(stream pb.AgentService_SessionServer) error {
	if l.redirect != "" {
		return stream.Send(&pb.ServerMessage{Body: &pb.ServerMessage_Redirect{Redirect: &pb.Redirect{Leader: l.redirect}}})
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		l.take(stream, m)
	}
}

func (l *leader) take(stream pb.AgentService_SessionServer, m *pb.AgentMessage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case m.GetHello() != nil:
		l.stream = stream
		if l.first == nil {
			l.first = stream
		}
		l.hellos = append(l.hellos, m.GetHello())
		for _, d := range m.GetHello().Devices {
			l.devices[d.Id] = d
		}
		l.drivers = m.GetHello().Drivers
		stream.Send(&pb.ServerMessage{Body: &pb.ServerMessage_Welcome{Welcome: &pb.Welcome{Server: "a", MarketMs: 1_000_000, MarketSpeed: 1, LastSeq: l.last}}})
	case m.GetHeartbeat() != nil && !l.mute:
		stream.Send(&pb.ServerMessage{Body: &pb.ServerMessage_Heartbeat{Heartbeat: &pb.HeartbeatAck{Seq: m.GetHeartbeat().Seq, WallMs: time.Now().UnixMilli()}}})
	case m.GetEvent() != nil && !(l.ignore && stream == l.first):
		r := wire.ReportFromProto(m.GetEvent())
		if r.Seq <= l.last {
			l.repeats++
		} else {
			l.last = r.Seq
			l.reports = append(l.reports, r)
		}
		stream.Send(&pb.ServerMessage{Body: &pb.ServerMessage_Event{Event: &pb.EventAck{Seq: l.last}}})
	case m.GetReport() != nil:
		for _, s := range m.GetReport().Samples {
			l.samples[s.Device] = s
		}
		for _, d := range m.GetReport().Devices {
			l.devices[d.Id] = d
		}
		if list := m.GetReport().Drivers; list != nil {
			l.drivers = list
		}
	case m.GetLog() != nil:
		l.logs = append(l.logs, m.GetLog())
	}
}

// send gives the node a plan, signed by key.
func (l *leader) send(key ed25519.PrivateKey, edit func(*workload.NodePlan), as ...workload.Assignment) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serial++
	p := workload.NodePlan{Cluster: "c1", Node: "n1", Serial: l.serial, ExpiresAt: workload.Instant(time.Now().Add(time.Hour).UnixMilli()), Assignments: as}
	if edit != nil {
		edit(&p)
	}
	body, err := json.Marshal(p)
	if err == nil {
		signed := &pb.SignedPlan{Body: body, Signature: ed25519.Sign(key, body)}
		err = l.stream.Send(&pb.ServerMessage{Body: &pb.ServerMessage_Plan{Plan: signed}})
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// told reports whether a report has been taken, and returns it.
func (l *leader) told(kind string, device workload.DeviceID, epoch workload.Epoch) (reconcile.Report, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range slices.Backward(l.reports) {
		if r.Kind == kind && r.Device == device && r.Epoch == epoch {
			return r, true
		}
	}
	return reconcile.Report{}, false
}

func (l *leader) await(kind string, device workload.DeviceID, epoch workload.Epoch) reconcile.Report {
	l.t.Helper()
	var r reconcile.Report
	until(l.t, fmt.Sprintf("%s of %s under epoch %d is reported", kind, device, epoch), func() bool {
		var ok bool
		r, ok = l.told(kind, device, epoch)
		return ok
	})
	return r
}

func (l *leader) connected(n int) {
	l.t.Helper()
	until(l.t, "the agent says hello", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.hellos) >= n })
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long until %s", what)
		}
		time.Sleep(3 * time.Millisecond)
	}
}

// run starts an agent in this process; its workloads end with the test.
func run(t *testing.T, c Config) *Agent {
	t.Helper()
	c.StopWorkloadsOnExit = true
	if testing.Verbose() {
		c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("agent: %v", err)
		}
		a.Close()
	})
	return a
}

func minerOf(slot int, epoch workload.Epoch) workload.Assignment {
	return workload.Assignment{Device: workload.NewDeviceID("n1", slot), Epoch: epoch, Use: workload.Use{Kind: workload.Mining, Option: "KAS"}, Lease: time.Hour, StopGrace: 2 * time.Second,
		Mine: &workload.MineOrder{Coin: "KAS", Algorithm: "k", Pool: "p", Endpoints: []string{"127.0.0.1:1"}, Miner: "fake", Command: []string{"sluice", "miner", "{api.port}"}, Hashrate: 46_000_000, Watts: 279}}
}

func jobOf(job workload.JobID, epoch workload.Epoch, script string, slots ...int) []workload.Assignment {
	var devices []workload.DeviceID
	for _, s := range slots {
		devices = append(devices, workload.NewDeviceID("n1", s))
	}
	var as []workload.Assignment
	for i, d := range devices {
		as = append(as, workload.Assignment{Device: d, Epoch: epoch, Use: workload.Use{Kind: workload.Training, Job: job, Rank: i}, Lease: time.Minute, StopGrace: 5 * time.Second,
			Train: &workload.TrainOrder{Job: job, Attempt: 1, Rank: i, World: len(devices), Devices: devices, Master: "127.0.0.1", Watts: 300,
				Spec: workload.Spec{Name: "j", Run: workload.Run{Command: []string{"sh", "-c", script}}, Checkpoint: workload.Checkpoint{Signal: "SIGUSR1"}}}})
	}
	return as
}

func TestMinerRunsIsMeasuredAndGivesWay(t *testing.T) {
	l := newLeader(t)
	run(t, config(t.TempDir(), l.address))
	l.connected(1)
	hello := l.hellos[0]
	if len(hello.Devices) != 4 || !hello.Sim || hello.Devices[0].Id != "n1/0" || hello.Instance == "" || hello.BootId == "" {
		t.Errorf("hello %v", hello)
	}
	l.send(private, nil, minerOf(0, 5))
	started := l.await("started", "n1/0", 5)
	if started.PID == 0 || started.StartTicks == 0 {
		t.Errorf("started %+v", started)
	}
	until(t, "the miner's own figures arrive", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		s := l.samples["n1/0"]
		return s != nil && s.Accepted == 7 && s.Rejected == 2 && s.ProcessHashrate == 1_234_500 && s.Sim && s.Hashrate > 45_000_000 && s.Hashrate <= 46_000_000 && s.Watts > 270
	})
	held := jobOf(3, 9, `echo "rank $RANK of $WORLD_SIZE on $CUDA_VISIBLE_DEVICES"; exit 5`, 0, 1)
	for i := range held {
		held[i].Hold = true
	}
	l.send(private, nil, held...)
	l.await("stopped", "n1/0", 5)
	l.await("freed", "n1/0", 9)
	l.await("freed", "n1/1", 9)
	if (shim.Process{PID: int(started.PID), StartTicks: started.StartTicks}).Alive() {
		t.Error("the device is called free while its miner lives")
	}
	for i := range held {
		held[i].Hold = false
	}
	l.send(private, nil, held...)
	exited := l.await("exited", "n1/1", 9)
	if exited.ExitCode != 5 || exited.Cause != "self" || exited.Job != 3 || exited.Attempt != 1 {
		t.Errorf("exited %+v", exited)
	}
	l.stream.Send(&pb.ServerMessage{Body: &pb.ServerMessage_Log{Log: &pb.LogRequest{Id: 1, Job: 3, Follow: true}}})
	l.awaitLog(1, "rank 0 of 1 on sim-n1-000,sim-n1-001\n")
}

func (l *leader) awaitLog(id uint64, want string) {
	l.t.Helper()
	var got string
	until(l.t, fmt.Sprintf("log %d ends", id), func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		got = ""
		for _, c := range l.logs {
			if c.Id == id {
				got += string(c.Data)
				if c.End {
					return true
				}
			}
		}
		return false
	})
	if got != want {
		l.t.Errorf("log %d is %q, want %q", id, got, want)
	}
}

func TestLogIsFollowed(t *testing.T) {
	l := newLeader(t)
	run(t, config(t.TempDir(), l.address))
	l.connected(1)
	gate := filepath.Join(t.TempDir(), "gate")
	l.send(private, nil, jobOf(3, 9, "echo one; while [ ! -f "+gate+" ]; do sleep 0.01; done; echo two", 0)...)
	l.await("started", "n1/0", 9)
	l.stream.Send(&pb.ServerMessage{Body: &pb.ServerMessage_Log{Log: &pb.LogRequest{Id: 7, Job: 3, Offset: 2, Follow: true}}})
	until(t, "the beginning arrives", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.logs) > 0 })
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l.awaitLog(7, "e\ntwo\n")
	l.stream.Send(&pb.ServerMessage{Body: &pb.ServerMessage_Log{Log: &pb.LogRequest{Id: 8, Job: 99}}})
	l.awaitLog(8, "")
}

func TestOnlyTheClustersPlansAreObeyed(t *testing.T) {
	l := newLeader(t)
	run(t, config(t.TempDir(), l.address))
	l.connected(1)
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	// Were one of them obeyed, its epoch would be persisted and the last refused.
	l.send(other, nil, minerOf(0, 50))
	l.send(private, func(p *workload.NodePlan) { p.Node = "n2" }, minerOf(0, 50))
	l.send(private, func(p *workload.NodePlan) { p.Cluster = "c2" }, minerOf(0, 50))
	l.send(private, func(p *workload.NodePlan) { p.ExpiresAt = 1 }, minerOf(0, 50))
	l.send(private, nil, minerOf(0, 6))
	l.await("started", "n1/0", 6)
}

func TestRedirectIsFollowed(t *testing.T) {
	l := newLeader(t)
	follower := newLeader(t)
	follower.redirect = l.address
	run(t, config(t.TempDir(), follower.address))
	l.connected(1)
}

func TestReportsAreTakenExactlyOnce(t *testing.T) {
	l := newLeader(t)
	l.ignore = true
	dir := t.TempDir()
	c := config(dir, l.address)
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	l.connected(1)
	l.send(private, nil, jobOf(3, 9, "exit 4", 0)...)
	until(t, "the end is in the journal", func() bool {
		data, _ := os.ReadFile(filepath.Join(dir, stateFile))
		rec, err := decodeRecord(data)
		return err == nil && len(rec.Journal) == 2
	})
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	a.Close()
	run(t, c)
	if r := l.await("exited", "n1/0", 9); r.ExitCode != 4 || r.Seq != 2 {
		t.Errorf("%+v", r)
	}
	// Each further hello makes the agent consider what it still has to tell.
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.reports) != 2 || l.reports[0].Kind != "started" {
		t.Errorf("taken %+v", l.reports)
	}
}

func TestLostStateFileDoesNotRepeatNumbers(t *testing.T) {
	l := newLeader(t)
	l.last = 100
	run(t, config(t.TempDir(), l.address))
	l.connected(1)
	l.send(private, nil, minerOf(0, 5))
	if r := l.await("started", "n1/0", 5); r.Seq != 101 {
		t.Errorf("%+v: the leader would take it for a repeat", r)
	}
}

// A state file that is older than what was sent by one report: the first report
// of the next process must not bear the number that the leader has seen.
func TestOlderStateFileDoesNotRepeatNumbers(t *testing.T) {
	a, err := New(config(t.TempDir(), ""))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	a.loaded, a.state.Seq = 5, 6
	a.record.Journal = []reconcile.Report{{Seq: 5}, {Seq: 6, Kind: "exited"}}
	a.renumber(6)
	a.drop(6)
	if j := a.record.Journal; len(j) != 1 || j[0].Seq != 7 || j[0].Kind != "exited" || a.state.Seq != 7 {
		t.Errorf("%+v, newest %d", j, a.state.Seq)
	}
	a.renumber(6) // of the same process: the leader knows what it was sent
	if j := a.record.Journal; j[0].Seq != 7 {
		t.Errorf("%+v", j)
	}
}

// agentProcess runs a whole agent as a process of its own.
func agentProcess(t *testing.T, dir, server string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "agent", dir, server)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

func TestC1KilledAgentFindsItsWorkloadsAgain(t *testing.T) {
	l := newLeader(t)
	dir := t.TempDir()
	first := agentProcess(t, dir, l.address)
	l.connected(1)
	job := jobOf(3, 9, "trap 'echo saved; exit 0' USR1; while :; do sleep 0.01; done", 1)
	l.send(private, nil, append(job, minerOf(0, 5))...)
	miner, work := l.await("started", "n1/0", 5), l.await("started", "n1/1", 9)
	first.Process.Kill()
	first.Wait()
	run(t, config(dir, l.address))
	l.connected(2)
	running := map[string]*pb.Running{}
	l.mu.Lock()
	for _, r := range l.hellos[1].Running {
		running[r.Devices[0]] = r
	}
	l.mu.Unlock()
	if r := running["n1/0"]; r == nil || r.Pid != miner.PID || r.StartTicks != miner.StartTicks || r.Epoch != 5 || r.Kind != "mining" {
		t.Errorf("miner %v, started as %+v", r, miner)
	}
	if r := running["n1/1"]; r == nil || r.Pid != work.PID || r.StartTicks != work.StartTicks || r.Job != 3 || r.Attempt != 1 {
		t.Errorf("job %v, started as %+v", r, work)
	}
	// The new agent has them in hand: it stops the one and keeps the other,
	// whose API it can still read.
	l.send(private, nil, minerOf(0, 5), workload.Assignment{Device: "n1/1", Epoch: 11, Use: workload.Use{Kind: workload.Parked}})
	if r := l.await("stopped", "n1/1", 9); r.ExitCode != 0 || r.Cause != "order" {
		t.Errorf("stopped %+v", r)
	}
	l.await("freed", "n1/1", 11)
	until(t, "the adopted miner is measured", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.samples["n1/0"].GetAccepted() == 7
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, r := range l.reports {
		if r.Kind == "started" {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d starts are reported, want 2: %+v", n, l.reports)
	}
}

func TestC12JobEndsByLeaseWhenNoLeaderIsHeard(t *testing.T) {
	l := newLeader(t)
	c := config(t.TempDir(), l.address)
	run(t, c)
	l.connected(1)
	l.mu.Lock()
	l.mute = true
	l.mu.Unlock()
	job := jobOf(3, 9, "trap 'echo saved; exit 0' USR1; while :; do sleep 0.01; done", 0)
	job[0].Lease = 1500 * time.Millisecond
	l.send(private, nil, job...)
	r := l.await("stopped", "n1/0", 9)
	if r.Cause != "lease" || r.ExitCode != 0 {
		t.Errorf("%+v", r)
	}
}

func TestHeartbeatsKeepAJobBeyondItsLease(t *testing.T) {
	l := newLeader(t)
	run(t, config(t.TempDir(), l.address))
	l.connected(1)
	gate := filepath.Join(t.TempDir(), "gate")
	job := jobOf(3, 9, "while [ ! -f "+gate+" ]; do sleep 0.01; done", 0)
	job[0].Lease = 1500 * time.Millisecond
	began := time.Now()
	l.send(private, nil, job...)
	started := l.await("started", "n1/0", 9)
	p := shim.Process{PID: int(started.PID), StartTicks: started.StartTicks}
	until(t, "two leases have passed", func() bool {
		if !p.Alive() {
			t.Fatalf("ended %v after it was granted, with a leader that answers", time.Since(began))
		}
		return time.Since(began) > 3*time.Second
	})
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := l.await("exited", "n1/0", 9); r.Cause != "self" {
		t.Errorf("%+v", r)
	}
}

func TestC11SecondAgentOnTheSameDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	a, err := New(config(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := New(config(dir)); workload.KindOf(err) != workload.Conflict {
		t.Errorf("a second agent: %v, want conflict", err)
	}
}

func TestAgentLeavesWorkloadsByDefault(t *testing.T) {
	l := newLeader(t)
	dir := t.TempDir()
	a, err := New(config(dir, l.address))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	l.connected(1)
	l.send(private, nil, minerOf(0, 5))
	started := l.await("started", "n1/0", 5)
	cancel()
	<-done
	a.Close()
	p := shim.Process{PID: int(started.PID), StartTicks: started.StartTicks}
	if !p.Alive() {
		t.Error("the workload ended with the agent")
	}
	run(t, config(dir, l.address)) // takes it over, and ends it with the test
	l.connected(2)
}

func TestDriverTroubleIsSaidOnce(t *testing.T) {
	var log strings.Builder
	c := config(t.TempDir())
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	c.Drivers = []device.Driver{brokenDriver{}}
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for range 3 {
		a.discover(t.Context())
	}
	if n := strings.Count(log.String(), "no driver on this node"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log.String())
	}
}

type brokenDriver struct{ device.Driver }

func (brokenDriver) Name() string { return "broken" }
func (brokenDriver) Discover(context.Context) ([]workload.Device, error) {
	return nil, workload.Errorf(workload.Unavailable, "no driver on this node")
}
func (brokenDriver) Close() error { return nil }

func TestC9FullDiskStopsNothingAndStartsNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small file system")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	l := newLeader(t)
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	run(t, config(dir, l.address))
	l.connected(1)
	l.send(private, nil, minerOf(0, 5))
	started := l.await("started", "n1/0", 5)
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 4<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	l.send(private, nil, minerOf(0, 5), minerOf(1, 6))
	failed := l.await("start_failed", "n1/1", 6)
	if !(shim.Process{PID: int(started.PID), StartTicks: started.StartTicks}).Alive() {
		t.Error("a full disk ends what runs")
	}
	if !strings.Contains(failed.Note, "state cannot be written") {
		t.Errorf("%+v: its epoch is not on disk, yet the start was tried", failed)
	}
	os.Remove(filler)
	l.await("started", "n1/1", 6)
}
