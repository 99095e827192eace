package planner

import "github.com/sluice-project/sluice/scheduler/config"

// NotActedOn lists the parts of a document that are stored and checked but that
// nothing in this version acts on, by key. People are told when they write
// them: a rule that is silently not kept is worse than one that is refused, and
// refusing would make them keep two copies of their policy.
func NotActedOn(d config.Document) []string {
	var keys []string
	note := func(is bool, key string) {
		if is {
			keys = append(keys, key)
		}
	}
	switch {
	case d.Site != nil:
		note(d.Site.LegalEntity != "", "legalEntity")
	case d.Tariff != nil:
		note(d.Tariff.DemandCharge != nil, "demandCharge")
	case d.Calendar != nil:
		c := d.Calendar
		note(c.Credit != nil, "credit")
		note(c.Window != nil && c.Window.Notice > 0, "window.notice")
		note(c.Forbidding(config.ActivityPool), "forbids: pool")
	case d.Coin != nil:
		note(d.Coin.Risk.Convert != "", "risk.convert (Cluster.cashFloor counts by it; nothing is sold)")
	case d.Wallet != nil:
		note(d.Wallet.Signature != "", "signature")
	case d.Miner != nil:
		note(d.Miner.SHA256 != "", "sha256")
		note(d.Miner.API != nil && d.Miner.API.Hashrate != "", "api mapping")
	case d.DeviceProfile != nil:
		note(d.DeviceProfile.Training != nil && len(d.DeviceProfile.Training.Steps) > 0, "training.powerSteps")
	case d.Tenant != nil:
		note(d.Tenant.Budget != nil, "budget")
	case d.Feed != nil:
		note(d.Feed.FX != "", "fx")
		note(d.Feed.Gate.Agree > 0, "gate.agree")
		note(d.Feed.Gate.Min != "", "gate.min")
		note(d.Feed.Gate.Max != "", "gate.max")
	case d.RoleBinding != nil:
		note(true, "the whole document (roles stand in tokens)")
	}
	return keys
}
