//go:build race

package runner

// raceFactor allows for the detector, under which every shim is a race binary.
const raceFactor = 4
