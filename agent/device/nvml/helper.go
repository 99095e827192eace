//go:build cgo && linux

package nvml

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Built reports whether this program can speak to NVIDIA GPUs.
const Built = true

// helper is the other side of the pipes: the only code that calls the library.
// It works on one request at a time, on the device that the request names and
// no other, so that whoever waits knows which device hangs.
type helper struct {
	lib     nvml.Interface
	node    string // device node that tells why the library does not open
	open    bool
	opened  int
	driver  string
	handles map[string]nvml.Device // by bus address, of this opening
	set     nvml.EventSet
	heard   map[string]bool // devices registered with set
}

// Helper answers requests on two pipes until in ends. It is the program's
// hidden verb "nvml-helper"; args may hold the path of the library.
func Helper(args []string, in io.Reader, out io.Writer) error {
	var options []nvml.LibraryOption
	if len(args) > 0 && args[0] != "" {
		options = append(options, nvml.WithLibraryPath(args[0]))
	}
	h := &helper{lib: nvml.New(options...), node: "/dev/nvidiactl"}
	requests := bufio.NewReader(in)
	for {
		var q request
		if err := readFrame(requests, &q); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		r := h.serve(q)
		r.ID, r.Opened, r.Driver = q.ID, h.opened, h.driver
		if err := writeFrame(out, r); err != nil {
			return err
		}
		if r.Opening {
			return nil // the library stays loaded after a failure; a new process reads it anew
		}
	}
}

func (h *helper) serve(q request) reply {
	if q.Op == opRelease {
		h.release()
		return reply{}
	}
	if !h.open {
		if ret := h.lib.Init(); ret != nvml.SUCCESS {
			return reply{Ret: int(ret), Opening: true, Access: access(h.node)}
		}
		h.open, h.handles, h.heard = true, map[string]nvml.Device{}, map[string]bool{}
		h.opened++
		h.driver, _ = h.lib.SystemGetDriverVersion()
	}
	switch q.Op {
	case opCount:
		n, ret := h.lib.DeviceGetCount()
		return reply{Ret: int(ret), Count: n}
	case opIdentify:
		return h.identify(q.Index)
	case opEvents:
		return h.events()
	}
	dev, ret := h.device(q)
	if ret != nvml.SUCCESS {
		return reply{Ret: int(ret)}
	}
	switch q.Op {
	case opDescribe:
		f := h.describe(dev, q)
		r := h.read(dev)
		h.extras(dev, &r)
		r.Worst = worse(r.Worst, f.worst)
		return reply{Facts: &f.facts, Reading: &r}
	case opSample:
		r := h.read(dev)
		return reply{Reading: &r}
	case opLimit:
		return reply{Ret: int(dev.SetPowerManagementLimit(q.Limit))}
	case opClocks:
		return reply{Ret: int(h.clocks(dev, q))}
	case opListen:
		return reply{Ret: int(h.listen(dev, q.PCI))}
	}
	return reply{Ret: invalidArgument}
}

func (h *helper) release() {
	if !h.open {
		return
	}
	if h.set != nil {
		h.set.Free()
		h.set = nil
	}
	h.lib.Shutdown()
	h.open = false
}

// access asks the kernel why the library may not open.
func access(node string) string {
	f, err := os.OpenFile(node, os.O_RDWR, 0)
	switch {
	case err == nil:
		f.Close()
		return accessOK
	case errors.Is(err, syscall.EPERM): // by the device cgroup; file modes give EACCES
		return accessCgroup
	case errors.Is(err, fs.ErrPermission):
		return accessDenied
	case errors.Is(err, fs.ErrNotExist):
		return accessMissing
	}
	return accessOK
}

func (h *helper) identify(index int) reply {
	dev, ret := h.lib.DeviceGetHandleByIndex(index)
	if ret != nvml.SUCCESS {
		return reply{Ret: int(ret)}
	}
	uuid, ret := dev.GetUUID()
	if ret != nvml.SUCCESS {
		return reply{Ret: int(ret)}
	}
	pci, ret := dev.GetPciInfo()
	if ret != nvml.SUCCESS {
		return reply{Ret: int(ret)}
	}
	return reply{Facts: &facts{UUID: uuid, PCI: text(pci.BusId[:])}}
}

// device finds a device by its bus address, which touches no other, and makes
// sure that it still is the one meant: after a reload or a reboot another may
// sit there.
func (h *helper) device(q request) (nvml.Device, nvml.Return) {
	if dev, ok := h.handles[q.PCI]; ok {
		return dev, nvml.SUCCESS
	}
	dev, ret := h.lib.DeviceGetHandleByPciBusId(q.PCI)
	if ret != nvml.SUCCESS {
		return nil, ret
	}
	uuid, ret := dev.GetUUID()
	switch {
	case ret != nvml.SUCCESS:
		return nil, ret
	case uuid != q.UUID:
		return nil, nvml.ERROR_NOT_FOUND
	}
	h.handles[q.PCI] = dev
	return dev, nvml.SUCCESS
}

func (h *helper) clocks(dev nvml.Device, q request) nvml.Return {
	ret := nvml.ERROR_NOT_SUPPORTED
	if h.has("nvmlDeviceSetGpuLockedClocks") {
		if q.Core > 0 {
			ret = dev.SetGpuLockedClocks(q.Core, q.Core)
		} else {
			ret = dev.ResetGpuLockedClocks()
		}
	}
	if ret != nvml.SUCCESS || !h.has("nvmlDeviceSetMemoryLockedClocks") {
		return ret
	}
	if q.Memory > 0 {
		return dev.SetMemoryLockedClocks(q.Memory, q.Memory)
	}
	if ret := dev.ResetMemoryLockedClocks(); ret != nvml.ERROR_NOT_SUPPORTED {
		return ret
	}
	return nvml.SUCCESS
}

// eventTypes are Xids and double bit errors; single bit errors come by the
// thousand and say nothing that the counters do not.
const eventTypes = nvml.EventTypeXidCriticalError | nvml.EventTypeDoubleBitEccError

func (h *helper) listen(dev nvml.Device, pci string) nvml.Return {
	if h.heard[pci] {
		return nvml.SUCCESS
	}
	if h.set == nil {
		set, ret := h.lib.EventSetCreate()
		if ret != nvml.SUCCESS {
			return ret
		}
		h.set = set
	}
	can, ret := dev.GetSupportedEventTypes()
	if ret != nvml.SUCCESS {
		return ret
	}
	if can&eventTypes == 0 {
		return nvml.ERROR_NOT_SUPPORTED
	}
	ret = dev.RegisterEvents(can&eventTypes, h.set)
	h.heard[pci] = ret == nvml.SUCCESS
	return ret
}

// maxEvents bounds one answer; a storm is counted, not listed.
const maxEvents = 512

func (h *helper) events() reply {
	if h.set == nil {
		return reply{}
	}
	type key struct {
		uuid       string
		kind, data uint64
	}
	at := map[key]int{}
	var list []event
	for range maxEvents {
		data, ret := h.set.Wait(1)
		if ret == nvml.ERROR_TIMEOUT {
			break
		}
		if ret != nvml.SUCCESS {
			return reply{Ret: int(ret), Events: list}
		}
		k := key{kind: data.EventType, data: data.EventData}
		if data.Device != nil {
			k.uuid, _ = data.Device.GetUUID()
		}
		i, ok := at[k]
		if !ok {
			i = len(list)
			at[k] = i
			list = append(list, event{UUID: k.uuid, Type: k.kind, Data: k.data})
		}
		list[i].Count++
	}
	return reply{Events: list}
}

// has reports whether the library knows a function; calling one that it lacks
// ends the process.
func (h *helper) has(symbol string) bool { return h.lib.Extensions().LookupSymbol(symbol) == nil }

func text(raw []int8) string {
	var b []byte
	for _, c := range raw {
		if c == 0 {
			break
		}
		b = append(b, byte(c))
	}
	return string(b)
}

func worse(a, b int) int {
	if judge(b).rank > judge(a).rank {
		return b
	}
	return a
}
