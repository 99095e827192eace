package stratum

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Hash is a SHA-256d digest in the order the function produces it, which is a
// little-endian 256-bit number. String shows it the way explorers do.
type Hash [32]byte

// String renders the hash most significant byte first.
func (h Hash) String() string {
	be := h.bigEndian()
	return hex.EncodeToString(be[:])
}

func (h Hash) bigEndian() (be [32]byte) {
	for i, b := range h {
		be[31-i] = b
	}
	return be
}

// Target is the largest hash value that still counts, most significant byte
// first.
type Target [32]byte

// Met reports whether the hash is at or below the target.
func (t Target) Met(h Hash) bool {
	be := h.bigEndian()
	return bytes.Compare(be[:], t[:]) <= 0
}

// Hashes is the expected number of hashes per hash that meets the target,
// floor(2^256 / (target+1)), saturating at the largest uint64.
func (t Target) Hashes() uint64 {
	n := new(big.Int).SetBytes(t[:])
	n.Add(n, big.NewInt(1))
	q := new(big.Int).Lsh(big.NewInt(1), 256)
	q.Quo(q, n)
	if !q.IsUint64() {
		return ^uint64(0)
	}
	return q.Uint64()
}

// TargetOfBits expands the compact target of a block header. It refuses
// negative, zero and overflowing values.
func TargetOfBits(bits uint32) (Target, error) {
	exp, mant := int(bits>>24), bits&0x007fffff
	if bits&0x00800000 != 0 || mant == 0 {
		return Target{}, fmt.Errorf("stratum: compact target %08x is not positive", bits)
	}
	n := big.NewInt(int64(mant))
	if exp >= 3 {
		n.Lsh(n, uint(8*(exp-3)))
	} else {
		n.Rsh(n, uint(8*(3-exp)))
	}
	if n.Sign() == 0 || n.BitLen() > 256 {
		return Target{}, fmt.Errorf("stratum: compact target %08x is out of range", bits)
	}
	var t Target
	n.FillBytes(t[:])
	return t, nil
}

// one is the target of difficulty 1, 0xFFFF * 2^208.
var one = new(big.Int).Lsh(big.NewInt(0xffff), 208)

// Difficulty is an exact positive decimal, mant * 10^exp with no trailing zero
// in mant. Pools send fractions such as 0.001 whose targets a float would
// round; the zero value means "none given".
type Difficulty struct {
	mant uint64
	exp  int8
}

// Limits of an acceptable difficulty: outside them the target would be above
// every hash or below all but a few.
const (
	minExp = -40
	maxExp = 60
)

var errDifficulty = errors.New("stratum: difficulty is not a positive decimal number in range")

// ParseDifficulty reads a JSON number. Digits beyond the nineteenth are
// rounded up, towards the harder target, so that a share found for the parsed
// value is always good enough for the sent one.
func ParseDifficulty(s string) (Difficulty, error) {
	if s == "" || len(s) > 128 {
		return Difficulty{}, errDifficulty
	}
	exp := 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e, err := strconv.Atoi(s[i+1:])
		if err != nil || e < -1000 || e > 1000 {
			return Difficulty{}, errDifficulty
		}
		s, exp = s[:i], e
	}
	whole, frac, dotted := strings.Cut(s, ".")
	if whole == "" || dotted && frac == "" {
		return Difficulty{}, errDifficulty
	}
	exp -= len(frac)
	var mant uint64
	digits, sticky := 0, false
	for _, c := range whole + frac {
		if c < '0' || c > '9' {
			return Difficulty{}, errDifficulty
		}
		switch {
		case digits == 0 && c == '0':
		case digits < 18:
			mant = mant*10 + uint64(c-'0')
			digits++
		default:
			exp++
			sticky = sticky || c != '0'
		}
	}
	if sticky {
		mant++
	}
	return newDifficulty(mant, exp)
}

func newDifficulty(mant uint64, exp int) (Difficulty, error) {
	if mant == 0 {
		return Difficulty{}, errDifficulty
	}
	for mant%10 == 0 {
		mant /= 10
		exp++
	}
	if exp < minExp || exp > maxExp {
		return Difficulty{}, errDifficulty
	}
	return Difficulty{mant: mant, exp: int8(exp)}, nil
}

// MustDifficulty is ParseDifficulty for constants; it panics on a bad one.
func MustDifficulty(s string) Difficulty {
	d, err := ParseDifficulty(s)
	if err != nil {
		panic(err)
	}
	return d
}

// DifficultyOfHashes is the difficulty at which one share is expected every n
// hashes, n/2^32 rounded up to four significant digits. n = 0 counts as 1.
func DifficultyOfHashes(n uint64) Difficulty {
	r := new(big.Int).SetUint64(max(n, 1))
	exp := 0
	// Scale n/2^32 until its integer part has four digits.
	for limit := big.NewInt(1000 << 32); r.Cmp(limit) < 0; exp-- {
		r.Mul(r, big.NewInt(10))
	}
	r.Add(r, big.NewInt(1<<32-1))
	r.Rsh(r, 32)
	mant := r.Uint64() // below 2^32
	for unit := uint64(10); mant > 9999; exp++ {
		mant = (mant + unit - 1) / unit
	}
	d, err := newDifficulty(mant, exp)
	if err != nil { // n is between 1 and 2^64: 10^-10 .. 10^10
		panic(err)
	}
	return d
}

// IsZero reports that no difficulty was given.
func (d Difficulty) IsZero() bool { return d.mant == 0 }

// Target is floor(difficulty-1 target / d), limited to the largest hash.
// The zero Difficulty has the zero Target, which no hash meets.
func (d Difficulty) Target() Target {
	var t Target
	if d.mant == 0 {
		return t
	}
	num, den := new(big.Int).Set(one), new(big.Int).SetUint64(d.mant)
	if d.exp >= 0 {
		den.Mul(den, pow10(int(d.exp)))
	} else {
		num.Mul(num, pow10(-int(d.exp)))
	}
	num.Quo(num, den)
	if num.BitLen() > 256 {
		for i := range t {
			t[i] = 0xff
		}
		return t
	}
	num.FillBytes(t[:])
	return t
}

func pow10(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

// Cmp orders two difficulties: -1, 0 or +1.
func (d Difficulty) Cmp(o Difficulty) int {
	if d.mant == 0 || o.mant == 0 {
		return new(big.Int).SetUint64(d.mant).Cmp(new(big.Int).SetUint64(o.mant))
	}
	a, b := new(big.Int).SetUint64(d.mant), new(big.Int).SetUint64(o.mant)
	if d.exp > o.exp {
		a.Mul(a, pow10(int(d.exp)-int(o.exp)))
	} else {
		b.Mul(b, pow10(int(o.exp)-int(d.exp)))
	}
	return a.Cmp(b)
}

// String is the exact decimal, without an exponent.
func (d Difficulty) String() string {
	s := strconv.FormatUint(d.mant, 10)
	if d.mant == 0 {
		return s
	}
	if d.exp >= 0 {
		return s + strings.Repeat("0", int(d.exp))
	}
	n := -int(d.exp)
	if len(s) <= n {
		s = strings.Repeat("0", n-len(s)+1) + s
	}
	return s[:len(s)-n] + "." + s[len(s)-n:]
}

// MarshalJSON writes the exact decimal as a JSON number.
func (d Difficulty) MarshalJSON() ([]byte, error) { return []byte(d.String()), nil }

// Difficulty is the highest difficulty the hash satisfies, rounded down to
// twelve significant digits. It is for display: share checks use Target.Met.
func (h Hash) Difficulty() Difficulty {
	be := h.bigEndian()
	v := new(big.Int).SetBytes(be[:])
	if v.Sign() == 0 {
		v.SetInt64(1)
	}
	num, exp := new(big.Int).Set(one), 0
	low, high := pow10(11), pow10(12)
	q := new(big.Int).Quo(num, v)
	for q.Cmp(low) < 0 && exp > minExp {
		num.Mul(num, big.NewInt(10))
		q.Quo(num, v)
		exp--
	}
	for q.Cmp(high) >= 0 {
		q.Quo(q, big.NewInt(10))
		exp++
	}
	d, err := newDifficulty(q.Uint64(), exp)
	if err != nil {
		return Difficulty{}
	}
	return d
}
