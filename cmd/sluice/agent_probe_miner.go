package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/agent/device/netminer"
	"github.com/sluice-project/sluice/workload"
)

// probed is the answer about one device: what it said, and what the agent
// would make of it.
type probed struct {
	Address string             `json:"address,omitempty"`
	File    string             `json:"file,omitempty"`
	Found   *netminer.Identity `json:"found,omitempty"`
	Device  *workload.Device   `json:"device,omitempty"`
	Sample  *workload.Sample   `json:"sample,omitempty"`
	Report  *netminer.Report   `json:"report,omitempty"`
	Control bool               `json:"control"` // Sluice can steer this family
	Error   string             `json:"error,omitempty"`
}

// minerFlags are how miners are reached.
type minerFlags struct{ ports, logins string }

func (m *minerFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&m.ports, "miner-ports", "", "ports of the cgminer API, HTTP, HTTPS and btminer API 3; default 4028,80,443,4433")
	f.StringVar(&m.logins, "miner-logins", "", "file of lines \"FAMILY|ADDRESS|CIDR USER PASSWORD\"; without it miners are only read")
}

func (m *minerFlags) parse() (netminer.Ports, netminer.Logins, error) {
	ports, err := netminer.ParsePorts(m.ports)
	if err != nil || m.logins == "" {
		return ports, nil, err
	}
	info, err := os.Stat(m.logins)
	if err != nil {
		return ports, nil, workload.Errorf(workload.Invalid, "logins: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return ports, nil, workload.Errorf(workload.Denied, "%s can be read by others", m.logins).Hint("chmod 600 %s", m.logins)
	}
	text, err := os.ReadFile(m.logins)
	if err != nil {
		return ports, nil, workload.Errorf(workload.Invalid, "logins: %w", err)
	}
	logins, err := netminer.ParseLogins(string(text))
	if err != nil {
		return ports, nil, workload.Errorf(workload.Invalid, "%s: %w", m.logins, err)
	}
	return ports, logins, nil
}

// probeFlags are what is asked of miners.
type probeFlags struct {
	minerFlags
	replay      []string
	one, models bool
}

func (p *probeFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&p.replay, "replay", nil, "recorded reply to read instead; repeat for more")
	f.BoolVar(&p.one, "one", false, "all recorded replies are of one device")
	f.BoolVar(&p.models, "models", false, "list the families of miners, and what can be read and set on each")
	p.minerFlags.add(cmd)
}

func (a *app) probeMiners(ctx context.Context, args []string, p probeFlags) error {
	switch {
	case p.models:
		return a.showAbilities()
	case len(p.replay) > 0 && len(args) > 0:
		return usagef("give addresses or --replay, not both")
	case len(p.replay) > 0:
		return a.showProbed(probeFiles(p.replay, p.one))
	case len(args) == 0:
		return usagef("nothing to probe").Hint("give an address, a CIDR range or --replay FILE")
	}
	list, err := probeAddresses(ctx, args, p.minerFlags)
	if err != nil {
		return err
	}
	return a.showProbed(list)
}

func probeFiles(files []string, one bool) []probed {
	var list []probed
	var bodies [][]byte
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			list = append(list, probed{File: file, Error: err.Error()})
			continue
		}
		if bodies = append(bodies, body); !one {
			list = append(list, probedReport(probed{File: file}, "", body))
		}
	}
	if one && len(bodies) > 0 {
		list = append(list, probedReport(probed{File: strings.Join(files, " ")}, "", bodies...))
	}
	return list
}

func probedReport(p probed, address string, bodies ...[]byte) probed {
	r, err := netminer.Parse(bodies...)
	if err != nil {
		p.Error = err.Error()
		return p
	}
	return p.tell(r, address, 0)
}

func (p probed) tell(r netminer.Report, address string, at workload.Instant) probed {
	device, sample := r.Device(address), r.Sample(at)
	p.Report, p.Device, p.Sample, p.Control = &r, &device, &sample, r.Family.Controllable()
	return p
}

func probeAddresses(ctx context.Context, args []string, flags minerFlags) ([]probed, error) {
	addrs, err := netminer.Targets(args...)
	if err != nil {
		return nil, err
	}
	ports, logins, err := flags.parse()
	if err != nil {
		return nil, err
	}
	var found []netminer.Found
	if err := netminer.Scan(ctx, addrs, ports, func(f netminer.Found) { found = append(found, f) }); err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(x, y netminer.Found) int { return x.Addr.Compare(y.Addr) })
	list := make([]probed, len(found))
	for i, f := range found {
		list[i] = probed{Address: f.Addr.String()}
		if f.Err != nil {
			list[i].Error = f.Err.Error()
			continue
		}
		list[i].Found = &f.Identity
		r, err := netminer.NewMiner(f.Addr.String(), ports, f.Identity, logins.For(f.Addr, f.Family)).Read(ctx)
		if err != nil {
			list[i].Error = err.Error()
			continue
		}
		list[i] = list[i].tell(r, f.Addr.String(), workload.Instant(time.Now().UnixMilli()))
	}
	if len(list) == 0 {
		return nil, workload.Errorf(workload.NotFound, "nothing answers at %s", strings.Join(args, ", "))
	}
	return list, nil
}

func (a *app) showProbed(list []probed) error {
	var err error
	if !a.forPeople() {
		err = a.encode(list, len(list) == 1)
	} else {
		err = a.probedTable(list)
	}
	for _, p := range list {
		if err == nil && p.Error != "" && len(list) == 1 {
			return workload.Errorf(workload.Invalid, "%s: %s", first(p.Address, p.File), p.Error)
		}
	}
	return err
}

func (a *app) probedTable(list []probed) error {
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "WHERE\tFAMILY\tMODEL\tFIRMWARE\tSTATE\tHASHRATE\tWATTS\tTEMP\tERRORS\tCONTROL")
	for _, p := range list {
		where := first(p.Address, p.File)
		if p.Report == nil {
			fmt.Fprintf(w, "%s\t%s\n", where, p.Error)
			continue
		}
		r := p.Report
		hash, watts, temp, control := "-", "-", "-", "no"
		if r.Hashrate != nil {
			hash = fmt.Sprintf("%s %s", r.Hashrate.Text, r.Hashrate.Unit)
		}
		if r.Power != nil {
			watts = fmt.Sprint(r.Power.Watts)
			if r.Power.Estimated {
				watts = "~" + watts
			}
		}
		if t, ok := r.Hottest(); ok {
			temp = fmt.Sprintf("%d.%d", t/1000, t%1000/100)
		}
		if p.Control {
			control = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", where, r.Family, first(r.Model, "-"), strings.TrimSpace(r.Firmware+" "+r.Version), first(string(r.State), "-"), hash, watts, temp, len(r.Errors), control)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range list {
		if p.Report == nil {
			continue
		}
		for _, x := range p.Report.Warnings {
			fmt.Fprintf(a.err, "%s: %s %s: %s\n", first(p.Address, p.File), x.Field, x.Value, x.Reason)
		}
	}
	return nil
}

// encode writes a list as JSON or in what JSON turns into; a lone answer
// without the list around it.
func (a *app) encode(list any, lone bool) error {
	raw, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if lone {
		raw = raw[1 : len(raw)-1]
	}
	return a.showJSON(raw)
}

func (a *app) showAbilities() error {
	if !a.forPeople() {
		return a.encode(netminer.Abilities(), false)
	}
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "FAMILY\tMAKE\tFIRMWARE\tREAD\tSLEEP\tPOWER\tPOOLS\tLOGIN")
	dash := func(s string) string { return first(s, "-") }
	for _, x := range netminer.Abilities() {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Family, x.Make, x.Firmware, x.Read, dash(x.Sleep), dash(x.Power), dash(x.Pools), dash(x.Login))
	}
	return w.Flush()
}
