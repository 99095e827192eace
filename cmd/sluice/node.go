package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
)

func nodeVerb(a *app) *cobra.Command {
	ls := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List nodes: state, devices by use, power",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			defer c.Close()
			return watchList(cmd.Context(), a, c, nodeList(a), func() ([]*sluicev1.Node, error) {
				resp, err := call(cmd.Context(), c, sluicev1.OperatorClient.ListNodes, &sluicev1.ListNodesRequest{})
				return resp.GetNodes(), err
			})
		},
	}
	a.addListFlags(ls)
	a.addWatchFlag(ls)
	show := &cobra.Command{
		Use:   "show NODE",
		Short: "Show one node and its devices",
		Args:  arguments("NODE"),
		RunE:  func(cmd *cobra.Command, args []string) error { return a.nodeShow(cmd.Context(), args[0]) },
	}
	return a.operator(noun("node", "See nodes, and declare one powered off", ls, show, nodeFenceVerb(a)))
}

func nodeList(a *app) list[*sluicev1.Node] {
	type node = *sluicev1.Node
	return list[node]{
		noun: "nodes",
		name: func(n node) string { return n.GetId() },
		columns: []column[node]{
			{name: "id", head: "ID", cell: node.GetId},
			{name: "site", head: "SITE", cell: node.GetSite},
			{name: "hall", head: "HALL", cell: node.GetHall},
			{name: "state", head: "STATE", cell: node.GetState, colour: func(n node) colour { return useColour(n.GetState()) }},
			{name: "devices", head: "DEVICES", num: func(n node) int64 { return n.GetDevices().GetTotal() }},
			{name: "training", head: "TRAINING", num: func(n node) int64 { return n.GetDevices().GetTraining() }},
			{name: "mining", head: "MINING", num: func(n node) int64 { return n.GetDevices().GetMining() }},
			{name: "parked", head: "PARKED", num: func(n node) int64 { return n.GetDevices().GetParked() }},
			{name: "watts", head: "POWER W", num: node.GetWatts, cell: func(n node) string { return known(n.GetWatts()) }},
			{name: "seen", head: "HEARD", cell: func(n node) string { return a.ago(n.GetLastSeenMs()) }, raw: func(n node) string { return stamp(n.GetLastSeenMs()) }},
			{name: "sim", head: "SIM", cell: func(n node) string { return simMark(n.GetSim()) }, raw: func(n node) string { return strconv.FormatBool(n.GetSim()) }},
			{name: "rack", head: "RACK", wide: true, cell: node.GetRack},
			{name: "version", head: "VERSION", wide: true, cell: node.GetVersion},
			{name: "address", head: "ADDRESS", wide: true, cell: node.GetAddress},
		},
	}
}

// driverWords says how a driver fares and what to do about it.
func driverWords(driver, state string, devices int64, text, next string) string {
	s := fmt.Sprintf("%s %s, %d devices", driver, state, devices)
	if text != "" {
		s += ": " + text
	}
	if next != "" && state != string(workload.DriverAbsent) {
		s += "; " + next
	}
	return s
}

// ago shows how long ago an instant of the real clock was. A server's clock may
// be a little ahead of ours.
func (a *app) ago(ms int64) string {
	if ms == 0 {
		return "not yet"
	}
	return span(max(0, a.now().UnixMilli()-ms)) + " ago"
}

func (a *app) nodeShow(ctx context.Context, id string) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	nodes, err := call(ctx, c, sluicev1.OperatorClient.ListNodes, &sluicev1.ListNodesRequest{})
	if err != nil {
		return err
	}
	var node *sluicev1.Node
	var known []string
	for _, n := range nodes.GetNodes() {
		known = append(known, n.GetId())
		if n.GetId() == id {
			node = n
		}
	}
	if node == nil {
		e := workload.Errorf(workload.NotFound, "there is no node %q", id)
		if near := nearest(id, known); near != "" {
			return e.Hint("did you mean %q?", near)
		}
		return e.Hint("sluice node list")
	}
	if !a.forPeople() {
		return showOne(a, node, (*sluicev1.Node).GetId, nil)
	}
	gpus, err := call(ctx, c, sluicev1.OperatorClient.ListGpus, &sluicev1.ListGpusRequest{Node: id})
	if err != nil {
		return err
	}
	l := &lines{a: a}
	l.add("node", "%s  %s%s", node.GetId(), node.GetState(), simWords(node.GetSim()))
	l.add("place", "%s / %s / %s", dash(node.GetSite()), dash(node.GetHall()), dash(node.GetRack()))
	l.add("agent", "%s at %s, heard %s", dash(node.GetVersion()), dash(node.GetAddress()), a.ago(node.GetLastSeenMs()))
	d := node.GetDevices()
	l.add("devices", "%d: %d training, %d mining, %d parked, %d other", d.GetTotal(), d.GetTraining(), d.GetMining(), d.GetParked(), d.GetOther())
	l.add("power", "%s", watts(node.GetWatts()))
	for _, s := range node.GetDrivers() {
		l.add("driver", "%s", driverWords(s.GetDriver(), s.GetState(), s.GetDevices(), s.GetText(), s.GetNext()))
	}
	l.print()
	fmt.Fprintln(a.out)
	currency := gpus.GetCurrency()
	return gpuList(a, &currency).show(a, gpus.GetGpus())
}
