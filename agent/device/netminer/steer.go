package netminer

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// Steer is the workload of a grant on a miner that mines by itself: it sets
// pool and power and wakes the device, watches that it goes on working for
// that pool, and puts it to sleep when it is told to end. It runs under a shim
// like any other workload, which enforces the lease though the agent be dead.
type Steer struct {
	Miner *Miner
	Pools []PoolSetting
	Power int64 // target in watts; 0 leaves it
	// API is a loopback address for figures, in the form that the agent asks
	// miners for; Token is what it must show.
	API, Token string
	Every      time.Duration // between looks; default 15 s
	Watch      Watch
	// Grace is how long the device may take to be seen asleep at the end. The
	// order to sleep is sent at once.
	Grace time.Duration // default 8 s, within the grace of miners
	Log   *slog.Logger
}

// strayLimit is how often the device may be found at another pool before this
// process gives up: somebody else is at the levers.
const strayLimit = 3

// Run steers until the context ends, and returns after the device has been put
// to sleep. An error means that the device does not do what was ordered; it has
// been told to sleep then too.
func (s *Steer) Run(ctx context.Context) error {
	if s.Every <= 0 {
		s.Every = 15 * time.Second
	}
	if s.Grace <= 0 {
		s.Grace = 8 * time.Second
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	var figures figures
	if s.API != "" {
		stop, err := figures.serve(s.API, s.Token)
		if err != nil {
			return err
		}
		defer stop()
	}
	err := s.steer(ctx, &figures)
	// The end of the grant, whatever brought it: a context of its own.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Grace)
	defer cancel()
	out, sleepErr := s.Miner.Apply(end, Sleep(), Watch{Every: 500 * time.Millisecond, Within: s.Grace})
	if sleepErr != nil {
		s.Log.Error("not seen asleep", "changed", out.Changed, "error", sleepErr)
	} else {
		s.Log.Info("asleep")
	}
	return errors.Join(err, sleepErr)
}

func (s *Steer) steer(ctx context.Context, figures *figures) error {
	order := Order{Asleep: new(false), Pools: s.Pools, Power: s.Power}
	out, err := s.Miner.Apply(ctx, order, s.Watch)
	if ctx.Err() != nil {
		return nil // told to end before it was up
	}
	if err != nil {
		return err
	}
	s.Log.Info("steered", "changed", out.Changed)
	figures.take(out.Report)
	strays := 0
	for {
		if until(ctx, s.Every) != nil {
			return nil
		}
		now, err := s.Miner.Read(ctx)
		if err != nil {
			continue // unreachable is unknown, not failed; the lease bounds it
		}
		figures.take(now)
		if missing := (Order{Pools: s.Pools}).shown(now, now); missing != "it works for another pool" {
			continue
		}
		if strays++; strays > strayLimit {
			return workload.Errorf(workload.Conflict, "%s was set to another pool %d times: somebody else steers it", s.Miner.Host, strays)
		}
		s.Log.Warn("the device works for another pool; it is set back", "times", strays)
		if out, err = s.Miner.Apply(ctx, order, s.Watch); err != nil && ctx.Err() == nil {
			return err
		}
		figures.take(out.Report)
	}
}

// figures serves what the device says as the API of a miner.
type figures struct {
	mu     sync.Mutex
	report Report
	known  bool
}

func (f *figures) take(r Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.report, f.known = r, true
}

func (f *figures) serve(addr, token string) (func(), error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, workload.Errorf(workload.Unavailable, "figures: %w", err)
	}
	server := &http.Server{Handler: f.handler(token), ReadHeaderTimeout: 2 * time.Second}
	go server.Serve(l)
	return func() { server.Close() }, nil
}

func (f *figures) handler(token string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token == "" || subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) != 1 {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		f.mu.Lock()
		report, known := f.report, f.known
		f.mu.Unlock()
		var total []*int64
		if known && report.Hashrate != nil {
			total = []*int64{&report.Hashrate.PerSecond}
		}
		results := map[string]int64{}
		if report.Accepted != nil {
			results["shares_good"] = *report.Accepted
			if report.Rejected != nil {
				results["shares_total"] = *report.Accepted + *report.Rejected
			}
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"hashrate": map[string]any{"total": total}, "results": results})
	})
}
