package etcd

import (
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
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
	// Log takes etcd's errors; nil drops them.
	Log *slog.Logger
}

// Embedded is an etcd of one member inside this process. It listens on unix
// sockets in a directory that only this user can enter: no other user of the
// machine can write policy, and no port is taken.
type Embedded struct {
	etcd    *embed.Etcd
	socket  string
	sockets string // directory to remove
	lock    *os.File
	closed  atomic.Bool
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
	e := new(Embedded)
	if e.lock, err = lock(dir); err != nil {
		return nil, err
	}
	// etcd sets aside two segments of 64 MB; policy fits kilobytes. The size is a
	// variable of its package, so that it is set once for the process.
	smallSegments.Do(func() { wal.SegmentSizeBytes = 2 << 20 })
	// A socket's path has at most 107 bytes, and a data directory's may be long.
	if e.sockets, err = os.MkdirTemp("", "sluice-etcd-"); err != nil {
		e.Close()
		return nil, workload.Errorf(workload.Unavailable, "sockets of etcd: %w", err)
	}
	e.socket = filepath.Join(e.sockets, "c")
	if len(e.socket) > 100 {
		e.Close()
		return nil, workload.Errorf(workload.Invalid, "the path %s is too long for a socket", e.socket).Hint("set TMPDIR to a shorter path")
	}
	if e.etcd, err = embed.StartEtcd(e.settings(o, dir)); err != nil {
		e.Close()
		return nil, workload.Errorf(workload.Unavailable, "start etcd on %s: %w", dir, err)
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

// lock takes the directory for this process. etcd itself would wait for ever
// for another that holds it.
func lock(dir string) (*os.File, error) {
	path := filepath.Join(dir, "sluice.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return f, nil
		}
		f.Close()
	}
	return nil, workload.Errorf(workload.Unavailable, "take the data directory %s of etcd: %w", dir, err).
		Hint("another process may hold it; see: fuser %s", path)
}

func (e *Embedded) settings(o EmbedOptions, dir string) *embed.Config {
	c := embed.NewConfig()
	c.Name, c.Dir = "sluice", dir
	peer := filepath.Join(e.sockets, "p")
	clientURL, peerURL := url.URL{Scheme: "unix", Path: e.socket}, url.URL{Scheme: "unix", Path: peer}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{clientURL}, []url.URL{clientURL}
	c.AdvertisePeerUrls = []url.URL{peerURL}
	// The peer listener takes a socket's path from Host; from Path it would open
	// an abstract socket, which every user of the machine can reach.
	c.ListenPeerUrls = []url.URL{{Scheme: "unix", Host: peer}}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.TickMs, c.ElectionMs = 10, 100 // alone, it waits for nobody's vote
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newLogger(o.Log, &e.closed))
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
		e.closed.Store(true)
		if e.etcd != nil {
			e.etcd.Close()
			select { // its own goroutine ends after the listeners do
			case <-e.etcd.Server.StopNotify():
			case <-time.After(5 * time.Second):
			}
		}
		if e.sockets != "" {
			os.RemoveAll(e.sockets)
		}
		e.lock.Close() // releases it
	})
	return nil
}
