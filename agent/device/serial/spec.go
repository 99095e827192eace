package serial

import (
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/agent/device/serial/bm"
	"github.com/sluice-project/sluice/workload"
)

// PortSpec names a port and what a person knows of the chain behind it.
type PortSpec struct {
	Path  string
	Model string // "" = whatever answers
	Chips int    // that should be there; 0 = not known
	// ZeroBits every nonce has: 32 in silicon, which 0 means. Emulated chips
	// have fewer.
	ZeroBits int
}

// ParsePort reads "PATH[,model=bm1370][,chips=4][,zero-bits=12]".
func ParsePort(s string) (PortSpec, error) {
	path, rest, more := strings.Cut(s, ",")
	spec := PortSpec{Path: path}
	if path == "" {
		return spec, workload.Errorf(workload.Invalid, "serial port %q has no path", s)
	}
	for more {
		var pair string
		pair, rest, more = strings.Cut(rest, ",")
		key, value, _ := strings.Cut(pair, "=")
		var err error
		switch key {
		case "model":
			var m *bm.Model
			if m, err = bm.ByName(value); err == nil {
				spec.Model = m.Name
			}
		case "chips":
			spec.Chips, err = between(value, 1, bm.MaxChips)
		case "zero-bits":
			spec.ZeroBits, err = between(value, 1, bm.BaseBits)
		default:
			return spec, workload.Errorf(workload.Invalid, "serial port %q: %q is not known", s, key).Hint("use model, chips and zero-bits, such as /dev/ttyACM1,model=bm1370,chips=1")
		}
		if err != nil {
			return spec, workload.Errorf(workload.Invalid, "serial port %q: %s: %w", s, key, err)
		}
	}
	return spec, nil
}

func between(s string, low, high int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		return 0, workload.Errorf(workload.Invalid, "%q is not a number from %d to %d", s, low, high)
	}
	return n, nil
}

// String is what ParsePort reads.
func (p PortSpec) String() string {
	var b strings.Builder
	b.WriteString(p.Path)
	if p.Model != "" {
		b.WriteString(",model=" + p.Model)
	}
	if p.Chips > 0 {
		b.WriteString(",chips=" + strconv.Itoa(p.Chips))
	}
	if p.ZeroBits > 0 {
		b.WriteString(",zero-bits=" + strconv.Itoa(p.ZeroBits))
	}
	return b.String()
}

// base is how many zero bits a nonce of these chips has at least.
func (p PortSpec) base() int {
	if p.ZeroBits > 0 {
		return p.ZeroBits
	}
	return bm.BaseBits
}

// scaled is a rate of silicon as these chips have it.
func (p PortSpec) scaled(rate uint64) uint64 { return rate >> (bm.BaseBits - p.base()) }
