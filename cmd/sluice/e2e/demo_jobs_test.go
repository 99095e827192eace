package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

type job struct {
	ID, Name, Phase string
	Reason          struct{ Code, Text string }
	Width           int64
	ExitCode        int `json:"exit_code"`
	Attempts        []struct {
		Number   int
		Phase    string
		Devices  []string
		ExitCode int `json:"exit_code"`
		Reason   struct{ Code, Text string }
	}
}

func (d *demo) job(id string) (j job) {
	d.h.t.Helper()
	var shown struct{ Job *job }
	var bare job
	out := d.must("", "job", "show", id, "-o", "json")
	unmarshal(d.h.t, out, &shown)
	if shown.Job != nil {
		return *shown.Job
	}
	unmarshal(d.h.t, out, &bare)
	return bare
}

// oneGPU is a one-device training job with a bid in USD/GPU-h.
func oneGPU(name, bid string, steps int) string {
	return gangJob(name, bid, 1, steps)
}

func gangJob(name, bid string, gpus, steps int) string {
	return fmt.Sprintf("kind: Job\nname: %s\ntenant: research\ngang: {gpus: %d}\nrun: {command: [sluice, practice, train, --steps, \"%d\"]}\n"+
		"checkpoint: {signal: SIGTERM, grace: 10s, every: 10s, dir: \"checkpoints/{job}\"}\nvalue: {bid: %s USD/GPU-h}\n", name, gpus, steps, bid)
}

// examples is the tree a newcomer has beside the binary.
func examplesDir(t testing.TB) string {
	dir, err := filepath.Abs("../../../deploy/examples")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func tariff(price string) string {
	return "kind: Tariff\nname: demo-hourly\ncurrency: USD\nbands: [{price: " + price + " USD/kWh}]\n"
}

var lossLine = regexp.MustCompile(`(?m)^step=\d+ loss=\d+\.\d+`)

// The example job moves devices from mining to training, shows its work, and
// its end is its exit code.
func TestDemoRunsTheExampleJob(t *testing.T) {
	t.Parallel() // it mostly waits
	d := startDemo(t)
	before := d.settled(t, 3, 17)
	id := d.must("", "job", "submit", filepath.Join(examplesDir(t), "jobs/train.yaml"))
	began := time.Now()
	var j job
	poll(t, 30*time.Second, "the example runs", func() (bool, string) {
		j = d.job(id)
		return len(j.Attempts) > 0 && j.Attempts[0].Phase == "running", fmt.Sprintf("%+v", j)
	})
	figure(t, "example job of 4 devices running %.2f s after it was submitted, of them mining before: 4", time.Since(began).Seconds())
	after := d.settled(t, 7, 13)
	if after.Devices.Mining != before.Devices.Mining-4 || after.MoneyPerHour.Revenue <= before.MoneyPerHour.Revenue {
		t.Errorf("before %+v, after %+v", before, after)
	}
	poll(t, 30*time.Second, "the log shows its loss", func() (bool, string) {
		log := d.must("", "job", "logs", id)
		return len(lossLine.FindAllString(log, -1)) >= 3, log
	})
	for _, g := range d.gpus() {
		if slices.Contains(j.Attempts[0].Devices, g.ID) && (g.Use != "training" || g.Job != id || g.Reason != "JOB") {
			t.Errorf("device %+v", g)
		}
	}
	if x := d.must("", "explain", "job", id); !strings.Contains(x, "Runs on 4 devices") {
		t.Errorf("explain job:\n%s", x)
	}
	// Cancelled: its devices mine again, and whoever waits is told.
	d.must("", "job", "cancel", id)
	if a := d.run("", "job", "wait", id); a.code == 0 {
		t.Errorf("waiting for a cancelled job: exit code 0, %s", a.out)
	}
	if got := d.job(id).Phase; got != "cancelled" {
		t.Errorf("phase %s", got)
	}
	d.settled(t, 3, 17)
	// Done: the job's own exit code.
	for script, want := range map[string]int{"exit 0": 0, "exit 23": 23} {
		doc := strings.ReplaceAll(gangJob("ends", "0.4", 1, 1), `[sluice, practice, train, --steps, "1"]`, `[sh, -c, "`+script+`"]`) + "limits: {attempts: 1}\n"
		id := d.must(doc, "job", "submit", "-")
		if a := d.run("", "job", "wait", id); a.code != want {
			t.Errorf("%s: job wait ends with %d: %s%s", script, a.code, a.out, a.err)
		}
	}
	if a := d.run("", "job", "wait", "99"); a.code != 3 {
		t.Errorf("waiting for no job: exit code %d", a.code)
	}
	d.stop(t)
	d.noneLeft()
}

// Raising the price of power parks what no longer pays, within seconds, and
// the plan told so before.
func TestDemoParksWhenPowerIsDear(t *testing.T) {
	t.Parallel() // it mostly waits
	d := startDemo(t)
	before := d.settled(t, 3, 17)
	d.write("dear.yaml", tariff("0.60"))
	var plan policyPlan
	poll(t, 20*time.Second, "the plan and the status at the same prices, with no job in its dwell", func() (bool, string) {
		plan, before = d.plan("dear.yaml"), d.status() // an hour of the market is 15 s
		return plan.Before == before.MoneyPerHour && plan.MovedDevices == 18, fmt.Sprintf("%+v, now %+v", plan, before.MoneyPerHour)
	})
	if plan.After.Net >= plan.Before.Net {
		t.Errorf("plan %+v, now %+v", plan, before.MoneyPerHour)
	}
	text := d.must("", "policy", "plan", "-f", "dear.yaml")
	for _, want := range []string{"4 devices mining BTC -> parked", "USD/h", "--check-index " + strconv.FormatInt(before.ConfigRevision, 10)} {
		if !strings.Contains(text, want) {
			t.Errorf("policy plan does not say %q:\n%s", want, text)
		}
	}
	if d.status().ConfigRevision != before.ConfigRevision {
		t.Error("policy plan changed the policy")
	}
	began := time.Now()
	d.must("", "policy", "apply", "-f", "dear.yaml", "--yes", "--check-index", strconv.FormatInt(before.ConfigRevision, 10))
	var s status
	poll(t, 20*time.Second, "the miners are parked", func() (bool, string) {
		s = d.status()
		return s.Devices.Parked == 18 && s.Devices.Other == 0, fmt.Sprintf("%+v", s.Devices)
	})
	figure(t, "17 miners and a job parked %.2f s after the price of power was raised", time.Since(began).Seconds())
	if s.MoneyPerHour != plan.After {
		t.Errorf("devices %+v earn %+v, the plan said %+v", s.Devices, s.MoneyPerHour, plan.After)
	}
	for _, g := range d.gpus() {
		if g.Use == "parked" && g.Reason != "UNPROFITABLE" {
			t.Errorf("device %+v", g)
		}
	}
	if x := d.must("", "explain", "gpu", "a01/0"); !strings.Contains(x, "0.6000 USD/kWh") || !strings.Contains(x, "Every use would cost more than parking") {
		t.Errorf("explain:\n%s", x)
	}
	if a := d.run("", "policy", "apply", "-f", "dear.yaml", "--yes", "--check-index", "1"); a.code != 4 {
		t.Errorf("a stale check index: exit code %d %s", a.code, a.err)
	}
	d.write("cheap.yaml", tariff("0.01"))
	d.must("", "policy", "apply", "-f", "cheap.yaml", "--yes")
	d.settled(t, 3, 17)
	d.stop(t)
	d.noneLeft()
}

type policyPlan struct {
	CheckIndex    int64 `json:"check_index"`
	Before, After money
	Cost          int64 `json:"cost_micro_per_hour"`
	PlanCost      int64 `json:"plan_cost_micro_per_hour"`
	MovedDevices  int64 `json:"moved_devices"`
	Moves         []struct {
		Devices         int64
		From, To, Model string
	}
	Targets []struct{ Name, Code string }
}

func (d *demo) plan(file string) (p policyPlan) {
	d.h.t.Helper()
	d.json(&p, "policy", "plan", "-f", file)
	return p
}

// A floor for AI starts jobs that do not pay, which the plan shows first with
// what they cost; without it they give way to mining again.
func TestDemoTargetChangesTheSplit(t *testing.T) {
	t.Parallel() // it mostly waits
	d := startDemo(t, "--no-jobs")
	d.write("steady.yaml", tariff("0.03"))
	d.must("", "policy", "apply", "-f", "steady.yaml", "--yes")
	d.settled(t, 0, 20)
	var ids []string
	for i := range 10 {
		ids = append(ids, d.must(oneGPU(fmt.Sprintf("low-%d", i), "0.002", 200_000), "job", "submit", "-"))
	}
	before := d.settled(t, 0, 20)
	if j := d.job(ids[9]); j.Phase != "queued" {
		t.Fatalf("a job that does not pay is %s", j.Phase)
	}
	target := filepath.Join(examplesDir(t), "targets/ai-share.yaml")
	var plan policyPlan
	poll(t, 10*time.Second, "the plan can meet the target", func() (bool, string) {
		plan = d.plan(target)
		return plan.MovedDevices == 8 && len(plan.Targets) == 1 && plan.Targets[0].Code == "TARGET_MET_COST", fmt.Sprintf("%+v", plan)
	})
	if plan.Cost <= 0 || plan.PlanCost <= 0 || plan.After.Net >= plan.Before.Net {
		t.Errorf("the plan costs nothing: %+v", plan)
	}
	if text := d.must("", "policy", "plan", "-f", target); !strings.Contains(text, "mining") || !strings.Contains(text, "USD/h") {
		t.Errorf("policy plan:\n%s", text)
	}
	d.must("", "policy", "apply", "-f", target, "--yes")
	after := d.settled(t, 8, 12)
	if after.Devices.Training != 8 || after.AISharePPM != 500_000 || after.MoneyPerHour != plan.After || before.MoneyPerHour != plan.Before {
		t.Errorf("planned %+v -> %+v, got %+v -> %+v with %+v", plan.Before, plan.After, before.MoneyPerHour, after.MoneyPerHour, after.Devices)
	}
	for i, id := range ids {
		j := d.job(id)
		if running := i < 8; running != (j.Phase == "active") || running && j.Reason.Code != "TARGET" {
			t.Errorf("job %d of ten equal ones is %s for %s", i, j.Phase, j.Reason.Code)
		}
	}
	trained := d.job(ids[0]).Attempts[0].Devices[0]
	if x := d.must("", "explain", "gpu", trained); !strings.Contains(x, "a target decides") || strings.Contains(x, "a job pays best") {
		t.Errorf("explain:\n%s", x)
	}
	d.must("", "policy", "delete", "Target/ai-share", "--yes")
	poll(t, 30*time.Second, "without the target mining wins again", func() (bool, string) {
		s := d.status()
		return s.Devices.Training == 0 && s.Devices.Mining == 20, fmt.Sprintf("%+v", s.Devices)
	})
	d.stop(t)
	d.noneLeft()
}

// A job that bids more takes devices from mining first, then from a job that
// bids less; that one saves itself and later goes on from there.
func TestDemoPreemptsMiningFirstAndResumesJobs(t *testing.T) {
	t.Parallel() // it mostly waits
	d := startDemo(t, "--no-jobs", "--nodes", "2", "--gpus-per-node", "4", "--asics", "0")
	d.settled(t, 0, 8)
	low := d.must(gangJob("low", "0.10", 4, 400_000), "job", "submit", "-")
	d.settled(t, 4, 4)
	poll(t, 30*time.Second, "it learns", func() (bool, string) {
		log := d.must("", "job", "logs", low)
		return len(lossLine.FindAllString(log, -1)) >= 3, log
	})
	first := d.must(gangJob("first", "0.30", 4, 400_000), "job", "submit", "-")
	d.settled(t, 8, 0)
	if j := d.job(low); j.Phase != "active" || len(j.Attempts) != 1 {
		t.Fatalf("mining should have given way, not job %+v", j)
	}
	second := d.must(gangJob("second", "0.40", 4, 400_000), "job", "submit", "-")
	poll(t, 30*time.Second, "the low bid gives way", func() (bool, string) {
		l, s := d.job(low), d.job(second)
		return l.Phase == "queued" && s.Phase == "active" && s.Attempts[0].Phase == "running", fmt.Sprintf("%+v\n%+v", l, s)
	})
	if l := d.job(low); l.Attempts[0].Phase != "preempted" || l.Attempts[0].Reason.Code != "PREEMPTED" || d.job(first).Phase != "active" {
		t.Errorf("job %+v", l)
	}
	var log string
	poll(t, 10*time.Second, "its log shows the checkpoint", func() (bool, string) {
		log = d.must("", "job", "logs", low)
		return strings.Contains(log, "checkpoint step="), log
	})
	d.must("", "job", "cancel", second)
	poll(t, 30*time.Second, "it resumes", func() (bool, string) {
		l := d.job(low)
		log = d.must("", "job", "logs", low)
		return l.Phase == "active" && len(l.Attempts) == 2 && l.Attempts[1].Phase == "running" && strings.Contains(log, "resume"), fmt.Sprintf("%+v\n%s", l, log)
	})
	if step := regexp.MustCompile(`resumed? .*step=(\d+)`).FindStringSubmatch(log); step == nil || step[1] == "0" {
		t.Errorf("it does not go on from a step:\n%s", log)
	}
	if dir := os.Getenv("SLUICE_SHOTS"); dir != "" {
		_ = os.WriteFile(filepath.Join(dir, "resumed.log"), []byte(log), 0o600)
	}
	d.stop(t)
	d.noneLeft()
}
