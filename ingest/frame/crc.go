package frame

// crcTable[x] is the CRC-7 remainder of the byte x: polynomial 0x37
// (x^7+x^5+x^4+x^2+x+1, 0x5B in Koopman's notation), most significant bit first.
var crcTable = func() (t [256]byte) {
	for i := range t {
		r := byte(i) // the 7-bit register, kept shifted left by one
		for range 8 {
			if r&0x80 != 0 {
				r = r<<1 ^ 0x37<<1
			} else {
				r <<= 1
			}
		}
		t[i] = r >> 1
	}
	return t
}()

// CRC7 continues the 7-bit CRC crc over data. Frames start from 0x7f, radio
// JSON from '{'.
func CRC7(crc byte, data []byte) byte {
	for _, b := range data {
		crc = crcTable[crc<<1^b]
	}
	return crc
}

// wireCRC returns the trailer of an insecure frame whose other bytes are b. As
// a last byte of 00 is not allowed, 0 is sent as 0x80.
func wireCRC(b []byte) byte {
	if crc := CRC7(0x7f, b); crc != 0 {
		return crc
	}
	return 0x80
}
