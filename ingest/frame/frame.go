package frame

import (
	"errors"
	"fmt"
)

const (
	// TypeBasic is the basic sensor and valve frame, [Body].
	TypeBasic byte = 'O'
	// TypeAlive is the beacon; its body is empty.
	TypeAlive byte = '!'
	// SecureBit is set in the type byte of a secure frame.
	SecureBit byte = 0x80

	// MaxWire is the size of the largest small frame, length byte included.
	MaxWire = 64

	maxLength     = MaxWire - 1 // largest fl
	minLength     = 4           // smallest fl
	maxIDLength   = 8
	secureTrailer = 23
	secureVersion = 0x80 // last byte of a secure trailer: V1, 128-bit AES-GCM
	blockSize     = 32   // the only non-empty secure body
)

// ErrMalformed is wrapped by every error of [Parse] and [ParseDatagram]: the
// bytes are not a frame, and no key could make them one.
var ErrMalformed = errors.New("malformed frame")

// The reasons for which a frame is refused, in the order of the checks.
var (
	ErrShort         = fmt.Errorf("%w: too short", ErrMalformed)
	ErrLong          = fmt.Errorf("%w: longer than a small frame", ErrMalformed)
	ErrTruncated     = fmt.Errorf("%w: fewer bytes than its length byte says", ErrMalformed)
	ErrTrailing      = fmt.Errorf("%w: more bytes than its length byte says", ErrMalformed)
	ErrType          = fmt.Errorf("%w: reserved type", ErrMalformed)
	ErrIDLength      = fmt.Errorf("%w: ID length", ErrMalformed)
	ErrBodyLength    = fmt.Errorf("%w: body length", ErrMalformed)
	ErrLastByte      = fmt.Errorf("%w: last byte is 00 or ff", ErrMalformed)
	ErrTrailerLength = fmt.Errorf("%w: trailer length", ErrMalformed)
	ErrCRC           = fmt.Errorf("%w: CRC differs", ErrMalformed)
	ErrScheme        = fmt.Errorf("%w: unknown encryption scheme", ErrMalformed)
	ErrSequence      = fmt.Errorf("%w: sequence number is not the counter's low bits", ErrMalformed)
)

// Frame is a parsed small frame. The slices alias the bytes that were parsed.
type Frame struct {
	Type    byte   // as on the wire, bit 7 = secure
	Seq     byte   // 0..15
	ID      []byte // the 0..8 leading ID bytes on the wire
	Body    []byte // as on the wire: ciphertext in a secure frame
	Trailer []byte // 1 byte CRC, or 23 bytes of counter, tag and scheme
	Wire    []byte // the whole frame, length byte included
}

// Secure reports whether the frame claims to be encrypted and authenticated.
// Only [Opener.Open] finds out whether it is.
func (f Frame) Secure() bool { return f.Type&SecureBit != 0 }

// Counter returns the message counter of a secure frame. It is a claim until
// the frame has been opened. For an insecure frame it is 0, which no node sends.
func (f Frame) Counter() Counter {
	if !f.Secure() || len(f.Trailer) != secureTrailer {
		return 0
	}
	return counterOf(f.Trailer)
}

// Parse reads one whole frame, length byte included. It checks all that can be
// checked without a key, in the specification's order, and refuses bytes after
// the frame. The result aliases wire. Every error wraps [ErrMalformed] and one
// of the named reasons.
func Parse(wire []byte) (Frame, error) {
	// SPEC: quick integrity checks 1 and 2, on the length byte.
	if len(wire) < minLength+1 {
		return Frame{}, fmt.Errorf("%w: %d bytes", ErrShort, len(wire))
	}
	fl := int(wire[0])
	switch {
	case fl < minLength:
		return Frame{}, fmt.Errorf("%w: length byte %d", ErrShort, fl)
	case fl > maxLength:
		return Frame{}, fmt.Errorf("%w: length byte %d", ErrLong, fl)
	case len(wire) < fl+1:
		return Frame{}, fmt.Errorf("%w: %d of %d", ErrTruncated, len(wire), fl+1)
	case len(wire) > fl+1:
		return Frame{}, fmt.Errorf("%w: %d for %d", ErrTrailing, len(wire), fl+1)
	}
	// SPEC: check 3, the type byte is never 00, 80, 7f or ff.
	if !validType(wire[1]) {
		return Frame{}, fmt.Errorf("%w: %#02x", ErrType, wire[1])
	}
	// SPEC: checks 4 and 5, il <= 8 and il <= fl-4.
	il := int(wire[2] & 0x0f)
	if il > maxIDLength || il > fl-4 {
		return Frame{}, fmt.Errorf("%w: %d in a frame of length %d", ErrIDLength, il, fl)
	}
	// SPEC: check 6, bl <= fl-4-il; it leaves at least one byte of trailer.
	bl := int(wire[3+il])
	if bl > fl-4-il {
		return Frame{}, fmt.Errorf("%w: %d in a frame of length %d", ErrBodyLength, bl, fl)
	}
	// SPEC: check 7, the final byte is never 00 or ff.
	if last := wire[fl]; last == 0x00 || last == 0xff {
		return Frame{}, ErrLastByte
	}
	t := 4 + il + bl
	f := Frame{
		Type:    wire[1],
		Seq:     wire[2] >> 4,
		ID:      wire[3 : 3+il : 3+il],
		Body:    wire[4+il : t : t],
		Trailer: wire[t : fl+1 : fl+1],
		Wire:    wire,
	}
	// SPEC: check 8, the trailer; its form depends on the secure bit.
	if f.Secure() {
		return checkSecure(f)
	}
	return checkInsecure(f)
}

func checkInsecure(f Frame) (Frame, error) {
	if len(f.Trailer) != 1 {
		return Frame{}, fmt.Errorf("%w: %d for a CRC", ErrTrailerLength, len(f.Trailer))
	}
	covered := f.Wire[:len(f.Wire)-1]
	if want := wireCRC(covered); f.Trailer[0] != want {
		return Frame{}, fmt.Errorf("%w: got %#02x want %#02x", ErrCRC, f.Trailer[0], want)
	}
	return f, nil
}

func checkSecure(f Frame) (Frame, error) {
	if last := f.Trailer[len(f.Trailer)-1]; last != secureVersion {
		return Frame{}, fmt.Errorf("%w: %#02x", ErrScheme, last)
	}
	if len(f.Trailer) != secureTrailer {
		return Frame{}, fmt.Errorf("%w: %d in a secure frame", ErrTrailerLength, len(f.Trailer))
	}
	// The firmware knows bodies of 0 and 32 bytes; the specification's other
	// multiples of 16 are an extension that nobody sends.
	if n := len(f.Body); n != 0 && n != blockSize {
		return Frame{}, fmt.Errorf("%w: %d in a secure frame", ErrBodyLength, n)
	}
	if low := f.Trailer[5] & 0x0f; low != f.Seq {
		return Frame{}, fmt.Errorf("%w: %d and %d", ErrSequence, f.Seq, low)
	}
	return f, nil
}

// ParseDatagram reads a frame that came without its length byte, as relays send
// it over UDP: 4 to 63 bytes. It restores the length byte in buf, which the
// result aliases; b may be reused. Nothing is allocated unless b is refused.
func ParseDatagram(b []byte, buf *[MaxWire]byte) (Frame, error) {
	if len(b) < minLength {
		return Frame{}, fmt.Errorf("%w: datagram of %d bytes", ErrShort, len(b))
	}
	if len(b) > maxLength {
		return Frame{}, fmt.Errorf("%w: datagram of %d bytes", ErrLong, len(b))
	}
	n := copy(buf[1:], b)
	buf[0] = byte(n)
	return Parse(buf[:n+1])
}

// ParseDump reads the bytes of a hub's '|' line ([Line.Frame]). Some radios
// hand the hub the length byte with the frame and some do not: where the first
// byte is the length of what follows it is taken for the length byte, else b is
// read as [ParseDatagram] does.
func ParseDump(b []byte, buf *[MaxWire]byte) (Frame, error) {
	if len(b) > 0 && int(b[0]) == len(b)-1 && len(b) <= MaxWire {
		return Parse(buf[:copy(buf[:], b)])
	}
	return ParseDatagram(b, buf)
}

// AppendInsecure appends an insecure frame, length byte included. typ has no
// secure bit, seq is 0..15, id and body together have at most 59 bytes and id
// at most 8.
func AppendInsecure(dst []byte, typ, seq byte, id []byte, body []byte) ([]byte, error) {
	if typ&SecureBit != 0 || !validType(typ) {
		return nil, fmt.Errorf("append insecure frame: %w: %#02x", ErrType, typ)
	}
	if seq > 15 {
		return nil, fmt.Errorf("append insecure frame: %w: %d is over 15", ErrSequence, seq)
	}
	start := len(dst)
	dst, err := appendHeader(dst, typ, seq, id, len(body), 1)
	if err != nil {
		return nil, fmt.Errorf("append insecure frame: %w", err)
	}
	dst = append(dst, body...)
	return append(dst, wireCRC(dst[start:])), nil
}

// appendHeader appends fl, type, seqil, ID and bl.
func appendHeader(dst []byte, typ, seq byte, id []byte, bl, tl int) ([]byte, error) {
	if len(id) > maxIDLength {
		return nil, fmt.Errorf("%w: %d", ErrIDLength, len(id))
	}
	fl := 3 + len(id) + bl + tl
	if fl > maxLength {
		return nil, fmt.Errorf("%w: length %d", ErrLong, fl)
	}
	dst = append(dst, byte(fl), typ, seq<<4|byte(len(id)))
	dst = append(dst, id...)
	return append(dst, byte(bl)), nil
}

func validType(typ byte) bool {
	t := typ &^ SecureBit
	return t != 0x00 && t != 0x7f
}
