package wire

import (
	"crypto/ed25519"
	"testing"

	"github.com/sluice-project/sluice/agent/reconcile"
	pb "github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
)

func TestRoundTrips(t *testing.T) {
	d := workload.Device{ID: "n1/3", UUID: "GPU-1", Kind: workload.GPU, Model: "H100", Memory: 80 << 30, Driver: "nvml", Sim: true, Health: workload.Degraded, Note: "hot"}
	if got := DeviceFromProto(DeviceToProto(d)); got != d {
		t.Errorf("device %+v became %+v", d, got)
	}
	s := workload.Sample{Device: "n1/3", At: 1, Watts: 2, MilliC: 3, Utilisation: 4, MemoryUsed: 5, Hashrate: -1, Accepted: 7, Rejected: 8, ProcessHashrate: 9, Sim: true}
	if got := SampleFromProto(SampleToProto(s)); got != s {
		t.Errorf("sample %+v became %+v", s, got)
	}
	r := reconcile.Report{Seq: 1, Kind: "exited", Device: "n1/3", Epoch: 2, Job: 3, Attempt: 4, PID: 5, StartTicks: 6, ExitCode: 7, Note: "n", At: 8, Saved: true, Cause: "self"}
	if got := ReportFromProto(ReportToProto(r)); got != r {
		t.Errorf("report %+v became %+v", r, got)
	}
}

func TestPlanSignature(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	otherPublic, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := SignPlan(private, workload.NodePlan{Cluster: "c", Node: "n1", Serial: 9})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := OpenPlan(public, "c", "n1", signed); err != nil || p.Serial != 9 {
		t.Errorf("%+v, %v", p, err)
	}
	flipped := &pb.SignedPlan{Body: append([]byte(nil), signed.Body...), Signature: signed.Signature}
	flipped.Body[0] ^= 1
	for name, err := range map[string]error{
		"another key":     second(OpenPlan(otherPublic, "c", "n1", signed)),
		"no key":          second(OpenPlan(nil, "c", "n1", signed)),
		"another cluster": second(OpenPlan(public, "d", "n1", signed)),
		"another node":    second(OpenPlan(public, "c", "n2", signed)),
		"changed body":    second(OpenPlan(public, "c", "n1", flipped)),
		"nothing":         second(OpenPlan(public, "c", "n1", nil)),
	} {
		if err == nil || workload.KindOf(err) != workload.Denied {
			t.Errorf("%s: %v, want denied", name, err)
		}
	}
}

func second(_ *workload.NodePlan, err error) error { return err }
