package practice

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

const minerAgent = "sluice-practice/1"

// summary has the shape of xmrig's /2/summary, so that the reader written for
// that miner reads this one.
type summary struct {
	ID         string `json:"id"`
	WorkerID   string `json:"worker_id"`
	Uptime     int64  `json:"uptime"` // seconds
	Restricted bool   `json:"restricted"`
	Kind       string `json:"kind"`
	UA         string `json:"ua"`
	Version    string `json:"version"`
	Algo       string `json:"algo"`
	Paused     bool   `json:"paused"`
	Hashrate   struct {
		Total   [3]*float64 `json:"total"` // H/s over 10 s, 60 s, 15 min; null until the window is full
		Highest *float64    `json:"highest"`
	} `json:"hashrate"`
	Results struct {
		DiffCurrent json.Marshaler `json:"diff_current"`
		SharesGood  uint64         `json:"shares_good"`
		SharesTotal uint64         `json:"shares_total"`
		HashesTotal uint64         `json:"hashes_total"`
	} `json:"results"`
	Connection struct {
		Pool     string            `json:"pool"`
		Uptime   int64             `json:"uptime"` // seconds; 0 = not connected
		Ping     int64             `json:"ping"`   // ms
		Failures uint64            `json:"failures"`
		Accepted uint64            `json:"accepted"`
		Rejected uint64            `json:"rejected"`
		Stale    uint64            `json:"stale"`
		ByCode   map[string]uint64 `json:"rejected_by"`
		Hijacks  uint64            `json:"refused_redirects"`
	} `json:"connection"`
}

func (m *Miner) summary(now time.Time) summary {
	st := m.client.Stats()
	var s summary
	s.ID, s.WorkerID = m.cfg.Worker, m.cfg.Worker
	s.Uptime = int64(now.Sub(m.began) / time.Second)
	s.Restricted, s.Kind, s.UA, s.Version, s.Algo = true, "miner", minerAgent, "1", "sha256d"
	windows, highest, total := m.rate.rates(s.Uptime)
	for i, w := range rateWindows {
		if s.Uptime >= w {
			v := float64(windows[i]) / float64(w)
			s.Hashrate.Total[i] = &v
		}
	}
	if highest > 0 {
		v := float64(highest)
		s.Hashrate.Highest = &v
	}
	s.Results.DiffCurrent = st.Difficulty
	s.Results.SharesGood, s.Results.SharesTotal = st.Accepted, st.Accepted+st.Rejects()
	s.Results.HashesTotal = total
	c := &s.Connection
	c.Pool = st.Pool
	if st.Connected {
		c.Uptime = int64(now.Sub(st.Since) / time.Second)
	}
	c.Ping, c.Failures = m.ping.Load(), st.Failures
	c.Accepted, c.Rejected, c.Stale, c.Hijacks = st.Accepted, st.Rejects(), st.Stale+m.lost.Load(), st.Hijacks
	c.ByCode = map[string]uint64{}
	for code, n := range st.Rejected {
		c.ByCode[code.String()] += n
	}
	return s
}

func (m *Miner) bindAPI() error {
	if m.cfg.Token == "" {
		return errors.New("needs a bearer token")
	}
	if err := checkLoopback(m.cfg.API); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", m.cfg.API)
	m.ln = ln
	return err
}

// APIAddr is the API's host:port; empty without one.
func (m *Miner) APIAddr() string {
	if m.ln == nil {
		return ""
	}
	return m.ln.Addr().String()
}

// Close frees the API's listener of a miner that will not run. After Run it is
// not needed.
func (m *Miner) Close() error {
	if m.ln == nil {
		return nil
	}
	return m.ln.Close()
}

func (m *Miner) serveAPI(ctx context.Context) {
	srv := &http.Server{
		Handler:     http.HandlerFunc(m.handleAPI),
		ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 4 << 10,
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(m.ln); ctx.Err() == nil {
		m.log.Error("statistics API ended", "err", err)
	}
}

func (m *Miner) handleAPI(w http.ResponseWriter, r *http.Request) {
	if !m.authorised(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "unauthorised", http.StatusUnauthorized)
		return
	}
	if r.URL.Path != "/2/summary" && r.URL.Path != "/1/summary" {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet {
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// A failed write means the reader has left; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(m.summary(time.Now()))
}

// authorised compares digests, so that neither content nor length of the token
// shows in the time taken.
func (m *Miner) authorised(r *http.Request) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(m.cfg.Token))
	return ok && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
