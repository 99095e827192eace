package practice

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// TokenEnv names the environment variable with the bearer token of a miner's
// API. The environment is private to the user; a command line is not.
const TokenEnv = "SLUICE_MINER_TOKEN"

// RunPool runs a pool until ctx ends or SIGINT or SIGTERM arrives. It logs the
// bound address and a line of totals every minute.
func RunPool(ctx context.Context, cfg PoolConfig, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg.Log = log
	p, err := NewPool(cfg)
	if err != nil {
		return err
	}
	if log != nil {
		log.Info("practice pool listening", "addr", p.Addr())
		go func() {
			for pause(ctx, time.Minute) {
				s := p.Stats()
				log.Info("practice pool", "height", s.Height, "sessions", s.Connections, "workers", len(s.Workers), "accepted", s.Accepted)
			}
		}()
	}
	return p.Run(ctx)
}

// RunMiner runs a miner until ctx ends or SIGINT or SIGTERM arrives, writing
// its log to out. An API token not given in cfg is taken from TokenEnv.
func RunMiner(ctx context.Context, cfg MinerConfig, out io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if cfg.Token == "" {
		cfg.Token = os.Getenv(TokenEnv)
	}
	if cfg.Entropy == nil {
		cfg.Entropy = rand.Uint64
	}
	cfg.Out = out
	m, err := NewMiner(cfg)
	if err != nil {
		return err
	}
	if addr := m.APIAddr(); addr != "" {
		fmt.Fprintf(m.out, "api listening on %s\n", addr)
	}
	return m.Run(ctx)
}
