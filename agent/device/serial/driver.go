package serial

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/serial/bm"
	"github.com/sluice-project/sluice/workload"
)

// PortEnv names the environment variable that tells a workload which port is
// its own, as ParsePort reads it.
const PortEnv = "SLUICE_SERIAL"

// Config of a Driver.
type Config struct {
	// Ports that are known to have chips. Others are found where USB names a
	// product that is one.
	Ports []PortSpec
	// Sys and Dev replace /sys and /dev.
	Sys, Dev string
	Now      func() time.Time // default time.Now
}

// Driver finds chains on serial ports and tells how they fare. It opens a port
// only to see what is there, and never one that is in use.
type Driver struct {
	cfg Config

	mu     sync.Mutex
	closed bool
	units  map[string]*unit // by UUID
}

// unit is one port that has, or should have, chips.
type unit struct {
	uuid    string
	product *product // nil = a person named the port

	look sync.Mutex // held while the port is looked at, which may take long

	mu      sync.Mutex // of what follows
	spec    PortSpec
	status  Status
	err     error
	asked   bool   // the status is an answer
	version string // of the port's file: another one was plugged in when it changes
}

var (
	_ device.Driver   = (*Driver)(nil)
	_ device.Equipper = (*Driver)(nil)
)

// New makes a driver. It opens nothing.
func New(cfg Config) *Driver {
	if cfg.Sys == "" {
		cfg.Sys = sysfs
	}
	if cfg.Dev == "" {
		cfg.Dev = "/dev"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Driver{cfg: cfg, units: map[string]*unit{}}
}

// Name implements device.Driver.
func (d *Driver) Name() string { return "serial" }

// look bounds one look at all ports; what takes longer goes on beside and is
// known the next time.
const (
	look       = 2500 * time.Millisecond
	probeLimit = 15 * time.Second
)

// Discover implements device.Driver.
func (d *Driver) Discover(ctx context.Context) ([]workload.Device, error) {
	units, err := d.find()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, u := range units {
		wg.Go(func() { u.refresh() })
	}
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	list := make([]workload.Device, 0, len(units))
	for _, u := range units {
		list = append(list, u.describe())
	}
	return list, nil
}

// find lists the ports of interest: those that a person named and those that
// USB names.
func (d *Driver) find() ([]*unit, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, workload.Errorf(workload.Unavailable, "serial driver is closed")
	}
	var found []*unit
	taken := map[string]bool{}
	for _, spec := range d.cfg.Ports {
		taken[realPath(spec.Path)] = true
		found = append(found, d.unit("tty-"+word(strings.TrimPrefix(spec.Path, "/dev/")), spec, nil))
	}
	ports, err := usbPorts(d.cfg.Sys)
	if err != nil && !os.IsNotExist(err) {
		return nil, workload.Errorf(workload.Unavailable, "list serial ports: %w", err)
	}
	for _, p := range ports {
		q := productOf(p)
		if q == nil || taken[realPath(filepath.Join(d.cfg.Dev, p.Name))] {
			continue
		}
		if s := siblings(ports, p); q.port >= len(s) || s[q.port].Name != p.Name {
			continue // the control port, or one that has only begun to appear
		}
		spec := PortSpec{Path: stablePath(d.cfg.Dev, p.Name)}
		if _, err := bm.ByName(q.chip); err == nil {
			spec.Model = q.chip
		}
		found = append(found, d.unit(p.identity(), spec, q))
	}
	return found, nil
}

func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// unit finds or makes a unit; d.mu is held.
func (d *Driver) unit(uuid string, spec PortSpec, q *product) *unit {
	u := d.units[uuid]
	if u == nil {
		u = &unit{uuid: uuid, product: q}
		d.units[uuid] = u
	}
	u.mu.Lock()
	u.spec = spec
	u.mu.Unlock()
	return u
}

// refresh looks at the port unless a look is under way.
func (u *unit) refresh() {
	if !u.look.TryLock() {
		return
	}
	defer u.look.Unlock()
	u.mu.Lock()
	spec, status, known, before := u.spec, u.status, u.asked && u.err == nil, u.version
	u.mu.Unlock()
	status, version, err := u.see(spec, status, known, before)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.err, u.version = err, version
	if err == nil {
		u.status, u.asked = status, true
	}
}

func (u *unit) see(spec PortSpec, last Status, known bool, before string) (Status, string, error) {
	if u.product != nil && u.product.chip != "" && spec.Model == "" {
		return last, "", workload.Errorf(workload.Invalid, "%s has %s chips, which are not supported", u.product.name, strings.ToUpper(u.product.chip))
	}
	version, err := fileVersion(spec.Path)
	if err != nil {
		return last, "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeLimit)
	defer cancel()
	if known && version == before {
		// Who holds the port knows more than we remember; who does not leaves
		// the chips as they were.
		if st, err := ask(ctx, spec.Path); err == nil && st.Chip != "" && st.Chips > 0 {
			last = st
		}
		return last, version, nil
	}
	st, err := Probe(ctx, spec)
	if err == nil && (st.Chip == "" || st.Chips == 0) {
		err = workload.Errorf(workload.Unavailable, "its chips are being brought up")
	}
	return st, version, err
}

// fileVersion changes when something else is plugged in under the same name.
func fileVersion(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", portError(path, err)
	}
	return fmt.Sprint(realPath(path), " ", st.Rdev, " ", st.Ino), nil
}

// describe says what is known without waiting for a look that is under way.
func (u *unit) describe() workload.Device {
	dev := workload.Device{UUID: u.uuid, Kind: workload.ASIC, Model: "serial ASIC", Driver: "serial", Health: workload.Failing, Note: "it is being identified"}
	if u.product != nil {
		dev.Model = workload.ModelName(u.product.name)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if name := u.status.ModelName(); name != "" && u.status.Chips > 0 {
		dev.Model = name
	}
	switch {
	case u.err != nil:
		dev.Note = u.err.Error()
	case u.asked && u.status.Note != "":
		dev.Health, dev.Note = workload.Degraded, u.status.Note
	case u.asked:
		dev.Health, dev.Note = workload.Healthy, ""
	}
	return dev
}

func (d *Driver) known(uuid string) (*unit, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, workload.Errorf(workload.Unavailable, "serial driver is closed")
	}
	u, ok := d.units[uuid]
	if !ok {
		return nil, workload.Errorf(workload.NotFound, "no serial device %s", uuid)
	}
	return u, nil
}

// Sample implements device.Driver. Only the process that mines on a chain can
// measure it; without one the chain rests.
func (d *Driver) Sample(ctx context.Context, uuid string) (workload.Sample, error) {
	at := workload.Instant(d.cfg.Now().UnixMilli())
	unknown := workload.UnknownSample("", at)
	u, err := d.known(uuid)
	if err != nil {
		return unknown, err
	}
	st, err := ask(ctx, u.path())
	if err == errNoHolder {
		unknown.Hashrate = 0
		return unknown, nil
	}
	if err != nil {
		return unknown, err
	}
	sample := st.Sample()
	sample.At = at
	return sample, nil
}

func (u *unit) path() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.spec.Path
}

// Equip implements device.Equipper: a workload must know which port is its own.
func (d *Driver) Equip(uuid string) ([]string, error) {
	u, err := d.known(uuid)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return []string{PortEnv + "=" + u.spec.String()}, nil
}

// Reset takes a chain's chips through their reset line or off the bus. Conflict:
// something mines on it. NotFound: no such device, or no way to reset it.
func (d *Driver) Reset(ctx context.Context, uuid string) error {
	u, err := d.known(uuid)
	if err != nil {
		return err
	}
	lock, err := acquire(u.path())
	if err != nil {
		return err
	}
	defer lock.release()
	u.forget()
	return cyclePort(ctx, d.cfg.Sys, u.path())
}

// SelfTest looks at a chain anew: its chips must answer, all of them.
func (d *Driver) SelfTest(ctx context.Context, uuid string) error {
	u, err := d.known(uuid)
	if err != nil {
		return err
	}
	u.mu.Lock()
	spec := u.spec
	u.mu.Unlock()
	st, err := Probe(ctx, spec)
	if err == nil && st.Note != "" {
		err = workload.Errorf(workload.Unavailable, "%s", st.Note)
	}
	return err
}

// forget makes the next look ask the chips again.
func (u *unit) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked = false
}

// Close implements device.Driver.
func (d *Driver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}
