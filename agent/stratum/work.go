package stratum

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// HeaderSize is the length of a block header in bytes.
const HeaderSize = 80

// Bounds on what a pool may put into a job.
const (
	maxJobID    = 128
	maxBranches = 32
	maxEN1      = 64
	maxEN2      = 16
)

// Sum is SHA-256 applied twice.
func Sum(b []byte) Hash {
	first := sha256.Sum256(b)
	return sha256.Sum256(first[:])
}

// Job is the content of one mining.notify, with hashes in header order.
type Job struct {
	ID       string
	PrevHash [32]byte
	Coinb1   []byte
	Coinb2   []byte
	Branches [][32]byte
	Version  uint32
	Bits     uint32
	Time     uint32
	Clean    bool // earlier jobs are void
}

// SwapWords reverses the bytes inside each 4-byte word. The wire carries the
// previous hash in that form; the function is its own inverse.
func SwapWords(in [32]byte) (out [32]byte) {
	for i := range in {
		out[i&^3|3-i&3] = in[i]
	}
	return out
}

// ParseNotify reads the params of mining.notify. It fails with a *FormatError.
func ParseNotify(params json.RawMessage) (Job, error) {
	var p []json.RawMessage
	if err := json.Unmarshal(params, &p); err != nil || len(p) < 9 {
		return Job{}, badf("notify needs nine params")
	}
	var j Job
	var err error
	if j.ID, err = text(p[0], maxJobID); err != nil {
		return Job{}, badf("notify job id: %v", err)
	}
	prev, err := fixedHex(p[1], 32)
	if err != nil {
		return Job{}, badf("notify previous hash: %v", err)
	}
	j.PrevHash = SwapWords([32]byte(prev))
	if j.Coinb1, err = anyHex(p[2], MaxLine); err != nil {
		return Job{}, badf("notify coinbase 1: %v", err)
	}
	if j.Coinb2, err = anyHex(p[3], MaxLine); err != nil {
		return Job{}, badf("notify coinbase 2: %v", err)
	}
	var branches []json.RawMessage
	if err := json.Unmarshal(p[4], &branches); err != nil || len(branches) > maxBranches {
		return Job{}, badf("notify merkle branches: not an array of at most %d", maxBranches)
	}
	for i, raw := range branches {
		b, err := fixedHex(raw, 32)
		if err != nil {
			return Job{}, badf("notify merkle branch %d: %v", i, err)
		}
		j.Branches = append(j.Branches, [32]byte(b))
	}
	for i, dst := range []*uint32{&j.Version, &j.Bits, &j.Time} {
		if *dst, err = word(p[5+i]); err != nil {
			return Job{}, badf("notify param %d: %v", 5+i, err)
		}
	}
	if err := json.Unmarshal(p[8], &j.Clean); err != nil {
		return Job{}, badf("notify clean flag is not a boolean")
	}
	return j, nil
}

// Params is the inverse of ParseNotify.
func (j Job) Params() []any {
	prev := SwapWords(j.PrevHash)
	branches := make([]string, len(j.Branches))
	for i, b := range j.Branches {
		branches[i] = hex.EncodeToString(b[:])
	}
	return []any{
		j.ID, hex.EncodeToString(prev[:]), hex.EncodeToString(j.Coinb1), hex.EncodeToString(j.Coinb2),
		branches, hex32(j.Version), hex32(j.Bits), hex32(j.Time), j.Clean,
	}
}

// Coinbase is the transaction a miner completes with its two extranonces.
func (j Job) Coinbase(en1, en2 []byte) []byte {
	tx := make([]byte, 0, len(j.Coinb1)+len(en1)+len(en2)+len(j.Coinb2))
	tx = append(append(tx, j.Coinb1...), en1...)
	return append(append(tx, en2...), j.Coinb2...)
}

// MerkleRoot folds the branches over the coinbase, in header order.
func (j Job) MerkleRoot(en1, en2 []byte) [32]byte {
	root := Sum(j.Coinbase(en1, en2))
	var pair [64]byte
	for _, b := range j.Branches {
		copy(pair[:32], root[:])
		copy(pair[32:], b[:])
		root = Sum(pair[:])
	}
	return root
}

// Share is one candidate solution. VersionBits are the rolled bits only, and
// Rolled says whether they are sent at all.
type Share struct {
	Worker      string
	JobID       string
	Extranonce2 []byte
	Time        uint32
	Nonce       uint32
	VersionBits uint32
	Rolled      bool
}

// Params is the params array of mining.submit.
func (s Share) Params() []any {
	p := []any{s.Worker, s.JobID, hex.EncodeToString(s.Extranonce2), hex32(s.Time), hex32(s.Nonce)}
	if s.Rolled {
		p = append(p, hex32(s.VersionBits))
	}
	return p
}

// ParseSubmit reads the params of mining.submit. It fails with a *FormatError.
func ParseSubmit(params json.RawMessage) (Share, error) {
	var p []json.RawMessage
	if err := json.Unmarshal(params, &p); err != nil || len(p) < 5 || len(p) > 6 {
		return Share{}, badf("submit needs five or six params")
	}
	var s Share
	var err error
	if s.Worker, err = text(p[0], maxJobID); err != nil {
		return Share{}, badf("submit worker: %v", err)
	}
	if s.JobID, err = text(p[1], maxJobID); err != nil {
		return Share{}, badf("submit job id: %v", err)
	}
	if s.Extranonce2, err = anyHex(p[2], maxEN2); err != nil {
		return Share{}, badf("submit extranonce2: %v", err)
	}
	if s.Time, err = word(p[3]); err != nil {
		return Share{}, badf("submit time: %v", err)
	}
	if s.Nonce, err = word(p[4]); err != nil {
		return Share{}, badf("submit nonce: %v", err)
	}
	if len(p) == 6 {
		s.Rolled = true
		if s.VersionBits, err = word(p[5]); err != nil {
			return Share{}, badf("submit version bits: %v", err)
		}
	}
	return s, nil
}

// Header completes a job with a share into the 80 bytes that are hashed.
// Version bits outside mask are ignored.
func (j Job) Header(en1 []byte, s Share, mask uint32) (h [HeaderSize]byte) {
	version := j.Version
	if s.Rolled {
		version = version&^mask | s.VersionBits&mask
	}
	root := j.MerkleRoot(en1, s.Extranonce2)
	binary.LittleEndian.PutUint32(h[0:], version)
	copy(h[4:36], j.PrevHash[:])
	copy(h[36:68], root[:])
	binary.LittleEndian.PutUint32(h[68:], s.Time)
	binary.LittleEndian.PutUint32(h[72:], j.Bits)
	binary.LittleEndian.PutUint32(h[76:], s.Nonce)
	return h
}

// Work is one header template to scan: every nonce, and the share that a good
// nonce becomes. Target is the share target at the pool's difficulty.
type Work struct {
	Header [HeaderSize]byte // nonce field zero
	Target Target
	share  Share
}

// NewWork prepares a job for scanning. VersionBits outside mask are dropped;
// with a zero mask none are sent.
func NewWork(j Job, en1, en2 []byte, d Difficulty, mask, versionBits uint32) Work {
	s := Share{JobID: j.ID, Extranonce2: append([]byte(nil), en2...), Time: j.Time}
	if mask != 0 {
		s.Rolled, s.VersionBits = true, versionBits&mask
	}
	return Work{Header: j.Header(en1, s, mask), Target: d.Target(), share: s}
}

// Hash is the digest of the header with the given nonce.
func (w *Work) Hash(nonce uint32) Hash {
	h := w.Header
	binary.LittleEndian.PutUint32(h[76:], nonce)
	return Sum(h[:])
}

// Share is what to submit for a nonce whose hash meets the target.
func (w *Work) Share(nonce uint32) Share {
	s := w.share
	s.Nonce = nonce
	return s
}

func hex32(v uint32) string { return fmt.Sprintf("%08x", v) }

func text(raw json.RawMessage, limit int) (string, error) {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", fmt.Errorf("not a string")
	}
	if s == "" || len(s) > limit {
		return "", fmt.Errorf("length %d not in 1..%d", len(s), limit)
	}
	return s, nil
}

func anyHex(raw json.RawMessage, limit int) ([]byte, error) {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("not a string")
	}
	if len(s) > 2*limit {
		return nil, fmt.Errorf("longer than %d bytes", limit)
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("not hexadecimal")
	}
	return b, nil
}

func fixedHex(raw json.RawMessage, size int) ([]byte, error) {
	b, err := anyHex(raw, size)
	if err == nil && len(b) != size {
		err = fmt.Errorf("%d bytes, want %d", len(b), size)
	}
	return b, err
}

func word(raw json.RawMessage) (uint32, error) {
	b, err := fixedHex(raw, 4)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b), nil
}
