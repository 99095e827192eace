// Package serial drives hashing chips on serial lines: it finds them by USB
// identity, brings chains up, and mines on them directly through package
// stratum, with no miner in between. Package bm below it knows the chips'
// protocol; package emulate is a chain without silicon.
//
// A port has one owner. While a chain mines, that is the mining process under
// its shim (Miner); the Driver, which lives in the agent, asks that process
// instead of opening the port.
package serial
