package training

import (
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/workload"
	"github.com/sluice-project/sluice/workload/slurm"
)

// slurmEnv is what a batch script finds of its allocation under Slurm's names.
// What the script asked for, such as SLURM_NTASKS, stands in the job's own
// environment. Jobs without a script get none of it: libraries that see these
// variables take it that srun started them.
func slurmEnv(order workload.TrainOrder, local Local, nodes []workload.NodeID, rank int) map[string]string {
	if order.Spec.Run.Script == "" {
		return nil
	}
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = string(n)
	}
	var slots []string
	for _, id := range OnNode(order.Devices, local.Node) {
		slots = append(slots, strconv.Itoa(id.Slot()))
	}
	list, count, job := slurm.Compress(names), strconv.Itoa(len(nodes)), order.Job.String()
	return map[string]string{
		"SLUICE_SCRIPT":       order.Spec.Run.Script,
		"SLURM_CLUSTER_NAME":  "sluice",
		"SLURM_JOB_ID":        job,
		"SLURM_JOBID":         job,
		"SLURM_JOB_NODELIST":  list,
		"SLURM_NODELIST":      list,
		"SLURM_JOB_NUM_NODES": count,
		"SLURM_NNODES":        count,
		"SLURM_NODEID":        strconv.Itoa(rank),
		"SLURMD_NODENAME":     names[rank],
		"SLURM_JOB_GPUS":      strings.Join(slots, ","),
		"SLURM_GPUS_ON_NODE":  strconv.Itoa(len(slots)),
		"SLURM_RESTART_COUNT": strconv.Itoa(max(order.Attempt-1, 0)),
	}
}
