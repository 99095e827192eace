package agent

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-project/sluice/agent/reconcile"
	pb "github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/workload"
	"github.com/sluice-project/sluice/workload/mining"
)

// samples is what has been measured and what the leader has been told.
type samples struct {
	stats map[workload.DeviceID]mining.Stats // of the miners' own API
	sent  map[workload.DeviceID]workload.Sample
	full  time.Duration // when the last full report was sent
}

// sampleLoop measures all devices; each costs at most its own deadline.
func (a *Agent) sampleLoop(ctx context.Context) {
	ticker := time.NewTicker(a.config.SampleEvery)
	defer ticker.Stop()
	for {
		a.sampleAll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (a *Agent) sampleAll(ctx context.Context) {
	devices := a.devices.Devices()
	list := make([]workload.Sample, len(devices))
	tenants := make([]tenants, len(devices))
	limit := make(chan struct{}, 8)
	var wg sync.WaitGroup
	for i, d := range devices {
		limit <- struct{}{}
		wg.Go(func() {
			defer func() { <-limit }()
			s, err := a.devices.Sample(ctx, d.ID)
			if err != nil {
				s = workload.UnknownSample(d.ID, workload.Instant(a.config.Now().UnixMilli()))
				s.Sim = d.Sim
			}
			list[i] = s
			tenants[i].device = d.ID
			if err == nil {
				tenants[i].pids, tenants[i].known = a.devices.Processes(ctx, d.ID)
			}
		})
	}
	wg.Wait()
	a.call(ctx, func() {
		a.tenanted(tenants)
		a.lookAll()
		a.sampled(list)
	})
}

// sampled joins what devices and miners say and sends what changed.
func (a *Agent) sampled(list []workload.Sample) {
	if a.session == nil || !a.session.up {
		return
	}
	now := a.config.Boottime()
	full := a.samples.sent == nil || now-a.samples.full >= a.config.ReportEvery
	if full {
		a.samples.full = now
	}
	if a.samples.sent == nil {
		a.samples.sent = map[workload.DeviceID]workload.Sample{}
	}
	var report pb.Report
	for _, s := range list {
		if stats, ok := a.samples.stats[s.Device]; ok {
			s.Accepted, s.Rejected, s.ProcessHashrate = stats.Accepted, stats.Rejected, stats.Hashrate
			if s.Hashrate < 0 {
				s.Hashrate = stats.Hashrate // a real device earns what its miner computes
			}
		}
		if last, ok := a.samples.sent[s.Device]; full || !ok || changed(last, s) {
			a.samples.sent[s.Device] = s
			report.Samples = append(report.Samples, wire.SampleToProto(s))
		}
	}
	if len(report.Samples) > 0 {
		a.send(&pb.AgentMessage{Body: &pb.AgentMessage_Report{Report: &report}})
	}
}

// changed reports whether a sample differs by more than ripple.
func changed(a, b workload.Sample) bool {
	return beyond(a.Watts, b.Watts, 2) || beyond(a.Hashrate, b.Hashrate, 2) || beyond(a.MemoryUsed, b.MemoryUsed, 5) || beyond(a.ProcessHashrate, b.ProcessHashrate, 20) ||
		(a.MilliC-b.MilliC)/2000 != 0 || (a.Utilisation-b.Utilisation)/50_000 != 0 || a.Accepted != b.Accepted || a.Rejected != b.Rejected
}

// beyond reports whether two figures differ by more than a percentage, or one
// is known and the other is not.
func beyond(a, b, percent int64) bool {
	if (a < 0) != (b < 0) {
		return true
	}
	d := max(a, b) - min(a, b)
	return d > workload.MulDiv(max(a, b), percent, 100, workload.Up)
}

// pollLoop asks each miner on loopback what it has done.
func (a *Agent) pollLoop(ctx context.Context) {
	client := &http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	ticker := time.NewTicker(a.config.PollMiners)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		a.call(ctx, func() {
			for _, id := range a.state.RunIDs() {
				run, w := a.state.Runs[id], a.workers[id]
				if run.Kind != workload.Mining || run.Phase != reconcile.RunRunning || w == nil || w.meta.Port == 0 {
					continue
				}
				m := w.meta
				a.wg.Go(func() {
					stats, err := pollMiner(ctx, client, m)
					if err == nil {
						a.call(ctx, func() { a.polled(id, run.Devices[0], stats) })
					}
				})
			}
		})
	}
}

func (a *Agent) polled(id reconcile.RunID, d workload.DeviceID, stats mining.Stats) {
	if _, ok := a.state.Runs[id]; !ok {
		return
	}
	if a.samples.stats == nil {
		a.samples.stats = map[workload.DeviceID]mining.Stats{}
	}
	a.samples.stats[d] = stats
}

func pollMiner(ctx context.Context, client *http.Client, m meta) (mining.Stats, error) {
	url := fmt.Sprintf("http://127.0.0.1:%d%s", m.Port, mining.StatsPath(mining.APIXMRig))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return mining.Stats{}, err
	}
	request.Header.Set("Authorization", "Bearer "+m.Token)
	response, err := client.Do(request)
	if err != nil {
		return mining.Stats{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return mining.Stats{}, fmt.Errorf("miner answers %s", response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, mining.MaxStats+1))
	if err != nil {
		return mining.Stats{}, err
	}
	return mining.ParseStats(mining.APIXMRig, body)
}
