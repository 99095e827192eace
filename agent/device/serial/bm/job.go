package bm

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
)

// HeaderSize is the length of a block header in bytes.
const HeaderSize = 80

// Job is one piece of work for a chain: a header whose nonce, and the version
// bits within Mask, the chips fill in.
type Job struct {
	ID     byte
	Header [HeaderSize]byte // bits of Mask and nonce are zero
	Mask   uint32           // version bits to roll
}

// Version is the header's with the bits of the k-th midstate.
func (j *Job) Version(k int) uint32 {
	return binary.LittleEndian.Uint32(j.Header[:]) | Spread(uint32(k), j.Mask)
}

// Solution is the header that a nonce completes.
func (j *Job) Solution(m *Model, n Nonce) [HeaderSize]byte {
	h := j.Header
	v := binary.LittleEndian.Uint32(h[:])
	if m.Job == Midstates {
		v = j.Version(int(n.Lane))
	} else {
		v |= n.Version
	}
	binary.LittleEndian.PutUint32(h[:], v)
	binary.LittleEndian.PutUint32(h[76:], n.Value)
	return h
}

// Append adds the job's frame to b.
func (m *Model) Append(b []byte, j *Job) ([]byte, error) {
	b = append(b, 0x55, 0xaa)
	start := len(b)
	h := &j.Header
	if m.Job == FullHeader {
		b = append(b, kindJob, 0x56, j.ID, 1)
		b = append(b, 0, 0, 0, 0)
		b = append(b, h[72:76]...)
		b = append(b, h[68:72]...)
		b = appendReversedWords(b, h[36:68])
		b = appendReversedWords(b, h[4:36])
		b = append(b, h[0:4]...)
		return binary.BigEndian.AppendUint16(b, CRC16(b[start:])), nil
	}
	n, length := m.MidstatesFor(onesCount(j.Mask)), byte(0x36)
	if n == 4 {
		length = 0x96
	}
	b = append(b, kindJob, length, j.ID, byte(n), 0, 0, 0, 0)
	b = append(b, h[72:76]...)
	b = append(b, h[68:72]...)
	b = append(b, h[64:68]...)
	for k := range n {
		var first [64]byte
		copy(first[:], h[:64])
		binary.LittleEndian.PutUint32(first[:], j.Version(k))
		state, err := midstate(first[:])
		if err != nil {
			return nil, err
		}
		b = append(b, state[:]...)
	}
	return binary.BigEndian.AppendUint16(b, CRC16(b[start:])), nil
}

func onesCount(v uint32) (n int) {
	for ; v != 0; v &= v - 1 {
		n++
	}
	return n
}

// appendReversedWords adds eight words, last first, each as it is.
func appendReversedWords(b, words []byte) []byte {
	for i := 28; i >= 0; i -= 4 {
		b = append(b, words[i:i+4]...)
	}
	return b
}

// sha256Magic begins a saved state of crypto/sha256; eight words follow.
const sha256Magic = "sha\x03"

// midstate is the state of SHA-256 after one block, last word first, each word
// most significant byte first.
func midstate(block []byte) (out [32]byte, err error) {
	h := sha256.New()
	h.Write(block)
	saved, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil || len(saved) < 36 || string(saved[:4]) != sha256Magic {
		return out, fmt.Errorf("bm: this SHA-256 does not show its state: %w", err)
	}
	copy(out[:], appendReversedWords(nil, saved[4:36]))
	return out, nil
}

// Work is a job as a chip reads it.
type Work struct {
	ID       byte
	Full     bool
	Header   [HeaderSize]byte // of a full-header job
	Tail     [12]byte         // header bytes 64-75 of a midstate job
	Midstate [][32]byte       // saved SHA-256 states as sent
}

// ErrJob tells that a job's frame cannot be one.
var ErrJob = errors.New("bm: not a job")

// ParseJob reads a job's frame without preamble and checksum: the chip's side.
func (m *Model) ParseJob(frame []byte) (Work, error) {
	if len(frame) < 20 || frame[0] != kindJob {
		return Work{}, ErrJob
	}
	w := Work{ID: frame[2], Full: m.Job == FullHeader}
	if w.Full {
		if len(frame) != 84 {
			return Work{}, ErrJob
		}
		h := w.Header[:0]
		h = append(h, frame[80:84]...)
		h = appendReversedWords(h, frame[48:80])
		appendReversedWords(h, frame[16:48])
		copy(w.Header[68:], frame[12:16])
		copy(w.Header[72:], frame[8:12])
		return w, nil
	}
	n := int(frame[3])
	if n != 1 && n != 4 || len(frame) != 20+32*n {
		return Work{}, ErrJob
	}
	copy(w.Tail[0:], frame[16:20])
	copy(w.Tail[4:], frame[12:16])
	copy(w.Tail[8:], frame[8:12])
	for k := range n {
		w.Midstate = append(w.Midstate, [32]byte(frame[20+32*k:]))
	}
	return w, nil
}

// State turns a midstate as sent into what crypto/sha256 restores.
func State(mid [32]byte) []byte {
	s := append([]byte(sha256Magic), appendReversedWords(nil, mid[:])...)
	s = append(s, make([]byte, 64)...)
	return binary.BigEndian.AppendUint64(s, 64)
}
