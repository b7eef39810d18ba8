package store

import (
	"fmt"
	"math/bits"
	"slices"
	"sync"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
)

// Intake has the hashes of a reading at hand that sealing needs for an envelope
// object's hidden part, and closing a window those of its batch's leaves, which the
// group object has. Made again, from what was just compressed, they are most of the
// work of sealing; kept for a quarter hour they are some 300 bytes a reading, and 32
// a slot and batch. So are the columns of commits, which need not be opened again.
// What did not fit, or came before the last start, is made again.
type kept struct {
	mu      sync.Mutex // covers all below
	streams map[uint64]*keptStream
	leaves  map[uint64][]merkle.Hash // of a batch, by slot; not changed
	commits map[uint64]*keptCommit
	held    int
	missed  int // readings hashed again; by the sealing
}

// maxKept bounds what is kept, in bytes: what 180 readings a second make.
const maxKept = 64 << 20

// keptStream is of a stream's readings, commit after commit, without holes.
type keptStream struct {
	parts []keptPart
	next  uint64 // reading
}

// keptPart is of the readings of one commit, which are sealed together.
type keptPart struct {
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

// keptSize is what a reading costs but for its siblings, keptPartSize a part.
const (
	keptSize     = 56
	keptPartSize = 56
)

func (k *keptPart) size() int { return len(k.siblings) + keptSize*len(k.readings) + keptPartSize }

func (k *keptPart) next() uint64 { return k.first + uint64(len(k.readings)) }

// newKeptPart has room for n readings, as many of them as not with these items.
func newKeptPart(first uint64, n, items int) keptPart {
	width := reading.Width(items)
	each := 1 + merkle.HashSize*(1+items-reading.IndexFrame+bits.OnesCount(uint(width-items)))
	return keptPart{first: first, readings: make([]keptReading, 0, n), siblings: make([]byte, 0, n*each)}
}

// cut gives the part's readings [from, to).
func (k *keptPart) cut(from, to uint64) keptPart {
	at := 0
	if from > k.first {
		at = k.readings[from-k.first-1].end
	}
	out := keptPart{first: from, readings: k.readings[from-k.first : to-k.first]}
	if from < to {
		out.siblings = k.siblings[at:out.readings[len(out.readings)-1].end]
	}
	return out
}

// takes says whether there is room for more.
func (k *kept) takes() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.held < maxKept
}

// add takes a stream's next readings over, with the memory that they are in.
func (k *kept) add(slot uint64, p keptPart) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(p.readings) == 0 || k.held+p.size() > maxKept {
		return
	}
	if k.streams == nil {
		k.streams = map[uint64]*keptStream{}
	}
	x := k.streams[slot]
	if x == nil {
		x = &keptStream{next: p.first}
		k.streams[slot] = x
	}
	if x.next != p.first {
		return // some did not fit: not before what is there is sealed
	}
	x.parts, x.next = append(x.parts, p), p.next()
	k.held += p.size()
}

// get gives what is kept of the readings [first, first+n) if that is all of them.
func (k *kept) get(slot, first uint64, n int) (out []keptPart, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	x, next := k.streams[slot], first+uint64(n)
	if x == nil || first < x.parts[0].first || next > x.next {
		return nil, false
	}
	for i := range x.parts {
		if p := &x.parts[i]; p.first < next && p.next() > first {
			out = append(out, p.cut(max(first, p.first), min(next, p.next())))
		}
	}
	return out, true
}

// drop forgets a stream's parts below next, which are sealed.
func (k *kept) drop(slot, next uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	x := k.streams[slot]
	if x == nil {
		return
	}
	n := 0
	for n < len(x.parts) && x.parts[n].next() <= next {
		k.held -= x.parts[n].size()
		n++
	}
	if x.parts = slices.Delete(x.parts, 0, n); len(x.parts) == 0 {
		delete(k.streams, slot)
	}
}

// addLeaves keeps the leaves of a batch that is being closed.
func (k *kept) addLeaves(batch uint64, leaves []merkle.Hash) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held+merkle.HashSize*len(leaves) > maxKept {
		return
	}
	if k.leaves == nil {
		k.leaves = map[uint64][]merkle.Hash{}
	}
	k.leaves[batch] = slices.Clone(leaves)
	k.held += merkle.HashSize * len(leaves)
}

// leavesOf gives the leaves of a batch with so many slots, nil if they are not kept.
func (k *kept) leavesOf(batch uint64, slots int) []merkle.Hash {
	k.mu.Lock()
	defer k.mu.Unlock()
	if leaves := k.leaves[batch]; len(leaves) == slots {
		return leaves
	}
	return nil
}

// dropLeaves forgets the leaves of the batches below next, which are sealed.
func (k *kept) dropLeaves(next uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for batch, leaves := range k.leaves {
		if batch < next {
			k.held -= merkle.HashSize * len(leaves)
			delete(k.leaves, batch)
		}
	}
}

// keptCommit is a commit's columns as they were before they were sealed: of each
// stream, in the record's order, the envelope, the data by class, the evidence.
type keptCommit struct {
	plain []byte
	ends  []uint32 // of each in plain
}

func (k *keptCommit) size() int { return len(k.plain) + 4*len(k.ends) + keptPartSize }

func (k *keptCommit) add(b []byte) {
	k.plain = append(k.plain, b...)
	k.ends = append(k.ends, uint32(len(k.plain)))
}

// next takes the next n pieces off.
func (k *keptCommit) next(at *int, n int) [][]byte {
	out := make([][]byte, n)
	from := uint32(0)
	if *at > 0 {
		from = k.ends[*at-1]
	}
	for i := range out {
		end := k.ends[*at]
		out[i], from = k.plain[from:end:end], end
		*at++
	}
	return out
}

// addCommit keeps the columns of a commit that is being written.
func (k *kept) addCommit(number uint64, streams []*stream) {
	size, pieces := 0, 0
	for _, st := range streams {
		size += len(st.out.plain) + len(st.out.evidence)
		pieces += len(st.out.ends) + 1
	}
	x := &keptCommit{plain: make([]byte, 0, size), ends: make([]uint32, 0, pieces)}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held+size+4*pieces+keptPartSize > maxKept {
		return
	}
	for _, st := range streams {
		from := 0
		for _, end := range st.out.ends {
			x.add(st.out.plain[from:end])
			from = end
		}
		x.add(st.out.evidence)
	}
	if k.commits == nil {
		k.commits = map[uint64]*keptCommit{}
	}
	k.commits[number] = x
	k.held += x.size()
}

// commit gives what is kept of a commit, or nil.
func (k *kept) commit(number uint64) *keptCommit {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.commits[number]
}

// dropCommits forgets the commits [from, to), which are sealed.
func (k *kept) dropCommits(from, to uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for n := from; n < to && len(k.commits) > 0; n++ {
		if x := k.commits[n]; x != nil {
			k.held -= x.size()
			delete(k.commits, n)
		}
	}
}

// addKept puts what was kept of a commit behind what waits of its streams.
func (l *sealer) addKept(rec *record, kept *keptCommit) error {
	at := 0
	for i := range rec.streams {
		x := &rec.streams[i]
		in := &l.r.v.streams[x.slot]
		k, err := l.r.hourKeys(in, l.group.hour, [16]byte{})
		if err != nil {
			return err
		}
		b := kept.next(&at, 1+len(x.data)+1)
		if err := l.addBlocks(rec, i, in, k, blocks{b[0], b[1 : 1+len(x.data)], b[1+len(x.data)]}); err != nil {
			return err
		}
	}
	return nil
}

// addBlocks merges the columns of a commit's stream with those that wait, where both
// are of one part.
func (l *sealer) addBlocks(rec *record, i int, in *streamInfo, k *hourKeys, b blocks) error {
	st, err := l.stream(in)
	if err != nil {
		return err
	}
	n := rec.streams[i].n
	if st.scheme == schemeSite || st.n+n > segmentReadings {
		all, err := l.r.s.decodeRecord(rec, i, in, k, b)
		if err != nil {
			return err
		}
		return l.add(all, rec.batch)
	}
	before := st.size()
	if err := st.merge(b, k.openPayloads(st.scheme, purposeEvidence, &rec.random, l.r.s.commitAAD(rec.number, in.envelope))); err != nil {
		return fmt.Errorf("%w: commit %d: %w", ErrDamaged, rec.number, err)
	}
	if st.first+uint64(st.n) != rec.streams[i].first+uint64(n) {
		return fmt.Errorf("%w: commit %d: stream %d holds other readings than its head says", ErrDamaged, rec.number, in.slot)
	}
	st.runs = addToRun(st.runs, rec.batch, n)
	return l.hold(in, st, st.size()-before)
}

// keptHashes appends what intake kept of a part's readings, and takes the trail on
// behind them.
func (t *trail) keptHashes(dst []byte, parts []keptPart) []byte {
	n := 0
	for i := range parts {
		n += len(parts[i].siblings)
	}
	dst = slices.Grow(dst, n)
	for i := range parts {
		for j := range parts[i].readings {
			r := &parts[i].readings[j]
			t.tree.Append(r.leaf)
			if r.counted {
				t.carry.prev, t.carry.hasPrev = r.counter, true
			}
		}
		dst = append(dst, parts[i].siblings...)
	}
	return dst
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
