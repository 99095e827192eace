package planner

import (
	"slices"
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
	inJobs
	units
)

// The tiers of the rules that are no targets, as in the design: the quota of
// energy goes before targets, the floor of cash after them and after the coins'
// own ceilings, the limit on preemptions last.
const (
	quotaTier   = 2
	cashTier    = defaultTier + 2
	preemptTier = defaultTier + 3
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
		if t.Scope != nil && t.Scope.Tenant != "" {
			return "scope.tenant of a target is not decided by this version; use: tenant/NAME bounds a tenant"
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
	b.addQuotas()
	b.addBudgets()
}

// addBudgets adds the rules of the cluster as a whole: a floor of cash and a
// limit on preemptions. The limit on moves is hard and stands in the policy of
// the problem.
func (b *Board) addBudgets() {
	n := rowName{kind: config.KindCluster, name: config.ClusterName}
	if floor := b.Cluster.CashFloor; floor != nil {
		row := decide.Row{Kind: decide.RowCash, Tier: tierOf(cashTier, inMoney), Sense: decide.AtLeast, Limit: min(max(floor.Micro, 0), maxMiningMicro)}
		for i, name := range b.coins {
			if c := b.Policy.Coin(name); c != nil && c.Risk.Convert != "never" {
				row.Coins = append(row.Coins, i)
			}
		}
		b.row(n, row)
	}
	if limit := b.Cluster.MaxPreemptions; limit != nil {
		b.row(n, decide.Row{Kind: decide.RowPreempt, Tier: tierOf(preemptTier, inJobs), Sense: decide.AtMost, Limit: int64(min(max(*limit, 0), decide.MaxCount))})
	}
}

// dropUncountable leaves out the rows that add up money where there is too much
// of it to count in parts per million: one absurd figure must not end all
// deciding.
func (b *Board) dropUncountable() {
	money := func(r decide.Row) bool { return r.Kind == decide.RowCash || r.Measure == decide.MeasureRevenue }
	if !slices.ContainsFunc(b.Problem.Rows, money) || len(decide.Validate(&b.Problem)) == 0 {
		return
	}
	var rows []rowName
	var kept []decide.Row
	for i, r := range b.Problem.Rows {
		if !money(r) {
			rows, kept = append(rows, b.rows[i]), append(kept, r)
		}
	}
	b.rows, b.Problem.Rows = rows, kept
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
	classes, ok := b.scopeOf(t.Scope)
	if !ok {
		return
	}
	row, ok := b.shareRow(t, classes, hasMin)
	if !ok {
		return
	}
	if hasMin {
		row.Sense, row.SharePPM = decide.AtLeast, int64(lo)
		b.row(n, row)
	}
	if !hasMax {
		return
	}
	row.Sense, row.SharePPM = decide.AtMost, int64(hi)
	if row.Part == decide.PartTenant && row.Measure == decide.MeasureOwned && t.Scope == nil {
		// A plain ceiling on a tenant is a contract and does not yield.
		trainable := int64(0)
		for _, c := range b.Problem.Classes {
			if c.Trainable {
				trainable += c.Devices
			}
		}
		row = decide.Row{Kind: decide.RowTenant, Sense: decide.AtMost, Limit: b.left(b.tenants[row.Tenant], hi.Of(trainable, workload.Down)), Tenant: row.Tenant}
	}
	b.row(n, row)
}

// shareRow is a target's row without its bound; ok is false where nothing that
// it speaks of exists, and a ceiling is kept by itself.
func (b *Board) shareRow(t *config.Target, classes []int, floor bool) (row decide.Row, ok bool) {
	kind, subject, _ := strings.Cut(t.Use, "/")
	unit := map[config.Measure]int{config.MeasureDevices: inDevices, config.MeasurePower: inPower, config.MeasureRevenue: inMoney}[t.Measure]
	row = decide.Row{Kind: decide.RowShare, Tier: tierOf(t.Tier, unit), Measure: measureOf(t), Classes: classes}
	switch kind {
	case "training":
		if row.Part = decide.PartJobs; t.Measure != config.MeasureRevenue {
			row.Kind, row.Part = decide.RowAIShare, ""
		}
	case "mining":
		row.Part = decide.PartMining
	case "coin":
		row.Part, row.Coin = decide.PartCoin, indexOf(b.coins, workload.CoinName(subject))
		if row.Coin < 0 && floor { // a floor on what nothing can mine is missed, and has to be seen
			row.Coin = b.coin(workload.CoinName(subject))
		}
		if t.Measure == config.MeasureRevenue && t.Scope == nil && !floor { // of mining alone
			row = decide.Row{Kind: decide.RowCoin, Tier: row.Tier, Coin: row.Coin}
		}
		return row, row.Coin >= 0
	case "tenant":
		row.Part, row.Tenant = decide.PartTenant, indexOf(b.tenants, workload.TenantName(subject))
		if row.Tenant < 0 && floor {
			row.Tenant = b.tenant(workload.TenantName(subject))
		}
		return row, row.Tenant >= 0
	}
	return row, true
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
	case t.Measure == config.MeasureRevenue:
		return decide.MeasureRevenue
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
