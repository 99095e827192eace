package stratum

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"testing"
)

func workedJob(t testing.TB) Job {
	t.Helper()
	j, err := ParseNotify(json.RawMessage(workedNotify))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The chain from a pool's notify to an accepted share, checked at each link
// against bytes captured from real hardware.
func TestWorkedShare(t *testing.T) {
	job := workedJob(t)
	en1 := unhex(t, workedExtranonce1)
	share, err := ParseSubmit(json.RawMessage(workedSubmit))
	if err != nil {
		t.Fatal(err)
	}
	tx := job.Coinbase(en1, share.Extranonce2)
	if len(tx) != 164 {
		t.Errorf("coinbase has %d bytes, want 164", len(tx))
	}
	id := Sum(tx)
	if got := hex.EncodeToString(id[:]); got != workedCoinbase {
		t.Errorf("coinbase hash\n got %s\nwant %s", got, workedCoinbase)
	}
	header := job.Header(en1, share, workedMask)
	if got := hex.EncodeToString(header[:]); got != workedHeader {
		t.Errorf("header\n got %s\nwant %s", got, workedHeader)
	}
	hash := Sum(header[:])
	if hash.String() != workedHash {
		t.Errorf("hash\n got %s\nwant %s", hash, workedHash)
	}
	// 0xFFFF*2^208 divided by the hash is 29588.01397979...
	if got := hash.Difficulty().String(); got != "29588.0139797" {
		t.Errorf("difficulty %s, want 29588.0139797", got)
	}
	for _, tt := range []struct {
		difficulty string
		met        bool
	}{{"8192", true}, {"29588.0139797", true}, {"29588.0139798", false}, {"29589", false}, {"0.001", true}} {
		if got := MustDifficulty(tt.difficulty).Target().Met(hash); got != tt.met {
			t.Errorf("difficulty %s met = %v, want %v", tt.difficulty, got, tt.met)
		}
	}
	w := NewWork(job, en1, share.Extranonce2, MustDifficulty("8192"), workedMask, 0x00b44000)
	if w.Hash(0x7552034c) != hash {
		t.Error("Work.Hash differs from the header's hash")
	}
	mined := w.Share(0x7552034c)
	mined.Worker = "bench"
	if !reflect.DeepEqual(mined, share) {
		t.Errorf("share to submit %+v, want %+v", mined, share)
	}
	raw, err := json.Marshal(mined.Params())
	if err != nil || string(raw) != workedSubmit {
		t.Errorf("submit params %s (%v), want %s", raw, err, workedSubmit)
	}
}

func TestNotifyRoundTrip(t *testing.T) {
	job := workedJob(t)
	raw, err := json.Marshal(job.Params())
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := json.Compact(&want, []byte(workedNotify)); err != nil {
		t.Fatal(err)
	}
	if string(raw) != want.String() {
		t.Errorf("notify params\n got %s\nwant %s", raw, want.String())
	}
}

func TestParseNotifyRefuses(t *testing.T) {
	mutate := func(i int, v any) string {
		var p []any
		if err := json.Unmarshal([]byte(workedNotify), &p); err != nil {
			t.Fatal(err)
		}
		p[i] = v
		raw, _ := json.Marshal(p)
		return string(raw)
	}
	branches := make([]string, maxBranches+1)
	for i := range branches {
		branches[i] = workedCoinbase
	}
	for name, params := range map[string]string{
		"object":          `{}`,
		"too few":         `["1"]`,
		"numeric job id":  mutate(0, 7),
		"empty job id":    mutate(0, ""),
		"short prevhash":  mutate(1, "00"),
		"odd coinbase":    mutate(2, "abc"),
		"branch size":     mutate(4, []string{"00"}),
		"many branches":   mutate(4, branches),
		"numeric version": mutate(5, 1),
		"short bits":      mutate(6, "1702"),
		"clean as text":   mutate(8, "true"),
	} {
		if _, err := ParseNotify(json.RawMessage(params)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseNotify(f *testing.F) {
	f.Add([]byte(workedNotify))
	f.Add([]byte(`["","","","",[],"","","",true]`))
	f.Fuzz(func(t *testing.T, in []byte) {
		j, err := ParseNotify(in)
		if err != nil {
			return
		}
		raw, err := json.Marshal(j.Params())
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseNotify(raw)
		if err != nil || !reflect.DeepEqual(j, again) {
			t.Fatalf("%+v became %+v (%v)", j, again, err)
		}
	})
}

func FuzzParseSubmit(f *testing.F) {
	f.Add([]byte(workedSubmit))
	f.Add([]byte(`["w","1","00","00000000","00000000"]`))
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := ParseSubmit(in)
		if err != nil {
			return
		}
		raw, err := json.Marshal(s.Params())
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseSubmit(raw)
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("%+v became %+v (%v)", s, again, err)
		}
	})
}
