package api

import (
	"context"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/workload"
)

const (
	defaultHours     = 24
	maxTimelineHours = 24 // the book keeps single intervals no longer
	maxMoneyHours    = 24 * 366
)

func hoursOf(asked, limit int64) (int64, error) {
	switch {
	case asked == 0:
		return min(defaultHours, limit), nil
	case asked < 0 || asked > limit:
		return 0, workload.Errorf(workload.Invalid, "hours: %d is not between 1 and %d", asked, limit)
	}
	return asked, nil
}

func (o *operator) GetMoney(_ context.Context, req *sluicev1.GetMoneyRequest) (*sluicev1.Money, error) {
	m, err := o.getMoney(req)
	return answer(o, "GetMoney", m, err)
}

// getMoney gives whole hours, the running one included.
func (o *operator) getMoney(req *sluicev1.GetMoneyRequest) (*sluicev1.Money, error) {
	n, err := hoursOf(req.GetHours(), maxMoneyHours)
	if err != nil {
		return nil, err
	}
	v := o.core.View()
	now, _ := o.clock(v)
	this := now - now%workload.HourMillis
	var hours []ledger.Hour
	o.core.Book(func(b *ledger.Book) { hours = b.HoursSince(this - workload.Instant(n-1)*workload.HourMillis) })
	m := &sluicev1.Money{Totals: &sluicev1.MoneyTotals{}, Currency: v.Policy.Cluster().Currency}
	for _, h := range hours {
		p := point(h)
		m.Points = append(m.Points, p)
		add(m.Totals, p)
	}
	return m, nil
}

func point(h ledger.Hour) *sluicev1.MoneyPoint {
	p := &sluicev1.MoneyPoint{AtMs: int64(h.At), AllMining: int64(h.AllMining), AllParked: int64(h.AllParked), Millis: h.Millis}
	for _, l := range h.Lines {
		p.Energy += int64(l.Energy)
		if l.Coin != "" {
			p.MiningRevenue += int64(l.Revenue)
		} else {
			p.TrainingRevenue += int64(l.Revenue)
		}
	}
	p.Revenue = p.MiningRevenue + p.TrainingRevenue
	p.Net = p.Revenue - p.Energy
	return p
}

func add(t *sluicev1.MoneyTotals, p *sluicev1.MoneyPoint) {
	t.Revenue += p.Revenue
	t.Energy += p.Energy
	t.Net += p.Net
	t.AllMining += p.AllMining
	t.AllParked += p.AllParked
	t.MiningRevenue += p.MiningRevenue
	t.TrainingRevenue += p.TrainingRevenue
}
