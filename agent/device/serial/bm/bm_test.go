package bm

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"math/bits"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPLL(t *testing.T) {
	for i := range Models {
		m := &Models[i]
		for _, kHz := range append(Ramp(m.MHz*1000), 400_000, 600_000) {
			p, err := m.PLL(kHz)
			if err != nil {
				t.Errorf("%s: %v", m.Name, err)
				continue
			}
			if off := max(p.KHz(), kHz) - min(p.KHz(), kHz); off > kHz/100 {
				t.Errorf("%s: %d kHz for %d", m.Name, p.KHz(), kHz)
			}
			if p.FB < m.Feedback[0] || p.FB > m.Feedback[1] || p.Post1 < p.Post2 {
				t.Errorf("%s: %+v is out of bounds", m.Name, p)
			}
			if back, ok := m.ParsePLL(m.Register(p)); !ok || back != p {
				t.Errorf("%s: %+v reads back as %+v", m.Name, p, back)
			}
		}
		if _, err := m.PLL(5_000_000); err == nil {
			t.Errorf("%s: 5 GHz is accepted", m.Name)
		}
	}
	if r := Ramp(75_000); !slices.Equal(r, []int{56_250, 62_500, 68_750, 75_000}) {
		t.Errorf("ramp %v", r)
	}
}

// The epochs that machines were seen to run with.
func TestEpoch(t *testing.T) {
	for _, c := range []struct {
		model string
		sweep uint32
		want  time.Duration
	}{{"bm1368", 0x15a4, 910 * time.Millisecond}, {"bm1370", 0x1eb5, 1290 * time.Millisecond}, {"bm1366", 0x115a, 1460 * time.Millisecond}, {"bm1362", 0x1381, 1640 * time.Millisecond}} {
		if got := mustModel(c.model).Epoch(c.sweep, 16); got < c.want*99/100 || got > c.want*101/100 {
			t.Errorf("%s: %v, want %v", c.model, got, c.want)
		}
	}
	m := mustModel("bm1370")
	p, err := m.PLL(525_000)
	if err != nil {
		t.Fatal(err)
	}
	// Every nonce of a slice at half the clock, less the guard.
	if got, slice := m.Sweep(p, 65), uint64(1)<<32/128/128; uint64(got)*2*525/25 > slice {
		t.Errorf("a sweep of %d ticks overruns %d nonces", got, slice)
	}
	for i := range Models {
		for _, chips := range []int{1, 4, 128} {
			for _, versions := range []int{0, 2, 16} {
				p, _ := Models[i].PLL(Models[i].MHz * 1000)
				if d := Models[i].JobPeriod(p, chips, versions); d < minPeriod || d > 2*time.Second {
					t.Errorf("%s, %d chips, %d version bits: a job every %v", Models[i].Name, chips, versions, d)
				}
			}
		}
	}
}

func TestTicket(t *testing.T) {
	for n := range 32 {
		if got, ok := ParseTicket(Ticket(n)); !ok || got != n {
			t.Errorf("2^%d reads back as 2^%d, %v", n, got, ok)
		}
	}
	if _, ok := ParseTicket(5); ok {
		t.Error("5 is a ticket mask")
	}
}

func TestTemperature(t *testing.T) {
	if got, ok := MilliC(0x80000000 | 2069); !ok || got < 54_900 || got > 55_100 {
		t.Errorf("%d m°C, %v", got, ok)
	}
	for _, v := range []uint32{2069, 0x80000000, 0x8000ffff} {
		if got, ok := MilliC(v); ok {
			t.Errorf("%08X is taken for %d m°C", v, got)
		}
	}
}

func TestSpread(t *testing.T) {
	for n, want := range []uint32{0, 1 << 13, 1 << 14, 3 << 13} {
		if got := Spread(uint32(n), 0x1fffe000); got != want {
			t.Errorf("version %d is %08x, want %08x", n, got, want)
		}
	}
}

// Every nonce belongs to one chip, all chips have about as many, and a chip
// begins where its offset says.
func TestChips(t *testing.T) {
	for i := range Models {
		m := &Models[i]
		for _, chips := range []int{1, 2, 3, 4, 12, 65} {
			count := make([]int, chips)
			for n := range 1 << 16 {
				c := m.Chip(bits.ReverseBytes32(uint32(n)<<9), chips)
				if c < 0 || c >= chips {
					t.Fatalf("%s: chip %d of %d", m.Name, c, chips)
				}
				count[c]++
			}
			if slices.Min(count) == 0 {
				t.Errorf("%s: of %d chips one has no nonces: %v", m.Name, chips, count)
			}
			for c := range chips {
				if n := bits.ReverseBytes32(Offset(c, chips) & 0xffff << 9); m.ByRange && m.Chip(n, chips) != c {
					t.Errorf("%s: chip %d of %d begins in the range of %d", m.Name, c, chips, m.Chip(n, chips))
				}
			}
		}
	}
}

// The state that goes to a chip is the one SHA-256 has after the block.
func TestMidstates(t *testing.T) {
	m := mustModel("bm1397")
	var j Job
	for i := range j.Header {
		j.Header[i] = byte(i * 7)
	}
	j.Mask = 0x1fffe000
	binary.LittleEndian.PutUint32(j.Header[:], 0x20000000)
	frame, err := m.Append(nil, &j)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	var r Requests
	r.Push(frame, nil, func(f []byte) {
		w, err := m.ParseJob(f)
		if err != nil || len(w.Midstate) != 4 {
			t.Fatalf("%+v, %v", w, err)
		}
		for k, mid := range w.Midstate {
			h := sha256.New()
			if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(State(mid)); err != nil {
				t.Fatal(err)
			}
			h.Write(w.Tail[:])
			h.Write([]byte{1, 2, 3, 4})
			want := j.Solution(m, Nonce{Value: 0x04030201, Lane: byte(k)})
			if sum := sha256.Sum256(want[:]); !bytes.Equal(h.Sum(nil), sum[:]) {
				t.Errorf("midstate %d does not lead to its header", k)
			}
			seen++
		}
	})
	if seen != 4 {
		t.Errorf("%d midstates", seen)
	}
}

func TestIdentify(t *testing.T) {
	m := mustModel("bm1370")
	short, long := m.AppendRegister(nil, Register{Value: 0x13700000}, false), m.AppendRegister(nil, Register{Value: 0x13700000}, true)
	other := mustModel("bm1366").AppendRegister(nil, Register{Value: 0x13660000}, false)
	for _, c := range []struct {
		raw  []byte
		want int
	}{
		{bytes.Repeat(short, 4), 4}, {bytes.Repeat(long, 3), 3}, {slices.Concat([]byte{0xaa}, short, []byte{0xaa, 0x55, 0x13}, long, other), 2},
		{[]byte("no chips here"), 0}, {short[:8], 0},
	} {
		got, n := Identify(c.raw)
		if n != c.want || (n > 0 && got != m) {
			t.Errorf("% X: %d of %v", c.raw, n, got)
		}
	}
}

type found struct {
	frame  []byte
	nested bool
}

func frames(length int, chunks ...[]byte) []found {
	f := NewFramer(framing136x)
	f.SetLength(length)
	var out []found
	for _, c := range chunks {
		f.Push(c, func(b []byte, nested bool) { out = append(out, found{bytes.Clone(b), nested}) })
	}
	return out
}

// Whatever lies between and before frames, and however the bytes arrive, no
// good frame is lost.
func TestFramerLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &Models[rapid.IntRange(0, len(Models)-1).Draw(t, "model")]
		rolling := rapid.Bool().Draw(t, "rolling")
		length := m.Framing.Reply
		if rolling {
			length = m.Framing.Rolling
		}
		// Garbage made of what frames are made of is the hardest.
		garbage := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom([]byte{0xaa, 0x55, 0x13, 0x70, 0}), rapid.Byte()), 0, 40)
		var stream []byte
		var want [][]byte
		for range rapid.IntRange(1, 12).Draw(t, "frames") {
			stream = append(stream, garbage.Draw(t, "garbage")...)
			start := len(stream)
			stream = m.AppendNonce(stream, Nonce{Value: rapid.Uint32().Draw(t, "nonce"), Excess: rapid.Byte().Draw(t, "excess"), Job: rapid.Byte().Draw(t, "job") & m.JobMask >> m.JobUp,
				Version: rapid.Uint32().Draw(t, "version")}, rolling)
			want = append(want, stream[start:])
		}
		f := NewFramer(m.Framing)
		f.SetLength(length)
		var got [][]byte
		for rest := stream; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "chunk")
			f.Push(rest[:n], func(b []byte, _ bool) { got = append(got, bytes.Clone(b)) })
			rest = rest[n:]
		}
		i := 0
		for _, g := range got {
			if i < len(want) && bytes.Equal(g, want[i][:length]) {
				i++
			}
		}
		if i < len(want) {
			t.Fatalf("frame %d, % X, is lost: got % X", i, want[i][:length], got)
		}
	})
}

// A piece of garbage that passes for a frame does not hide the real one that
// begins inside it.
func TestFramerNested(t *testing.T) {
	m := mustModel("bm1370")
	good := m.AppendNonce(nil, Nonce{Value: 0x01020304, Job: 0x68}, true)
	for tail := range 256 {
		stream := append([]byte{0xaa, 0x55, 7, byte(tail), 9}, good...)
		got := frames(11, stream)
		if len(got) == 1 {
			continue
		}
		if len(got) != 2 || got[0].nested || !got[1].nested || !bytes.Equal(got[1].frame, good) {
			t.Errorf("got %+v", got)
		}
		return
	}
	t.Error("no garbage passes for a frame: the test tests nothing")
}

func TestFramerNoise(t *testing.T) {
	f := NewFramer(framing1397)
	m := mustModel("bm1397")
	one := m.AppendRegister(nil, Register{Value: 1}, false)
	for _, b := range slices.Concat([]byte{1, 2, 3}, one, []byte{0xaa}, one, one, []byte{4, 5, 6, 7, 8, 9, 10}) {
		f.Push([]byte{b}, func([]byte, bool) {})
	}
	if f.Noise() != 11 {
		t.Errorf("%d bytes of noise, want 11", f.Noise())
	}
}

func FuzzFramer(f *testing.F) {
	m := mustModel("bm1370")
	nonce := m.AppendNonce(nil, Nonce{Value: 0x7552034c, Job: 0x68, Lane: 2}, true)
	f.Add(nonce, uint8(3), true)
	f.Add(slices.Concat([]byte{0xaa, 0xaa, 0x55}, nonce, nonce[:5]), uint8(1), true)
	f.Add(bytes.Repeat([]byte{0xaa, 0x55}, 3000), uint8(255), false)
	f.Fuzz(func(t *testing.T, data []byte, chunk uint8, long bool) {
		length := 9
		if long {
			length = 11
		}
		whole := frames(length, data)
		var parts [][]byte
		for c := range slices.Chunk(data, int(chunk)+1) {
			parts = append(parts, c)
		}
		split := frames(length, parts...)
		if len(whole) != len(split) {
			t.Fatalf("%d frames in one piece, %d in pieces", len(whole), len(split))
		}
		for i := range whole {
			if !bytes.Equal(whole[i].frame, split[i].frame) || whole[i].nested != split[i].nested {
				t.Fatalf("frame %d differs", i)
			}
			for j := range Models {
				Models[j].ParseReply(whole[i].frame)
			}
		}
		Identify(data)
	})
}

func FuzzRequests(f *testing.F) {
	f.Add(Write(All, RegTicket, 1).Bytes())
	var j Job
	job, _ := mustModel("bm1370").Append(nil, &j)
	f.Add(job)
	job, _ = mustModel("bm1397").Append(nil, &j)
	f.Add(append([]byte{0x55}, job...))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r Requests
		r.Push(data, func(c Command) {
			if !bytes.Contains(data, c.Bytes()[:3]) {
				t.Fatalf("%v was not sent", c)
			}
		}, func(frame []byte) {
			for i := range Models {
				Models[i].ParseJob(frame)
			}
		})
		if len(r.buf) > maxRequest {
			t.Fatalf("holds %d bytes", len(r.buf))
		}
	})
}

func BenchmarkFramer(b *testing.B) {
	m := mustModel("bm1370")
	var stream []byte
	for i := range uint32(4096) {
		stream = m.AppendNonce(stream, Nonce{Value: i * 2654435761, Job: 0x68, Version: i << 13}, true)
	}
	for _, c := range []struct {
		name string
		data []byte
	}{{"frames", stream}, {"noise", bytes.Repeat([]byte{0xaa, 0x55, 1, 0xaa}, len(stream)/4)}} {
		b.Run(c.name, func(b *testing.B) {
			f := NewFramer(m.Framing)
			f.SetLength(11)
			n := 0
			b.SetBytes(int64(len(c.data)))
			for b.Loop() {
				for p := range slices.Chunk(c.data, 512) {
					f.Push(p, func([]byte, bool) { n++ })
				}
			}
		})
	}
}
