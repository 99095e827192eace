package health

import (
	"strconv"
	"strings"
)

// MaxLine is the longest kernel line that is looked at, in bytes.
const MaxLine = 4096

// KernelXid reads one line of the kernel's log. Such a line is
//
//	NVRM: Xid (PCI:0000:65:00): 79, pid=1234, GPU has fallen off the bus.
//
// with what else the log puts before it. pci is normalised as by PCI.
func KernelXid(line string) (pci string, code int, text string, ok bool) {
	if len(line) > MaxLine {
		line = line[:MaxLine]
	}
	_, rest, found := strings.Cut(line, "NVRM: Xid (")
	if !found {
		return "", 0, "", false
	}
	where, rest, found := strings.Cut(rest, ")")
	if !found || !strings.HasPrefix(where, "PCI:") {
		return "", 0, "", false
	}
	pci, ok = PCI(strings.TrimPrefix(where, "PCI:"))
	rest = strings.TrimPrefix(strings.TrimSpace(rest), ":")
	number, text, _ := strings.Cut(rest, ",")
	code, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || code < 0 || code > 1<<16 {
		return "", 0, "", false
	}
	return pci, code, strings.TrimSpace(text), ok
}

// PCI brings a bus address into one form, "0000:65:00": the kernel leaves out
// the function, NVML gives eight digits of domain, and a GPU is one slot.
func PCI(s string) (string, bool) {
	s, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(s)), ".")
	parts := strings.Split(s, ":")
	if len(parts) == 2 {
		parts = append([]string{"0"}, parts...)
	}
	if len(parts) != 3 {
		return "", false
	}
	var n [3]uint64
	for i, p := range parts {
		bits := []int{32, 8, 5}[i]
		v, err := strconv.ParseUint(p, 16, bits)
		if err != nil {
			return "", false
		}
		n[i] = v
	}
	hex := func(v uint64, width int) string {
		h := strconv.FormatUint(v, 16)
		return strings.Repeat("0", max(width-len(h), 0)) + h
	}
	return hex(n[0], 4) + ":" + hex(n[1], 2) + ":" + hex(n[2], 2), true
}
