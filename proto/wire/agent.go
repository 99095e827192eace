// Package wire is the only place where generated protobuf types and the
// product's own types meet.
package wire

import (
	"encoding/json"
	"strings"

	"github.com/sluice-project/sluice/agent/reconcile"
	pb "github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
)

// DeviceToProto converts a device.
func DeviceToProto(d workload.Device) *pb.Device {
	return &pb.Device{Id: string(d.ID), Uuid: d.UUID, Kind: string(d.Kind), Model: string(d.Model), Memory: d.Memory, Driver: d.Driver, Sim: d.Sim,
		Health: string(d.Health), Note: d.Note, Code: d.Code, Foreign: d.Foreign}
}

// DeviceFromProto converts a device. What it holds is as trustworthy as the
// node that sent it.
func DeviceFromProto(d *pb.Device) workload.Device {
	return workload.Device{ID: workload.DeviceID(d.GetId()), UUID: d.GetUuid(), Kind: workload.DeviceKind(d.GetKind()), Model: workload.ModelName(d.GetModel()),
		Memory: d.GetMemory(), Driver: d.GetDriver(), Sim: d.GetSim(), Health: workload.Health(d.GetHealth()), Note: d.GetNote(), Code: d.GetCode(), Foreign: d.GetForeign()}
}

// DevicesToProto converts a list.
func DevicesToProto(ds []workload.Device) []*pb.Device {
	out := make([]*pb.Device, len(ds))
	for i, d := range ds {
		out[i] = DeviceToProto(d)
	}
	return out
}

// DriversToProto converts the state of drivers.
func DriversToProto(list []workload.DriverStatus) []*pb.DriverStatus {
	out := make([]*pb.DriverStatus, len(list))
	for i, d := range list {
		out[i] = &pb.DriverStatus{Driver: d.Driver, State: string(d.State), Devices: int32(d.Devices), Text: d.Text, Next: d.Next}
	}
	return out
}

const (
	maxDrivers    = 64
	maxDriverText = 500 // bytes
)

// DriversFromProto converts the state of drivers, and no more of it than a
// node can honestly have.
func DriversFromProto(list []*pb.DriverStatus) []workload.DriverStatus {
	var out []workload.DriverStatus
	for _, d := range list[:min(len(list), maxDrivers)] {
		out = append(out, workload.DriverStatus{Driver: clip(d.GetDriver()), State: workload.DriverState(clip(d.GetState())), Devices: int(d.GetDevices()),
			Text: clip(d.GetText()), Next: clip(d.GetNext())})
	}
	return out
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxDriverText)], "") }

// SampleToProto converts a sample.
func SampleToProto(s workload.Sample) *pb.Sample {
	return &pb.Sample{Device: string(s.Device), AtMs: int64(s.At), Watts: s.Watts, MilliC: s.MilliC, UtilisationPpm: int64(s.Utilisation), MemoryUsed: s.MemoryUsed,
		Hashrate: s.Hashrate, Accepted: s.Accepted, Rejected: s.Rejected, ProcessHashrate: s.ProcessHashrate, Sim: s.Sim}
}

// SampleFromProto converts a sample.
func SampleFromProto(s *pb.Sample) workload.Sample {
	return workload.Sample{Device: workload.DeviceID(s.GetDevice()), At: workload.Instant(s.GetAtMs()), Watts: s.GetWatts(), MilliC: s.GetMilliC(),
		Utilisation: workload.PPM(s.GetUtilisationPpm()), MemoryUsed: s.GetMemoryUsed(), Hashrate: s.GetHashrate(), Accepted: s.GetAccepted(),
		Rejected: s.GetRejected(), ProcessHashrate: s.GetProcessHashrate(), Sim: s.GetSim()}
}

// ReportToProto converts a node's report about a workload.
func ReportToProto(r reconcile.Report) *pb.WorkloadEvent {
	return &pb.WorkloadEvent{Seq: r.Seq, Kind: r.Kind, Device: string(r.Device), Epoch: uint64(r.Epoch), Job: uint64(r.Job), Attempt: int32(r.Attempt), Pid: r.PID,
		StartTicks: r.StartTicks, ExitCode: int32(r.ExitCode), Note: r.Note, AtMs: int64(r.At), Saved: r.Saved, Cause: r.Cause}
}

// ReportFromProto converts a node's report about a workload.
func ReportFromProto(e *pb.WorkloadEvent) reconcile.Report {
	return reconcile.Report{Seq: e.GetSeq(), Kind: e.GetKind(), Device: workload.DeviceID(e.GetDevice()), Epoch: workload.Epoch(e.GetEpoch()),
		Job: workload.JobID(e.GetJob()), Attempt: int(e.GetAttempt()), PID: e.GetPid(), StartTicks: e.GetStartTicks(), ExitCode: int(e.GetExitCode()),
		Note: e.GetNote(), At: workload.Instant(e.GetAtMs()), Saved: e.GetSaved(), Cause: e.GetCause()}
}

// RunToProto converts a live workload.
func RunToProto(r reconcile.Run) *pb.Running {
	out := &pb.Running{Kind: string(r.Kind), Option: string(r.Option), Pid: r.PID, StartTicks: r.StartTicks}
	for _, d := range r.Devices {
		out.Devices = append(out.Devices, string(d))
	}
	if len(r.Epochs) > 0 {
		out.Epoch = uint64(r.Epochs[0])
	}
	job, attempt := r.Attempt()
	out.Job, out.Attempt = uint64(job), int32(attempt)
	return out
}

// OpenPlan verifies a plan and that it is meant for this cluster and node. It
// returns a Denied error where it is not; expiry and serial are the
// reconciler's business.
func OpenPlan(verify func(body, signature []byte) error, cluster string, node workload.NodeID, signed *pb.SignedPlan) (*workload.NodePlan, error) {
	// The signature comes first: nothing unsigned is even parsed.
	if err := verify(signed.GetBody(), signed.GetSignature()); err != nil {
		return nil, workload.Errorf(workload.Denied, "the plan's signature is not the cluster's: %w", err)
	}
	var plan workload.NodePlan
	if err := json.Unmarshal(signed.GetBody(), &plan); err != nil {
		return nil, workload.Errorf(workload.Invalid, "the plan is not readable: %w", err)
	}
	if plan.Cluster != cluster {
		return nil, workload.Errorf(workload.Denied, "the plan is for cluster %q, not %q", plan.Cluster, cluster)
	}
	if plan.Node != node {
		return nil, workload.Errorf(workload.Denied, "the plan is for node %q, not %q", plan.Node, node)
	}
	return &plan, nil
}
