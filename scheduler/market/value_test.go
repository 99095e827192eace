package market

import (
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
)

func catalogue() *config.Set {
	return config.NewSet(
		doc(config.KindCoin, "KAS", func(d *config.Document) { d.Coin = &config.Coin{Algorithm: "kheavyhash"} }),
		doc(config.KindCoin, "RVN", func(d *config.Document) { d.Coin = &config.Coin{Algorithm: "kawpow"} }),
		doc(config.KindCoin, "ETC", func(d *config.Document) { d.Coin = &config.Coin{Algorithm: "etchash"} }), // no pool
		doc(config.KindCoin, "BAD", func(d *config.Document) {}),
		doc(config.KindPool, "dear", func(d *config.Document) { d.Pool = &config.Pool{Coin: "RVN", Fee: 20_000} }),
		doc(config.KindPool, "fair", func(d *config.Document) { d.Pool = &config.Pool{Coin: "RVN", Fee: 10_000} }),
		doc(config.KindPool, "alike", func(d *config.Document) { d.Pool = &config.Pool{Coin: "RVN", Fee: 10_000} }),
		doc(config.KindPool, "kas", func(d *config.Document) { d.Pool = &config.Pool{Coin: "KAS"} }),
		doc(config.KindPool, "bad", func(d *config.Document) {}),
		doc(config.KindMiner, "taxed", func(d *config.Document) {
			d.Miner = &config.Miner{Algorithms: []string{"kawpow"}, Devices: []string{"cuda", "sim"}, DevFee: 10_000}
		}),
		doc(config.KindMiner, "free", func(d *config.Document) {
			d.Miner = &config.Miner{Algorithms: []string{"kawpow"}, Devices: []string{"sim"}}
		}),
		doc(config.KindMiner, "bad", func(d *config.Document) {}),
		doc(config.KindDeviceProfile, "g1", func(d *config.Document) {
			d.DeviceProfile = &config.DeviceProfile{Idle: 21, Modes: []config.Mode{
				{Algorithm: "kawpow", Hashrate: 30_000_000_001, Power: 250}, {Algorithm: "kheavyhash", Hashrate: 1, Power: 100},
				{Algorithm: "kawpow", Hashrate: 20_000_000_000, Power: 150}},
				Training: &config.TrainingProfile{Power: 300, Speed: 930_000}}
		}),
		doc(config.KindTenant, "research", func(d *config.Document) {
			d.Tenant = &config.Tenant{TransferPrice: &config.Amount{Micro: 1_500_000, Currency: "USD"}}
		}),
		doc(config.KindSite, "north", func(d *config.Document) {
			d.Site = &config.Site{Power: config.SitePower{Cooling: &config.Cooling{PUE: 1_280_000},
				Halls: []config.Hall{{Name: "wet", Cooling: &config.Cooling{PUE: 1_030_000, Curve: []config.CurvePoint{{Outdoor: 30_000, PUE: 1_090_000}}}}, {Name: "dry"}}}}
		}),
	)
}

func TestOptions(t *testing.T) {
	set := catalogue()
	// 30,000,000,001 less 1 % is 29,700,000,000.99, less another 1 % 29,403,000,000.
	got := Options(set, "g1", "cuda")
	want := []Option{
		{ID: "RVN", Coin: "RVN", Pool: "alike", Miner: "taxed", Hash: 29_403_000_000},
		{ID: "RVN#1", Coin: "RVN", Pool: "alike", Miner: "taxed", Hash: 19_602_000_000},
	}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, o := range got {
		o.Mode = config.Mode{}
		if o != want[i] {
			t.Errorf("%+v, want %+v", o, want[i])
		}
	}
	if o, ok := FindOption(set, "g1", "sim", "RVN"); !ok || o.Miner != "free" || o.Hash != 29_700_000_000 {
		t.Errorf("the cheapest miner: %+v", o)
	}
	if _, ok := FindOption(set, "g1", "cuda", "KAS"); ok {
		t.Error("a coin that no miner can mine is an option")
	}
	if got := Options(set, "nothing", "cuda"); got != nil {
		t.Errorf("a model without profile: %+v", got)
	}
}

func TestPUE(t *testing.T) {
	set := catalogue()
	for _, c := range []struct {
		site workload.SiteName
		hall workload.HallName
		want workload.PPM
	}{{"north", "", 1_280_000}, {"north", "dry", 1_280_000}, {"north", "wet", 1_090_000}, {"nowhere", "", workload.One}} {
		if got := PUE(set, c.site, c.hall); got != c.want {
			t.Errorf("%s/%s: %d", c.site, c.hall, got)
		}
	}
}

func TestEnergyRateSignAndRounding(t *testing.T) {
	for _, c := range []struct{ watts, price, want int64 }{
		{279, 100_000, 27_900}, {1, 1, 1}, {999, 1, 1}, {1001, 1, 2}, {0, 100_000, 0},
		{1, -1, 0}, {1001, -1, -1}, {279, -100_000, -27_900}, {2000, 0, 0},
	} {
		if got := EnergyRate(c.watts, c.price); int64(got) != c.want {
			t.Errorf("%d W at %d: %d, want %d", c.watts, c.price, got, c.want)
		}
	}
	if got := MeterWatts(279, 1_280_000); got != 358 { // 357.12
		t.Errorf("meter %d", got)
	}
}

func TestMoney(t *testing.T) {
	set := catalogue()
	profile := set.Profile("g1")
	o := Option{Mode: config.Mode{Power: 279}, Hash: 97_900_000_000}
	m := MiningMoney(o, workload.Hashprice{MicroPerHour: 12_500_000, Scale: 9}, 30_001, workload.One, 100_000)
	// 97.9 MH/s x 12.5 USD/h per GH/s = 1.22375 USD; 3.0001 % of it is 36713.72
	if m.Gross != 1_223_750 || m.Risk != 36_714 || m.Energy != 27_900 || m.Watts != 279 || m.Net() != 1_223_750-36_714-27_900 {
		t.Errorf("%+v", m)
	}
	if p := ParkedMoney(profile, 1_280_000, 100_000); p.Watts != 27 || p.Net() != -2700 {
		t.Errorf("%+v", p)
	}
	if p := ParkedMoney(nil, 1_280_000, 100_000); p != (Money{}) {
		t.Errorf("%+v", p)
	}
	tr, ok := TrainingMoney(profile, 1_000_001, workload.One, 100_000)
	if !ok || tr.Gross != 930_000 || tr.Energy != 30_000 {
		t.Errorf("%+v", tr)
	}
	if _, ok := TrainingMoney(nil, 1, workload.One, 1); ok {
		t.Error("no profile, yet it trains")
	}
	// Six minutes of what it would earn and draw; a negative price lowers nothing.
	if got := SwitchCost(6*time.Minute, Money{Gross: 1_000_000, Energy: 30_005}); got != 103_001 {
		t.Errorf("switch %d", got)
	}
	if got := SwitchCost(6*time.Minute, Money{Gross: 1_000_000, Energy: -30_000}); got != 100_000 {
		t.Errorf("switch %d", got)
	}
}

func TestBid(t *testing.T) {
	set := catalogue()
	for _, c := range []struct {
		tenant workload.TenantName
		bid    workload.Rate
		want   workload.Rate
	}{{"research", 0, 1_500_000}, {"research", 7, 7}, {"nobody", 0, 0}} {
		if got := Bid(set, workload.Spec{Tenant: c.tenant, Value: workload.Value{Bid: c.bid}}); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestDeviceClassOf(t *testing.T) {
	for want, d := range map[string]workload.Device{"sim": {Driver: "nvml", Sim: true}, "cuda": {Driver: "nvml"}, "serial": {Driver: "serial"}} {
		if got := DeviceClassOf(d); got != want {
			t.Errorf("%+v: %s", d, got)
		}
	}
}
