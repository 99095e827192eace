package practice

import (
	"slices"
	"testing"

	"github.com/sluice-project/sluice/agent/stratum"
)

func testWork(difficulty string) stratum.Work {
	j := newChain(7).next(1_700_000_000)
	return stratum.NewWork(j.Job, []byte{0, 0, 0, 1}, []byte{0, 0, 0, 2}, stratum.MustDifficulty(difficulty), 0, 0)
}

// The midstate scanner must find exactly the nonces that plain hashing finds.
func TestScannerAgreesWithPlainHashing(t *testing.T) {
	const n = 20_000
	w := testWork("1e-7") // a share every 430 hashes
	var want, got []uint32
	for i := range uint32(n) {
		if w.Target.Met(w.Hash(i + 1000)) {
			want = append(want, i+1000)
		}
	}
	s, err := newScanner(w)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.scan(1000, n, func(nonce uint32) { got = append(got, nonce) }); err != nil {
		t.Fatal(err)
	}
	if len(want) < 20 || !slices.Equal(got, want) {
		t.Errorf("scanner found %d nonces, plain hashing %d", len(got), len(want))
	}
}

func BenchmarkScan(b *testing.B) {
	s, err := newScanner(testWork("1000"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.scan(0, 1, func(uint32) {})
	}
}

func BenchmarkPlain(b *testing.B) {
	w := testWork("1000")
	for b.Loop() {
		w.Hash(1)
	}
}
