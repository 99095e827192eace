package api

import (
	"fmt"
	"testing"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
)

// BenchmarkAnswers asks about 10,000 devices, from the view to the JSON.
func BenchmarkAnswers(b *testing.B) {
	f := newFake(b)
	for i := 3; i <= 2500; i++ {
		f.register(fmt.Sprintf("n%04d", i))
	}
	op := NewOperator(f, quiet())
	b.Run("status", func(b *testing.B) {
		for b.Loop() {
			m, err := op.GetStatus(b.Context(), &sluicev1.GetStatusRequest{})
			if err != nil || m.Devices.Total != 10_000 {
				b.Fatal(m, err)
			}
			b.SetBytes(int64(len(wire.JSON(m))))
		}
	})
	b.Run("gpus", func(b *testing.B) {
		for b.Loop() {
			m, err := op.ListGpus(b.Context(), &sluicev1.ListGpusRequest{})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(wire.JSON(m))))
		}
	})
	b.Run("timeline", func(b *testing.B) {
		for b.Loop() {
			m, err := op.GetTimeline(b.Context(), &sluicev1.GetTimelineRequest{})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(wire.JSON(m))))
		}
	})
}
