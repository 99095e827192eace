package planner

import (
	"fmt"
	"testing"

	"github.com/sluice-project/sluice/scheduler/decide"
)

func TestArrivalOnALargeFleetIsAnsweredQuickly(t *testing.T) {
	compose := func(w *world) *Board { return Compose(w.s.View(), w.s.Policy, w.at, w.at) }
	small := newWorld(t)
	small.node("n1", "north", "g1", 8)
	small.submit("a", 1, "1")
	if b := compose(small).Budget(nil); b != (decide.Budget{}) {
		t.Errorf("a small fleet is given %+v", b)
	}
	large := newWorld(t)
	for i := range 26 {
		large.node(fmt.Sprintf("n%d", i), "north", "g1", 80)
	}
	if b := compose(large).Budget(nil); b != (decide.Budget{}) {
		t.Errorf("with no arrival: %+v", b)
	}
	large.submit("a", 1, "1")
	if b := compose(large).Budget(nil); b != decide.Quick {
		t.Errorf("with an arrival: %+v", b)
	}
	if b := compose(large).Budget(&decide.Warm{}); b != (decide.Budget{}) {
		t.Errorf("with an arrival and a warm start: %+v", b)
	}
}
