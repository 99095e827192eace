// Package nvml drives NVIDIA GPUs through their management library. The
// library is loaded by a helper process, as a call into it can hang with the
// kernel driver: the helper is killed, the one device is marked, and the others
// go on. The Driver, and all that judges what it reads, need no cgo; the helper
// is the only home of go-nvml and needs cgo on Linux.
package nvml

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/workload"
)

// Name of the driver.
const Name = "nvml"

// Config of a Driver. The zero Config is this machine.
type Config struct {
	// Helper is the command that becomes the helper; default: this program's
	// verb "nvml-helper".
	Helper []string
	// Env is added to the helper's environment.
	Env []string
	// Limit bounds one call into the library, OpenLimit one that may have to
	// load it and wake the devices. Defaults 1.5 s and 10 s.
	Limit, OpenLimit time.Duration
	// RetryAfter is after how long a device that hung is tried again, doubling
	// to ten times as much; default 30 s.
	RetryAfter time.Duration
	// KernelLog is read for Xids; default /dev/kmsg. Sys is the sysfs; default
	// /sys. ResetCommand resets the GPU whose UUID is appended; default
	// nvidia-smi --gpu-reset -i.
	KernelLog, Sys string
	// PIDNamespace is the link that names this process's namespace of process
	// ids; default /proc/self/ns/pid. NVML gives ids of the first one.
	PIDNamespace string
	ResetCommand []string
	Now          func() time.Time
}

// Driver speaks to NVIDIA GPUs.
type Driver struct {
	config Config
	pool   pool
	turn   chan struct{} // held by whoever uses the main helper
	main   *process      // under turn; nil when there is none

	mu     sync.Mutex
	closed bool
	gpus   map[string]*gpu // by UUID
	absent error           // why the library does not open
	again  time.Time       // before when it is not tried
	driver string          // version
	count  int             // devices at the last opening
	// openings counts how often the library was opened: after each, what the
	// driver was told before may be forgotten.
	openings int
	faults   coalescer
}

// gpu is what is known of one device, under Driver.mu.
type gpu struct {
	facts    facts
	last     reading
	read     time.Time // when last
	suspect  *suspect
	use      workload.UseKind
	cap      uint32    // mW that a use asked for; 0 = none
	before   *uint32   // the limit found before the first cap, in mW
	lift     bool      // the use that had asked for the cap is over
	capped   time.Time // when the cap was last written
	deaf     bool      // events cannot be had
	listened int       // opening in which events were asked for
	told     string    // the grave fault told last, so that each is told once
}

// suspect is a device whose call did not return.
type suspect struct {
	since, next time.Time
	wait        time.Duration
	times       int
}

var (
	_ device.Driver      = (*Driver)(nil)
	_ device.PowerCapper = (*Driver)(nil)
	_ device.ClockSetter = (*Driver)(nil)
	_ device.Tenants     = (*Driver)(nil)
	_ device.UseSetter   = (*Driver)(nil)
	_ device.Watcher     = (*Driver)(nil)
	_ device.Resetter    = (*Driver)(nil)
	_ device.Tester      = (*Driver)(nil)
	_ device.Describer   = (*Driver)(nil)
	_ device.Counter     = (*Driver)(nil)
	_ device.Catalogue   = (*Driver)(nil)
)

// New returns a driver; nothing is started before Discover.
func New(config Config) *Driver {
	own := len(config.Helper) == 0
	if own {
		if self, err := os.Executable(); err == nil {
			config.Helper = []string{self, "nvml-helper"}
		}
	}
	for d, standard := range map[*time.Duration]time.Duration{&config.Limit: 1500 * time.Millisecond, &config.OpenLimit: 10 * time.Second, &config.RetryAfter: 30 * time.Second} {
		if *d <= 0 {
			*d = standard
		}
	}
	for s, standard := range map[*string]string{&config.KernelLog: "/dev/kmsg", &config.Sys: "/sys", &config.PIDNamespace: "/proc/self/ns/pid"} {
		if *s == "" {
			*s = standard
		}
	}
	if len(config.ResetCommand) == 0 {
		config.ResetCommand = []string{"nvidia-smi", "--gpu-reset", "-i"}
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	d := &Driver{config: config, turn: make(chan struct{}, 1), gpus: map[string]*gpu{}}
	d.pool.argv, d.pool.env = config.Helper, config.Env
	if own && !Built { // this program would be no help to itself
		d.absent, d.again = openState(notBuilt, accessOK), config.Now().Add(100*365*24*time.Hour)
	}
	return d
}

// Name implements device.Driver.
func (d *Driver) Name() string { return Name }

// Supports implements device.Catalogue.
func (d *Driver) Supports() []device.Support { return Supports() }

var errClosed = workload.Errorf(workload.Unavailable, "nvml is closed")

const (
	reopenAfter = 5 * time.Second
	absentAfter = 5 * time.Minute
	processLife = 10 * time.Second // how old a list of processes may be

	// firstNamespace is how Linux names the namespace that it starts with.
	firstNamespace = "pid:[4026531836]"
)

// failing is how long what does not open is left alone: a driver that was
// upgraded under way comes back by a person's hand, not by trying; one that is
// not there may be installed.
func failing(err error) time.Duration {
	var open *device.OpenError
	if errors.As(err, &open) && (open.State == workload.DriverAbsent || open.State == workload.DriverNotBuilt) {
		return absentAfter
	}
	return reopenAfter
}

// take waits for the main helper; the returned function gives it back.
func (d *Driver) take(ctx context.Context) (func(), error) {
	select {
	case d.turn <- struct{}{}:
		return func() { <-d.turn }, nil
	case <-ctx.Done():
		return nil, workload.Errorf(workload.Unavailable, "nvml: %w", ctx.Err())
	}
}

// do has the main helper serve one request about one device.
func (d *Driver) do(ctx context.Context, q request) (reply, error) {
	give, err := d.take(ctx)
	if err != nil {
		return reply{}, err
	}
	defer give()
	if err := d.ready(ctx); err != nil {
		return reply{}, err
	}
	r, err := d.main.call(ctx, q, d.config.Limit)
	if err == nil && lapsed(r.Ret) {
		d.main.kill() // the next call begins with a fresh library
	}
	return r, err
}

// ready makes sure that the main helper has the library open; the caller has
// the turn.
func (d *Driver) ready(ctx context.Context) error {
	d.mu.Lock()
	closed, absent, again := d.closed, d.absent, d.again
	d.mu.Unlock()
	switch {
	case closed:
		return errClosed
	case absent != nil && d.config.Now().Before(again):
		return absent
	case d.main != nil && !d.main.gone && d.main.open:
		return nil
	}
	if d.main == nil || d.main.gone {
		h, err := d.pool.start()
		if err != nil {
			return err
		}
		d.main = h
	}
	r, err := d.main.opening(ctx, d.config.OpenLimit)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.absent = err; err != nil {
		d.again = d.config.Now().Add(failing(err))
		return err
	}
	d.openings++
	d.driver, d.count = r.Driver, r.Count
	return nil
}

// opening has a helper load the library and count devices.
func (h *process) opening(ctx context.Context, limit time.Duration) (reply, error) {
	r, err := h.call(ctx, request{Op: opCount}, limit)
	switch {
	case errors.Is(err, errHung):
		return r, &device.OpenError{State: workload.DriverUnresponsive, Err: &workload.Error{Kind: workload.Unavailable,
			Text: "NVML does not answer: its kernel driver hangs", Next: "dmesg tells more; reboot when the node is empty"}}
	case err != nil:
		return r, err
	case r.Opening || r.Ret != success:
		h.kill()
		return r, openState(r.Ret, r.Access)
	}
	h.open = true
	return r, nil
}

// asked is one device's answer.
func (d *Driver) asked(ctx context.Context, uuid string, q request, what string) (reply, error) {
	g, err := d.find(uuid)
	if err != nil {
		return reply{}, err
	}
	q.UUID, q.PCI = uuid, g.facts.PCI
	r, err := d.do(ctx, q)
	switch {
	case errors.Is(err, errHung):
		return r, d.suspected(uuid, what)
	case err != nil:
		return r, err
	case r.Ret != success:
		if j := judge(r.Ret); j.health == workload.Failing {
			d.grave(uuid, j)
		}
		return r, failure(what+" "+uuid, r.Ret)
	}
	return r, nil
}

// find copies what is known of a device.
func (d *Driver) find(uuid string) (gpu, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return gpu{}, errClosed
	}
	g, ok := d.gpus[uuid]
	if !ok {
		return gpu{}, workload.Errorf(workload.NotFound, "nvml knows no GPU %q", uuid)
	}
	return *g, nil
}

// edit changes what is known of a device, if it is known.
func (d *Driver) edit(uuid string, change func(*gpu)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g, ok := d.gpus[uuid]; ok {
		change(g)
	}
}

// Sample implements device.Driver.
func (d *Driver) Sample(ctx context.Context, uuid string) (workload.Sample, error) {
	s := workload.UnknownSample("", workload.Instant(d.config.Now().UnixMilli()))
	g, err := d.find(uuid)
	if err != nil {
		return s, err
	}
	if g.suspect != nil {
		if err := d.probe(ctx, uuid, g); err != nil {
			return s, err
		}
	}
	r, err := d.asked(ctx, uuid, request{Op: opSample}, "sample")
	if err != nil {
		return s, err
	}
	d.edit(uuid, func(g *gpu) { g.last, g.read = *r.Reading, d.config.Now() })
	if j := judge(r.Reading.Worst); j.health == workload.Failing {
		d.grave(uuid, j)
		return s, workload.Errorf(workload.Unavailable, "nvml: %s: %s", uuid, j.note)
	}
	d.upkeep(ctx, uuid)
	return measure(g.facts, *r.Reading, s.At), nil
}

// Processes implements device.Tenants. What the last sample saw is taken, so
// that asking costs no call.
func (d *Driver) Processes(ctx context.Context, uuid string) ([]int, error) {
	g, err := d.find(uuid)
	if err != nil {
		return nil, err
	}
	if ns, err := os.Readlink(d.config.PIDNamespace); err == nil && ns != firstNamespace {
		return nil, workload.Errorf(workload.Unavailable, "nvml: process ids are told by the host's count, which this container does not share").Hint("run the agent in the host's pid namespace")
	}
	if d.config.Now().Sub(g.read) > processLife {
		r, err := d.asked(ctx, uuid, request{Op: opSample}, "processes of")
		if err != nil {
			return nil, err
		}
		g.last = *r.Reading
	}
	if !g.last.Listed {
		return nil, workload.Errorf(workload.Unavailable, "nvml: %s does not tell its processes", uuid)
	}
	return slices.Clone(g.last.Processes), nil
}

// Traits implements device.Describer.
func (d *Driver) Traits(ctx context.Context, uuid string) ([]device.Trait, error) {
	r, err := d.asked(ctx, uuid, request{Op: opDescribe}, "describe")
	if err != nil {
		return nil, err
	}
	return traits(*r.Facts, *r.Reading, numaNode(d.config.Sys, r.Facts.PCI), r.Driver), nil
}

// Close implements device.Driver.
func (d *Driver) Close() error {
	d.mu.Lock()
	closed := d.closed
	d.closed = true
	d.mu.Unlock()
	if closed {
		return nil
	}
	// Whoever holds the turn is bounded by its own limit.
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	if d.main != nil {
		d.main.kill()
	}
	return nil
}
