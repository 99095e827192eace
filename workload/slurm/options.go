package slurm

import (
	"slices"
	"strings"

	"github.com/sluice-project/sluice/workload"
)

// takes says whether an option has a value.
type takes uint8

const (
	nothing takes = iota
	value
	maybe // only joined by =
)

// kind is one option that is known.
type kind struct {
	name  string // canonical
	short byte
	takes takes
	env   string // SBATCH_* variable
	line  bool   // of the command line alone
	hint  string // why it changes nothing here; empty: it does
	// refuse says why an option that Slurm has is not taken.
	refuse string
}

// kinds lists what is known. What is not here is refused.
var kinds = []kind{
	{name: "account", short: 'A', takes: value, env: "SBATCH_ACCOUNT"},
	{name: "array", short: 'a', takes: value, env: "SBATCH_ARRAY_INX"},
	{name: "begin", short: 'b', takes: value, env: "SBATCH_BEGIN"},
	{name: "chdir", short: 'D', takes: value},
	{name: "comment", takes: value, env: "SBATCH_COMMENT"},
	{name: "constraint", short: 'C', takes: value, env: "SBATCH_CONSTRAINT", hint: "is not looked at: the kind of GPU is chosen by --gres=gpu:TYPE:N"},
	{name: "cpus-per-gpu", takes: value, env: "SBATCH_CPUS_PER_GPU", hint: "reserves no processors; the variable is set"},
	{name: "cpus-per-task", short: 'c', takes: value, env: "SBATCH_CPUS_PER_TASK", hint: "reserves no processors; the variable is set"},
	{name: "dependency", short: 'd', takes: value, env: "SBATCH_DEPENDENCY"},
	{name: "error", short: 'e', takes: value, env: "SBATCH_ERROR"},
	{name: "exclude", short: 'x', takes: value, env: "SBATCH_EXCLUDE", hint: "is not looked at: Sluice takes faulty devices out of use by itself"},
	{name: "exclusive", takes: maybe, env: "SBATCH_EXCLUSIVE", hint: "is not looked at: GPUs are always exclusive, the rest of a node never is"},
	{name: "export", takes: value, env: "SBATCH_EXPORT"},
	{name: "gpus", short: 'G', takes: value, env: "SBATCH_GPUS"},
	{name: "gpus-per-node", takes: value, env: "SBATCH_GPUS_PER_NODE"},
	{name: "gpus-per-task", takes: value, env: "SBATCH_GPUS_PER_TASK"},
	{name: "gres", takes: value, env: "SBATCH_GRES"},
	{name: "hint", takes: value, env: "SBATCH_HINT", hint: "is not looked at: processors are not bound"},
	{name: "job-name", short: 'J', takes: value, env: "SBATCH_JOB_NAME"},
	{name: "licenses", short: 'L', takes: value, env: "SBATCH_LICENSES", hint: "is not counted: Sluice knows no licences"},
	{name: "mail-type", takes: value, hint: "sends no mail; sluice job wait tells when a job ends"},
	{name: "mail-user", takes: value, hint: "sends no mail; sluice job wait tells when a job ends"},
	{name: "mem", takes: value, env: "SBATCH_MEM_PER_NODE", hint: "reserves no host memory; the variable is set"},
	{name: "mem-per-cpu", takes: value, env: "SBATCH_MEM_PER_CPU", hint: "reserves no host memory; the variable is set"},
	{name: "mem-per-gpu", takes: value, env: "SBATCH_MEM_PER_GPU", hint: "reserves no host memory; the variable is set"},
	{name: "no-requeue", takes: nothing, env: "SBATCH_NO_REQUEUE"},
	{name: "nodelist", short: 'w', takes: value, hint: "is not looked at: the scheduler chooses the nodes"},
	{name: "nodes", short: 'N', takes: value, env: "SBATCH_NODES"},
	{name: "ntasks", short: 'n', takes: value, env: "SBATCH_NTASKS"},
	{name: "ntasks-per-node", takes: value, env: "SBATCH_NTASKS_PER_NODE"},
	{name: "open-mode", takes: value, env: "SBATCH_OPEN_MODE"},
	{name: "output", short: 'o', takes: value, env: "SBATCH_OUTPUT"},
	{name: "oversubscribe", short: 's', takes: nothing, env: "SBATCH_OVERSUBSCRIBE", hint: "is not looked at: a GPU runs one job at a time"},
	{name: "partition", short: 'p', takes: value, env: "SBATCH_PARTITION", hint: "is not looked at: Sluice has one queue, ordered by what jobs are worth"},
	{name: "qos", short: 'q', takes: value, env: "SBATCH_QOS"},
	{name: "requeue", takes: nothing, env: "SBATCH_REQUEUE"},
	{name: "reservation", takes: value, env: "SBATCH_RESERVATION", hint: "is not looked at: Sluice has no reservations"},
	{name: "signal", takes: value, env: "SBATCH_SIGNAL"},
	{name: "tasks-per-node", takes: value},
	{name: "time", short: 't', takes: value, env: "SBATCH_TIMELIMIT"},
	{name: "workdir", takes: value},

	{name: "parsable", takes: nothing, line: true},
	{name: "test-only", takes: nothing, line: true},
	{name: "wait", short: 'W', takes: nothing, line: true},
	{name: "quiet", short: 'Q', takes: nothing, line: true},
	{name: "verbose", short: 'v', takes: nothing, line: true},
	{name: "wrap", takes: value, line: true},
	// Of Slurm's, refused with a reason of their own.
	{name: "hold", short: 'H', takes: nothing, line: true, refuse: "a job cannot be held back; submit it when it may run"},
}

// Options lists the names of the options that a script may have.
func Options() []string {
	var names []string
	for _, k := range kinds {
		if !k.line {
			names = append(names, k.name)
		}
	}
	return names
}

// alias maps other names of one option to the canonical one.
var alias = map[string]string{"tasks-per-node": "ntasks-per-node", "workdir": "chdir", "no-requeue": "requeue"}

// option is one that was given; the last of a name counts.
type option struct {
	kind  kind
	value string
	at    string
}

func (o option) bad(format string, args ...any) *workload.Error {
	e := workload.Errorf(workload.Invalid, format, args...)
	e.Text = o.at + ": --" + o.kind.name + ": " + e.Text
	return e
}

type compiler struct {
	in       Input
	set      map[string]option
	warnings []Warning
}

func (c *compiler) warn(at, option, text string) {
	w := Warning{At: at, Option: option, Text: text}
	if !slices.Contains(c.warnings, w) {
		c.warnings = append(c.warnings, w)
	}
}

func (c *compiler) put(o option) error {
	if o.kind.refuse != "" {
		return o.bad("%s", o.kind.refuse)
	}
	name := o.kind.name
	if canonical, ok := alias[name]; ok {
		if name == "no-requeue" {
			o.value = "no"
		}
		name = canonical
	}
	c.set[name] = o
	return nil
}

// environment takes the SBATCH_* variables.
func (c *compiler) environment() {
	for _, kv := range c.in.Env {
		name, v, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "SBATCH_") {
			continue
		}
		for _, k := range kinds {
			if k.env == name {
				if k.takes == nothing {
					v = ""
				}
				c.put(option{kind: k, value: v, at: name})
			}
		}
	}
}

// parse reads words as getopt_long does with a leading "+": a word that is no
// option is an error, as Split has taken the script and its arguments away.
func (c *compiler) parse(words []word, script bool) error {
	for i := 0; i < len(words); i++ {
		w := words[i]
		next := func() (string, bool) {
			if i+1 >= len(words) {
				return "", false
			}
			i++
			return words[i].text, true
		}
		var err error
		switch {
		case strings.HasPrefix(w.text, "--") && len(w.text) > 2:
			err = c.long(w, script, next)
		case strings.HasPrefix(w.text, "-") && len(w.text) > 1 && w.text != "--":
			err = c.short(w, script, next)
		case script:
			err = workload.Errorf(workload.Invalid, "%s: invalid directive found in batch script: %s", w.at, w.text).
				Hint("a value with blanks needs quotes, and a comment a #")
		default:
			err = workload.Errorf(workload.Invalid, "%s: %q is no option", w.at, w.text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) long(w word, script bool, next func() (string, bool)) error {
	name, v, joined := strings.Cut(w.text[2:], "=")
	k, err := find(w.at, name, script)
	if err != nil {
		return err
	}
	o := option{kind: k, value: v, at: w.at}
	switch {
	case k.takes == nothing && joined:
		return o.bad("takes no value")
	case k.takes == value && !joined:
		var ok bool
		if o.value, ok = next(); !ok {
			return o.bad("needs a value")
		}
	}
	return c.put(o)
}

func (c *compiler) short(w word, script bool, next func() (string, bool)) error {
	for rest := w.text[1:]; rest != ""; {
		letter := rest[0]
		rest = rest[1:]
		i := slices.IndexFunc(kinds, func(k kind) bool { return k.short == letter && (!script || !k.line) })
		if i < 0 {
			return workload.Errorf(workload.Invalid, "%s: -%c: is not an option that Sluice knows", w.at, letter).Hint("take it out, or use the long form; deploy/docs/from-slurm.md lists the options")
		}
		o := option{kind: kinds[i], at: w.at}
		if o.kind.takes != value {
			if err := c.put(o); err != nil {
				return err
			}
			continue
		}
		o.value = rest
		if rest == "" {
			var ok bool
			if o.value, ok = next(); !ok {
				return o.bad("needs a value")
			}
		} else if v, ok := strings.CutPrefix(rest, "="); ok {
			c.warn(w.at, w.text, "is read without the =, which a short option does not take")
			o.value = v
		}
		return c.put(o)
	}
	return nil
}

// find resolves a long name or an unambiguous beginning of one.
func find(at, name string, script bool) (kind, error) {
	var hits []kind
	for _, k := range kinds {
		if script && k.line {
			continue
		}
		if k.name == name {
			return k, nil
		}
		if name != "" && strings.HasPrefix(k.name, name) {
			hits = append(hits, k)
		}
	}
	switch len(hits) {
	case 1:
		return hits[0], nil
	case 0:
		e := workload.Errorf(workload.Invalid, "%s: --%s: is not an option that Sluice knows", at, name)
		return kind{}, e.Hint("take it out if the job does not need it; deploy/docs/from-slurm.md lists the options")
	}
	var names []string
	for _, h := range hits {
		names = append(names, "--"+h.name)
	}
	return kind{}, workload.Errorf(workload.Invalid, "%s: --%s: is ambiguous: %s", at, name, strings.Join(names, ", ")).Hint("write the option in full")
}

// Split parts the arguments of sbatch into options, the script and the
// script's own arguments. wrap is the command of --wrap, with which there is
// no script.
func Split(args []string) (options []string, script string, rest []string, wrap string) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			args, i = args[i+1:], 0
			if len(args) > 0 {
				return options, args[0], args[1:], wrap
			}
			return options, "", nil, wrap
		}
		if len(a) < 2 || a[0] != '-' {
			return options, a, args[i+1:], wrap
		}
		options = append(options, a)
		var k kind
		var separate bool
		if long, ok := strings.CutPrefix(a, "--"); ok {
			name, v, joined := strings.Cut(long, "=")
			k, _ = find("", name, false)
			separate = k.takes == value && !joined
			if k.name == "wrap" {
				if separate && i+1 < len(args) {
					v = args[i+1]
				}
				wrap = v
			}
		} else {
			for j := 1; j < len(a); j++ {
				n := slices.IndexFunc(kinds, func(k kind) bool { return k.short == a[j] })
				if n >= 0 && kinds[n].takes == value {
					separate = j == len(a)-1
					break
				}
			}
		}
		if separate && i+1 < len(args) {
			i++
			options = append(options, args[i])
		}
	}
	return options, "", nil, wrap
}
