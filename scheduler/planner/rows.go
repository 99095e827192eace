package planner

import (
	"strings"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/workload"
)

// Step is an energy price from an instant on.
type Step = ledger.Step

// defaultTier is that of a target that names none; a coin's own ceiling yields
// before it.
const defaultTier = 3

// Rows of one tier are summed, so those of another unit need one of their own:
// of the same tier by document, devices come before power and power before
// money.
const (
	inDevices = iota
	inPower
	inMoney
	units
)

func tierOf(tier, unit int) int {
	if tier <= 0 {
		tier = defaultTier
	}
	return min(tier, decide.MaxCount/units-1)*units + unit
}

// Unsupported names what a document asks for that this version cannot decide,
// or returns "". It is asked before a policy is stored, so that nothing is
// accepted and then ignored.
func Unsupported(d config.Document) string {
	if t := d.Target; t != nil {
		kind, _, _ := strings.Cut(t.Use, "/")
		floor := t.Min != nil || len(t.Glide) > 0
		switch {
		case t.Scope != nil && t.Scope.Tenant != "":
			return "scope.tenant of a target is not decided by this version; use: tenant/NAME bounds a tenant"
		case kind == "training" && t.Measure == config.MeasureRevenue:
			return "measure: revenue of training is not decided by this version; use devices or power"
		case (kind == "coin" || kind == "tenant") && t.Scope != nil:
			return "a scope of a coin's or tenant's share is not decided by this version; leave scope out"
		case kind == "coin" && (floor || t.Measure != config.MeasureRevenue):
			return "a coin's share is decided as a maximum of revenue only"
		case kind == "tenant" && (floor || t.Measure != config.MeasureDevices):
			return "a tenant's share is decided as a maximum of devices only; Tenant.guarantee gives a minimum"
		case kind == "mining":
			return "use: mining is not decided by this version; bound training instead"
		}
	}
	return ""
}

func (b *Board) addRows() {
	for d := range b.Policy.OfKind(config.KindTarget) {
		b.addTarget(d.Name, d.Target)
	}
	for d := range b.Policy.OfKind(config.KindCoin) {
		if limit := d.Coin.Risk.MaxShare; limit != nil {
			if coin := indexOf(b.coins, workload.CoinName(d.Name)); coin >= 0 {
				b.row(rowName{kind: config.KindCoin, name: d.Name}, decide.Row{Kind: decide.RowCoin, Tier: tierOf(defaultTier+1, inMoney),
					Sense: decide.AtMost, SharePPM: int64(*limit), Coin: coin})
			}
		}
	}
	for i, name := range b.tenants {
		t := b.Policy.Tenant(name)
		if t != nil && t.Guarantee+t.Borrow > 0 {
			b.row(rowName{kind: config.KindTenant, name: string(name)}, decide.Row{Kind: decide.RowTenant, Sense: decide.AtMost,
				Limit: b.left(name, int64(t.Guarantee)+int64(t.Borrow)), Tenant: i})
		}
	}
}

// left is what a tenant's limit leaves beside its jobs that stand outside the
// decision.
func (b *Board) left(name workload.TenantName, limit int64) int64 {
	return min(max(limit-b.outside[name], 0), decide.MaxCount)
}

func (b *Board) row(n rowName, r decide.Row) {
	b.rows = append(b.rows, n)
	b.Problem.Rows = append(b.Problem.Rows, r)
}

func (b *Board) addTarget(name string, t *config.Target) {
	if Unsupported(config.Document{Target: t}) != "" {
		return // stored by hand or by a later version; listed as such on the targets page
	}
	lo, hi, hasMin, hasMax := t.BoundsAt(b.Now, b.targetZone(t))
	n := rowName{kind: config.KindTarget, name: name, target: t}
	kind, subject, _ := strings.Cut(t.Use, "/")
	switch kind {
	case "training":
		classes, ok := b.scopeOf(t.Scope)
		if !ok {
			return
		}
		row := decide.Row{Kind: decide.RowAIShare, Tier: tierOf(t.Tier, inDevices), Measure: measureOf(t), Classes: classes}
		if t.Measure == config.MeasurePower {
			row.Tier = tierOf(t.Tier, inPower)
		}
		if hasMin {
			row.Sense, row.SharePPM = decide.AtLeast, int64(lo)
			b.row(n, row)
		}
		if hasMax {
			row.Sense, row.SharePPM = decide.AtMost, int64(hi)
			b.row(n, row)
		}
	case "coin":
		if coin := indexOf(b.coins, workload.CoinName(subject)); coin >= 0 && hasMax {
			b.row(n, decide.Row{Kind: decide.RowCoin, Tier: tierOf(t.Tier, inMoney), Sense: decide.AtMost, SharePPM: int64(hi), Coin: coin})
		}
	case "tenant":
		if i := indexOf(b.tenants, workload.TenantName(subject)); i >= 0 && hasMax {
			trainable := int64(0)
			for _, c := range b.Problem.Classes {
				if c.Trainable {
					trainable += c.Devices
				}
			}
			b.row(n, decide.Row{Kind: decide.RowTenant, Sense: decide.AtMost, Limit: b.left(b.tenants[i], hi.Of(trainable, workload.Down)), Tenant: i})
		}
	}
}

func indexOf[T comparable](list []T, v T) int {
	for i, l := range list {
		if l == v {
			return i
		}
	}
	return -1
}

func measureOf(t *config.Target) decide.Measure {
	switch {
	case t.Measure == config.MeasurePower:
		return decide.MeasurePower
	case t.Of == config.OfActive:
		return decide.MeasureActive
	}
	return decide.MeasureOwned
}

// targetZone is the zone of the target's site, or UTC where it spans sites.
func (b *Board) targetZone(t *config.Target) *time.Location {
	if t.Scope != nil && t.Scope.Site != "" {
		if s := b.Policy.Site(t.Scope.Site); s != nil {
			return s.Location()
		}
	}
	for d := range b.Policy.OfKind(config.KindSite) {
		return d.Site.Location()
	}
	return time.UTC
}

// scopeOf translates a target's scope into classes, where empty means all; ok is
// false when the scope holds nothing, which must not turn into all.
func (b *Board) scopeOf(s *config.Scope) (classes []int, ok bool) {
	if s == nil {
		return nil, len(b.classes) > 0
	}
	for i, c := range b.classes {
		if (s.Site == "" || c.site == s.Site) && (s.Hall == "" || c.key.hall == s.Hall) && (s.Model == "" || c.key.model == s.Model) {
			classes = append(classes, i)
		}
	}
	if len(classes) == len(b.classes) {
		return nil, len(classes) > 0
	}
	return classes, len(classes) > 0
}
