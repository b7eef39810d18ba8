package share

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// MaxObject is the most bytes that an object may have.
const MaxObject = 256 << 20

// ErrObject is bytes that are no object, or one that is too long.
var ErrObject = errors.New("not a sealed object")

const (
	purposeSize    = "object-size"
	purposeContent = "segment"
	purposeRest    = "object-rest"

	objectRandom = 32
	sealedSize   = 4 + Overhead
)

// SealObject appends an object to dst: what one compartment has of a quarter
// hour, as it leaves the site. Its length is a multiple of pad, so that it tells
// little:
//
//	random (32) ‖ sealed length of content (4 + 16) ‖ sealed content (+ 16) ‖ sealed rest (+ 16)
//	rest = length of hidden (unsigned LEB128) ‖ hidden ‖ zeros
//
// The three are sealed under one random, which is drawn for this object alone,
// each with a purpose of its own, and with the same additional data: where the
// object belongs. [ErrObject]: it would be longer than [MaxObject].
func (k HourKey) SealObject(dst, aad []byte, random *[32]byte, content, hidden []byte, pad int) ([]byte, error) {
	length := binary.AppendUvarint(nil, uint64(len(hidden)))
	n := objectRandom + sealedSize + len(content) + Overhead + len(length) + len(hidden) + Overhead
	zeros := 0
	if pad > 1 {
		zeros = (pad - n%pad) % pad
	}
	if n+zeros > MaxObject {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrObject, n+zeros, MaxObject)
	}
	if *random == [32]byte{} {
		panic(notDrawn)
	}
	prk := k.extract(random)
	var nonce [12]byte
	dst = append(slices.Grow(dst, n+zeros), random[:]...)
	dst = purposeAEAD(&prk, purposeSize).Seal(dst, nonce[:], binary.BigEndian.AppendUint32(nil, uint32(len(content))), aad)
	dst = purposeAEAD(&prk, purposeContent).Seal(dst, nonce[:], content, aad)
	rest := len(dst)
	dst = append(append(append(dst, length...), hidden...), make([]byte, zeros)...)
	return purposeAEAD(&prk, purposeRest).Seal(dst[:rest], nonce[:], dst[rest:], aad), nil // where it stands
}

// OpenObject gives what SealObject was given. [ErrSeal]: another hour,
// compartment or place, or changed bytes.
func (k HourKey) OpenObject(aad, object []byte) (content, hidden []byte, err error) {
	if len(object) < objectRandom+sealedSize+2*Overhead+1 || len(object) > MaxObject {
		return nil, nil, fmt.Errorf("%w: %d bytes", ErrObject, len(object))
	}
	random, b := (*[32]byte)(object[:objectRandom]), object[objectRandom:]
	if *random == [32]byte{} {
		return nil, nil, fmt.Errorf("%w: no random bytes", ErrObject)
	}
	size, err := k.OpenMessage(nil, purposeSize, random, aad, b[:sealedSize])
	if err != nil {
		return nil, nil, err
	}
	b = b[sealedSize:]
	n := uint64(binary.BigEndian.Uint32(size)) + Overhead
	if n > uint64(len(b)) {
		return nil, nil, fmt.Errorf("%w: its content is longer than it is", ErrObject)
	}
	if content, err = k.OpenContent(nil, aad, random, b[:n]); err != nil {
		return nil, nil, err
	}
	rest, err := k.OpenMessage(nil, purposeRest, random, aad, b[n:])
	if err != nil {
		return nil, nil, err
	}
	length, at := binary.Uvarint(rest)
	if at <= 0 || length > uint64(len(rest)-at) {
		return nil, nil, fmt.Errorf("%w: its hidden part is longer than it is", ErrObject)
	}
	if at > 1 && rest[at-1] == 0 {
		return nil, nil, fmt.Errorf("%w: the length of its hidden part is not in its shortest form", ErrObject)
	}
	hidden, zeros := rest[at:at+int(length)], rest[at+int(length):]
	for _, z := range zeros {
		if z != 0 {
			return nil, nil, fmt.Errorf("%w: its padding is not of zeros", ErrObject)
		}
	}
	return content, hidden, nil
}

// SealContent appends an object's sealed content alone to dst, as a site keeps
// it, which makes the rest again.
func (k HourKey) SealContent(dst, aad []byte, random *[32]byte, content []byte) []byte {
	return k.SealMessage(dst, purposeContent, random, aad, content)
}

// OpenContent appends what SealContent was given to dst, or fails with [ErrSeal].
func (k HourKey) OpenContent(dst, aad []byte, random *[32]byte, sealed []byte) ([]byte, error) {
	return k.OpenMessage(dst, purposeContent, random, aad, sealed)
}
