package wire

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
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
	body, err := json.Marshal(workload.NodePlan{Cluster: "c", Node: "n1", Serial: 9})
	if err != nil {
		t.Fatal(err)
	}
	signed := &pb.SignedPlan{Body: body, Signature: ed25519.Sign(private, body)}
	by := func(key ed25519.PublicKey) func(body, signature []byte) error {
		return func(body, signature []byte) error {
			if !ed25519.Verify(key, body, signature) {
				return errors.New("signed by another")
			}
			return nil
		}
	}
	if p, err := OpenPlan(by(public), "c", "n1", signed); err != nil || p.Serial != 9 {
		t.Errorf("%+v, %v", p, err)
	}
	flipped := &pb.SignedPlan{Body: append([]byte(nil), signed.Body...), Signature: signed.Signature}
	flipped.Body[0] ^= 1
	for name, err := range map[string]error{
		"another key":     second(OpenPlan(by(otherPublic), "c", "n1", signed)),
		"another cluster": second(OpenPlan(by(public), "d", "n1", signed)),
		"another node":    second(OpenPlan(by(public), "c", "n2", signed)),
		"changed body":    second(OpenPlan(by(public), "c", "n1", flipped)),
		"nothing":         second(OpenPlan(by(public), "c", "n1", nil)),
	} {
		if err == nil || workload.KindOf(err) != workload.Denied {
			t.Errorf("%s: %v, want denied", name, err)
		}
	}
}

func second(_ *workload.NodePlan, err error) error { return err }
