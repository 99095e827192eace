package stratum

import (
	"encoding/hex"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDifficultyText(t *testing.T) {
	for in, want := range map[string]string{
		"1": "1", "8192": "8192", "8192.0": "8192", "0.001": "0.001", "1e-3": "0.001", "65536e2": "6553600",
		"0.00023283064365386963": "0.000232830643653869630", "2.5E+3": "2500",
		// The 19th digit rounds up.
		"1.0000000000000000001": "1.00000000000000001",
	} {
		d, err := ParseDifficulty(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
		} else if got := d.String(); got != strings.TrimRight(want, "0") && got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	for _, in := range []string{"", "0", "-1", "0.0", "1.", ".5", "x", "1e", "1e999", "1e-999", "NaN", "1e99999999999999999999",
		"0x10", "1_0", strings.Repeat("9", 129)} {
		if d, err := ParseDifficulty(in); err == nil {
			t.Errorf("%q: accepted as %s", in, d)
		}
	}
}

func TestTargets(t *testing.T) {
	for d, want := range map[string]string{
		"1":     "00000000ffff" + strings.Repeat("0", 52),
		"0.5":   "00000001fffe" + strings.Repeat("0", 52),
		"2":     "000000007fff8" + strings.Repeat("0", 51),
		"65535": "000000000001" + strings.Repeat("0", 52),
		"1e-30": strings.Repeat("f", 64),
	} {
		got := MustDifficulty(d).Target()
		if hex.EncodeToString(got[:]) != want {
			t.Errorf("difficulty %s: target %x, want %s", d, got, want)
		}
	}
	if (Target{}) != (Difficulty{}).Target() {
		t.Error("no difficulty must have the target no hash meets")
	}
	if n := MustDifficulty("1").Target().Hashes(); n != 0x100010000 && n != 0x100010001 {
		t.Errorf("difficulty 1 expects %#x hashes", n)
	}
	bits, err := TargetOfBits(0x1d00ffff)
	if err != nil || bits != MustDifficulty("1").Target() {
		t.Errorf("bits 1d00ffff: %x, %v", bits, err)
	}
	for _, b := range []uint32{0, 0x1d800000, 0x1d000000, 0xff00ffff, 0x00123456} {
		if _, err := TargetOfBits(b); err == nil {
			t.Errorf("bits %08x accepted", b)
		}
	}
}

// A hash equal to the target counts; one above does not.
func TestTargetBoundary(t *testing.T) {
	tgt := MustDifficulty("8192").Target()
	var h Hash
	for i, b := range tgt {
		h[31-i] = b
	}
	if !tgt.Met(h) {
		t.Error("a hash equal to the target must count")
	}
	h[0]++
	if tgt.Met(h) {
		t.Error("a hash above the target must not count")
	}
}

// Parsing never yields an easier target than the exact decimal, and the error
// of dropping digits is below one part in 10^17.
func TestTargetIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[1-9][0-9]{0,9}(\.[0-9]{1,25})?`).Draw(t, "difficulty")
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatal(s)
		}
		exact := new(big.Rat).SetInt(one)
		exact.Quo(exact, r)
		floor := new(big.Int).Quo(exact.Num(), exact.Denom())
		tgt := MustDifficulty(s).Target()
		got := new(big.Int).SetBytes(tgt[:])
		if got.Cmp(floor) > 0 {
			t.Fatalf("%s: target above the exact one", s)
		}
		slack := new(big.Int).Quo(floor, pow10(16))
		if slack.Add(slack, got).Cmp(floor) < 0 {
			t.Fatalf("%s: target too hard", s)
		}
	})
}

func TestDifficultyOfHashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(1000, 1<<60).Draw(t, "hashes")
		got := DifficultyOfHashes(n).Target().Hashes()
		if got < n || got > n+n/500 {
			t.Fatalf("%d hashes became a share every %d", n, got)
		}
	})
	if DifficultyOfHashes(0) != DifficultyOfHashes(1) {
		t.Error("zero hashes must count as one")
	}
}

func TestDifficultyOrder(t *testing.T) {
	order := []string{"0.0001", "0.00011", "0.5", "1", "1.5", "20", "100", "1e9"}
	for i, a := range order {
		for j, b := range order {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := MustDifficulty(a).Cmp(MustDifficulty(b)); got != want {
				t.Errorf("%s cmp %s = %d", a, b, got)
			}
		}
	}
}

func FuzzParseDifficulty(f *testing.F) {
	for _, s := range []string{"1", "0.001", "1e-9", "1e60", "99999999999999999999", "-0", "1.e1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDifficulty(s)
		if err != nil {
			return
		}
		again, err := ParseDifficulty(d.String())
		if err != nil || again != d {
			t.Fatalf("%q -> %s -> %s (%v)", s, d, again, err)
		}
	})
}
