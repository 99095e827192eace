// Package batch runs a Slurm batch script inside a job. A keeper is the job's
// process on every node. The keeper of the first node waits until the others
// have called in, runs the script, and starts the tasks of each srun on all
// nodes; the others start tasks for it. Only the first keeper is ever obeyed,
// and it is the one that is called: nobody can give a keeper orders by
// connecting to it.
//
// Between nodes everything passes through TLS 1.3 with a key of the job's own;
// srun reaches its keeper through a socket in the run's directory.
package batch
