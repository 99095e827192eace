package netminer_test

import (
	"encoding/json"
	"testing"

	"github.com/sluice-project/sluice/agent/device/netminer"
)

func dump(v any) string {
	body, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// FuzzReply: whatever a device sends, no figure leaves its range.
func FuzzReply(f *testing.F) {
	for _, s := range []string{stock, `{"STATUS":"S","Msg":{"Power":-1,"error_code":{"1","2"}}}`, `{"code":0,"msg":{"summary":{"hash-realtime":1e9}}}`,
		`{"STATUS":[{"STATUS":"S"}],"STATS":[{"MM ID0":"Ver[Q-1] PS[0 1 2 3 4] PVT_T0[1 2] GHSspd[1"}]}`, `{"miner":{"chains":[{"id":1}]}}`, `{"ASICModel":"BM1370","hashRate":1e300,"frequency":1}`,
		`[{"pools":[{"url":"a"}]}]`, `{"hashboards":[{}],"errors":[{}]}`, `{"STATUS":[],"DEVS":[{"ID":1e9,"MHS 5s":"x"}],"FANS":[{"RPM":-1}],"TEMPS":[{"Chip":1e99}],"POOLS":[{"URL":"x"}]}`, "miner power:99999999"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := netminer.Parse(body)
		if err != nil {
			return
		}
		s := r.Sample(1)
		if s.Watts < -1 || s.Watts > 30_000 || s.MilliC < -1 || s.MilliC > 150_000 || s.Hashrate < -1 || s.Hashrate > 1e18 {
			t.Errorf("%+v", s)
		}
		if len(r.Boards) > 64 || len(r.Fans) > 96 || len(r.Pools) > 70 || len(r.Errors) > 64 || len(r.Warnings) > 64 || len(r.Temperatures) > 256 {
			t.Errorf("%d boards, %d fans, %d pools, %d errors, %d warnings", len(r.Boards), len(r.Fans), len(r.Pools), len(r.Errors), len(r.Warnings))
		}
		if d := r.Device("192.0.2.1"); d.UUID == "" || d.Model == "" {
			t.Errorf("%+v", d)
		}
	})
}

func FuzzLogins(f *testing.F) {
	f.Add("antminer root root\n192.0.2.0/24 a b # c")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := netminer.ParseLogins(s)
		for _, r := range l {
			if err == nil && r.Login.Password == "" {
				t.Error("a rule without a password")
			}
		}
	})
}

func FuzzTargets(f *testing.F) {
	f.Add("192.0.2.0/24,198.51.100.7")
	f.Add("2001:db8::/120")
	f.Fuzz(func(t *testing.T, s string) {
		if list, err := netminer.Targets(s); err == nil && len(list) > 65_536 {
			t.Error(len(list))
		}
	})
}

func FuzzSealed(f *testing.F) {
	f.Add("QUJDREVGR0hJSktMTU5PUA==")
	f.Fuzz(func(t *testing.T, s string) { netminer.V2Open([32]byte{1}, s) })
}
