package bm

// CRC5 has polynomial x^5+x^2+1, starts with all ones and is neither reflected
// nor inverted. It is kept in the upper five bits of a byte, where a whole byte
// can be folded in by one look into a table.
const (
	crc5Poly = 0x05 << 3
	crc5Init = 0x1f << 3
)

var (
	crc5Table  [256]byte
	crc16Table [256]uint16
)

func init() {
	for i := range 256 {
		crc5Table[i] = crc5Bits(0, byte(i), 8)
		c := uint16(i) << 8
		for range 8 {
			if c&0x8000 != 0 {
				c = c<<1 ^ 0x1021
			} else {
				c <<= 1
			}
		}
		crc16Table[i] = c
	}
}

// crc5Bits folds the upper n bits of b into a shifted checksum.
func crc5Bits(c, b byte, n int) byte {
	c ^= b &^ byte(0xff>>n)
	for range n {
		if c&0x80 != 0 {
			c = c<<1 ^ crc5Poly
		} else {
			c <<= 1
		}
	}
	return c
}

func crc5Shifted(p []byte) byte {
	c := byte(crc5Init)
	for _, b := range p {
		c = crc5Table[c^b]
	}
	return c
}

// CRC5 is the checksum of a command, over header, length and data. Over the
// body of a good reply, last byte included, it is 0.
func CRC5(p []byte) byte { return crc5Shifted(p) >> 3 }

// CRC16 is the checksum of a job: polynomial 0x1021, started with all ones.
func CRC16(p []byte) uint16 {
	c := uint16(0xffff)
	for _, b := range p {
		c = c<<8 ^ crc16Table[byte(c>>8)^b]
	}
	return c
}

// seal returns the last byte of a reply: three bits of type and the checksum
// that makes the whole body come to 0.
func seal(body []byte, kind byte) byte {
	return kind&0xe0 | crc5Bits(crc5Shifted(body), kind, 3)>>3
}
