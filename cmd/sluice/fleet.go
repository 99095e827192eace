package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-project/sluice/agent"
	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/sim"
	"github.com/sluice-project/sluice/workload"
)

// fleet is what a demo runs on.
type fleet struct {
	devices int
	parts   []string
	real    string            // what was found of real hardware
	example workload.DeviceID // one to look at
}

func (f fleet) describe() string {
	if len(f.parts) == 0 {
		return "no simulated devices"
	}
	return strings.Join(f.parts, ", ")
}

// knownModels are the models that can be simulated by name.
var knownModels = map[string]sim.Model{
	"RTX 3080": {Name: "RTX 3080", Kind: workload.GPU, Memory: 10 << 30, Idle: 22},
	"RTX 3070": {Name: "RTX 3070", Kind: workload.GPU, Memory: 8 << 30, Idle: 15},
	"V100":     {Name: "V100", Kind: workload.GPU, Memory: 16 << 30, Idle: 30},
	"S19j Pro": {Name: "S19j Pro", Kind: workload.ASIC, Idle: 20},
}

// parseModels reads "4xRTX 3080".
func parseModels(specs []string) ([]sim.Model, error) {
	var out []sim.Model
	for _, s := range specs {
		count, name, ok := strings.Cut(s, "x")
		n, err := strconv.Atoi(count)
		m, known := knownModels[name]
		if !ok || err != nil || n < 1 || n > 512 || !known {
			return nil, usagef("--sim %q is not COUNTxMODEL with a model of RTX 3080, RTX 3070, V100, S19j Pro", s)
		}
		m.Count = n
		out = append(out, m)
	}
	return out, nil
}

// startAgents runs an agent for each simulated node and, where this machine has
// hardware that a driver finds, one for the machine itself.
func (d *dev) startAgents(ctx context.Context, run func(func(context.Context) error)) (fleet, error) {
	var f fleet
	start := func(node, hall string, drivers ...device.Driver) error {
		token, err := d.server.IssueToken(ctx, "node", node, nil, time.Minute, "dev")
		if err != nil {
			return err
		}
		conf := agent.Config{Node: workload.NodeID(node), Site: "demo", Hall: workload.HallName(hall), Rack: "r1", Address: "127.0.0.1",
			Version: buildVersion(), DataDir: filepath.Join(d.dir, "nodes", node), Servers: []string{d.server.GRPCAddr()}, Drivers: drivers,
			StopWorkloadsOnExit: true, Log: d.log.With("node", node)}
		run(func(ctx context.Context) error { return runAgent(ctx, conf, token) })
		return nil
	}
	add := func(node, hall string, model sim.Model, count int) error {
		model.Count = count
		f.devices += count
		if f.example == "" {
			f.example = workload.NewDeviceID(workload.NodeID(node), 0)
		}
		return start(node, hall, sim.New(sim.Config{Name: node, Models: []sim.Model{model}}))
	}
	for i := range d.o.nodes {
		model := "RTX 3080"
		if i%2 == 1 && i > 1 {
			model = "RTX 3070"
		}
		if err := add(fmt.Sprintf("n%02d", i+1), "air", knownModels[model], d.o.gpus); err != nil {
			return f, err
		}
	}
	if d.o.nodes*d.o.gpus > 0 {
		f.parts = append(f.parts, fmt.Sprintf("%d simulated nodes with %d GPUs each", d.o.nodes, d.o.gpus))
	}
	if d.o.asics > 0 {
		if err := add("a01", "tank", knownModels["S19j Pro"], d.o.asics); err != nil {
			return f, err
		}
		f.parts = append(f.parts, fmt.Sprintf("%d simulated ASICs", d.o.asics))
	}
	return f, d.addLocal(ctx, &f, start)
}

// addLocal looks for real GPUs. None found is said, and is no error.
func (d *dev) addLocal(ctx context.Context, f *fleet, start func(string, string, ...device.Driver) error) error {
	drivers := realDrivers()
	n := 0
	for _, driver := range drivers {
		found, err := driver.Discover(ctx)
		if err != nil {
			f.real = err.Error()
		}
		n += len(found)
	}
	if n == 0 {
		for _, driver := range drivers {
			driver.Close()
		}
		return nil
	}
	f.real = fmt.Sprintf("%d real ones on node local; they stay parked until a DeviceProfile names their model", n)
	f.devices += n
	if f.example == "" {
		f.example = "local/0"
	}
	return start("local", "air", drivers...)
}
