package stratum

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Endpoint is where a pool listens.
type Endpoint struct {
	Host string
	Port int
	TLS  bool
}

// ParseEndpoint reads "stratum+tcp://host:port", "stratum+ssl://host:port"
// (also +tls) or a bare "host:port", which is without TLS.
func ParseEndpoint(s string) (Endpoint, error) {
	var e Endpoint
	rest := s
	if scheme, after, ok := strings.Cut(s, "://"); ok {
		switch scheme {
		case "stratum+tcp":
		case "stratum+ssl", "stratum+tls":
			e.TLS = true
		default:
			return Endpoint{}, fmt.Errorf("stratum: endpoint %q: unknown scheme %q", s, scheme)
		}
		rest = after
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil || host == "" || strings.ContainsAny(host, "/@ ") {
		return Endpoint{}, fmt.Errorf("stratum: endpoint %q is not host:port", s)
	}
	e.Host = host
	if e.Port, err = strconv.Atoi(port); err != nil || e.Port < 1 || e.Port > 65535 {
		return Endpoint{}, fmt.Errorf("stratum: endpoint %q: bad port", s)
	}
	return e, nil
}

// Addr is host:port for dialling.
func (e Endpoint) Addr() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// String is the form ParseEndpoint reads.
func (e Endpoint) String() string {
	if e.TLS {
		return "stratum+ssl://" + e.Addr()
	}
	return "stratum+tcp://" + e.Addr()
}

// redirect is the endpoint a pool's client.reconnect names, and whether we may
// follow. A pool may always send us back to where we are; anywhere else must
// be in allow, as "host" or "host:port", because a hijacked session would
// otherwise move the whole hall to a thief's pool. TLS is never dropped.
func (e Endpoint) redirect(host string, port int, allow []string) (Endpoint, bool) {
	to := e
	if host != "" {
		to.Host = host
	}
	if port != 0 {
		to.Port = port
	}
	if to == e {
		return to, true
	}
	if to.Port < 1 || to.Port > 65535 {
		return to, false
	}
	for _, a := range allow {
		if strings.EqualFold(a, to.Host) || strings.EqualFold(a, to.Addr()) {
			return to, true
		}
	}
	return to, false
}

// Backoff is the wait before connection attempt n (from 0): a ceiling that
// doubles from low to high, of which the upper half is drawn from entropy, so
// that a hall of miners does not return to a pool in one instant.
func Backoff(n int, low, high time.Duration, entropy uint64) time.Duration {
	ceiling := low
	for range n {
		if ceiling *= 2; ceiling >= high {
			break
		}
	}
	ceiling = max(min(ceiling, high), 1)
	half := ceiling / 2
	return half + time.Duration(entropy%uint64(ceiling-half+1))
}
