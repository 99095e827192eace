package api

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/workload"
)

func kindOf(err error) workload.Kind {
	if err == nil {
		return 255
	}
	return workload.KindOf(wire.FromStatus(err))
}

func jobText(name string, gpus int, bid string) string {
	return fmt.Sprintf("kind: Job\nname: %s\ntenant: research\ngang: {gpus: %d}\nrun: {command: [train]}\nvalue: {bid: %s USD/GPU-h}\n", name, gpus, bid)
}

// submit adds a job that pays well.
func (f *fake) submit(gpus int) string {
	f.t.Helper()
	op := NewOperator(f, quiet())
	m, err := op.SubmitJob(as(f.t, "sue", identity.Submitter), &sluicev1.SubmitJobRequest{Document: jobText(fmt.Sprintf("job-%d", gpus), gpus, "2")})
	if err != nil {
		f.t.Fatal(err)
	}
	return m.Id
}

func TestSubmitJob(t *testing.T) {
	f, op := working(t)
	ctx := as(t, "sue", identity.Submitter)
	req := &sluicev1.SubmitJobRequest{Document: jobText("ft", 4, "0.2"), File: "ft.yaml", RequestId: "r1", DryRun: true}
	before := f.bytes()
	m, err := op.SubmitJob(ctx, req)
	if err != nil || m.Id != "" || m.Job.Id != "" || m.Job.Phase != "queued" || m.Job.BidMicroPerHour != 200_000 {
		t.Errorf("dry run: %v, %v", m, err)
	}
	if !bytes.Equal(before, f.bytes()) {
		t.Error("a dry run changed the state")
	}
	req.DryRun = false
	if m, err = op.SubmitJob(ctx, req); err != nil || m.Id != "1" || m.Job.Name != "ft" || m.Job.Actor != "sue" || m.LogIndex == 0 || m.Job.SpecYaml != req.Document {
		t.Errorf("%v, %v", m, err)
	}
	if again, err := op.SubmitJob(ctx, req); err != nil || again.Id != "1" {
		t.Errorf("a repeat made another job: %v, %v", again, err)
	}
	if other, err := op.SubmitJob(as(t, "tom", identity.Submitter), req); err != nil || other.Id != "2" {
		t.Errorf("another's request of the same id: %v, %v", other, err)
	}
	js := `{"kind":"Job","name":"as-json","gang":{"gpus":1},"run":{"command":["train"]}}`
	if m, err := op.SubmitJob(ctx, &sluicev1.SubmitJobRequest{Document: js}); err != nil || m.Job.Name != "as-json" {
		t.Errorf("JSON: %v, %v", m, err)
	}
	if one, err := op.GetJob(ctx, &sluicev1.GetJobRequest{Id: "ft"}); err != nil || one.Id != "2" {
		t.Errorf("by name: %v, %v", one, err)
	}
}

func TestBadJobsChangeNothing(t *testing.T) {
	f, op := working(t)
	before := f.bytes()
	for _, c := range []struct{ name, document, want string }{
		{"unknown key", "kind: Job\nname: a\ngang: {gpuss: 4}\nrun: {command: [x]}", `a.yaml:3:8: gang: unknown key "gpuss" - did you mean "gpus"?`},
		{"policy", "kind: Target\nname: a", "sluice policy apply"},
		{"image", jobText("a", 1, "1") + "", ""},
		{"too big", jobText("a", 99, "1"), "the fleet has 8 that fit"},
		{"currency", strings.Replace(jobText("a", 1, "1"), "USD", "EUR", 1), "accounts in USD"},
		{"dependency", jobText("a", 1, "1") + "after: [{job: none}]", "after[0].job"},
		{"bomb", "kind: Job\nname: &a x\n", "anchor"},
		{"large", "# " + strings.Repeat("x", 1<<20), "1 MiB"},
		{"empty", "", "no document"},
	} {
		if c.name == "image" {
			c.document = strings.Replace(c.document, "[train]", "[train], image: r.example/x@sha256:"+strings.Repeat("a", 64), 1)
			c.want = "run.image: containers are not run by this version"
		}
		_, err := op.SubmitJob(as(t, "sue", identity.Submitter), &sluicev1.SubmitJobRequest{Document: c.document, File: "a.yaml"})
		if kind := kindOf(err); kind != workload.Invalid && !(c.name == "dependency" && kind == workload.NotFound) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if !bytes.Equal(before, f.bytes()) {
		t.Error("a refused job changed the state")
	}
}

func TestCancelAndList(t *testing.T) {
	f, op := working(t)
	ctx := as(t, "sue", identity.Submitter)
	id := f.submit(4)
	f.work()
	j, err := op.GetJob(ctx, &sluicev1.GetJobRequest{Id: id})
	if err != nil || j.Phase != "active" || j.Width != 4 || len(j.Attempts) != 1 || j.Attempts[0].Phase != "running" || len(j.Attempts[0].Devices) != 4 {
		t.Fatalf("%v, %v", j, err)
	}
	if j, err = op.CancelJob(ctx, &sluicev1.CancelJobRequest{Id: id}); err != nil || j.Phase != "cancelled" || j.Reason.Code != "CANCELLED" || j.Reason.Text == "" {
		t.Errorf("%v, %v", j, err)
	}
	if _, err = op.CancelJob(ctx, &sluicev1.CancelJobRequest{Id: "77"}); kindOf(err) != workload.NotFound {
		t.Errorf("an unknown job: %v", err)
	}
	if l, _ := op.ListJobs(ctx, &sluicev1.ListJobsRequest{}); len(l.Jobs) != 0 {
		t.Errorf("finished jobs are listed: %v", l)
	}
	if l, _ := op.ListJobs(ctx, &sluicev1.ListJobsRequest{All: true}); len(l.Jobs) != 1 || l.Currency != "USD" {
		t.Errorf("all: %v", l)
	}
	f.proposeErr = workload.Errorf(workload.NotLeader, "no leader")
	if _, err = op.SubmitJob(ctx, &sluicev1.SubmitJobRequest{Document: jobText("b", 1, "1")}); kindOf(err) != workload.NotLeader {
		t.Errorf("no leader: %v", err)
	}
	if _, err = op.SubmitJob(ctx, &sluicev1.SubmitJobRequest{Document: jobText("b", 1, "1"), RequestId: strings.Repeat("x", 200)}); kindOf(err) != workload.Invalid {
		t.Errorf("a long request id: %v", err)
	}
}

func TestJobLogsAreCut(t *testing.T) {
	f, op := working(t)
	id := f.submit(4)
	o := op.(*operator)
	read := func(ctx context.Context, req *sluicev1.JobLogsRequest) (sizes []int, err error) {
		at := req.Offset
		err = o.jobLogs(ctx, req, func(m *sluicev1.JobLogsResponse) error {
			if m.Offset != at {
				t.Errorf("offset %d, want %d", m.Offset, at)
			}
			at += int64(len(m.Data))
			sizes = append(sizes, len(m.Data))
			return nil
		})
		return sizes, err
	}
	if _, err := read(t.Context(), &sluicev1.JobLogsRequest{Id: id}); workload.KindOf(err) != workload.NotFound {
		t.Errorf("before it ran: %v", err)
	}
	f.work()
	if sizes, err := read(t.Context(), &sluicev1.JobLogsRequest{Id: id, Offset: 1000}); err != nil || len(sizes) != 2 || sizes[0] != maxChunk || sizes[0]+sizes[1] != 100<<10-1000 {
		t.Errorf("%v, %v", sizes, err)
	}
	for _, bad := range []*sluicev1.JobLogsRequest{{Id: id, Offset: -1}, {Id: id, Attempt: -1}, {Id: ""}} {
		if _, err := read(t.Context(), bad); workload.KindOf(err) != workload.Invalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, err := read(t.Context(), &sluicev1.JobLogsRequest{Id: id, Attempt: 9}); workload.KindOf(err) != workload.NotFound {
		t.Errorf("attempt 9: %v", err)
	}
}
