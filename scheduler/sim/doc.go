// Package sim runs a whole cluster on virtual time: the replicated state, the
// decision, what the leader orders, the agents' reconciler and the leases of
// their shims, with clients, processes, network and faults drawn from a seed. It
// checks every invariant after every event. The same seed gives the same run, to
// the last event, so that a violation is its own replay command.
//
// Real here are packages state, planner, decide, orders, ledger and
// agent/reconcile; a total order of commits that may lose its leader stands for
// Raft (whose own behaviour scheduler/replica tests), delayed, cut and stalled
// streams for gRPC, and timed processes for workloads.
package sim
