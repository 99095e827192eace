package config

import (
	"time"

	"github.com/sluice-project/sluice/workload"
)

// Amount is money as it was written: micro-units of its own currency. What it
// is per (a kWh, a GPU-hour, a month) is said by the field that holds it.
type Amount struct {
	Micro    int64  `json:"micro"`
	Currency string `json:"currency"`
}

// Cluster holds what is the same everywhere. There is at most one, and its
// name is "default". Set.Cluster fills in what it leaves out.
type Cluster struct {
	// Currency is the accounting currency; every amount of policy but a feed's
	// is in it. Default USD.
	Currency string `json:"currency,omitempty" doc:"currency,currency"`
	// MaxGrace caps the time a job may take to save itself. Default 10 min.
	MaxGrace time.Duration `json:"max_grace,omitempty" doc:"maxGrace,span"`
	// MiningLease is how long mining goes on unheard. Default 24 h.
	MiningLease time.Duration `json:"mining_lease,omitempty" doc:"miningLease,span"`
	// MinDwell is how long a device keeps a use before a price may move it.
	// Market clock; default 10 min.
	MinDwell time.Duration `json:"min_dwell,omitempty" doc:"minDwell,span"`
	// Horizon is the time within which a switch must pay itself back. Market
	// clock; default 1 h.
	Horizon time.Duration `json:"horizon,omitempty" doc:"horizon,span"`
	// MaxMoves is how many devices may take up another option or job in one
	// round; 0 = no limit. What has to stop, stops all the same.
	MaxMoves int `json:"max_moves,omitempty" doc:"maxMoves,int"`
	// MaxPreemptions is how many running jobs a round should stop at most; every
	// target and limit goes before it. nil = no limit.
	MaxPreemptions *int `json:"max_preemptions,omitempty" doc:"maxPreemptions,int"`
	// CashFloor is what the fleet should earn in cash after all its energy, per
	// hour: from jobs, and from coins whose risk.convert is not never.
	CashFloor *Amount `json:"cash_floor,omitempty" doc:"cashFloor,per:h"`
}

// Site is one place with one meter and one time zone.
type Site struct {
	Zone        string       `json:"zone" doc:"zone,zone,required"`
	Territory   string       `json:"territory,omitempty" doc:"territory,territory"`
	Power       SitePower    `json:"power" doc:"power,,required"`
	Tariff      string       `json:"tariff,omitempty" doc:"tariff,name"`
	EnergyQuota *EnergyQuota `json:"energy_quota,omitempty" doc:"energyQuota"`
	LegalEntity string       `json:"legal_entity,omitempty" doc:"legalEntity,text"`
	SharedPaths []string     `json:"shared_paths,omitempty" doc:"sharedPaths,path"` // checkpoint directories that every node of the site sees
}

// SitePower is the site's tree of power zones: site, halls, racks.
type SitePower struct {
	Cap     int64    `json:"cap,omitempty" doc:"cap,watts"`   // at the meter; 0 = none
	Cooling *Cooling `json:"cooling,omitempty" doc:"cooling"` // of halls that name none
	Halls   []Hall   `json:"halls,omitempty" doc:"halls"`
	// OwnIsolatedGeneration: fed by its own generation that no grid shares;
	// calendars may exempt such sites.
	OwnIsolatedGeneration bool `json:"own_isolated_generation,omitempty" doc:"ownIsolatedGeneration,bool"`
}

// Hall is one cooling loop. Nodes say themselves which hall they stand in.
type Hall struct {
	Name    workload.HallName `json:"name" doc:"name,name,required"`
	Cap     int64             `json:"cap,omitempty" doc:"cap,watts"`
	Cooling *Cooling          `json:"cooling,omitempty" doc:"cooling"`
	Racks   []Rack            `json:"racks,omitempty" doc:"racks"`
}

// Rack may have a cap of its own.
type Rack struct {
	Name workload.RackName `json:"name" doc:"name,name,required"`
	Cap  int64             `json:"cap,omitempty" doc:"cap,watts"`
}

// Cooling gives the power usage effectiveness, in ppm (1_280_000 = 1.28): a
// constant, or a curve over the outdoor temperature.
type Cooling struct {
	PUE   workload.PPM `json:"pue,omitempty" doc:"pue,pue"`
	Curve []CurvePoint `json:"curve,omitempty" doc:"curve"`
}

// CurvePoint is one point of a PUE curve; points ascend by temperature.
type CurvePoint struct {
	Outdoor int64        `json:"outdoor" doc:"outdoor,temperature,required"` // milli-degrees Celsius
	PUE     workload.PPM `json:"pue" doc:"pue,pue,required"`
}

// EnergyQuota bounds the energy of a period in the site's zone.
type EnergyQuota struct {
	Amount int64  `json:"amount" doc:"amount,wattHours,required"` // Wh at the meter
	Per    string `json:"per" doc:"per,enum:day|month|year,required"`
}

// Tariff is what energy costs: a feed, or a table of bands of which the first
// that covers the local time counts; adders come on top of either.
type Tariff struct {
	Currency     string        `json:"currency" doc:"currency,currency,required"`
	Feed         string        `json:"feed,omitempty" doc:"feed,name"`
	Bands        []Band        `json:"bands,omitempty" doc:"bands"`
	Adders       []Adder       `json:"adders,omitempty" doc:"adders"`
	DemandCharge *DemandCharge `json:"demand_charge,omitempty" doc:"demandCharge"`
}

// Band is a price for some hours of some days, per kWh.
type Band struct {
	Price Amount   `json:"price" doc:"price,energyPrice,required"`
	Days  Weekdays `json:"days,omitempty" doc:"days,weekdays"`
	Hours *Hours   `json:"hours,omitempty" doc:"hours,hours"`
}

// Adder is a fixed part of the price per kWh: network, levy, tax.
type Adder struct {
	Name  string `json:"name" doc:"name,text,required"`
	Price Amount `json:"price" doc:"price,energyPrice,required"`
}

// DemandCharge is paid on the highest mean draw of a period, per kW.
type DemandCharge struct {
	Price Amount        `json:"price" doc:"price,per:kW,required"`
	Per   string        `json:"per" doc:"per,enum:month|year,required"`
	Peak  time.Duration `json:"peak,omitempty" doc:"peak,span"` // over which the draw is averaged; default 15 min
}

// Activity is what a calendar forbids.
type Activity string

const (
	ActivityMine Activity = "mine"
	ActivityPool Activity = "pool" // to take part in a pool, also with devices elsewhere
)

// Calendar is a ban (Forbids), or a promise to the grid or a maintenance
// (Reduce), for a territory or one site. From, Until, Annual and Window must
// all hold for it to be active; those left out always hold.
type Calendar struct {
	Territory string            `json:"territory,omitempty" doc:"territory,territory"`
	Site      workload.SiteName `json:"site,omitempty" doc:"site,name"`
	Forbids   []Activity        `json:"forbids,omitempty" doc:"forbids,enum:mine|pool"`
	Reduce    *Reduce           `json:"reduce,omitempty" doc:"reduce"`
	From      Date              `json:"from,omitempty" doc:"from,date"`   // first day
	Until     Date              `json:"until,omitempty" doc:"until,date"` // last day
	Annual    *Annual           `json:"annual,omitempty" doc:"annual"`
	Window    *Window           `json:"window,omitempty" doc:"window"`
	Strike    *Strike           `json:"strike,omitempty" doc:"strike"`
	Credit    *Amount           `json:"credit,omitempty" doc:"credit,per:MW-year"`
	Exempt    *Exempt           `json:"exempt,omitempty" doc:"exempt"`
	Reference string            `json:"reference,omitempty" doc:"reference,text"`
}

// Reduce bounds the site's draw: to a level, or by an amount.
type Reduce struct {
	To *int64 `json:"to,omitempty" doc:"to,watts"`
	By *int64 `json:"by,omitempty" doc:"by,watts"`
}

// Annual is a part of every year, both days included; it may span new year.
type Annual struct {
	Start MonthDay `json:"start" doc:"start,monthDay,required"`
	End   MonthDay `json:"end" doc:"end,monthDay,required"`
}

// Window is a part of the day with the time in which a call comes ahead of it
// and in which the draw may fall.
type Window struct {
	Days   Weekdays      `json:"days,omitempty" doc:"days,weekdays"`
	Hours  *Hours        `json:"hours,omitempty" doc:"hours,hours"`
	Notice time.Duration `json:"notice,omitempty" doc:"notice,span"`
	Ramp   time.Duration `json:"ramp,omitempty" doc:"ramp,span"`
}

// Strike is the band of energy prices within which the grid may call.
type Strike struct {
	Low  Amount `json:"low" doc:"low,energyPrice,required"`
	High Amount `json:"high" doc:"high,energyPrice,required"`
}

// Exempt names who the ban does not bind.
type Exempt struct {
	OwnIsolatedGeneration bool `json:"own_isolated_generation,omitempty" doc:"ownIsolatedGeneration,bool"`
}

// Scope narrows a target, an override or a role; what is empty does not narrow.
type Scope struct {
	Site   workload.SiteName   `json:"site,omitempty" doc:"site,name"`
	Hall   workload.HallName   `json:"hall,omitempty" doc:"hall,name"`
	Tenant workload.TenantName `json:"tenant,omitempty" doc:"tenant,name"`
	Model  workload.ModelName  `json:"model,omitempty" doc:"model,model"`
	Node   workload.NodeID     `json:"node,omitempty" doc:"node,name"`       // overrides only
	Device workload.DeviceID   `json:"device,omitempty" doc:"device,device"` // overrides only
}

// Measure is what a target counts.
type Measure string

const (
	MeasureDevices Measure = "devices" // training-capable ones only
	MeasurePower   Measure = "power"
	MeasureRevenue Measure = "revenue"
)

// Of is the whole of which a target takes its share.
type Of string

const (
	OfOwned  Of = "owned"
	OfActive Of = "active" // those in any use but parked or out of order
)

// Target is a share of the scope that a use must have at least or at most.
type Target struct {
	Scope   *Scope        `json:"scope,omitempty" doc:"scope"`
	Measure Measure       `json:"measure" doc:"measure,enum:devices|power|revenue,required"`
	Of      Of            `json:"of" doc:"of,enum:owned|active,required"`
	Use     string        `json:"use" doc:"use,use,required"` // training | mining | coin/BTC | tenant/research
	Min     *workload.PPM `json:"min,omitempty" doc:"min,share"`
	Max     *workload.PPM `json:"max,omitempty" doc:"max,share"`
	// Glide replaces Min: linear by day between its points, none before the
	// first, the last value from then on.
	Glide []GlidePoint `json:"glide,omitempty" doc:"glide"`
	Tier  int          `json:"tier,omitempty" doc:"tier,int"` // the highest number yields first
	From  Date         `json:"from,omitempty" doc:"from,date"`
	Until Date         `json:"until,omitempty" doc:"until,date"` // last day
}

// GlidePoint is a share from the beginning of a day in the scope's zone.
type GlidePoint struct {
	Date Date         `json:"date" doc:"date,date,required"`
	Min  workload.PPM `json:"min" doc:"min,share,required"`
}

// Override is a person acting now: exactly one of Use, Power and Freeze.
type Override struct {
	Scope  *Scope           `json:"scope,omitempty" doc:"scope"`
	Use    OverrideUse      `json:"use,omitempty" doc:"use,enum:park|mine|train"`
	Power  *PowerTo         `json:"power,omitempty" doc:"power"`
	Freeze bool             `json:"freeze,omitempty" doc:"freeze,bool"` // nothing in scope changes its use
	From   workload.Instant `json:"from,omitempty" doc:"from,instant"`
	Until  workload.Instant `json:"until,omitempty" doc:"until,instant"` // 0 = until removed
	Reason string           `json:"reason" doc:"reason,text,required"`
}

// OverrideUse is the use that an override demands.
type OverrideUse string

const (
	OverridePark  OverrideUse = "park"
	OverrideMine  OverrideUse = "mine"
	OverrideTrain OverrideUse = "train"
)

// PowerTo is a cap in watts at the meter.
type PowerTo struct {
	To int64 `json:"to" doc:"to,watts,required"`
}
