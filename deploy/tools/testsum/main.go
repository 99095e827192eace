// Command testsum reads `go test -json` on standard input and prints what a
// person wants to know of it: what failed with its output, what was skipped and
// why, the time of each tier, and one closing line of counts. It exits 1 when a
// test or package failed, or, with -skips FILE, when the set of skipped tests is
// not the one the file lists.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

type key struct{ pkg, test string }

// tierOf sorts a package into a tier by what it starts.
func tierOf(pkg string) string {
	switch {
	case strings.HasSuffix(pkg, "/cmd/sluice/e2e"):
		return "whole program: processes, CLI, browser"
	case strings.Contains(pkg, "/agent"):
		return "node: real processes"
	case strings.HasSuffix(pkg, "/config/etcd"), strings.HasSuffix(pkg, "/replica"), strings.HasSuffix(pkg, "/scheduler"):
		return "control plane: raft, etcd, disks"
	}
	return "core: unit, property, golden, fuzz seeds"
}

func main() {
	skipsFile := flag.String("skips", "", "file that lists the skips to expect, one `package test` a line")
	flag.Parse()
	output := map[key][]string{}
	tiers := map[string]float64{}
	var failed, skips []string
	passed, bad := 0, 0
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Println(in.Text()) // not an event: a build error, say
			continue
		}
		k := key{e.Package, e.Test}
		switch e.Action {
		case "output", "build-output":
			output[k] = append(output[k], e.Output)
			if e.Action == "build-output" {
				fmt.Print(e.Output)
			}
		case "pass":
			if e.Test != "" {
				passed++
				delete(output, k)
			} else {
				tiers[tierOf(e.Package)] += e.Elapsed
				fmt.Printf("ok    %7.1fs  %s\n", e.Elapsed, e.Package)
			}
		case "fail":
			bad++
			if e.Test == "" {
				tiers[tierOf(e.Package)] += e.Elapsed
			}
			failed = append(failed, strings.TrimSpace(e.Package+" "+e.Test))
			fmt.Printf("FAIL  %7.1fs  %s %s\n%s", e.Elapsed, e.Package, e.Test, strings.Join(output[k], ""))
		case "skip":
			if e.Test != "" {
				skips = append(skips, e.Package+" "+e.Test)
				fmt.Printf("SKIP            %s %s: %s\n", e.Package, e.Test, reason(output[k]))
			}
		}
	}
	if err := in.Err(); err != nil {
		fmt.Println("reading test events:", err)
		bad++
	}
	fmt.Println()
	names := make([]string, 0, len(tiers))
	for t := range tiers {
		names = append(names, t)
	}
	slices.Sort(names)
	for _, t := range names {
		fmt.Printf("%7.1fs  %s\n", tiers[t], t)
	}
	for _, f := range failed {
		fmt.Println("failed:", f)
	}
	if *skipsFile != "" {
		bad += compare(*skipsFile, skips)
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", passed, bad, len(skips))
	if bad > 0 || passed == 0 {
		os.Exit(1)
	}
}

// reason picks the text of t.Skip out of a test's output.
func reason(lines []string) string {
	for _, l := range lines {
		if s := strings.TrimSpace(l); s != "" && !strings.HasPrefix(s, "===") && !strings.HasPrefix(s, "---") {
			return s
		}
	}
	return "no reason given"
}

// compare reports every skip that is not expected and every one that is but did
// not happen.
func compare(file string, skips []string) int {
	data, err := os.ReadFile(file)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	want := map[string]bool{}
	for _, l := range strings.Split(string(data), "\n") {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "#") {
			want[l] = true
		}
	}
	faults := 0
	for _, s := range skips {
		if !want[s] {
			fmt.Println("skipped though", file, "does not list it:", s)
			faults++
		}
		delete(want, s)
	}
	for s := range want {
		fmt.Println("not skipped though", file, "lists it:", s)
		faults++
	}
	return faults
}
