package store

import (
	"encoding/binary"

	"cairn/merkle"
)

// The kinds of key; see the package documentation.
const (
	kindState      = 'S'
	kindStream     = 's'
	kindDevice     = 'd'
	kindStart      = 'I'
	kindCommit     = 'c'
	kindHead       = 'k'
	kindSegment    = 'g'
	kindIndex      = 'i'
	kindHour       = 'H'
	kindHeader     = 'h'
	kindWindow     = 'w'
	kindRun        = 'n'
	kindRuns       = 'r'
	kindRunNode    = 'N'
	kindStreamNode = 't'
	kindBatchNodes = 'B'
	kindLogNode    = 'l'
	kindStatement  = 'y'
	kindStateNode  = 'Y'
	kindCheckpoint = 'p'
	kindLogKey     = 'K'
	kindJournal    = 'j'
	kindHidden     = 'x'
	kindRoots      = 'X'
	kindShred      = 'z'
	kindDrop       = 'D'
)

// format is the first byte of every value, but for those that came to say more: a
// program that does not know of it must not go on.
const (
	format        = 1
	formatRotated = 2 // S once there was another log key
	formatSplit   = 2 // s of a stream from scheme 1 on
	formatLate    = 3 // s of a late stream
	formatPlaced  = 2 // d of a device with a place, labels or an end for good
	formatClasses = 2 // c with any number of classes
	formatObject  = 2 // g and H of objects
	formatPrivate = 2 // y of a statement that is salted under compartment "statements"
)

// keyspace builds the keys of one ledger.
type keyspace struct{ id merkle.Hash }

func (k keyspace) key(kind byte) []byte {
	b := make([]byte, 0, 33+24)
	b = append(b, k.id[:]...)
	return append(b, kind)
}

func (k keyspace) u32(kind byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32(k.key(kind), n)
}

func (k keyspace) u64(kind byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(k.key(kind), n)
}

func (k keyspace) pair(kind byte, a, b uint64) []byte {
	return binary.BigEndian.AppendUint64(k.u64(kind, a), b)
}

// node is the key of a tree node; slot is left out for the ledger's own trees.
func (k keyspace) node(kind byte, level int, index uint64) []byte {
	return binary.BigEndian.AppendUint64(append(k.key(kind), byte(level)), index)
}

func (k keyspace) streamNode(slot uint64, level int, index uint64) []byte {
	return binary.BigEndian.AppendUint64(append(k.u64(kindStreamNode, slot), byte(level)), index)
}

func (k keyspace) runNode(slot, batch uint64, level int, index uint64) []byte {
	return binary.BigEndian.AppendUint64(append(k.pair(kindRunNode, slot, batch), byte(level)), index)
}

// segmentKey names one part of one compartment's segment of a quarter hour.
type segmentKey struct {
	Hour        uint32
	First       uint64 // first batch of the sealed group
	Compartment uint32
	Part        uint32
}

func (k keyspace) segment(s segmentKey) []byte {
	b := binary.BigEndian.AppendUint64(k.u32(kindSegment, s.Hour), s.First)
	b = binary.BigEndian.AppendUint32(b, s.Compartment)
	return binary.BigEndian.AppendUint32(b, s.Part)
}

// part is the key of what is kept of a shredded part of a stream, which its
// envelope's segment names.
func (k keyspace) part(kind byte, s segmentKey) []byte {
	b := k.segment(s)
	b[32] = kind
	return b
}

// segments bounds the keys of one sealed group.
func (k keyspace) segments(hour uint32, first uint64) (lower, upper []byte) {
	lower = binary.BigEndian.AppendUint64(k.u32(kindSegment, hour), first)
	upper = binary.BigEndian.AppendUint64(k.u32(kindSegment, hour), first+1)
	return lower, upper
}

func (k keyspace) journal(route, key string) []byte {
	b := append(k.key(kindJournal), byte(len(route)))
	b = append(b, route...)
	return append(b, key...)
}

// suffix gives the part of a key after the ledger id and the kind.
func suffix(key []byte) []byte { return key[33:] }

// after is the smallest key that is greater than every key with this prefix.
func after(prefix []byte) []byte {
	b := append([]byte(nil), prefix...)
	for i := len(b) - 1; i >= 0; i-- {
		b[i]++
		if b[i] != 0 {
			return b[:i+1]
		}
	}
	return nil
}
