package workload

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Spec is what a person asks for: one AI training job. Zero values mean the
// documented default, which Default fills in.
type Spec struct {
	Name       string     `json:"name"`
	Tenant     TenantName `json:"tenant,omitempty"`
	Gang       Gang       `json:"gang"`
	Run        Run        `json:"run"`
	Checkpoint Checkpoint `json:"checkpoint,omitzero"`
	Value      Value      `json:"value,omitzero"`
	Limits     Limits     `json:"limits,omitzero"`
	After      []After    `json:"after,omitempty"`
}

// Gang is the set of devices that a job needs all at once or not at all.
type Gang struct {
	GPUs    int         `json:"gpus"`
	PerNode int         `json:"per_node,omitempty"` // devices on each node; 0 = any spread
	Models  []ModelName `json:"models,omitempty"`   // empty = any GPU
	Memory  int64       `json:"memory,omitempty"`   // bytes per device, at least
	Site    SiteName    `json:"site,omitempty"`
	Elastic *Elastic    `json:"elastic,omitempty"`
}

// Elastic lets a gang run narrower or wider than asked.
type Elastic struct {
	Min  int `json:"min"`
	Max  int `json:"max"`
	Step int `json:"step"`
}

// Widths lists the device counts at which the gang can run, ascending.
func (g Gang) Widths() []int {
	if g.Elastic == nil {
		return []int{g.GPUs}
	}
	var widths []int
	for w := g.Elastic.Min; w <= g.Elastic.Max; w += max(g.Elastic.Step, 1) {
		widths = append(widths, w)
	}
	return widths
}

// Run says which process a rank is.
type Run struct {
	Command []string          `json:"command"`
	Image   string            `json:"image,omitempty"` // OCI image by digest; empty = plain process
	Workdir string            `json:"workdir,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
	User    string            `json:"user,omitempty"`
	// Script is the text of a batch script, which Command finds in
	// SLUICE_SCRIPT. Nothing in it is filled in.
	Script string `json:"script,omitempty"`
}

// Checkpoint is how the job saves itself when asked.
type Checkpoint struct {
	Signal string        `json:"signal,omitempty"` // default SIGTERM
	Grace  time.Duration `json:"grace,omitempty"`  // time to save after the signal; default 30 s
	Every  time.Duration `json:"every,omitempty"`  // how often it saves by itself
	Dir    string        `json:"dir,omitempty"`    // "{job}" stands for the job id; relative: below the node's data directory
}

// Value is what the job is worth and by when.
type Value struct {
	Bid      Rate     `json:"bid,omitempty"`      // per GPU; 0 = the tenant's transfer price
	Currency string   `json:"currency,omitempty"` // the bid was written in; empty = the accounting currency
	Deadline Instant  `json:"deadline,omitempty"` // 0 = none
	Priority Priority `json:"priority,omitempty"` // default normal
	Flex     PPM      `json:"flex,omitempty"`
}

// Priority weighs a job against other jobs: high counts twice, low half of what
// its bid brings beyond the best use of its devices without a job.
type Priority string

const (
	Low    Priority = "low"
	Normal Priority = "normal"
	High   Priority = "high"
)

// Limits bound what the job may use.
type Limits struct {
	Time        time.Duration `json:"time,omitempty"`        // run time over all attempts; 0 = none
	Attempts    int           `json:"attempts,omitempty"`    // default 3
	Preemptions int           `json:"preemptions,omitempty"` // 0 = no limit
	Protected   time.Duration `json:"protected,omitempty"`   // run time before it may be preempted
	Lease       time.Duration `json:"lease,omitempty"`       // default 15 min
}

// After makes a job wait on another.
type After struct {
	Job string `json:"job"` // id or name
	On  string `json:"on"`  // success | end
}

// Defaults of a Spec. A training lease of 15 min lets a shorter loss of the
// control plane end no job.
const (
	DefaultLease       = 15 * time.Minute
	DefaultMiningLease = 24 * time.Hour
	DefaultGrace       = 30 * time.Second
	DefaultAttempts    = 3
	DefaultSignal      = "SIGTERM"
)

// Default returns the spec with every default filled in.
func (s Spec) Default() Spec {
	if s.Tenant == "" {
		s.Tenant = "default"
	}
	if s.Checkpoint.Signal == "" {
		s.Checkpoint.Signal = DefaultSignal
	}
	if s.Checkpoint.Grace == 0 {
		s.Checkpoint.Grace = DefaultGrace
	}
	if s.Value.Priority == "" {
		s.Value.Priority = Normal
	}
	if s.Limits.Attempts == 0 {
		s.Limits.Attempts = DefaultAttempts
	}
	if s.Limits.Lease == 0 {
		s.Limits.Lease = DefaultLease
	}
	return s
}

// MaxScript bounds Run.Script in bytes: it reaches its process in one
// environment variable, which Linux bounds at 128 KiB.
const MaxScript = 96 << 10

// MaxGang bounds a gang so that no request can ask for unbounded memory.
const MaxGang = 65_536

// Validate checks a spec on its own, without a cluster. It returns one Problem
// per fault, in the order of the document.
func (s Spec) Validate() []Problem {
	var ps []Problem
	bad := func(path, format string, args ...any) {
		ps = append(ps, Problem{Path: path, Text: fmt.Sprintf(format, args...)})
	}
	if !ValidName(s.Name) {
		bad("name", "%q is not a name: use 1 to 63 of a-z, 0-9 and -", s.Name)
	}
	if s.Tenant != "" && !ValidName(string(s.Tenant)) {
		bad("tenant", "%q is not a name: use 1 to 63 of a-z, 0-9 and -", s.Tenant)
	}
	g := s.Gang
	switch {
	case g.GPUs <= 0:
		bad("gang.gpus", "must be at least 1")
	case g.GPUs > MaxGang:
		bad("gang.gpus", "must be at most %d", MaxGang)
	}
	if g.PerNode < 0 {
		bad("gang.perNode", "must not be negative")
	} else if g.PerNode > 0 && g.GPUs > 0 && g.GPUs%g.PerNode != 0 {
		bad("gang.perNode", "%d does not divide gang.gpus %d", g.PerNode, g.GPUs)
	}
	if e := g.Elastic; e != nil && g.PerNode > 0 && (e.Min%g.PerNode != 0 || e.Step%g.PerNode != 0) {
		bad("gang.elastic", "gang.perNode %d does not divide min %d and step %d", g.PerNode, e.Min, e.Step)
	}
	if g.Memory < 0 {
		bad("gang.memory", "must not be negative")
	}
	if e := g.Elastic; e != nil {
		if e.Min <= 0 || e.Max < e.Min || e.Step <= 0 || e.Max > MaxGang {
			bad("gang.elastic", "needs 0 < min <= max and a step of at least 1")
		} else if (g.GPUs-e.Min)%e.Step != 0 || g.GPUs < e.Min || g.GPUs > e.Max {
			bad("gang.gpus", "%d is not a width between elastic min %d and max %d in steps of %d", g.GPUs, e.Min, e.Max, e.Step)
		}
	}
	if len(s.Run.Command) == 0 || s.Run.Command[0] == "" {
		bad("run.command", "is empty: give the program and its arguments as a list")
	}
	for i, arg := range s.Run.Command {
		if strings.ContainsRune(arg, 0) {
			bad(fmt.Sprintf("run.command[%d]", i), "contains a NUL byte")
		}
	}
	if len(s.Run.Script) > MaxScript {
		bad("run.script", "has %d bytes; at most %d reach a node", len(s.Run.Script), MaxScript)
	} else if strings.ContainsRune(s.Run.Script, 0) {
		bad("run.script", "contains a NUL byte")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Run.Env)) {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(s.Run.Env[name], 0) {
			bad("run.env."+name, "is not a variable: its name must not be empty or contain =, and neither may contain NUL")
		}
	}
	if s.Run.User == "root" {
		bad("run.user", "must not be root")
	}
	if s.Value.Bid < 0 {
		bad("value.bid", "must not be negative")
	}
	if s.Value.Flex < 0 || s.Value.Flex > One {
		bad("value.flex", "must be between 0 %% and 100 %%")
	}
	switch s.Value.Priority {
	case "", Low, Normal, High:
	default:
		bad("value.priority", "%q is not one of low, normal, high", s.Value.Priority)
	}
	if s.Checkpoint.Signal != "" && !validSignal(s.Checkpoint.Signal) {
		bad("checkpoint.signal", "%q is not one of SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP", s.Checkpoint.Signal)
	}
	for _, d := range []struct {
		path string
		d    time.Duration
	}{{"checkpoint.grace", s.Checkpoint.Grace}, {"checkpoint.every", s.Checkpoint.Every}, {"limits.time", s.Limits.Time},
		{"limits.protected", s.Limits.Protected}, {"limits.lease", s.Limits.Lease}} {
		if d.d < 0 {
			bad(d.path, "must not be negative")
		}
	}
	if s.Limits.Attempts < 0 {
		bad("limits.attempts", "must not be negative")
	}
	if s.Limits.Preemptions < 0 {
		bad("limits.preemptions", "must not be negative")
	}
	for i, a := range s.After {
		if a.Job == "" {
			bad(fmt.Sprintf("after[%d].job", i), "names no job")
		} else if a.Job == s.Name {
			bad(fmt.Sprintf("after[%d].job", i), "is the job itself, which would wait for ever")
		}
		if a.On != "" && a.On != "success" && a.On != "end" {
			bad(fmt.Sprintf("after[%d].on", i), "%q is not one of success, end", a.On)
		}
	}
	return ps
}

func validSignal(s string) bool {
	switch s {
	case "SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP":
		return true
	}
	return false
}

// Problem is one fault of a document at a path inside it.
type Problem struct {
	Path string `json:"path"`
	Text string `json:"text"`
}
