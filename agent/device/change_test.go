package device

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// dial is a setting of a device that a test breaks.
type dial struct {
	value  int
	writes []int
	take   func(old, want int) (int, error)
}

func (d *dial) setting() Setting[int] {
	return Setting[int]{Name: "the dial", Read: func(context.Context) (int, error) { return d.value, nil },
		Write: func(_ context.Context, v int) error {
			d.writes = append(d.writes, v)
			var err error
			d.value, err = d.take(d.value, v)
			return err
		}, Equal: func(a, b int) bool { return a == b }}
}

func TestChange(t *testing.T) {
	obeys := func(_, want int) (int, error) { return want, nil }
	refused := errors.New("refused")
	for name, c := range map[string]struct {
		take   func(old, want int) (int, error)
		want   int
		value  int
		writes []int
		kind   workload.Kind
		fails  bool
	}{
		"set":                  {obeys, 7, 7, []int{7}, 0, false},
		"already so":           {obeys, 3, 3, nil, 0, false},
		"shows something else": {func(_, want int) (int, error) { return max(want-1, 3), nil }, 7, 3, []int{7, 3}, workload.Unavailable, true},
		"refused, unchanged":   {func(old, _ int) (int, error) { return old, refused }, 7, 3, []int{7}, 0, true},
		"refused, half done":   {func(old, want int) (int, error) { return min(want, 5), map[bool]error{true: refused}[want == 7] }, 7, 3, []int{7, 3}, 0, true},
	} {
		d := &dial{value: 3, take: c.take}
		got, err := Change(t.Context(), d.setting(), c.want)
		if (err != nil) != c.fails || d.value != c.value || got != c.value || !slices.Equal(d.writes, c.writes) || c.kind != 0 && workload.KindOf(err) != c.kind {
			t.Errorf("%s: %d, %v; the dial is at %d after %v", name, got, err, d.value, d.writes)
		}
	}
}

// A context that ends under way does not leave a device in between.
func TestChangeIsUndoneWhenItsCallerGivesUp(t *testing.T) {
	d := &dial{value: 3}
	ctx, cancel := context.WithCancel(t.Context())
	d.take = func(old, want int) (int, error) {
		if want == 7 {
			cancel()
			return 5, nil
		}
		return want, nil
	}
	s := d.setting()
	s.Settle = time.Hour
	if _, err := Change(ctx, s, 7); workload.KindOf(err) != workload.Unavailable || d.value != 3 {
		t.Errorf("%v, the dial is at %d", err, d.value)
	}
}
