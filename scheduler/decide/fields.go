package decide

import "fmt"

// Required marks a field of the file that has no default.
const Required = "required"

// Field describes one field of problem.json: the page deploy/docs/decide.md and
// the messages of ParseProblem are made of these, and a test holds them against
// the structs. Min and Max are what Validate accepts of the figure alone; where
// Range has a text, that says it instead.
type Field struct {
	Path     string // as in messages, without positions
	Unit     string
	Min, Max int64
	Range    string
	Default  string
	Meaning  string
}

const (
	microHour = "micro-units of the accounting currency per hour"
	micro     = "micro-units of the accounting currency"
	watts     = "watts at the meter"
	someone   = "position, "
)

// Fields lists every field of problem.json in document order.
var Fields = []Field{
	{Path: "zones", Range: "list", Default: Required, Meaning: "sites, halls and racks, each after the zone it lies in"},
	{Path: "zones[].parent", Unit: someone + "an earlier zone", Range: "-1 or an earlier zone", Default: "-1", Meaning: "the zone around it; -1: none"},
	{Path: "zones[].cap_w", Unit: watts, Range: "any, up to 1000000000000000", Default: "-1", Meaning: "limit for everything inside, idle draw included; negative: no limit"},
	{Path: "zones[].energy_micro_per_kwh", Unit: "micro-units of the accounting currency per kWh", Min: -MaxScalar, Max: MaxScalar, Default: Required, Meaning: "tariff now, for classes directly in the zone; may be negative"},

	{Path: "classes", Range: "list", Default: Required, Meaning: "groups of interchangeable healthy devices: hall x model x node shape x health; at most 20000"},
	{Path: "classes[].zone", Unit: someone + "a zone", Range: "a zone", Default: Required, Meaning: "where it stands"},
	{Path: "classes[].node_size", Unit: "device slots", Max: MaxCount, Default: "0", Meaning: "slots of one node; 0: unknown"},
	{Path: "classes[].devices", Unit: "devices", Max: MaxCount, Default: Required, Meaning: "healthy devices"},
	{Path: "classes[].idle_watts", Unit: watts + " per device", Max: MaxScalar, Default: Required, Meaning: "draw of a parked device; priced, and counted against limits"},
	{Path: "classes[].trainable", Range: "true, false", Default: "false", Meaning: "can run jobs; only these count in shares of devices"},
	{Path: "classes[].nodes", Range: "list", Default: "empty", Meaning: "where its devices are; empty: gangs are not packed. The totals add up to devices"},
	{Path: "classes[].nodes[].node", Unit: "node number", Range: "0 or more, ascending", Default: Required, Meaning: "name of the node within the class"},
	{Path: "classes[].nodes[].free", Unit: "devices", Range: "0 to total", Default: Required, Meaning: "what a gang may use there this round"},
	{Path: "classes[].nodes[].total", Unit: "devices", Range: "free to 100000000", Default: Required, Meaning: "healthy devices of the class there"},

	{Path: "mining", Range: "list", Default: "empty", Meaning: "ways to mine, ascending by class and option, each pair once"},
	{Path: "mining[].class", Unit: someone + "a class", Range: "a class", Default: Required, Meaning: "which devices"},
	{Path: "mining[].option", Unit: "option number", Max: MaxCount, Default: Required, Meaning: "coin, miner and power mode"},
	{Path: "mining[].coin", Unit: someone + "a coin", Range: "0 to coins - 1", Default: Required, Meaning: "what it earns in"},
	{Path: "mining[].gross_micro_per_hour", Unit: microHour + " and device", Max: MaxScalar, Default: Required, Meaning: "revenue before the haircut and energy"},
	{Path: "mining[].haircut_ppm", Unit: "ppm of gross", Max: PPM, Default: "0", Meaning: "discount for risk"},
	{Path: "mining[].watts_meter", Unit: watts + " per device", Max: MaxScalar, Default: Required, Meaning: "draw while mining, at least the idle draw"},
	{Path: "mining[].enter_micro", Unit: micro + " per device", Max: MaxScalar, Default: "0", Meaning: "one-off cost of switching to it"},
	{Path: "mining[].current", Unit: "devices", Max: MaxCount, Default: "0", Meaning: "devices on it now; all of a class together at most its devices"},
	{Path: "mining[].locked", Unit: "devices", Range: "0 to current", Default: "0", Meaning: "of those, still inside their minimum dwell"},
	{Path: "mining[].banned", Range: "true, false", Default: "false", Meaning: "may not be used now; listed only because devices still run it"},

	{Path: "jobs", Range: "list", Default: "empty", Meaning: "training and inference jobs, by age"},
	{Path: "jobs[].key", Unit: "job number", Range: "0 to 18446744073709551615", Default: "0", Meaning: "the same for a job in every round, so that a warm start knows it again; all 0: its position does"},
	{Path: "jobs[].tenant", Unit: someone + "a tenant", Range: "0 to tenants - 1", Default: Required, Meaning: "whose limit it counts against"},
	{Path: "jobs[].priority", Unit: "rank", Range: "any", Default: "0", Meaning: "breaks ties between equally good jobs, higher first"},
	{Path: "jobs[].kill_micro", Unit: micro, Max: MaxScalar, Default: "0", Meaning: "work lost if it is stopped while it runs"},
	{Path: "jobs[].migrate_micro", Unit: micro, Max: MaxScalar, Default: "0", Meaning: "cost of changing the class"},
	{Path: "jobs[].resize_micro", Unit: micro, Max: MaxScalar, Default: "0", Meaning: "cost of changing the width within the class"},
	{Path: "jobs[].current", Unit: someone + "an offer of this job", Range: "-1 or an offer of this job", Default: "-1", Meaning: "what it runs on now; -1: it waits"},
	{Path: "jobs[].on", Range: "list", Default: "empty", Meaning: "the nodes it runs on now, ascending; a gang that stays keeps them"},
	{Path: "jobs[].on[].node", Unit: "node number", Range: "0 or more, ascending", Default: Required, Meaning: "a node of the offer's class"},
	{Path: "jobs[].on[].devices", Unit: "devices", Range: "1 to 100000000", Default: Required, Meaning: "devices there; together the offer's width"},
	{Path: "jobs[].pinned", Range: "true, false", Default: "false", Meaning: "must stay as it runs (contract)"},
	{Path: "jobs[].protected", Range: "true, false", Default: "false", Meaning: "must stay until its minimum run time is over"},
	{Path: "jobs[].arrived", Range: "true, false", Default: "false", Meaning: "new since the last plan; ends a hold"},

	{Path: "offers", Range: "list", Default: "empty", Meaning: "ways to run the jobs, ascending by job"},
	{Path: "offers[].job", Unit: someone + "a job", Range: "a job", Default: Required, Meaning: "whose way it is"},
	{Path: "offers[].class", Unit: someone + "a class", Range: "a class", Default: Required, Meaning: "whose devices it takes"},
	{Path: "offers[].width", Unit: "devices", Range: "1 to 100000000", Default: Required, Meaning: "all of them, or none"},
	{Path: "offers[].per_node", Unit: "devices per node", Range: "0 or a divisor of width", Default: "0", Meaning: "exactly so many on each of width / per_node nodes; 0: anywhere"},
	{Path: "offers[].net_micro_per_hour", Unit: microHour, Max: MaxScalar, Default: Required, Meaning: "revenue of the whole offer before energy"},
	{Path: "offers[].watts_meter", Unit: watts, Max: MaxScalar, Default: Required, Meaning: "draw of the whole offer, at least the idle draw of its devices"},

	{Path: "tenants", Unit: "tenants", Max: maxClasses, Default: "0", Meaning: "how many there are"},
	{Path: "coins", Unit: "coins", Max: maxClasses, Default: "0", Meaning: "how many there are"},

	{Path: "rows", Range: "list", Default: "empty", Meaning: "coupling rules, at most 4096"},
	{Path: "rows[].kind", Range: "ai_share, tenant_devices, coin_share, share, power, cash, preemptions", Default: Required, Meaning: "jobs' share of devices or power; a tenant's limit; a coin's share of gross revenue; a part's share by any measure; watts drawn; cash after energy; running jobs stopped"},
	{Path: "rows[].tier", Unit: "tier", Max: MaxCount, Default: "0", Meaning: "soft rows of a lower tier are served first; tenants' limits never yield"},
	{Path: "rows[].sense", Range: "min, max", Default: Required, Meaning: "floor or ceiling; ai_share and share take either, cash min, the others max"},
	{Path: "rows[].measure", Range: "owned, active, power, revenue", Default: "empty", Meaning: "ai_share, share: of trainable devices, of working ones, of working watts; share alone: of gross revenue"},
	{Path: "rows[].part", Range: "jobs, mining, coin, tenant", Default: "empty", Meaning: "share: what is counted"},
	{Path: "rows[].share_ppm", Unit: "ppm", Max: PPM, Default: "0", Meaning: "ai_share, coin_share, share: the share"},
	{Path: "rows[].limit", Unit: "by kind", Max: MaxScalar, Default: "0", Meaning: "tenant_devices: devices; power: watts; cash: micro-units per hour; preemptions: jobs"},
	{Path: "rows[].tenant", Unit: someone + "a tenant", Range: "0 to tenants - 1", Default: "0", Meaning: "tenant_devices, share of a tenant: whose"},
	{Path: "rows[].coin", Unit: someone + "a coin", Range: "0 to coins - 1", Default: "0", Meaning: "coin_share, share of a coin: of which"},
	{Path: "rows[].coins", Range: "list", Default: "empty", Meaning: "cash: the coins that are turned into cash"},
	{Path: "rows[].coins[]", Unit: someone + "a coin", Range: "0 to coins - 1", Meaning: "one of them"},
	{Path: "rows[].zones", Range: "list", Default: "empty", Meaning: "ai_share, share, power: where, with everything inside; empty: everywhere"},
	{Path: "rows[].zones[]", Unit: someone + "a zone", Range: "a zone", Meaning: "one of them"},
	{Path: "rows[].classes", Range: "list", Default: "empty", Meaning: "ai_share, share, power: of which classes; empty: all"},
	{Path: "rows[].classes[]", Unit: someone + "a class", Range: "a class", Meaning: "one of them"},

	{Path: "policy", Range: "object", Default: Required, Meaning: "the operator's part of the question"},
	{Path: "policy.horizon_minutes", Unit: "minutes", Min: 1, Max: MaxCount, Default: Required, Meaning: "a one-off cost must pay back within this time"},
	{Path: "policy.hold_gap_ppm", Unit: "ppm", Max: PPM, Default: "0", Meaning: "keep the previous plan while it is proven this close to the best"},
	{Path: "policy.max_moves", Unit: "devices", Max: MaxCount, Default: "0", Meaning: "devices that may change their use this round; 0: no limit"},
}

// RangeText is the field's range as the page shows it.
func (f Field) RangeText() string {
	if f.Range != "" {
		return f.Range
	}
	return fmt.Sprintf("%d to %d", f.Min, f.Max)
}
