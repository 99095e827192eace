package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sluice": main,
		// The same program as it behaves where all streams are terminals.
		"sluice-tty": func() {
			a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, inTTY: true, outTTY: true, errTTY: true, env: os.Getenv, now: time.Now}
			os.Exit(a.run(context.Background(), os.Args[1:]))
		},
	})
}

// TestScript runs the stories of testdata/script, each against a cluster of its
// own. SLUICE_ADDR is a server that works; LEADERLESS, DOWN, SILENT, BROKEN and
// CLOSED are addresses of others.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "contexts": contexts},
		Setup: func(env *testscript.Env) error {
			for name, mode := range map[string]string{"SLUICE_ADDR": "", "LEADERLESS": "leaderless", "DOWN": "down", "SILENT": "silent", "BROKEN": "broken"} {
				f, err := startFake(mode)
				if err != nil {
					return err
				}
				env.Defer(f.stop)
				env.Setenv(name, f.addr)
				ca := filepath.Join(env.WorkDir, name+".pem")
				if err := os.WriteFile(ca, f.ca, 0o600); err != nil {
					return err
				}
				env.Setenv(name+"_CA", ca)
			}
			env.Setenv("SLUICE_CACERT", env.Getenv("SLUICE_ADDR_CA"))
			env.Setenv("SLUICE_TOKEN", adminToken)
			env.Setenv("READER_TOKEN", readerToken)
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "xdg"))
			env.Setenv("TZ", "UTC")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command under -race sleeps a second
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Setenv("CLOSED", ln.Addr().String())
			return ln.Close()
		},
	})
}

// exits runs a command that must end with a given code: exits 3 sluice job show 99.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	// Exec reports failure as an error, whose code is what we are after.
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		failed, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = failed.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// contexts writes a context file for the cluster of this script.
func contexts(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
	text := "current: lab\ncontexts:\n  lab: {addr: \"" + ts.Getenv("SLUICE_ADDR") + "\", cacert: " + ts.Getenv("SLUICE_ADDR_CA") +
		", tokenFile: " + ts.MkAbs("token.txt") + "}\n  closed: {addr: \"" + ts.Getenv("CLOSED") + "\"}\n"
	ts.Check(os.WriteFile(path, []byte(text), 0o600))
}
