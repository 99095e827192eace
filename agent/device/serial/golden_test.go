package serial

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/sluice-project/sluice/agent/device/serial/bm"
	"github.com/sluice-project/sluice/agent/stratum"
)

// The worked share: a real job, the frame a BM1370 was given for it, the frame
// it answered with, and what its pool was sent.
const (
	goldenNotify = `["875b4b7",
"6b6455fd6db962c101f2d4fc0d67f4a3bc96391d000152960000000000000000",
"02000000010000000000000000000000000000000000000000000000000000000000000000ffffffff170330c30d5075626c69632d506f6f6c",
"ffffffff02e5b5c61200000000220020984a77c289084ff2d434c316bdada021c6c183d507c8a20d3b159b09ac02fe280000000000000000266a24aa21a9edb98ee50410ed4abd48401ed484fc874409d086a3faf0816136a8ad6168314c5800000000",
["21af451ddb51e887ff1feb5592b87290098565035eb8500031aedcc776d4e72a","c5af269519c809a9546d5a58ca6445d3dbb80cb7045448ecc48309af034da8f8",
"fb9f8f9959f6bb0ceb63fa53aed1d5a615c6b6d3f50a468ea89a45a1234bda74","a4f4fee8e5fc19ca8d93e67b9236c37ddb864982010434745c0abfe9b914980c",
"33092206642744fbe5499c3e621cd5c6b52733e54fbebd869f070082b807f740","3b857e32c5cff4864efab967b9a456ca03b2167ab96bd9076ce294c8a67a7fe2",
"881a07cd881d0c3e590b4b090ea8d58e1439dc56c63686f7de23c47045441e30","315e4dbcc8e7b1c9d594a73978268791880dddb2c26eec8e75768668dad99d80",
"69952b77c632be16b1ac7ac7048f13d4e962b2e215d79a343f01e6e281d7c304","fc63eb4392c4d6c6d689788875fca35143fdcd4f4a82e8698e0e441751a70b4a",
"09e419bbe20aa3a7640f1b91f50599ceddff899e90d3f18951ad5418c4850a6b","004978aa346b4f1880bcadb3ca3792d771ee6aeca427f61e74baba44b75cfb88"],
"20000000","17023a04","685468d7",false]`
	goldenJob = "55aa21566801000000 00043a0217d76854685519a7cb044f88726355919e61a98bcf71a0c28795ea54db8c36414b06ddf5f0" +
		"00000000000000009652010 01d3996bca3f4670dfcd4f201c162b96dfd55646b00000020721c"
	goldenReply  = "aa554c0352750cd205a29c"
	goldenSubmit = `["user","875b4b7","17000000","685468d7","7552034c","00b44000"]`
)

func dehex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(s), []byte(" "), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// From the pool's line to the chip's frame, and from the chip's answer to the
// pool's.
func TestWorkedShare(t *testing.T) {
	m, err := bm.ByName("bm1370")
	if err != nil {
		t.Fatal(err)
	}
	job, err := stratum.ParseNotify(json.RawMessage(goldenNotify))
	if err != nil {
		t.Fatal(err)
	}
	a := stratum.Assignment{Job: job, Extranonce1: dehex(t, "4128064f"), EN2Size: 4, Difficulty: stratum.MustDifficulty("8192"), Mask: 0x1fffe000, Generation: 1}
	w := newWork(m, bm.BaseBits, 1)
	w.setTicket(8)
	w.next, w.count = 0x68, 0x17000000
	j, err := w.renew(a)
	if err != nil {
		t.Fatal(err)
	}
	if frame, err := m.Append(nil, j); err != nil || !bytes.Equal(frame, dehex(t, goldenJob)) {
		t.Fatalf("the job goes out as\n%x, %v, want\n%s", frame, err, goldenJob)
	}

	read := func(w *work, wire []byte) (v verdict) {
		f := bm.NewFramer(m.Framing)
		f.SetLength(m.Framing.Rolling)
		f.Push(wire, func(frame []byte, nested bool) {
			r, err := m.ParseReply(frame)
			if err != nil || !r.IsNonce {
				t.Fatalf("%x is %+v, %v", frame, r, err)
			}
			v = w.judge(find{r.Nonce, nested})
		})
		return v
	}
	v := read(w, append([]byte{0xaa, 0x55, 0xaa}, dehex(t, goldenReply)...))
	if v.share == nil {
		t.Fatalf("no share comes of it: %+v", w.books)
	}
	if v.hashes != 1<<40 {
		t.Errorf("it stands for %d hashes", v.hashes)
	}
	v.share.Worker = "user"
	if got, err := json.Marshal(v.share.Params()); err != nil || string(got) != goldenSubmit {
		t.Errorf("the pool is sent %s, %v, want %s", got, err, goldenSubmit)
	}
	if again := read(w, dehex(t, goldenReply)); again.hashes != 0 || w.books.duplicate != 1 || w.books.good != 1 {
		t.Errorf("the same nonce again: %+v, %+v", again, w.books)
	}

	// Worth nothing at a harder pool, but work all the same.
	w = newWork(m, bm.BaseBits, 1)
	w.setTicket(8)
	w.next, w.count = 0x68, 0x17000000
	a.Difficulty = stratum.MustDifficulty("29589")
	w.renew(a)
	if v := read(w, dehex(t, goldenReply)); v.share != nil || v.hashes != 1<<40 {
		t.Errorf("at difficulty 29589: %+v", v)
	}
}

// Work of an old tip still counts for the chips, and never goes to the pool.
func TestVoidJobs(t *testing.T) {
	m, _ := bm.ByName("bm1370")
	job, err := stratum.ParseNotify(json.RawMessage(goldenNotify))
	if err != nil {
		t.Fatal(err)
	}
	nonce := find{nonce: bm.Nonce{Value: 0x7552034c, Job: 0x68, Lane: 2, Version: 0x05a2 << 13}}
	a := stratum.Assignment{Job: job, Extranonce1: dehex(t, "4128064f"), EN2Size: 4, Difficulty: stratum.MustDifficulty("8192"), Mask: 0x1fffe000, Generation: 1}
	for name, change := range map[string]func(*stratum.Assignment){
		"clean":       func(a *stratum.Assignment) { a.Job.Clean = true },
		"tip":         func(a *stratum.Assignment) { a.Job.PrevHash[3]++ },
		"extranonce1": func(a *stratum.Assignment) { a.Extranonce1 = []byte{1} },
		"nothing":     func(a *stratum.Assignment) {},
	} {
		w := newWork(m, bm.BaseBits, 1)
		w.next, w.count = 0x68, 0x17000000
		w.renew(a)
		b := a
		b.Generation = 2
		change(&b)
		w.renew(b)
		v := w.judge(nonce)
		if v.hashes == 0 {
			t.Errorf("%s: the work is not counted", name)
		}
		if (v.share != nil) != (name == "nothing") {
			t.Errorf("%s: share %v", name, v.share)
		}
	}
	w := newWork(m, bm.BaseBits, 1)
	w.next, w.count = 0x68, 0x17000000
	w.renew(a)
	w.lost()
	if v := w.judge(nonce); v.share != nil {
		t.Error("a share of a lost session is sent")
	}
}

// A chip that is wrong is counted; a frame that may be an accident is not, nor
// is one found under an easier ticket.
func TestBooks(t *testing.T) {
	m, _ := bm.ByName("bm1370")
	job, _ := stratum.ParseNotify(json.RawMessage(goldenNotify))
	a := stratum.Assignment{Job: job, Extranonce1: dehex(t, "4128064f"), EN2Size: 4, Difficulty: stratum.MustDifficulty("8192"), Mask: 0x1fffe000, Generation: 1}
	w := newWork(m, bm.BaseBits, 1)
	w.setTicket(8)
	w.easier = 8
	w.next, w.count = 0x68, 0x17000000
	w.renew(a)
	good := bm.Nonce{Value: 0x7552034c, Job: 0x68, Lane: 2, Version: 0x05a2 << 13}
	bad, foreign, rolled := good, good, good
	bad.Value++
	foreign.Job = 0x18
	rolled.Version |= 1 << 30
	for _, f := range []find{{nonce: bad}, {nonce: bad, nested: true}, {nonce: foreign}, {nonce: rolled}} {
		if v := w.judge(f); v.hashes != 0 {
			t.Errorf("%+v counts", f)
		}
	}
	if w.books.bad != 3 {
		t.Errorf("%d errors, want 3", w.books.bad)
	}
	w.setTicket(20)
	if v := w.judge(find{nonce: good}); v.hashes != 0 || w.books.late != 1 || w.books.bad != 3 {
		t.Errorf("found under an easier ticket: %+v, %+v", v, w.books)
	}
	// An id that was given again while an answer was under way.
	w.setTicket(8)
	w.next = 0x68
	b := a
	b.Generation = 2
	w.renew(b)
	if v := w.judge(find{nonce: good}); v.share == nil {
		t.Errorf("the answer to the job before is lost: %+v", w.books)
	}
}
