package state

import (
	"strings"
	"testing"

	"github.com/sluice-project/sluice/workload"
)

// I16: a join token works once, for whom it is, while it is good.
func TestJoinTokenWorksOnce(t *testing.T) {
	s := New()
	index := uint64(0)
	apply := func(wall workload.Instant, c Command) Result {
		index++
		c.Wall, c.At = wall, wall
		return s.Apply(index, c)
	}
	apply(1000, Command{Token: &TokenIssued{ID: "a", Hash: "h1", Role: "agent", Expires: 5000}})
	apply(1000, Command{Token: &TokenIssued{ID: "b", Hash: "h2", Role: "server", Name: "s2", Expires: 5000}})
	apply(1000, Command{Token: &TokenIssued{ID: "late", Hash: "h3", Role: "agent", Expires: 1500}})
	for _, c := range []struct {
		name, id, hash, as, want string
	}{
		{"wrong secret", "a", "h9", "n1", "not known"},
		{"unknown", "z", "h1", "n1", "not known"},
		{"empty", "", "", "n1", "not known"},
		{"another name", "b", "h2", "s3", "is for s2"},
		{"no name", "a", "h1", "", "must be"},
		{"expired", "late", "h3", "n1", "has expired"},
		{"in time", "a", "h1", "n1", ""},
		{"for its name", "b", "h2", "s2", ""},
		{"again by the same", "a", "h1", "n1", "has been used"},
		{"again by another", "a", "h1", "n2", "has been used"},
	} {
		r := apply(2000, Command{Consume: &TokenConsumed{ID: c.id, Hash: c.hash, Name: c.as}})
		switch {
		case c.want == "" && r.Error != "":
			t.Errorf("%s: refused: %s", c.name, r.Error)
		case c.want != "" && (r.Kind != workload.Denied || !strings.Contains(r.Error, c.want)):
			t.Errorf("%s: %v %q, want denied with %q", c.name, r.Kind, r.Error, c.want)
		}
	}
	if got := s.Tokens["a"].UsedBy; got != "n1" {
		t.Errorf("token a was used by %q", got)
	}
}
