package decide

// Limits that Validate enforces. They are far above any fleet and low enough
// that no sum over a plan leaves int64 (see DESIGN.md, "Numbers").
const (
	MaxScalar = 1_000_000_000_000_000 // any single figure
	MaxCount  = 100_000_000           // devices in one class, zones, jobs
	PPM       = 1_000_000
)

// None stands for "no offer", "no parent", "no coin".
const None = -1

// Problem is one round's question, by value. Identifiers are positions in the
// slices below; the caller keeps the names. Money is in micro-units of one
// currency, rates are per hour, power is in watts at the meter: the caller has
// already multiplied board watts by the hall's PUE (rounding up), so that this
// package never sees PUE.
type Problem struct {
	Zones   []Zone       `json:"zones"`
	Classes []Class      `json:"classes"`
	Mining  []MiningCell `json:"mining"` // ascending by (class, option)
	Jobs    []Job        `json:"jobs"`
	Offers  []Offer      `json:"offers"` // ascending by job
	Tenants int          `json:"tenants"`
	Coins   int          `json:"coins"`
	Rows    []Row        `json:"rows"`
	Policy  Policy       `json:"policy"`
}

// Zone is a site, hall or rack. A cap covers the whole subtree.
type Zone struct {
	Parent            int   `json:"parent"`               // an earlier zone, or None for a root
	CapW              int64 `json:"cap_w"`                // watts at the meter; negative: no cap
	EnergyMicroPerKWh int64 `json:"energy_micro_per_kwh"` // tariff now, for classes directly in this zone; may be negative
}

// Class is a group of interchangeable healthy devices: hall x model x node
// shape x health.
type Class struct {
	Zone      int         `json:"zone"`
	NodeSize  int64       `json:"node_size"` // device slots of one node; 0: unknown
	Devices   int64       `json:"devices"`
	IdleWatts int64       `json:"idle_watts"` // per parked device, at the meter; priced and counted against caps
	Trainable bool        `json:"trainable"`  // can run jobs; only these count in device shares
	Nodes     []NodeShape `json:"nodes,omitempty"`
}

// NodeShape says what one node offers to gangs of a class. Total counts the
// healthy devices of the class there, Free those of them a gang may use this
// round (all but the ones held by the miners' minimum dwell).
type NodeShape struct {
	Node  int   `json:"node"`
	Free  int64 `json:"free"`
	Total int64 `json:"total"`
}

// MiningCell is one way to mine with one class: an option is a coin, miner and
// power mode. Options that may not be used now are simply absent, except where
// devices still run one: then the cell is present with Banned set, and no
// device may keep it.
type MiningCell struct {
	Class             int   `json:"class"`
	Option            int   `json:"option"`
	Coin              int   `json:"coin"`
	GrossMicroPerHour int64 `json:"gross_micro_per_hour"` // per device
	HaircutPPM        int64 `json:"haircut_ppm"`          // risk discount on gross
	WattsMeter        int64 `json:"watts_meter"`          // per device, at least the class's IdleWatts
	EnterMicro        int64 `json:"enter_micro"`          // one-off cost for a device to switch to this option
	Current           int64 `json:"current"`              // devices on this option now
	Locked            int64 `json:"locked"`               // of those, still inside their minimum dwell
	Banned            bool  `json:"banned,omitempty"`
}

// Job is one training or inference job. Costs are one-off.
type Job struct {
	Key          uint64    `json:"key,omitempty"` // the same over rounds, so that a warm start knows the job again; all 0: its position does
	Tenant       int       `json:"tenant"`
	Priority     int       `json:"priority"`            // breaks ties between equally good jobs; higher first
	KillMicro    int64     `json:"kill_micro"`          // lost work if a running job is stopped
	MigrateMicro int64     `json:"migrate_micro"`       // cost to change class
	ResizeMicro  int64     `json:"resize_micro"`        // cost to change width within the class
	Current      int       `json:"current"`             // offer running now, or None
	On           []NodeUse `json:"on,omitempty"`        // where it runs now; lets a kept gang hold its nodes
	Pinned       bool      `json:"pinned,omitempty"`    // must stay on Current (contract)
	Protected    bool      `json:"protected,omitempty"` // must stay on Current until its minimum run time is over
	Arrived      bool      `json:"arrived,omitempty"`   // new since the previous plan; inserted first, even into a plan that is held
}

// NodeUse is a count of devices on one node.
type NodeUse struct {
	Node    int   `json:"node"`
	Devices int64 `json:"devices"`
}

// Offer is one way to run a job: all of Width devices of one class, or none.
// PerNode, when not zero, asks for exactly that many devices on each of
// Width/PerNode different nodes.
type Offer struct {
	Job             int   `json:"job"`
	Class           int   `json:"class"`
	Width           int64 `json:"width"`
	PerNode         int64 `json:"per_node"`
	NetMicroPerHour int64 `json:"net_micro_per_hour"` // revenue of the whole offer before energy
	WattsMeter      int64 `json:"watts_meter"`        // of the whole offer, at least Width x IdleWatts
}

// RowKind names a coupling rule.
type RowKind string

// The coupling rules.
const (
	RowAIShare RowKind = "ai_share"       // jobs' share of devices or power in a scope
	RowTenant  RowKind = "tenant_devices" // at most Limit devices for one tenant; never yields
	RowCoin    RowKind = "coin_share"     // one coin's share of gross mining revenue, at most
	RowShare   RowKind = "share"          // the share of Use in a scope, by any measure, either sense
	RowPower   RowKind = "power"          // at most Limit watts drawn in a scope, idle draw included
	RowCash    RowKind = "cash"           // at least Limit micro per hour in cash, after all energy
	RowPreempt RowKind = "preemptions"    // at most Limit running jobs stopped
)

// Sense tells a floor from a ceiling.
type Sense string

// The senses.
const (
	AtLeast Sense = "min"
	AtMost  Sense = "max"
)

// Measure is what an AI share is counted in.
type Measure string

// The measures. MeasureOwned: devices, of the trainable devices in scope;
// MeasureActive: devices, of those that work now; MeasurePower: watts at the
// meter, of the watts drawn by working devices in scope. MeasureRevenue, for
// RowShare only: gross mining revenue and what the jobs pay, of both together.
const (
	MeasureOwned   Measure = "owned"
	MeasureActive  Measure = "active"
	MeasurePower   Measure = "power"
	MeasureRevenue Measure = "revenue"
)

// Part is what a RowShare counts.
type Part string

// The parts: all jobs, all mining, the mining of Row.Coin, the jobs of
// Row.Tenant. A coin's share is one of mining, where the measure does not make
// it one of what is owned.
const (
	PartJobs   Part = "jobs"
	PartMining Part = "mining"
	PartCoin   Part = "coin"
	PartTenant Part = "tenant"
)

// Row is one coupling rule. Rows of kind RowTenant are hard. The others yield
// in order: a lower Tier is stronger, the sum of shortfalls of a tier is
// minimised before the next tier and before profit. All soft rows of one tier
// must be counted in the same unit.
type Row struct {
	Kind     RowKind `json:"kind"`
	Tier     int     `json:"tier"`
	Sense    Sense   `json:"sense"`
	Measure  Measure `json:"measure,omitempty"` // RowAIShare, RowShare
	Part     Part    `json:"part,omitempty"`    // RowShare
	SharePPM int64   `json:"share_ppm"`         // RowAIShare, RowCoin, RowShare
	Limit    int64   `json:"limit"`             // RowTenant devices, RowPower watts, RowCash micro per hour, RowPreempt jobs
	Tenant   int     `json:"tenant"`            // RowTenant, PartTenant
	Coin     int     `json:"coin"`              // RowCoin, PartCoin
	Coins    []int   `json:"coins,omitempty"`   // RowCash: coins that are turned into cash; the others count as nothing
	Zones    []int   `json:"zones,omitempty"`   // scope of RowAIShare, RowShare, RowPower, with subtrees; empty: all
	Classes  []int   `json:"classes,omitempty"` // scope of the same; empty: all
}

// Policy is the operator's part of the question.
type Policy struct {
	HorizonMinutes int64 `json:"horizon_minutes"` // a one-off cost must pay back within this time; at least 1
	HoldGapPPM     int64 `json:"hold_gap_ppm"`    // keep the previous plan while it is proven this close to the best
	MaxMoves       int64 `json:"max_moves"`       // devices that may enter an option or a job offer this round; 0: no limit
}

// Budget bounds the work of one Solve, in units, so that the same budget gives
// the same answer on every machine. Zero fields take the default.
type Budget struct {
	PriceSweeps int64 `json:"price_sweeps"` // passes over all columns while prices settle
	Moves       int64 `json:"moves"`        // candidate changes tried by local search
	Nodes       int64 `json:"nodes"`        // nodes of the exhaustive search on tiny fleets
	Pivots      int64 `json:"pivots"`       // pivots of the relaxation's simplex method
}

// Stage names the last finished step of Solve.
type Stage string

// The stages, weakest proof first.
const (
	StageRounded  Stage = "rounded"  // greedy plan with a Lagrangian bound
	StageImproved Stage = "improved" // after local search
	StageHeld     Stage = "held"     // previous plan, proven close enough
	StageOptimal  Stage = "optimal"  // bound equals value
)

// Plan is the decision in counts: per mining cell how many devices keep and
// enter it, per job the offer it runs on or None. What is left of a class is
// parked.
type Plan struct {
	Cells []CellPlan `json:"cells"`
	Jobs  []int      `json:"jobs"`
}

// CellPlan counts devices of one mining cell.
type CellPlan struct {
	Keep  int64 `json:"keep"`
	Enter int64 `json:"enter"`
}

// Certificate proves the plan's distance from the best. Values are in
// nano-units per hour (1/1000 micro), exact integers. Duals hold the prices
// at which the Lagrangian bound is evaluated; see DESIGN.md for the formula and
// the units. With Enumerated the bound comes from an exhaustive search that
// Verify repeats.
type Certificate struct {
	ValueNano  int64       `json:"value_nano_per_hour"`
	BoundNano  int64       `json:"bound_nano_per_hour"`
	ScaleNano  int64       `json:"scale_nano_per_hour"` // gross revenue + absolute energy cost of the plan
	Enumerated bool        `json:"enumerated"`
	Duals      Duals       `json:"duals"`
	Tiers      []TierProof `json:"tiers"`
	Tree       []TreeNode  `json:"tree,omitempty"` // a tighter proof than Duals alone, see tree.go
}

// Duals are the prices of the certificate, all non-negative.
type Duals struct {
	Class []int64 `json:"class"` // nano per device and hour
	Zone  []int64 `json:"zone"`  // 1e-6 nano per watt
	Row   []int64 `json:"row"`   // tenant: nano per device; others: 1e-9 nano per row unit (ppm x measure)
	Place []int64 `json:"place"` // nano per place of a place row, see places.go
	Moves int64   `json:"moves"` // nano per move
}

// TierProof states the shortfall that the plan leaves in one tier of soft rows
// and the least that any plan could leave which misses the stronger tiers by no
// more than this one, both in row units (ppm x devices, ppm x watts, ppm x micro,
// ppm x jobs). Duals, where present, are the prices that prove ShortBound, with
// one row unit in the place of one nano; see DESIGN.md, "Proof".
type TierProof struct {
	Tier       int    `json:"tier"`
	Short      int64  `json:"short"`
	ShortBound int64  `json:"short_bound"`
	Duals      *Duals `json:"duals,omitempty"`
}

// TargetCode says what became of a soft row.
type TargetCode string

// The codes of a target.
const (
	TargetMet          TargetCode = "TARGET_MET"
	TargetNotBinding   TargetCode = "TARGET_NOT_BINDING"
	TargetUnattainable TargetCode = "TARGET_UNATTAINABLE" // no plan can reach it
	TargetConflict     TargetCode = "TARGET_CONFLICT"     // a row With, stronger or of the same tier, stands in its way
	TargetMissed       TargetCode = "TARGET_MISSED"       // not reached, and not proven out of reach
)

// TargetReport is one soft row's outcome. Shares are in ppm of the row's base;
// that of a row with a Limit is the Limit, and 1,000,000 is wanted.
// BestPossiblePPM is a proven limit for the row alone (an upper bound for a
// floor, a lower bound for a ceiling).
type TargetReport struct {
	Row             int        `json:"row"`
	Code            TargetCode `json:"code"`
	WantedPPM       int64      `json:"wanted_ppm"`
	AchievedPPM     int64      `json:"achieved_ppm"`
	BestPossiblePPM int64      `json:"best_possible_ppm"`
	Short           int64      `json:"short"` // row units
	With            int        `json:"with"`  // the stronger row of TARGET_CONFLICT, else None
}

// RowReport is one hard limit that the plan touches, with its price in micro
// per hour and unit (device, kW, move). It is a local slope: use Marginals for
// figures to show.
type RowReport struct {
	Scope          string `json:"scope"` // class, zone, row, moves
	Index          int    `json:"index"`
	Used           int64  `json:"used"`
	Limit          int64  `json:"limit"`
	PriceMicroUnit int64  `json:"price_micro_per_unit"`
}

// Result is the answer. Objective is what the plan earns per hour: revenue
// after haircut, less all energy including the idle draw of parked devices,
// less one-off costs spread over the horizon. It is rounded down, the bound up.
type Result struct {
	ObjectiveMicroPerHour int64          `json:"objective_micro_per_hour"`
	BoundMicroPerHour     int64          `json:"bound_micro_per_hour"`
	GapPPM                int64          `json:"gap_ppm"`
	GapMicroPerHour       int64          `json:"gap_micro_per_hour"`
	Stage                 Stage          `json:"stage"`
	LPObjective           int64          `json:"lp_objective"` // Lagrangian bound at Cert.Duals, micro per hour, rounded up
	Moves                 int64          `json:"moves"`        // devices entering an option or an offer
	Preemptions           int64          `json:"preemptions"`  // running jobs that the plan stops
	Plan                  Plan           `json:"plan"`
	Cert                  Certificate    `json:"certificate"`
	Targets               []TargetReport `json:"targets"`
	Binding               []RowReport    `json:"binding"`
	Work                  Budget         `json:"work,omitzero"` // units used; not written to files, where nothing could prove it
}

// Issue is one defect of a Problem, found by Validate.
type Issue struct {
	Path    string `json:"path"`
	Problem string `json:"problem"`
}

// Delta is one hypothetical change for WhatIf.
type Delta struct {
	Kind   DeltaKind `json:"kind"`
	Job    int       `json:"job"`    // ForceIn, ForceOut, Bid
	Offer  int       `json:"offer"`  // ForceIn: this offer, or None for any
	Micro  int64     `json:"micro"`  // Bid: new net micro per hour per device of width
	Row    int       `json:"row"`    // DropRow, ChangeRow
	Change Row       `json:"change"` // ChangeRow: the row's new form
	Zone   int       `json:"zone"`   // AddPower
	Watts  int64     `json:"watts"`  // AddPower; may be negative
}

// DeltaKind names a hypothetical change.
type DeltaKind string

// The changes that WhatIf knows.
const (
	ForceIn   DeltaKind = "force_in"
	ForceOut  DeltaKind = "force_out"
	Bid       DeltaKind = "bid"
	DropRow   DeltaKind = "drop_row"
	ChangeRow DeltaKind = "change_row"
	AddPower  DeltaKind = "add_power"
)

// Answer pairs the plan with and without a change, both solved from the same
// prices with the same budget.
type Answer struct {
	Feasible        bool   `json:"feasible"` // the forced change is part of the plan after it
	Before          Result `json:"before"`
	After           Result `json:"after"`
	ValueDeltaMicro int64  `json:"value_delta_micro_per_hour"` // plan after - plan before
	BoundDeltaMicro int64  `json:"bound_delta_micro_per_hour"` // bound after - bound before
	BelowResolution bool   `json:"below_resolution"`           // the two differences disagree in sign
	MovedDevices    int64  `json:"moved_devices"`              // devices whose use differs between the two plans
	Evicted         []int  `json:"evicted"`                    // jobs running only before
	Admitted        []int  `json:"admitted"`                   // jobs running only after
}

// Inventory lists concrete devices; the position is the device.
type Inventory struct {
	Devices []Device `json:"devices"`
	// Local restricts a job to some nodes, ascending, such as those that hold its
	// checkpoint: Local[job] nil allows every node, and a missing entry does too.
	Local [][]int `json:"local,omitempty"`
}

// Device is one concrete device. Dwell forbids to take it off its mining option
// this round.
type Device struct {
	Class  int  `json:"class"`
	Node   int  `json:"node"`
	Rack   int  `json:"rack,omitempty"`   // of the node; 0: not known
	Island int  `json:"island,omitempty"` // devices of a node with one number are linked closely; 0: not known
	Dwell  bool `json:"dwell,omitempty"`
}

// UseKind says what a device does.
type UseKind string

// The uses.
const (
	UseParked UseKind = "parked"
	UseMining UseKind = "mining"
	UseJob    UseKind = "job"
)

// Use is what one device does: Index is a mining cell or an offer.
type Use struct {
	Kind  UseKind `json:"kind"`
	Index int     `json:"index"`
}

// Placement says what every device of an Inventory does.
type Placement struct {
	Uses     []Use `json:"uses"`
	Unplaced []int `json:"unplaced,omitempty"` // jobs of the plan that found no room on concrete nodes
	Held     []int `json:"held,omitempty"`     // devices whose dwell overruled the plan
}

// Move is one device's change.
type Move struct {
	Device int `json:"device"`
	From   Use `json:"from"`
	To     Use `json:"to"`
}
