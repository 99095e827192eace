package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/sim"
	"github.com/sluice-project/sluice/workload"
)

// machine is what "agent devices" tells.
type machine struct {
	Drivers  []workload.DriverStatus `json:"drivers"`
	Devices  []seenDevice            `json:"devices"`
	Supports []supported             `json:"supports"`
}

type seenDevice struct {
	workload.Device
	Sample    workload.Sample `json:"sample"`
	Processes []int           `json:"processes,omitempty"`
	Traits    []device.Trait  `json:"traits,omitempty"`
	Abilities []string        `json:"abilities,omitempty"`
}

type supported struct {
	Driver string `json:"driver"`
	device.Support
}

func agentDevices(a *app) *cobra.Command {
	var simulate []string
	var supports bool
	cmd := &cobra.Command{
		Use: "devices", Short: "Show what the drivers see on this machine, and how they fare", Args: arguments(),
		Long: "Show what the drivers see on this machine, and how they fare. Nothing is changed,\n" +
			"and no server is asked. A driver that cannot work says why and what to do.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.checkView(); err != nil {
				return err
			}
			drivers := realDrivers()
			if len(simulate) > 0 {
				models, err := parseModels(simulate)
				if err != nil {
					return err
				}
				drivers = append(drivers, sim.New(sim.Config{Name: "local", Models: models}))
			}
			if supports {
				return a.showSupports(catalogue(drivers))
			}
			m, err := look(cmd.Context(), drivers)
			if err != nil {
				return err
			}
			return a.showMachine(m)
		},
	}
	cmd.Flags().StringArrayVar(&simulate, "sim", nil, "simulated devices, as COUNTxMODEL")
	cmd.Flags().BoolVar(&supports, "supported", false, "list what hardware the drivers support, and their abilities")
	a.addViewFlags(cmd)
	return cmd
}

// look asks every driver once.
func look(ctx context.Context, drivers []device.Driver) (machine, error) {
	set := device.NewSet("local", drivers, nil, 0)
	m := machine{Supports: catalogue(drivers), Devices: []seenDevice{}}
	for _, s := range set.Discover(ctx) {
		m.Drivers = append(m.Drivers, s.Report())
	}
	for _, d := range set.Devices() {
		seen := seenDevice{Device: d}
		var err error
		if seen.Sample, err = set.Sample(ctx, d.ID); err != nil && seen.Note == "" {
			seen.Note = err.Error()
		}
		seen.Processes, _ = set.Processes(ctx, d.ID)
		seen.Traits = set.Traits(ctx, d.ID)
		if driver, ok := set.Driver(d.ID); ok {
			seen.Abilities = device.Abilities(driver)
		}
		m.Devices = append(m.Devices, seen)
	}
	return m, errors.Join(ctx.Err(), set.Close())
}

func catalogue(drivers []device.Driver) []supported {
	list := []supported{}
	for _, d := range drivers {
		if c, ok := d.(device.Catalogue); ok {
			for _, s := range c.Supports() {
				list = append(list, supported{d.Name(), s})
			}
		}
	}
	return list
}

func (a *app) showMachine(m machine) error {
	switch a.view.format {
	case "table", "wide":
	case "name":
		for _, d := range m.Devices {
			fmt.Fprintln(a.out, clean(d.UUID))
		}
		return nil
	case "csv":
		return usagef("-o csv is for lists").Hint("-o json has every field")
	default:
		raw, err := json.Marshal(m)
		if err != nil {
			return err
		}
		return a.showJSON(raw)
	}
	l := &lines{a: a}
	for _, s := range m.Drivers {
		next := s.Next
		if next != "" {
			next = "; " + next
		}
		text := s.Text
		if text != "" {
			text = ": " + text
		}
		l.add(s.Driver, "%s, %d devices%s%s", s.State, s.Devices, text, next)
	}
	l.print()
	if len(m.Devices) == 0 {
		return nil
	}
	fmt.Fprintln(a.out)
	rows := [][]cell{{{text: "UUID", colour: bold}, {text: "MODEL", colour: bold}, {text: "DRIVER", colour: bold}, {text: "HEALTH", colour: bold}, {text: "POWER W", right: true, colour: bold},
		{text: "TEMP C", right: true, colour: bold}, {text: "LOAD %", right: true, colour: bold}, {text: "PROCESSES", right: true, colour: bold}, {text: "NOTE", colour: bold}}}
	for _, d := range m.Devices {
		note := d.Note
		if d.Code != "" {
			note = d.Code + ": " + note
		}
		rows = append(rows, []cell{{text: clean(d.UUID)}, {text: clean(string(d.Model))}, {text: d.Driver}, {text: string(d.Health), colour: useColour(string(d.Health))},
			{text: known(d.Sample.Watts), right: true}, {text: scaled(d.Sample.MilliC, 1000), right: true}, {text: scaled(int64(d.Sample.Utilisation), 10_000), right: true},
			{text: fmt.Sprint(len(d.Processes)), right: true}, {text: clean(note)}})
	}
	a.table(rows)
	if a.view.format == "wide" {
		for _, d := range m.Devices {
			fmt.Fprintf(a.out, "\n%s can %s\n", clean(d.UUID), strings.Join(d.Abilities, ", "))
			for _, t := range d.Traits {
				fmt.Fprintf(a.out, "  %-14s %s\n", t.Name, clean(t.Value))
			}
		}
	}
	return nil
}

// scaled shows a figure in larger units, or that it is not known.
func scaled(v, unit int64) string {
	if v < 0 {
		return unknown
	}
	return fmt.Sprint(v / unit)
}

func (a *app) showSupports(list []supported) error {
	if !a.forPeople() {
		raw, err := json.Marshal(list)
		if err != nil {
			return err
		}
		return a.showJSON(raw)
	}
	rows := [][]cell{{{text: "DRIVER", colour: bold}, {text: "HARDWARE", colour: bold}, {text: "ABILITIES", colour: bold}, {text: "READS", colour: bold}}}
	for _, s := range list {
		rows = append(rows, []cell{{text: s.Driver}, {text: s.Hardware}, {text: strings.Join(s.Abilities, " ")}, {text: strings.Join(s.Reads, " ")}})
	}
	a.table(rows)
	for _, s := range list {
		if s.Note != "" {
			fmt.Fprintf(a.out, "%s: %s\n", s.Driver, s.Note)
		}
	}
	return nil
}
