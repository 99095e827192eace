package replica

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sluice-project/sluice/workload"
)

// Propose commits a command and returns its index and what the leader's
// machine said of it. On another server than the leader it goes through the
// Forwarder, and the machine here may be behind the answer: see WaitApplied.
//
// Errors by kind: Unavailable when no server leads, or when the leader was lost
// meanwhile; in the second case the command may have been committed or may
// still be, so it is safe to send again only if it carries an id that the
// machine remembers. NotLeader when another server leads and there is no
// Forwarder. Invalid when the command is too long. The error of ctx when it
// ended first, with the same uncertainty.
func (r *Replica) Propose(ctx context.Context, command []byte) (index uint64, result []byte, err error) {
	if len(command) > MaxCommand {
		return 0, nil, workload.Errorf(workload.Invalid, "command of %d bytes is longer than %d", len(command), MaxCommand)
	}
	giveUp := time.NewTimer(r.conf.LeaderWait)
	defer giveUp.Stop()
	for {
		leader, changed := r.LeaderChanged()
		switch {
		case r.failed() != nil:
			return 0, nil, r.mapError(raft.ErrRaftShutdown)
		case r.IsLeader():
			index, result, err = r.apply(ctx, command)
		case leader.ID == "" || leader.ID == r.conf.ID:
			err = errNotTaken // an election is on; wait for its end below
		case r.conf.Forwarder == nil:
			return 0, nil, workload.Errorf(workload.NotLeader, "server %s does not lead; %s at %s does", r.conf.ID, leader.ID, leader.Address)
		default:
			index, result, err = r.conf.Forwarder.Propose(ctx, leader, command)
			if err != nil && workload.KindOf(err) == workload.NotLeader {
				err = errNotTaken
			}
		}
		if !errors.Is(err, errNotTaken) {
			return index, result, err
		}
		// Raft's own view of who leads can run ahead of what was heard by a
		// moment, hence the short look besides the wait for a change.
		look := time.NewTimer(5 * time.Millisecond)
		select {
		case <-changed:
		case <-look.C:
		case <-giveUp.C:
			look.Stop()
			return 0, nil, r.noLeader()
		case <-ctx.Done():
			look.Stop()
			return 0, nil, ctx.Err()
		case <-r.closed:
			look.Stop()
			return 0, nil, r.mapError(raft.ErrRaftShutdown)
		}
		look.Stop()
	}
}

// Apply commits a command if this server leads, and returns an error of kind
// NotLeader otherwise. It is what a server does with a command that another
// one forwarded, so that two servers never pass one back and forth.
func (r *Replica) Apply(ctx context.Context, command []byte) (index uint64, result []byte, err error) {
	if len(command) > MaxCommand {
		return 0, nil, workload.Errorf(workload.Invalid, "command of %d bytes is longer than %d", len(command), MaxCommand)
	}
	index, result, err = r.apply(ctx, command)
	if errors.Is(err, errNotTaken) {
		return 0, nil, r.notLeader()
	}
	return index, result, err
}

// errNotTaken means that a command is certainly not in any log.
var errNotTaken = errors.New("not taken")

func (r *Replica) apply(ctx context.Context, command []byte) (uint64, []byte, error) {
	// The deadline here is only for the queue in front of the leader's loop.
	queue := r.conf.WriteDeadline
	if d, ok := ctx.Deadline(); ok {
		queue = min(queue, max(time.Until(d), time.Millisecond))
	}
	f := r.raft.Apply(command, queue)
	err := r.wait(ctx, f)
	switch {
	case err == nil:
		result, _ := f.Response().([]byte)
		return f.Index(), result, nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return 0, nil, errNotTaken
	default:
		return 0, nil, r.mapError(err)
	}
}

// mapError gives raft's errors their kind.
func (r *Replica) mapError(err error) error {
	broken := r.failed()
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, errBroken), errors.Is(err, raft.ErrRaftShutdown) && broken != nil:
		return workload.Errorf(workload.Unavailable, "server %s left the group because its disk failed", r.conf.ID).
			Hint("ask another server")
	case errors.Is(err, raft.ErrRaftShutdown):
		return workload.Errorf(workload.Unavailable, "server %s is stopping", r.conf.ID).Hint("ask another server")
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return r.notLeader()
	case errors.Is(err, raft.ErrLeadershipLost), errors.Is(err, raft.ErrAbortedByRestore):
		return workload.Errorf(workload.Unavailable, "server %s ceased to lead before the command was committed; it may still be", r.conf.ID).
			Hint("send it again with the same request id")
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return workload.Errorf(workload.Unavailable, "server %s is too busy to take the command", r.conf.ID).Hint("send it again")
	default:
		return workload.Errorf(workload.Internal, "raft: %w", err)
	}
}

func (r *Replica) notLeader() error {
	if leader, ok := r.Leader(); ok && leader.ID != r.conf.ID {
		return workload.Errorf(workload.NotLeader, "server %s does not lead; %s at %s does", r.conf.ID, leader.ID, leader.Address)
	}
	return workload.Errorf(workload.NotLeader, "server %s does not lead, and knows of none that does", r.conf.ID)
}

// noLeader says who is missing and since when.
func (r *Replica) noLeader() error {
	servers := r.Servers()
	r.mu.Lock()
	last, since, leader := r.last, r.since, r.leader
	r.mu.Unlock()
	var who strings.Builder
	if leader.ID != "" {
		// Heard of, but it refuses: it lost its majority or hands over.
		fmt.Fprintf(&who, "server %s was heard to lead since %s but takes no commands", leader.ID, since.UTC().Format(time.RFC3339))
	} else {
		fmt.Fprintf(&who, "no server leads since %s (%s)", since.UTC().Format(time.RFC3339), time.Since(since).Round(100*time.Millisecond))
		if last.ID != "" {
			fmt.Fprintf(&who, "; the last was %s at %s", last.ID, last.Address)
		}
	}
	var voters []string
	for _, s := range servers {
		if s.Voter {
			voters = append(voters, s.ID)
		}
	}
	if len(voters) == 0 {
		return workload.Errorf(workload.Unavailable, "%s, and server %s is in no group yet", who.String(), r.conf.ID).
			Hint("join it to a running server, or start it as the first of a new group")
	}
	return workload.Errorf(workload.Unavailable, "%s", who.String()).
		Hint("%d of the voters %s must reach one another", len(voters)/2+1, strings.Join(voters, ", "))
}

// Barrier returns when the machine of this server, which must lead, has taken
// every entry committed before. A new leader calls it before it decides
// anything. It returns an error of kind NotLeader on another server.
func (r *Replica) Barrier(ctx context.Context) error {
	return r.mapError(r.wait(ctx, r.raft.Barrier(0)))
}

// VerifyLeader asks a majority whether this server still leads. A read that
// leads to an action needs it. It returns an error of kind NotLeader or
// Unavailable when it does not.
func (r *Replica) VerifyLeader(ctx context.Context) error {
	return r.mapError(r.wait(ctx, r.raft.VerifyLeader()))
}

// WaitApplied returns when the machine here has taken the command at index, so
// that a server can answer from what it was told of through the leader.
func (r *Replica) WaitApplied(ctx context.Context, index uint64) error {
	for {
		applied, moved := r.fsm.position()
		if applied >= index {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-r.closed:
			return r.mapError(raft.ErrRaftShutdown)
		}
	}
}
