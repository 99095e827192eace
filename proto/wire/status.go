package wire

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-project/sluice/workload"
)

// ErrorDomain marks the error details that a Sluice server attached, so that
// an answer of ours is told from one that gRPC made up on the way.
const ErrorDomain = "sluice"

// kinds is the one table between our kinds, gRPC and HTTP.
var kinds = [...]struct {
	reason string
	code   codes.Code
	http   int
}{
	workload.Internal:    {"INTERNAL", codes.Internal, http.StatusInternalServerError},
	workload.Invalid:     {"INVALID", codes.InvalidArgument, http.StatusBadRequest},
	workload.NotFound:    {"NOT_FOUND", codes.NotFound, http.StatusNotFound},
	workload.Conflict:    {"CONFLICT", codes.Aborted, http.StatusConflict},
	workload.Unavailable: {"UNAVAILABLE", codes.Unavailable, http.StatusServiceUnavailable},
	workload.NotLeader:   {"NOT_LEADER", codes.Unavailable, http.StatusServiceUnavailable},
	workload.Denied:      {"DENIED", codes.PermissionDenied, http.StatusForbidden},
	workload.Exhausted:   {"EXHAUSTED", codes.ResourceExhausted, http.StatusTooManyRequests},
}

// ToStatus turns an error into the gRPC error that carries its kind, text and
// next step. nil stays nil; an error that already is a gRPC status is passed
// on, so that a forwarded answer is not wrapped twice.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ours := errors.AsType[*workload.Error](err); !ours {
		if _, ok := statusIn(err); ok {
			return err
		}
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return status.FromContextError(err).Err()
		}
	}
	k := kinds[knownKind(workload.KindOf(err))]
	info := &errdetails.ErrorInfo{Reason: k.reason, Domain: ErrorDomain}
	if next := workload.NextOf(err); next != "" {
		info.Metadata = map[string]string{"next": next}
	}
	st := status.New(k.code, strings.ToValidUTF8(err.Error(), "\uFFFD"))
	if detailed, derr := st.WithDetails(info); derr == nil {
		st = detailed
	}
	return st.Err()
}

// FromStatus turns a gRPC error back. The kind is the one the server named or,
// where gRPC itself failed, the nearest to its code. nil stays nil. Errors that
// never were a status keep their kind.
func FromStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ours := errors.AsType[*workload.Error](err); ours {
		return err
	}
	st, ok := statusIn(err)
	if !ok {
		st = status.FromContextError(err)
	}
	e := &workload.Error{Kind: kindOfCode(st.Code()), Text: st.Message(), Err: err}
	for _, d := range st.Details() {
		info, ok := d.(*errdetails.ErrorInfo)
		if !ok || info.GetDomain() != ErrorDomain {
			continue
		}
		for kind, k := range kinds {
			if k.reason == info.GetReason() {
				e.Kind = workload.Kind(kind)
			}
		}
		e.Next = info.GetMetadata()["next"]
	}
	return e
}

// statusIn finds the status in a chain. status.FromError would put the words of
// the wrapping, "rpc error: code = ..." among them, into the message.
func statusIn(err error) (*status.Status, bool) {
	s, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err)
	if !ok {
		return nil, false
	}
	return s.GRPCStatus(), true
}

// Answered reports whether a Sluice server gave this gRPC error, as opposed to
// a connection that failed.
func Answered(err error) bool {
	st, ok := statusIn(err)
	if !ok {
		return false
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == ErrorDomain {
			return true
		}
	}
	return false
}

func kindOfCode(c codes.Code) workload.Kind {
	switch c {
	case codes.InvalidArgument, codes.OutOfRange:
		return workload.Invalid
	case codes.NotFound:
		return workload.NotFound
	case codes.Aborted, codes.AlreadyExists, codes.FailedPrecondition:
		return workload.Conflict
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return workload.Unavailable
	case codes.PermissionDenied, codes.Unauthenticated:
		return workload.Denied
	case codes.ResourceExhausted:
		return workload.Exhausted
	default:
		return workload.Internal
	}
}

func knownKind(k workload.Kind) workload.Kind {
	if int(k) < len(kinds) {
		return k
	}
	return workload.Internal
}

// HTTPStatus returns the status that a REST answer carries for an error, ours
// or gRPC's; 200 for nil. A request without a valid token is 401, one with a
// token that may not do this 403.
func HTTPStatus(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if st, ok := statusIn(err); ok {
		switch st.Code() {
		case codes.Unauthenticated:
			return http.StatusUnauthorized
		case codes.Unimplemented:
			return http.StatusNotImplemented
		case codes.DeadlineExceeded:
			return http.StatusGatewayTimeout
		}
	}
	return kinds[knownKind(workload.KindOf(FromStatus(err)))].http
}

// ErrorJSON is the body of a REST answer that failed:
// {"error":{"kind":"not_found","text":"...","next":"..."}}.
func ErrorJSON(err error) []byte {
	err = FromStatus(err)
	b := append([]byte(nil), `{"error":{"kind":`...)
	b = appendString(b, strings.ToLower(kinds[knownKind(workload.KindOf(err))].reason))
	b = append(b, `,"text":`...)
	b = appendString(b, err.Error())
	b = append(b, `,"next":`...)
	b = appendString(b, workload.NextOf(err))
	return append(b, "}}"...)
}
