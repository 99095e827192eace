package netminer_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sluice-project/sluice/agent/device/netminer"
	"github.com/sluice-project/sluice/agent/device/netminer/emulate"
	"github.com/sluice-project/sluice/workload"
)

// What a peer does to the connection changes nothing of what is read, or is
// an error within bounded time and bytes.
func TestConnectionFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		faults emulate.Faults
		reads  bool
	}{
		{"sound", emulate.Faults{}, true},
		{"single bytes", emulate.Faults{Chunk: 1}, true},
		{"single bytes without NUL", emulate.Faults{Chunk: 1, NoNUL: true}, true},
		{"never closes", emulate.Faults{Hold: true}, true},
		{"never closes, no NUL", emulate.Faults{Hold: true, NoNUL: true}, true},
		{"reset in the middle", emulate.Faults{ResetAfter: 420}, true}, // the beginning is used
		{"reset at once", emulate.Faults{ResetAfter: 1}, false},
		{"silent", emulate.Faults{Silent: true}, false},
		{"endless", emulate.Faults{Endless: true}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := emulate.NewReplay("stock", []byte(stock))
			if err != nil {
				t.Fatal(err)
			}
			s, err := emulate.Serve(r, "127.0.0.1", netminer.Ports{}, c.faults)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			m := netminer.NewMiner(s.Host, s.Ports, netminer.Identity{Family: netminer.Antminer}, netminer.Login{})
			report, err := m.Read(ctx)
			if ctx.Err() != nil {
				t.Error("the reading took more than its limit")
			}
			if c.reads && (err != nil || report.Model != "Antminer S19j Pro") {
				t.Errorf("%+v, %v", report, err)
			}
			if c.reads && c.faults.ResetAfter == 0 && (report.Hashrate == nil || report.Hashrate.Text != "100000.5") {
				t.Errorf("%+v", report.Hashrate)
			}
			if c.name == "reset in the middle" && !report.Partial {
				t.Error("a reply that was cut off passes for whole")
			}
			if !c.reads && err == nil && c.name != "endless" { // which is cut off by bytes, or by time where it is slow
				t.Errorf("read %+v", report)
			}
			if c.name == "endless" && err == nil && !report.Partial {
				t.Errorf("read %+v", report)
			}
		})
	}
}

// Each recording, served in single bytes with a closing NUL, is identified
// and read to the same figures as the file.
func TestRecordingsOverTheWire(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(data(t), "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if filepath.Ext(path) == ".md" {
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			r, err := emulate.NewReplay(filepath.Base(path), body)
			if err != nil {
				t.Fatal(err)
			}
			s, err := emulate.Serve(r, "127.0.0.1", netminer.Ports{}, emulate.Faults{Chunk: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			id, err := netminer.Identify(t.Context(), s.Host, s.Ports)
			if err != nil {
				t.Fatal(err)
			}
			want, err := netminer.Parse(body)
			if err != nil {
				t.Fatal(err)
			}
			login := netminer.Login{}
			if r.RPC() == nil && r.Web() != nil && want.Family != netminer.AxeOS {
				login.Password = "x" // its one page needs a login
			}
			got, err := netminer.NewMiner(s.Host, s.Ports, netminer.Identity{Family: want.Family}, login).Read(t.Context())
			if err != nil {
				if want.Family == netminer.Braiins && login.Password != "" {
					return // a recording grants no token
				}
				t.Fatal(err)
			}
			if id.Family != want.Family && id.Family != netminer.CGMiner {
				t.Errorf("identified as %s, is %s", id.Family, want.Family)
			}
			if got.Model != want.Model || dump(got.Hashrate) != dump(want.Hashrate) || dump(got.Power) != dump(want.Power) || dump(got.Temperatures) != dump(want.Temperatures) || dump(got.Fans) != dump(want.Fans) {
				t.Errorf("got  %s\nwant %s", dump(got), dump(want))
			}
		})
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) { serve(t, f.kind, f.v3, nil, emulate.Faults{}) })
	}
	if _, err := netminer.Identify(t.Context(), "127.0.0.1", netminer.Ports{RPC: 1, Web: 1, TLS: 1, V3: 1}); workload.KindOf(err) != workload.Unavailable {
		t.Errorf("nothing there: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "SSH-2.0-dropbear\r\n")
			c.Close()
		}
	}()
	port := l.Addr().(*net.TCPAddr).Port
	if id, err := netminer.Identify(t.Context(), "127.0.0.1", netminer.Ports{RPC: port, Web: 1, TLS: 1, V3: 1}); workload.KindOf(err) != workload.NotFound {
		t.Errorf("no miner: %+v, %v", id, err)
	}
}

func TestTargets(t *testing.T) {
	for in, n := range map[string]int{"192.0.2.0/24": 254, "192.0.2.7": 1, "192.0.2.7,192.0.2.7 192.0.2.8/32": 2, "192.0.2.0/31": 2, "192.0.2.0/30": 2, "2001:db8::/126": 4, "": 0} {
		if list, err := netminer.Targets(in); err != nil || len(list) != n {
			t.Errorf("%q: %d, %v", in, len(list), err)
		}
	}
	for _, in := range []string{"10.0.0.0/8", "miner.example", "192.0.2.0/33", "::/0", "0.0.0.0/0"} {
		if list, err := netminer.Targets(in); workload.KindOf(err) != workload.Invalid {
			t.Errorf("%q: %d, %v", in, len(list), err)
		}
	}
}

// A /24 in which every other address holds a miner; the time is a figure of
// the benchmark, this is that all are found and nothing else is asked.
func TestScanOfANetwork(t *testing.T) {
	t.Parallel()
	ports, servers := network(t)
	list, err := netminer.Targets("127.86.3.0/24")
	if err != nil {
		t.Fatal(err)
	}
	found := map[netip.Addr]netminer.Family{}
	began := time.Now()
	if err := netminer.Scan(t.Context(), list, ports, func(f netminer.Found) { found[f.Addr] = f.Family }); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d addresses answer, %v", len(found), len(list), time.Since(began).Round(time.Millisecond))
	if len(found) != servers {
		t.Errorf("found %d of %d", len(found), servers)
	}
	for a, f := range found {
		if f == "" {
			t.Errorf("%s is no miner", a)
		}
	}
}

// network serves miners at every other address of 127.86.3.0/24.
func network(t testing.TB) (netminer.Ports, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	n := 0
	var mu sync.Mutex
	for i := 1; i < 255; i += 2 {
		m, err := emulate.NewModel(netminer.Whatsminer, false)
		if err != nil {
			t.Fatal(err)
		}
		s, err := emulate.Serve(m, "127.86.3."+strconv.Itoa(i), netminer.Ports{RPC: port}, emulate.Faults{})
		if err != nil {
			t.Skipf("127.86.3.%d cannot be listened on: %v", i, err)
		}
		mu.Lock()
		n++
		mu.Unlock()
		t.Cleanup(func() { s.Close() })
	}
	return netminer.Ports{RPC: port, Web: 1, TLS: 1, V3: 1}, n
}

func BenchmarkScanOfANetwork(b *testing.B) {
	ports, servers := network(b)
	list, err := netminer.Targets("127.86.3.0/24")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		found := 0
		if err := netminer.Scan(b.Context(), list, ports, func(netminer.Found) { found++ }); err != nil || found != servers {
			b.Fatal(found, err)
		}
	}
}
