package market

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
)

// Money is what a device comes to per hour in one use: gross less the risk
// haircut less energy. Watts are at the meter.
type Money struct {
	Gross  workload.Rate
	Risk   workload.Rate
	Energy workload.Rate
	Watts  int64
}

// Net is what is left.
func (m Money) Net() workload.Rate { return m.Gross - m.Risk - m.Energy }

// MeterWatts converts board watts by the hall's PUE, rounded up.
func MeterWatts(board int64, pue workload.PPM) int64 {
	return pue.Of(board, workload.Up)
}

// EnergyRate is what a draw at the meter costs per hour, rounded up.
func EnergyRate(watts, microPerKWh int64) workload.Rate {
	return workload.Rate(workload.MulDiv(watts, microPerKWh, 1000, workload.Up))
}

// Option is one way for one model to mine: a coin, a power mode, and the miner
// and pool that serve them.
type Option struct {
	ID    workload.OptionID
	Coin  workload.CoinName
	Mode  config.Mode
	Pool  workload.PoolName
	Miner string
	// Hash is the hashrate after the pool's and the developer's fee, in
	// milli-hashes/s, rounded down.
	Hash int64
}

// Options lists every way in which a model can mine under a policy, ordered by
// id. devices names the kinds of device the miner must support ("cuda", "sim"
// ...). A coin without pool, or a mode that no miner of the catalogue supports,
// is no option.
func Options(set *config.Set, model workload.ModelName, devices string) []Option {
	profile := set.Profile(model)
	if profile == nil {
		return nil
	}
	var out []Option
	for coin := range set.OfKind(config.KindCoin) {
		pool, fee, ok := poolOf(set, workload.CoinName(coin.Name))
		if !ok || coin.Coin == nil {
			continue
		}
		n := 0
		for _, mode := range profile.Modes {
			if mode.Algorithm != coin.Coin.Algorithm {
				continue
			}
			id := workload.OptionID(coin.Name)
			if n > 0 {
				id += workload.OptionID("#" + strconv.Itoa(n))
			}
			n++
			miner, devFee, ok := minerOf(set, mode.Algorithm, devices)
			if !ok {
				continue
			}
			hash := (workload.One - fee).Of(mode.Hashrate, workload.Down)
			hash = (workload.One - devFee).Of(hash, workload.Down)
			out = append(out, Option{ID: id, Coin: workload.CoinName(coin.Name), Mode: mode, Pool: pool, Miner: miner, Hash: hash})
		}
	}
	return out
}

// FindOption returns one of Options by id.
func FindOption(set *config.Set, model workload.ModelName, devices string, id workload.OptionID) (Option, bool) {
	for _, o := range Options(set, model, devices) {
		if o.ID == id {
			return o, true
		}
	}
	return Option{}, false
}

// poolOf picks a coin's pool: the one with the lowest fee, by name where equal.
func poolOf(set *config.Set, coin workload.CoinName) (workload.PoolName, workload.PPM, bool) {
	var best workload.PoolName
	var fee workload.PPM
	found := false
	for d := range set.OfKind(config.KindPool) {
		if d.Pool != nil && d.Pool.Coin == coin && (!found || d.Pool.Fee < fee) {
			best, fee, found = workload.PoolName(d.Name), d.Pool.Fee, true
		}
	}
	return best, fee, found
}

// minerOf picks a miner: the one with the lowest developer's fee.
func minerOf(set *config.Set, algorithm, devices string) (string, workload.PPM, bool) {
	var best string
	var fee workload.PPM
	found := false
	for d := range set.OfKind(config.KindMiner) {
		if d.Miner != nil && slices.Contains(d.Miner.Algorithms, algorithm) && slices.Contains(d.Miner.Devices, devices) && (!found || d.Miner.DevFee < fee) {
			best, fee, found = d.Name, d.Miner.DevFee, true
		}
	}
	return best, fee, found
}

// DeviceClassOf names what a miner must support to drive a device.
func DeviceClassOf(d workload.Device) string {
	switch {
	case d.Sim:
		return "sim"
	case d.Driver == "nvml":
		return "cuda"
	}
	return d.Driver
}

// MiningMoney is what one device comes to on an option.
func MiningMoney(o Option, price workload.Hashprice, haircut, pue workload.PPM, microPerKWh int64) Money {
	gross := price.Gross(o.Hash)
	watts := MeterWatts(o.Mode.Power, pue)
	return Money{
		Gross: gross, Risk: workload.Rate(haircut.Of(int64(gross), workload.Up)),
		Energy: EnergyRate(watts, microPerKWh), Watts: watts,
	}
}

// ParkedMoney is what a parked device comes to: its idle draw.
func ParkedMoney(profile *config.DeviceProfile, pue workload.PPM, microPerKWh int64) Money {
	if profile == nil {
		return Money{}
	}
	watts := MeterWatts(profile.Idle, pue)
	return Money{Energy: EnergyRate(watts, microPerKWh), Watts: watts}
}

// TrainingMoney is what one device comes to for a job that bids a rate per
// reference GPU.
func TrainingMoney(profile *config.DeviceProfile, bid workload.Rate, pue workload.PPM, microPerKWh int64) (Money, bool) {
	if profile == nil || profile.Training == nil {
		return Money{}, false
	}
	watts := MeterWatts(profile.Training.Power, pue)
	return Money{
		Gross:  workload.Rate(profile.Training.Speed.Of(int64(bid), workload.Down)),
		Energy: EnergyRate(watts, microPerKWh), Watts: watts,
	}, true
}

// SwitchCost is what it costs one device to change its use: what it would have
// earned during the warm-up, and the energy it draws meanwhile.
func SwitchCost(warmup time.Duration, to Money) workload.Money {
	lost := to.Gross + max(to.Energy, 0)
	return max(lost, 0).Over(warmup.Milliseconds(), workload.Up)
}

// Bid is what a job is worth per GPU-hour: its own bid, else its tenant's
// transfer price.
func Bid(set *config.Set, spec workload.Spec) workload.Rate {
	if spec.Value.Bid > 0 {
		return spec.Value.Bid
	}
	if t := set.Tenant(spec.Tenant); t != nil && t.TransferPrice != nil {
		return workload.Rate(t.TransferPrice.Micro)
	}
	return 0
}

// ConvertQuote turns a feed's decimal into an Observation. unit is the feed's;
// a plain number without unit is a price in the feed's currency.
func ConvertQuote(feed, decimal, unit, currency string, at workload.Instant, source string) (Observation, error) {
	o := Observation{Feed: feed, At: at, Source: source}
	wrong := func(err error) (Observation, error) {
		return Observation{}, workload.Errorf(workload.Invalid, "feed %s: %s: %w", feed, source, err)
	}
	switch {
	case unit == "difficulty":
		v, err := workload.ParseWhole(decimal)
		if err != nil {
			return wrong(err)
		}
		if v <= 0 {
			return wrong(fmt.Errorf("difficulty %q is not positive", decimal))
		}
		o.Unit, o.Value = UnitDifficulty, v
	case strings.HasSuffix(unit, "/kWh") || strings.HasSuffix(unit, "/MWh"):
		v, of, err := workload.ParseEnergyPrice(strings.TrimSpace(decimal) + " " + unit)
		if err != nil {
			return wrong(err)
		}
		if currency != "" && of != currency {
			return wrong(fmt.Errorf("unit %q is not in the feed's currency %s", unit, currency))
		}
		o.Unit, o.Value = UnitEnergy, v
	case strings.Count(unit, "/") >= 2:
		p, of, err := workload.ParseHashprice(strings.TrimSpace(decimal), unit)
		if err != nil {
			return wrong(err)
		}
		if currency != "" && of != currency {
			return wrong(fmt.Errorf("unit %q is not in the feed's currency %s", unit, currency))
		}
		o.Unit, o.Value, o.Scale = UnitHashprice, p.MicroPerHour, p.Scale
	case unit == "" || unit == currency:
		v, err := workload.ParseMicro(strings.TrimSpace(decimal))
		if err != nil {
			return wrong(err)
		}
		if v < 0 {
			return wrong(fmt.Errorf("price %q is negative", decimal))
		}
		o.Unit, o.Value = UnitPrice, v
	default:
		return wrong(fmt.Errorf("unit %q is not known", unit))
	}
	return o, nil
}
