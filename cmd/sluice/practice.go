package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/agent/runner/trainee"
	"github.com/sluice-project/sluice/agent/stratum/practice"
	"github.com/sluice-project/sluice/workload"
)

// practiceVerb is real work for trying Sluice out: a pool that verifies shares,
// a miner that finds them, and a training job that learns.
func practiceVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "practice", Short: "Run a practice pool, miner or training job on this machine"}
	cmd.AddCommand(practicePool(a), practiceMiner(a), practiceTrain(a))
	return cmd
}

func practicePool(a *app) *cobra.Command {
	var conf practice.PoolConfig
	cmd := &cobra.Command{
		Use: "pool", Short: "A Stratum v1 pool on loopback that verifies every SHA-256d share", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf.ShareEvery = 10 * time.Second
			return practice.RunPool(cmd.Context(), conf, slog.New(slog.NewTextHandler(a.err, nil)))
		},
	}
	cmd.Flags().StringVar(&conf.Listen, "listen", "127.0.0.1:3333", "loopback address to listen on")
	return cmd
}

func practiceMiner(a *app) *cobra.Command {
	var conf practice.MinerConfig
	cmd := &cobra.Command{
		Use: "miner", Short: "A CPU miner that speaks Stratum v1 and keeps to a share of one core", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return practice.RunMiner(cmd.Context(), conf, a.out) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&conf.Pools, "pool", []string{"127.0.0.1:3333"}, "pool endpoint; repeat for more, in order of preference")
	f.StringVar(&conf.Worker, "worker", "practice", "worker name")
	f.StringVar(&conf.API, "api", "", "loopback address of the statistics API; its token comes from "+practice.TokenEnv)
	f.Int64Var(&conf.DutyPPM, "duty-ppm", 0, "share of one core in parts per million; default 8000")
	return cmd
}

func practiceTrain(a *app) *cobra.Command {
	var conf trainee.Config
	cmd := &cobra.Command{
		Use: "train", Short: "A training job that learns, saves itself when asked and resumes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if conf.Dir == "" {
				if conf.Dir = os.Getenv("SLUICE_CHECKPOINT_DIR"); conf.Dir == "" {
					return workload.Errorf(workload.Invalid, "there is nowhere to save to").Hint("give --dir, or run it as a job with checkpoint.dir")
				}
			}
			// Each epoch has a directory of its own beside the earlier ones.
			if old := os.Getenv("SLUICE_RESUME_DIR"); old != "" {
				conf.Resume = append(conf.Resume, filepath.Clean(old))
			}
			conf.Out = a.out
			if err := trainee.Run(cmd.Context(), conf); err != nil {
				return &exit{code: trainee.ExitCode(err), err: err}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&conf.Dir, "dir", "", "where checkpoints go; default SLUICE_CHECKPOINT_DIR")
	f.Int64Var(&conf.Steps, "steps", 2000, "steps to train for")
	f.DurationVar(&conf.StepEvery, "step-every", 50*time.Millisecond, "pace of the steps")
	f.Uint64Var(&conf.Seed, "seed", 1, "of data, first weights and batches")
	return cmd
}
