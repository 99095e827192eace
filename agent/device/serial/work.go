package serial

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/sluice-project/sluice/agent/device/serial/bm"
	"github.com/sluice-project/sluice/agent/stratum"
)

// work is what the chips have been given and what came of it. It is pure: one
// goroutine owns it, time is an argument.
type work struct {
	model *bm.Model
	base  int // zero bits of every nonce
	// ticket is how many more are asked for; easier is the lowest that a nonce
	// still under way may have been found under.
	ticket, easier int

	next   int    // id of the next job, a multiple of the model's step
	count  uint64 // extranonce 2 of the next job
	tip    [32]byte
	en1    []byte
	latest uint64 // generation of the newest assignment
	slots  map[byte]*[2]*given

	books books
}

// books count what the chips returned.
type books struct {
	good, bad, duplicate, late uint64
	perChip                    []uint64
}

// given is one job that the chips may still find nonces for.
type given struct {
	job    bm.Job
	from   stratum.Assignment
	en2    []byte
	target stratum.Target
	void   bool // the pool wants no shares of it any more
	seen   map[uint64]struct{}
}

func newWork(m *bm.Model, base, chips int) *work {
	return &work{model: m, base: base, slots: map[byte]*[2]*given{}, books: books{perChip: make([]uint64, chips)}}
}

// maxSeen bounds the nonces remembered for a job; one that has more is so far
// beyond its time that what else it brings is not worth a share.
const maxSeen = 1 << 16

// renew makes the next job of an assignment. A new tip, new extranonce or the
// pool's word voids all earlier ones.
func (w *work) renew(a stratum.Assignment) (*bm.Job, error) {
	if a.Generation != w.latest {
		if a.Job.Clean || a.Job.PrevHash != w.tip || !bytes.Equal(a.Extranonce1, w.en1) {
			w.void()
		}
		w.latest, w.tip, w.en1 = a.Generation, a.Job.PrevHash, a.Extranonce1
	}
	en2 := make([]byte, a.EN2Size)
	for i, v := len(en2)-1, w.count; i >= 0; i, v = i-1, v>>8 {
		en2[i] = byte(v)
	}
	w.count++
	mask := bm.RollMask(a.Mask)
	t := stratum.NewWork(a.Job, a.Extranonce1, en2, a.Difficulty, a.Mask, 0)
	g := &given{job: bm.Job{ID: byte(w.next), Header: t.Header, Mask: mask}, from: a, en2: en2, target: t.Target, seen: map[uint64]struct{}{}}
	w.next = (w.next + w.model.JobStep) % 128
	slot := w.slots[g.job.ID]
	if slot == nil {
		slot = new([2]*given)
		w.slots[g.job.ID] = slot
	}
	// The job that had the id before may still have nonces under way.
	slot[1], slot[0] = slot[0], g
	return &g.job, nil
}

// void marks every job as worth no share.
func (w *work) void() {
	for _, s := range w.slots {
		for _, g := range s {
			if g != nil {
				g.void = true
			}
		}
	}
}

// lost is what to do when there is no pool: its jobs are void, and work goes on
// as a new session's.
func (w *work) lost() { w.void(); w.latest = 0 }

// setTicket notes a new ticket; nonces of the old one may still come in.
func (w *work) setTicket(n int) { w.easier, w.ticket = min(w.ticket, n), n }

// ticketFor chooses the ticket: about one nonce a second of each chip, but no
// harder than a share of the pool. perChip is hashes/s of silicon's scale as
// these chips have it.
func ticketFor(base int, perChip uint64, d stratum.Difficulty) int {
	want := bits.Len64(perChip) - 1
	share := bits.Len64(d.Target().Hashes()) - 1
	return min(max(min(want, share)-base, 0), 31)
}

// verdict of one nonce.
type verdict struct {
	hashes uint64 // that it stands for; 0 = none
	share  *share
}

// share is worth sending to the pool.
type share struct {
	from stratum.Assignment
	stratum.Share
}

// judge hashes a nonce again: the chips are not believed.
func (w *work) judge(f find) verdict {
	slot := w.slots[f.nonce.Job]
	if slot == nil {
		w.wrong(f)
		return verdict{}
	}
	for _, g := range slot {
		if g == nil || w.model.Job == bm.FullHeader && f.nonce.Version&^g.job.Mask != 0 {
			continue
		}
		header := g.job.Solution(w.model, f.nonce)
		hash := stratum.Sum(header[:])
		zeros := leadingZeros(hash)
		if zeros < w.base+w.easier {
			continue
		}
		if zeros < w.base+w.ticket {
			w.books.late++ // found before the ticket was made harder
			return verdict{}
		}
		key := uint64(binary.LittleEndian.Uint32(header[:]))<<32 | uint64(f.nonce.Value)
		if _, twice := g.seen[key]; twice || len(g.seen) >= maxSeen {
			w.books.duplicate++
			return verdict{}
		}
		g.seen[key] = struct{}{}
		w.books.good++
		w.books.perChip[w.model.Chip(f.nonce.Value, len(w.books.perChip))]++
		v := verdict{hashes: 1 << min(w.base+w.ticket, 63)}
		if !g.void && g.target.Met(hash) {
			v.share = &share{g.from, stratum.Share{JobID: g.from.Job.ID, Extranonce2: g.en2, Time: g.from.Job.Time, Nonce: f.nonce.Value}}
			if g.from.Mask != 0 {
				v.share.Rolled, v.share.VersionBits = true, binary.LittleEndian.Uint32(header[:])&g.from.Mask
			}
		}
		return v
	}
	w.wrong(f)
	return verdict{}
}

// wrong counts a hardware error. Not where the frame began inside another:
// then one of the two is an accident of the line.
func (w *work) wrong(f find) {
	if !f.nested {
		w.books.bad++
	}
}

func leadingZeros(h stratum.Hash) int {
	n := 0
	for i := 24; i >= 0; i -= 8 {
		z := bits.LeadingZeros64(binary.LittleEndian.Uint64(h[i:]))
		n += z
		if z < 64 {
			break
		}
	}
	return n
}
