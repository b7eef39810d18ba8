package reading

import (
	"fmt"
	"math"

	"cairn/merkle"
	"cairn/merkle/cbor"
)

// The first bytes of item 0 behind its head, and of the other items behind
// theirs: the type as a text with its head.
const (
	readingType = "cairn/reading/1"
	fieldType   = "cairn/field/1"
	readingHead = "\x6f" + readingType
	fieldHead   = "\x6d" + fieldType
)

// AppendItem appends item index of r, 1…r.Items()-1, and panics on any other
// index. r has to be valid.
func AppendItem(dst []byte, r *Reading, index int) []byte {
	switch index {
	case IndexDevice:
		dst = append(dst, "\x83"+fieldHead+"\x66device"...)
		return cbor.AppendText(dst, r.Device)
	case IndexMeasured:
		dst = append(dst, "\x83"+fieldHead+"\x68measured"...)
		return appendOptional(dst, uint64(r.Measured), r.HasMeasured)
	case IndexReceived:
		dst = append(dst, "\x84"+fieldHead+"\x68received"...)
		return cbor.AppendText(cbor.AppendHead(dst, cbor.Uint, uint64(r.Received)), r.Clock.String())
	case IndexSequence:
		dst = append(dst, "\x83"+fieldHead+"\x68sequence"...)
		return cbor.AppendHead(dst, cbor.Uint, r.Sequence)
	case IndexOrigin:
		dst = append(dst, "\x85"+fieldHead+"\x66origin"...)
		dst = cbor.AppendText(cbor.AppendText(dst, r.Origin.Transport), r.Origin.Verdict.String())
		return appendOptional(dst, r.Origin.Counter, r.Origin.HasCounter)
	case IndexFrame:
		dst = append(dst, "\x83"+fieldHead+"\x65frame"...)
		if !r.HasFrame {
			return append(dst, cbor.Null)
		}
		return append(append(dst, cbor.Bytes|24, merkle.HashSize), r.Frame[:]...)
	}
	m := &r.Measurements[index-IndexData]
	dst = append(dst, "\x84"+fieldHead...)
	return AppendValue(cbor.AppendText(cbor.AppendText(dst, m.Name), m.Unit), m.Value)
}

func appendOptional(dst []byte, n uint64, has bool) []byte {
	if !has {
		return append(dst, cbor.Null)
	}
	return cbor.AppendHead(dst, cbor.Uint, n)
}

// Items holds the items of one reading. It writes them once, as item 0, in
// which the others lie; it is reused without allocating. The zero Items holds
// none. It is not safe for concurrent use.
type Items struct {
	buf  []byte // item 0
	span [MaxLeaves]struct{ from, to uint16 }
	n    int
}

// Set makes these the items of r, which has to be valid: it panics where the
// offsets could not hold.
func (it *Items) Set(r *Reading) {
	if len(r.Measurements) > MaxMeasurements {
		panic("reading: items of an invalid reading: over 57 measurements")
	}
	it.n = r.Items()
	b := cbor.AppendHead(it.buf[:0], cbor.Array, uint64(it.n))
	b = append(b, readingHead...)
	for i := 1; i < it.n; i++ {
		b = append(b, cbor.Bytes|24, 0)
		from := len(b)
		b = AppendItem(b, r, i)
		switch size := len(b) - from; {
		case size < 24: // the shortest head is one byte
			b[from-2] = cbor.Bytes | byte(size)
			b = append(b[:from-1], b[from:]...)
			from--
		case size <= math.MaxUint8:
			b[from-1] = byte(size)
		default:
			panic(fmt.Sprintf("reading: items of an invalid reading: item %d has %d bytes", i, size))
		}
		it.span[i].from, it.span[i].to = uint16(from), uint16(len(b))
	}
	it.span[0].to = uint16(len(b))
	it.buf = b
}

// Len returns the number of items, item 0 counted.
func (it *Items) Len() int { return it.n }

// At returns item i, valid until the next Set. It panics outside 0…Len()-1.
func (it *Items) At(i int) []byte {
	if i < 0 || i >= it.n {
		panic(fmt.Sprintf("reading: item %d of %d", i, it.n))
	}
	s := it.span[i]
	return it.buf[s.from:s.to:s.to]
}
