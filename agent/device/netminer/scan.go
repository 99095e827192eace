package netminer

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// Limits of a scan: an operator names what to scan, and it stays within that.
const (
	scanParallel = 256
	scanRate     = 400 // addresses begun per second
	scanMax      = 65_536
)

// Targets reads addresses and CIDR ranges separated by commas, as an operator
// writes them. Names are not resolved: a scan goes where it is told, nowhere
// else. Invalid: a word is neither, or all are more than 65,536 addresses.
func Targets(list ...string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, word := range strings.FieldsFunc(strings.Join(list, ","), func(c rune) bool { return c == ',' || c == ' ' }) {
		if addr, err := netip.ParseAddr(word); err == nil {
			out = append(out, addr.Unmap())
			continue
		}
		prefix, err := netip.ParsePrefix(word)
		if err != nil {
			return nil, workload.Errorf(workload.Invalid, "%q is neither an address nor a CIDR range", word).Hint("write 192.0.2.17 or 192.0.2.0/24")
		}
		if bits := prefix.Addr().BitLen() - prefix.Bits(); bits > 16 {
			return nil, workload.Errorf(workload.Invalid, "%s holds more than %d addresses", word, scanMax).Hint("name the ranges that hold miners")
		}
		hosts := hostsOf(prefix.Masked())
		out = append(out, hosts...)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	out = slices.Compact(out)
	if len(out) > scanMax {
		return nil, workload.Errorf(workload.Invalid, "%d addresses are more than %d", len(out), scanMax)
	}
	return out, nil
}

// hostsOf leaves out the network's own address and the broadcast address.
func hostsOf(p netip.Prefix) []netip.Addr {
	var out []netip.Addr
	for a := p.Addr(); p.Contains(a); a = a.Next() {
		out = append(out, a)
		if !a.Next().IsValid() {
			break
		}
	}
	if p.Addr().Is4() && p.Bits() <= 30 {
		out = out[1 : len(out)-1]
	}
	return out
}

// Found is one address at which something answers.
type Found struct {
	Addr netip.Addr `json:"addr"`
	Identity
	Err error `json:"-"` // it answers, but is no miner we know
}

// Scan identifies every address, at most 256 at once and 400 a second, and
// tells of each that answers. It sends no login.
func Scan(ctx context.Context, addrs []netip.Addr, ports Ports, found func(Found)) error {
	limit := make(chan struct{}, scanParallel)
	pace := time.NewTicker(time.Second / scanRate)
	defer pace.Stop()
	var wg sync.WaitGroup
	var mu sync.Mutex
	defer wg.Wait()
	for _, addr := range addrs {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pace.C:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case limit <- struct{}{}:
		}
		wg.Go(func() {
			defer func() { <-limit }()
			id, err := Identify(ctx, addr.String(), ports)
			if err != nil && workload.KindOf(err) == workload.Unavailable {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			found(Found{Addr: addr, Identity: id, Err: err})
		})
	}
	return nil
}
