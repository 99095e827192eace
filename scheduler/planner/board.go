// Package planner stands between names and numbers: it turns a View of the
// cluster into a decide.Problem, and what decide answers into a state.Plan, a
// forecast of a policy change, or an explanation. It is pure: the same view,
// instant and warm state give the same plan. It is a package of its own so that
// decide stays free of names, and because the leader's loop, the preview of a
// policy and the explanations all need it.
package planner

import (
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// Board is one round's question with the names behind its numbers.
type Board struct {
	View    *state.View
	Policy  *config.Set
	Cluster config.Cluster
	// Now is the market clock, Wall the real one.
	Now, Wall workload.Instant

	Problem   decide.Problem
	Inventory decide.Inventory

	zones   []zone
	zoneOf  map[zoneKey]int
	classes []class
	cells   []cell
	jobs    []workload.JobID
	jobAt   map[workload.JobID]int
	offers  []offer
	tenants []workload.TenantName
	coins   []workload.CoinName
	nodes   []workload.NodeID
	nodeAt  map[workload.NodeID]int
	devices []workload.DeviceID // of the inventory
	place   map[workload.DeviceID]int
	rows    []rowName
	lifted  []bool // by class: a newly queued job may break the dwell of its devices
	// forced are devices that must park; fixed are left alone, with why nothing
	// may be decided for them. A device is in one of them at most. mates are the
	// fixed ones that stand aside only because a device of their gang does.
	forced map[workload.DeviceID]workload.Reason
	fixed  map[workload.DeviceID]workload.Reason
	mates  map[workload.DeviceID]bool
	// ends are running jobs that stop whatever the decision: a time limit is
	// over, or a device of theirs must park.
	ends  map[workload.JobID]workload.Reason
	waits map[workload.JobID]workload.Reason // jobs kept out of the problem
	sites map[workload.SiteName]siteNow

	overrides []config.Document             // those in force
	ids       []workload.DeviceID           // of the view, in natural order
	active    []workload.JobID              // jobs that have an attempt, ascending
	asideKind []state.Device                // one of each kind that stands aside
	outside   map[workload.TenantName]int64 // devices of jobs that stand aside
	quotas    map[workload.SiteName]Quota
	rackAt    map[zoneKey]int

	// The queue; see queue.go, guarantee.go, reserve.go and exchange.go.
	kins      []kin                    // the strongest claim first
	kinAt     map[workload.JobID]int   // of the jobs asked about
	asked     []workload.JobID         // ascending
	claims    map[workload.JobID]claim // of those asked about and of running jobs
	owed      map[workload.JobID]bool  // within their tenants' guarantees
	open      []int                    // by class: devices that a queued job could have
	topBid    workload.Rate            // of the queue
	others    []workload.Rate          // by class: the best net of a device without a job
	top       workload.Rate            // the greatest surplus over that
	holds     []hold                   // reservations, the strongest claim first
	exchanges []exchange
	admitted  map[admission]int       // what reservations leave to weaker jobs
	outsideOf [][]int                 // nodes that the first n reservations leave
	idle      []int64                 // by zone: idle draw of all classes below it
	bound     map[int]bool            // by position: held to the nodes of its checkpoint
	withheld  map[workload.JobID]bool // found to have no placement; see Decide
}

// zoneKey names a zone: what is below the last name given belongs to it. node
// and device are zones only while an override bounds their power.
type zoneKey struct {
	site   workload.SiteName
	hall   workload.HallName
	rack   workload.RackName
	node   workload.NodeID
	device workload.DeviceID
}

type zone struct {
	key  zoneKey
	capW int64
}

// classKey is what makes devices interchangeable.
type classKey struct {
	zone     int
	hall     workload.HallName
	model    workload.ModelName
	devices  string // device class of the miners: sim, cuda, ...
	memory   int64
	nodeSize int
	noMine   bool // a person's override
	noTrain  bool
}

type class struct {
	key     classKey
	site    workload.SiteName
	pue     workload.PPM
	kind    workload.DeviceKind
	options []market.Option
	idle    market.Money
	devices []int // positions in Board.devices
	banned  string
	priced  bool            // the energy price of its site is known
	by      workload.Reason // the override that narrows it, if any
}

type cell struct {
	class  int
	option market.Option
	money  market.Money
}

type offer struct {
	job   int
	class int
	width int
	money market.Money // of one device
}

type rowName struct {
	kind   config.Kind
	name   string
	target *config.Target
}

type siteNow struct {
	micro int64
	known bool
	ban   string // calendar that forbids mining now
	cap   int64  // -1 = none
	by    string // what set the cap: "", calendar or override
}

// Compose builds the question. policy is usually the view's own; a preview
// passes another.
func Compose(v *state.View, policy *config.Set, now, wall workload.Instant) *Board {
	return compose(v, policy, now, wall, nil)
}

// compose builds the question without some queued jobs.
func compose(v *state.View, policy *config.Set, now, wall workload.Instant, withheld map[workload.JobID]bool) *Board {
	b := &Board{withheld: withheld, bound: map[int]bool{}, kinAt: map[workload.JobID]int{}, claims: map[workload.JobID]claim{}, owed: map[workload.JobID]bool{}, View: v, Policy: policy, Cluster: policy.Cluster(), Now: now, Wall: wall, ids: v.DeviceIDs(),
		zoneOf: map[zoneKey]int{}, jobAt: map[workload.JobID]int{}, nodeAt: map[workload.NodeID]int{},
		place: make(map[workload.DeviceID]int, len(v.Devices)), forced: map[workload.DeviceID]workload.Reason{},
		fixed: map[workload.DeviceID]workload.Reason{}, mates: map[workload.DeviceID]bool{}, ends: map[workload.JobID]workload.Reason{},
		waits: map[workload.JobID]workload.Reason{}, sites: map[workload.SiteName]siteNow{}, outside: map[workload.TenantName]int64{}}
	// 1. What each site allows now, and who asks for what.
	b.addOverrides()
	b.addSites()
	b.addLive()
	// 2. Devices that stand outside the decision, one by one, then with their
	//    gangs, which needs to know what makes devices alike.
	b.setAside()
	keys := b.classKeys()
	b.setAsideGangs(keys)
	b.addGuarantees()
	// 3. Classes and the concrete inventory, with the queue that wants them.
	b.addClasses(keys)
	// 4. What each class could mine.
	b.addMining()
	// 5. Jobs and where they could run.
	b.addJobs()
	// 6. Rules that couple them.
	b.addRows()
	b.Problem.Policy = decide.Policy{HorizonMinutes: b.horizonMinutes(), HoldGapPPM: holdGapPPM,
		MaxMoves: int64(min(b.Cluster.MaxMoves, decide.MaxCount))}
	b.Problem.Tenants, b.Problem.Coins = len(b.tenants), len(b.coins)
	b.clamp()
	b.dropUncountable()
	return b
}

// holdGapPPM is the limit of the hold test: a standing plan within 0.5 % of the
// proven best is kept.
const holdGapPPM = 5_000
