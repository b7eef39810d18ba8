package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/cockroachdb/pebble/v2"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/store/share"
)

// An object is what of a segment leaves the site (share.SealObject): its content,
// padding, and in an envelope's the hidden part, with which one who has no more
// than the envelope makes record roots again. The site keeps
//
//	format(2) SHA-256 of the object (32) sealed content
//
// and makes the rest again: the random bytes are those of
//
//	HMAC-SHA256(site's seal key of the hour, "cairn/object-random/1" ‖ address ‖ nonce (8))
//
// where the address is the segment's key, which is its additional data too, and
// the nonce was drawn for this sealing of the group and stands in its row H.
//
// The hidden part of an envelope object:
//
//	1 ‖ tag (12) ‖ first ‖ n        the stream's tag: without it an audience has no reading entry and no summary entry
//	peaks: count, 32 each      roots of the complete subtrees of the stream's tree at first, highest first
//	carry: 0, or 1 ‖ counter (8)   the device's counter before the part's first reading
//	runs:  count, { batch − first of the group, readings }   non-empty ones of this part
//	for each reading: items (N+1) ‖ leaf hashes of items 0, 6 and 7…N ‖ roots of the smallest aligned
//	  subtrees that cover the decoys N+1…W−1, left to right
const (
	hiddenVersion = 1
	maxPad        = 1 << 20
)

var (
	// ErrOldGroup is a sealed group of before there were objects.
	ErrOldGroup = errors.New("the quarter hour was sealed by an earlier version: it has no objects")
	// ErrShredded tells that the keys of what was asked for are gone.
	ErrShredded = share.ErrShredded
)

// objectHash is what a header lists of a row g.
func objectHash(val []byte) merkle.Hash {
	if len(val) >= 33 && val[0] == formatObject {
		return merkle.Hash(val[1:33])
	}
	return sha256.Sum256(val)
}

func (l *sealer) key(compartment, part uint32) segmentKey {
	return segmentKey{Hour: uint32(l.group.hour), First: l.group.first, Compartment: compartment, Part: part}
}

// put seals a part of a compartment's segment and writes its row.
func (l *sealer) put(k share.HourKey, compartment, part uint32, content, hidden []byte) error {
	key := l.key(compartment, part)
	random := l.r.objectRandom(&l.row, key)
	packed := packContent(content)
	if l.r.s.bench.noSealing {
		return l.r.s.db.Set(l.r.s.keys.segment(key), packed, pebble.NoSync)
	}
	object, err := k.SealObject(l.object[:0], l.r.s.segmentAAD(key), &random, packed, hidden, l.r.s.opt.Pad)
	if err != nil {
		return fmt.Errorf("segment of compartment %d: %w", compartment, err)
	}
	if l.live == nil {
		l.object = object
	}
	hash := sha256.Sum256(object)
	val := append([]byte{formatObject}, hash[:]...)
	val = append(val, object[objectHead:objectHead+len(packed)+share.Overhead]...)
	return l.keep(segmentRow{key: key, next: l.group.next, sealed: hash, size: len(object)}, object, val)
}

// objectHead is what an object has before its sealed content.
const objectHead = 32 + 4 + share.Overhead

// objectRandom makes an object's random bytes. It gives zeros, which nothing opens
// with, where the site's key of the hour is gone.
func (r *reader) objectRandom(row *hourRow, key segmentKey) (out [32]byte) {
	site, err := r.siteKey(share.Hour(key.Hour))
	if err != nil {
		return out
	}
	mac := hmac.New(sha256.New, site.Seal[:])
	mac.Write([]byte("cairn/object-random/1"))
	mac.Write(r.s.keys.segment(key))
	mac.Write(binary.BigEndian.AppendUint64(nil, row.Nonce))
	copy(out[:], mac.Sum(nil))
	return out
}

// openPacked opens the content of a row, as it was packed.
func (r *reader) openPacked(k share.HourKey, key segmentKey, val []byte) ([]byte, error) {
	row, err := r.groupRow(key.First)
	if err != nil {
		return nil, err
	}
	random := r.objectRandom(&row, key)
	return k.OpenContent(nil, r.s.segmentAAD(key), &random, val[33:])
}

// trail is what the hidden part of a stream's next part begins with: the stream's
// tree so far, and the newest counter.
type trail struct {
	group uint64 // it was left by the group before this one
	tree  merkle.Tree
	carry runStats // prev and hasPrev of it
}

// sealTrail gives the trail of a stream at the first reading of a group: the one
// that the sealing before left, or one made again from what is on disk.
func (s *Store) sealTrail(r *reader, in *streamInfo, group uint64) (*trail, error) {
	if t := s.trails[in.slot]; t != nil && t.group == group {
		c := *t
		return &c, nil
	}
	run, err := r.lastRun(in.slot, group)
	if err != nil || run == nil {
		return new(trail), err
	}
	return r.trailAt(in, run.next)
}

// trailAt makes a trail again from the readings before first.
func (r *reader) trailAt(in *streamInfo, first uint64) (*trail, error) {
	t := new(trail)
	if first == 0 {
		return t, nil
	}
	var err error
	if t.tree, err = treeAt(&treeNodes{r: r, in: in}, first); err != nil {
		return nil, err
	}
	return t, r.carry(in, &t.carry, first)
}

// keepTrails leaves the streams' trails for the next group.
func (l *sealer) keepTrails() {
	trails := make(map[uint64]*trail, len(l.streams))
	for slot, st := range l.streams {
		st.trail.group = l.group.next
		trails[slot] = st.trail
		l.r.s.kept.drop(slot, st.trail.tree.Size())
	}
	l.r.s.kept.dropLeaves(l.group.next)
	l.r.s.kept.dropCommits(l.group.from, l.group.to)
	l.r.s.trails = trails
}

// partRun is how many readings of a part came with one batch.
type partRun struct {
	batch uint64
	n     int
}

func addToRun(runs []partRun, batch uint64, n int) []partRun {
	if last := len(runs) - 1; last >= 0 && runs[last].batch == batch {
		runs[last].n += n
		return runs
	}
	return append(runs, partRun{batch, n})
}

// classify gives each measurement of a reading that was opened its class.
func (r *reader) classify(in *streamInfo, st *stored) error {
	if len(in.classes.list) > 1 && len(st.class) != len(st.Measurements) {
		return fmt.Errorf("%w: reading %d of stream %d: its measurements have no classes", ErrDamaged, st.Sequence, in.slot)
	}
	return nil
}

// deviceText is how a stream's device is named in its readings.
func (v *view) deviceText(in *streamInfo) string {
	for i := range v.devices {
		if v.devices[i].Number == in.device {
			return v.devices[i].Device()
		}
	}
	return ""
}

// hidden makes the hidden part of what is flushed.
func (l *sealer) hidden(in *streamInfo, st *sealing, b blocks) ([]byte, error) {
	if l.r.s.bench.noSealing {
		return nil, nil
	}
	if parts, ok := l.r.s.kept.get(in.slot, st.first, st.n); ok {
		dst := appendHiddenHead(l.behind[:0], in, st.n, st.runs, l.group.first, st.trail)
		l.behind = st.trail.keptHashes(dst, parts)
		return l.behind, nil
	}
	l.r.s.kept.missed += st.n
	var readings []stored
	if st.n > 0 {
		k, err := l.r.hourKeys(in, l.group.hour, [16]byte{})
		if err != nil {
			return nil, err
		}
		if readings, err = l.r.decodeStretch(in, k, l.key(share.Site, l.sitePt), b); err != nil {
			return nil, err
		}
	}
	return l.r.appendHidden(nil, in, readings, st.runs, l.group.first, st.trail, &l.hasher)
}

// appendHidden makes the hidden part of an envelope object of these readings, and
// takes the trail on behind them.
func (r *reader) appendHidden(dst []byte, in *streamInfo, readings []stored, runs []partRun, group uint64, t *trail, h *reading.Hasher) ([]byte, error) {
	dst = appendHiddenHead(dst, in, len(readings), runs, group, t)
	for i := range readings {
		st := &readings[i]
		if err := r.complete(st); err != nil {
			return nil, err
		}
		k, err := r.hourKeysOf(in, st)
		if err != nil {
			return nil, err
		}
		leaves := h.Leaves(&st.Reading, k.of(st))
		dst = appendSiblings(dst, leaves, h.Items().Len())
		t.tree.Append(reading.EntryLeaf(in.tag, st.Sequence, merkle.PerfectRoot(leaves)))
		if o := &st.Origin; o.HasCounter {
			t.carry.prev, t.carry.hasPrev = frame.Counter(o.Counter), true
		}
	}
	return dst, nil
}

// appendHiddenHead appends what stands before the readings' hashes.
func appendHiddenHead(dst []byte, in *streamInfo, n int, runs []partRun, group uint64, t *trail) []byte {
	dst = binary.AppendUvarint(append(append(dst, hiddenVersion), in.tag[:]...), t.tree.Size())
	dst = binary.AppendUvarint(dst, uint64(n))
	peaks := t.tree.AppendBinary(nil)[8:]
	dst = append(binary.AppendUvarint(dst, uint64(len(peaks)/merkle.HashSize)), peaks...)
	if t.carry.hasPrev {
		dst = binary.BigEndian.AppendUint64(append(dst, 1), uint64(t.carry.prev))
	} else {
		dst = append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(len(runs)))
	for _, run := range runs {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, run.batch-group), uint64(run.n))
	}
	return dst
}

// appendSiblings appends what one who has the envelope's items of a reading lacks
// for its record root.
func appendSiblings(dst []byte, leaves []merkle.Hash, items int) []byte {
	dst = appendHashes(dst, leaves, items)
	for _, n := range decoyCover(items, len(leaves)) {
		root := merkle.RootOf(leaves[n.from:n.to])
		dst = append(dst, root[:]...)
	}
	return dst
}

// appendHashes appends of these siblings all but the decoys.
func appendHashes(dst []byte, leaves []merkle.Hash, items int) []byte {
	dst = binary.AppendUvarint(dst, uint64(items))
	dst = append(dst, leaves[reading.IndexReading][:]...)
	for i := reading.IndexFrame; i < items; i++ {
		dst = append(dst, leaves[i][:]...)
	}
	return dst
}

type leafRange struct{ from, to int }

// decoyCover gives the smallest aligned subtrees that cover the leaves from items
// up to width, left to right.
func decoyCover(items, width int) []leafRange {
	var out []leafRange
	for at := items; at < width; {
		n := 1 << bits.TrailingZeros(uint(at))
		out = append(out, leafRange{at, at + n})
		at += n
	}
	return out
}

// SealedObject makes an object of the group of batches that begins with first
// again: one of those that its group object or a header names by SHA-256.
// ErrNotFound: the group has no such object; ErrOldGroup: it was sealed before
// there were any; ErrShredded: its keys are gone; ErrDamaged: what is on disk
// gives another object.
func (s *Store) SealedObject(ctx context.Context, first uint64, hash merkle.Hash) ([]byte, error) {
	if object, err := s.live.sealed(ctx, s, first, hash); object != nil || err != nil {
		return object, err
	}
	r := s.reader()
	defer r.close()
	row, err := r.groupRow(first)
	if err != nil {
		return nil, err
	}
	if !row.objects() {
		return nil, fmt.Errorf("batch %d: %w", first, ErrOldGroup)
	}
	var key *segmentKey
	lower, upper := s.keys.segments(row.Hour, first)
	err = each(r.snap, lower, upper, func(k, val []byte) (bool, error) {
		if objectHash(val) != hash {
			return true, ctx.Err()
		}
		b := suffix(k)[12:]
		key = &segmentKey{Hour: row.Hour, First: first, Compartment: binary.BigEndian.Uint32(b), Part: binary.BigEndian.Uint32(b[4:])}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, fmt.Errorf("object %s of batch %d: %w", hash, first, ErrNotFound)
	}
	return r.object(*key)
}

// object makes the object of a row again and holds it against its hash.
func (r *reader) object(key segmentKey) ([]byte, error) {
	what := fmt.Sprintf("object of compartment %d, batch %d, part %d", key.Compartment, key.First, key.Part)
	row, err := r.groupRow(key.First)
	if err != nil {
		return nil, err
	}
	if key.Compartment == share.Ledger {
		return r.groupObject(key.First, &row)
	}
	k, err := r.cursor(key.Compartment).Hour(share.Hour(key.Hour))
	if err == nil && (key.Compartment == share.Site || r.v.streamWith(key.Compartment) != nil) {
		err = r.notDropped(share.Hour(key.Hour), key.First)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	val, closer, err := r.snap.Get(r.s.keys.segment(key))
	if err != nil {
		return nil, notFound(err, "%s", what)
	}
	defer closer.Close()
	if len(val) < 33 || val[0] != formatObject {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, what)
	}
	packed, err := r.openPacked(k, key, val)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, what, err)
	}
	hidden, err := r.hiddenOf(key, packed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	random := r.objectRandom(&row, key)
	object, err := k.SealObject(nil, r.s.segmentAAD(key), &random, packed, hidden, int(row.Pad))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if sha256.Sum256(object) != [32]byte(val[1:33]) {
		return nil, fmt.Errorf("%w: %s is not the one that was sealed", ErrDamaged, what)
	}
	return object, nil
}

// hiddenOf makes the hidden part of an object again, which only envelopes have.
func (r *reader) hiddenOf(key segmentKey, packed []byte) ([]byte, error) {
	in := r.v.streamOf(key.Compartment)
	if in == nil {
		return nil, nil
	}
	content, err := unpackContent(packed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	c := cursor{b: content}
	slot, columns := c.uvarint(), c.bytes()
	c = cursor{b: columns, err: c.err}
	first, n, err := c.head("envelope", 0, segmentReadings)
	if err != nil || slot != in.slot {
		return nil, fmt.Errorf("%w: the envelope of stream %d: %w", ErrDamaged, in.slot, errColumns)
	}
	if n > 0 {
		if hidden, err := r.keptHidden(in, key); hidden != nil || err != nil {
			return hidden, err
		}
	}
	t, err := r.trailAt(in, first)
	if err != nil || n == 0 {
		if err != nil {
			return nil, err
		}
		return r.appendHidden(nil, in, nil, nil, key.First, t, nil)
	}
	readings, err := r.readings(in, first, first+uint64(n))
	if err != nil {
		return nil, err
	}
	runs, err := r.partRuns(in, first, first+uint64(n))
	if err != nil {
		return nil, err
	}
	return r.appendHidden(nil, in, readings, runs, key.First, t, new(reading.Hasher))
}

// partRuns says with which batches the readings [first, next) of a stream came.
func (r *reader) partRuns(in *streamInfo, first, next uint64) (runs []partRun, err error) {
	for at := first; at < next; {
		run, err := r.runOf(in, at)
		if err != nil {
			return nil, err
		}
		if run == nil {
			return nil, fmt.Errorf("%w: stream %d: reading %d is sealed and has no run", ErrDamaged, in.slot, at)
		}
		to := min(run.next, next)
		runs = append(runs, partRun{run.batch, int(to - at)})
		at = to
	}
	return runs, nil
}

// streamOf gives the stream whose envelope a compartment is.
func (v *view) streamOf(compartment uint32) *streamInfo {
	for i := range v.streams {
		if v.streams[i].envelope == compartment {
			return &v.streams[i]
		}
	}
	return nil
}
