package serial

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"
)

// TokenEnv names the environment variable with the bearer token of the API.
const TokenEnv = "SLUICE_MINER_TOKEN"

// summary has the shape of xmrig's /2/summary, which the agent reads, with the
// chain's own figures beside it.
type summary struct {
	WorkerID string `json:"worker_id"`
	Uptime   int64  `json:"uptime"` // seconds
	Kind     string `json:"kind"`
	UA       string `json:"ua"`
	Algo     string `json:"algo"`
	Hashrate struct {
		Total [3]*float64 `json:"total"` // H/s over 10 s, 60 s, 15 min; null while not known
	} `json:"hashrate"`
	Results struct {
		DiffCurrent json.Marshaler `json:"diff_current"`
		SharesGood  uint64         `json:"shares_good"`
		SharesTotal uint64         `json:"shares_total"`
		HashesTotal uint64         `json:"hashes_total"`
	} `json:"results"`
	Connection struct {
		Pool     string `json:"pool"`
		Uptime   int64  `json:"uptime"` // seconds; 0 = not connected
		Failures uint64 `json:"failures"`
		Accepted uint64 `json:"accepted"`
		Rejected uint64 `json:"rejected"`
		Stale    uint64 `json:"stale"`
		Unsent   uint64 `json:"unsent"`
		Hijacks  uint64 `json:"refused_redirects"`
	} `json:"connection"`
	Chain Status `json:"chain"`
}

func (m *Miner) summary(now time.Time) summary {
	st := m.client.Stats()
	var s summary
	s.WorkerID, s.Kind, s.UA, s.Algo = m.cfg.Worker, "miner", Agent, "sha256d"
	s.Uptime = int64(now.Sub(m.began) / time.Second)
	milli, _ := m.rates(10, 60, 900)
	for i, r := range milli {
		if r >= 0 {
			v := float64(r) / 1000
			s.Hashrate.Total[i] = &v
		}
	}
	s.Results.DiffCurrent = st.Difficulty
	s.Results.SharesGood, s.Results.SharesTotal = st.Accepted, st.Accepted+st.Rejects()
	m.mu.Lock()
	s.Results.HashesTotal = m.meter.total
	m.mu.Unlock()
	c := &s.Connection
	c.Pool = st.Pool
	if st.Connected {
		c.Uptime = int64(now.Sub(st.Since) / time.Second)
	}
	c.Failures, c.Accepted, c.Rejected, c.Stale = st.Failures, st.Accepted, st.Rejects(), st.Stale
	c.Unsent, c.Hijacks = m.unsent.Load(), st.Hijacks
	s.Chain = m.Status()
	return s
}

func (m *Miner) bindAPI() error {
	if m.cfg.Token == "" {
		return errors.New("needs a bearer token")
	}
	host, _, err := net.SplitHostPort(m.cfg.API)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return errors.New("listens on loopback alone")
	}
	m.ln, err = net.Listen("tcp", m.cfg.API)
	return err
}

func (m *Miner) serveAPI(ctx context.Context) {
	srv := &http.Server{Handler: http.HandlerFunc(m.handleAPI), ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 4 << 10}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(m.ln); ctx.Err() == nil {
		m.log.Error("statistics API ended", "error", err)
	}
}

func (m *Miner) handleAPI(w http.ResponseWriter, r *http.Request) {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	// Digests, so that neither content nor length of the token shows in the time.
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(m.cfg.Token))
	switch {
	case !ok || subtle.ConstantTimeCompare(a[:], b[:]) != 1:
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "unauthorised", http.StatusUnauthorized)
	case r.URL.Path != "/2/summary":
		http.Error(w, "not found", http.StatusNotFound)
	case r.Method != http.MethodGet:
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	default:
		w.Header().Set("Content-Type", "application/json")
		// A failed write means the reader has left; there is nobody to tell.
		_ = json.NewEncoder(w).Encode(m.summary(time.Now()))
	}
}
