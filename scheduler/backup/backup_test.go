package backup

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/scheduler/history"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

func sample(t testing.TB) []byte {
	s := state.New()
	s.Apply(7, state.Command{Version: state.SchemaVersion, At: 1_700_000_000_000, Wall: 1_700_000_000_000,
		Submit: &state.JobSubmitted{Spec: workload.Spec{Name: "a", Gang: workload.Gang{GPUs: 1}, Run: workload.Run{Command: []string{"true"}}}}})
	var b bytes.Buffer
	if err := Write(&b, Header{Cluster: "c", Server: "s1", Index: 7, Term: 3, Wall: 5}, Body{history.Head{Index: 7, Hash: history.Hash{1}}, s}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, data []byte) (*File, error) {
	name := filepath.Join(t.TempDir(), "b")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return Open(name)
}

func TestRoundTrip(t *testing.T) {
	f, err := open(t, sample(t))
	if err != nil {
		t.Fatal(err)
	}
	if f.Term != 3 || f.Index != 7 || f.History.Hash != (history.Hash{1}) || f.State.Wall != 1_700_000_000_000 || len(f.SHA256) != 64 {
		t.Errorf("%+v", f)
	}
}

// Every byte counts: a file with one changed, or cut anywhere, is refused whole.
func TestDamageIsFound(t *testing.T) {
	good := sample(t)
	for at := 0; at < len(good); at += 1 + len(good)/97 {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		if _, err := open(t, bad); workload.KindOf(err) != workload.Invalid {
			t.Fatalf("byte %d changed: %v", at, err)
		}
		if _, err := open(t, good[:at]); workload.KindOf(err) != workload.Invalid {
			t.Fatalf("cut at %d: %v", at, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); workload.KindOf(err) != workload.NotFound {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	good := sample(f)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(format + "{}\n{}\n{}\nsha256 " + strings.Repeat("0", 64) + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if out, err := read(bytes.NewReader(data), int64(len(data))); err == nil && out.State == nil {
			t.Error("a backup without a state")
		}
	})
}
