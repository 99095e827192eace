package netminer

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/workload"
)

// Config of a Fleet.
type Config struct {
	Targets []netip.Addr
	Ports   Ports
	Logins  Logins
	// ScanEvery is how often addresses without a known miner are tried again,
	// PollEvery how often each known one is read.
	ScanEvery time.Duration // default 10 min
	PollEvery time.Duration // default 10 s
	Now       func() time.Time
	Log       *slog.Logger
}

// pollParallel bounds how many devices are read at once.
const pollParallel = 64

// Fleet finds and reads the miners of one agent's addresses, beside whatever
// asks for them: nothing that a device does delays a caller.
type Fleet struct {
	config Config
	cancel context.CancelFunc
	done   sync.WaitGroup
	first  chan struct{} // closed after the first scan and reading

	mu     sync.Mutex
	closed bool
	known  map[netip.Addr]*known
}

// known is one miner and what it last said.
type known struct {
	addr   netip.Addr
	miner  *Miner
	uuid   string // settled by the first report; hardware at an address may change
	report Report
	at     time.Time // of the report
	err    error     // of the newest reading
	// held is set while or since a workload of ours has steered the device.
	held   bool
	parked time.Time // since when it should sleep; zero while it is in use
	lulled time.Time // when it was last put to sleep for that
}

// Start begins to look for miners. It returns at once.
func Start(config Config) *Fleet {
	if config.ScanEvery <= 0 {
		config.ScanEvery = 10 * time.Minute
	}
	if config.PollEvery <= 0 {
		config.PollEvery = 10 * time.Second
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &Fleet{config: config, cancel: cancel, first: make(chan struct{}), known: map[netip.Addr]*known{}}
	f.done.Go(func() { f.run(ctx) })
	return f
}

func (f *Fleet) run(ctx context.Context) {
	scan := time.NewTicker(f.config.ScanEvery)
	defer scan.Stop()
	poll := time.NewTicker(f.config.PollEvery)
	defer poll.Stop()
	f.scan(ctx)
	f.poll(ctx)
	close(f.first)
	for {
		select {
		case <-ctx.Done():
			return
		case <-scan.C:
			f.scan(ctx)
		case <-poll.C:
			f.poll(ctx)
		}
	}
}

// scan looks at every address that holds no miner we can read.
func (f *Fleet) scan(ctx context.Context) {
	f.mu.Lock()
	var open []netip.Addr
	for _, a := range f.config.Targets {
		if k := f.known[a]; k == nil || k.err != nil {
			open = append(open, a)
		}
	}
	f.mu.Unlock()
	err := Scan(ctx, open, f.config.Ports, func(found Found) {
		if found.Err != nil {
			f.config.Log.Info("not a miner", "address", found.Addr, "note", found.Err)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		k := f.known[found.Addr]
		if k == nil {
			k = &known{addr: found.Addr}
			f.known[found.Addr] = k
		}
		if k.miner == nil || k.miner.Identity != found.Identity {
			k.miner = NewMiner(found.Addr.String(), f.config.Ports, found.Identity, f.config.Logins.For(found.Addr, found.Family))
		}
	})
	if err != nil && ctx.Err() == nil {
		f.config.Log.Warn("scan for miners", "error", err)
	}
}

// poll reads every known miner.
func (f *Fleet) poll(ctx context.Context) {
	limit := make(chan struct{}, pollParallel)
	var wg sync.WaitGroup
	for _, k := range f.list() {
		limit <- struct{}{}
		wg.Go(func() {
			defer func() { <-limit }()
			ctx, cancel := context.WithTimeout(ctx, 3*f.config.PollEvery)
			defer cancel()
			report, err := k.miner.Read(ctx)
			f.heard(k.addr, report, err)
			f.lull(ctx, k.addr)
		})
	}
	wg.Wait()
}

// list copies what is known, in the order of addresses.
func (f *Fleet) list() []known {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []known
	for _, k := range f.known {
		out = append(out, *k)
	}
	slices.SortFunc(out, func(a, b known) int { return a.addr.Compare(b.addr) })
	return out
}

func (f *Fleet) heard(addr netip.Addr, report Report, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.known[addr]
	if k.err = err; err != nil {
		return
	}
	k.report, k.at = report, f.config.Now()
	// A device that tells its MAC only at times keeps the name it has; one
	// with another MAC is another device.
	if uuid := report.UUID(addr.String()); k.uuid == "" || report.MAC != "" && uuid != k.uuid {
		k.uuid = uuid
	}
}

// lostAfter is how long a device may be silent before it counts as failing:
// waking and restarting take minutes.
const lostAfter = 5 * time.Minute

// lullAfter is how long a device that shall sleep may go on hashing, as when
// the process that steered it was killed before it could put it to sleep.
const lullAfter = time.Minute

func (f *Fleet) lull(ctx context.Context, addr netip.Addr) {
	f.mu.Lock()
	k := f.known[addr]
	now := f.config.Now()
	due := k.held && !k.parked.IsZero() && now.Sub(k.parked) > lullAfter && now.Sub(k.lulled) > lullAfter &&
		k.err == nil && k.report.Hashrate != nil && k.report.Hashrate.Milli > 0
	if due {
		k.lulled = now
	}
	miner := k.miner
	f.mu.Unlock()
	if !due {
		return
	}
	f.config.Log.Warn("a miner that shall be parked hashes; it is put to sleep", "address", addr)
	if _, err := miner.Apply(ctx, Sleep(), Watch{Within: lullAfter}); err != nil {
		f.config.Log.Error("the miner is not put to sleep", "address", addr, "error", err)
	}
}

// Close ends all reading; it waits for what is under way.
func (f *Fleet) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.done.Wait()
}

// find returns a miner by its name.
func (f *Fleet) find(uuid string) (known, bool) {
	for _, k := range f.list() {
		if k.uuid == uuid && uuid != "" {
			return k, true
		}
	}
	return known{}, false
}

// Drivers are the two drivers of a fleet: of the miners that Sluice steers,
// and of those it only observes. They are two so that a Miner document can name
// the first alone: for the others there is nothing to decide.
func (f *Fleet) Drivers() []device.Driver {
	return []device.Driver{&Driver{fleet: f, steered: true}, &Driver{fleet: f}}
}

// Driver is the device.Driver of one part of a fleet.
type Driver struct {
	fleet   *Fleet
	steered bool
}

var (
	_ device.Driver    = (*Driver)(nil)
	_ device.UseSetter = (*Driver)(nil)
	_ device.Equipper  = (*Driver)(nil)
	_ device.Observer  = (*Driver)(nil)
)

// The names of the drivers.
const (
	Steered  = "netminer"
	Observed = "netminer-observed"
)

// Name implements device.Driver.
func (d *Driver) Name() string {
	if d.steered {
		return Steered
	}
	return Observed
}

// mine reports whether a miner belongs to this driver.
func (d *Driver) mine(k known) bool {
	return d.steered == (k.miner.Identity.Family.Controllable() && (k.miner.Login.Password != "" || k.miner.Identity.Family == AxeOS))
}

// Discover implements device.Driver. The first call waits for the first scan
// for as long as its context allows.
func (d *Driver) Discover(ctx context.Context) ([]workload.Device, error) {
	d.fleet.mu.Lock()
	closed := d.fleet.closed
	d.fleet.mu.Unlock()
	if closed {
		return nil, workload.Errorf(workload.Unavailable, "the miners' driver is closed")
	}
	var late error
	select {
	case <-d.fleet.first:
	default:
		timer := time.NewTimer(device.DefaultLimit * 2 / 3)
		defer timer.Stop()
		select {
		case <-d.fleet.first:
		case <-timer.C:
			late = workload.Errorf(workload.Unavailable, "the first scan for miners is still under way")
		case <-ctx.Done():
			late = ctx.Err()
		}
	}
	var out []workload.Device
	seen := map[string]bool{}
	for _, k := range d.fleet.list() {
		if k.uuid == "" || seen[k.uuid] || !d.mine(k) {
			continue
		}
		seen[k.uuid] = true
		dev := k.report.Device(k.addr.String())
		dev.Driver = d.Name()
		if k.err != nil && d.fleet.config.Now().Sub(k.at) > lostAfter {
			// Until then it is unknown, as its samples say: devices restart.
			dev.Health, dev.Note = workload.Failing, k.err.Error()
		}
		out = append(out, dev)
	}
	if len(out) == 0 && late != nil {
		return nil, late
	}
	return out, nil
}

func observedNote(k known) string {
	if !k.miner.Identity.Family.Controllable() {
		return "mines by itself; Sluice only reads " + first(k.report.Firmware, string(k.report.Family))
	}
	return "mines by itself; no login to steer it was given"
}

// Sample implements device.Driver: the newest reading, if it is fresh.
func (d *Driver) Sample(_ context.Context, uuid string) (workload.Sample, error) {
	now := d.fleet.config.Now()
	unknown := workload.UnknownSample("", workload.Instant(now.UnixMilli()))
	k, ok := d.fleet.find(uuid)
	switch {
	case !ok || !d.mine(k):
		return unknown, workload.Errorf(workload.NotFound, "no miner %q", uuid)
	case k.err != nil:
		return unknown, k.err
	case now.Sub(k.at) > 4*d.fleet.config.PollEvery:
		return unknown, workload.Errorf(workload.Unavailable, "%s was last read %v ago", k.addr, now.Sub(k.at).Round(time.Second))
	}
	return k.report.Sample(workload.Instant(k.at.UnixMilli())), nil
}

// SetUse implements device.UseSetter: a device that has been steered sleeps
// while it is parked, even when the process that should have seen to it died.
func (d *Driver) SetUse(uuid string, a device.Activity) {
	f := d.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range f.known {
		if k.uuid != uuid || uuid == "" {
			continue
		}
		if a.Use == workload.Mining {
			k.held, k.parked = true, time.Time{}
		} else if k.held {
			k.parked = f.config.Now()
		}
	}
}

// The environment of a process that steers a miner.
const (
	EnvAddr   = "SLUICE_MINER_ADDR"
	EnvFamily = "SLUICE_MINER_FAMILY"
	EnvLogin  = "SLUICE_MINER_LOGIN" // user:password
	EnvPorts  = "SLUICE_MINER_PORTS" // of RPC, web, TLS and API 3, with commas
)

// Equip implements device.Equipper: what a process needs to steer the miner.
func (d *Driver) Equip(uuid string) ([]string, error) {
	k, ok := d.fleet.find(uuid)
	if !ok || !d.mine(k) {
		return nil, workload.Errorf(workload.NotFound, "no miner %q", uuid)
	}
	if !d.steered {
		return nil, workload.Errorf(workload.Denied, "%s: %s", k.addr, observedNote(k))
	}
	return k.miner.Environment(), nil
}

// Observed implements device.Observer.
func (d *Driver) Observed(uuid string) string {
	if k, ok := d.fleet.find(uuid); ok && !d.steered && d.mine(k) {
		return observedNote(k)
	}
	return ""
}

// Close implements device.Driver.
func (d *Driver) Close() error {
	d.fleet.Close()
	return nil
}

// Environment passes a miner on to another process.
func (m *Miner) Environment() []string {
	id := string(m.Identity.Family)
	if m.Identity.V3 {
		id += "/3"
	}
	return []string{EnvAddr + "=" + m.Host, EnvFamily + "=" + id, EnvLogin + "=" + m.Login.User + ":" + m.Login.Password, EnvPorts + "=" + m.Ports.String()}
}

// FromEnvironment takes a miner over from Environment.
func FromEnvironment(getenv func(string) string) (*Miner, error) {
	host := getenv(EnvAddr)
	if _, err := netip.ParseAddr(host); err != nil {
		return nil, workload.Errorf(workload.Invalid, "%s names no miner", EnvAddr).Hint("the agent sets it for the process that steers a miner")
	}
	ports, err := ParsePorts(getenv(EnvPorts))
	if err != nil {
		return nil, err
	}
	family, v3 := strings.CutSuffix(getenv(EnvFamily), "/3")
	user, password, _ := strings.Cut(getenv(EnvLogin), ":")
	return NewMiner(host, ports, Identity{Family: Family(family), V3: v3}, Login{user, password}), nil
}
