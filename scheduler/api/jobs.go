package api

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

func job(v *state.View, j state.Job) *sluicev1.Job {
	currency := v.Policy.Cluster().Currency
	m := &sluicev1.Job{Id: j.ID.String(), Name: j.Spec.Name, Tenant: string(j.Spec.Tenant), Phase: string(j.Phase), Reason: reason(j.Reason, currency),
		Gpus: int64(j.Spec.Gang.GPUs), BidMicroPerHour: int64(market.Bid(v.Policy, j.Spec)), SubmittedMs: int64(j.Submitted), StartedMs: int64(j.Started),
		EndedMs: int64(j.Ended), SpecYaml: j.YAML, Actor: j.Actor, ExitCode: int32(j.ExitCode)}
	if j.ID == 0 { // a dry run
		m.Id = ""
	}
	for _, model := range j.Spec.Gang.Models {
		m.Models = append(m.Models, string(model))
	}
	for _, a := range j.Attempts {
		at := &sluicev1.Attempt{Number: int32(a.Number), Phase: string(a.Phase), CreatedMs: int64(a.Created), StartedMs: int64(a.Started), EndedMs: int64(a.Ended),
			ExitCode: int32(a.Code), Reason: reason(a.Reason, currency)}
		for _, d := range a.Devices {
			at.Devices = append(at.Devices, string(d))
		}
		m.Attempts = append(m.Attempts, at)
	}
	if a, ok := j.Current(); ok && !a.Phase.Final() {
		m.Width = int64(len(a.Devices))
	}
	return m
}

func (o *operator) SubmitJob(ctx context.Context, req *sluicev1.SubmitJobRequest) (*sluicev1.SubmitJobResponse, error) {
	m, err := o.submitJob(ctx, req)
	return answer(o, "SubmitJob", m, err)
}

func (o *operator) submitJob(ctx context.Context, req *sluicev1.SubmitJobRequest) (*sluicev1.SubmitJobResponse, error) {
	file := req.GetFile()
	if file == "" {
		file = "job"
	}
	spec, err := config.ParseJob(file, []byte(req.GetDocument()))
	if err != nil {
		return nil, err
	}
	id, err := request(ctx, req.GetRequestId(), "submit")
	if err != nil {
		return nil, err
	}
	v := o.core.View()
	if err := checkJob(v, spec); err != nil {
		return nil, placed(file, req.GetDocument(), err)
	}
	if req.GetDryRun() {
		full := spec.Default()
		return &sluicev1.SubmitJobResponse{LogIndex: v.Index, Job: job(v, state.Job{Spec: full, YAML: req.GetDocument(), Phase: workload.Queued,
			Reason: workload.Why(workload.CodeNew)})}, nil
	}
	index, r, err := o.commit(ctx, state.Command{Request: id, Submit: &state.JobSubmitted{Spec: spec, YAML: req.GetDocument()}})
	if err != nil {
		return nil, err
	}
	m := &sluicev1.SubmitJobResponse{Id: r.Job.String(), LogIndex: index}
	v = o.core.View()
	if j, ok := v.Jobs[r.Job]; ok {
		m.Job = job(v, j)
	}
	return m, nil
}

// placed gives the error about a path of a job its place in the document.
func placed(file, document string, err error) error {
	path, text, ok := strings.Cut(err.Error(), ": ")
	if !ok || strings.ContainsAny(path, " /") {
		return err
	}
	at := config.LocateJob(file, []byte(document), path, text)
	if at == nil {
		return err
	}
	return workload.Errorf(workload.KindOf(err), "%s", at).Hint("%s", workload.NextOf(err))
}

// checkJob refuses early what could never run; applying the command decides.
func checkJob(v *state.View, spec workload.Spec) error {
	if spec.Run.Image != "" {
		return workload.Errorf(workload.Invalid, "run.image: containers are not run by this version").
			Hint("leave run.image out and give a program that the nodes have in run.command")
	}
	if c, ours := spec.Value.Currency, v.Policy.Cluster().Currency; c != "" && c != ours {
		return workload.Errorf(workload.Invalid, "value.bid: is in %s but the cluster accounts in %s", c, ours)
	}
	if err := v.Fits(spec.Default()); err != nil {
		return err
	}
	for i, after := range spec.After {
		if _, err := v.FindJob(after.Job); err != nil {
			return workload.Errorf(err.Kind, "after[%d].job: %s", i, err.Text).Hint("%s", err.Next)
		}
	}
	return nil
}

func (o *operator) ListJobs(_ context.Context, req *sluicev1.ListJobsRequest) (*sluicev1.ListJobsResponse, error) {
	v := o.core.View()
	m := &sluicev1.ListJobsResponse{Currency: v.Policy.Cluster().Currency}
	for _, id := range v.JobIDs() {
		if j := v.Jobs[id]; req.GetAll() || !j.Phase.Final() {
			m.Jobs = append(m.Jobs, job(v, j))
		}
	}
	return m, nil
}

// find resolves what a person typed, an id or a name.
func find(v *state.View, idOrName string) (state.Job, error) {
	if idOrName == "" {
		return state.Job{}, workload.Errorf(workload.Invalid, "id: names no job")
	}
	id, err := v.FindJob(fmt.Sprintf("%.200s", idOrName))
	if err != nil {
		return state.Job{}, err
	}
	return v.Jobs[id], nil
}

func (o *operator) GetJob(_ context.Context, req *sluicev1.GetJobRequest) (*sluicev1.Job, error) {
	v := o.core.View()
	j, err := find(v, req.GetId())
	if err != nil {
		return answer[*sluicev1.Job](o, "GetJob", nil, err)
	}
	return job(v, j), nil
}

func (o *operator) CancelJob(ctx context.Context, req *sluicev1.CancelJobRequest) (*sluicev1.Job, error) {
	m, err := o.cancelJob(ctx, req)
	return answer(o, "CancelJob", m, err)
}

func (o *operator) cancelJob(ctx context.Context, req *sluicev1.CancelJobRequest) (*sluicev1.Job, error) {
	j, err := find(o.core.View(), req.GetId())
	if err != nil {
		return nil, err
	}
	id, err := request(ctx, req.GetRequestId(), "cancel")
	if err != nil {
		return nil, err
	}
	if _, _, err := o.commit(ctx, state.Command{Request: id, Cancel: &state.JobCancelled{Job: j.ID}}); err != nil {
		return nil, err
	}
	v := o.core.View()
	return job(v, v.Jobs[j.ID]), nil
}

// maxChunk bounds one message of a log.
const maxChunk = 64 << 10

func (o *operator) JobLogs(req *sluicev1.JobLogsRequest, stream grpc.ServerStreamingServer[sluicev1.JobLogsResponse]) error {
	return wire.ToStatus(o.jobLogs(stream.Context(), req, stream.Send))
}

func (o *operator) jobLogs(ctx context.Context, req *sluicev1.JobLogsRequest, send func(*sluicev1.JobLogsResponse) error) error {
	j, err := find(o.core.View(), req.GetId())
	switch {
	case err != nil:
		return err
	case req.GetOffset() < 0:
		return workload.Errorf(workload.Invalid, "offset: must not be negative")
	case req.GetAttempt() < 0:
		return workload.Errorf(workload.Invalid, "attempt: must not be negative; 0 is the newest")
	case len(j.Attempts) == 0 && !req.GetFollow():
		return workload.Errorf(workload.NotFound, "job %s has not run yet", j.ID).Hint("sluice explain job %s", j.ID)
	case int(req.GetAttempt()) > len(j.Attempts):
		return workload.Errorf(workload.NotFound, "job %s has no attempt %d, only %d", j.ID, req.GetAttempt(), len(j.Attempts))
	}
	return o.core.JobLog(ctx, j.ID, int(req.GetAttempt()), req.GetOffset(), req.GetFollow(), func(data []byte, offset int64) error {
		for len(data) > 0 {
			n := min(len(data), maxChunk)
			if err := send(&sluicev1.JobLogsResponse{Data: data[:n], Offset: offset}); err != nil {
				return err
			}
			data, offset = data[n:], offset+int64(n)
		}
		return nil
	})
}
