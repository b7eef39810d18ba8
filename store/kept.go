package store

import (
	"slices"
	"sync"

	"cairn/ingest/frame"
	"cairn/merkle"
)

// Intake has the hashes of a reading at hand that sealing needs for an envelope
// object's hidden part. Made again, from what was just compressed, they are most
// of the work of sealing; kept for a quarter hour they are some 300 bytes each.
// What did not fit, or came before the last start, is made again.
type kept struct {
	mu      sync.Mutex // covers all below
	streams map[uint64]*keptStream
	held    int
	missed  int // readings hashed again; by the sealing
}

// maxKept bounds what is kept, in bytes: the readings of 80 a second.
const maxKept = 32 << 20

// keptStream is of the readings of a stream from first on, without holes.
type keptStream struct {
	first    uint64
	readings []keptReading
	siblings []byte // as appendSiblings has them, one behind the other
}

type keptReading struct {
	leaf    merkle.Hash // in the stream's tree
	end     int         // of its siblings
	counter frame.Counter
	counted bool
}

// keptSize is what a reading costs but for its siblings.
const keptSize = 56

func (k *keptStream) size() int { return len(k.siblings) + keptSize*len(k.readings) }

func (k *keptStream) reset(first uint64) {
	k.first, k.readings, k.siblings = first, k.readings[:0], k.siblings[:0]
}

// takes says whether there is room for more.
func (k *kept) takes() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.held < maxKept
}

// add takes a stream's next readings over.
func (k *kept) add(slot uint64, add *keptStream) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(add.readings) == 0 || k.held+add.size() > maxKept {
		return
	}
	if k.streams == nil {
		k.streams = map[uint64]*keptStream{}
	}
	x := k.streams[slot]
	if x == nil {
		x = new(keptStream)
		k.streams[slot] = x
	}
	if len(x.readings) == 0 {
		x.first = add.first
	} else if x.first+uint64(len(x.readings)) != add.first {
		return // some did not fit: not before what is there is sealed
	}
	at := len(x.siblings)
	x.siblings = append(x.siblings, add.siblings...)
	for _, r := range add.readings {
		r.end += at
		x.readings = append(x.readings, r)
	}
	k.held += add.size()
}

// get gives what is kept of the readings [first, first+n) if that is all of them.
// It stays as it is until these are dropped.
func (k *kept) get(slot, first uint64, n int) (readings []keptReading, siblings []byte, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	x := k.streams[slot]
	if x == nil || first < x.first || first+uint64(n) > x.first+uint64(len(x.readings)) {
		return nil, nil, false
	}
	at := int(first - x.first)
	from := 0
	if at > 0 {
		from = x.readings[at-1].end
	}
	readings = x.readings[at : at+n]
	if n > 0 {
		siblings = x.siblings[from:readings[n-1].end]
	}
	return readings, siblings, true
}

// drop forgets a stream's readings below next, which are sealed.
func (k *kept) drop(slot, next uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	x := k.streams[slot]
	if x == nil || next <= x.first {
		return
	}
	k.held -= x.size()
	if n := next - x.first; n < uint64(len(x.readings)) {
		from := x.readings[n-1].end
		x.siblings = slices.Clone(x.siblings[from:])
		x.readings = slices.Clone(x.readings[n:])
		for i := range x.readings {
			x.readings[i].end -= from
		}
		x.first = next
		k.held += x.size()
	} else {
		delete(k.streams, slot)
	}
}

// keptHashes appends what intake kept of a part's readings, and takes the trail on
// behind them.
func (t *trail) keptHashes(dst []byte, readings []keptReading, siblings []byte) []byte {
	for i := range readings {
		t.tree.Append(readings[i].leaf)
		if readings[i].counted {
			t.carry.prev, t.carry.hasPrev = readings[i].counter, true
		}
	}
	return append(dst, siblings...)
}

// keepSiblings makes the record root of a reading's leaves, of which it leaves
// nothing, and appends what one who has the envelope's items lacks for it.
func keepSiblings(dst []byte, leaves []merkle.Hash, items int) ([]byte, merkle.Hash) {
	dst = appendHashes(dst, leaves, items)
	// The subtrees over the decoys are nodes of the record tree: where the first
	// decoy's ancestor is a right child, none to its left has decoys alone.
	for at := items; len(leaves) > 1; at /= 2 {
		if at%2 == 1 {
			dst = append(dst, leaves[at][:]...)
			at++
		}
		leaves = merkle.Fold(leaves)
	}
	return dst, leaves[0]
}
