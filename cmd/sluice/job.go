package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
)

func jobVerb(a *app) *cobra.Command {
	var all bool
	ls := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls", "ps"},
		Short:   "List jobs, and why each is where it is",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			defer c.Close()
			var currency string
			return watchList(cmd.Context(), a, c, jobList(a, &currency), func() ([]*sluicev1.Job, error) {
				resp, err := call(cmd.Context(), c, sluicev1.OperatorClient.ListJobs, &sluicev1.ListJobsRequest{All: all})
				currency = resp.GetCurrency()
				return resp.GetJobs(), err
			})
		},
	}
	ls.Flags().BoolVarP(&all, "all", "a", false, "finished jobs too")
	a.addListFlags(ls)
	a.addWatchFlag(ls)
	show := &cobra.Command{
		Use:   "show JOB",
		Short: "Show one job, its attempts and its document",
		Args:  arguments("JOB"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			defer c.Close()
			j, err := call(cmd.Context(), c, sluicev1.OperatorClient.GetJob, &sluicev1.GetJobRequest{Id: args[0]})
			if err != nil {
				return err
			}
			return showOne(a, j, (*sluicev1.Job).GetId, a.showJob)
		},
	}
	return a.operator(noun("job", "Submit, watch and cancel jobs", submitVerb(a), ls, show, logsVerb(a), cancelVerb(a), waitVerb(a)))
}

func jobList(a *app, currency *string) list[*sluicev1.Job] {
	type job = *sluicev1.Job
	return list[job]{
		noun:     "jobs",
		currency: currency,
		name:     func(j job) string { return j.GetId() },
		columns: []column[job]{
			{name: "id", head: "ID", cell: job.GetId},
			{name: "name", head: "NAME", cell: job.GetName},
			{name: "tenant", head: "TENANT", cell: job.GetTenant},
			{name: "phase", head: "PHASE", cell: job.GetPhase, colour: func(j job) colour { return useColour(j.GetPhase()) }},
			{name: "gpus", head: "GPUS", num: job.GetGpus},
			{name: "width", head: "HOLDS", num: job.GetWidth},
			{name: "bid", head: "BID CUR/GPU-h", csv: "bid_micro_per_hour", num: job.GetBidMicroPerHour, cell: func(j job) string { return workload.Decimal(j.GetBidMicroPerHour(), 4) }},
			{name: "submitted", head: "SUBMITTED", cell: func(j job) string { return a.at(j.GetSubmittedMs()) }, raw: func(j job) string { return stamp(j.GetSubmittedMs()) }},
			{name: "reason", head: "REASON", cell: func(j job) string { return dash(j.GetReason().GetCode()) }, raw: func(j job) string { return j.GetReason().GetCode() }},
			{name: "started", head: "STARTED", wide: true, cell: func(j job) string { return a.at(j.GetStartedMs()) }, raw: func(j job) string { return stamp(j.GetStartedMs()) }},
			{name: "ended", head: "ENDED", wide: true, cell: func(j job) string { return a.at(j.GetEndedMs()) }, raw: func(j job) string { return stamp(j.GetEndedMs()) }},
			{name: "exit", head: "EXIT", wide: true, num: func(j job) int64 { return int64(j.GetExitCode()) }},
			{name: "attempts", head: "ATTEMPTS", wide: true, num: func(j job) int64 { return int64(len(j.GetAttempts())) }},
			{name: "progress", head: "PROGRESS", wide: true, cell: func(j job) string { return dash(progressWords(j.GetProgress())) }, raw: func(j job) string { return progressWords(j.GetProgress()) }},
			{name: "models", head: "MODELS", wide: true, cell: func(j job) string { return dash(strings.Join(j.GetModels(), ",")) }, raw: func(j job) string { return strings.Join(j.GetModels(), ",") }},
			{name: "actor", head: "ACTOR", wide: true, cell: job.GetActor},
			{name: "why", head: "WHY", wide: true, cell: func(j job) string { return sentence(j.GetReason(), *currency) }},
		},
	}
}

func progressWords(p *sluicev1.Progress) string {
	var parts []string
	switch {
	case p.GetSteps() > 0:
		parts = append(parts, fmt.Sprintf("step %d of %d", p.GetStep(), p.GetSteps()))
	case p.GetStep() > 0:
		parts = append(parts, fmt.Sprintf("step %d", p.GetStep()))
	}
	if p.GetNote() != "" {
		parts = append(parts, p.GetNote())
	}
	return strings.Join(parts, ", ")
}

// reasonWords is the code and the sentence of a reason, or nothing.
func reasonWords(r *sluicev1.Reason) string {
	if r.GetCode() == "" {
		return r.GetText()
	}
	return r.GetCode() + "  " + sentence(r, "")
}

func (a *app) showJob(j *sluicev1.Job) {
	l := &lines{a: a}
	l.add("job", "%s %s  %s  %s", j.GetId(), j.GetName(), strings.ToUpper(j.GetPhase()), reasonWords(j.GetReason()))
	l.add("tenant", "%s, submitted by %s at %s", j.GetTenant(), dash(j.GetActor()), a.at(j.GetSubmittedMs()))
	models := "any model"
	if len(j.GetModels()) > 0 {
		models = strings.Join(j.GetModels(), " or ")
	}
	l.add("gang", "%s of %s, holds %d, bids %s per GPU-h", count(j.GetGpus(), "GPU"), models, j.GetWidth(), workload.Decimal(j.GetBidMicroPerHour(), 4))
	if p := progressWords(j.GetProgress()); p != "" {
		l.add("progress", "%s", p)
	}
	if j.GetStartedMs() != 0 {
		l.add("started", "%s", a.at(j.GetStartedMs()))
	}
	if j.GetEndedMs() != 0 {
		l.add("ended", "%s, exit code %d", a.at(j.GetEndedMs()), j.GetExitCode())
	}
	for _, at := range j.GetAttempts() {
		text := fmt.Sprintf("%d  %s  %s  %s", at.GetNumber(), at.GetPhase(), a.at(first2(at.GetStartedMs(), at.GetCreatedMs())), strings.Join(at.GetDevices(), " "))
		if at.GetEndedMs() != 0 {
			text += fmt.Sprintf("  ended %s, exit code %d", a.at(at.GetEndedMs()), at.GetExitCode())
		}
		if r := reasonWords(at.GetReason()); r != "" {
			text += "  " + r
		}
		l.add("attempt", "%s", text)
	}
	l.print()
	if j.GetSpecYaml() != "" {
		fmt.Fprintln(a.out)
		for line := range strings.Lines(j.GetSpecYaml()) {
			fmt.Fprintf(a.out, "  %s\n", clean(strings.TrimRight(line, "\r\n")))
		}
	}
}

func first2(a, b int64) int64 {
	if a != 0 {
		return a
	}
	return b
}
