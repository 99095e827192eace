package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/agent/device/serial/bm"
	"github.com/sluice-project/sluice/agent/device/serial/emulate"
)

// emulateChip runs a chain of chips on a pseudo-terminal.
func emulateChip(a *app) *cobra.Command {
	var conf emulate.Config
	var stall time.Duration
	cmd := &cobra.Command{
		Use: "chip", Short: "A chain of hashing chips on a pseudo-terminal, whose path it prints", Args: arguments(),
		Long: "A chain of BM13xx chips on a pseudo-terminal, whose path it prints. The nonces\n" +
			"are real and easier than silicon's, by --zero-bits; a driver must be told so:\n\n" +
			"  sluice agent --serial /dev/pts/7,zero-bits=12\n\n" +
			"Faults are rates in parts per million of the frames sent.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := emulate.New(conf)
			if err != nil {
				return usagef("%v", err)
			}
			fmt.Fprintln(a.out, c.Path())
			if stall > 0 {
				go func() {
					select {
					case <-cmd.Context().Done():
					case <-time.After(stall):
						f := conf.Faults
						f.Stalled = true
						c.SetFaults(f)
					}
				}()
			}
			return c.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&conf.Model, "model", "bm1370", "bm1362, bm1366, bm1368, bm1370 or bm1397")
	f.IntVar(&conf.Chips, "chips", 1, "chips of the chain")
	f.IntVar(&conf.ZeroBits, "zero-bits", 12, "zero bits of every nonce, 1 to 32; one more halves the speed's difference to silicon")
	f.IntVar(&conf.Divider, "divider", bm.ResetDivider, "of the line speed at power-on: 25 MHz / (8 x (divider + 1))")
	f.Int64Var(&conf.MilliC, "milli-celsius", 55_000, "temperature, where the model can tell")
	f.Uint64Var(&conf.Faults.Seed, "seed", 1, "of what goes wrong")
	f.IntVar(&conf.Faults.Noise, "noise", 0, "random bytes before a frame")
	f.IntVar(&conf.Faults.Corrupt, "corrupt", 0, "a bit flips")
	f.IntVar(&conf.Faults.Drop, "drop", 0, "a byte is lost")
	f.IntVar(&conf.Faults.Split, "split", 0, "a frame arrives in two pieces")
	f.IntVar(&conf.Faults.Duplicate, "duplicate", 0, "a frame arrives twice")
	f.IntVar(&conf.Faults.BadNonce, "bad-nonce", 0, "a nonce does not hash")
	f.IntVar(&conf.Faults.Join, "join", 0, "frames that arrive at once")
	f.IntVar(&conf.Faults.Missing, "missing", 0, "chips at the end that are not there")
	f.IntVar(&conf.Faults.DeadChip, "dead-chip", 0, "the chip, from 1, that never finds anything")
	f.BoolVar(&conf.Faults.Mute, "mute", false, "no nonce is ever reported")
	f.BoolVar(&conf.Faults.MuteOnBaud, "mute-on-baud", false, "silent once the line speed was changed")
	f.BoolVar(&conf.Faults.DeafToBaud, "deaf-to-baud", false, "the line speed cannot be changed")
	f.DurationVar(&stall, "stall-after", 0, "hang after this long")
	return cmd
}
