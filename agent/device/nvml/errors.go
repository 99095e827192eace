// Package nvml drives NVIDIA GPUs through their management library, which it
// loads at run time. It is the only home of go-nvml and needs cgo on Linux;
// other builds say "built without NVML".
package nvml

import "github.com/sluice-project/sluice/workload"

// ErrNoLibrary means that this node has no NVIDIA driver: normal on a node
// without NVIDIA GPUs.
var ErrNoLibrary = &workload.Error{Kind: workload.Unavailable, Text: "no NVIDIA driver on this node"}

// ErrNotBuilt means that this binary cannot speak to NVIDIA GPUs.
var ErrNotBuilt = &workload.Error{Kind: workload.Unavailable, Text: "built without NVML", Next: "use a build for Linux with cgo"}
