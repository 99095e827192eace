package replica

import (
	"context"
	"errors"

	"github.com/hashicorp/raft"

	"github.com/sluice-project/sluice/workload"
)

// errChanging: a second change made before the first is committed would be
// judged by a group that may never come to be.
var errChanging = workload.Errorf(workload.Conflict, "another change of the group's members is under way").Hint("wait until it is done")

// AddVoter takes a server into the group; this one must lead, and the new one
// must already listen, or a group of one would wait for it. A member that asks
// again with its old address is welcome and nothing changes; one that has moved
// is given its new address. Errors: NotLeader, Unavailable, Conflict for an
// address that another member uses.
func (r *Replica) AddVoter(ctx context.Context, id, address string) error {
	if !workload.ValidName(id) || address == "" {
		return workload.Errorf(workload.Invalid, "a member needs an id of a-z, 0-9 and hyphen, and an address, not %q at %q", id, address)
	}
	for _, s := range r.Servers() {
		switch {
		case s.ID == id && s.Address == address && s.Voter:
			return r.VerifyLeader(ctx)
		case s.ID != id && s.Address == address:
			return workload.Errorf(workload.Conflict, "server %s already has the address %s", s.ID, address).
				Hint("remove %s first if it is gone for good", s.ID)
		}
	}
	if !r.changing.TryLock() {
		return errChanging
	}
	defer r.changing.Unlock()
	return r.mapError(r.wait(ctx, r.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(address), 0, r.conf.WriteDeadline)))
}

// Remove takes a server out of the group. A server that lost its disk is
// removed before it comes back empty, as it could vote against what it
// acknowledged. Errors: NotLeader, Unavailable, NotFound, Conflict for the last
// voter.
func (r *Replica) Remove(ctx context.Context, id string) error {
	found, others := false, 0
	for _, s := range r.Servers() {
		if s.ID == id {
			found = true
		} else if s.Voter {
			others++
		}
	}
	if !found {
		if err := r.VerifyLeader(ctx); err != nil {
			return err
		}
		return workload.Errorf(workload.NotFound, "server %q is not in the group", id)
	}
	if others == 0 {
		return workload.Errorf(workload.Conflict, "server %s is the last voter and cannot be removed", id)
	}
	if !r.changing.TryLock() {
		return errChanging
	}
	defer r.changing.Unlock()
	return r.mapError(r.wait(ctx, r.raft.RemoveServer(raft.ServerID(id), 0, r.conf.WriteDeadline)))
}

// Transfer hands leadership to another voter, to the one that is most up to
// date where id is empty. Errors: NotLeader, Unavailable, NotFound.
func (r *Replica) Transfer(ctx context.Context, id string) error {
	if id == "" {
		return r.mapError(r.wait(ctx, r.raft.LeadershipTransfer()))
	}
	for _, s := range r.Servers() {
		if s.ID == id {
			return r.mapError(r.wait(ctx, r.raft.LeadershipTransferToServer(raft.ServerID(id), raft.ServerAddress(s.Address))))
		}
	}
	return workload.Errorf(workload.NotFound, "server %q is not in the group", id)
}

// Snapshot folds the log into a snapshot now. It returns nil when nothing is
// new.
func (r *Replica) Snapshot(ctx context.Context) error {
	err := r.wait(ctx, r.raft.Snapshot())
	if errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return nil
	}
	return r.mapError(err)
}
