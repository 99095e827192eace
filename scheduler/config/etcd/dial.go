package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Options say where etcd is and as whom to speak to it.
type Options struct {
	Endpoints []string // https://host:2379, or unix:///path of an embedded one
	CACert    string   // files; all three or none
	Cert      string
	Key       string
	Username  string
	Password  string

	Prefix  string        // default DefaultPrefix
	Timeout time.Duration // of every call; default 5 s
	Probe   time.Duration // between checks that etcd has not gone back in time; default 15 s
}

// Dial makes a source. It does not wait for etcd: calls answer Unavailable
// until it is there.
func Dial(o Options) (*Source, error) {
	if len(o.Endpoints) == 0 {
		return nil, workload.Errorf(workload.Invalid, "no etcd endpoint").Hint("give --etcd-endpoints")
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Probe <= 0 {
		o.Probe = 15 * time.Second
	}
	security, err := o.tls()
	if err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: o.Endpoints, TLS: security, Username: o.Username, Password: o.Password,
		DialTimeout: o.Timeout, DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: o.Timeout,
		MaxUnaryRetries: 3, RejectOldCluster: false, Logger: zap.NewNop(),
		// gRPC's own back-off grows to two minutes, for which policy would stay
		// frozen after etcd has come back.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: o.Timeout,
			Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 300 * time.Millisecond}})},
	})
	if err != nil {
		return nil, workload.Errorf(workload.Unavailable, "reach etcd at %s: %w", strings.Join(o.Endpoints, ", "), err)
	}
	return &Source{client: client, prefix: o.Prefix, endpoints: strings.Join(o.Endpoints, ", "), timeout: o.Timeout, probe: o.Probe,
		parsed: map[config.Key]parsed{}}, nil
}

func (o Options) tls() (*tls.Config, error) {
	secure := false
	for _, e := range o.Endpoints {
		secure = secure || strings.HasPrefix(e, "https://")
	}
	if o.CACert == "" && o.Cert == "" && o.Key == "" && !secure {
		if o.Password != "" && !strings.HasPrefix(o.Endpoints[0], "unix:") {
			return nil, workload.Errorf(workload.Invalid, "a password for etcd needs TLS").Hint("give https:// endpoints")
		}
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CACert != "" {
		pem, err := os.ReadFile(o.CACert)
		if err != nil {
			return nil, workload.Errorf(workload.Invalid, "read etcd's authority: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, workload.Errorf(workload.Invalid, "%s holds no certificate", o.CACert)
		}
	}
	if o.Cert != "" || o.Key != "" {
		pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
		if err != nil {
			return nil, workload.Errorf(workload.Invalid, "read the certificate for etcd: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
