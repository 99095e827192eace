package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-project/sluice/agent/stratum/practice"
	"github.com/sluice-project/sluice/deploy/examples"
	"github.com/sluice-project/sluice/scheduler"
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/feed"
	"github.com/sluice-project/sluice/scheduler/replica"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// devOptions are the flags of `sluice dev`.
type devOptions struct {
	dir, http, grpc, ready string
	nodes, gpus, asics     int
	noSim, noJobs          bool
	hashprice, power       string
	region                 string
	speed                  int64
	level                  string
}

func devVerb(a *app) *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use: "dev", Short: "Run a whole small cluster in this terminal, to try Sluice out", Args: cobra.NoArgs,
		Long: "Run a whole small cluster in this terminal: etcd, a server, agents with simulated\n" +
			"devices and whatever GPUs this machine really has, a practice pool, and example\n" +
			"jobs that run as real processes. Ctrl-C ends it and leaves nothing behind.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd.Flags().Changed); err != nil {
				return err
			}
			return a.dev(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.dir, "data-dir", "", "keep data here; default a temporary directory that goes at the end")
	f.StringVar(&o.http, "http", "127.0.0.1:7080", "address of the dashboard and REST; port 0 takes a free one")
	f.StringVar(&o.grpc, "grpc", "127.0.0.1:7070", "address for the command line and agents; port 0 takes a free one")
	f.IntVar(&o.nodes, "nodes", 4, "simulated GPU nodes")
	f.IntVar(&o.gpus, "gpus-per-node", 4, "simulated GPUs on each")
	f.IntVar(&o.asics, "asics", 0, "simulated ASICs, on a node of their own; default 4 unless --nodes is given")
	f.StringVar(&o.ready, "ready-file", "", "write JSON with addresses and environment here once ready")
	f.BoolVar(&o.noSim, "no-sim", false, "no simulated devices")
	f.BoolVar(&o.noJobs, "no-jobs", false, "do not submit the example jobs")
	f.StringVar(&o.hashprice, "hashprice", "", "recorded BTC hashprice series, CSV or JSON, as FILE or FILE:COLUMN")
	f.StringVar(&o.power, "power", "", "recorded power price series in currency/MWh, CSV or JSON")
	f.StringVar(&o.region, "region", "", "column of --power")
	f.Int64Var(&o.speed, "speed", 240, "market clock: how many times as fast as real time")
	f.StringVar(&o.level, "log-level", "warn", "debug, info, warn or error")
	return cmd
}

func (o *devOptions) check(given func(string) bool) error {
	switch {
	case o.nodes < 0 || o.gpus < 0 || o.asics < 0:
		return usagef("--nodes, --gpus-per-node and --asics must not be negative")
	case o.nodes*o.gpus+o.asics > 512:
		return usagef("%d simulated devices are too many for one machine: each mining one has a process; at most 512", o.nodes*o.gpus+o.asics)
	case o.speed < 1 || o.speed > 100_000:
		return usagef("--speed %d is not between 1 and 100000", o.speed)
	}
	if !given("asics") && (!given("nodes") || o.hashprice != "") {
		o.asics = 4
	}
	if o.noSim {
		o.nodes, o.gpus, o.asics = 0, 0, 0
	}
	return nil
}

// dev is one running demo: each part registers how it ends as it is made.
type dev struct {
	a      *app
	o      devOptions
	log    *slog.Logger
	dir    string
	market workload.Instant
	server *scheduler.Server
	pool   *practice.Pool
	token  string
	undo   []func() error
}

func (a *app) dev(ctx context.Context, o devOptions) (err error) {
	started := time.Now()
	log, err := logger(a.err, o.level)
	if err != nil {
		return err
	}
	d := &dev{a: a, o: o, log: log, market: morning(scheduler.Wall())}
	defer func() { err = errors.Join(err, d.close()) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := d.prepare(cancel); err != nil {
		return err
	}
	parts, ctx := errgroup.WithContext(ctx)
	run := func(f func(context.Context) error) { parts.Go(func() error { return f(ctx) }) }
	run(d.pool.Run)
	run(d.server.Run)
	fleet, err := d.populate(ctx, run)
	if err == nil {
		err = d.announce(ctx, time.Since(started), fleet)
	}
	if err == nil {
		<-ctx.Done()
	}
	cancel(nil)
	if ended := parts.Wait(); err == nil && ended != nil && !errors.Is(ended, context.Canceled) {
		err = ended
	}
	if cause := context.Cause(ctx); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

func (d *dev) onClose(f func() error) { d.undo = append(d.undo, f) }

func (d *dev) close() error {
	var errs []error
	for _, f := range slices.Backward(d.undo) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// prepare makes the directory, the series, the pool and the server.
func (d *dev) prepare(fatal func(error)) error {
	d.dir = d.o.dir
	if d.dir == "" {
		dir, err := os.MkdirTemp("", "sluice-dev-")
		if err != nil {
			return err
		}
		d.dir = dir
		d.onClose(func() error { return os.RemoveAll(dir) })
	}
	dir, err := filepath.Abs(d.dir)
	if err != nil {
		return err
	}
	d.dir = dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return workload.Errorf(workload.Invalid, "data directory: %w", err)
	}
	if err := d.writeSeries(); err != nil {
		return err
	}
	if d.pool, err = practice.NewPool(practice.PoolConfig{ShareEvery: 5 * time.Second, Seed: 1}); err != nil {
		return err
	}
	d.onClose(func() error { d.pool.Close(); return nil })
	base, err := d.marketBase()
	if err != nil {
		return err
	}
	d.server, err = scheduler.New(scheduler.Config{
		ID: "dev", Dir: filepath.Join(dir, "server"), GRPC: d.o.grpc, HTTP: d.o.http, Raft: "127.0.0.1:0", Bootstrap: true,
		Volatile: d.o.dir == "", Clock: scheduler.NewMarketClock(base, d.o.speed), Replay: true, Held: true, Timers: replica.LoneTimers(),
		Version: buildVersion(), Fatal: fatal, Log: d.log})
	if err != nil {
		return err
	}
	d.onClose(d.server.Close)
	return nil
}

// morning is ten o'clock of that day: the demo begins at the same hour of its
// market, whatever the hour outside, when everything pays. In the evening peak of
// its power price a newcomer would find every miner parked.
func morning(at workload.Instant) workload.Instant {
	return at - at%(24*workload.HourMillis) + 10*workload.HourMillis
}

// marketBase is where the market clock starts: in the morning, or where a kept data
// directory left off, so that it never runs backwards.
func (d *dev) marketBase() (workload.Instant, error) {
	file := filepath.Join(d.dir, "market-clock")
	d.onClose(func() error {
		if d.server == nil || d.o.dir == "" {
			return nil
		}
		return os.WriteFile(file, fmt.Appendf(nil, "%d\n", d.server.MarketNow()), 0o600)
	})
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return d.market, nil
	}
	if err != nil {
		return 0, err
	}
	var at workload.Instant
	if _, err := fmt.Sscan(string(data), &at); err != nil {
		return 0, workload.Errorf(workload.Invalid, "%s does not hold an instant", file).Hint("remove it to start the market clock at the present")
	}
	return max(at, d.market), nil
}

// writeSeries puts the demo's recorded series into the data directory.
func (d *dev) writeSeries() error {
	for name, write := range map[string]func(io.Writer, workload.Instant) error{
		"power.csv": feed.WriteDemoPower, "hashprice.csv": feed.WriteDemoHashprice} {
		var b bytes.Buffer
		if err := write(&b, d.market); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(d.dir, name), b.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// policy is the demo's policy with its blanks filled in and the given series in
// place of the made-up ones.
func (d *dev) policy() ([]config.Document, error) {
	text, err := examples.Files.ReadFile("demo/policy.yaml")
	if err != nil {
		return nil, err
	}
	filled := strings.NewReplacer("{data}", d.dir, "{pool}", d.pool.Addr()).Replace(string(text))
	docs, err := config.Parse("demo/policy.yaml", []byte(filled))
	if err != nil {
		return nil, err
	}
	if d.o.power != "" {
		if err := replaceFeed(docs, "demo-power", d.o.power, d.o.region, ""); err != nil {
			return nil, err
		}
	}
	if d.o.hashprice != "" {
		file, column, _ := strings.Cut(d.o.hashprice, ":")
		if err := replaceFeed(docs, "btc-hashprice", file, column, "_per_th_day"); err != nil {
			return nil, err
		}
	}
	return docs, nil
}

// replaceFeed points a feed at a recorded series. Without a column the one that
// ends in suffix and names the currency counts.
func replaceFeed(docs []config.Document, name, file, column, suffix string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	if column == "" && suffix != "" && strings.HasSuffix(file, ".csv") {
		columns, err := feed.Columns(file)
		if err != nil {
			return err
		}
		for _, c := range columns {
			if strings.HasSuffix(c, "usd"+suffix) {
				column = c
			}
		}
	}
	if _, err := feed.ReadFile(file, column); err != nil {
		return err
	}
	for i, doc := range docs {
		if doc.Kind == config.KindFeed && doc.Name == name {
			f := *doc.Feed
			f.Sources = []config.FeedSource{{File: file, Column: column}}
			f.Gate.Stale = 72 * time.Hour
			docs[i].Feed = &f
		}
	}
	return nil
}

// applyPolicy stores the demo's policy. A kept directory keeps what a person
// changed; only what names this run's ports is renewed.
func (d *dev) applyPolicy(ctx context.Context) error {
	docs, err := d.policy()
	if err != nil {
		return err
	}
	have, err := d.server.PolicySource().Load(ctx)
	if err != nil {
		return err
	}
	var edits []config.Edit
	for i := range docs {
		if len(have.Documents) == 0 || docs[i].Kind == config.KindPool || docs[i].Kind == config.KindFeed {
			edits = append(edits, config.Edit{Put: &docs[i]})
		}
	}
	revision, err := d.server.PolicySource().Apply(ctx, config.Batch{Edits: edits, Actor: "dev", At: scheduler.Wall()}, config.AnyRevision)
	if err != nil {
		return err
	}
	// The first devices should meet prices, or they would be parked for want of
	// them for a moment.
	return d.server.WaitFor(ctx, func(v *state.View) bool {
		_, priced := v.EnergyPrice("demo")
		return v.Revision >= revision && (priced || len(have.Documents) > 0)
	})
}

// populate brings policy, people, nodes and jobs in, and waits for the first
// plan.
func (d *dev) populate(ctx context.Context, run func(func(context.Context) error)) (fleet, error) {
	if err := d.server.Ready(ctx); err != nil {
		return fleet{}, err
	}
	var err error
	if d.token, err = d.server.IssueToken(ctx, "person", "dev", []string{"admin"}, 0, "dev"); err != nil {
		return fleet{}, err
	}
	if err := d.applyPolicy(ctx); err != nil {
		return fleet{}, err
	}
	fl, err := d.startAgents(ctx, run)
	if err != nil {
		return fl, err
	}
	if err := d.server.WaitFor(ctx, func(v *state.View) bool { return len(v.Devices) >= fl.devices }); err != nil {
		return fl, err
	}
	if !d.o.noJobs && d.o.nodes > 0 {
		if err := d.submitExamples(ctx); err != nil {
			return fl, err
		}
	}
	// Only now may be decided. A fleet that had begun to mine would keep the
	// example jobs waiting until its minimum dwell is over.
	d.server.Begin()
	return fl, d.server.WaitFor(ctx, func(v *state.View) bool { return fl.devices == 0 || v.Plan.ID > 0 })
}

func (d *dev) submitExamples(ctx context.Context) error {
	if d.server.HasJobs() {
		return nil // a kept directory has its own
	}
	for _, name := range []string{"jobs/pair.yaml", "jobs/small.yaml", "jobs/background.yaml"} {
		text, err := examples.Files.ReadFile(name)
		if err != nil {
			return err
		}
		spec, err := config.ParseJob(name, text)
		if err != nil {
			return err
		}
		if _, _, err := d.server.Propose(ctx, state.Command{Actor: "dev", Submit: &state.JobSubmitted{Spec: spec, YAML: string(text)}}); err != nil && workload.KindOf(err) != workload.Invalid {
			return err // a fleet of a few devices has no room for every example
		}
	}
	return nil
}

// readyFile is what --ready-file receives.
type readyFile struct {
	HTTP    string            `json:"http"`
	Env     map[string]string `json:"env"`
	Pid     int               `json:"pid"`
	Seconds float64           `json:"seconds"`
	DataDir string            `json:"data_dir"`
}

// announce writes the CA file and the ready file and prints the banner.
func (d *dev) announce(_ context.Context, took time.Duration, fl fleet) error {
	ca := filepath.Join(d.dir, "ca.pem")
	if err := os.WriteFile(ca, d.server.CAPEM(), 0o600); err != nil {
		return err
	}
	url := "http://" + d.server.HTTPAddr()
	env := map[string]string{"SLUICE_ADDR": d.server.GRPCAddr(), "SLUICE_TOKEN": d.token, "SLUICE_CACERT": ca}
	if d.o.ready != "" {
		data, err := json.Marshal(readyFile{HTTP: url, Env: env, Pid: os.Getpid(), Seconds: took.Seconds(), DataDir: d.dir})
		if err != nil {
			return err
		}
		// Whoever waits for the file must never read half of it.
		if err := os.WriteFile(d.o.ready+".new", append(data, '\n'), 0o600); err != nil {
			return err
		}
		if err := os.Rename(d.o.ready+".new", d.o.ready); err != nil {
			return err
		}
		d.onClose(func() error { return os.Remove(d.o.ready) })
	}
	d.banner(took, url, env, fl)
	return nil
}

func (d *dev) banner(took time.Duration, url string, env map[string]string, fl fleet) {
	out := d.a.out
	fmt.Fprintf(out, "sluice dev is ready after %.1f s.  Ctrl-C ends it and leaves nothing behind.\n\n", took.Seconds())
	fmt.Fprintf(out, "  page    %s/#token=%s\n", url, d.token)
	fmt.Fprintf(out, "  fleet   %s\n", fl.describe())
	if fl.real != "" {
		fmt.Fprintf(out, "  GPUs    %s\n", fl.real)
	}
	fmt.Fprintf(out, "  market  %d x real time; prices and money of simulated devices are modelled, shares and jobs are real\n", d.o.speed)
	fmt.Fprintf(out, "  data    %s\n\nIn another terminal:\n\n", d.dir)
	fmt.Fprintf(out, "  export SLUICE_ADDR=%s SLUICE_CACERT=%s\n  export SLUICE_TOKEN=%s\n\n", env["SLUICE_ADDR"], env["SLUICE_CACERT"], env["SLUICE_TOKEN"])
	fmt.Fprintf(out, "  sluice gpu list\n  sluice job submit deploy/examples/jobs/train.yaml\n  sluice explain gpu %s\n\n", fl.example)
}
