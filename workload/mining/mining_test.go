package mining

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/workload"
)

var order = workload.MineOrder{
	Coin: "RVN", Algorithm: "kawpow", Pool: "example-pool",
	Endpoints: []string{"stratum+tcp://a.example:3333", "b.example:4444"},
	Wallet:    "RWallet", Miner: "xmrig", PowerCap: 200, Watts: 279,
	Command: []string{"xmrig", "-a", "{algorithm}", "-o", "{pool.endpoint}", "-u", "{wallet.address}.{node}",
		"--http-port", "{api.port}", "--cuda-devices={device.slot}", "--uuid={device.uuid}", "--pl", "{watts}", "{{literal}", "{pool.host}/{pool.port}/{coin}/{pool.name}"},
}

var local = Local{Node: "n07", DeviceUUID: "GPU-1", Slot: 3, APIPort: 40123}

func TestCommandGolden(t *testing.T) {
	got, err := Command(order, local)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"xmrig", "-a", "kawpow", "-o", "stratum+tcp://a.example:3333", "-u", "RWallet.n07",
		"--http-port", "40123", "--cuda-devices=3", "--uuid=GPU-1", "--pl", "200", "{literal}", "a.example/3333/RVN/example-pool"}
	if !slices.Equal(got, want) {
		t.Errorf("command\n got %q\nwant %q", got, want)
	}
}

func TestCommandTriesTheNextEndpoint(t *testing.T) {
	next := local
	next.Endpoint = 3
	got, err := Command(order, next)
	if err != nil {
		t.Fatal(err)
	}
	if got[4] != "b.example:4444" {
		t.Errorf("endpoint %q, want the second of two on the third restart", got[4])
	}
}

func TestCommandRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*workload.MineOrder)
		want string
	}{
		{"unknown placeholder", func(o *workload.MineOrder) { o.Command = []string{"m", "{walet}"} }, "{walet}"},
		{"open brace", func(o *workload.MineOrder) { o.Command = []string{"m", "{node"} }, "never closes"},
		{"no command", func(o *workload.MineOrder) { o.Command = nil }, "no command"},
		{"no endpoint", func(o *workload.MineOrder) { o.Endpoints = nil }, "no endpoint"},
		{"bad endpoint", func(o *workload.MineOrder) { o.Endpoints = []string{"stratum+tcp://nohost"} }, "not host:port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := order
			c.edit(&o)
			_, err := Command(o, local)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one about %q", err, c.want)
			}
			if err != nil && workload.KindOf(err) != workload.Invalid {
				t.Errorf("kind %v, want invalid", workload.KindOf(err))
			}
		})
	}
}

func TestCheckNamesEveryPlaceholder(t *testing.T) {
	for _, name := range Placeholders() {
		if err := Check([]string{"m", "{" + name + "}"}); err != nil {
			t.Errorf("Check refuses {%s}: %v", name, err)
		}
	}
	if !slices.IsSorted(Placeholders()) {
		t.Error("placeholders are not in the order in which messages list them")
	}
	if Check([]string{"{nope}"}) == nil {
		t.Error("Check accepts an unknown placeholder")
	}
}

func TestSameProcess(t *testing.T) {
	other := order
	other.Hashrate++
	if !SameProcess(order, other) {
		t.Error("an expectation alone must not restart a miner")
	}
	other.Wallet = "another"
	if SameProcess(order, other) {
		t.Error("another wallet is another process")
	}
	plain := order
	plain.Command = []string{"m", "{watts}"}
	watts := plain
	watts.Watts++
	if SameProcess(plain, watts) {
		t.Error("watts that reach the command line make another process")
	}
}

func TestParseStats(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       Stats
	}{
		{"full", `{"hashrate":{"total":[1234.5678,1200,null]},"results":{"shares_good":7,"shares_total":9}}`, Stats{1234567, 7, 2}},
		{"young", `{"hashrate":{"total":[null,null,null]},"results":{"shares_good":0,"shares_total":0}}`, Stats{-1, 0, 0}},
		{"second average", `{"hashrate":{"total":[null,2.5]}}`, Stats{2500, -1, -1}},
		{"empty", `{}`, Stats{-1, -1, -1}},
		{"negative", `{"hashrate":{"total":[-1]},"results":{"shares_good":-3,"shares_total":1}}`, Stats{-1, -1, -1}},
		{"absurd", `{"hashrate":{"total":[1e99999]},"results":{"shares_good":99999999999999999999,"shares_total":1}}`, Stats{-1, -1, -1}},
		{"fewer in total than good", `{"results":{"shares_good":5,"shares_total":1}}`, Stats{-1, 5, -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseStats(APIXMRig, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	for _, bad := range []string{"", "not json", `{"hashrate":`, `{"hashrate":{"total":"x"}}`} {
		if _, err := ParseStats(APIPractice, []byte(bad)); err == nil {
			t.Errorf("ParseStats(%q) claims to understand", bad)
		}
	}
	if _, err := ParseStats("nope", []byte("{}")); err == nil {
		t.Error("an unknown API kind is accepted")
	}
}

func FuzzParseStats(f *testing.F) {
	f.Add([]byte(`{"hashrate":{"total":[1234.5,null]},"results":{"shares_good":7,"shares_total":9}}`))
	f.Add([]byte(`{"hashrate":{"total":[1e308]}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := ParseStats(APIXMRig, body)
		if got.Hashrate < -1 || got.Accepted < -1 || got.Rejected < -1 {
			t.Errorf("%q gives %+v", body, got)
		}
		if err != nil && got != (Stats{-1, -1, -1}) {
			t.Errorf("%q fails and still claims %+v", body, got)
		}
	})
}

func FuzzCommand(f *testing.F) {
	f.Add("{node}")
	f.Add("{{{algorithm}}")
	f.Fuzz(func(t *testing.T, arg string) {
		o := order
		o.Command = []string{"m", arg}
		argv, err := Command(o, local)
		if err == nil && len(argv) != 2 {
			t.Errorf("%q became %q", arg, argv)
		}
		if (err == nil) != (Check(o.Command) == nil) {
			t.Errorf("Check and Command disagree on %q: %v", arg, err)
		}
	})
}

// A miner that fails over by itself gets all endpoints, from the one that is
// its turn on.
func TestCommandListsEndpoints(t *testing.T) {
	o, at := order, local
	o.Command = []string{"m", "{pool.endpoints}"}
	for start, want := range []string{"stratum+tcp://a.example:3333,b.example:4444", "b.example:4444,stratum+tcp://a.example:3333"} {
		at.Endpoint = start
		if got, err := Command(o, at); err != nil || got[1] != want {
			t.Errorf("from %d: %q, %v, want %q", start, got, err, want)
		}
	}
}
