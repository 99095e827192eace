// Package emulate is a chain of BM13xx chips without the chips: it answers on a
// pseudo-terminal as they do on a wire and hashes what it is given with the
// CPU, so that every nonce it reports is real. What it lacks is speed: it asks
// for fewer zero bits than silicon does, and is slower by the same factor.
//
// It also misbehaves on request, in every way that a serial line and a tired
// chip are known for. It is what the driver is tested against, and what
// `sluice agent emulate chip` runs.
package emulate
