package nvml

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/health"
	"github.com/sluice-project/sluice/workload"
)

const (
	watchEvery = 2 * time.Second
	// storm is the span in which equal faults are told as one: the first at
	// once, the others together when it is over.
	storm = 5 * time.Second
	// maxKinds bounds the kinds of faults remembered within a span.
	maxKinds = 1024
)

// Watch implements device.Watcher.
func (d *Driver) Watch(ctx context.Context, tell func(device.Fault)) error {
	d.faults.start(tell)
	defer d.faults.start(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { d.watchKernel(ctx) })
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		d.faults.flush(d.config.Now())
		d.listen(ctx)
	}
}

// listen takes the events of devices in use. While none is, the library is let
// go of, so that others can reconfigure the devices; but not where letting go
// would make the driver forget the devices' state.
func (d *Driver) listen(ctx context.Context) {
	d.mu.Lock()
	inUse, persistent, uuids := false, true, []string{}
	for uuid, g := range d.gpus {
		inUse = inUse || g.use == workload.Mining || g.use == workload.Training || g.cap > 0
		persistent = persistent && g.facts.Persistence
		if !g.deaf && g.suspect == nil && g.listened != d.openings {
			uuids = append(uuids, uuid)
		}
	}
	none, openings := len(d.gpus) == 0, d.openings
	d.mu.Unlock()
	if none {
		return
	}
	if !inUse && persistent {
		d.release(ctx)
		return
	}
	for _, uuid := range uuids {
		r, err := d.asked(ctx, uuid, request{Op: opListen}, "listen to")
		d.edit(uuid, func(g *gpu) {
			switch {
			case r.Ret == notSupported || r.Ret == functionNotFound:
				g.deaf = true
			case err == nil:
				g.listened = openings
			}
		})
	}
	r, err := d.do(ctx, request{Op: opEvents})
	if err != nil {
		return
	}
	for _, e := range r.Events {
		if e.Type == xidEvent {
			d.xid(e.UUID, int(e.Data), max(e.Count, 1), "")
		}
	}
}

// release lets go of the library; the helper stays.
func (d *Driver) release(ctx context.Context) {
	give, err := d.take(ctx)
	if err != nil {
		return
	}
	defer give()
	if d.main == nil || d.main.gone || !d.main.open {
		return
	}
	d.main.open = false
	_, _ = d.main.call(ctx, request{Op: opRelease}, d.config.OpenLimit)
}

func (d *Driver) xid(uuid string, code, count int, text string) {
	if text == "" {
		text = health.XidOf(code).Text
	}
	d.faults.add(device.Fault{UUID: uuid, Class: device.FaultXid, Code: code, Count: count, Text: text, At: workload.Instant(d.config.Now().UnixMilli())}, d.config.Now())
}

// grave tells once what the driver itself concluded of a device.
func (d *Driver) grave(uuid string, j judgement) {
	fresh := false
	d.edit(uuid, func(g *gpu) {
		fresh = g.told != j.code
		g.told = j.code
	})
	if fresh {
		d.faults.add(device.Fault{UUID: uuid, Class: device.FaultState, Count: 1, Text: j.code + " " + j.note, At: workload.Instant(d.config.Now().UnixMilli())}, d.config.Now())
	}
}

// watchKernel reads the kernel's log from now on, and tries again where it
// cannot be read.
func (d *Driver) watchKernel(ctx context.Context) {
	for ctx.Err() == nil {
		d.readKernel(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(reopenAfter):
		}
	}
}

func (d *Driver) readKernel(ctx context.Context) {
	f, err := os.OpenFile(d.config.KernelLog, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_, _ = f.Seek(0, 2) // what is in the log is of an earlier time; a pipe has no end to seek
	// One read gives one record of /dev/kmsg, and never part of one.
	buf := make([]byte, 8<<10)
	rest := ""
	for {
		n, err := f.Read(buf)
		if errors.Is(err, syscall.EPIPE) { // records were overwritten before they were read
			continue
		}
		if n == 0 || err != nil {
			return
		}
		lines := strings.Split(rest+string(buf[:n]), "\n")
		rest = lines[len(lines)-1]
		if len(rest) > health.MaxLine {
			rest = ""
		}
		for _, line := range lines[:len(lines)-1] {
			if pci, code, text, ok := health.KernelXid(line); ok {
				d.kernelXid(pci, code, text)
			}
		}
	}
}

func (d *Driver) kernelXid(pci string, code int, text string) {
	d.mu.Lock()
	uuid := ""
	for id, g := range d.gpus {
		if at, ok := health.PCI(g.facts.PCI); ok && at == pci {
			uuid = id
		}
	}
	d.mu.Unlock()
	if uuid != "" {
		d.xid(uuid, code, 1, text)
	}
}

// coalescer turns a storm of equal faults into two messages a span.
type coalescer struct {
	mu    sync.Mutex
	tell  func(device.Fault)
	open  map[faultKey]*burst
	extra int // kinds beyond maxKinds
}

type faultKey struct {
	uuid, class string
	code        int
	text        string // of driver faults, which have no number
}

type burst struct {
	fault device.Fault // what is still to be told; Count 0 = nothing
	until time.Time
}

func (c *coalescer) start(tell func(device.Fault)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tell, c.open = tell, map[faultKey]*burst{}
}

func (c *coalescer) add(f device.Fault, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tell == nil {
		return
	}
	key := faultKey{uuid: f.UUID, class: f.Class, code: f.Code}
	if f.Class == device.FaultState {
		key.text, _, _ = strings.Cut(f.Text, " ")
	}
	if b, ok := c.open[key]; ok && now.Before(b.until) {
		count := b.fault.Count + f.Count
		b.fault = f
		b.fault.Count = count
		return
	}
	if len(c.open) >= maxKinds {
		c.extra++
		return
	}
	c.open[key] = &burst{until: now.Add(storm)}
	c.tell(f)
}

// flush tells what came after the first of each kind.
func (c *coalescer) flush(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, b := range c.open {
		if now.Before(b.until) {
			continue
		}
		delete(c.open, key)
		if b.fault.Count > 0 && c.tell != nil {
			c.tell(b.fault)
		}
	}
}
