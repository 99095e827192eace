// Package examples holds the documents that `sluice dev` starts with, so that
// what the demo runs is what a newcomer can read.
package examples

import "embed"

// Files are the example documents by path, such as "demo/policy.yaml".
//
//go:embed demo jobs targets
var Files embed.FS
