// Package netminer reads and controls ASIC miners over the network: the
// cgminer API and its descendants on TCP 4028, and the HTTP and framed APIs of
// Antminer, Whatsminer, Braiins OS, Vnish and AxeOS. Parse is pure and judges
// every figure: what a device does not tell is unknown, and what cannot be true
// is unknown too, with the reason. A setting counts as made when watts or
// hashrate show it. See DESIGN.md for the rules per family.
package netminer

import (
	"slices"
	"strings"

	"github.com/sluice-project/sluice/workload"
)

// State is what a miner does, as far as it tells.
type State string

const (
	StateUnknown  State = ""
	StateMining   State = "mining"
	StateAsleep   State = "asleep" // by order; its API still answers
	StateStarting State = "starting"
	StateIdle     State = "idle" // on, not hashing, and not by an order we can see
	StateFailed   State = "failed"
)

// Report is everything one miner said about itself. Absent means unknown.
type Report struct {
	Family   Family `json:"family"`
	Make     string `json:"make,omitempty"`
	Model    string `json:"model,omitempty"`
	Firmware string `json:"firmware,omitempty"` // name of the firmware, "stock" for the maker's own
	Version  string `json:"version,omitempty"`  // of the firmware
	Built    string `json:"built,omitempty"`    // when the firmware was compiled, as written
	API      string `json:"api,omitempty"`      // what the API calls itself, such as "cgminer 4.9.0"
	Serial   string `json:"serial,omitempty"`
	MAC      string `json:"mac,omitempty"` // lower case, with colons
	Hostname string `json:"hostname,omitempty"`

	Algorithm string `json:"algorithm,omitempty"` // where the model alone tells it
	State     State  `json:"state,omitempty"`
	Mode      string `json:"mode,omitempty"`    // power mode, in the device's words
	Elapsed   *int64 `json:"elapsed,omitempty"` // seconds since its mining software began
	Settled   bool   `json:"settled"`           // rates are averages of at least a minute's run

	Hashrate   *Rate  `json:"hashrate,omitempty"`
	Nominal    *Rate  `json:"nominal,omitempty"` // what the device says it should do
	Power      *Power `json:"power,omitempty"`
	PowerLimit *int64 `json:"power_limit,omitempty"` // watts

	Temperatures []Temperature `json:"temperatures,omitempty"`
	Fans         []Fan         `json:"fans,omitempty"`
	Boards       []Board       `json:"boards,omitempty"`
	Errors       []Fault       `json:"errors,omitempty"` // as the device reports them
	Pools        []Pool        `json:"pools,omitempty"`

	Accepted       *int64 `json:"accepted,omitempty"` // shares
	Rejected       *int64 `json:"rejected,omitempty"` // shares
	HardwareErrors *int64 `json:"hardware_errors,omitempty"`

	// Warnings say what was rejected or looks wrong, and why.
	Warnings []Warning `json:"warnings,omitempty"`
	// Partial means that a reply was cut off and only its beginning is here.
	Partial bool `json:"partial,omitempty"`
}

// Rate is a hashrate with the field it came from.
type Rate struct {
	PerSecond int64  `json:"per_second"` // hashes/s (solutions/s for equihash), rounded down
	Milli     int64  `json:"milli"`      // thousandths of the same
	Source    string `json:"source"`
	Text      string `json:"text"` // as written
	Unit      string `json:"unit"` // of the text
}

// Power is a draw at the board or wall, as far as the device can tell.
type Power struct {
	Watts     int64  `json:"watts"` // rounded to the nearest
	Milliwatt int64  `json:"milliwatts"`
	Source    string `json:"source"`
	// Estimated means computed by the firmware, or by us from volts and
	// amperes, rather than measured by a power supply.
	Estimated bool `json:"estimated"`
}

// Temperature is the hottest of the sensors behind one field.
type Temperature struct {
	Place   string `json:"place"`           // chip, board, controller, inlet, outlet, regulator, ambient
	Board   *int   `json:"board,omitempty"` // as the device numbers them
	MilliC  int64  `json:"milli_c"`
	Low     int64  `json:"low_milli_c"` // the coldest of them
	Sensors int    `json:"sensors"`
	Source  string `json:"source"`
}

// Fan of a device; negative is unknown.
type Fan struct {
	Name    string `json:"name"`
	RPM     int64  `json:"rpm"`
	Percent int64  `json:"percent"` // of full drive
}

// Board is one hash board; negative is unknown.
type Board struct {
	Index  int    `json:"index"`
	Chips  int64  `json:"chips"`
	Bad    int64  `json:"bad"`  // chips that the device marks as not working
	Rate   int64  `json:"rate"` // hashes/s
	Status string `json:"status,omitempty"`
}

// Fault is an error the device reports.
type Fault struct {
	Code   string `json:"code,omitempty"`
	Text   string `json:"text,omitempty"`
	Source string `json:"source"`
}

// Pool as the device holds it. Passwords are never taken over.
type Pool struct {
	URL      string `json:"url"`
	User     string `json:"user,omitempty"`
	Status   string `json:"status,omitempty"` // in the device's words, lower case
	Active   bool   `json:"active"`
	Priority int64  `json:"priority"`
	Accepted int64  `json:"accepted"` // -1 unknown
	Rejected int64  `json:"rejected"` // -1 unknown
}

// Warning is a figure that was not believed, or a fact a person should know.
type Warning struct {
	Field  string `json:"field"`
	Value  string `json:"value,omitempty"`
	Reason string `json:"reason"`
}

// ActivePool is the pool the device works for; false where it does not tell.
func (r *Report) ActivePool() (Pool, bool) {
	for _, p := range r.Pools {
		if p.Active {
			return p, true
		}
	}
	return Pool{}, false
}

// Hottest is the highest temperature that matters for the device's life: of
// its chips, else of its boards, else any.
func (r *Report) Hottest() (int64, bool) {
	for _, place := range []string{"chip", "board", ""} {
		best, found := int64(0), false
		for _, t := range r.Temperatures {
			if (place == "" || t.Place == place) && (!found || t.MilliC > best) {
				best, found = t.MilliC, true
			}
		}
		if found {
			return best, true
		}
	}
	return 0, false
}

// Sample is the report as the agent reports it. Shares belong to the process
// that steers the device and stay unknown here.
func (r *Report) Sample(at workload.Instant) workload.Sample {
	s := workload.UnknownSample("", at)
	if r.Power != nil {
		s.Watts = r.Power.Watts
	}
	if t, ok := r.Hottest(); ok && t >= 0 {
		s.MilliC = t
	}
	if r.Hashrate != nil {
		s.Hashrate = r.Hashrate.Milli
	}
	return s
}

// UUID names the hardware for good where the device tells its serial number
// or MAC; otherwise the address must do.
func (r *Report) UUID(address string) string {
	switch {
	case r.MAC != "":
		return "asic-" + strings.ReplaceAll(r.MAC, ":", "")
	case r.Serial != "":
		return "asic-" + strings.ToLower(clean(r.Serial))
	}
	return "asic-at-" + clean(address)
}

// clean keeps what may stand in an identifier.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '.' {
			return c
		}
		return '-'
	}, s)
}

// Device describes the miner to the agent.
func (r *Report) Device(address string) workload.Device {
	d := workload.Device{UUID: r.UUID(address), Kind: workload.ASIC, Model: workload.ModelName(r.Model), Health: workload.Healthy}
	if d.Model == "" {
		d.Model = workload.ModelName(strings.TrimSpace(first(r.Make, string(r.Family)) + " of unknown model"))
	}
	d.Health, d.Note = r.health()
	return d
}

// health judges by what the device itself complains of; a warning about a
// figure is no illness.
func (r *Report) health() (workload.Health, string) {
	switch {
	case r.State == StateFailed:
		return workload.Failing, first(faultText(r.Errors), "the miner says that it has failed")
	case len(r.Errors) > 0:
		return workload.Degraded, faultText(r.Errors)
	}
	if i := slices.IndexFunc(r.Fans, func(f Fan) bool { return f.RPM == 0 && f.Percent > 0 }); i >= 0 && r.State == StateMining {
		return workload.Degraded, "fan " + r.Fans[i].Name + " stands still though it is driven"
	}
	return workload.Healthy, ""
}

func faultText(faults []Fault) string {
	var parts []string
	for _, f := range faults[:min(len(faults), 4)] {
		parts = append(parts, strings.TrimSpace(f.Code+" "+f.Text))
	}
	if len(faults) > 4 {
		parts = append(parts, "...")
	}
	return strings.Join(parts, "; ")
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
