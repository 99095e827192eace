package shim

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestC8LogIsARingWithTrueOffsets(t *testing.T) {
	dir := t.TempDir()
	r, err := newRing(dir, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for i := range 500 {
		line := bytes.Repeat([]byte{byte('a' + i%26)}, 1+i%37)
		all.Write(line)
		if n, err := r.Write(line); n != len(line) || err != nil {
			t.Fatalf("write %d: %d, %v", i, n, err)
		}
	}
	parts, err := LogParts(dir)
	if err != nil || len(parts) != 2 {
		t.Fatalf("%d parts are kept, want 2: %v", len(parts), err)
	}
	var stored int64
	for _, p := range parts {
		s, err := os.Stat(p.Path)
		if err != nil {
			t.Fatal(err)
		}
		stored += s.Size()
	}
	if stored > 2*1040 {
		t.Errorf("%d bytes are kept of a ring of twice 1000", stored)
	}
	var got []byte
	buf := make([]byte, 64)
	first := int64(-1)
	for offset := int64(0); ; {
		n, at, err := ReadLog(dir, offset, buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		if first < 0 {
			first = at
		} else if at != offset {
			t.Fatalf("a gap at %d, %d asked", at, offset)
		}
		got = append(got, buf[:n]...)
		offset = at + int64(n)
	}
	if want := all.Bytes()[first:]; !bytes.Equal(got, want) || len(got) < 1000 {
		t.Errorf("%d bytes from %d are not the last of what was written", len(got), first)
	}
}

func TestParseCgroup(t *testing.T) {
	const hybrid = "9:name=systemd:/a\n6:freezer:/b\n4:cpu,cpuacct:/c\n0::/d\n"
	for controller, want := range map[string]string{"": "/d", "freezer": "/b", "cpuacct": "/c", "none": "/"} {
		if got := parseCgroup(hybrid, controller); got != want {
			t.Errorf("%q is in %q, want %q", controller, got, want)
		}
	}
}

func TestIdentityIsMoreThanAPid(t *testing.T) {
	cmd := exec.Command("sleep", "300")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := Identify(cmd.Process.Pid)
	if err != nil || !p.Alive() {
		t.Fatalf("%+v, %v", p, err)
	}
	other := Process{PID: p.PID, StartTicks: p.StartTicks + 1}
	if other.Alive() || other.Signal(unix.SIGKILL) != unix.ESRCH || !p.Alive() {
		t.Error("another process under the same pid is taken for this one")
	}
	for _, none := range []Process{{}, {PID: -1}, {PID: -p.PID, StartTicks: p.StartTicks}} {
		if none.Alive() || none.Signal(unix.SIGKILL) == nil {
			t.Errorf("%+v is taken for a process", none)
		}
	}
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// A zombie until Wait: it holds the pid, and is not alive.
	cmd.Process.Wait()
	if p.Alive() {
		t.Error("it is dead")
	}
}

func TestBoottimerFiresAtAPastDeadlineToo(t *testing.T) {
	timer, err := newBoottimer(1)
	if err != nil {
		t.Fatal(err)
	}
	if !timer.wait() {
		t.Error("it does not fire")
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (a b) c) S 1 7 7 0 -1 4194304 103 0 0 0 0 0 0 0 20 0 1 0 90498 2998272"))
	f.Add([]byte("7 (x"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if s, err := parseStat(line); err != nil && s != (stat{}) {
			t.Errorf("%q fails and still gives %+v", line, s)
		}
	})
}
