package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
)

func ledgerVerb(a *app) *cobra.Command {
	verify := &cobra.Command{
		Use:   "verify",
		Short: "Recompute the ledger from the history and check the chain of hashes",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			defer c.Close()
			v, err := call(cmd.Context(), c, sluicev1.OperatorClient.VerifyLedger, &sluicev1.VerifyLedgerRequest{})
			if err != nil {
				return err
			}
			if err := showOne(a, v, (*sluicev1.LedgerVerification).GetHead, a.showVerification); err != nil {
				return err
			}
			if !v.GetOk() {
				return &exit{exitFailed, errors.New("the ledger does not agree with the history: " + v.GetText())}
			}
			return nil
		},
	}
	return a.operator(noun("ledger", "Check the books", verify))
}

func (a *app) showVerification(v *sluicev1.LedgerVerification) {
	verdict := "agrees with the history"
	if !v.GetOk() {
		verdict = "DOES NOT AGREE with the history"
	}
	l := &lines{a: a}
	l.add("ledger", "%s", verdict)
	l.add("entries", "%d, up to log index %d", v.GetEntries(), v.GetToIndex())
	l.add("covers", "%s device-hours, net %s", workload.Decimal(v.GetDeviceMillis()*10/36, 2), workload.Decimal(v.GetNet(), 4))
	l.add("head", "%s", v.GetHead())
	if v.GetText() != "" {
		l.add("note", "%s", v.GetText())
	}
	l.print()
}
