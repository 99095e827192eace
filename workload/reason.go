package workload

import (
	"fmt"
	"strings"
	"time"
)

// Code names why something was done, refused or left. Codes are stable and the
// same on page, command line and API.
type Code string

const (
	CodePrice       Code = "PRICE"         // the best net use at today's prices
	CodeStable      Code = "STABLE"        // another use pays more, but not enough to pay the switch back in time
	CodeHeld        Code = "HELD"          // the standing plan is within its proven gap
	CodeDwell       Code = "DWELL"         // inside its minimum dwell
	CodeTarget      Code = "TARGET"        // a target or quota row decided
	CodeCap         Code = "POWER_CAP"     // a power cap decided
	CodeBan         Code = "BAN"           // a calendar forbids the use here and now
	CodeOverride    Code = "OVERRIDE"      // a person decided
	CodeNoFit       Code = "NO_FIT"        // no complete placement exists
	CodeNoModel     Code = "NO_MODEL"      // no device of the models asked for
	CodeDataLocal   Code = "DATA_LOCALITY" // its checkpoint lies elsewhere
	CodeJob         Code = "JOB"           // trains because a job pays best here
	CodeFreed       Code = "FREED"         // the job that held it ended
	CodePreempted   Code = "PREEMPTED"     // gave way to a better use
	CodeNoProfile   Code = "NO_PROFILE"    // no device profile: nothing is known of what it earns
	CodeNoPrice     Code = "NO_PRICE"      // a price it needs is missing or stale
	CodeUnprofit    Code = "UNPROFITABLE"  // every use costs more than parking
	CodeUnhealthy   Code = "UNHEALTHY"     // the driver reports a fault
	CodeForeign     Code = "FOREIGN"       // a process that is not ours uses the device
	CodeSilent      Code = "SILENT"        // its node has not been heard
	CodeLost        Code = "LEASE_LOST"    // the lease ran out unheard
	CodeFenced      Code = "FENCED"        // a person said that its node is powered off
	CodeNew         Code = "NEW"           // just joined
	CodeExit        Code = "EXIT"          // the process ended by itself
	CodeCancelled   Code = "CANCELLED"     // a person cancelled
	CodeRetries     Code = "ATTEMPTS_USED" // no attempt is left
	CodeTimeLimit   Code = "TIME_LIMIT"    // ran as long as it may
	CodeWaitsOn     Code = "DEPENDENCY"    // waits on another job
	CodeQuota       Code = "QUOTA"         // its tenant's quota is used up
	CodeIntegrality Code = "INTEGRALITY"   // pays in part, but not as a whole gang
	CodeDrain       Code = "DRAIN"         // its node is being emptied
	CodeStartFailed Code = "START_FAILED"  // could not be started; backing off
	CodeReserved    Code = "RESERVED"      // the devices are kept for a gang with a stronger claim
	CodeQueue       Code = "QUEUE"         // where it stands among the jobs that wait
)

// Unit says how a figure is to be shown.
type FigureUnit string

const (
	UnitCount FigureUnit = "count"
	UnitRate  FigureUnit = "micro_per_hour"
	UnitMoney FigureUnit = "micro"
	UnitWatts FigureUnit = "watts"
	UnitPPM   FigureUnit = "ppm"
	UnitMilli FigureUnit = "ms"
	UnitPrice FigureUnit = "micro_per_kwh"
	UnitText  FigureUnit = "text"
	UnitAt    FigureUnit = "instant_ms"
)

// Figure is one number (or name) behind a reason.
type Figure struct {
	Name  string     `json:"name"`
	Value int64      `json:"value,omitempty"`
	Text  string     `json:"text,omitempty"`
	Unit  FigureUnit `json:"unit"`
}

// Reason is a code with the figures that made it so. Sentence renders it; no
// other code turns reasons into words.
type Reason struct {
	Code    Code     `json:"code"`
	Figures []Figure `json:"figures,omitempty"`
}

// Why builds a reason.
func Why(code Code, figures ...Figure) Reason { return Reason{Code: code, Figures: figures} }

// Count, RateOf, Amount, Power, Share, Span, Price, Name and When build figures.
func Count(name string, n int64) Figure  { return Figure{Name: name, Value: n, Unit: UnitCount} }
func RateOf(name string, r Rate) Figure  { return Figure{Name: name, Value: int64(r), Unit: UnitRate} }
func Amount(name string, m Money) Figure { return Figure{Name: name, Value: int64(m), Unit: UnitMoney} }
func Power(name string, w int64) Figure  { return Figure{Name: name, Value: w, Unit: UnitWatts} }
func Share(name string, p PPM) Figure    { return Figure{Name: name, Value: int64(p), Unit: UnitPPM} }
func Span(name string, d time.Duration) Figure {
	return Figure{Name: name, Value: d.Milliseconds(), Unit: UnitMilli}
}
func Price(name string, microPerKWh int64) Figure {
	return Figure{Name: name, Value: microPerKWh, Unit: UnitPrice}
}
func Name(name, text string) Figure { return Figure{Name: name, Text: text, Unit: UnitText} }
func When(name string, at Instant) Figure {
	return Figure{Name: name, Value: int64(at), Unit: UnitAt}
}

// Show renders one figure with its unit in the accounting currency.
func (f Figure) Show(currency string) string {
	switch f.Unit {
	case UnitRate:
		return Decimal(f.Value, 4) + " " + currency + "/h"
	case UnitMoney:
		return Decimal(f.Value, 4) + " " + currency
	case UnitPrice:
		return Decimal(f.Value, 4) + " " + currency + "/kWh"
	case UnitWatts:
		return FormatWatts(f.Value)
	case UnitPPM:
		return Decimal(f.Value*100, 2) + " %"
	case UnitMilli:
		return FormatSpan(time.Duration(f.Value) * time.Millisecond)
	case UnitText:
		return f.Text
	case UnitAt:
		return Instant(f.Value).Time().Format("2006-01-02 15:04:05Z")
	default:
		return fmt.Sprint(f.Value)
	}
}

var sentences = map[Code]string{
	CodePrice:       "nets most of what is open here",
	CodeStable:      "the better use does not pay the switch back within the horizon",
	CodeHeld:        "the standing plan is within its proven gap",
	CodeDwell:       "changed too recently to change again",
	CodeTarget:      "a target decides",
	CodeCap:         "a power cap decides",
	CodeBan:         "a calendar forbids mining here now",
	CodeOverride:    "a person decided",
	CodeNoFit:       "no complete placement exists",
	CodeNoModel:     "no device of the models asked for",
	CodeDataLocal:   "its checkpoint lies on another node",
	CodeJob:         "a job pays best here",
	CodeFreed:       "the job that held it ended",
	CodePreempted:   "gave way to a better use",
	CodeNoProfile:   "no device profile says what it earns",
	CodeNoPrice:     "a price it needs is missing or stale",
	CodeUnprofit:    "every use would cost more than parking",
	CodeUnhealthy:   "its driver reports a fault",
	CodeForeign:     "a process that is not ours uses it",
	CodeSilent:      "its node has not been heard",
	CodeLost:        "its lease ran out unheard",
	CodeFenced:      "a person said that its node is powered off",
	CodeNew:         "has just joined",
	CodeExit:        "the process ended by itself",
	CodeCancelled:   "a person cancelled it",
	CodeRetries:     "no attempt is left",
	CodeTimeLimit:   "ran as long as it may",
	CodeWaitsOn:     "waits on another job",
	CodeQuota:       "its tenant's quota is used up",
	CodeIntegrality: "would pay in part, but not as a whole gang",
	CodeDrain:       "its node is being emptied",
	CodeStartFailed: "could not be started",
	CodeReserved:    "what is free is kept for a gang with a stronger claim",
	CodeQueue:       "where it stands in the queue",
}

// rejections are what PRICE means where it speaks against a use or a job, by the
// first figure that stands with it.
var rejections = map[string]string{
	"nets less by": "what it does nets more",
	"bids per GPU": "its bid is less than the devices net otherwise",
}

// Sentence renders a reason: verdict first, then the figures.
func (r Reason) Sentence(currency string) string {
	text, ok := sentences[r.Code]
	if !ok {
		text = strings.ToLower(string(r.Code))
	}
	if r.Code == CodePrice && len(r.Figures) > 0 {
		if rejected, ok := rejections[r.Figures[0].Name]; ok {
			text = rejected
		}
	}
	if len(r.Figures) == 0 {
		return text
	}
	parts := make([]string, len(r.Figures))
	for i, f := range r.Figures {
		parts[i] = f.Name + " " + f.Show(currency)
	}
	return text + ": " + strings.Join(parts, ", ")
}
