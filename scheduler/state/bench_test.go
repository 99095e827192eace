package state

import (
	"fmt"
	"io"
	"testing"

	"github.com/sluice-project/sluice/workload"
)

// fleet is a state of mining devices, eight to a node, with as many jobs queued.
func fleet(b *testing.B, devices, jobs int) *State {
	s := New()
	index := uint64(0)
	apply := func(c Command) {
		c.At, c.Wall = epochOfTests, epochOfTests
		index++
		if r := s.Apply(index, c); r.Error != "" || len(r.Refused) > 0 {
			b.Fatal(r)
		}
	}
	apply(Command{Policy: &PolicyChanged{Revision: 1, Documents: policy()}})
	for n := range devices / 8 {
		apply(Command{Node: registration(fmt.Sprintf("n%05d", n), 8)})
	}
	for range jobs {
		apply(Command{Submit: &JobSubmitted{Spec: workload.Spec{Name: "j", Gang: workload.Gang{GPUs: 1}, Run: workload.Run{Command: []string{"true"}}}}})
	}
	p := Plan{}
	c := cluster{s: s}
	for _, id := range s.DeviceIDs() {
		p.Moves = append(p.Moves, c.mine(id))
	}
	apply(Command{Plan: &p})
	return s
}

func BenchmarkApplyPlanOf1000Moves(b *testing.B) {
	for _, devices := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(devices), func(b *testing.B) {
			s := fleet(b, devices, 0)
			ids := s.DeviceIDs()
			c := cluster{s: s}
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				p := Plan{}
				for i := range 1000 {
					p.Moves = append(p.Moves, c.mine(ids[(int(s.Index)*1000+i*7)%len(ids)]))
				}
				b.StartTimer()
				if r := s.Apply(s.Index+1, Command{At: s.At + 1, Wall: s.Wall + 1, Plan: &p}); len(r.Refused) > 0 {
					b.Fatal(r.Refused[0])
				}
			}
		})
	}
}

func BenchmarkView(b *testing.B) {
	for _, devices := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(devices), func(b *testing.B) {
			s := fleet(b, devices, 0)
			b.ReportAllocs()
			for b.Loop() {
				s.memo.touchDevices() // as any plan or report does
				s.View()
			}
		})
	}
}

// A view after one of 100,000 queued jobs changed.
func BenchmarkViewOfALongQueue(b *testing.B) {
	s := fleet(b, 8, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		s.putJob(s.Jobs[1])
		s.View()
	}
}

func BenchmarkViewOfAQuietState(b *testing.B) {
	s := fleet(b, 100_000, 0)
	for b.Loop() {
		s.View()
	}
}

func BenchmarkClone(b *testing.B) {
	s := fleet(b, 100_000, 0)
	for b.Loop() {
		s.Clone()
	}
}

func BenchmarkDeviceIDs(b *testing.B) {
	s := fleet(b, 100_000, 0)
	for b.Loop() {
		s.DeviceIDs()
	}
}

func BenchmarkSubmitAt100k(b *testing.B) {
	s := fleet(b, 100_000, 0)
	spec := workload.Spec{Name: "j", Gang: workload.Gang{GPUs: 64, PerNode: 8}, Run: workload.Run{Command: []string{"true"}}}
	for b.Loop() {
		s.Apply(s.Index+1, Command{At: s.At, Wall: s.Wall, Submit: &JobSubmitted{Spec: spec}})
	}
}

func BenchmarkPolicyAt100k(b *testing.B) {
	s := fleet(b, 100_000, 0)
	for b.Loop() {
		s.Apply(s.Index+1, Command{At: s.At, Wall: s.Wall, Policy: &PolicyChanged{Documents: policy()}})
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

var _ io.Writer = new(counter)

func BenchmarkSave(b *testing.B) {
	for _, devices := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(devices), func(b *testing.B) {
			s := fleet(b, devices, 0)
			var n counter
			for b.Loop() {
				n = 0
				if err := s.Save(&n); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/float64(devices), "B/device")
		})
	}
}
