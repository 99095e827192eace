package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
)

func gpuVerb(a *app) *cobra.Command {
	var node string
	ls := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List devices: what each does, earns and draws, and why",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			defer c.Close()
			var currency string
			return watchList(cmd.Context(), a, c, gpuList(a, &currency), func() ([]*sluicev1.Gpu, error) {
				resp, err := call(cmd.Context(), c, sluicev1.OperatorClient.ListGpus, &sluicev1.ListGpusRequest{Node: node})
				currency = resp.GetCurrency()
				return resp.GetGpus(), err
			})
		},
	}
	ls.Flags().StringVar(&node, "node", "", "only those of one node")
	a.addListFlags(ls)
	a.addWatchFlag(ls)
	return a.operator(noun("gpu", "See devices: GPUs and ASICs", ls))
}

// gpuList shows devices.
func gpuList(a *app, currency *string) list[*sluicev1.Gpu] {
	type gpu = *sluicev1.Gpu
	return list[gpu]{
		noun:     "devices",
		currency: currency,
		name:     func(g gpu) string { return g.GetId() },
		columns: []column[gpu]{
			{name: "id", head: "ID", cell: gpu.GetId},
			{name: "model", head: "MODEL", cell: gpu.GetModel},
			{name: "use", head: "USE", cell: gpu.GetUse, colour: func(g gpu) colour { return useColour(g.GetUse()) }},
			{name: "coin", head: "COIN", cell: func(g gpu) string { return dash(g.GetCoin()) }, raw: gpu.GetCoin},
			{name: "job", head: "JOB", cell: func(g gpu) string { return dash(g.GetJob()) }, raw: gpu.GetJob},
			{name: "reason", head: "REASON", cell: gpu.GetReason},
			{name: "watts", head: "POWER W", num: gpu.GetWatts, cell: func(g gpu) string { return known(g.GetWatts()) }},
			{name: "net", head: "NET CUR/h", csv: "net_micro_per_hour", num: func(g gpu) int64 { return g.GetMoneyPerHour().GetNet() }, cell: func(g gpu) string {
				if g.GetMoneyPerHour() == nil {
					return unknown
				}
				return workload.Decimal(g.GetMoneyPerHour().GetNet(), 4)
			}},
			{name: "sim", head: "SIM", cell: func(g gpu) string { return simMark(g.GetSim()) }, raw: func(g gpu) string { return strconv.FormatBool(g.GetSim()) }},

			{name: "node", head: "NODE", wide: true, cell: gpu.GetNode},
			{name: "kind", head: "KIND", wide: true, cell: gpu.GetKind},
			{name: "site", head: "SITE", wide: true, cell: gpu.GetSite},
			{name: "hall", head: "HALL", wide: true, cell: gpu.GetHall},
			{name: "rack", head: "RACK", wide: true, cell: gpu.GetRack},
			{name: "health", head: "HEALTH", wide: true, cell: gpu.GetHealth, colour: func(g gpu) colour { return useColour(g.GetHealth()) }},
			{name: "fault", head: "FAULT", wide: true, cell: func(g gpu) string { return dash(g.GetHealthCode()) }, raw: gpu.GetHealthCode},
			{name: "foreign", head: "FOREIGN", wide: true, cell: func(g gpu) string { return dash(g.GetForeign()) }, raw: gpu.GetForeign},
			{name: "assigned", head: "ASSIGNED", wide: true, cell: gpu.GetAssigned},
			{name: "option", head: "OPTION", wide: true, cell: func(g gpu) string { return dash(g.GetOption()) }, raw: gpu.GetOption},
			{name: "since", head: "SINCE", wide: true, cell: func(g gpu) string { return a.at(g.GetSinceMs()) }, raw: func(g gpu) string { return stamp(g.GetSinceMs()) }},
			{name: "hashrate", head: "HASHRATE", csv: "hashrate_milli_per_s", wide: true, num: gpu.GetHashrate, cell: func(g gpu) string {
				if g.GetHashrate() <= 0 {
					return unknown
				}
				return workload.FormatHashrate(g.GetHashrate())
			}},
			{name: "temperature", head: "TEMP C", csv: "temperature_milli_c", wide: true, num: gpu.GetTemperatureMilliC, cell: func(g gpu) string {
				if g.GetTemperatureMilliC() < 0 {
					return unknown
				}
				return workload.Decimal(g.GetTemperatureMilliC()*1000, 1)
			}},
			{name: "memory", head: "MEMORY GiB", csv: "memory_bytes", wide: true, num: gpu.GetMemory, cell: func(g gpu) string { return strconv.FormatInt(g.GetMemory()>>30, 10) }},
			{name: "accepted", head: "SHARES", wide: true, num: gpu.GetSharesAccepted, cell: func(g gpu) string { return known(g.GetSharesAccepted()) }},
			{name: "rejected", head: "REJECTED", wide: true, num: gpu.GetSharesRejected, cell: func(g gpu) string { return known(g.GetSharesRejected()) }},
			{name: "epoch", head: "EPOCH", wide: true, num: func(g gpu) int64 { return int64(g.GetEpoch()) }},
			{name: "uuid", head: "UUID", wide: true, cell: gpu.GetUuid},
			{name: "why", head: "WHY", wide: true, cell: func(g gpu) string {
				text := sentence(&sluicev1.Reason{Code: g.GetReason(), Text: g.GetReasonText(), Figures: g.GetReasonFigures()}, *currency)
				if g.GetNote() != "" {
					text += "; " + g.GetNote()
				}
				return text
			}},
		},
	}
}
