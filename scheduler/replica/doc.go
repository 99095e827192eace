// Package replica keeps one Machine the same on every server. It hides
// hashicorp/raft: who leads, how a command reaches the leader, how a server
// joins, how the log is folded into snapshots, and what happens when a disk
// hangs or lies. No other package imports raft.
//
// A command is any bytes; commands that may be sent twice carry an id of their
// own that the Machine remembers, because a proposal whose leader dies may or
// may not have been committed.
package replica
