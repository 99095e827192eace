package config

import (
	"crypto/sha256"
	"math/big"
	"slices"
	"strings"
)

// Check reports whether an address is one of the coin's: one wrong character
// pays a stranger.
func (a *Address) Check(address string) error {
	if a == nil {
		return nil
	}
	for _, f := range a.Formats {
		if f.valid(a.Prefix, address) {
			return nil
		}
	}
	names := make([]string, len(a.Formats))
	for i, f := range a.Formats {
		names[i] = string(f)
	}
	return bad("address %q fails its checksum as %s", address, strings.Join(names, " and as "))
}

func (f AddressFormat) valid(prefix, address string) bool {
	switch f {
	case AddressAny:
		return address != ""
	case AddressBase58Check:
		return validBase58(address)
	case AddressBech32:
		return validBech32(prefix, address)
	case AddressCashAddr:
		return validCashAddr(prefix, address)
	}
	return false
}

const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// validBase58 checks a 21 to 64 byte payload with four bytes of double SHA-256.
func validBase58(s string) bool {
	if len(s) < 25 || len(s) > 100 {
		return false
	}
	n, radix := new(big.Int), big.NewInt(58)
	for _, c := range []byte(s) {
		i := strings.IndexByte(base58, c)
		if i < 0 {
			return false
		}
		n.Mul(n, radix).Add(n, big.NewInt(int64(i)))
	}
	zeros := len(s) - len(strings.TrimLeft(s, "1"))
	raw := append(make([]byte, zeros), n.Bytes()...)
	if len(raw) < 25 {
		return false
	}
	body, sum := raw[:len(raw)-4], raw[len(raw)-4:]
	once := sha256.Sum256(body)
	twice := sha256.Sum256(once[:])
	return slices.Equal(sum, twice[:4])
}

const bech32Alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// validBech32 checks BIP 173 (witness version 0) and BIP 350 (later versions).
func validBech32(prefix, s string) bool {
	lower := strings.ToLower(s)
	if len(s) > 90 || lower != s && strings.ToUpper(s) != s {
		return false
	}
	data, ok := strings.CutPrefix(lower, prefix+"1")
	if !ok || prefix == "" || len(data) < 7 {
		return false
	}
	values := make([]byte, 0, 2*len(prefix)+1+len(data))
	for _, c := range []byte(prefix) {
		values = append(values, c>>5)
	}
	values = append(values, 0)
	for _, c := range []byte(prefix) {
		values = append(values, c&31)
	}
	version := strings.IndexByte(bech32Alphabet, data[0])
	for _, c := range []byte(data) {
		i := strings.IndexByte(bech32Alphabet, c)
		if i < 0 {
			return false
		}
		values = append(values, byte(i))
	}
	sum := uint32(1)
	for _, v := range values {
		top := sum >> 25
		sum = (sum&0x1ffffff)<<5 ^ uint32(v)
		for i, g := range [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	want := uint32(1)
	if version > 0 {
		want = 0x2bc830a3
	}
	// The program is 2 to 40 bytes; of version 0 it is 20 or 32.
	program := (len(data) - 7) * 5 / 8
	return sum == want && version <= 16 && program >= 2 && program <= 40 && (version != 0 || program == 20 || program == 32)
}

// validCashAddr checks "prefix:payload" with its 40-bit checksum.
func validCashAddr(prefix, s string) bool {
	payload, ok := strings.CutPrefix(s, prefix+":")
	if !ok || prefix == "" || len(payload) < 9 || len(payload) > 120 {
		return false
	}
	sum := uint64(1)
	step := func(v byte) {
		top := sum >> 35
		sum = (sum&0x07ffffffff)<<5 ^ uint64(v)
		for i, g := range [5]uint64{0x98f2bc8e61, 0x79b76d99e2, 0xf33e5fb3c4, 0xae2eabe2a8, 0x1e4f43e470} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	for _, c := range []byte(prefix) {
		step(c & 31)
	}
	step(0)
	for _, c := range []byte(payload) {
		i := strings.IndexByte(bech32Alphabet, c)
		if i < 0 {
			return false
		}
		step(byte(i))
	}
	return sum == 1
}
