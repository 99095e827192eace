package replica

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"github.com/sluice-project/sluice/workload"
)

// Replica is this server's part in the group. Its methods may be called from
// any goroutine.
type Replica struct {
	conf   Config
	raft   *raft.Raft
	fsm    *fsm
	store  *deadlineStore
	trans  *raft.NetworkTransport
	obs    *raft.Observer
	own    bool          // the next restore is of this server's own snapshot
	ready  chan struct{} // closed when start has returned
	closed chan struct{}
	once   sync.Once
	done   sync.WaitGroup
	close  error

	changing sync.Mutex // held while the members change

	mu      sync.Mutex
	leader  Server // as last heard; the zero value when there is none
	last    Server // the last one there was
	since   time.Time
	changed chan struct{} // closed and replaced when leader changes
	broken  error
}

// Open starts a server of the group. Where Dir holds no state and Bootstrap is
// not set, the server waits until a leader adds it. It returns errors of kind
// Invalid for a configuration that cannot work and Conflict for a directory
// that belongs to another server.
func Open(conf Config) (_ *Replica, err error) {
	if conf.Listener != nil {
		defer func() {
			if err != nil {
				conf.Listener.Close()
			}
		}()
	}
	if err := conf.fill(); err != nil {
		return nil, err
	}
	if err := claim(conf.Dir, conf.ID); err != nil {
		return nil, err
	}
	log := &hclogger{log: conf.Logger.With("server", conf.ID), name: "raft"}
	logDir := filepath.Join(conf.Dir, "log")
	if err := os.MkdirAll(logDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the log directory: %w", err)
	}
	inner, err := wal.Open(logDir, wal.WithLogger(log.Named("log")), wal.WithSegmentSize(conf.segmentSize))
	if err != nil {
		return nil, workload.Errorf(workload.Internal, "opening the log in %s: %w", logDir, err).
			Hint("nothing was changed; restore the directory, or remove this server from the group, move %s away and join again", conf.Dir)
	}
	var disk store = inner
	if conf.wrapStore != nil {
		disk = conf.wrapStore(disk)
	}

	r := &Replica{conf: conf, ready: make(chan struct{}), closed: make(chan struct{}), changed: make(chan struct{}), since: time.Now()}
	r.store = newDeadlineStore(disk, conf.WriteDeadline, r.fail)
	r.fsm = newFSM(conf.Machine, r.restored)
	if err := r.start(log); err != nil {
		r.store.Close()
		return nil, err
	}
	return r, nil
}

func (r *Replica) start(log *hclogger) error {
	defer close(r.ready)
	snaps, err := raft.NewFileSnapshotStoreWithLogger(r.conf.Dir, 2, log.Named("snapshot"))
	if err != nil {
		return fmt.Errorf("opening the snapshots in %s: %w", r.conf.Dir, err)
	}
	// The cache only serves reads of entries that were just written.
	logs, err := raft.NewLogCache(1024, r.store)
	if err != nil {
		return err
	}
	rc := r.conf.raft(log)
	if err := raft.ValidateConfig(rc); err != nil {
		return workload.Errorf(workload.Invalid, "raft timers: %w", err)
	}
	has, err := raft.HasExistingState(logs, r.store, snaps)
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	r.trans = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: newStreams(r.conf.Listener, r.conf.TLS, r.conf.Advertise),
		// Few connections a peer are ever open at once: replication, heartbeat, votes.
		MaxPool: 3,
		// No pipelining: after a stall of a follower's disk a pipeline can stay
		// stuck until the leader restarts.
		MaxRPCsInFlight: 1,
		Timeout:         10 * time.Second,
		Logger:          log.Named("net"),
	})
	if r.conf.Bootstrap && !has {
		first := raft.Configuration{Servers: []raft.Server{{
			Suffrage: raft.Voter, ID: rc.LocalID, Address: r.trans.LocalAddr()}}}
		if err := raft.BootstrapCluster(rc, logs, r.store, snaps, r.trans, first); err != nil {
			r.trans.Close()
			return fmt.Errorf("making a new group: %w", err)
		}
	}
	kept, err := snaps.List()
	if err != nil {
		r.trans.Close()
		return fmt.Errorf("listing the snapshots in %s: %w", r.conf.Dir, err)
	}
	r.own = len(kept) > 0
	r.raft, err = raft.NewRaft(rc, r.fsm, logs, r.store, snaps, r.trans)
	if err != nil {
		r.trans.Close()
		return workload.Errorf(workload.Internal, "starting from %s: %w", r.conf.Dir, err).
			Hint("nothing was changed; if a snapshot or the log is damaged, remove this server from the group, move the directory away and join again")
	}
	seen := make(chan raft.Observation, 16)
	r.obs = raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	r.raft.RegisterObserver(r.obs)
	r.hear()
	r.done.Go(func() { r.watch(seen) })
	return nil
}

// HasState reports whether dir holds the log of a server already: one that does
// not has to be bootstrapped or to join.
func HasState(dir string) bool {
	entries, err := os.ReadDir(filepath.Join(dir, "log"))
	return err == nil && len(entries) > 0
}

// claim binds a directory to one server for good. A log under another id would
// vote twice.
func claim(dir, id string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	file := filepath.Join(dir, "server-id")
	had, err := os.ReadFile(file)
	switch {
	case err == nil && strings.TrimSpace(string(had)) == id:
		return nil
	case err == nil:
		return workload.Errorf(workload.Conflict, "%s holds the log of server %q, not of %q", dir, strings.TrimSpace(string(had)), id).
			Hint("start with the id it belongs to, or with another directory")
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	if HasState(dir) {
		return workload.Errorf(workload.Conflict, "%s holds a log but no server-id file", dir).
			Hint("write the id of the server that it belongs to into %s", file)
	}
	return writeSynced(file, id+"\n")
}

func writeSynced(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// watch keeps who leads. It looks again at a slow pace too, since raft drops an
// observation when its channel is full.
func (r *Replica) watch(seen <-chan raft.Observation) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.closed:
			return
		case <-seen:
		case <-tick.C:
		}
		r.hear()
	}
}

func (r *Replica) hear() {
	addr, id := r.raft.LeaderWithID()
	now := Server{ID: string(id), Address: string(addr), Voter: id != ""}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now == r.leader {
		return
	}
	if r.leader.ID != "" {
		r.last = r.leader
	}
	r.leader, r.since = now, time.Now()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *Replica) restored(index uint64) {
	// At start raft first restores the newest good snapshot of this server's
	// own, whose history it has.
	if r.own {
		r.own = false
		return
	}
	if r.conf.OnRestore != nil {
		r.conf.OnRestore(index)
	}
}

// fail takes a server with a bad disk out of the group.
func (r *Replica) fail(err error) {
	select {
	case <-r.closed:
		return // the store was closed below us on purpose
	case <-r.ready: // r.raft is set
	}
	err = workload.Errorf(workload.Internal, "server %s: %w", r.conf.ID, err).
		Hint("this server stops, so that another leads; look at the disk under %s, then start it again", r.conf.Dir)
	r.mu.Lock()
	r.broken = err
	r.mu.Unlock()
	r.conf.Logger.Error("the log cannot be written; leaving the group", "server", r.conf.ID, "error", err)
	if r.raft != nil {
		// The port too, or peers would wait for answers that never come.
		r.raft.Shutdown()
		r.trans.Close()
	}
	if r.conf.Fatal != nil {
		r.conf.Fatal(err)
	}
}

// Close leaves without handing over: see Transfer. It is safe to call twice.
func (r *Replica) Close() error {
	r.once.Do(func() {
		close(r.closed)
		r.raft.DeregisterObserver(r.obs)
		// The connections go first: a call to a peer that is gone would keep
		// Shutdown waiting for its timeout.
		err := r.trans.Close()
		stopped := make(chan error, 1)
		go func() { stopped <- r.raft.Shutdown().Error() }()
		select {
		case e := <-stopped:
			err = errors.Join(err, e)
		case <-time.After(r.conf.WriteDeadline + 5*time.Second):
			err = errors.Join(err, errors.New("raft did not stop in time"))
		}
		r.done.Wait()
		r.close = errors.Join(err, r.store.Close())
	})
	return r.close
}

// Leader returns the server that leads as far as this one knows; ok is false
// when there is none.
func (r *Replica) Leader() (leader Server, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leader, r.leader.ID != ""
}

// Address is how peers reach this server's Raft.
func (r *Replica) Address() string { return string(r.trans.LocalAddr()) }

// IsLeader reports whether this server leads as far as it knows. Before an
// action that must not come from a leader of the past, call VerifyLeader.
func (r *Replica) IsLeader() bool { return r.raft.State() == raft.Leader }

// failed returns why this server left the group, nil while it is part of it.
func (r *Replica) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}

// LeaderCh delivers true when this server begins to lead and false when it
// ceases. A reader that is late finds only the newest value; there must be one
// reader.
func (r *Replica) LeaderCh() <-chan bool { return r.raft.LeaderCh() }

// LeaderChanged returns who leads and a channel that is closed when that
// changes.
func (r *Replica) LeaderChanged() (Server, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leader, r.changed
}

// Done is closed when Close was called.
func (r *Replica) Done() <-chan struct{} { return r.closed }

// Stats is what this server knows of the group.
type Stats struct {
	State     string // leader | follower | candidate | stopped
	Term      uint64
	LastIndex uint64 // newest entry in this server's log
	Commit    uint64
	Applied   uint64 // newest entry that the machine took
	Leader    Server
	Since     time.Time // when Leader was first heard of, or was lost
	Servers   []Server
	Broken    error // why this server left the group; nil while its disk works
}

// Stats reads without asking other servers.
func (r *Replica) Stats() Stats {
	s := Stats{
		State:     strings.ToLower(r.raft.State().String()),
		Term:      r.raft.CurrentTerm(),
		LastIndex: r.raft.LastIndex(),
		Commit:    r.raft.CommitIndex(),
		Servers:   r.Servers(),
	}
	s.Applied, _ = r.fsm.position()
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Leader, s.Since, s.Broken = r.leader, r.since, r.broken
	// Raft itself may say follower after it was stopped in the middle of a write.
	if s.State == "shutdown" || s.Broken != nil {
		s.State = "stopped"
	}
	return s
}

// Servers lists the members in the newest configuration of the log.
func (r *Replica) Servers() []Server {
	f := r.raft.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	var out []Server
	for _, s := range f.Configuration().Servers {
		out = append(out, Server{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	return out
}

// wait ends with f, with ctx or with Close, whichever is first.
func (r *Replica) wait(ctx context.Context, f raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-r.closed:
		return raft.ErrRaftShutdown
	}
}
