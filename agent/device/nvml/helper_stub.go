//go:build !cgo || !linux

package nvml

import (
	"errors"
	"io"
)

// Built reports whether this program can speak to NVIDIA GPUs.
const Built = false

// Helper cannot help in this build.
func Helper([]string, io.Reader, io.Writer) error { return errors.New("built without NVML") }
