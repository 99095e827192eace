package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/scheduler"
)

func serverVerb(a *app) *cobra.Command {
	var conf scheduler.Config
	var level string
	cmd := &cobra.Command{
		Use: "server", Short: "Run a scheduler server", Args: cobra.NoArgs,
		Long: "Run a scheduler server.\n\nThe first server of a cluster starts with --bootstrap and makes the authority (CA).\n" +
			"Others take a copy of its CA directory, name it with --ca-dir, and --join it; all\n" +
			"servers of a cluster use one etcd, named with --etcd-endpoints. A lone server\n" +
			"embeds etcd. The first start writes an admin's token to <data-dir>/admin-token.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := logger(a.err, level)
			if err != nil {
				return err
			}
			conf.Log, conf.Version = log, buildVersion()
			return runServer(cmd.Context(), conf)
		},
	}
	f := cmd.Flags()
	f.StringVar(&conf.ID, "id", "s1", "name of this server")
	f.StringVar(&conf.Dir, "data-dir", "/var/lib/sluice/server", "data directory")
	f.StringVar(&conf.GRPC, "grpc", "127.0.0.1:7070", "address for agents, people and other servers")
	f.StringVar(&conf.HTTP, "http", "127.0.0.1:7080", "loopback address of the dashboard and REST")
	f.StringVar(&conf.Raft, "raft", "127.0.0.1:7071", "address for the other servers' Raft")
	f.StringVar(&conf.Advertise, "advertise", "", "host by which others reach this server")
	f.StringVar(&conf.CADir, "ca-dir", "", "directory of the cluster's authority; default <data-dir>/ca")
	f.BoolVar(&conf.Bootstrap, "bootstrap", false, "make a new cluster if the data directory holds none")
	f.StringSliceVar(&conf.Join, "join", nil, "gRPC address of a server to join; repeat for more")
	f.StringSliceVar(&conf.Etcd.Endpoints, "etcd-endpoints", nil, "etcd to keep the policy in; required for a server with peers")
	f.StringVar(&conf.Etcd.CACert, "etcd-cacert", "", "CA certificate of etcd")
	f.StringVar(&conf.Etcd.Cert, "etcd-cert", "", "client certificate for etcd")
	f.StringVar(&conf.Etcd.Key, "etcd-key", "", "key of the client certificate for etcd")
	f.StringVar(&conf.Etcd.Username, "etcd-username", "", "user of etcd; the password comes from SLUICE_ETCD_PASSWORD")
	f.StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func runServer(ctx context.Context, conf scheduler.Config) error {
	conf.Etcd.Password = os.Getenv("SLUICE_ETCD_PASSWORD")
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conf.Fatal = func(err error) { cancel(err) }
	s, err := scheduler.New(conf)
	if err != nil {
		return err
	}
	go func() {
		if err := firstToken(ctx, s, conf.Dir); err != nil && ctx.Err() == nil {
			conf.Log.Error("no admin token could be made", "err", err)
		}
	}()
	conf.Log.Info("listening", "grpc", s.GRPCAddr(), "http", s.HTTPAddr(), "data", conf.Dir)
	err = s.Run(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return errors.Join(err, s.Close())
}

// firstToken gives a new cluster its first admin. Later starts change nothing.
func firstToken(ctx context.Context, s *scheduler.Server, dir string) error {
	file := filepath.Join(dir, "admin-token")
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	if err := s.Ready(ctx); err != nil {
		return err
	}
	if s.HasPeople() {
		return nil
	}
	token, err := s.IssueToken(ctx, "person", "admin", []string{"admin"}, 0, "bootstrap")
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(token+"\n"), 0o600)
}

// logger writes key=value lines to w.
func logger(w interface{ Write([]byte) (int, error) }, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
		return nil, usagef("--log-level %q is not one of debug, info, warn, error", level)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l})), nil
}
