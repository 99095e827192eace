// Command sluice is the whole product in one binary: the scheduler's server,
// the agent on every node, and the verbs that people type. main is three
// lines; each verb is a file; root.go lists them.
package main

import "os"

// early verbs run before any other code of this program builds anything: the
// shim that owns a workload must start fast and stay small, and the flags of
// what it runs are not ours to parse.
var early = map[string]func(args []string) int{"shim": runShim, "nvml-helper": runNVMLHelper}

func main() {
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
