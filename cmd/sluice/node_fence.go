package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/proto/sluicev1"
)

func nodeFenceVerb(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "fence NODE",
		Short: "Declare a node powered off: its jobs may start elsewhere at once",
		Long: "Declare a node powered off. Its jobs end there as lost at once, instead of when\n" +
			"their leases have run out, and may start elsewhere. Say it only of a machine that\n" +
			"you know is off: where it is not, two copies of a job may run until it is heard\n" +
			"again and stopped. Its devices are used again when it registers after a reboot.\n\n" +
			"Refused while the node is heard.",
		Args: arguments("NODE"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.fence(cmd.Context(), args[0], yes) },
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (a *app) fence(ctx context.Context, node string, yes bool) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	now, err := callCluster(ctx, c, sluicev1.ClusterClient.FenceNode, &sluicev1.FenceNodeRequest{Node: node, Preview: true})
	if err != nil {
		return err
	}
	if !yes {
		fmt.Fprintf(a.err, "node %s is %s; what may run there:\n", clean(now.GetNode()), now.GetState())
		for _, r := range now.GetRanks() {
			fmt.Fprintf(a.err, "  %s\n", clean(rankWords(r)))
		}
		if len(now.GetRanks()) == 0 {
			fmt.Fprintln(a.err, "  nothing")
		}
		if err := a.confirm(ctx, fmt.Sprintf("Is %s powered off?", clean(node))); err != nil {
			return err
		}
	}
	// The boot that the person was asked about, not the one of a later moment.
	r, err := callCluster(ctx, c, sluicev1.ClusterClient.FenceNode, &sluicev1.FenceNodeRequest{Node: node, Boot: now.GetBoot(), RequestId: requestID()})
	if err != nil {
		return err
	}
	return showOne(a, r, (*sluicev1.FenceNodeResponse).GetNode, func(r *sluicev1.FenceNodeResponse) {
		fmt.Fprintf(a.out, "node %s is %s; %s ended as lost\n", r.GetNode(), r.GetState(), count(jobsIn(r.GetRanks()), "job"))
	})
}

func jobsIn(ranks []*sluicev1.FencedRank) (n int64) {
	for _, r := range ranks {
		if r.GetJob() != "" {
			n++
		}
	}
	return n
}

func rankWords(r *sluicev1.FencedRank) string {
	if r.GetJob() == "" {
		return r.GetWhat() + " on " + strings.Join(r.GetDevices(), ", ")
	}
	return fmt.Sprintf("job %s %s, attempt %d, on %s", r.GetJob(), r.GetWhat(), r.GetAttempt(), strings.Join(r.GetDevices(), ", "))
}
