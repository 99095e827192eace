// Package practice holds a small but real mining operation for a machine
// without mining hardware: a Stratum v1 pool on loopback that verifies every
// SHA-256d share, and a CPU miner that speaks to it through package stratum.
// Shares and hashrates are measured, never made up; what they lack is worth,
// because the pool's chain is its own.
//
// It is the proving ground of `sluice dev` and the far end of driver tests.
package practice
