package slurm

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluice-project/sluice/workload"
)

// Variables by which a job's keeper (sluice slurm batch) knows what the script
// asked for. They are taken away before the script starts.
const (
	VarOutput    = "SLUICE_BATCH_OUTPUT"
	VarError     = "SLUICE_BATCH_ERROR"
	VarOpenMode  = "SLUICE_BATCH_OPEN_MODE"
	VarSignal    = "SLUICE_BATCH_SIGNAL"     // SIGUSR1@60, or B:SIGUSR1@60
	VarTimeLimit = "SLUICE_BATCH_TIME_LIMIT" // seconds
	VarNoRequeue = "SLUICE_BATCH_NO_REQUEUE"
	VarPath      = "SLUICE_BATCH_PATH" // PATH of the submission
	VarFile      = "SLUICE_BATCH_FILE" // the script's name
)

// killWait is the time from a stop to the kill where --signal asks for none.
const killWait = 30 * time.Second

// restarts is how often a failing script runs: once, as under Slurm.
const restarts = 1

// job maps the options to a Spec.
func (c *compiler) job() (Job, error) {
	j := Job{Spec: workload.Spec{Run: workload.Run{Env: map[string]string{}}}}
	for _, step := range []func(*Job) error{c.identity, c.size, c.times, c.files, c.dependencies, c.export} {
		if err := step(&j); err != nil {
			return Job{}, err
		}
	}
	s := &j.Spec
	s.Run.Command = append([]string{"sluice", "slurm", "batch", "--"}, c.in.Args...)
	s.Run.Script = string(c.in.Script)
	s.Run.Env[VarFile] = path.Base(c.in.File)
	for _, k := range kinds {
		o, given := c.set[k.name]
		if !given || o.kind.name != k.name && alias[o.kind.name] != k.name {
			continue
		}
		if o.kind.hint != "" {
			c.warn(o.at, "--"+o.kind.name, o.kind.hint)
		}
	}
	_, j.Parsable = c.set["parsable"]
	_, j.TestOnly = c.set["test-only"]
	_, j.Wait = c.set["wait"]
	_, j.Quiet = c.set["quiet"]
	j.Warnings = append([]Warning{}, c.warnings...)
	if ps := s.Validate(); len(ps) > 0 {
		return Job{}, workload.Errorf(workload.Invalid, "%s: %s %s", c.in.File, ps[0].Path, ps[0].Text)
	}
	return j, nil
}

func (c *compiler) env(j *Job, name, value string) { j.Spec.Run.Env[name] = value }

// identity takes who and what the job is.
func (c *compiler) identity(j *Job) error {
	name, at := path.Base(c.in.File), c.in.File
	if _, wrapped := c.set["wrap"]; wrapped {
		name = "wrap"
	}
	if o, ok := c.set["job-name"]; ok {
		if name, at = o.value, o.at; name == "" {
			return o.bad("is empty")
		}
	}
	c.env(j, "SLURM_JOB_NAME", name)
	j.Spec.Name = plain(name)
	if j.Spec.Name != name && c.set["job-name"].at != "" {
		c.warn(at, "--job-name", strconv.Quote(name)+" is listed as "+j.Spec.Name+"; %x and SLURM_JOB_NAME keep it as written")
	}
	for option, variable := range map[string]string{"partition": "SLURM_JOB_PARTITION", "qos": "SLURM_JOB_QOS", "account": "SLURM_JOB_ACCOUNT",
		"comment": "SLURM_JOB_COMMENT", "reservation": "SLURM_JOB_RESERVATION", "licenses": "SLURM_JOB_LICENSES"} {
		if o, ok := c.set[option]; ok {
			c.env(j, variable, o.value)
		}
	}
	if o, ok := c.set["account"]; ok {
		j.Account = o.value
		if workload.ValidName(o.value) {
			j.Spec.Tenant = workload.TenantName(o.value)
		} else {
			c.warn(o.at, "--account", strconv.Quote(o.value)+" cannot name a tenant; the default tenant pays")
		}
	}
	if o, ok := c.set["qos"]; ok {
		switch p := workload.Priority(o.value); p {
		case workload.Low, workload.Normal, workload.High:
			j.Spec.Value.Priority = p
		default:
			c.warn(o.at, "--qos", "is not looked at: only low, normal and high have a meaning, as the job's priority")
		}
	}
	c.env(j, "SLURM_SUBMIT_DIR", c.in.Dir)
	c.env(j, "SLURM_SUBMIT_HOST", c.in.Host)
	c.env(j, "SLURM_JOB_USER", c.in.User)
	return nil
}

// plain makes a Slurm name one of ours.
func plain(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else {
			b.WriteByte('-')
		}
	}
	s := strings.Trim(b.String(), "-")
	// A name of digits alone would be taken for a job's id.
	if strings.Trim(s, "0123456789") == "" {
		s = strings.TrimRight("job-"+s, "-")
	}
	return strings.TrimRight(s[:min(len(s), 63)], "-")
}

// count reads an option that is a number; 0 where it is not given.
func (c *compiler) count(name string) (int, error) {
	o, ok := c.set[name]
	if !ok {
		return 0, nil
	}
	n, err := parsePositive(o.value)
	if err != nil {
		return 0, o.bad("%v", err)
	}
	return n, nil
}

// size takes nodes, tasks and GPUs.
func (c *compiler) size(j *Job) error {
	nodes := 0
	if o, ok := c.set["nodes"]; ok {
		from, to, err := parseNodes(o.value)
		if err != nil {
			return o.bad("%v", err)
		}
		if to > from {
			c.warn(o.at, "--nodes", "is taken as "+strconv.Itoa(from)+": a batch job is of one size")
		}
		nodes = from
	}
	tasks, err := c.count("ntasks")
	if err != nil {
		return err
	}
	perNode, err := c.count("ntasks-per-node")
	if err != nil {
		return err
	}
	cpus, err := c.count("cpus-per-task")
	if err != nil {
		return err
	}
	if nodes == 0 {
		nodes = 1
		if tasks > 0 && perNode > 0 {
			nodes = (tasks + perNode - 1) / perNode
		}
	}
	if tasks == 0 {
		tasks = nodes * max(perNode, 1)
	}
	if nodes > maxCount || tasks > maxCount {
		return workload.Errorf(workload.Invalid, "%s: --nodes and --ntasks ask for more than %d", c.in.File, maxCount)
	}
	if tasks < nodes { // as under Slurm: a node without a task is not taken
		o := c.set["ntasks"]
		c.warn(o.at, "--ntasks", "needs no more than "+strconv.Itoa(tasks)+" nodes, which is what the job gets")
		nodes = tasks
	}
	if perNode > 0 && tasks > nodes*perNode {
		o := c.set["ntasks"]
		return o.bad("%d tasks do not fit on %d nodes with %d each", tasks, nodes, perNode)
	}
	spread := TasksPerNode(tasks, nodes, perNode)
	if err := c.devices(j, nodes, tasks, slices.Max(spread)); err != nil {
		return err
	}
	c.env(j, "SLURM_NTASKS", strconv.Itoa(tasks))
	c.env(j, "SLURM_NPROCS", strconv.Itoa(tasks))
	c.env(j, "SLURM_TASKS_PER_NODE", Repeats(spread))
	if perNode > 0 {
		c.env(j, "SLURM_NTASKS_PER_NODE", strconv.Itoa(perNode))
	}
	if _, ok := c.set["cpus-per-task"]; ok {
		c.env(j, "SLURM_CPUS_PER_TASK", strconv.Itoa(cpus))
	}
	onNode := slices.Max(spread) * max(cpus, 1)
	c.env(j, "SLURM_CPUS_ON_NODE", strconv.Itoa(onNode))
	var all []int
	for _, n := range spread {
		all = append(all, n*max(cpus, 1))
	}
	c.env(j, "SLURM_JOB_CPUS_PER_NODE", Repeats(all))
	if n, err := c.count("cpus-per-gpu"); err != nil {
		return err
	} else if n > 0 {
		c.env(j, "SLURM_CPUS_PER_GPU", strconv.Itoa(n))
	}
	for _, f := range [][2]string{{"mem", "SLURM_MEM_PER_NODE"}, {"mem-per-cpu", "SLURM_MEM_PER_CPU"}, {"mem-per-gpu", "SLURM_MEM_PER_GPU"}} {
		option, variable := f[0], f[1]
		o, ok := c.set[option]
		if !ok {
			continue
		}
		m, err := parseMemory(o.value)
		if err != nil {
			return o.bad("%v", err)
		}
		if m > 0 {
			c.env(j, variable, strconv.FormatInt(m, 10))
		}
	}
	return nil
}

// devices takes the GPUs, of which there must be some.
func (c *compiler) devices(j *Job, nodes, tasks, tasksOnNode int) error {
	perNode, total, model := 0, 0, ""
	took := func(o option, g gpus, node, all int) error {
		if model != "" && g.model != "" && !strings.EqualFold(model, g.model) {
			return o.bad("asks for GPUs of type %s, another option for %s", g.model, model)
		}
		if perNode > 0 && node > 0 && perNode != node || total > 0 && all > 0 && total != all {
			return o.bad("asks for another number of GPUs than the options before it")
		}
		perNode, total = max(perNode, node), max(total, all)
		if g.model != "" {
			model = g.model
		}
		return nil
	}
	if o, ok := c.set["gres"]; ok {
		g, others, err := parseGres(o.value)
		if err != nil {
			return o.bad("%v", err)
		}
		for _, name := range others {
			c.warn(o.at, "--gres", name+" is not counted: Sluice knows no other resource than GPUs")
		}
		if err := took(o, g, g.count, g.count*nodes); err != nil {
			return err
		}
	}
	for _, name := range []string{"gpus-per-node", "gpus-per-task", "gpus"} {
		o, ok := c.set[name]
		if !ok {
			continue
		}
		g, err := parseCount(o.value)
		if err != nil {
			return o.bad("%v", err)
		}
		node, all := 0, g.count
		switch name {
		case "gpus-per-node":
			node, all = g.count, g.count*nodes
			c.env(j, "SLURM_GPUS_PER_NODE", o.value)
		case "gpus-per-task":
			all = g.count * tasks
			if tasks%nodes != 0 || tasksOnNode*nodes != tasks {
				return o.bad("%d tasks do not spread evenly over %d nodes, and each node of a gang has as many GPUs", tasks, nodes).Hint("make --ntasks a multiple of --nodes")
			}
			node = all / nodes
			c.env(j, "SLURM_GPUS_PER_TASK", o.value)
		case "gpus":
			if all%nodes != 0 {
				return o.bad("%d GPUs do not spread evenly over %d nodes", all, nodes).Hint("use --gpus-per-node")
			}
			node = all / nodes
			if _, ok := c.set["nodes"]; !ok && nodes == 1 && all > 1 {
				c.warn(o.at, "--gpus", "is taken from one node; --nodes spreads it over more")
			}
			c.env(j, "SLURM_GPUS", o.value)
		}
		if err := took(o, g, node, all); err != nil {
			return err
		}
	}
	if total == 0 {
		return workload.Errorf(workload.Invalid, "%s: asks for no GPU, and Sluice has nothing else to give", c.in.File).Hint("add #SBATCH --gpus-per-node=1")
	}
	if total > workload.MaxGang {
		return workload.Errorf(workload.Invalid, "%s: asks for %d GPUs; a job may have %d", c.in.File, total, workload.MaxGang)
	}
	c.env(j, "SLURM_GPUS_ON_NODE", strconv.Itoa(perNode))
	j.Spec.Gang.GPUs, j.Spec.Gang.PerNode, j.GPUType = total, perNode, model
	if model != "" {
		j.Spec.Gang.Models = []workload.ModelName{workload.ModelName(model)}
	}
	return nil
}

// times takes limits, signals and restarts.
func (c *compiler) times(j *Job) error {
	s := &j.Spec
	s.Limits.Attempts = restarts
	if o, ok := c.set["time"]; ok {
		d, err := parseTime(o.value)
		if err != nil {
			return o.bad("%v", err)
		}
		s.Limits.Time = d
		if d > 0 {
			c.env(j, VarTimeLimit, strconv.FormatInt(int64(d/time.Second), 10))
		}
	}
	s.Checkpoint = workload.Checkpoint{Signal: "SIGTERM", Grace: killWait}
	if o, ok := c.set["signal"]; ok {
		g, err := parseSignal(o.value)
		if err != nil {
			return o.bad("%v", err)
		}
		s.Checkpoint = workload.Checkpoint{Signal: g.name, Grace: max(g.lead, killWait)}
		text := g.name + "@" + strconv.FormatInt(int64(g.lead/time.Second), 10)
		if g.shell {
			text = "B:" + text
		}
		c.env(j, VarSignal, text)
	}
	if o, ok := c.set["requeue"]; ok && o.value == "no" {
		c.env(j, VarNoRequeue, "1")
	}
	if o, ok := c.set["begin"]; ok && o.value != "now" {
		return o.bad("a later start is not built").Hint("submit the job then, for instance with at or cron, or take the line out")
	}
	return nil
}

// files takes where the job runs and where its output goes.
func (c *compiler) files(j *Job) error {
	j.Spec.Run.Workdir = c.in.Dir
	if o, ok := c.set["chdir"]; ok {
		if o.value == "" {
			return o.bad("names no directory")
		}
		j.Spec.Run.Workdir = o.value
		if !path.IsAbs(o.value) {
			j.Spec.Run.Workdir = path.Join(c.in.Dir, o.value)
		}
	}
	for _, f := range [][2]string{{"output", VarOutput}, {"error", VarError}} {
		if o, ok := c.set[f[0]]; ok {
			if o.value == "" {
				return o.bad("names no file")
			}
			c.env(j, f[1], o.value)
		}
	}
	if o, ok := c.set["open-mode"]; ok {
		switch o.value {
		case "append", "a":
			c.env(j, VarOpenMode, "append")
		case "truncate", "t":
		default:
			return o.bad("%q is not append or truncate", o.value)
		}
	}
	return nil
}

func (c *compiler) dependencies(j *Job) error {
	if o, ok := c.set["dependency"]; ok {
		after, err := parseDependency(o.value)
		if err != nil {
			return o.bad("%v", err)
		}
		for _, a := range after {
			j.Spec.After = append(j.Spec.After, workload.After{Job: a.job, On: a.on})
		}
		c.env(j, "SLURM_JOB_DEPENDENCY", o.value)
	}
	if o, ok := c.set["array"]; ok {
		a, err := parseArray(o.value)
		if err != nil {
			return o.bad("%v", err)
		}
		j.Array = a
		c.env(j, "SLURM_ARRAY_TASK_COUNT", strconv.Itoa(len(a.Indices)))
		c.env(j, "SLURM_ARRAY_TASK_MIN", strconv.Itoa(a.Indices[0]))
		c.env(j, "SLURM_ARRAY_TASK_MAX", strconv.Itoa(a.Indices[len(a.Indices)-1]))
		c.env(j, "SLURM_ARRAY_TASK_STEP", strconv.Itoa(a.Step))
	}
	return nil
}

// maxEnvironment bounds what --export carries, in bytes.
const maxEnvironment = 128 << 10

// export takes the variables of the submitter. A job's document can be read by
// whoever may see the job, so what looks like a secret goes only where it is
// named.
func (c *compiler) export(j *Job) error {
	mode, at := "ALL", commandLine
	if o, ok := c.set["export"]; ok {
		mode, at = o.value, o.at
	}
	have := map[string]string{}
	for _, kv := range c.in.Env {
		if name, v, ok := strings.Cut(kv, "="); ok && name != "" {
			have[name] = v
		}
	}
	if mode != "NIL" && mode != "NONE" && have["PATH"] != "" {
		c.env(j, VarPath, have["PATH"])
	}
	var secret, unfit []string
	size := 0
	give := func(name, v string) {
		if _, ours := j.Spec.Run.Env[name]; ours {
			return
		}
		if !utf8.ValidString(name) || !utf8.ValidString(v) || strings.ContainsRune(v, 0) || strings.Contains(v, "{job}") {
			unfit = append(unfit, name)
			return
		}
		size += len(name) + len(v) + 2
		c.env(j, name, v)
	}
	for item := range strings.SplitSeq(mode, ",") {
		name, v, assigned := strings.Cut(item, "=")
		switch {
		case item == "NONE" || item == "NIL" || item == "":
		case item == "ALL":
			for name, v := range have {
				switch {
				case local(name):
				case secretName(name):
					secret = append(secret, name)
				default:
					give(name, v)
				}
			}
		case assigned:
			give(name, v)
		default:
			if v, ok := have[name]; ok {
				give(name, v)
			}
		}
	}
	secret = slices.DeleteFunc(secret, func(name string) bool { _, named := j.Spec.Run.Env[name]; return named })
	slices.Sort(unfit)
	slices.Sort(secret)
	if len(unfit) > 0 {
		c.warn(at, "--export", "leaves out "+strings.Join(unfit, ", ")+": not text, or with {job}, which Sluice would fill in")
	}
	if len(secret) > 0 {
		c.warn(at, "--export", "leaves out "+strings.Join(secret, ", ")+", which by the name may be secret; --export=ALL,"+secret[0]+" sends it")
	}
	if size > maxEnvironment {
		return workload.Errorf(workload.Invalid, "%s: --export: the environment has %d bytes; %d may travel with a job", at, size, maxEnvironment).
			Hint("name the variables that the job needs: --export=NAME,NAME")
	}
	return nil
}

// local reports variables that describe the submitting shell and are wrong or
// set anew on a node.
func local(name string) bool {
	switch name {
	case "_", "PATH", "HOME", "PWD", "OLDPWD", "SHLVL", "TERM", "DISPLAY", "XAUTHORITY", "TMPDIR", "HOSTNAME", "LS_COLORS",
		"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES":
		return true
	}
	for _, prefix := range []string{"SLURM_", "SLURMD_", "SBATCH_", "SLUICE_", "SSH_", "XDG_SESSION", "DBUS_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func secretName(name string) bool {
	upper := strings.ToUpper(name)
	for _, part := range []string{"TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "API_KEY", "APIKEY", "ACCESS_KEY", "PRIVATE_KEY"} {
		if strings.Contains(upper, part) {
			return true
		}
	}
	return false
}
