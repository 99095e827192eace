package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/workload"
)

// enroll returns the node's certificate: the one in dir, or a first one for a
// join token.
func enroll(ctx context.Context, servers []string, token, node, dir string) (*identity.Credential, error) {
	cred, err := identity.LoadCredential(dir)
	if err == nil {
		return cred, nil
	}
	if !errors.Is(err, os.ErrNotExist) && workload.KindOf(err) != workload.NotFound {
		return nil, err
	}
	if token == "" {
		return nil, workload.Errorf(workload.Denied, "node %s has no certificate yet", node).
			Hint("make a join token with `sluice token node %s` and give it with --join-token", node)
	}
	join, err := identity.ParseJoinToken(token)
	if err != nil {
		return nil, err
	}
	req, err := identity.NewRequest()
	if err != nil {
		return nil, err
	}
	resp, err := askForCertificate(ctx, servers, identity.EnrollTLS(join.Pin), &sluicev1.EnrollRequest{Token: token, Csr: req.CSR, Name: node})
	if err != nil {
		return nil, err
	}
	trust, err := identity.ParseTrust(resp.Ca)
	if err != nil {
		return nil, err
	}
	if trust.Pin() != join.Pin {
		return nil, workload.Errorf(workload.Denied, "the server showed another authority than the join token names")
	}
	cred, err = req.Accept(trust, resp.Certificate)
	if err != nil {
		return nil, err
	}
	return cred, cred.Save(dir)
}

// askForCertificate tries each server until one answers.
func askForCertificate(ctx context.Context, servers []string, conf *tls.Config, req *sluicev1.EnrollRequest) (*sluicev1.EnrollResponse, error) {
	err := error(workload.Errorf(workload.Invalid, "no server is named").Hint("give --servers host:port"))
	for _, addr := range servers {
		var conn *grpc.ClientConn
		if conn, err = grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewTLS(conf))); err != nil {
			continue
		}
		call, cancel := context.WithTimeout(ctx, 10*time.Second)
		var resp *sluicev1.EnrollResponse
		resp, err = sluicev1.NewAgentServiceClient(conn).Enroll(call, req)
		cancel()
		conn.Close()
		if err == nil {
			return resp, nil
		}
		err = wire.FromStatus(err)
	}
	return nil, err
}

// renew replaces the node's certificate when two thirds of its life are over.
func renew(ctx context.Context, cred *identity.Credential, servers []string, node, dir string, log *slog.Logger) error {
	for {
		wait := max(time.Until(identity.RenewAfter(cred.Leaf())), time.Minute)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		req, err := identity.NewRequest()
		if err != nil {
			return err
		}
		resp, err := askForCertificate(ctx, servers, identity.AgentTLS(cred), &sluicev1.EnrollRequest{Csr: req.CSR, Name: node})
		if err == nil {
			err = cred.Renew(req, resp.Certificate)
		}
		if err == nil {
			err = cred.Save(dir)
		}
		if err != nil {
			log.Warn("the certificate was not renewed", "until", cred.Leaf().NotAfter, "err", err)
		}
	}
}
