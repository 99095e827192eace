package ledger

import (
	"cmp"
	"slices"

	"github.com/sluice-project/sluice/workload"
)

// SetEnergy replaces a site's price from the first step on. Of the steps that
// lie before the book's time the last one counts, from now.
func (b *Book) SetEnergy(site workload.SiteName, steps []Step) {
	steps = slices.Clone(steps)
	slices.SortStableFunc(steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	e := b.Energy[site]
	now := e.Now
	e.Ahead = nil
	for _, s := range steps {
		s.MicroPerKWh = max(-maxPrice, min(s.MicroPerKWh, maxPrice))
		if s.At <= b.At {
			now = s
		} else {
			e.Ahead = append(e.Ahead, s)
		}
	}
	if now.MicroPerKWh != e.Now.MicroPerKWh || now.Known != e.Now.Known {
		now.At = b.At
		e.step(now)
	}
	b.Energy[site] = e
}

// step makes a price the present one. Past is appended to and cut at its
// front, never written within, so readers of an older copy are safe.
func (e *Energy) step(s Step) {
	e.Now = s
	if n := len(e.Past); n > 0 && e.Past[n-1].At == s.At {
		e.Past = append(slices.Clone(e.Past[:n-1]), s)
		return
	}
	e.Past = append(e.Past, s)
}

// SetYield sets a coin's earning power from now on. Within an hour an integral
// keeps its scale, and the price is brought to it as long as at least five of
// its digits survive; a price that has moved further books what ran so far and
// begins a new integral.
func (b *Book) SetYield(coin workload.CoinName, price workload.Hashprice, known bool) {
	price.MicroPerHour = max(0, min(price.MicroPerHour, maxPrice))
	price.Scale = min(price.Scale, 30)
	y := b.Yields[coin]
	if y.Integral != 0 && price.Scale != y.Now.Scale {
		same := rescale(price, y.Now.Scale)
		if price.MicroPerHour != 0 && same.MicroPerHour < 10_000 || same.MicroPerHour > maxPrice/10 {
			b.rebase(coin)
			y = b.Yields[coin]
		} else {
			price = same
		}
	}
	y.Now, y.Known = price, known
	b.Yields[coin] = y
}

// rebase books every interval that a coin's yield values and starts its
// integral anew.
func (b *Book) rebase(coin workload.CoinName) {
	for id, iv := range b.Open { // sums commute: order does not matter
		if iv.Coin == coin {
			b.book(&iv)
			iv.MarkYield, iv.MarkNoYield = 0, 0
			b.Open[id] = iv
		}
	}
	y := b.Yields[coin]
	y.Integral, y.Unknown = 0, 0
	b.Yields[coin] = y
}

func rescale(p workload.Hashprice, scale uint8) workload.Hashprice {
	for ; p.Scale < scale; p.Scale++ {
		p.MicroPerHour = workload.MulDiv(p.MicroPerHour, 10, 1, workload.Down)
	}
	for ; p.Scale > scale; p.Scale-- {
		p.MicroPerHour /= 10
	}
	return p
}
