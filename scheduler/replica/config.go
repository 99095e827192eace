package replica

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sluice-project/sluice/workload"
)

// Machine is the replicated state. All methods are called from one goroutine,
// except that what Snapshot returns is written while Apply goes on.
type Machine interface {
	// Apply takes one committed entry and returns what the proposer is told.
	// It must be deterministic and total: a command it cannot take is a
	// result, not a panic.
	Apply(index, term uint64, command []byte) (result []byte)
	// Snapshot captures the state without copying it; WriteTo does the slow
	// part. A machine that keeps history must sync it in WriteTo before the
	// first byte is written: the Raft log behind the snapshot is cut afterwards.
	Snapshot() (io.WriterTo, error)
	// Restore replaces the whole state by one that WriteTo wrote, here or on
	// another server.
	Restore(io.Reader) error
}

// BatchObserver is an optional ability of a Machine: it is told after each
// batch of entries, so that one new view serves many commands. No proposer is
// answered before it returns.
type BatchObserver interface {
	BatchApplied(last uint64)
}

// Server is a member of the group. Address is where its Raft listens.
type Server struct {
	ID      string
	Address string
	Voter   bool
}

// Forwarder carries a proposal to the server that leads. It returns an error of
// kind NotLeader only when the command was certainly not taken, as that is
// tried again; every other error is handed to the proposer as it is.
type Forwarder interface {
	Propose(ctx context.Context, leader Server, command []byte) (index uint64, result []byte, err error)
}

// Timers are the pace of elections. Heartbeat is the silence after which a
// follower seeks a new leader, Election how long one attempt lasts, Lease how
// long a leader stays one without hearing from a majority, Commit how late an
// idle leader tells followers what is committed.
type Timers struct {
	Heartbeat, Election, Lease, Commit time.Duration
}

// ShippedTimers suit servers on one site: a leader that dies is replaced
// in about 0.6 s.
func ShippedTimers() Timers {
	return Timers{Heartbeat: 300 * time.Millisecond, Election: 300 * time.Millisecond, Lease: 150 * time.Millisecond, Commit: 25 * time.Millisecond}
}

// LoneTimers suit a server without peers, which still waits out one election
// timeout at each start: it leads within 150 ms.
func LoneTimers() Timers {
	return Timers{Heartbeat: 20 * time.Millisecond, Election: 20 * time.Millisecond, Lease: 20 * time.Millisecond, Commit: 5 * time.Millisecond}
}

// Snapshots says when the log is folded into a snapshot. Zero fields take the
// shipped values: every 2 min if 8,192 entries are new, keeping 10,240 entries
// for followers that are a little behind.
type Snapshots struct {
	Interval  time.Duration
	Threshold uint64
	Trailing  uint64
}

// Config opens a Replica.
type Config struct {
	ID        string // server name, see workload.ValidName
	Dir       string // created where missing, 0700
	Machine   Machine
	Listener  net.Listener // for Raft alone; closed by Close, and by Open when it fails
	Advertise string       // host:port by which peers reach Listener; its own address when empty

	// TLS must ask for and verify client certificates, and serves both
	// directions; identity makes one. Open refuses a nil TLS unless the
	// listener is on a loopback address.
	TLS *tls.Config

	Timers    Timers    // ShippedTimers when zero
	Snapshots Snapshots // shipped values when zero

	// Bootstrap makes a new group of this one server if Dir holds no state. A
	// server that joins others must not set it.
	Bootstrap bool

	// Forwarder is used when another server leads. Without one, Propose
	// answers with an error of kind NotLeader.
	Forwarder Forwarder

	// LeaderWait is how long Propose waits for an election to end before it
	// says that there is no leader. 1.5 s when zero.
	LeaderWait time.Duration

	// WriteDeadline bounds each write to the log; the first one to miss it
	// takes this server out of the group. 3 s when zero.
	WriteDeadline time.Duration

	// Fatal is called once, from a goroutine of its own, when the disk failed
	// or hung. Nothing this server says can be relied on after that: what
	// ships ends the process, so that it restarts from what is on the disk.
	Fatal func(error)

	// OnRestore is called after Machine.Restore took a snapshot that came from
	// another server, with the index of the last entry it holds: the history
	// up to there has to be fetched. It must not wait, as no entry is applied
	// until it returns.
	OnRestore func(index uint64)

	Logger *slog.Logger // discarded when nil

	// wrapStore lets tests put a failing disk below the deadline.
	wrapStore func(store) store

	segmentSize int // of the log's files, in bytes, 16 MiB when zero; tests use less
}

// MaxCommand bounds a command, in bytes, so that one still fits a message to
// the leader and a line of the history.
const MaxCommand = 3 << 20

func (c *Config) fill() error {
	switch {
	case !workload.ValidName(c.ID):
		return workload.Errorf(workload.Invalid, "server id %q must be 1 to 63 of a-z, 0-9 and hyphen", c.ID)
	case c.Dir == "" || c.Machine == nil || c.Listener == nil:
		return workload.Errorf(workload.Invalid, "a replica needs a directory, a machine and a listener")
	case c.TLS == nil && !loopback(c.Listener.Addr()):
		return workload.Errorf(workload.Invalid, "raft on %s needs TLS: without it only a loopback address is allowed", c.Listener.Addr())
	}
	if c.TLS != nil && c.TLS.ClientAuth != tls.RequireAndVerifyClientCert && c.TLS.ClientAuth != tls.RequireAnyClientCert {
		return workload.Errorf(workload.Invalid, "raft on %s must require client certificates", c.Listener.Addr())
	}
	if c.Advertise == "" {
		c.Advertise = c.Listener.Addr().String()
	}
	if c.Timers == (Timers{}) {
		c.Timers = ShippedTimers()
	}
	if c.LeaderWait == 0 {
		c.LeaderWait = 1500 * time.Millisecond
	}
	if c.WriteDeadline == 0 {
		c.WriteDeadline = 3 * time.Second
	}
	if c.segmentSize == 0 {
		c.segmentSize = 16 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

func (c *Config) raft(log *hclogger) *raft.Config {
	r := raft.DefaultConfig()
	r.LocalID = raft.ServerID(c.ID)
	r.HeartbeatTimeout = c.Timers.Heartbeat
	r.ElectionTimeout = c.Timers.Election
	r.LeaderLeaseTimeout = c.Timers.Lease
	r.CommitTimeout = c.Timers.Commit
	r.MaxAppendEntries = 256
	r.NoLegacyTelemetry = true
	r.Logger = log
	// A removed server stays up and says so, instead of vanishing.
	r.ShutdownOnRemove = false
	if c.Snapshots.Interval > 0 {
		r.SnapshotInterval = c.Snapshots.Interval
	}
	if c.Snapshots.Threshold > 0 {
		r.SnapshotThreshold = c.Snapshots.Threshold
	}
	if c.Snapshots.Trailing > 0 {
		r.TrailingLogs = c.Snapshots.Trailing
	}
	return r
}

func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}
