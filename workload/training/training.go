// Package training turns a TrainOrder and the devices a node really has into
// one process: environment and command line. It is pure; what a directory
// holds is passed in. One process runs per node of a gang; a launcher such as
// torchrun then spawns its ranks from GPUS_PER_NODE.
//
// The checkpoint contract: the process writes only below SLUICE_CHECKPOINT_DIR,
// which belongs to one epoch alone, reads from SLUICE_RESUME_DIR where that is
// set, and tells how far it is by appending lines to SLUICE_PROGRESS. Two
// copies that ever ran at once (a node the kernel could not stop) can so never
// write over each other, and only the newest epoch's directory is accepted.
package training

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/workload"
)

// Local is what only the node knows.
type Local struct {
	Node  workload.NodeID
	Epoch workload.Epoch // highest of the node's devices in the gang
	// Devices are this node's devices of the gang, with their UUIDs.
	Devices []workload.Device
	// Earlier lists the names inside the job's checkpoint directory.
	Earlier []string
	// Progress is the path of the progress file.
	Progress string
}

// Process is what the runner starts.
type Process struct {
	Argv []string
	Env  []string // sorted KEY=value
	Dir  string
	User string
	// CheckpointDir is to be made before the start; empty when the job has none.
	CheckpointDir string
}

// Ports of the first rank lie in [FirstPort, FirstPort+Ports).
const (
	FirstPort = 20_000
	Ports     = 10_000
)

// MasterPort derives the rendezvous port of an attempt. Every node computes it
// alone, so it can only depend on the order; a new attempt gets a new port, as
// the old one may still be in TIME_WAIT.
func MasterPort(job workload.JobID, attempt int) int {
	// Knuth's multiplicative hash: neighbouring jobs land far apart.
	h := (uint64(job)*1_000_003 + uint64(attempt)) * 0x9E3779B97F4A7C15
	return FirstPort + int(h>>33)%Ports
}

// Build compiles a process. It returns an Invalid error when the order does
// not fit the devices.
func Build(order workload.TrainOrder, local Local) (Process, error) {
	if len(order.Spec.Run.Command) == 0 {
		return Process{}, workload.Errorf(workload.Invalid, "job %d has no command", order.Job)
	}
	if order.Spec.Run.Image != "" {
		return Process{}, workload.Errorf(workload.Invalid, "job %d asks for an image, which this node cannot run", order.Job).
			Hint("leave run.image out to run a plain process")
	}
	nodes := Nodes(order.Devices)
	rank := slices.Index(nodes, local.Node)
	if rank < 0 {
		return Process{}, workload.Errorf(workload.Invalid, "job %d has no device on node %s", order.Job, local.Node)
	}
	uuids, err := localUUIDs(order, local)
	if err != nil {
		return Process{}, err
	}
	spec := order.Spec.Default()
	job := order.Job.String()
	visible := strings.Join(uuids, ",")
	env := map[string]string{}
	for k, v := range spec.Run.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.Contains(v, "\x00") {
			return Process{}, workload.Errorf(workload.Invalid, "job %d: %q is not the name of an environment variable", order.Job, k)
		}
		env[k] = strings.ReplaceAll(v, "{job}", job)
	}
	// Ours last: a job cannot change which devices it sees or which epoch it has.
	for k, v := range map[string]string{
		"MASTER_ADDR":            order.Master,
		"MASTER_PORT":            strconv.Itoa(MasterPort(order.Job, order.Attempt)),
		"RANK":                   strconv.Itoa(rank),
		"WORLD_SIZE":             strconv.Itoa(len(nodes)),
		"LOCAL_RANK":             "0",
		"LOCAL_WORLD_SIZE":       "1",
		"NODE_RANK":              strconv.Itoa(rank),
		"NNODES":                 strconv.Itoa(len(nodes)),
		"GPUS_PER_NODE":          strconv.Itoa(len(uuids)),
		"CUDA_DEVICE_ORDER":      "PCI_BUS_ID",
		"CUDA_VISIBLE_DEVICES":   visible,
		"NVIDIA_VISIBLE_DEVICES": visible,
		"SLUICE_JOB":             job,
		"SLUICE_JOB_NAME":        spec.Name,
		"SLUICE_ATTEMPT":         strconv.Itoa(order.Attempt),
		"SLUICE_EPOCH":           strconv.FormatUint(uint64(local.Epoch), 10),
		"SLUICE_NODE":            string(local.Node),
		"SLUICE_WORLD_DEVICES":   strconv.Itoa(len(order.Devices)),
		"SLUICE_PROGRESS":        local.Progress,
	} {
		env[k] = v
	}
	maps.Copy(env, slurmEnv(order, local, nodes, rank))
	p := Process{Dir: expand(spec.Run.Workdir, job), User: spec.Run.User}
	if dir := CheckpointDir(order); dir != "" {
		p.CheckpointDir = dir + "/" + EpochDir(local.Epoch)
		env["SLUICE_CHECKPOINT_DIR"] = p.CheckpointDir
		if newest, ok := newestBefore(local.Earlier, local.Epoch); ok {
			env["SLUICE_RESUME_DIR"] = dir + "/" + EpochDir(newest)
		}
	}
	for _, arg := range spec.Run.Command {
		p.Argv = append(p.Argv, expand(arg, job))
	}
	for k, v := range env {
		p.Env = append(p.Env, k+"="+v)
	}
	slices.Sort(p.Env)
	return p, nil
}

// CheckpointDir is the job's directory above those of its epochs, or "".
func CheckpointDir(order workload.TrainOrder) string {
	return strings.TrimRight(expand(order.Spec.Checkpoint.Dir, order.Job.String()), "/")
}

// EpochDir names the subdirectory of one epoch.
func EpochDir(e workload.Epoch) string { return fmt.Sprintf("epoch-%d", e) }

// Nodes lists the nodes of a gang in the order of their first rank.
func Nodes(devices []workload.DeviceID) []workload.NodeID {
	var nodes []workload.NodeID
	for _, d := range devices {
		if n := d.Node(); !slices.Contains(nodes, n) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// OnNode lists the devices of a gang that one node holds, in rank order.
func OnNode(devices []workload.DeviceID, node workload.NodeID) []workload.DeviceID {
	var ids []workload.DeviceID
	for _, d := range devices {
		if d.Node() == node {
			ids = append(ids, d)
		}
	}
	return ids
}

func localUUIDs(order workload.TrainOrder, local Local) ([]string, error) {
	var uuids []string
	for _, id := range OnNode(order.Devices, local.Node) {
		i := slices.IndexFunc(local.Devices, func(d workload.Device) bool { return d.ID == id })
		if i < 0 {
			return nil, workload.Errorf(workload.Invalid, "job %d asks for device %s, which this node does not have", order.Job, id)
		}
		uuids = append(uuids, local.Devices[i].UUID)
	}
	return uuids, nil
}

func newestBefore(names []string, before workload.Epoch) (workload.Epoch, bool) {
	var newest workload.Epoch
	found := false
	for _, name := range names {
		digits, ok := strings.CutPrefix(name, "epoch-")
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 64)
		// A name that we would not have written ("epoch-007") is not ours.
		if err != nil || EpochDir(workload.Epoch(n)) != name {
			continue
		}
		if e := workload.Epoch(n); e < before && (!found || e > newest) {
			newest, found = e, true
		}
	}
	return newest, found
}

func expand(s, job string) string { return strings.ReplaceAll(s, "{job}", job) }
