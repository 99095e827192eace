package api

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/scheduler/planner"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// operator answers the Operator service.
type operator struct {
	sluicev1.UnimplementedOperatorServer
	core Core
	log  *slog.Logger

	// turn lets one question at a time solve the fleet anew: readers must not
	// take the processors from the leader's own decisions.
	turn  chan struct{}
	fresh cachedRound // under turn
}

// cachedRound is a decision made for an explanation alone.
type cachedRound struct {
	index uint64
	at    time.Time
	round *planner.Round
}

var _ sluicev1.OperatorServer = (*operator)(nil)

// NewOperator returns the service. Its errors are gRPC statuses that carry kind,
// text and next step.
func NewOperator(core Core, log *slog.Logger) sluicev1.OperatorServer {
	return &operator{core: core, log: log, turn: make(chan struct{}, 1)}
}

// solve waits for the turn to solve; done gives it back.
func (o *operator) solve(ctx context.Context) (done func(), err error) {
	select {
	case o.turn <- struct{}{}:
		return func() { <-o.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answer passes a result on, or its error in the form in which errors travel.
func answer[T any](o *operator, name string, m T, err error) (T, error) {
	if err == nil {
		return m, nil
	}
	if workload.KindOf(err) == workload.Internal {
		o.log.Error("a request failed by a fault of ours", "method", name, "err", err)
	}
	var none T
	return none, wire.ToStatus(err)
}

// clock returns the market clock, never behind the log's, and the real one.
func (o *operator) clock(v *state.View) (market, wall workload.Instant) {
	now, _ := o.core.Market()
	return max(now, v.At), workload.InstantOf(time.Now())
}

// commit proposes a command on behalf of the caller and waits until this server
// has applied it, so that the next answer shows it.
func (o *operator) commit(ctx context.Context, c state.Command) (uint64, state.Result, error) {
	c.Actor = identity.CallerFrom(ctx).Actor()
	index, r, err := o.core.Propose(ctx, c)
	if err != nil {
		return index, r, err
	}
	return index, r, o.core.WaitApplied(ctx, index)
}

const maxRequestID = 128

// request makes the id under which the log remembers a request. What the caller
// gave is kept in front, as it may carry its date; caller and verb are added so
// that two requests are never taken for one by an accident of ids.
func request(ctx context.Context, given, verb string) (string, error) {
	if len(given) > maxRequestID {
		return "", workload.Errorf(workload.Invalid, "request_id: is longer than %d bytes", maxRequestID)
	}
	if given == "" {
		given = state.NewRequestID(workload.InstantOf(time.Now()), rand.Text())
	}
	return given + "/" + verb + "/" + identity.CallerFrom(ctx).Actor(), nil
}

// freshFor bounds how long a decision made for an explanation serves others.
const freshFor = time.Second

// roundFor returns the newest decision if it was made on what the view says of
// the part that usable looks at, and else one made now. The caller has the turn.
func (o *operator) roundFor(v *state.View, usable func(decided *state.View) bool) *planner.Round {
	if r := o.core.Round().Round; r != nil && r.Board.View.Revision == v.Revision && usable(r.Board.View) {
		return r
	}
	if o.fresh.round == nil || o.fresh.index != v.Index || time.Since(o.fresh.at) > freshFor {
		market, wall := o.clock(v)
		r, _ := planner.Compose(v, v.Policy, market, wall).Decide(nil, decide.Budget{})
		o.fresh = cachedRound{index: v.Index, at: time.Now(), round: r}
	}
	return o.fresh.round
}
