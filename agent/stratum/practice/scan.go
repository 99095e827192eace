package practice

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"fmt"
	"hash"

	"github.com/sluice-project/sluice/agent/stratum"
)

// scanner hashes the nonces of one work. The first 64 of the 80 header bytes
// are the same for all of them, so their SHA-256 state is computed once: two
// compressions a hash are left of three.
type scanner struct {
	work     stratum.Work
	midstate []byte
	inner    hash.Hash
	restore  encoding.BinaryUnmarshaler
	tail     [16]byte
	sum      [sha256.Size]byte
	top      [8]byte // the target's first bytes: almost every hash fails on them
}

func newScanner(w stratum.Work) (*scanner, error) {
	s := &scanner{work: w, inner: sha256.New()}
	s.inner.Write(w.Header[:64])
	m, ok := s.inner.(encoding.BinaryMarshaler)
	if !ok {
		return nil, fmt.Errorf("practice: this SHA-256 cannot save its state")
	}
	var err error
	if s.midstate, err = m.MarshalBinary(); err != nil {
		return nil, fmt.Errorf("practice: save the SHA-256 state: %w", err)
	}
	if s.restore, ok = s.inner.(encoding.BinaryUnmarshaler); !ok {
		return nil, fmt.Errorf("practice: this SHA-256 cannot restore its state")
	}
	copy(s.tail[:], w.Header[64:])
	copy(s.top[:], w.Target[:8])
	return s, nil
}

// scan hashes the nonces [from, from+n) and calls found for each whose hash
// meets the target. It allocates nothing.
func (s *scanner) scan(from, n uint32, found func(nonce uint32)) error {
	limit := binary.BigEndian.Uint64(s.top[:])
	for i := range n {
		nonce := from + i
		binary.LittleEndian.PutUint32(s.tail[12:], nonce)
		if err := s.restore.UnmarshalBinary(s.midstate); err != nil {
			return fmt.Errorf("practice: restore the SHA-256 state: %w", err)
		}
		s.inner.Write(s.tail[:])
		h := stratum.Hash(sha256.Sum256(s.inner.Sum(s.sum[:0])))
		if binary.LittleEndian.Uint64(h[24:]) > limit {
			continue
		}
		if s.work.Target.Met(h) {
			found(nonce)
		}
	}
	return nil
}
