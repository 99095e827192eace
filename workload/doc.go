// Package workload is Sluice's vocabulary: the nouns that every other package
// speaks. It imports only the standard library, does no input or output, and
// reads neither clock nor randomness. Reading it should be enough to describe
// the product: a Device has a Use; a Job asks for a gang of devices; an
// Assignment grants a device to a use under an Epoch and a lease; every choice
// carries a Reason; money is fixed-point.
//
// Units, everywhere unless a name says otherwise: Money in micro-units of the
// accounting currency, rates per hour, power in watts at the meter, energy in
// watt-hours, hashrates in milli-hashes per second, shares in parts per
// million, instants in milliseconds since the Unix epoch (UTC), durations as
// time.Duration.
package workload
