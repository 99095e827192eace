package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluice-project/sluice/"

// forbidden is the import rule: shell imports core, core imports vocabulary,
// vocabulary imports the standard library; and each foreign system has one
// home. The rule covers what a package's own files import, tests aside.
var forbidden = []struct {
	packages string   // prefix of the package's path below the module
	except   []string // prefixes that may
	imports  []string // prefixes of import paths
	reason   string
}{
	{"workload", nil, []string{"golang.org/", "google.golang.org/", "go.etcd.io/", module + "scheduler", module + "agent", module + "proto", module + "cmd"},
		"the vocabulary imports only the standard library: reading it must be enough to describe the product"},
	{"scheduler/decide", nil, []string{module, "time", "math/rand", "os", "net", "sync"},
		"the decision is a function of values: no names, clock, entropy, input or output"},
	{"scheduler/state", nil, []string{module + "scheduler/decide", module + "scheduler/planner", module + "proto", "math/rand", "os", "net"},
		"the log records outcomes: applying a command never decides, and reads nothing of the machine"},
	{"scheduler/ledger", nil, []string{module + "scheduler", "time", "math/rand", "os"},
		"the accounts are integers and market time alone"},
	{"scheduler/market", nil, []string{module + "proto", "math/rand", "os", "net"},
		"what things earn is a function of policy and quotes"},
	{"scheduler/planner", nil, []string{module + "proto", "math/rand", "os", "net", "sync"},
		"a round is a function of view and instant"},
	{"scheduler/orders", nil, []string{module + "proto", "math/rand", "os", "net", "sync"},
		"what nodes are told is a function of view and instants, so that the simulator runs the same"},
	{"scheduler/sim", nil, []string{module + "proto", "os", "net", "sync"},
		"a simulated cluster is a function of its seed"},
	{"agent/reconcile", nil, []string{module + "scheduler", module + "proto", "math/rand", "os", "net", "sync"},
		"the agent's step is pure, so that the simulator runs the same"},
	{"agent/device/health", nil, []string{module + "agent", module + "proto", "math/rand", "os", "net", "sync"},
		"what a fault means and what is done about it are tables and a function"},
	{"scheduler", []string{"scheduler/replica"}, []string{"github.com/hashicorp/raft"},
		"hashicorp/raft lives in scheduler/replica, so that upgrades and outages stay local"},
	{"cmd", nil, []string{"github.com/hashicorp/raft"}, "hashicorp/raft lives in scheduler/replica"},
	{"agent", nil, []string{"github.com/hashicorp/raft", "go.etcd.io/"}, "agents have no access to Raft or etcd"},
	{"scheduler", []string{"scheduler/config/etcd"}, []string{"go.etcd.io/"}, "etcd lives in scheduler/config/etcd"},
	{"cmd", nil, []string{"go.etcd.io/"}, "etcd lives in scheduler/config/etcd"},
	{"agent", []string{"agent/device/nvml"}, []string{"github.com/NVIDIA/"}, "NVML lives in agent/device/nvml"},
	{"scheduler", nil, []string{"github.com/NVIDIA/"}, "the scheduler builds without cgo"},
	{"agent", []string{"agent/device/serial"}, []string{"go.bug.st/"}, "serial ports live in agent/device/serial"},
	{"agent/device/serial/bm", nil, []string{module, "os", "net", "sync", "math/rand", "golang.org/", "go.bug.st/"},
		"the chips' protocol is pure: host, emulator and tests share it"},
	{"agent", nil, []string{module + "scheduler"}, "an agent is told what to do; it shares the vocabulary and the wire with the scheduler, nothing else"},
	{"agent/runner/shim", nil, []string{"google.golang.org/", module + "proto", module + "agent/reconcile"},
		"a shim runs beside every workload and must stay small"},
	{"proto", []string{"proto/wire", "proto/sluicev1"}, []string{module}, "generated code knows nothing of us"},
	{"scheduler/config", []string{"scheduler/config/etcd"}, []string{module + "proto", module + "scheduler/state", "os", "net/http", "math/rand"},
		"documents are read and judged without looking at the machine"},
}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestImportRule(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		path := strings.TrimPrefix(p.ImportPath, module)
		for _, rule := range forbidden {
			if !within(path, rule.packages) || slices.ContainsFunc(rule.except, func(e string) bool { return within(path, e) }) {
				continue
			}
			for _, imp := range p.Imports {
				for _, bad := range rule.imports {
					allowed := strings.HasPrefix(imp, module+"workload") || imp == p.ImportPath || within(imp, p.ImportPath)
					if prefixed(imp, bad) && !allowed {
						t.Errorf("%s imports %s: %s", path, imp, rule.reason)
					}
				}
			}
		}
	}
	if seen < 20 {
		t.Fatalf("saw only %d packages", seen)
	}
}

// within reports whether path is the package or below it.
func within(path, pkg string) bool { return path == pkg || strings.HasPrefix(path, pkg+"/") }

// prefixed matches whole path elements, except where the pattern ends in "/".
func prefixed(imp, bad string) bool {
	if strings.HasSuffix(bad, "/") {
		return strings.HasPrefix(imp, bad)
	}
	return within(imp, bad) || strings.HasPrefix(imp, bad+".")
}
