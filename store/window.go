package store

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// groupLevel is the level of batch tree nodes on disk.
const groupLevel = 4

// closePassed closes the open window and those that passed since, and opens the
// one that holds now. Windows that passed without the gateway share one batch
// per quarter hour.
func (c *committer) closePassed(now int64) error {
	for {
		if now-c.state.Open.To > maxJump {
			return c.jump(now)
		}
		if err := c.closeOpen(); err != nil {
			return err
		}
		w := &c.state.Open
		if now < w.To {
			return nil
		}
		end := w.hour().End()
		if passed := now - now%c.s.window; passed < end {
			end = passed
		}
		if end <= w.To && !c.clock.away { // only this one passed, and somebody was there
			continue
		}
		w.Missed = uint64((end - w.From) / c.s.window)
		w.To = end
		w.GapFrom, w.GapTo, w.GapReason = w.From, w.To, "windows missed"
	}
}

// closeOpen closes the open window, as one durable step, and opens the next.
func (c *committer) closeOpen() error {
	begun := time.Now()
	b := c.s.db.NewBatch()
	w := c.state.Open
	next := window{From: w.To, To: w.To + c.s.window}
	if err := c.closeInto(b, next); err != nil {
		b.Close()
		return err
	}
	c.write(b, nil, func(error) {
		select {
		case c.s.sealReady <- struct{}{}:
		default:
		}
	})
	c.s.opt.Events(Event{Kind: "window", Detail: time.Since(begun).String()})
	return nil
}

// closeInto builds the batch of the open window: a summary of every active
// stream at its slot, decoys elsewhere, the header, the log entry and, while
// signing, the checkpoint. It is O(streams + slots).
func (c *committer) closeInto(b *pebble.Batch, next window) error {
	w := &c.state.Open
	w.NextCommit, w.Start = c.nextCommit, c.state.Starts-1
	index := c.logTree.Size()
	leaves, readings, err := c.batchLeaves(b, w, index)
	if err != nil {
		return fmt.Errorf("close batch %d: %w", index, err)
	}
	if c.keeps() {
		c.s.kept.addLeaves(index, leaves)
	}
	streams := uint64(len(c.active))
	depth := ledger.Depth(c.state.Slots)
	root := c.putBatchTree(b, index, depth, leaves)
	h := ledger.Header{Ledger: c.s.keys.id, Index: index, From: w.From, To: w.To, Seen: w.seen(), Root: root}
	row := windowRow{
		Window: *w, Intake: c.head, Depth: uint8(depth), Statements: c.stTree.Size(),
		Readings: readings, Streams: streams, Segments: uint64(len(c.listed)),
	}
	if c.head == nil {
		row.Intake = ledger.NoIntake()
	}
	if row.SegmentsRoot, err = c.s.segmentsRoot(c.listed, c.ledgerCur, c.incarnation); err != nil {
		return err
	}
	items := row.items(c.stTree.Root())
	hk, err := c.ledgerCur.Hour(w.hour())
	if err != nil {
		return fmt.Errorf("ledger key: %w", err)
	}
	salts := headerSalts(c.siteKey, hk, index, c.incarnation)
	for i, item := range items {
		h.Hidden[i] = ledger.Hide(item, salts[i])
	}
	if err := c.putHeader(b, h, &row); err != nil {
		return err
	}
	ended := c.dropClosed(index)
	return c.openNext(b, *w, next, ended)
}

// batchLeaves computes the leaf of every slot and writes the runs' rows.
func (c *committer) batchLeaves(b *pebble.Batch, w *window, index uint64) (leaves []merkle.Hash, readings uint64, err error) {
	hour := w.hour()
	if err := c.siteKeys(hour); err != nil {
		return nil, 0, err
	}
	leaves = make([]merkle.Hash, 1<<ledger.Depth(c.state.Slots))
	decoy := newDecoys(c.siteKey, c.incarnation, index)
	at := 0
	for slot := range leaves {
		if at == len(c.active) || c.active[at].slot != uint64(slot) {
			leaves[slot] = decoy.leaf(uint64(slot))
			continue
		}
		st := c.active[at]
		at++
		if err := c.streamKeys(st, hour); err != nil {
			return nil, 0, err
		}
		st.beginRun(index)
		sum := ledger.Summary{
			Slot: st.slot, From: w.From, To: w.To, First: st.first, Next: st.tree.Size(),
			Closed: st.closing, Run: st.run.Root(), Stream: st.streamRoot(),
		}
		var hidden merkle.Hash
		leaves[slot], hidden = summaryLeaf(&sum, st.tag, st.stats.rest(w.gaps()), st.keys, index)
		if n := sum.Next - sum.First; n > 0 {
			readings += n
			if err := b.Set(c.s.keys.pair(kindRun, st.slot, index), encodeRun(&sum, leaves[slot], hidden), nil); err != nil {
				return nil, 0, err
			}
		}
	}
	return leaves, readings, nil
}

// streamRoot is the root over the whole stream, kept while nothing is appended.
func (st *stream) streamRoot() merkle.Hash {
	if st.rootSize != st.tree.Size() || st.rootSize == 0 {
		st.root, st.rootSize = st.tree.Root(), st.tree.Size()
	}
	return st.root
}

// summaryLeaf hides the rest, completes the summary and gives its leaf.
func summaryLeaf(sum *ledger.Summary, tag [12]byte, rest ledger.Rest, k *hourKeys, batch uint64) (leaf, hidden merkle.Hash) {
	block := ledger.SummaryBlock(batch)
	sum.Hidden = ledger.Hide(rest.Append(nil), encrypt(k.rest, block))
	var buf [ledger.MaxSummary]byte
	entry := ledger.SummaryEntry(tag, sum.Append(buf[:0]), encrypt(k.summary, block))
	return merkle.LeafHash(entry[:]), sum.Hidden
}

func encrypt(k saltBlock, block [16]byte) (salt [16]byte) {
	k.Encrypt(salt[:], block[:])
	return salt
}

// decoys gives the leaves of empty slots of one batch.
type decoys struct {
	salt  saltBlock
	batch uint64
}

func newDecoys(site share.HourKey, incarnation [16]byte, batch uint64) decoys {
	return decoys{site.SaltBlock(ledger.SlotLabel, ledger.NoStream, incarnation), batch}
}

func (d decoys) leaf(slot uint64) merkle.Hash {
	e := ledger.DecoyEntry(encrypt(d.salt, ledger.PairBlock(d.batch, slot)))
	return merkle.LeafHash(e[:])
}

// headerSalts are the salts of what a header hides, in its order.
func headerSalts(site, led share.HourKey, batch uint64, incarnation [16]byte) (out [ledger.HiddenItems][16]byte) {
	s := site.SaltBlock(ledger.HeaderLabel, ledger.NoStream, incarnation)
	l := led.SaltBlock(ledger.HeaderLabel, ledger.NoStream, incarnation)
	for i := range out {
		k := l
		if i == ledger.HiddenCounts || i == ledger.HiddenIntake {
			k = s
		}
		out[i] = encrypt(k, ledger.PairBlock(batch, uint64(i)))
	}
	return out
}

// putBatchTree writes the batch tree's nodes at the group level and gives its root.
func (c *committer) putBatchTree(b *pebble.Batch, index uint64, depth int, leaves []merkle.Hash) merkle.Hash {
	width := 1 << min(groupLevel, depth)
	val := make([]byte, 1, 1+32*len(leaves)/width)
	val[0] = format
	groups := leaves[:0]
	for i := 0; i < len(leaves); i += width {
		h := merkle.PerfectRoot(leaves[i : i+width])
		groups = append(groups, h) // behind i: what it overwrites has been used
		val = append(val, h[:]...)
	}
	b.Set(c.s.keys.u64(kindBatchNodes, index), val, nil)
	return merkle.PerfectRoot(groups)
}

// putHeader writes the header, its window, its log nodes and the checkpoint.
func (c *committer) putHeader(b *pebble.Batch, h ledger.Header, row *windowRow) error {
	k := c.s.keys
	item := h.Append(nil)
	if err := b.Set(k.u64(kindHeader, h.Index), append([]byte{format}, item...), nil); err != nil {
		return err
	}
	if err := c.s.putRow(b, k.u64(kindWindow, h.Index), row, false); err != nil {
		return err
	}
	var err error
	c.logTree.AppendCollect(merkle.LeafHash(item), 0, func(level int, i uint64, n merkle.Hash) {
		if err == nil {
			err = b.Set(k.node(kindLogNode, level, i), hashValue(n), nil)
		}
	})
	if err != nil {
		return err
	}
	c.openFirst = 0 // all that came is in the log now
	return c.sign(b)
}

// windowRow is the row w: the window, and what its header hides.
type windowRow struct {
	_            struct{} `cbor:",toarray"`
	Window       window
	Intake       []byte
	Depth        uint8
	Statements   uint64
	Readings     uint64
	Streams      uint64
	Segments     uint64
	SegmentsRoot []byte // empty if there are none
}

// items are those that the header hides, in its order.
func (w *windowRow) items(statements merkle.Hash) [ledger.HiddenItems][]byte {
	segments := ledger.SegmentsHead{Count: w.Segments, Root: merkle.EmptyRoot()}
	if len(w.SegmentsRoot) > 0 {
		copy(segments.Root[:], w.SegmentsRoot)
	}
	return [ledger.HiddenItems][]byte{
		ledger.Counts{Readings: w.Readings, Streams: w.Streams, Missed: w.Window.Missed}.Append(nil),
		w.Intake,
		ledger.Slots{Depth: int(w.Depth)}.Append(nil),
		segments.Append(nil),
		ledger.StatementsHead{Size: w.Statements, Root: statements}.Append(nil),
	}
}

// sign signs the log's head while signing is allowed.
func (c *committer) sign(b *pebble.Batch) error {
	if !c.signing {
		return nil
	}
	note, err := c.s.signHead(c.keys, c.logTree.Size(), c.logTree.Root())
	if err != nil {
		return err
	}
	c.note, c.signed, c.oldest = note, c.logTree.Size(), c.openFirst
	c.state.Signed = c.signed // the caller writes the state
	return c.s.putRow(b, c.s.keys.key(kindCheckpoint), checkpointRow{Size: c.signed, Note: note}, false)
}

type checkpointRow struct {
	_    struct{} `cbor:",toarray"`
	Size uint64
	Note []byte
}

// dropClosed takes streams out that had their last summary, and says whether
// there were any: their rows must say so with this batch.
func (c *committer) dropClosed(index uint64) (ended bool) {
	keep := c.active[:0]
	for _, st := range c.active {
		if st.closing {
			st.closing, st.closed, st.closedBy, st.dirty = false, true, index, true
			c.infos, ended = nil, true
			continue
		}
		keep = append(keep, st)
	}
	clear(c.active[len(keep):])
	c.active = keep
	return ended
}

// openNext opens the window after the one just closed. At a quarter hour's end
// the frontiers are written, so that its commits can be sealed and deleted.
func (c *committer) openNext(b *pebble.Batch, closed, next window, ended bool) error {
	next.FirstCommit = c.nextCommit
	for _, s := range c.s.opt.Seen() {
		next.Seen = append(next.Seen, seenRow{Route: s.Route, Height: s.Height, Hash: s.Hash, Time: s.Time})
	}
	c.clock.stepped = false
	c.state.Open = next
	c.state.Size = c.logTree.Size()
	c.listed = c.listed[:0]
	if closed.hour() == next.hour() && closed.To == next.From && !ended {
		return c.putState(b)
	}
	return c.snapshot(b)
}

// A run's row: format, count, first, stream root (32), summary leaf (32), and
// for a run of more than 64 readings the summary's hidden digest (32).
func encodeRun(sum *ledger.Summary, leaf, hidden merkle.Hash) []byte {
	b := make([]byte, 1, 1+2*binary.MaxVarintLen64+3*32)
	b[0] = format
	b = binary.AppendUvarint(b, sum.Next-sum.First)
	b = binary.AppendUvarint(b, sum.First)
	b = append(b, sum.Stream[:]...)
	b = append(b, leaf[:]...)
	if sum.Next-sum.First > longRun {
		b = append(b, hidden[:]...)
	}
	return b
}

type runRow struct {
	batch        uint64
	first, next  uint64
	stream, leaf merkle.Hash
	hidden       merkle.Hash
	hasHidden    bool

	sealed bool   // stream and leaf are missing: fill makes them
	group  uint64 // that it is sealed in
}

// longRun is how many readings a run may have before the hidden digest of its
// summary is kept, so that one of them can be proven without all others.
const longRun = 1 << 6

func parseRun(batch uint64, b []byte) (runRow, error) {
	c := cursor{b: b}
	r := runRow{batch: batch}
	f, n := c.byte(), c.uvarint()
	r.first = c.uvarint()
	r.next = r.first + n
	copy(r.stream[:], c.take(32))
	copy(r.leaf[:], c.take(32))
	if r.hasHidden = len(c.b) > 0; r.hasHidden {
		copy(r.hidden[:], c.take(32))
	}
	if c.err != nil || f != format || len(c.b) != 0 || r.next <= r.first || r.hasHidden != (n > longRun) {
		return r, fmt.Errorf("%w: run of batch %d", ErrDamaged, batch)
	}
	return r, nil
}

// segmentRow is one finished segment, to be listed by the next header.
type segmentRow struct {
	key    segmentKey
	next   uint64 // first batch after it
	sealed merkle.Hash
	size   int // of the object; 0 where the row was read
}

func (r *segmentRow) item() []byte {
	return ledger.Segment{
		Compartment: r.key.Compartment, Hour: r.key.Hour, Part: r.key.Part,
		First: r.key.First, Next: r.next, Sealed: r.sealed,
	}.Append(nil)
}

// segmentsRoot is the root over segments in the order that they were finished
// in, each salted under the hour that it holds; empty for none.
func (s *Store) segmentsRoot(rows []segmentRow, cur *share.Cursor, incarnation [16]byte) ([]byte, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	leaves := make([]merkle.Hash, len(rows))
	var salt saltBlock
	for i := range rows {
		k := &rows[i].key
		if i == 0 || k.Hour != rows[i-1].key.Hour {
			hour, err := cur.Hour(share.Hour(k.Hour))
			if err != nil {
				return nil, fmt.Errorf("ledger key: %w", err)
			}
			salt = hour.SaltBlock(ledger.SegmentLabel, ledger.NoStream, incarnation)
		}
		e := ledger.HiddenEntry(rows[i].item(), encrypt(salt, ledger.SegmentBlock(k.First, k.Compartment, k.Part)))
		leaves[i] = merkle.LeafHash(e[:])
	}
	root := merkle.RootInPlace(leaves)
	return root[:], nil
}
