//go:build race

package practice

// raceEnabled relaxes wall-clock limits: the detector slows hashing tenfold.
const raceEnabled = true
