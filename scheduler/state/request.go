package state

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/workload"
)

// Requests are remembered for a day of log time. An id that carries its date
// is refused once it may have been forgotten; requestSkew is how far the date
// may lie ahead of the log, and how much longer results are therefore kept.
const (
	RequestMemory = 24 * workload.HourMillis
	requestSkew   = workload.HourMillis
	// requestsKept bounds the memory; when it is full, the oldest go early and
	// dated ids reach back less far.
	requestsKept = 1_000_000
)

// NewRequestID makes a request id that carries its date by the real clock, so
// that the log can refuse it once it has forgotten its result. entropy must be
// unique.
func NewRequestID(now workload.Instant, entropy string) string {
	return fmt.Sprintf("%0*d-%s", stampDigits, int64(now), entropy)
}

// stampDigits makes a stamp that no word and no UUID can be taken for; it lasts
// until the year 2286.
const stampDigits = 13

// requestTime reads the instant out of a request id of the form NewRequestID
// makes. Ids of other forms carry no date.
func requestTime(id string) (workload.Instant, bool) {
	stamp, _, ok := strings.Cut(id, "-")
	if !ok || len(stamp) != stampDigits {
		return 0, false
	}
	ms, err := strconv.ParseUint(stamp, 10, 63)
	return workload.Instant(ms), err == nil
}

// checkDate refuses a request whose result may have been forgotten, or would be
// forgotten before its date forbids it.
func (s *State) checkDate(id string) *workload.Error {
	at, dated := requestTime(id)
	switch {
	case !dated:
	case at < s.Wall-RequestMemory || at <= s.RequestFloor:
		return workload.Errorf(workload.Conflict, "request %s is more than a day old; whether it was applied is no longer known", id).
			Hint("look at the present state, then send a new request")
	case s.Wall > 0 && at > s.Wall+requestSkew:
		return workload.Errorf(workload.Invalid, "request %s is dated more than an hour ahead of the cluster", id).
			Hint("correct the clock of the machine that sent it")
	}
	return nil
}

func (s *State) remember(id string, r Result) {
	s.Requests[id] = Request{Index: s.Index, Wall: s.Wall, Result: r}
	s.RequestOrder = append(s.RequestOrder, id)
	n := 0
	for ; n < len(s.RequestOrder); n++ {
		oldest := s.RequestOrder[n]
		at := s.Requests[oldest].Wall
		switch {
		case s.Wall-at > RequestMemory+requestSkew:
		case len(s.RequestOrder)-n > requestsKept:
			dated, _ := requestTime(oldest)
			s.RequestFloor = max(s.RequestFloor, dated)
		default:
			s.RequestOrder = s.RequestOrder[n:]
			return
		}
		delete(s.Requests, oldest)
	}
	s.RequestOrder = s.RequestOrder[n:]
}
