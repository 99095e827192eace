package bm

import "math/bits"

// BaseBits is how many zero bits every nonce of a real chip has, whatever its
// ticket mask.
const BaseBits = 32

// Ticket is the mask register that makes chips report only nonces with so many
// zero bits more than they must have: 2^n-1 with the bits of each byte
// reversed.
func Ticket(n int) uint32 {
	mask := uint32(1)<<min(max(n, 0), 31) - 1
	return bits.ReverseBytes32(bits.Reverse32(mask))
}

// ParseTicket is the inverse of Ticket; false when the mask is not 2^n-1.
func ParseTicket(v uint32) (int, bool) {
	mask := bits.Reverse32(bits.ReverseBytes32(v))
	n := bits.Len32(mask)
	return n, mask == uint32(1)<<n-1
}

// Rolling is the value of MIDSTATE_CONFIG with the version bits that a pool
// lets us roll.
func Rolling(poolMask uint32) uint32 { return 0x90000000 | poolMask>>versionShift&0xffff }

// versionShift is where the rolled sixteen bits lie in a block's version.
const versionShift = 13

// RollMask is the part of a pool's mask that a chip can roll.
func RollMask(poolMask uint32) uint32 { return poolMask & (0xffff << versionShift) }

// Spread puts the low bits of n into the bits of a mask, lowest first: the
// n-th version of those that the mask allows.
func Spread(n uint32, mask uint32) uint32 {
	var out uint32
	for mask != 0 && n != 0 {
		low := mask & -mask
		if n&1 != 0 {
			out |= low
		}
		n >>= 1
		mask &^= low
	}
	return out
}
