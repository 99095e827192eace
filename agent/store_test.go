package agent

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-project/sluice/agent/reconcile"
	"github.com/sluice-project/sluice/workload"
)

func recordOf(serial uint64) record {
	return record{Durable: reconcile.Durable{Serial: serial, Epochs: map[workload.DeviceID]workload.Epoch{"n/0": workload.Epoch(serial)}},
		Journal: []reconcile.Report{{Seq: serial, Kind: "freed"}}, Slots: map[string]int{"u": 3}}
}

func opened(t *testing.T) *store {
	t.Helper()
	s, err := openStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	return s
}

func TestRecordRoundTrip(t *testing.T) {
	s := opened(t)
	if rec, note, err := s.load(); err != nil || note != "" || rec.Durable.Serial != 0 {
		t.Errorf("a new directory: %+v %q %v", rec, note, err)
	}
	if err := s.save(recordOf(7)); err != nil {
		t.Fatal(err)
	}
	rec, note, err := s.load()
	if err != nil || note != "" || rec.Durable.Epochs["n/0"] != 7 || rec.Journal[0].Kind != "freed" || rec.Slots["u"] != 3 {
		t.Errorf("%+v %q %v", rec, note, err)
	}
}

func TestC10DamageIsFoundAndThePreviousGenerationUsed(t *testing.T) {
	s := opened(t)
	for serial := range uint64(2) {
		if err := s.save(recordOf(serial + 1)); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(s.dir, stateFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		bad := append([]byte(nil), good...)
		if i%3 == 0 {
			bad = bad[:random.IntN(len(bad))]
		} else {
			bad[random.IntN(len(bad))] ^= 1 << random.IntN(8)
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		rec, note, err := s.load()
		if err != nil || note == "" || rec.Durable.Serial != 1 {
			t.Fatalf("damage %d: serial %d, %q, %v", i, rec.Durable.Serial, note, err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir, previousFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.load(); err == nil {
		t.Error("both generations are damaged, and the agent would forget its epochs")
	}
}

func TestTrimKeepsWhatIsToldOnce(t *testing.T) {
	var journal []reconcile.Report
	for i := range maxJournal + 10 {
		journal = append(journal, reconcile.Report{Seq: uint64(i + 1), Job: workload.JobID(i % 2)})
	}
	kept := trim(journal)
	if len(kept) != maxJournal || kept[0].Seq != 2 || kept[9].Seq != 20 || kept[10].Seq != 21 {
		t.Errorf("%d kept, from %d", len(kept), kept[0].Seq)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	data, err := encodeRecord(recordOf(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(magic + "\n{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		decodeRecord(data)
	})
}
