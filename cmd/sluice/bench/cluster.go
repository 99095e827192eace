package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-project/sluice/proto/sluicev1"
)

// ready is what `sluice dev --ready-file` writes.
type ready struct {
	HTTP    string            `json:"http"`
	Env     map[string]string `json:"env"`
	Pid     int               `json:"pid"`
	Seconds float64           `json:"seconds"`
}

// cluster starts `sluice dev`, submits real jobs that take a device from mining,
// one after the other, and measures its memory beside.
func cluster(sluice string, jobs int) (out []row, err error) {
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "ready.json")
	cmd := exec.Command(sluice, "dev", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--nodes", "2", "--gpus-per-node", "2", "--no-jobs", "--speed", "1", "--ready-file", file)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		cmd.Process.Signal(syscall.SIGINT)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			cmd.Process.Kill()
			err = errors.Join(err, errors.New("sluice dev did not end within 20 s"))
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	var r ready
	if err := until(ctx, ended, func() (bool, error) {
		data, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(data, &r) == nil, nil
	}); err != nil {
		return nil, fmt.Errorf("sluice dev: %w", err)
	}
	out = append(out, row{"sluice dev until ready", 1, fmt.Sprintf("%.0f ms", r.Seconds*1000)})
	op, auth, err := dial(ctx, r)
	if err != nil {
		return out, err
	}
	var started []time.Duration
	displaced := 0
	for i := range jobs {
		took, instead, err := oneJob(auth, ended, op, i)
		if err != nil {
			return out, fmt.Errorf("job %d: %w", i+1, err)
		}
		started = append(started, took)
		if instead {
			displaced++
		}
	}
	out = append(out, row{"job submitted until its process runs", len(started), fmt.Sprintf("%s  (%d had to displace a miner)", percentiles(started), displaced)})
	rows, err := memory(r)
	return append(out, rows...), err
}

func dial(ctx context.Context, r ready) (sluicev1.OperatorClient, context.Context, error) {
	pem, err := os.ReadFile(r.Env["SLUICE_CACERT"])
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	conn, err := grpc.NewClient(r.Env["SLUICE_ADDR"], grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13})))
	if err != nil {
		return nil, nil, err
	}
	return sluicev1.NewOperatorClient(conn), metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+r.Env["SLUICE_TOKEN"]), nil
}

const jobYAML = "kind: Job\nname: bench-%d\ngang: {gpus: 1}\nrun:\n  command: [sleep, \"600\"]\nvalue: {bid: 5 USD/GPU-h}\n"

// oneJob waits until every device does what it was told, submits a job and waits
// for its process; then it clears the place again. displaced tells that every
// device mined, so that a miner had to go first.
func oneJob(ctx context.Context, ended <-chan error, op sluicev1.OperatorClient, i int) (took time.Duration, displaced bool, err error) {
	devices, miners := 0, 0
	if err := until(ctx, ended, func() (bool, error) {
		s, err := op.ListGpus(ctx, &sluicev1.ListGpusRequest{})
		if err != nil {
			return false, err
		}
		devices, miners = len(s.Gpus), 0
		for _, g := range s.Gpus {
			if g.Use != g.Assigned || g.Use == "training" {
				return false, nil
			}
			if g.Use == "mining" {
				miners++
			}
		}
		return len(s.Gpus) > 0, nil
	}); err != nil {
		return 0, false, fmt.Errorf("waiting for the devices to settle: %w", err)
	}
	begin := time.Now()
	resp, err := op.SubmitJob(ctx, &sluicev1.SubmitJobRequest{Document: fmt.Sprintf(jobYAML, i), File: "bench.yaml"})
	if err != nil {
		return 0, false, err
	}
	phase := func(want string) func() (bool, error) {
		return func() (bool, error) {
			j, err := op.GetJob(ctx, &sluicev1.GetJobRequest{Id: resp.Id})
			if err != nil {
				return false, err
			}
			n := len(j.Attempts)
			return n > 0 && j.Attempts[n-1].Phase == want, nil
		}
	}
	if err := until(ctx, ended, phase("running")); err != nil {
		return 0, false, fmt.Errorf("waiting for the job to run: %w", err)
	}
	took = time.Since(begin)
	if _, err := op.CancelJob(ctx, &sluicev1.CancelJobRequest{Id: resp.Id}); err != nil {
		return 0, false, err
	}
	return took, miners == devices, until(ctx, ended, phase("exited"))
}

// until asks every two milliseconds, for a minute at most.
func until(ctx context.Context, ended <-chan error, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case err := <-ended:
			return fmt.Errorf("sluice dev ended: %v", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// memory reads what the server and its shims take. In dev one process holds
// etcd, server and agents.
func memory(r ready) ([]row, error) {
	heap, err := metric(r, "go_memstats_heap_alloc_bytes")
	if err != nil {
		return nil, err
	}
	rss, dirty := rollup(r.Pid)
	out := []row{{"server with etcd, 2 agents, pool in one process", 1,
		fmt.Sprintf("RSS %s  Private_Dirty %s  heap %s (garbage since the last collection included)", mib(rss), mib(dirty), mib(int64(heap)))}}
	var sum, n int64
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs {
		text, err := os.ReadFile(p)
		if args := strings.Split(string(text), "\x00"); err != nil || len(args) < 3 || args[1] != "shim" || !strings.HasPrefix(args[2], filepath.Dir(r.Env["SLUICE_CACERT"])) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(p)))
		if _, d := rollup(pid); d > 0 {
			sum, n = sum+d, n+1
		}
	}
	if n == 0 {
		return out, errors.New("no shim of this cluster was found")
	}
	return append(out, row{"shim beside a miner, Private_Dirty", int(n), mib(sum/n) + " on average"}), nil
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// rollup returns a process's resident and private dirty bytes, 0 where it is
// gone.
func rollup(pid int) (rss, dirty int64) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "Rss:":
			rss = kib << 10
		case "Private_Dirty:":
			dirty = kib << 10
		}
	}
	return rss, dirty
}

func metric(r ready, name string) (float64, error) {
	req, err := http.NewRequest(http.MethodGet, r.HTTP+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+r.Env["SLUICE_TOKEN"])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		if value, ok := strings.CutPrefix(s.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("/metrics (%s) has no %s", resp.Status, name)
}
