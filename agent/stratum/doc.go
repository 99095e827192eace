// Package stratum speaks Stratum v1, the line-delimited JSON protocol between
// a SHA-256d miner and a pool. It holds the wire codec, the construction of
// 80-byte block headers from a pool's notify, exact share targets, and a
// Client that keeps one session alive over an ordered list of pools.
//
// It exists apart from its users because three of them need the same bytes:
// the serial ASIC driver, the pool check and the practice pool and miner.
package stratum
