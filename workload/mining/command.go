// Package mining turns a MineOrder into a miner's command line and a miner's
// answers into Stats. It is pure: the agent supplies what only a node knows
// (device, port), and the leader's documents supply the rest, so that one
// golden file shows what a node will run.
package mining

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/workload"
)

// Local is what only the node knows about a miner it starts.
type Local struct {
	Node       workload.NodeID
	DeviceUUID string
	Slot       int
	APIPort    int // on 127.0.0.1
	// Endpoint counts through the order's endpoints, so that a restart after a
	// dead pool tries the next one.
	Endpoint int
}

// placeholders in the order in which errors list them.
var placeholders = []string{"algorithm", "api.port", "coin", "device.slot", "device.uuid", "node", "pool.endpoint", "pool.endpoints", "pool.host", "pool.name", "pool.port", "power.cap", "wallet.address", "watts"}

// Placeholders lists every name that may stand in braces in a miner's command.
func Placeholders() []string { return append([]string(nil), placeholders...) }

// Command expands the placeholders of an order. "{{" stands for a literal
// brace. An unknown placeholder is an error: a miner started with "{walet}" as
// its user would work for nobody.
func Command(order workload.MineOrder, local Local) ([]string, error) {
	if len(order.Command) == 0 || order.Command[0] == "" {
		return nil, workload.Errorf(workload.Invalid, "miner %q has no command", order.Miner)
	}
	values, err := valuesOf(order, local)
	if err != nil {
		return nil, err
	}
	argv := make([]string, len(order.Command))
	for i, arg := range order.Command {
		if argv[i], err = expand(arg, values); err != nil {
			return nil, workload.Errorf(workload.Invalid, "miner %q argument %d: %w", order.Miner, i+1, err)
		}
	}
	return argv, nil
}

func valuesOf(order workload.MineOrder, local Local) (map[string]string, error) {
	if len(order.Endpoints) == 0 {
		return nil, workload.Errorf(workload.Invalid, "pool %q has no endpoint", order.Pool)
	}
	first := max(local.Endpoint, 0) % len(order.Endpoints)
	endpoint := order.Endpoints[first]
	address := endpoint
	if _, rest, ok := strings.Cut(endpoint, "://"); ok {
		address = rest
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, workload.Errorf(workload.Invalid, "endpoint %q of pool %q is not host:port: %w", endpoint, order.Pool, err)
	}
	watts := ""
	if order.PowerCap > 0 {
		watts = strconv.FormatInt(order.PowerCap, 10)
	} else if order.Watts > 0 {
		watts = strconv.FormatInt(order.Watts, 10)
	}
	return map[string]string{
		"algorithm":      order.Algorithm,
		"api.port":       strconv.Itoa(local.APIPort),
		"coin":           string(order.Coin),
		"device.slot":    strconv.Itoa(local.Slot),
		"device.uuid":    local.DeviceUUID,
		"node":           string(local.Node),
		"pool.endpoint":  endpoint,
		"pool.endpoints": strings.Join(slices.Concat(order.Endpoints[first:], order.Endpoints[:first]), ","), // for miners that fail over by themselves
		"pool.host":      host,
		"pool.name":      string(order.Pool),
		"pool.port":      port,
		"power.cap":      strconv.FormatInt(max(order.PowerCap, 0), 10), // 0 = none
		"wallet.address": order.Wallet,
		"watts":          watts,
	}, nil
}

func expand(arg string, values map[string]string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(arg); {
		open := strings.IndexByte(arg[i:], '{')
		if open < 0 {
			b.WriteString(arg[i:])
			break
		}
		b.WriteString(arg[i : i+open])
		i += open
		if strings.HasPrefix(arg[i:], "{{") {
			b.WriteByte('{')
			i += 2
			continue
		}
		end := strings.IndexByte(arg[i:], '}')
		if end < 0 {
			return "", workload.Errorf(workload.Invalid, "%q opens a brace and never closes it", arg).Hint("write {{ for a literal brace")
		}
		name := arg[i+1 : i+end]
		value, ok := values[name]
		if !ok {
			return "", workload.Errorf(workload.Invalid, "placeholder {%s} is not known", name).Hint("use one of %s", strings.Join(placeholders, ", "))
		}
		b.WriteString(value)
		i += end + 1
	}
	return b.String(), nil
}

// Check reports the first placeholder of a command that Command would refuse,
// without needing an order: the validator of Miner documents calls it.
func Check(command []string) error {
	values := make(map[string]string, len(placeholders))
	for _, name := range placeholders {
		values[name] = name
	}
	for _, arg := range command {
		if _, err := expand(arg, values); err != nil {
			return err
		}
	}
	return nil
}

// SameProcess reports whether two orders run the same process, so that a newer
// grant of equal work needs no restart. What the profile expects of the device
// does not reach the process and is left out.
func SameProcess(a, b workload.MineOrder) bool {
	return a.Coin == b.Coin && a.Algorithm == b.Algorithm && a.Pool == b.Pool && a.Wallet == b.Wallet && a.Miner == b.Miner &&
		a.PowerCap == b.PowerCap && slices.Equal(a.Endpoints, b.Endpoints) && slices.Equal(a.Command, b.Command) &&
		(!uses(a.Command, "{watts}") || a.Watts == b.Watts)
}

func uses(command []string, placeholder string) bool {
	for _, arg := range command {
		if strings.Contains(arg, placeholder) {
			return true
		}
	}
	return false
}
