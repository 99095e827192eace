// Package api is what people and their programs reach: the Operator service
// over gRPC, the same as REST/JSON, server-sent events, /metrics and the
// dashboard. It turns views into answers and requests into commands, and
// decides nothing itself.
package api

import (
	"context"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/planner"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// Core is the server behind the API.
type Core interface {
	// View is a consistent copy of the state; it must not be changed.
	View() *state.View
	// Changed returns a channel that is closed at the next change.
	Changed() <-chan struct{}
	// Book lets f read the accounts as they stand now; f must not change them.
	Book(f func(*ledger.Book))
	// Propose commits a command, through the leader where another server is.
	// A command that was refused is an error of the refusal's kind.
	Propose(ctx context.Context, c state.Command) (index uint64, r state.Result, err error)
	// WaitApplied returns once this server has applied an index.
	WaitApplied(ctx context.Context, index uint64) error
	// Market is the market clock and its speed.
	Market() (now workload.Instant, speed int64)
	// Policy is where documents are stored.
	Policy() config.Source
	// PolicyState says whether policy can be written ("ok" or why not), how
	// long ago the store was last heard, and which stored documents are invalid.
	PolicyState() (state string, age time.Duration, invalid []config.Issue)
	// FeedErrors are the feeds that cannot be read now, with the reason.
	FeedErrors() map[string]string
	// Group describes the servers.
	Group(ctx context.Context) Group
	// Round is the newest decision this server made or, on a follower, makes
	// from its own view.
	Round() RoundInfo
	// Sample is the newest measurement of a device and LastSeen when its node
	// was heard; both are known to the leader only.
	Sample(id workload.DeviceID) (workload.Sample, bool)
	LastSeen(id workload.NodeID) (time.Time, bool)
	// JobLog sends a job's log from an offset on until it ends or, with follow,
	// until ctx does. attempt 0 is the newest. Errors: NotFound, Unavailable
	// when the node is silent.
	JobLog(ctx context.Context, job workload.JobID, attempt int, offset int64, follow bool, send func(data []byte, offset int64) error) error
	// IssueToken makes a join token ("node", "server") or a person's token
	// ("person") and returns its text, which is stored nowhere.
	IssueToken(ctx context.Context, kind, name string, roles []string, life time.Duration, by string) (string, error)
	// VerifyHistory recomputes the state and the accounts from the history and
	// compares them with those in force.
	VerifyHistory(ctx context.Context) (Verification, error)
}

// Group is the servers as this one sees them.
type Group struct {
	Cluster  string
	Version  string
	Self     string
	Leader   string
	Term     uint64
	LogIndex uint64
	Servers  []GroupServer
}

// GroupServer is one member: leader, follower or unreachable.
type GroupServer struct {
	ID, Address, State string
	Voter              bool
}

// RoundInfo is a decision and how long it took. Round is nil before the first.
type RoundInfo struct {
	Round  *planner.Round
	Micros int64
}

// Verification is what a recomputation came to.
type Verification struct {
	OK           bool
	Entries      uint64
	ToIndex      uint64
	Head         string
	Text         string
	DeviceMillis int64
	Net          workload.Money
}
