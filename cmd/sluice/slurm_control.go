package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
	"github.com/sluice-project/sluice/workload/slurm"
)

// scancel cancels jobs by id, array, name or user. An ended job is no error, as
// under Slurm.
func (a *app) scancel(ctx context.Context, args []string) error {
	opts, ids, err := slurmArgs("scancel", args, []string{"name=", "jobname=", "user=", "me", "state=", "quiet", "verbose", "signal=", "batch", "full"},
		map[byte]string{'n': "name", 'u': "user", 't': "state", 'Q': "quiet", 'v': "verbose", 's': "signal", 'b': "batch", 'f': "full"})
	if err != nil {
		return err
	}
	if s := strings.TrimPrefix(strings.ToUpper(opts["signal"]), "SIG"); s != "" && s != "KILL" && s != "9" && s != "TERM" && s != "15" {
		return workload.Errorf(workload.Invalid, "scancel: --signal=%s: signals to a running job are not built; without the option the job is asked to save and ended", opts["signal"])
	}
	name, owner, state := cmpOr(opts["name"], opts["jobname"]), opts["user"], strings.ToUpper(opts["state"])
	if opts["me"] != "" {
		in, err := a.slurmInput("", nil, nil, nil)
		if err != nil {
			return err
		}
		owner = in.User
	}
	if len(ids) == 0 && name == "" && owner == "" && state == "" {
		return usagef("scancel: no job identification provided").Hint("scancel JOB...")
	}
	jobs, err := a.slurmJobs(ctx, true)
	if err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	var failed []error
	for _, id := range ids {
		if !slices.ContainsFunc(jobs, func(j slurmJob) bool { return j.is(id) }) {
			failed = append(failed, workload.Errorf(workload.NotFound, "scancel: Kill job error on job id %s: Invalid job id specified", id))
		}
	}
	// The youngest first, or the jobs of a throttled array would start in turn.
	for _, j := range slices.Backward(jobs) {
		long, short := j.state()
		if workload.Phase(j.GetPhase()).Final() || len(ids) > 0 && !slices.ContainsFunc(ids, j.is) || name != "" && name != j.name() || owner != "" && owner != j.user() ||
			state != "" && state != long && state != short {
			continue
		}
		if _, err := call(ctx, c, sluicev1.OperatorClient.CancelJob, &sluicev1.CancelJobRequest{Id: j.GetId(), RequestId: requestID()}); err != nil && workload.KindOf(err) != workload.Conflict { // it has just ended
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// scontrol has the verbs that scripts use.
func (a *app) scontrol(ctx context.Context, args []string) error {
	var words []string
	for _, w := range args {
		switch w {
		case "-o", "--oneliner", "-d", "--details", "-Q", "--quiet":
		default:
			words = append(words, w)
		}
	}
	at := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch at(0) {
	case "show":
		switch at(1) {
		case "hostnames", "hostname":
			nodes, err := slurm.Expand(cmpOr(strings.Join(words[2:], ","), a.env("SLURM_JOB_NODELIST")))
			if err != nil {
				return err
			}
			for _, n := range nodes {
				fmt.Fprintln(a.out, n)
			}
			return nil
		case "hostlist", "hostlistsorted":
			nodes := commas(strings.Join(words[2:], ","))
			if at(1) == "hostlistsorted" {
				slices.Sort(nodes)
			}
			fmt.Fprintln(a.out, slurm.Compress(nodes))
			return nil
		case "job", "jobs", "jobid":
			return a.showSlurmJob(ctx, at(2))
		case "node", "nodes":
			return a.showSlurmNode(ctx, at(2))
		}
		return workload.Errorf(workload.Invalid, "scontrol show %s: is not built", at(1)).Hint("scontrol show hostnames, job or node")
	case "hold", "uhold", "release", "requeue", "requeuehold", "suspend", "resume", "update":
		next := "scancel and sbatch do it in two steps"
		if at(0) == "requeue" || at(0) == "requeuehold" {
			next = "a job that was preempted or lost its node is queued again by itself; to run it again, submit it again"
		}
		return workload.Errorf(workload.Invalid, "scontrol %s: is not built: the scheduler cannot be told to %s a job", at(0), strings.TrimPrefix(at(0), "u")).Hint("%s", next)
	case "ping":
		c, err := a.connect()
		if err != nil {
			return err
		}
		defer c.Close()
		s, err := call(ctx, c, sluicev1.OperatorClient.GetStatus, &sluicev1.GetStatusRequest{})
		if err == nil {
			fmt.Fprintf(a.out, "Slurmctld(primary) at %s is UP\n", clean(s.GetLeader()))
		}
		return err
	}
	return workload.Errorf(workload.Invalid, "scontrol %s: is not built", at(0)).Hint("scontrol show hostnames, job or node")
}

func (a *app) showSlurmJob(ctx context.Context, id string) error {
	jobs, err := a.slurmJobs(ctx, true)
	if err != nil {
		return err
	}
	found := false
	for _, j := range jobs {
		if id != "" && !j.is(id) {
			continue
		}
		found = true
		long, _ := j.state()
		restarts := max(len(j.GetAttempts())-1, 0)
		w := func(format string, args ...any) { fmt.Fprintln(a.out, clean(fmt.Sprintf(format, args...))) }
		head := fmt.Sprintf("JobId=%s ", j.GetId())
		if first, index := j.array(); index != "" {
			head += fmt.Sprintf("ArrayJobId=%s ArrayTaskId=%s ", first, index)
		}
		w("%sJobName=%s", head, j.name())
		w("   UserId=%s Account=%s QOS=%s", j.user(), j.GetTenant(), j.env("SLURM_JOB_QOS", "normal"))
		w("   JobState=%s Reason=%s Dependency=%s", long, j.why(), cmpOr(j.env("SLURM_JOB_DEPENDENCY", ""), "(null)"))
		w("   Requeue=%d Restarts=%d BatchFlag=%d Reboot=0 ExitCode=%s", oneIf(j.env(slurm.VarNoRequeue, "") == ""), restarts, oneIf(j.spec.Run.Script != ""), slurmExit(int(j.GetExitCode())))
		w("   RunTime=%s TimeLimit=%s", slurmTime(j.elapsed(), true), j.limit())
		w("   SubmitTime=%s StartTime=%s EndTime=%s", slurmStamp(j.GetSubmittedMs()), slurmStamp(j.GetStartedMs()), slurmStamp(j.GetEndedMs()))
		w("   Partition=%s NodeList=%s", squeueFields['P'].cell(j), j.nodelist())
		batchHost := ""
		if len(j.nodes) > 0 {
			batchHost = j.nodes[0]
		}
		w("   BatchHost=%s", batchHost)
		w("   NumNodes=%d NumCPUs=%s NumTasks=%s CPUs/Task=%s", j.nodeCount(), squeueFields['C'].cell(j), j.env("SLURM_NTASKS", "1"), j.env("SLURM_CPUS_PER_TASK", "1"))
		w("   TresPerNode=gres/gpu:%d", j.spec.Gang.PerNode)
		w("   Command=%s", squeueFields['o'].cell(j))
		w("   WorkDir=%s", j.spec.Run.Workdir)
		w("   StdOut=%s", j.env(slurm.VarOutput, "slurm-%j.out"))
		fmt.Fprintln(a.out)
	}
	if id != "" && !found {
		return workload.Errorf(workload.NotFound, "slurm_load_jobs error: Invalid job id specified: %s", id)
	}
	return nil
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// slurmNode is a node as Slurm's tools show it.
type slurmNode struct {
	*sluicev1.Node
}

func (n slurmNode) state() string {
	d := n.GetDevices()
	switch {
	case n.GetState() != "ready":
		return "down"
	case d.GetTraining() == 0:
		return "idle" // a node that mines is free to whoever needs it
	case d.GetTraining() >= d.GetTrainable():
		return "alloc"
	}
	return "mix"
}

func (n slurmNode) gres() string {
	if g := n.GetDevices().GetTrainable(); g > 0 {
		return "gpu:" + strconv.FormatInt(g, 10)
	}
	return "(null)"
}

func (a *app) slurmNodes(ctx context.Context) ([]slurmNode, error) {
	c, err := a.connect()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	resp, err := call(ctx, c, sluicev1.OperatorClient.ListNodes, &sluicev1.ListNodesRequest{})
	var nodes []slurmNode
	for _, n := range resp.GetNodes() {
		if n.GetDevices().GetTrainable() > 0 {
			nodes = append(nodes, slurmNode{n})
		}
	}
	return nodes, err
}

func (a *app) showSlurmNode(ctx context.Context, list string) error {
	nodes, err := a.slurmNodes(ctx)
	if err != nil {
		return err
	}
	wanted, err := slurm.Expand(list)
	if err != nil {
		return err
	}
	found := 0
	for _, n := range nodes {
		if len(wanted) > 0 && !slices.Contains(wanted, n.GetId()) {
			continue
		}
		found++
		d := n.GetDevices()
		fmt.Fprintf(a.out, "NodeName=%s NodeAddr=%s NodeHostName=%s\n", n.GetId(), clean(cmpOr(n.GetAddress(), n.GetId())), n.GetId())
		fmt.Fprintf(a.out, "   Gres=%s GresUsed=gpu:%d\n", n.gres(), d.GetTraining())
		fmt.Fprintf(a.out, "   State=%s Partitions=sluice\n\n", longState(n.state()))
	}
	if len(wanted) > found {
		return workload.Errorf(workload.NotFound, "Node %s not found", list)
	}
	return nil
}

func longState(s string) string {
	return map[string]string{"down": "DOWN", "idle": "IDLE", "alloc": "ALLOCATED", "mix": "MIXED"}[s]
}

// nodeGroup is a line of sinfo: nodes that it shows as one.
type nodeGroup struct {
	nodes []slurmNode
}

func (g nodeGroup) names() []string {
	var names []string
	for _, n := range g.nodes {
		names = append(names, n.GetId())
	}
	return names
}

var sinfoFields = map[byte]field[nodeGroup]{
	'P': {"PARTITION", func(nodeGroup) string { return "sluice*" }},
	'R': {"PARTITION", func(nodeGroup) string { return "sluice" }},
	'a': {"AVAIL", func(nodeGroup) string { return "up" }},
	'l': {"TIMELIMIT", func(nodeGroup) string { return "infinite" }},
	'D': {"NODES", func(g nodeGroup) string { return strconv.Itoa(len(g.nodes)) }},
	't': {"STATE", func(g nodeGroup) string { return g.nodes[0].state() }},
	'T': {"STATE", func(g nodeGroup) string { return strings.ToLower(longState(g.nodes[0].state())) }},
	'N': {"NODELIST", func(g nodeGroup) string { return slurm.Compress(g.names()) }},
	'n': {"HOSTNAMES", func(g nodeGroup) string { return slurm.Compress(g.names()) }},
	'G': {"GRES", func(g nodeGroup) string { return g.nodes[0].gres() }},
}

// sinfo lists the nodes that can train, by state.
func (a *app) sinfo(ctx context.Context, args []string) error {
	opts, rest, err := slurmArgs("sinfo", args, []string{"noheader", "format=", "Node", "long", "nodes=", "partition=", "states=", "summarize"},
		map[byte]string{'h': "noheader", 'o': "format", 'N': "Node", 'l': "long", 'n': "nodes", 'p': "partition", 't': "states", 's': "summarize"})
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usagef("sinfo: %q is no option", rest[0])
	}
	nodes, err := a.slurmNodes(ctx)
	if err != nil {
		return err
	}
	wanted, err := slurm.Expand(opts["nodes"])
	if err != nil {
		return err
	}
	format := cmpOr(opts["format"], "%9P %.5a %.10l %.6D %.6t %N")
	if opts["Node"] != "" && opts["format"] == "" {
		format = "%N %.6D %.9P %6t"
	}
	single := opts["Node"] != "" || strings.Contains(format, "%n")
	states := commas(strings.ToLower(opts["states"]))
	var groups []nodeGroup
	for _, n := range nodes {
		if len(wanted) > 0 && !slices.Contains(wanted, n.GetId()) || len(states) > 0 && !slices.Contains(states, n.state()) && !slices.Contains(states, strings.ToLower(longState(n.state()))) {
			continue
		}
		i := slices.IndexFunc(groups, func(g nodeGroup) bool {
			return !single && g.nodes[0].state() == n.state() && g.nodes[0].gres() == n.gres()
		})
		if i < 0 {
			groups = append(groups, nodeGroup{[]slurmNode{n}})
			continue
		}
		groups[i].nodes = append(groups[i].nodes, n)
	}
	return formatted(a, format, opts["noheader"] == "", sinfoFields, groups)
}
