package etcd

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-project/sluice/workload"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

// EmbedOptions tune an embedded etcd.
type EmbedOptions struct {
	// Volatile skips fsync: for a data directory that nobody will read again.
	Volatile bool
	// Wait bounds the start. Default 15 s.
	Wait time.Duration
	// Quota bounds the database in bytes. Default 256 MiB.
	Quota int64
	// Keep is how many revisions of history survive compaction. Default 10,000.
	Keep int
}

// Embedded is an etcd of one member inside this process. It listens on unix
// sockets in a directory that only this user can enter: no other user of the
// machine can write policy, and no port is taken.
type Embedded struct {
	etcd    *embed.Etcd
	socket  string
	sockets string // directory to remove
	once    sync.Once
}

var smallSegments sync.Once

// Embed starts etcd on a data directory and waits until it answers.
func Embed(dir string, o EmbedOptions) (*Embedded, error) {
	if o.Wait <= 0 {
		o.Wait = 15 * time.Second
	}
	if o.Quota <= 0 {
		o.Quota = 256 << 20
	}
	if o.Keep <= 0 {
		o.Keep = 10_000
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, workload.Errorf(workload.Invalid, "data directory of etcd: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, workload.Errorf(workload.Unavailable, "data directory of etcd: %w", err)
	}
	// etcd sets aside two segments of 64 MB; policy fits kilobytes. The size is a
	// variable of its package, so that it is set once for the process.
	smallSegments.Do(func() { wal.SegmentSizeBytes = 2 << 20 })
	// A socket's path has at most 107 bytes, and a data directory's may be long.
	sockets, err := os.MkdirTemp("", "sluice-etcd-")
	if err != nil {
		return nil, workload.Errorf(workload.Unavailable, "sockets of etcd: %w", err)
	}
	e := &Embedded{sockets: sockets, socket: filepath.Join(sockets, "c")}
	if len(e.socket) > 100 {
		e.Close()
		return nil, workload.Errorf(workload.Invalid, "the path %s is too long for a socket", e.socket).Hint("set TMPDIR to a shorter path")
	}
	if e.etcd, err = embed.StartEtcd(o.settings(dir, e.socket, filepath.Join(sockets, "p"))); err != nil {
		e.Close()
		return nil, workload.Errorf(workload.Unavailable, "start etcd on %s: %w", dir, err).
			Hint("another process may hold the directory; see what uses %s", filepath.Join(dir, "member"))
	}
	late := time.NewTimer(o.Wait)
	defer late.Stop()
	select {
	case <-e.etcd.Server.ReadyNotify():
		return e, nil
	case err = <-e.etcd.Err():
		err = workload.Errorf(workload.Unavailable, "start etcd on %s: %w", dir, err)
	case <-e.etcd.Server.StopNotify():
		err = workload.Errorf(workload.Unavailable, "etcd on %s stopped while starting", dir)
	case <-late.C:
		err = workload.Errorf(workload.Unavailable, "etcd on %s did not start within %s", dir, o.Wait)
	}
	e.Close()
	return nil, err
}

func (o EmbedOptions) settings(dir, client, peer string) *embed.Config {
	c := embed.NewConfig()
	c.Name, c.Dir = "sluice", dir
	clientURL, peerURL := url.URL{Scheme: "unix", Path: client}, url.URL{Scheme: "unix", Path: peer}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{clientURL}, []url.URL{clientURL}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peerURL}, []url.URL{peerURL}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.TickMs, c.ElectionMs = 10, 100 // alone, it waits for nobody's vote
	c.Logger, c.LogLevel, c.LogOutputs = "zap", "error", []string{"stderr"}
	c.UnsafeNoFsync = o.Volatile
	c.QuotaBackendBytes = o.Quota
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModeRevision, strconv.Itoa(o.Keep)
	c.SnapshotCount = 1000
	c.MaxSnapFiles, c.MaxWalFiles = 2, 2
	c.EnableGRPCGateway = false
	return c
}

// Endpoint is what Dial takes.
func (e *Embedded) Endpoint() string { return "unix://" + e.socket }

// Err delivers the error that ends the server by itself.
func (e *Embedded) Err() <-chan error { return e.etcd.Err() }

// Close stops the server and waits for it. It may be called twice.
func (e *Embedded) Close() error {
	e.once.Do(func() {
		if e.etcd != nil {
			e.etcd.Close()
			select { // its own goroutine ends after the listeners do
			case <-e.etcd.Server.StopNotify():
			case <-time.After(5 * time.Second):
			}
		}
		os.RemoveAll(e.sockets)
	})
	return nil
}
