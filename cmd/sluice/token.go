package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/proto/sluicev1"
)

// tokenVerb makes join tokens and people's tokens.
func tokenVerb(a *app) *cobra.Command {
	var roles []string
	var life time.Duration
	cmd := &cobra.Command{
		Use:     "token KIND [NAME]",
		Short:   "Make a join token (node, server) or a person's token",
		Example: "  sluice token node n07\n  sluice token person alice --role submitter",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &sluicev1.IssueTokenRequest{Kind: args[0], Roles: roles, LifeMs: life.Milliseconds()}
			if req.Kind == "person" && !cmd.Flags().Changed("life") {
				req.LifeMs = 0 // people's tokens do not expire
			}
			if len(args) > 1 {
				req.Name = args[1]
			}
			if req.Kind == "person" && len(roles) == 0 {
				return usagef("a person's token needs --role")
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			defer c.Close()
			r, err := call(cmd.Context(), c, sluicev1.OperatorClient.IssueToken, req)
			if err != nil {
				return err
			}
			fmt.Fprintln(a.out, r.Token)
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&roles, "role", nil, "role of a person: admin, operator, finance, submitter or viewer")
	cmd.Flags().DurationVar(&life, "life", time.Hour, "how long a join token is good for")
	return a.operator(cmd)
}
