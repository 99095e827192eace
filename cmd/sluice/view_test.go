package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/workload"
)

func fakeEnv(t *testing.T, mode string) (*fakeServer, func(string) string) {
	t.Helper()
	f, err := startFake(mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.stop)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, f.ca, 0o600); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"SLUICE_ADDR": f.addr, "SLUICE_CACERT": ca, "SLUICE_TOKEN": adminToken}
	return f, func(name string) string { return values[name] }
}

// TestWatchJSONLines: --watch -o json prints a line for each item that is new
// or changed after each change that a server tells of, and ends with 130.
func TestWatchJSONLines(t *testing.T) {
	f, env := fakeEnv(t, "")
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	code := make(chan int, 1)
	go func() {
		a := &app{in: strings.NewReader(""), out: w, err: io.Discard, env: env, now: time.Now}
		code <- a.run(ctx, []string{"job", "list", "--watch", "-o", "json"})
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	next := func() string {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("output ended: %v", lines.Err())
		}
		return lines.Text()
	}
	for _, id := range []string{"17", "18", "20"} {
		if got := next(); !strings.HasPrefix(got, `{"id":"`+id+`",`) {
			t.Fatalf("got %s, want job %s", got, id)
		}
	}
	f.mu.Lock()
	f.jobs[4].Width = 2
	f.mu.Unlock()
	f.changes <- struct{}{}
	if got := next(); !strings.HasPrefix(got, `{"id":"18",`) || !strings.Contains(got, `"width":2,`) {
		t.Fatalf("got %s, want only job 18 with its new width", got)
	}
	cancel()
	go io.Copy(io.Discard, r)
	if got := <-code; got != exitInterrupted {
		t.Errorf("exit code %d, want %d", got, exitInterrupted)
	}
}

// TestInterruptSignal interrupts the real program.
func TestInterruptSignal(t *testing.T) {
	_, env := fakeEnv(t, "")
	cmd := exec.Command("sluice", "gpu", "list", "--watch", "-o", "jsonl")
	cmd.Env = os.Environ()
	for _, name := range []string{"SLUICE_ADDR", "SLUICE_CACERT", "SLUICE_TOKEN"} {
		cmd.Env = append(cmd.Env, name+"="+env(name))
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, out)
	err = cmd.Wait()
	if failed, ok := errors.AsType[*exec.ExitError](err); !ok || failed.ExitCode() != exitInterrupted {
		t.Errorf("ended with %v, want exit code %d", err, exitInterrupted)
	}
}

// TestFailover: a server that has no leader is left for one that has.
func TestFailover(t *testing.T) {
	lost, _ := fakeEnv(t, "leaderless")
	good, env := fakeEnv(t, "")
	ca := filepath.Join(t.TempDir(), "both.pem")
	if err := os.WriteFile(ca, append(bytes.Clone(lost.ca), good.ca...), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errOut strings.Builder
	a := &app{in: strings.NewReader(""), out: &out, err: &errOut, env: env, now: time.Now}
	code := a.run(t.Context(), []string{"node", "list", "-o", "name", "--addr", lost.addr + "," + good.addr, "--cacert", ca})
	if code != 0 || out.String() != "n07\nedge-1\n" {
		t.Errorf("code %d, out %q, err %q", code, out.String(), errOut.String())
	}
}

func TestEveryKindHasItsExitCode(t *testing.T) {
	want := map[workload.Kind]int{workload.Internal: 1, workload.Invalid: 7, workload.NotFound: 3, workload.Conflict: 4,
		workload.Unavailable: 6, workload.NotLeader: 6, workload.Denied: 5, workload.Exhausted: 1}
	for kind, code := range want {
		if got := codeOf(workload.Errorf(kind, "x")); got != code {
			t.Errorf("%v: %d, want %d", kind, got, code)
		}
	}
	if codeOf(nil) != 0 || codeOf(errors.New("x")) != 1 || codeOf(usagef("x")) != 2 {
		t.Error("nil, plain or usage error")
	}
}

func TestEarlyVerbsSkipEverything(t *testing.T) {
	early["test-shim"] = func(args []string) int { return len(args) + 40 }
	defer delete(early, "test-shim")
	if got := run([]string{"sluice", "test-shim", "--not", "-our-flags"}, nil, nil, nil); got != 42 {
		t.Errorf("got %d, want 42", got)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"list", "logs", "show", "submit", "wait"}
	for word, want := range map[string]string{"lst": "list", "lsit": "list", "LIST": "list", "log": "logs", "sumbit": "submit", "x": "", "frobnicate": ""} {
		if got := nearest(word, known); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

func TestGuard(t *testing.T) {
	for in, want := range map[string]string{"": "", "n07/3": "n07/3", "-12": "-12", "+1": "+1", "=1+1": "'=1+1", "@SUM(A1)": "'@SUM(A1)", "-1+cmd": "'-1+cmd", "\tx": "'\tx"} {
		if got := guard(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	if got := clean("a\x1b[31m\u202eb\n"); got != "a\uFFFD[31m\uFFFDb\uFFFD" {
		t.Errorf("%q", got)
	}
}

func TestQuoteArg(t *testing.T) {
	for in, want := range map[string]string{"a/b.yaml": "a/b.yaml", "": "''", "my file": "'my file'", "a'b;rm": `'a'\''b;rm'`} {
		if got := quoteArg(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// TestNaturalOrder: numbers in names count as numbers, and it is an order.
func TestNaturalOrder(t *testing.T) {
	for _, pair := range [][2]string{{"n/9", "n/10"}, {"n2", "n10"}, {"a", "b"}, {"a", "a1"}, {"n1/5", "n02/1"}} {
		if natural(pair[0], pair[1]) >= 0 || natural(pair[1], pair[0]) <= 0 {
			t.Errorf("%s is not before %s", pair[0], pair[1])
		}
	}
	word := rapid.StringMatching(`[ab0129/]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := word.Draw(t, "a"), word.Draw(t, "b"), word.Draw(t, "c")
		if natural(a, b) != -natural(b, a) {
			t.Fatalf("%q and %q disagree", a, b)
		}
		if natural(a, b) <= 0 && natural(b, c) <= 0 && natural(a, c) > 0 {
			t.Fatalf("%q, %q, %q are in no order", a, b, c)
		}
	})
}

func TestSplitAddrs(t *testing.T) {
	for in, want := range map[string]string{"a": "a:7070", "a:1,b:2": "a:1 b:2", " a , b:9 ": "a:7070 b:9", "[::1]:5": "[::1]:5", "::1": "[::1]:7070", "[::1]": "[::1]:7070"} {
		if got, err := splitAddrs(in); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %v (%v), want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", ",", "http://a", ":7070", "a:", "a b:1", "::]0", "a:99999", "a:x", "[a", "1:2:3"} {
		if got, err := splitAddrs(in); codeOf(err) != exitUsage {
			t.Errorf("%q gives %v (%v)", in, got, err)
		}
	}
}

// FuzzSplitAddrs: what is accepted is accepted again, unchanged.
func FuzzSplitAddrs(f *testing.F) {
	for _, seed := range []string{"a", "a:1,b:2", "[::1]:5", "::1", "a:b:c", ",,", "[", "]:1", "[a]b:1", "::]0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		addrs, err := splitAddrs(s)
		if err != nil {
			return
		}
		again, err := splitAddrs(strings.Join(addrs, ","))
		if err != nil || strings.Join(again, " ") != strings.Join(addrs, " ") {
			t.Fatalf("%q became %q, then %q (%v)", s, addrs, again, err)
		}
	})
}

// TestWatchOutlivesAServer: a watch goes on when its server stops and another
// takes over.
func TestWatchOutlivesAServer(t *testing.T) {
	first, _ := fakeEnv(t, "")
	second, env := fakeEnv(t, "")
	second.jobs[4].Width = 3
	ca := filepath.Join(t.TempDir(), "both.pem")
	if err := os.WriteFile(ca, append(bytes.Clone(first.ca), second.ca...), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	code := make(chan int, 1)
	go func() {
		a := &app{in: strings.NewReader(""), out: w, err: io.Discard, env: env, now: time.Now}
		code <- a.run(ctx, []string{"job", "list", "-w", "-o", "jsonl", "--addr", first.addr + "," + second.addr, "--cacert", ca})
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	for range 3 {
		if !lines.Scan() {
			t.Fatal("no first list")
		}
	}
	first.stop()
	if !lines.Scan() || !strings.Contains(lines.Text(), `"width":3,`) {
		t.Fatalf("got %q from the second server", lines.Text())
	}
	cancel()
	go io.Copy(io.Discard, r)
	if got := <-code; got != exitInterrupted {
		t.Errorf("exit code %d", got)
	}
}
