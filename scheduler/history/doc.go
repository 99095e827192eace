// Package history keeps every command that the replicated state has taken, one
// line of JSON each, chained by hashes. The Raft log forgets; this does not:
// the ledger is recomputed from it, the audit reads it, and "why was this device
// mining on Tuesday" is answered from it. Copies on all servers are equal byte
// for byte from the first entry on.
//
// Entries arrive from Apply without a sync each, because Raft still holds what a
// crash takes from the end and applies it again. Sync is called before a
// snapshot is persisted: behind a snapshot Raft forgets.
//
// A server whose state came as a snapshot from another one has a gap: it calls
// Adopt with the head that the snapshot carries, goes on appending behind it,
// and fills the gap with Import, where every line is checked against both ends.
package history
