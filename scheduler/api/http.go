package api

import (
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/workload"
)

// Options says what the HTTP face stands on.
type Options struct {
	Operator sluicev1.OperatorServer
	Guard    *identity.Guard
	Core     Core
	Dist     fs.FS    // built dashboard with index.html at its root; nil = none
	Metrics  *Metrics // nil = none
	Log      *slog.Logger
}

// Handler serves REST, events, metrics and the dashboard. Close it after the
// server that uses it.
type Handler struct {
	http.Handler
	o      Options
	loop   *loop
	client sluicev1.OperatorClient
	pages  *pages
}

// Limits of one HTTP request.
const (
	maxHeaderBytes    = 64 << 10
	readHeaderTimeout = 5 * time.Second
	bodyTimeout       = time.Minute
	idleTimeout       = 2 * time.Minute
	readyTimeout      = 2 * time.Second
)

// NewServer returns a server with the limits that every listener of ours has.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	// No WriteTimeout: events and logs are streams. A write deadline of its own
	// stands before each of their messages.
	return &http.Server{Handler: h, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
}

// NewHandler returns the HTTP face. Everything below /api/ and /metrics needs a
// person's token; /healthz, /readyz and the pages, which hold no data, do not.
func NewHandler(o Options) (*Handler, error) {
	l, err := newLoop(o.Operator, o.Guard)
	if err != nil {
		return nil, err
	}
	h := &Handler{o: o, loop: l, client: sluicev1.NewOperatorClient(l.conn)}
	if h.pages, err = readPages(o.Dist); err != nil {
		return nil, err
	}
	gateway := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, wire.GatewayMarshaler{}),
		// Authorization is passed on by the gateway itself; nothing else of a
		// request may become metadata.
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
			writeError(w, wire.HTTPStatus(err), err)
		}),
		runtime.WithRoutingErrorHandler(routingError),
		runtime.WithDisablePathLengthFallback(),
	)
	if err := sluicev1.RegisterOperatorHandler(context.Background(), gateway, l.conn); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", h.ready)
	mux.Handle("/api/", h.people(gateway))
	mux.Handle("GET /api/openapi.json", h.people(http.HandlerFunc(openAPI)))
	mux.Handle("GET /api/v1/events", h.people(http.HandlerFunc(h.events)))
	if o.Metrics != nil {
		mux.Handle("GET /metrics", h.people(o.Metrics.handler()))
	}
	mux.Handle("/", h.pages)
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusForbidden, workload.Errorf(workload.Denied, "a page of another origin may not send this request"))
	}))
	h.Handler = guarded(origin.Handler(mux))
	return h, nil
}

// Close ends the in-memory connection and every stream on it.
func (h *Handler) Close() error { return h.loop.close() }

// guarded sets the headers of every answer and bounds every body.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("X-Frame-Options", "DENY")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("Cross-Origin-Opener-Policy", "same-origin")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		// The page's component library writes styles at run time; scripts come
		// from our own files alone.
		head.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "+
			"font-src 'self'; connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'")
		head.Set("Cache-Control", "no-store")
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(w, r.Body, wire.MaxBody)
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // not all writers can
		}
		next.ServeHTTP(w, r)
	})
}

// people lets those pass who show a good token. What they may do is decided
// behind it, by the same guard as for gRPC.
func (h *Handler) people(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := h.person(r); err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="sluice"`)
			writeError(w, http.StatusUnauthorized, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (h *Handler) person(r *http.Request) (identity.Caller, error) {
	shown := r.Header.Values("Authorization")
	if len(shown) == 0 {
		return identity.Caller{}, workload.Errorf(workload.Denied, "this needs a token").
			Hint("set SLUICE_TOKEN, or use the page's link with its token")
	}
	scheme, token, _ := strings.Cut(shown[0], " ")
	if len(shown) != 1 || !strings.EqualFold(scheme, "bearer") {
		return identity.Caller{}, workload.Errorf(workload.Denied, "authorization must be one bearer token")
	}
	return h.o.Guard.Person(strings.TrimSpace(token))
}

// ready says whether this server can answer with something: it knows a leader
// and a policy is in force.
func (h *Handler) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	switch {
	case h.o.Core.Group(ctx).Leader == "":
		http.Error(w, "no leader", http.StatusServiceUnavailable)
	case h.o.Core.View().Revision == 0:
		http.Error(w, "no policy", http.StatusServiceUnavailable)
	default:
		_, _ = w.Write([]byte("ok\n"))
	}
}

func openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(sluicev1.OpenAPI)
}

func routingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	switch code {
	case http.StatusNotFound:
		writeError(w, code, workload.Errorf(workload.NotFound, "there is nothing at %.200q", r.URL.Path).Hint("GET /api/openapi.json lists every path"))
	case http.StatusMethodNotAllowed:
		writeError(w, code, workload.Errorf(workload.Invalid, "%.20q is not a method of %.200q", r.Method, r.URL.Path).Hint("GET /api/openapi.json lists every path"))
	default:
		writeError(w, code, workload.Errorf(workload.Invalid, "the path %.200q cannot be read", r.URL.Path))
	}
}

func writeError(w http.ResponseWriter, code int, err error) {
	if code == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="sluice"`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(wire.ErrorJSON(err), '\n'))
}
