package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/config/etcd"
	"github.com/sluice-project/sluice/workload"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

var shared *etcd.Embedded

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sluice-etcd-test-")
	if err != nil {
		panic(err)
	}
	start := time.Now()
	if shared, err = etcd.Embed(dir, etcd.EmbedOptions{Volatile: true}); err != nil {
		panic(err)
	}
	fmt.Printf("etcd started in %s\n", time.Since(start).Round(time.Millisecond))
	code := m.Run()
	shared.Close()
	os.RemoveAll(dir)
	os.Exit(code)
}

// dial gives a test its own prefix of the shared etcd.
func dial(t *testing.T) (*etcd.Source, string) {
	t.Helper()
	prefix := "/" + t.Name() + "/"
	return dialAt(t, shared.Endpoint(), prefix), prefix
}

func dialAt(t *testing.T, endpoint, prefix string) *etcd.Source {
	t.Helper()
	s, err := etcd.Dial(etcd.Options{Endpoints: []string{endpoint}, Prefix: prefix, Timeout: 2 * time.Second, Probe: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// byHand is somebody with etcdctl.
func byHand(t *testing.T, endpoint string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 2 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func tenant(name string, guarantee int) config.Edit {
	return config.Edit{Put: &config.Document{Kind: config.KindTenant, Name: name, Tenant: &config.Tenant{Guarantee: guarantee}}}
}

func remove(kind config.Kind, name string) config.Edit {
	return config.Edit{Delete: &config.Key{Kind: kind, Name: name}}
}

func apply(t *testing.T, s *etcd.Source, check int64, edits ...config.Edit) int64 {
	t.Helper()
	rev, err := s.Apply(soon(t), config.Batch{Edits: edits, Actor: "alice", Comment: "test", At: 1_700_000_000_000}, check)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func refused(t *testing.T, s *etcd.Source, kind workload.Kind, check int64, edits ...config.Edit) error {
	t.Helper()
	_, err := s.Apply(soon(t), config.Batch{Edits: edits, Actor: "bob"}, check)
	if err == nil || workload.KindOf(err) != kind {
		t.Fatalf("got %v (%v), want %v", err, workload.KindOf(err), kind)
	}
	return err
}

func load(t *testing.T, s *etcd.Source) config.Snapshot {
	t.Helper()
	snap, err := s.Load(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func TestExamplePolicyIsStoredAndReadBack(t *testing.T) {
	s, _ := dial(t)
	var edits []config.Edit
	var docs []config.Document
	paths, _ := filepath.Glob("../../../deploy/examples/policy/*.yaml")
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		more, err := config.Parse(p, data)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range more {
			docs = append(docs, d)
			edits = append(edits, config.Edit{Put: &d})
		}
	}
	if len(docs) < 20 {
		t.Fatalf("only %d documents", len(docs))
	}
	rev := apply(t, s, 0, edits...)
	snap := load(t, s)
	if snap.Revision < rev || len(snap.Invalid) != 0 || !reflect.DeepEqual(snap.Set(), config.NewSet(docs...)) {
		t.Errorf("revision %d, faults %v, %d documents", snap.Revision, snap.Invalid, len(snap.Documents))
	}
}

func TestB8CompareAndSwap(t *testing.T) {
	s, prefix := dial(t)
	first := apply(t, s, 0, tenant("a", 1), tenant("b", 1))
	second := apply(t, s, first, tenant("a", 2))
	refused(t, s, workload.Conflict, first, tenant("b", 3)) // another document changed
	refused(t, s, workload.Conflict, second+1000, tenant("b", 3))
	third := apply(t, s, second, remove(config.KindTenant, "b"))
	refused(t, s, workload.Conflict, second, tenant("a", 3)) // a deletion counts
	apply(t, s, config.AnyRevision, tenant("c", 1))
	if got := load(t, s); len(got.Documents) != 2 || got.Set().Tenant("a").Guarantee != 2 || got.Revision <= third {
		t.Errorf("%+v", got)
	}
	// So does a deletion by hand, which touches nothing but its own key.
	at := load(t, s).Revision
	if _, err := byHand(t, shared.Endpoint()).Delete(soon(t), prefix+"Tenant/c"); err != nil {
		t.Fatal(err)
	}
	refused(t, s, workload.Conflict, at, tenant("a", 4))
}

func TestB8OneOfTwoWritersWins(t *testing.T) {
	s, prefix := dial(t)
	other := dialAt(t, shared.Endpoint(), prefix)
	at := apply(t, s, 0, tenant("a", 1))
	results := make(chan error, 2)
	for i, w := range []*etcd.Source{s, other} {
		go func() {
			_, err := w.Apply(t.Context(), config.Batch{Edits: []config.Edit{tenant("a", 10+i)}}, at)
			results <- err
		}()
	}
	e1, e2 := <-results, <-results
	if (e1 == nil) == (e2 == nil) {
		t.Fatalf("not one winner: %v, %v", e1, e2)
	}
	if k := workload.KindOf(errors.Join(e1, e2)); k != workload.Conflict {
		t.Errorf("the loser learns %v", k)
	}
}

func TestApplyValidates(t *testing.T) {
	s, prefix := dial(t)
	site := config.Edit{Put: &config.Document{Kind: config.KindSite, Name: "s", Site: &config.Site{Zone: "UTC", Power: config.SitePower{Cap: 1000}, Tariff: "none"}}}
	if err := refused(t, s, workload.Invalid, 0, site); !strings.Contains(err.Error(), `no Tariff named "none"`) {
		t.Error(err)
	}
	refused(t, s, workload.Invalid, 0, tenant("a", 1), tenant("a", 2))
	refused(t, s, workload.Invalid, 0, tenant("No Name", 1))
	refused(t, s, workload.Invalid, 0, tenant("a", -1))
	refused(t, s, workload.Invalid, 0)
	refused(t, s, workload.NotFound, 0, remove(config.KindTenant, "nobody"))
	if kvs, err := byHand(t, shared.Endpoint()).Get(soon(t), prefix, clientv3.WithPrefix()); err != nil || len(kvs.Kvs) != 0 {
		t.Errorf("%d keys were written, %v", len(kvs.Kvs), err)
	}
}

func TestB7LargeBatchesAreRefusedBeforeSending(t *testing.T) {
	s, _ := dial(t)
	var many []config.Edit
	for i := range etcd.MaxEdits + 1 {
		many = append(many, tenant(fmt.Sprintf("t%d", i), 1))
	}
	refused(t, s, workload.Exhausted, 0, many...)
	apply(t, s, 0, many[:etcd.MaxEdits]...)
	var big []config.Edit
	args := make([]string, 400)
	for i := range args {
		args[i] = strings.Repeat("x", 100)
	}
	for i := range 40 {
		big = append(big, config.Edit{Put: &config.Document{Kind: config.KindMiner, Name: fmt.Sprintf("m%d", i),
			Miner: &config.Miner{Algorithms: []string{"a"}, Devices: []string{"cpu"}, Args: args}}})
	}
	if err := refused(t, s, workload.Exhausted, config.AnyRevision, big...); !strings.Contains(err.Error(), "bytes") {
		t.Error(err)
	}
}

func next(t *testing.T, ch <-chan config.Snapshot, ok func(config.Snapshot) bool) config.Snapshot {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case snap, open := <-ch:
			if !open {
				t.Fatal("the watch ended")
			}
			if ok(snap) {
				return snap
			}
		case <-late:
			t.Fatal("nothing was delivered")
		}
	}
}

func guarantee(name workload.TenantName, n int) func(config.Snapshot) bool {
	return func(s config.Snapshot) bool {
		found := s.Set().Tenant(name)
		return found != nil && found.Guarantee == n
	}
}

func TestWatchDelivers(t *testing.T) {
	s, _ := dial(t)
	ctx, cancel := context.WithCancel(soon(t))
	ch := s.Watch(ctx, 0)
	for i := 1; i <= 5; i++ {
		rev := apply(t, s, config.AnyRevision, tenant("a", i))
		if snap := next(t, ch, guarantee("a", i)); snap.Revision < rev {
			t.Fatalf("revision %d before %d", snap.Revision, rev)
		}
	}
	apply(t, s, config.AnyRevision, remove(config.KindTenant, "a"))
	next(t, ch, func(s config.Snapshot) bool { return len(s.Documents) == 0 })
	cancel()
	for range ch {
	}
}

func TestB3WatchSurvivesCompaction(t *testing.T) {
	s, _ := dial(t)
	first := apply(t, s, 0, tenant("a", 1))
	last := first
	for i := 2; i <= 5; i++ {
		last = apply(t, s, last, tenant("a", i))
	}
	if _, err := byHand(t, shared.Endpoint()).Compact(soon(t), last); err != nil {
		t.Fatal(err)
	}
	ch := s.Watch(soon(t), first) // its revision is gone
	next(t, ch, guarantee("a", 5))
	apply(t, s, config.AnyRevision, tenant("a", 6))
	next(t, ch, guarantee("a", 6))
	refused(t, s, workload.Conflict, first, tenant("a", 7)) // too old to compare with
}

func TestB9InvalidByHandKeepsLastGood(t *testing.T) {
	s, prefix := dial(t)
	hand := byHand(t, shared.Endpoint())
	apply(t, s, 0, tenant("a", 1), tenant("b", 1))
	put := func(key, text string) {
		t.Helper()
		if _, err := hand.Put(soon(t), prefix+key, text); err != nil {
			t.Fatal(err)
		}
	}
	ch := s.Watch(soon(t), load(t, s).Revision)
	put("Tenant/a", "kind: Tenant\nname: a\nguarantee: 9\n")
	snap := next(t, ch, func(s config.Snapshot) bool { return len(s.Invalid) > 0 })
	if !guarantee("a", 1)(snap) || !guarantee("b", 1)(snap) {
		t.Errorf("%+v", snap.Documents)
	}
	if text := fmt.Sprint(snap.Invalid); !strings.Contains(text, "guarantee") || !strings.Contains(text, "last good version stands") {
		t.Error(text)
	}
	// A server that starts now finds the good version in etcd's history.
	if fresh := load(t, dialAt(t, shared.Endpoint(), prefix)); !guarantee("a", 1)(fresh) || len(fresh.Invalid) == 0 {
		t.Errorf("%+v", fresh)
	}
	put("Tenant/c", "kind: Tenant\nname: another\n")
	put("Nonsense/x", "x")
	if got := load(t, s); len(got.Documents) != 2 || len(got.Invalid) < 4 {
		t.Errorf("%+v", got)
	}
	// Mending one is not hindered by the others, and a note is not needed.
	apply(t, s, config.AnyRevision, tenant("a", 2))
	put("Tenant/b", "kind: Tenant\nname: b\nguarantee: 3 GPU\n")
	if got := load(t, s); !guarantee("a", 2)(got) || !guarantee("b", 3)(got) {
		t.Errorf("%+v", got)
	}
}

func TestHistory(t *testing.T) {
	s, prefix := dial(t)
	key := config.Key{Kind: config.KindTenant, Name: "a"}
	if _, err := s.History(soon(t), key); workload.KindOf(err) != workload.NotFound {
		t.Error(err)
	}
	apply(t, s, 0, tenant("a", 1))
	apply(t, s, config.AnyRevision, tenant("a", 2))
	gone := apply(t, s, config.AnyRevision, remove(config.KindTenant, "a"))
	apply(t, s, config.AnyRevision, tenant("a", 3), tenant("b", 1))
	got, err := s.History(soon(t), key)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 4 || got[0].Document.Tenant.Guarantee != 3 || !got[1].Deleted || got[1].Revision != gone || got[1].Actor != "alice" ||
		got[3].Document.Tenant.Guarantee != 1 || got[3].Actor != "alice" || got[3].Comment != "test" || got[3].At != 1_700_000_000_000 {
		t.Errorf("%+v", got)
	}
	if _, err := byHand(t, shared.Endpoint()).Compact(soon(t), gone); err != nil {
		t.Fatal(err)
	}
	if got, err = s.History(soon(t), key); err != nil || len(got) == 0 || got[0].Document.Tenant.Guarantee != 3 {
		t.Errorf("after compaction: %+v, %v", got, err)
	}
	_ = prefix
}

func TestB1B10ClosedEtcdIsUnavailableInTime(t *testing.T) {
	dir := t.TempDir()
	e, err := etcd.Embed(dir, etcd.EmbedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := etcd.Dial(etcd.Options{Endpoints: []string{e.Endpoint()}, Timeout: 700 * time.Millisecond, Probe: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rev := apply(t, s, 0, tenant("a", 1))
	ch := s.Watch(soon(t), 0)
	next(t, ch, guarantee("a", 1))
	e.Close()
	e.Close()
	for name, call := range map[string]func() error{
		"apply": func() error {
			_, err := s.Apply(t.Context(), config.Batch{Edits: []config.Edit{tenant("a", 2)}}, rev)
			return err
		},
		"load": func() error { _, err := s.Load(t.Context()); return err },
		"history": func() error {
			_, err := s.History(t.Context(), config.Key{Kind: config.KindTenant, Name: "a"})
			return err
		},
	} {
		start := time.Now()
		err := call()
		if workload.KindOf(err) != workload.Unavailable || workload.NextOf(err) == "" {
			t.Errorf("%s: %v (next %q)", name, err, workload.NextOf(err))
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%s took %s", name, d)
		}
	}
	// The policy is there again after a restart.
	e, err = etcd.Embed(dir, etcd.EmbedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if got := load(t, dialAt(t, e.Endpoint(), "")); !guarantee("a", 1)(got) || got.Revision < rev {
		t.Errorf("after reopening: %+v", got)
	}
}

func TestB11GoingBackInTimeFreezes(t *testing.T) {
	s, prefix := dial(t)
	at := apply(t, s, 0, tenant("a", 1))
	load(t, s)
	ch := s.Watch(soon(t), at+1_000_000) // the scheduler's log remembers a later revision
	snap := next(t, ch, func(s config.Snapshot) bool { return s.Regressed })
	if !guarantee("a", 1)(snap) || len(snap.Invalid) == 0 {
		t.Errorf("the last policy does not stand: %+v", snap)
	}
	refused(t, s, workload.Conflict, at, tenant("a", 2))
	s.AcceptRegression()
	next(t, ch, func(s config.Snapshot) bool { return !s.Regressed && guarantee("a", 1)(s) })
	apply(t, s, config.AnyRevision, tenant("a", 2))
	_ = prefix
}

func TestEmbeddedIsPrivateAndSmall(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long-", 30)) // longer than a socket's path may be
	start := time.Now()
	e, err := etcd.Embed(dir, etcd.EmbedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ready in %s", time.Since(start).Round(time.Millisecond))
	socket := strings.TrimPrefix(e.Endpoint(), "unix://")
	info, err := os.Stat(filepath.Dir(socket))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others may enter: %v %v", info.Mode(), err)
	}
	if other, err := etcd.Embed(dir, etcd.EmbedOptions{Wait: time.Second}); err == nil {
		other.Close()
		t.Error("two servers on one directory")
	} else if workload.NextOf(err) == "" {
		t.Error(err)
	}
	// Abstract sockets and ports would be open to everybody on the machine.
	sockets, err := os.ReadFile("/proc/self/net/unix")
	if err != nil {
		t.Skip("needs /proc")
	}
	own := 0
	for line := range strings.SplitSeq(string(sockets), "\n") {
		if strings.Contains(line, filepath.Dir(socket)+"/") {
			own++
		}
	}
	if own < 2 {
		t.Errorf("%d sockets in the private directory, want those of client and peer", own)
	}
	var size int64
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, _ error) error {
		if info, err := d.Info(); err == nil && !d.IsDir() {
			size += info.Size()
		}
		return nil
	})
	t.Logf("%d KiB on disk", size>>10)
	if size > 24<<20 {
		t.Errorf("%d bytes on disk", size)
	}
	e.Close()
	if _, err := net.Dial("unix", socket); err == nil {
		t.Error("still listening")
	}
	if _, err := os.Stat(filepath.Dir(socket)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("sockets are left: %v", err)
	}
}
