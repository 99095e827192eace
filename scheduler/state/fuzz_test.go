package state

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/workload"
)

func TestDecodeIsStrict(t *testing.T) {
	good := Command{Version: 1, Request: "r", At: 1, Policy: &PolicyChanged{Revision: 1, Documents: policy()}}
	data, err := Encode(good)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := Decode(data); err != nil || back.Policy.Documents.Len() != 4 {
		t.Fatalf("%+v %v", back, err)
	}
	text := string(data)
	for name, bad := range map[string]string{
		"unknown field":             strings.Replace(text, `"req"`, `"new":1,"req"`, 1),
		"unknown field of a body":   strings.Replace(text, `"revision"`, `"new":1,"revision"`, 1),
		"unknown field of a policy": strings.Replace(text, `"idle"`, `"new":1,"idle"`, 1),
		"unknown kind of document":  strings.Replace(text, `"site":{`, `"place":{`, 1),
		"document without body":     `{"v":1,"policy":{"documents":[{"kind":"Coin","name":"x"}]}}`,
		"later schema":              strings.Replace(text, `"v":1`, `"v":2`, 1),
		"two commands":              text + text,
		"no command":                "",
		"half a command":            text[:len(text)-1],
		"a float":                   `{"v":1,"at":1.5}`,
		"too large a number":        `{"v":1,"at":9223372036854775808}`,
	} {
		if bad == text {
			t.Fatalf("%s: the text is the good one", name)
		}
		if _, err := Decode([]byte(bad)); err == nil || workload.KindOf(err) != workload.Internal || workload.NextOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestACommandHasOneBody(t *testing.T) {
	for _, c := range []Command{{}, {Consume: &TokenConsumed{}, Cancel: &JobCancelled{}}} {
		s := New()
		if r := s.Apply(1, c); r.Error == "" || r.Kind != workload.Internal {
			t.Errorf("%+v", r)
		}
	}
}

// FuzzApply lets any bytes follow a short history: never a panic, never a
// broken invariant, and what is saved loads again.
func FuzzApply(f *testing.F) {
	c := newCluster(f)
	c.do(Command{Policy: &PolicyChanged{Revision: 1, Documents: policy()}})
	c.register("n1", 2)
	c.register("n2", 1)
	c.submit("a", 2)
	c.submit("b", 1)
	c.run(1, "n1/0", "n1/1")
	c.start(2, "n2/0")
	seed := func(cmd Command) {
		cmd.Version, cmd.At, cmd.Wall = 1, c.at, c.at
		data, err := json.Marshal(cmd)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, data := range c.log {
		f.Add(data)
	}
	seed(Command{Plan: &Plan{Stops: []Stop{{Group: 1, Job: 1, Attempt: 1}}, Moves: []Move{c.mine("n2/0")}, Waits: []Wait{{Job: 2}}, Reasons: []DeviceReason{{Device: "n1/0"}}}})
	seed(Command{Quotes: &QuotesObserved{Energy: energy(-5)}})
	seed(Command{Silent: &NodesSilent{Nodes: []workload.NodeID{"n1"}}})
	seed(Command{Fence: &NodeFenced{Node: "n1", Boot: "boot-1"}})
	seed(Command{Lost: &AttemptLost{Job: 1, Attempt: 1}})
	seed(Command{Cancel: &JobCancelled{Job: 1}})
	seed(Command{Devices: &DevicesChanged{Node: "n1", Devices: []workload.Device{gpu("n1", 0)}}})
	seed(Command{Token: &TokenIssued{ID: "t"}})
	seed(Command{Consume: &TokenConsumed{ID: "t"}})
	seed(Command{Events: &WorkloadsReported{Node: "n1", Events: []WorkloadEvent{{Seq: 99, Kind: EventExited, Device: "n1/0", Job: 1, Attempt: 1, Code: 1}}}})
	f.Add([]byte(`{"v":1,"quotes":{"observations":[{"feed":"kas","value":9223372036854775807,"scale":255,"unit":"micro_per_hour","at":-9223372036854775808}]}}`))
	f.Add([]byte(`{"v":1,"plan":{"starts":[{"job":2,"devices":[{"device":"/"},{"device":""}]}]}}`))
	log := c.log
	f.Fuzz(func(t *testing.T, data []byte) {
		last, err := Decode(data)
		if err != nil {
			return
		}
		s := New()
		for i, d := range log {
			known, err := Decode(d)
			if err != nil {
				t.Fatal(err)
			}
			s.Apply(uint64(i+1), known)
		}
		s.Apply(uint64(len(log)+1), last)
		s.Apply(uint64(len(log)+2), Command{At: s.At + 1000, Server: &ServerAnnounced{ID: "s"}})
		s.Apply(uint64(len(log)+3), last)
		if err := invariants(s); err != nil {
			t.Fatal(err)
		}
		saved := save(t, s)
		back, err := Load(strings.NewReader(string(saved)))
		if err != nil {
			t.Fatal(err)
		}
		if string(save(t, back)) != string(saved) {
			t.Fatalf("saved twice it differs:\n%s\n%s", saved, save(t, back))
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"index":1,"devices":{"n/0":{"id":"n/0"}},"policy":null,"book":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Load(strings.NewReader(string(data)))
		if err != nil && (s != nil || workload.KindOf(err) != workload.Internal) {
			t.Fatal(s, err)
		}
	})
}
