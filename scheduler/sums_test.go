package scheduler

import (
	"strings"
	"testing"

	"github.com/sluice-project/sluice/scheduler/history"
	"github.com/sluice-project/sluice/scheduler/state"
)

// A server whose state differs from that of two others stops applying and says
// so; one that two others cannot agree about does not.
func TestA19ServerWithAnotherStateStops(t *testing.T) {
	machines := map[string]*machine{}
	fatal := map[string]chan error{}
	for _, id := range []string{"s1", "s2", "s3"} {
		h, err := history.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		said := make(chan error, 1)
		fatal[id], machines[id] = said, newMachine(id, h, func(err error) { said <- err })
	}
	index := uint64(0)
	apply := func(c state.Command) {
		t.Helper()
		index++
		c.Version, c.At, c.Wall = state.SchemaVersion, 1_700_000_000_000, 1_700_000_000_000
		data, err := state.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range machines {
			m.Apply(index, 1, data)
		}
	}
	round := func() {
		t.Helper()
		for index%sumEvery != sumEvery-1 {
			apply(state.Command{Server: &state.ServerAnnounced{ID: "s1"}})
		}
		apply(state.Command{Server: &state.ServerAnnounced{ID: "s1"}})
		for _, id := range []string{"s1", "s2", "s3"} {
			if m := machines[id]; m.stopped == nil {
				sum := <-m.sums.fresh
				apply(state.Command{Summed: &sum})
			}
		}
	}
	round()
	for id, m := range machines {
		if m.stopped != nil {
			t.Fatalf("%s stops though all agree: %v", id, m.stopped)
		}
	}
	machines["s2"].state.Servers["s9"] = state.ServerAnnounced{ID: "s9"} // a bit flips
	round()
	if err := <-fatal["s2"]; !strings.Contains(err.Error(), "cannot be trusted") {
		t.Errorf("s2 says %v", err)
	}
	for _, id := range []string{"s1", "s3"} {
		if err := machines[id].stopped; err != nil {
			t.Errorf("%s stops as well: %v", id, err)
		}
	}
	before := machines["s2"].state.Index
	apply(state.Command{Server: &state.ServerAnnounced{ID: "s1"}})
	if machines["s2"].state.Index != before {
		t.Error("s2 goes on applying")
	}
}
