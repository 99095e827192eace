package config

import (
	"reflect"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/sluice-project/sluice/workload"
)

// jobDoc is a job as written. It mirrors workload.Spec, which has no need to
// know how it is written.
type jobDoc struct {
	Name       string         `doc:"name,name,required"`
	Tenant     string         `doc:"tenant,name"`
	Gang       jobGang        `doc:"gang,,required"`
	Run        jobRun         `doc:"run,,required"`
	Checkpoint *jobCheckpoint `doc:"checkpoint"`
	Value      *jobValue      `doc:"value"`
	Limits     *jobLimits     `doc:"limits"`
	After      []jobAfter     `doc:"after"`
}

type jobGang struct {
	GPUs    int         `doc:"gpus,int,required"`
	PerNode int         `doc:"perNode,int"`
	Models  []string    `doc:"models,model"`
	Memory  int64       `doc:"memory,bytes"`
	Site    string      `doc:"site,name"`
	Elastic *jobElastic `doc:"elastic"`
}

type jobElastic struct {
	Min  int `doc:"min,int,required"`
	Max  int `doc:"max,int,required"`
	Step int `doc:"step,int"`
}

type jobRun struct {
	Command []string          `doc:"command,command,required"`
	Image   string            `doc:"image,word"`
	Workdir string            `doc:"workdir,path"`
	Env     map[string]string `doc:"env,command"`
	User    string            `doc:"user,word"`
	Script  string            `doc:"script,command"`
}

type jobCheckpoint struct {
	Signal string        `doc:"signal,word"`
	Grace  time.Duration `doc:"grace,span"`
	Every  time.Duration `doc:"every,span"`
	Dir    string        `doc:"dir,nodePath"`
}

type jobValue struct {
	Bid      Amount           `doc:"bid,per:GPU-h"`
	Deadline workload.Instant `doc:"deadline,instant"`
	Priority string           `doc:"priority,enum:low|normal|high"`
	Flex     workload.PPM     `doc:"flex,share"`
}

type jobLimits struct {
	Time        time.Duration `doc:"time,span"`
	Attempts    int           `doc:"attempts,int"`
	Preemptions int           `doc:"preemptions,int"`
	Protected   time.Duration `doc:"protected,span"`
	Lease       time.Duration `doc:"lease,span"`
}

type jobAfter struct {
	Job string `doc:"job,word,required"`
	On  string `doc:"on,enum:success|end"`
}

// notBuilt names what a job may be asked for one day and is refused until
// then: a request must never be accepted and ignored.
var notBuilt = map[string]string{
	"array":       "array jobs are not built yet: submit one job for each index",
	"gang.island": "the choice of an island is not built yet: name models or perNode instead",
	"run.cpus":    "a share of processors is not built yet: leave it out",
	"run.memory":  "a share of host memory is not built yet: leave it out",
	"run.secrets": "secrets are not built yet: leave them out",
}

// ParseJob reads a file with exactly one Job and returns its spec as written,
// without defaults. The currency of its bid is kept in Value.Currency for the
// server to compare with its own. The error is an *Errors.
func ParseJob(file string, data []byte) (workload.Spec, error) {
	r, nodes, err := open(file, data)
	if err != nil {
		return workload.Spec{}, err
	}
	switch {
	case len(nodes) == 0:
		r.fault(place{1, 1}, "", "contains no document")
	case len(nodes) > 1:
		r.fault(startOf(nodes[1]), "", "is the second document: a job file holds one Job")
	}
	if len(nodes) == 0 {
		return workload.Spec{}, r.err()
	}
	spec := r.job(nodes[0])
	if err := r.err(); err != nil {
		return workload.Spec{}, err
	}
	return spec, nil
}

func (r *reader) job(n ast.Node) workload.Spec {
	r.begin(n)
	all, ok := r.entries("", n)
	if !ok {
		return workload.Spec{}
	}
	kind, at, ok := r.kind(all)
	if !ok {
		return workload.Spec{}
	}
	if kind != KindJob {
		e := r.fault(at, "", "is a %s, not a Job", kind)
		if slices.Contains(Kinds, kind) {
			e.Text += ": apply policy with sluice policy apply -f"
		} else {
			e.Suggestion = nearest(string(kind), []string{string(KindJob)})
		}
		return workload.Spec{}
	}
	all = slices.DeleteFunc(all, func(e entry) bool { return e.key == "kind" })
	r.notBuilt = notBuilt
	var doc jobDoc
	r.fields("", reflect.ValueOf(&doc).Elem(), all, r.first, "kind")
	spec := doc.spec()
	for _, p := range spec.Validate() {
		r.consequence(p.Path, "%s", p.Text)
	}
	return spec
}

func (d jobDoc) spec() workload.Spec {
	s := workload.Spec{Name: d.Name, Tenant: workload.TenantName(d.Tenant)}
	s.Gang = workload.Gang{GPUs: d.Gang.GPUs, PerNode: d.Gang.PerNode, Memory: d.Gang.Memory, Site: workload.SiteName(d.Gang.Site)}
	for _, m := range d.Gang.Models {
		s.Gang.Models = append(s.Gang.Models, workload.ModelName(m))
	}
	if e := d.Gang.Elastic; e != nil {
		s.Gang.Elastic = &workload.Elastic{Min: e.Min, Max: e.Max, Step: max(e.Step, 1)}
	}
	s.Run = workload.Run{Command: d.Run.Command, Image: d.Run.Image, Workdir: d.Run.Workdir, Env: d.Run.Env, User: d.Run.User, Script: d.Run.Script}
	if c := d.Checkpoint; c != nil {
		s.Checkpoint = workload.Checkpoint{Signal: c.Signal, Grace: c.Grace, Every: c.Every, Dir: c.Dir}
	}
	if v := d.Value; v != nil {
		s.Value = workload.Value{Bid: workload.Rate(v.Bid.Micro), Currency: v.Bid.Currency, Deadline: v.Deadline, Priority: workload.Priority(v.Priority), Flex: v.Flex}
	}
	if l := d.Limits; l != nil {
		s.Limits = workload.Limits{Time: l.Time, Attempts: l.Attempts, Preemptions: l.Preemptions, Protected: l.Protected, Lease: l.Lease}
	}
	for _, a := range d.After {
		on := a.On
		if on == "" {
			on = "success"
		}
		s.After = append(s.After, workload.After{Job: a.Job, On: on})
	}
	return s
}
