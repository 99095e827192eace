package netminer

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/workload"
)

// Logins says with which login a device is steered. Without an entry a device
// is only read: no password is ever guessed, not even the maker's.
type Logins []LoginRule

// LoginRule is one line: what it is for, and the login.
type LoginRule struct {
	Family Family       // or ""
	Prefix netip.Prefix // or zero
	Login  Login
}

// ParseLogins reads lines of "FAMILY|ADDRESS|CIDR USER PASSWORD"; # begins a
// comment. Of several that fit, the longest prefix counts, then the first.
func ParseLogins(text string) (Logins, error) {
	var out Logins
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) != 3 {
			return nil, workload.Errorf(workload.Invalid, "line %d: want what it is for, a user and a password", i+1)
		}
		rule := LoginRule{Login: Login{words[1], words[2]}}
		if addr, err := netip.ParseAddr(words[0]); err == nil {
			rule.Prefix = netip.PrefixFrom(addr, addr.BitLen())
		} else if prefix, err := netip.ParsePrefix(words[0]); err == nil {
			rule.Prefix = prefix.Masked()
		} else if f := Family(words[0]); f.Controllable() {
			rule.Family = f
		} else {
			return nil, workload.Errorf(workload.Invalid, "line %d: %q is no address, no range and no family that can be steered", i+1, words[0])
		}
		out = append(out, rule)
	}
	return out, nil
}

// For finds the login of a device; an empty one reads only.
func (l Logins) For(addr netip.Addr, family Family) Login {
	best, login := -1, Login{}
	for _, r := range l {
		bits := 0
		switch {
		case r.Family != "" && r.Family != family:
			continue
		case r.Prefix.IsValid() && !r.Prefix.Contains(addr):
			continue
		case r.Prefix.IsValid():
			bits = r.Prefix.Bits() + 1
		}
		if bits > best {
			best, login = bits, r.Login
		}
	}
	return login
}

// String writes ports as ParsePorts reads them.
func (p Ports) String() string { return fmt.Sprintf("%d,%d,%d,%d", p.RPC, p.Web, p.TLS, p.V3) }

// ParsePorts reads up to four numbers with commas: cgminer API, HTTP, HTTPS
// and btminer API 3. What is left out is the usual port.
func ParsePorts(text string) (Ports, error) {
	var p Ports
	if text == "" {
		return p, nil
	}
	to := []*int{&p.RPC, &p.Web, &p.TLS, &p.V3}
	words := strings.Split(text, ",")
	if len(words) > len(to) {
		return p, workload.Errorf(workload.Invalid, "ports %q: at most four", text)
	}
	for i, w := range words {
		n, err := strconv.Atoi(strings.TrimSpace(w))
		if err != nil || n < 0 || n > 65535 {
			return p, workload.Errorf(workload.Invalid, "ports %q: %q is no port", text, w)
		}
		*to[i] = n
	}
	return p, nil
}
