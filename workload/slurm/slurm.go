// Package slurm reads what people of Slurm clusters have: batch scripts with
// #SBATCH lines and the command line of sbatch. Compile turns them into a Spec
// by Slurm's own rules of parsing. An option that only hints at a place becomes
// a warning; one that Sluice cannot honour is an error with its line: nothing
// is dropped in silence. The package is pure: files, environment and user are
// passed in.
package slurm

import (
	"bytes"
	"fmt"

	"github.com/sluice-project/sluice/workload"
)

// Input is one submission.
type Input struct {
	File    string   // name of the script in messages
	Script  []byte   // its text
	Options []string // of the command line, before the script's name
	Args    []string // of the script itself
	Env     []string // KEY=value: SBATCH_* and what --export takes
	Dir     string   // absolute directory of the submission
	User    string
	Host    string
}

// Warning is an option that is accepted but changes less than it would under Slurm.
type Warning struct {
	At     string `json:"at"` // file:line, "command line" or the variable's name
	Option string `json:"option"`
	Text   string `json:"text"`
}

func (w Warning) String() string { return fmt.Sprintf("%s: %s %s", w.At, w.Option, w.Text) }

// Array is --array: one job for each index, at most Parallel of them at once.
type Array struct {
	Indices  []int `json:"indices"`
	Step     int   `json:"step"`
	Parallel int   `json:"parallel,omitempty"` // 0 = all
}

// Job is a compiled submission.
type Job struct {
	Spec     workload.Spec `json:"spec"`
	Array    *Array        `json:"array,omitempty"`
	Warnings []Warning     `json:"warnings"`
	// GPUType is the type as written in --gres or --gpus. Spec names it as a
	// model; whoever knows the fleet may put the models it stands for there.
	GPUType string `json:"gpu_type,omitempty"`
	// Account is --account as written. A tenant of that name pays.
	Account string `json:"account,omitempty"`
	// Of the command line alone.
	Parsable bool `json:"-"`
	TestOnly bool `json:"-"`
	Wait     bool `json:"-"`
	Quiet    bool `json:"-"`
}

// IsScript reports whether a file is a batch script rather than a document.
func IsScript(data []byte) bool { return bytes.HasPrefix(data, []byte("#!")) }

// Compile reads a script, SBATCH_* and the command line, in rising precedence.
// Its error is an Invalid *workload.Error that names file and line.
func Compile(in Input) (Job, error) {
	switch {
	case !IsScript(in.Script):
		return Job{}, workload.Errorf(workload.Invalid, "%s:1: this does not look like a batch script: the first line must start with #! followed by the path to an interpreter", in.File).
			Hint("begin it with #!/bin/bash")
	case len(in.Script) > workload.MaxScript:
		return Job{}, workload.Errorf(workload.Invalid, "%s: has %d bytes; a batch script may have %d", in.File, len(in.Script), workload.MaxScript).
			Hint("keep the bulk in a file that the nodes can read and call it from the script")
	case bytes.IndexByte(in.Script, 0) >= 0:
		return Job{}, workload.Errorf(workload.Invalid, "%s: contains a NUL byte", in.File)
	case bytes.Contains(in.Script, []byte("\r\n")):
		return Job{}, workload.Errorf(workload.Invalid, "%s:1: has DOS line ends (\\r\\n), which no shell takes", in.File).Hint("sed -i 's/\\r$//' %s", in.File)
	}
	words, err := directives(in.File, in.Script)
	if err != nil {
		return Job{}, err
	}
	c := &compiler{in: in, set: map[string]option{}}
	if err := c.parse(words, true); err != nil {
		return Job{}, err
	}
	c.environment()
	line := make([]word, 0, len(in.Options))
	for _, o := range in.Options {
		line = append(line, word{text: o, at: commandLine})
	}
	if err := c.parse(line, false); err != nil {
		return Job{}, err
	}
	return c.job()
}

const commandLine = "command line"
