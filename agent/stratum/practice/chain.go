package practice

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"

	"github.com/sluice-project/sluice/agent/stratum"
)

// Sizes of the extranonces the pool hands out, in bytes.
const (
	en1Size = 4
	en2Size = 4
)

// Terms of the practice chain.
const (
	chainVersion = 0x20000000
	chainBits    = 0x1d00ffff // difficulty 1: a CPU solves a block now and then, in principle
	keepJobs     = 8          // of the current tip that still take shares
	maxShares    = 1 << 16    // remembered for each job, to bound the memory of a flood
	maxAhead     = 7200       // seconds a share's time may lead the pool's clock
)

// job is one template and the shares it has already paid for.
type job struct {
	stratum.Job
	seen map[[16]byte]struct{} // by the first half of the header hash
}

// chain makes templates. The same seed and the same sequence of calls give the
// same chain: time comes in as an argument and nothing else varies.
type chain struct {
	seed   uint64
	height uint32
	tip    [32]byte
	serial uint64 // of the last job
	jobs   []*job // of the current tip, oldest first
}

func newChain(seed uint64) *chain {
	c := &chain{seed: seed}
	c.tip = c.derive("genesis", 0)
	return c
}

// derive expands the seed into the chain's contents.
func (c *chain) derive(what string, n uint64) [32]byte {
	b := binary.LittleEndian.AppendUint64([]byte("sluice practice chain "), c.seed)
	return sha256.Sum256(binary.LittleEndian.AppendUint64(append(b, what...), n))
}

// advance moves to the next height. With a zero hash another miner is taken to
// have found the block. Every earlier job becomes stale.
func (c *chain) advance(block [32]byte) {
	c.height++
	if block == ([32]byte{}) {
		block = c.derive("block", uint64(c.height))
	}
	c.tip, c.jobs = block, nil
}

// next issues a job at the current tip; unix is its time in seconds. The first
// job of a tip tells miners to drop their earlier work.
func (c *chain) next(unix uint32) *job {
	c.serial++
	j := &job{seen: map[[16]byte]struct{}{}}
	j.Job = stratum.Job{
		ID:       strconv.FormatUint(c.serial, 16),
		PrevHash: c.tip,
		Version:  chainVersion, Bits: chainBits, Time: unix,
		Clean: len(c.jobs) == 0,
	}
	j.Coinb1, j.Coinb2 = coinbase(c.height)
	for i := range uint64(3) {
		j.Branches = append(j.Branches, c.derive("branch", c.serial<<2|i))
	}
	c.jobs = append(c.jobs, j)
	if len(c.jobs) > keepJobs {
		c.jobs = c.jobs[1:]
	}
	return j
}

// find returns the job if it still takes shares.
func (c *chain) find(id string) *job {
	for _, j := range c.jobs {
		if j.ID == id {
			return j
		}
	}
	return nil
}

// current is the newest job.
func (c *chain) current() *job { return c.jobs[len(c.jobs)-1] }

// coinbase is a well-formed transaction around the extranonces, paying nothing
// to an unspendable output so that nobody can mistake it for money.
func coinbase(height uint32) (before, after []byte) {
	const tag = "sluice practice"
	script := 1 + 4 + en1Size + en2Size + len(tag)
	before = binary.LittleEndian.AppendUint32(nil, 1) // version
	before = append(before, 1)                        // inputs
	before = append(before, make([]byte, 32)...)      // no previous output
	before = append(before, 0xff, 0xff, 0xff, 0xff, byte(script), 4)
	before = binary.LittleEndian.AppendUint32(before, height)
	after = append(after, tag...)
	after = append(after, 0xff, 0xff, 0xff, 0xff, 1) // sequence, outputs
	after = append(after, make([]byte, 8)...)        // value
	after = append(after, 1, 0x6a)                   // OP_RETURN
	return before, append(after, 0, 0, 0, 0)         // lock time
}

// verdict is the judgement of one share.
type verdict struct {
	hash  stratum.Hash
	block bool // the share also solves the block
}

// judge verifies a share against its job: the whole header is rebuilt and
// hashed. The terms are those under which the job was sent to this session;
// now is the pool's clock in unix seconds. An accepted share is remembered.
func (j *job) judge(s stratum.Share, en1 []byte, d stratum.Difficulty, mask uint32, now int64) (verdict, *stratum.Error) {
	refuse := func(code stratum.Code, why string) (verdict, *stratum.Error) {
		return verdict{}, &stratum.Error{Code: code, Message: why}
	}
	switch {
	case len(s.Extranonce2) != en2Size:
		return refuse(stratum.CodeOther, "wrong extranonce2 size")
	case s.Time < j.Time || int64(s.Time) > now+maxAhead:
		return refuse(stratum.CodeOther, "time out of range")
	case s.Rolled && mask == 0:
		return refuse(stratum.CodeOther, "version rolling was not agreed")
	case s.VersionBits&^mask != 0:
		return refuse(stratum.CodeOther, "version bits outside the mask")
	}
	header := j.Header(en1, s, mask)
	v := verdict{hash: stratum.Sum(header[:])}
	key := [16]byte(v.hash[:16])
	if _, twice := j.seen[key]; twice {
		return refuse(stratum.CodeDuplicate, "duplicate share")
	}
	if !d.Target().Met(v.hash) {
		return refuse(stratum.CodeLowDifficulty, "low difficulty share")
	}
	if len(j.seen) >= maxShares {
		return refuse(stratum.CodeOther, "this job takes no more shares")
	}
	j.seen[key] = struct{}{}
	if bits, err := stratum.TargetOfBits(j.Bits); err == nil {
		v.block = bits.Met(v.hash)
	}
	return v, nil
}
