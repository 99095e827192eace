package main

import (
	"context"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
	"github.com/sluice-project/sluice/workload/slurm"
)

// slurmJob is a job as Slurm's tools show it.
type slurmJob struct {
	*sluicev1.Job
	spec  workload.Spec
	nodes []string // of the live, else the last attempt
	now   int64
}

func newSlurmJob(j *sluicev1.Job, now time.Time) slurmJob {
	s := slurmJob{Job: j, now: now.UnixMilli()}
	// A job that was not submitted by us reads the same.
	s.spec, _ = config.ParseJob("job", []byte(j.GetSpecYaml()))
	if n := len(j.GetAttempts()); n > 0 {
		var ids []workload.DeviceID
		for _, d := range j.GetAttempts()[n-1].GetDevices() {
			ids = append(ids, workload.DeviceID(d))
		}
		for _, id := range ids {
			if node := string(id.Node()); !slices.Contains(s.nodes, node) {
				s.nodes = append(s.nodes, node)
			}
		}
	}
	return s
}

func (j slurmJob) env(name, otherwise string) string {
	if v := j.spec.Run.Env[name]; v != "" {
		return v
	}
	return otherwise
}

func (j slurmJob) name() string { return j.env("SLURM_JOB_NAME", j.GetName()) }
func (j slurmJob) user() string { return j.env("SLURM_JOB_USER", j.GetActor()) }

// array is the id of the array's first job, and the index; "" outside one.
func (j slurmJob) array() (first, index string) {
	if index = j.env("SLURM_ARRAY_TASK_ID", ""); index == "" {
		return "", ""
	}
	return j.env("SLURM_ARRAY_JOB_ID", j.GetId()), index
}

// id is as squeue prints it: 12, or 12_3 for index 3 of an array.
func (j slurmJob) id() string {
	if first, index := j.array(); index != "" {
		return first + "_" + index
	}
	return j.GetId()
}

// is reports whether what a person typed names this job: its id, its array's,
// or its array's with its index.
func (j slurmJob) is(typed string) bool {
	typed, _, _ = strings.Cut(typed, ".") // a step is its job
	first, _ := j.array()
	return typed == j.GetId() || typed == j.id() || typed == first && first != ""
}

// state is the long and the short name of a job's state.
func (j slurmJob) state() (long, short string) {
	attempt := workload.AttemptPhase("")
	if n := len(j.GetAttempts()); n > 0 {
		attempt = workload.AttemptPhase(j.GetAttempts()[n-1].GetPhase())
	}
	switch workload.Phase(j.GetPhase()) {
	case workload.Active:
		switch attempt {
		case workload.Reserved, workload.Starting:
			return "CONFIGURING", "CF"
		case workload.Stopping:
			return "COMPLETING", "CG"
		}
		return "RUNNING", "R"
	case workload.Succeeded:
		return "COMPLETED", "CD"
	case workload.Failed:
		if workload.Code(j.GetReason().GetCode()) == workload.CodeTimeLimit {
			return "TIMEOUT", "TO"
		}
		return "FAILED", "F"
	case workload.Cancelled:
		return "CANCELLED", "CA"
	}
	return "PENDING", "PD"
}

// elapsed is the time since the newest attempt started.
func (j slurmJob) elapsed() time.Duration {
	n := len(j.GetAttempts())
	if n == 0 || j.GetAttempts()[n-1].GetStartedMs() == 0 {
		return 0
	}
	at := j.GetAttempts()[n-1]
	end := at.GetEndedMs()
	if end == 0 {
		end = j.now
	}
	return max(time.Duration(end-at.GetStartedMs())*time.Millisecond, 0)
}

// nodeCount is what it has, or will have.
func (j slurmJob) nodeCount() int {
	if len(j.nodes) > 0 {
		return len(j.nodes)
	}
	if p := j.spec.Gang.PerNode; p > 0 {
		return j.spec.Gang.GPUs / p
	}
	return 1
}

// why is the word for what a waiting job waits for.
func (j slurmJob) why() string {
	switch workload.Phase(j.GetPhase()) {
	case workload.Waiting:
		return "Dependency"
	case workload.Held:
		return "JobHeldUser"
	case workload.Queued:
		if workload.Code(j.GetReason().GetCode()) == "PRICE" {
			return "Priority"
		}
		return "Resources"
	case workload.Failed:
		return "NonZeroExitCode"
	}
	return "None"
}

// slurmTime writes a duration as squeue does: m:ss, h:mm:ss or d-hh:mm:ss.
func slurmTime(d time.Duration, long bool) string {
	s := int64(d / time.Second)
	days, h, m, s := s/86400, s/3600%24, s/60%60, s%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d-%02d:%02d:%02d", days, h, m, s)
	case h > 0 || long:
		return fmt.Sprintf("%0*d:%02d:%02d", map[bool]int{true: 2, false: 1}[long], h, m, s)
	}
	return fmt.Sprintf("%d:%02d", m, s)
}

func (j slurmJob) limit() string {
	if j.spec.Limits.Time == 0 {
		return "UNLIMITED"
	}
	return slurmTime(j.spec.Limits.Time, false)
}

func (a *app) slurmJobs(ctx context.Context, all bool) ([]slurmJob, error) {
	c, err := a.connect()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	resp, err := call(ctx, c, sluicev1.OperatorClient.ListJobs, &sluicev1.ListJobsRequest{All: all})
	var jobs []slurmJob
	for _, j := range resp.GetJobs() {
		jobs = append(jobs, newSlurmJob(j, a.now()))
	}
	return jobs, err
}

// slurmArgs reads the options of a listing tool. short maps letters to long
// names; a name that ends in = has a value.
func slurmArgs(tool string, args, names []string, short map[byte]string) (opts map[string]string, rest []string, err error) {
	opts = map[string]string{}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if len(arg) < 2 || arg[0] != '-' {
			rest = append(rest, arg)
			continue
		}
		unknown := workload.Errorf(workload.Invalid, "%s: %s: is not an option that Sluice knows", tool, arg).Hint("%s", "known: --"+strings.Join(names, " --"))
		take := func(name, v string, joined bool) error {
			if slices.Contains(names, name+"=") {
				if !joined {
					if i++; i >= len(args) {
						return workload.Errorf(workload.Invalid, "%s: --%s: needs a value", tool, name)
					}
					v = args[i]
				}
				opts[name] = v
				return nil
			}
			if joined || !slices.Contains(names, name) {
				return unknown
			}
			opts[name] = "yes"
			return nil
		}
		if long, ok := strings.CutPrefix(arg, "--"); ok {
			name, v, joined := strings.Cut(long, "=")
			if err := take(name, v, joined); err != nil {
				return nil, nil, err
			}
			continue
		}
		for k := 1; k < len(arg); k++ {
			name, ok := short[arg[k]]
			if !ok {
				return nil, nil, unknown
			}
			if slices.Contains(names, name+"=") {
				if err := take(name, strings.TrimPrefix(arg[k+1:], "="), k+1 < len(arg)); err != nil {
					return nil, nil, err
				}
				break
			}
			if err := take(name, "", false); err != nil {
				return nil, nil, err
			}
		}
	}
	return opts, rest, nil
}

// field is one field of a format such as %.18i.
type field[T any] struct {
	head string
	cell func(T) string
}

// formatted prints items in Slurm's %[.][width]letter format: cut and padded to
// the width, to the right with a dot.
func formatted[T any](a *app, format string, head bool, fields map[byte]field[T], items []T) error {
	line := func(get func(field[T]) string) (string, error) {
		var b strings.Builder
		for i := 0; i < len(format); i++ {
			if format[i] != '%' || i+1 == len(format) {
				b.WriteByte(format[i])
				continue
			}
			j := i + 1
			right := format[j] == '.'
			if right {
				j++
			}
			from := j
			for j < len(format) && format[j] >= '0' && format[j] <= '9' {
				j++
			}
			width, _ := strconv.Atoi(format[from:j])
			if j == len(format) {
				b.WriteString(format[i:])
				break
			}
			f, ok := fields[format[j]]
			if !ok {
				return "", workload.Errorf(workload.Invalid, "format %q: %%%c is not a field that Sluice knows", format, format[j])
			}
			text := []rune(clean(get(f)))
			if width > 0 && len(text) > width {
				text = text[:width]
			}
			pad := strings.Repeat(" ", max(min(width, 1000)-len(text), 0))
			if right {
				b.WriteString(pad + string(text))
			} else {
				b.WriteString(string(text) + pad)
			}
			i = j
		}
		return strings.TrimRight(b.String(), " "), nil
	}
	if head {
		text, err := line(func(f field[T]) string { return f.head })
		if err != nil {
			return err
		}
		fmt.Fprintln(a.out, text)
	}
	for _, item := range items {
		text, err := line(func(f field[T]) string { return f.cell(item) })
		if err != nil {
			return err
		}
		fmt.Fprintln(a.out, text)
	}
	return nil
}

const squeueFormat = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"

var squeueFields = map[byte]field[slurmJob]{
	'i': {"JOBID", slurmJob.id},
	'A': {"JOBID", func(j slurmJob) string { return j.GetId() }},
	'F': {"ARRAY_JOB_ID", func(j slurmJob) string { first, _ := j.array(); return cmpOr(first, j.GetId()) }},
	'K': {"ARRAY_TASK_ID", func(j slurmJob) string { _, index := j.array(); return cmpOr(index, "N/A") }},
	'j': {"NAME", slurmJob.name},
	'u': {"USER", slurmJob.user},
	'P': {"PARTITION", func(j slurmJob) string { return j.env("SLURM_JOB_PARTITION", "sluice") }},
	'a': {"ACCOUNT", func(j slurmJob) string { return j.GetTenant() }},
	'q': {"QOS", func(j slurmJob) string { return j.env("SLURM_JOB_QOS", "normal") }},
	't': {"ST", func(j slurmJob) string { _, short := j.state(); return short }},
	'T': {"STATE", func(j slurmJob) string { long, _ := j.state(); return long }},
	'M': {"TIME", func(j slurmJob) string { return slurmTime(j.elapsed(), false) }},
	'l': {"TIME_LIMIT", slurmJob.limit},
	'L': {"TIME_LEFT", func(j slurmJob) string {
		if j.spec.Limits.Time == 0 {
			return "UNLIMITED"
		}
		return slurmTime(max(j.spec.Limits.Time-j.elapsed(), 0), false)
	}},
	'D': {"NODES", func(j slurmJob) string { return strconv.Itoa(j.nodeCount()) }},
	'C': {"CPUS", func(j slurmJob) string {
		n, _ := strconv.Atoi(j.env("SLURM_NTASKS", "1"))
		c, _ := strconv.Atoi(j.env("SLURM_CPUS_PER_TASK", "1"))
		return strconv.Itoa(n * c)
	}},
	'b': {"TRES_PER_NODE", func(j slurmJob) string { return "gres/gpu:" + strconv.Itoa(max(j.spec.Gang.PerNode, 1)) }},
	'N': {"NODELIST", slurmJob.nodelist},
	'r': {"REASON", slurmJob.why},
	'R': {"NODELIST(REASON)", func(j slurmJob) string {
		if l := j.nodelist(); l != "" {
			return l
		}
		return "(" + j.why() + ")"
	}},
	'V': {"SUBMIT_TIME", func(j slurmJob) string { return slurmStamp(j.GetSubmittedMs()) }},
	'S': {"START_TIME", func(j slurmJob) string { return slurmStamp(j.GetStartedMs()) }},
	'Z': {"WORK_DIR", func(j slurmJob) string { return j.spec.Run.Workdir }},
	'o': {"COMMAND", func(j slurmJob) string { return j.env(slurm.VarFile, strings.Join(j.spec.Run.Command, " ")) }},
	'k': {"COMMENT", func(j slurmJob) string { return j.env("SLURM_JOB_COMMENT", "(null)") }},
	'Q': {"PRIORITY", func(slurmJob) string { return "1" }},
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// nodelist is the nodes of a job that holds some.
func (j slurmJob) nodelist() string {
	if workload.Phase(j.GetPhase()) != workload.Active {
		return ""
	}
	return slurm.Compress(j.nodes)
}

func slurmStamp(ms int64) string {
	if ms == 0 {
		return "N/A"
	}
	return time.UnixMilli(ms).Format("2006-01-02T15:04:05")
}

// squeue lists the jobs that have not ended.
func (a *app) squeue(ctx context.Context, args []string) error {
	opts, rest, err := slurmArgs("squeue", args,
		[]string{"noheader", "format=", "job=", "jobs=", "name=", "user=", "me", "states=", "state=", "partition=", "account=", "long", "all", "start", "array", "nodelist="},
		map[byte]string{'h': "noheader", 'o': "format", 'j': "jobs", 'n': "name", 'u': "user", 't': "states", 'p': "partition", 'A': "account", 'l': "long", 'a': "all", 'r': "array", 'w': "nodelist"})
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usagef("squeue: %q is no option", rest[0])
	}
	ids := slices.Concat(commas(opts["job"]), commas(opts["jobs"]))
	states := slices.Concat(commas(strings.ToUpper(opts["state"])), commas(strings.ToUpper(opts["states"])))
	if opts["me"] != "" {
		if u, err := user.Current(); err == nil {
			opts["user"] = u.Username
		}
	}
	jobs, err := a.slurmJobs(ctx, len(states) > 0)
	if err != nil {
		return err
	}
	if len(ids) > 0 && len(states) == 0 {
		// As Slurm: an id that never was is an error, one that has ended is not.
		all, err := a.slurmJobs(ctx, true)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if !slices.ContainsFunc(all, func(j slurmJob) bool { return j.is(id) }) {
				return workload.Errorf(workload.NotFound, "slurm_load_jobs error: Invalid job id specified: %s", id)
			}
		}
	}
	in := func(set []string, v string) bool { return len(set) == 0 || slices.Contains(set, v) }
	jobs = slices.DeleteFunc(jobs, func(j slurmJob) bool {
		long, short := j.state()
		wanted := len(states) == 0 || slices.Contains(states, "ALL") || slices.Contains(states, long) || slices.Contains(states, short)
		return !wanted || len(ids) > 0 && !slices.ContainsFunc(ids, j.is) || !in(commas(opts["user"]), j.user()) || !in(commas(opts["name"]), j.name()) ||
			!in(commas(opts["account"]), j.GetTenant()) || !in(commas(opts["partition"]), squeueFields['P'].cell(j)) ||
			opts["nodelist"] != "" && !slices.ContainsFunc(commas(opts["nodelist"]), func(n string) bool { return j.nodelist() != "" && slices.Contains(j.nodes, n) })
	})
	format := opts["format"]
	if format == "" {
		format = squeueFormat
		if opts["long"] != "" {
			format = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R"
		}
	}
	return formatted(a, format, opts["noheader"] == "", squeueFields, jobs)
}

func commas(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}

var sacctFields = map[string]func(slurmJob) string{
	"jobid": slurmJob.id, "jobidraw": func(j slurmJob) string { return j.GetId() }, "jobname": slurmJob.name, "partition": squeueFields['P'].cell,
	"account": func(j slurmJob) string { return j.GetTenant() }, "user": slurmJob.user, "alloccpus": squeueFields['C'].cell, "ncpus": squeueFields['C'].cell,
	"nnodes": squeueFields['D'].cell, "allocnodes": squeueFields['D'].cell, "nodelist": func(j slurmJob) string { return cmpOr(slurm.Compress(j.nodes), "None assigned") },
	"state":    func(j slurmJob) string { long, _ := j.state(); return long },
	"exitcode": func(j slurmJob) string { return slurmExit(int(j.GetExitCode())) },
	"elapsed":  func(j slurmJob) string { return slurmTime(j.elapsed(), true) },
	"submit":   squeueFields['V'].cell, "start": squeueFields['S'].cell, "end": func(j slurmJob) string { return slurmStamp(j.GetEndedMs()) },
	"timelimit": slurmJob.limit, "workdir": squeueFields['Z'].cell, "qos": squeueFields['q'].cell,
	"alloctres": func(j slurmJob) string { return fmt.Sprintf("gres/gpu=%d,node=%d", j.GetGpus(), j.nodeCount()) },
	"reason":    slurmJob.why,
}

// slurmExit writes an exit code as code:signal.
func slurmExit(code int) string {
	if code > 128 {
		return fmt.Sprintf("0:%d", code-128)
	}
	return fmt.Sprintf("%d:0", code)
}

// sacct lists jobs, ended ones too.
func (a *app) sacct(ctx context.Context, args []string) error {
	opts, rest, err := slurmArgs("sacct", args,
		[]string{"noheader", "format=", "jobs=", "parsable", "parsable2", "allocations", "user=", "allusers", "state=", "name=", "starttime=", "endtime=", "delimiter=", "long", "brief", "noconvert"},
		map[byte]string{'n': "noheader", 'o': "format", 'j': "jobs", 'p': "parsable", 'P': "parsable2", 'X': "allocations", 'u': "user", 'a': "allusers", 's': "state", 'S': "starttime", 'E': "endtime", 'l': "long", 'b': "brief"})
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usagef("sacct: %q is no option", rest[0])
	}
	if opts["starttime"] != "" || opts["endtime"] != "" {
		fmt.Fprintln(a.err, "warning: sacct: --starttime and --endtime are not looked at: all jobs that the scheduler remembers are listed")
	}
	format := opts["format"]
	if format == "" {
		format = "jobid,jobname,partition,account,alloccpus,state,exitcode"
		if opts["brief"] != "" {
			format = "jobid,state,exitcode"
		}
	}
	jobs, err := a.slurmJobs(ctx, true)
	if err != nil {
		return err
	}
	type columnOf struct {
		head  string
		width int
		cell  func(slurmJob) string
	}
	var columns []columnOf
	for _, item := range commas(format) {
		name, width, wide := strings.Cut(item, "%")
		cell := sacctFields[strings.ToLower(name)]
		if cell == nil {
			return workload.Errorf(workload.Invalid, "sacct: field %q is not one that Sluice knows", name)
		}
		n := 10
		if wide {
			if n, err = strconv.Atoi(strings.TrimPrefix(width, "-")); err != nil || n < 1 || n > 1000 {
				return workload.Errorf(workload.Invalid, "sacct: width %q is no number", width)
			}
		}
		columns = append(columns, columnOf{name, n, cell})
	}
	separator := cmpOr(opts["delimiter"], "|")
	print := func(get func(columnOf) string) {
		var cells []string
		for _, col := range columns {
			text := clean(get(col))
			if opts["parsable"] == "" && opts["parsable2"] == "" {
				r := []rune(text)
				if len(r) > col.width {
					r = append(r[:col.width-1], '+')
				}
				text = fmt.Sprintf("%*s", col.width, string(r))
			}
			cells = append(cells, text)
		}
		switch {
		case opts["parsable2"] != "":
			fmt.Fprintln(a.out, strings.Join(cells, separator))
		case opts["parsable"] != "":
			fmt.Fprintln(a.out, strings.Join(cells, separator)+separator)
		default:
			fmt.Fprintln(a.out, strings.Join(cells, " ")+" ")
		}
	}
	if opts["noheader"] == "" {
		print(func(c columnOf) string { return sacctHead(c.head) })
		if opts["parsable"] == "" && opts["parsable2"] == "" {
			print(func(c columnOf) string { return strings.Repeat("-", c.width) })
		}
	}
	ids, states := commas(opts["jobs"]), commas(strings.ToUpper(opts["state"]))
	for _, j := range jobs {
		long, short := j.state()
		if len(ids) > 0 && !slices.ContainsFunc(ids, j.is) || len(states) > 0 && !slices.Contains(states, long) && !slices.Contains(states, short) ||
			opts["user"] != "" && !slices.Contains(commas(opts["user"]), j.user()) || opts["name"] != "" && !slices.Contains(commas(opts["name"]), j.name()) {
			continue
		}
		print(func(c columnOf) string { return c.cell(j) })
	}
	return nil
}

// sacctHead is the head of a field as Slurm writes it.
func sacctHead(name string) string {
	for _, h := range []string{"JobID", "JobIDRaw", "JobName", "Partition", "Account", "User", "AllocCPUS", "NCPUS", "NNodes", "AllocNodes", "NodeList", "State", "ExitCode",
		"Elapsed", "Submit", "Start", "End", "Timelimit", "WorkDir", "QOS", "AllocTRES", "Reason"} {
		if strings.EqualFold(h, name) {
			return h
		}
	}
	return name
}
