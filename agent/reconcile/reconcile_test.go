package reconcile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/workload"
)

const node = workload.NodeID("n1")

// clock starts well after zero, so that nothing passes by being zero.
func clock() Now {
	return Now{Wall: 1_000_000, Boot: time.Hour, Market: 5_000_000, Speed: 1}
}

func mine(slot int, epoch workload.Epoch) workload.Assignment {
	return workload.Assignment{Device: workload.NewDeviceID(node, slot), Epoch: epoch, Use: workload.Use{Kind: workload.Mining, Option: "KAS"},
		Lease: 24 * time.Hour, StopGrace: 5 * time.Second, Mine: &workload.MineOrder{Coin: "KAS", Algorithm: "kheavyhash", Command: []string{"m"}}}
}

func train(job workload.JobID, attempt int, epoch workload.Epoch, slots ...int) []workload.Assignment {
	order := workload.TrainOrder{Job: job, Attempt: attempt, World: len(slots), Spec: workload.Spec{Checkpoint: workload.Checkpoint{Signal: "SIGUSR1"}}}
	for _, s := range slots {
		order.Devices = append(order.Devices, workload.NewDeviceID(node, s))
	}
	var as []workload.Assignment
	for i, s := range slots {
		o := order
		o.Rank = i
		as = append(as, workload.Assignment{Device: workload.NewDeviceID(node, s), Epoch: epoch, Use: workload.Use{Kind: workload.Training, Job: job, Rank: i},
			Lease: 15 * time.Minute, StopGrace: 30 * time.Second, Train: &o})
	}
	return as
}

func parked(slot int, epoch workload.Epoch) workload.Assignment {
	return workload.Assignment{Device: workload.NewDeviceID(node, slot), Epoch: epoch, Use: workload.Use{Kind: workload.Parked}}
}

func plan(serial uint64, as ...workload.Assignment) *workload.NodePlan {
	return &workload.NodePlan{Node: node, Serial: serial, ExpiresAt: 2_000_000, Assignments: as}
}

// tell renders effects as one line each, so that a story reads as one.
func tell(effects []Effect) string {
	var b strings.Builder
	for _, e := range effects {
		switch e := e.(type) {
		case Persist:
			fmt.Fprintf(&b, "persist")
		case Start:
			fmt.Fprintf(&b, "start %s %v epochs %v until %v", e.Run.ID, e.Run.Devices, e.Run.Epochs, e.Run.Deadline)
		case Stop:
			fmt.Fprintf(&b, "stop %s %s %v: %s", e.Run, e.Signal, e.Grace, e.Why)
		case Extend:
			fmt.Fprintf(&b, "extend %s until %v epoch %d", e.Run, e.Deadline, e.Epoch)
			if e.Exact {
				b.WriteString(" exactly")
			}
		case Adopt:
			fmt.Fprintf(&b, "adopt %s epochs %v", e.Run.ID, e.Run.Epochs)
		case Emit:
			fmt.Fprintf(&b, "%d %s %s epoch %d", e.Report.Seq, e.Report.Kind, e.Report.Device, e.Report.Epoch)
			if e.Report.Cause != "" {
				fmt.Fprintf(&b, " by %s code %d", e.Report.Cause, e.Report.ExitCode)
			}
		}
		b.WriteByte('\n')
	}
	return strings.TrimSpace(b.String())
}

// story checks one step after another.
type story struct {
	t   *testing.T
	s   State
	now Now
}

func begin(t *testing.T) *story {
	st := &story{t: t, s: New(node, Durable{}, nil), now: clock()}
	st.then("persist", Restarted{Boot: "b1"})
	return st
}

func (st *story) then(want string, events ...Event) {
	st.t.Helper()
	var got []Effect
	for _, e := range events {
		var effects []Effect
		st.s, effects = Step(st.s, e, st.now)
		got = append(got, effects...)
	}
	var lines []string
	for line := range strings.Lines(want) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if want = strings.Join(lines, "\n"); tell(got) != want {
		st.t.Errorf("effects\n%s\nwant\n%s", tell(got), want)
	}
}

func (st *story) plan(p *workload.NodePlan) PlanReceived {
	return PlanReceived{Plan: p, Heard: st.now.Boot}
}

func TestMiningGivesWayToAGang(t *testing.T) {
	st := begin(t)
	st.then(`persist
		start m0-e5-s1 [n1/0] epochs [5] until 1h16m40s
		start m1-e5-s2 [n1/1] epochs [5] until 1h16m40s`, st.plan(plan(5, mine(0, 5), mine(1, 5))))
	st.then(`1 started n1/0 epoch 5
		persist
		2 started n1/1 epoch 5
		persist`, Started{Run: "m0-e5-s1", PID: 10}, Started{Run: "m1-e5-s2", PID: 11})
	held := train(7, 1, 9, 0, 1)
	held[0].Hold, held[1].Hold = true, true
	st.then(`stop m0-e5-s1 SIGTERM 5s: n1/0 shall be training job 7
		stop m1-e5-s2 SIGTERM 5s: n1/1 shall be training job 7
		persist`, st.plan(plan(9, held...)))
	st.then(`3 stopped n1/0 epoch 5 by order code 143
		4 freed n1/0 epoch 9
		persist`, Exited{Run: "m0-e5-s1", Code: 143, Cause: "order"})
	// The gang is released while one device is still being freed.
	st.then(`persist`, st.plan(plan(10, train(7, 1, 9, 0, 1)...)))
	st.then(`5 stopped n1/1 epoch 5 by order code 137
		persist
		start j7-a1-s3 [n1/0 n1/1] epochs [9 9] until 1h15m0s`, Exited{Run: "m1-e5-s2", Code: 137, Cause: "order"})
	st.then(`6 started n1/0 epoch 9
		7 started n1/1 epoch 9
		persist`, Started{Run: "j7-a1-s3", PID: 12})
	st.then(`8 exited n1/0 epoch 9 by self code 0
		9 exited n1/1 epoch 9 by self code 0
		persist`, Exited{Run: "j7-a1-s3", Cause: "self"})
	// The leader has not read the end yet: the job must not begin again.
	st.then(`persist`, st.plan(plan(10, train(7, 1, 9, 0, 1)...)))
}

func TestEqualMiningIsKeptUnderANewerEpoch(t *testing.T) {
	st := begin(t)
	st.then("persist\nstart m0-e5-s1 [n1/0] epochs [5] until 1h16m40s", st.plan(plan(5, mine(0, 5))))
	st.then("1 started n1/0 epoch 5\npersist", Started{Run: "m0-e5-s1", PID: 10})
	newer := mine(0, 8)
	newer.Mine.Hashrate = 99 // an expectation, not a difference
	st.then(`2 started n1/0 epoch 8
		persist
		adopt m0-e5-s1 epochs [8]
		extend m0-e5-s1 until 1h16m40s epoch 8`, st.plan(plan(8, newer)))
	other := mine(0, 9)
	other.Mine.Wallet = "another"
	st.then("stop m0-e5-s1 SIGTERM 5s: n1/0 shall be mining KAS\npersist", st.plan(plan(9, other)))
}

func TestC13OldOrdersAreRefused(t *testing.T) {
	st := begin(t)
	st.then("persist\nstart m0-e5-s1 [n1/0] epochs [5] until 1h16m40s", st.plan(plan(5, mine(0, 5))))
	// A lower serial is not even looked at.
	st.then("", st.plan(plan(4, parked(0, 9))))
	// A lower epoch in a newer plan is refused once, and what runs is left.
	st.then("1 refused n1/0 epoch 4\npersist", st.plan(plan(6, parked(0, 4))))
	st.then("", Tick{})
	expired := plan(7, parked(0, 9))
	expired.ExpiresAt = st.now.Wall
	st.then("", st.plan(expired))
	foreign := plan(7, parked(0, 9))
	foreign.Node = "n2"
	st.then("", st.plan(foreign))
}

func TestExpiryStopsMiningAndLeavesTraining(t *testing.T) {
	st := begin(t)
	as := append(train(7, 1, 5, 1), mine(0, 5))
	st.then(`persist
		start m0-e5-s1 [n1/0] epochs [5] until 1h16m40s
		start j7-a1-s2 [n1/1] epochs [5] until 1h15m0s`, st.plan(plan(5, as...)))
	st.then("1 started n1/0 epoch 5\npersist\n2 started n1/1 epoch 5\npersist", Started{Run: "m0-e5-s1"}, Started{Run: "j7-a1-s2"})
	st.now.Wall, st.now.Boot = 2_000_000, st.now.Boot+time.Minute
	st.then("stop m0-e5-s1 SIGTERM 5s: the plan has expired", Tick{})
	// Nor does an acknowledgement extend a grant that has run out.
	st.then("", HeartbeatAcked{SentAt: st.now.Boot})
}

func TestI10MiningStopsBeforeABanWithoutALeader(t *testing.T) {
	st := begin(t)
	p := plan(5, mine(0, 5))
	p.Bans = []workload.Window{{From: 5_060_000, Until: 5_120_000, Name: "winter"}}
	st.now.Speed = 2
	// Its lease ends in time for the window, so that its shim stops it though the
	// agent is gone by then.
	st.then("persist\nstart m0-e5-s1 [n1/0] epochs [5] until 1h0m25s", st.plan(p))
	st.then("1 started n1/0 epoch 5\npersist", Started{Run: "m0-e5-s1"})
	st.now.Market, st.now.Boot = 5_049_998, st.now.Boot+25*time.Second-time.Millisecond
	st.then("", Tick{})
	st.now.Market = 5_050_000 // 5 s of grace at twice the speed before the window
	st.then("stop m0-e5-s1 SIGTERM 5s: a ban window is open", Tick{})
	st.then("2 stopped n1/0 epoch 5 by order code 143\npersist", Exited{Run: "m0-e5-s1", Code: 143, Cause: "order"})
	st.now.Market = 5_119_999
	st.then("", Tick{})
	st.now.Market = 5_120_000
	st.then("persist\nstart m0-e5-s2 [n1/0] epochs [5] until 1h17m4.999s", Tick{})
	st.now.Market = 0
	st.then("stop m0-e5-s2 SIGTERM 5s: a ban window is open", Tick{})
}

// The leader's word on the market clock may have lain about: the window may open
// as much earlier.
func TestBanAllowsForALateClock(t *testing.T) {
	st := begin(t)
	p := plan(5, mine(0, 5))
	p.Bans = []workload.Window{{From: 5_060_000, Until: 5_120_000, Name: "winter"}}
	st.now.Speed, st.now.Late = 1, 20_000
	st.then("persist\nstart m0-e5-s1 [n1/0] epochs [5] until 1h0m35s", st.plan(p))
	st.then("1 started n1/0 epoch 5\npersist", Started{Run: "m0-e5-s1"})
	st.now.Market, st.now.Boot = 5_034_999, st.now.Boot+34_999*time.Millisecond
	st.then("", Tick{})
	st.now.Market++
	st.then("stop m0-e5-s1 SIGTERM 5s: a ban window is open", Tick{})
}

// A ban that nobody knew of when a lease was given cuts it short.
func TestABanCutsALeaseShort(t *testing.T) {
	st := begin(t)
	st.now.Speed = 1
	st.then("persist\nstart m0-e5-s1 [n1/0] epochs [5] until 1h16m40s", st.plan(plan(5, mine(0, 5))))
	st.then("1 started n1/0 epoch 5\npersist", Started{Run: "m0-e5-s1"})
	p := plan(6, mine(0, 5))
	p.Bans = []workload.Window{{From: st.now.Market + 600_000, Until: st.now.Market + 700_000, Name: "new"}}
	st.then("persist\nextend m0-e5-s1 until 1h9m55s epoch 5 exactly", st.plan(p))
	p = plan(7, mine(0, 5))
	st.then("persist\nextend m0-e5-s1 until 1h16m40s epoch 5", st.plan(p))
}

func TestFailingMinerBacksOff(t *testing.T) {
	st := begin(t)
	st.then("persist\nstart m0-e5-s1 [n1/0] epochs [5] until 1h16m40s", st.plan(plan(5, mine(0, 5))))
	st.then("1 start_failed n1/0 epoch 5\npersist", StartFailed{Run: "m0-e5-s1"})
	st.now.Boot += 999 * time.Millisecond
	st.then("", Tick{})
	st.now.Boot += time.Millisecond
	st.then("persist\nstart m0-e5-s2 [n1/0] epochs [5] until 1h16m41s", Tick{})
	st.then("2 started n1/0 epoch 5\npersist\n3 exited n1/0 epoch 5 by self code 1\npersist", Started{Run: "m0-e5-s2"}, Exited{Run: "m0-e5-s2", Code: 1, Cause: "self"})
	st.now.Boot += 1999 * time.Millisecond
	st.then("", Tick{})
	st.now.Boot += time.Millisecond
	st.then("persist\nstart m0-e5-s3 [n1/0] epochs [5] until 1h16m43s", Tick{})
}

func TestFailedTrainingStartEndsTheAttempt(t *testing.T) {
	st := begin(t)
	st.then("persist\nstart j7-a1-s1 [n1/0] epochs [5] until 1h15m0s", st.plan(plan(5, train(7, 1, 5, 0)...)))
	st.then("1 start_failed n1/0 epoch 5\npersist", StartFailed{Run: "j7-a1-s1"})
	st.now.Boot += time.Hour
	st.then("", Tick{})
	st.then("persist\nstart j7-a2-s2 [n1/0] epochs [6] until 2h15m0s", st.plan(plan(6, train(7, 2, 6, 0)...)))
}

func TestLeaseCountsFromTheHeartbeatThatWasSent(t *testing.T) {
	st := begin(t)
	st.then("persist\nstart j7-a1-s1 [n1/0] epochs [5] until 1h15m0s", st.plan(plan(5, train(7, 1, 5, 0)...)))
	st.then("1 started n1/0 epoch 5\npersist", Started{Run: "j7-a1-s1"})
	st.now.Boot += 10 * time.Minute
	st.then("extend j7-a1-s1 until 1h16m0s epoch 5", HeartbeatAcked{SentAt: time.Hour + time.Minute})
	// A move below a twentieth of the lease is left for later.
	st.then("", HeartbeatAcked{SentAt: time.Hour + time.Minute + 44*time.Second})
	// An acknowledgement that comes late extends nothing backwards.
	st.then("", HeartbeatAcked{SentAt: time.Hour})
}

func TestRestartKeepsWhatRunsAndTellsOnce(t *testing.T) {
	st := begin(t)
	st.then("persist\nstart j7-a1-s1 [n1/0] epochs [5] until 1h15m0s", st.plan(plan(5, train(7, 1, 5, 0)...)))
	run := st.s.Runs["j7-a1-s1"]
	// Died before the start was reported.
	st.s = New(node, st.s.Durable, st.s.Plan)
	st.then("1 started n1/0 epoch 5\npersist", Restarted{Boot: "b1", Live: []Run{run}})
	st.s = New(node, st.s.Durable, st.s.Plan)
	st.then("", Restarted{Boot: "b1", Live: []Run{run}})
	// Ended while the agent was down, and reported; died again before release.
	end := RunEnd{Run: run, Exit: Exited{Run: run.ID, Code: 3, Cause: "self"}}
	st.s = New(node, st.s.Durable, st.s.Plan)
	st.then("2 exited n1/0 epoch 5 by self code 3\npersist", Restarted{Boot: "b1", Ended: []RunEnd{end}})
	st.s = New(node, st.s.Durable, st.s.Plan)
	st.then("", Restarted{Boot: "b1", Ended: []RunEnd{end}})
	st.then("persist", st.plan(plan(5, train(7, 1, 5, 0)...)))
}

func TestC3RebootMinesAloneAndNeverTrainsAlone(t *testing.T) {
	st := begin(t)
	as := append(train(7, 1, 5, 1), mine(0, 5))
	st.then("persist\nstart m0-e5-s1 [n1/0] epochs [5] until 1h16m40s\nstart j7-a1-s2 [n1/1] epochs [5] until 1h15m0s", st.plan(plan(5, as...)))
	training := st.s.Runs["j7-a1-s2"]
	st.s = New(node, st.s.Durable, st.s.Plan)
	st.now.Boot = time.Minute
	st.then(`1 exited n1/1 epoch 5 by reboot code 137
		persist
		start m0-e5-s3 [n1/0] epochs [5] until 17m40s`,
		Restarted{Boot: "b2", Ended: []RunEnd{{Run: training, Exit: Exited{Run: training.ID, Code: 137, Cause: "reboot"}}}})
	// Not even a new attempt under the old plan; the leader must have sent one.
	st.s = New(node, st.s.Durable, plan(6, train(7, 2, 6, 1)...))
	st.then("", Restarted{Boot: "b2"})
	st.then("persist\nstart j7-a2-s4 [n1/1] epochs [6] until 16m0s", st.plan(plan(6, train(7, 2, 6, 1)...)))
}

func TestDeviceOutsideThePlanIsStopped(t *testing.T) {
	st := begin(t)
	st.then("persist\nstart m0-e5-s1 [n1/0] epochs [5] until 1h16m40s", st.plan(plan(5, mine(0, 5))))
	st.then("stop m0-e5-s1 SIGTERM 5s: n1/0 is not in the plan\npersist", st.plan(plan(6)))
	// Its start had been under way: what comes of it is told as an end.
	st.then("1 stopped n1/0 epoch 5 by order code 0\npersist", StartFailed{Run: "m0-e5-s1"})
}
