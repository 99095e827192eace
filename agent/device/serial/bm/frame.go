package bm

import "bytes"

// Framing is how a family of chips delimits its frames.
type Framing struct {
	Preamble [2]byte // of commands and jobs; replies have it the other way round
	Reply    int     // bytes of a reply, preamble included
	Rolling  int     // the same once version rolling was configured
}

// framing13xx is that of every chip from the BM1397 on. The BM1397 knows no
// rolling and stays at nine bytes.
var (
	framing1397 = Framing{Preamble: [2]byte{0x55, 0xaa}, Reply: 9, Rolling: 9}
	framing136x = Framing{Preamble: [2]byte{0x55, 0xaa}, Reply: 9, Rolling: 11}
)

const (
	maxReply   = 11
	bufferSize = 4096
)

// Framer finds replies in a stream of bytes. It looks at every preamble with a
// good checksum, also inside a frame it has accepted: a five-bit checksum
// passes one piece of garbage in 32, and a framer that skipped what it took for
// a frame would lose the real one behind it. What comes out twice over is told
// apart later, as every nonce is hashed again by the host. Its memory is fixed.
type Framer struct {
	first, second byte
	length        int
	buf           [bufferSize]byte
	n             int
	covered       int // bytes at the start of buf that belong to a frame already given out

	noise uint64
}

// NewFramer reads frames before version rolling is configured.
func NewFramer(f Framing) *Framer {
	return &Framer{first: f.Preamble[1], second: f.Preamble[0], length: f.Reply}
}

// SetLength changes the length of the frames from the next byte on, to Reply or
// Rolling of the Framing.
func (f *Framer) SetLength(n int) { f.length = min(max(n, 4), maxReply) }

// Noise counts bytes that were part of no frame.
func (f *Framer) Noise() uint64 { return f.noise }

// Push takes what was read and calls emit for each frame, whose bytes are valid
// during the call. nested tells that the frame began inside another one: one of
// the two is an accident.
func (f *Framer) Push(p []byte, emit func(frame []byte, nested bool)) {
	for len(p) > 0 {
		k := copy(f.buf[f.n:], p)
		f.n += k
		p = p[k:]
		f.drop(f.scan(emit))
	}
}

// scan gives out every complete frame and returns how many bytes are done with:
// fewer than a frame's length remain.
func (f *Framer) scan(emit func([]byte, bool)) int {
	buf := f.buf[:f.n]
	for i := 0; ; i++ {
		j := bytes.IndexByte(buf[i:], f.first)
		if j < 0 {
			return len(buf)
		}
		i += j
		if i+1 < len(buf) && buf[i+1] != f.second {
			continue
		}
		if i+f.length > len(buf) {
			return i
		}
		frame := buf[i : i+f.length]
		if crc5Shifted(frame[2:]) != 0 {
			continue
		}
		emit(frame, i < f.covered)
		if i > f.covered {
			f.noise += uint64(i - f.covered)
		}
		f.covered = i + f.length
	}
}

func (f *Framer) drop(n int) {
	if n > f.covered {
		f.noise += uint64(n - f.covered)
	}
	f.covered = max(f.covered-n, 0)
	f.n = copy(f.buf[:], f.buf[n:f.n])
}
