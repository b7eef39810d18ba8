package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"github.com/cockroachdb/pebble/v2"
	"github.com/klauspost/compress/zstd"

	"cairn/ingest/reading"
	"cairn/store/share"
)

// A segment holds what one compartment has of one quarter hour, or a part of it
// where that is much. Its content is a list of blocks, each slot, length and the
// stream's columns of the compartment's class, of the site's compartment the
// streams' evidence. The row of a segment that leaves the site as an object is in
// object.go. One of format 1 is
//
//	format(1) random(32) sealed
//
// and its plaintext length, compression (1: none 0, zstd 1), content, and zeros up
// to a multiple of 64.
const (
	segmentReadings = 1024      // of one stream in one part
	siteBytes       = 64 << 10  // of evidence in one part
	heldBytes       = 24 << 20  // columns in memory while a quarter hour is sealed
	maxSegment      = 256 << 20 // opened
)

// indexRow says where a sealed stretch of a stream lies.
type indexRow struct {
	_        struct{} `cbor:",toarray"`
	Hour     uint32
	Batch    uint64 // first of the group
	Part     uint32
	SitePart uint32
	Count    uint32
}

// hourRow is the row of a sealed group of batches, in format 1 without Nonce and
// Pad.
type hourRow struct {
	_      struct{} `cbor:",toarray"`
	Hour   uint32
	Next   uint64 // first batch after the group
	Listed uint64 // the batch whose header lists the segments
	Nonce  uint64 // of this sealing: the objects' random bytes are made of it
	Pad    uint32 // of the objects
}

type oldHourRow struct {
	_      struct{} `cbor:",toarray"`
	Hour   uint32
	Next   uint64
	Listed uint64
}

// objects says whether the group's segments leave the site as objects.
func (h *hourRow) objects() bool { return h.Pad > 0 }

func decodeHour(key, val []byte) (h hourRow, err error) {
	if len(val) > 0 && val[0] == format {
		var x oldHourRow
		err = decodeRow(nil, key, val, &x)
		return hourRow{Hour: x.Hour, Next: x.Next, Listed: x.Listed}, err
	}
	err = decodeRowAs(formatObject, nil, key, val, &h)
	if err == nil && (h.Pad == 0 || h.Pad > maxPad) {
		err = fmt.Errorf("%w: sealed quarter hour of batch %x pads to %d", ErrDamaged, suffix(key), h.Pad)
	}
	return h, err
}

type groupRow struct {
	first uint64
	row   hourRow
}

// groupRow gives the row of the sealed group that begins with a batch.
func (r *reader) groupRow(first uint64) (hourRow, error) {
	for _, g := range []*groupRow{&r.group, &r.sealing} {
		if g.row.Next > 0 && g.first == first {
			return g.row, nil
		}
	}
	key := r.s.keys.u64(kindHour, first)
	val, closer, err := r.snap.Get(key)
	if err != nil {
		return hourRow{}, notFound(err, "sealed quarter hour of batch %d", first)
	}
	defer closer.Close()
	h, err := decodeHour(key, val)
	if err == nil {
		r.group = groupRow{first, h}
	}
	return h, err
}

var (
	zstdEnc, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<18))
	zstdDec, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSegment))
)

// unpack opens the plaintext of a segment of format 1.
func unpack(plain []byte) ([]byte, error) {
	c := cursor{b: plain}
	n := c.uvarint()
	kind := c.byte()
	if n > uint64(len(c.b)) {
		c.fail()
	}
	body := c.take(int(n))
	if c.err != nil || kind > 1 {
		return nil, errColumns
	}
	if kind == 0 {
		return body, nil
	}
	return zstdDec.DecodeAll(body, nil)
}

// sealLoop seals quarter hours as they end.
func (s *Store) sealLoop() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		for !s.bench.noGroups {
			did, err := s.sealNext(ctx)
			if err != nil && ctx.Err() == nil && s.Dead() == nil && !errors.Is(err, ErrClosed) {
				s.opt.Logger.Error("sealing a quarter hour failed: it is tried again when the next window closes", "error", err)
			}
			if !did || err != nil {
				break
			}
		}
		select {
		case <-s.sealReady:
		case <-s.stop:
			return
		}
	}
}

// sealNext seals the oldest quarter hour that has ended, if there is one. The
// segments are written first; one batch by the committer makes them count.
func (s *Store) sealNext(ctx context.Context) (bool, error) {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	if err := s.Dead(); err != nil {
		return false, err // what a sealing wrote that failed may be there, and is none
	}
	r := s.reader()
	defer r.close()
	g, err := r.endedGroup()
	if err != nil || g == nil {
		return false, err
	}
	sl := newSealer(r, *g)
	if err := sl.run(ctx); err != nil {
		return false, fmt.Errorf("seal quarter hour %d: %w", g.hour, err)
	}
	err = s.change(ctx, func(c *committer, b *pebble.Batch, _ int64) error { return sl.finish(c, b) })
	if err == nil {
		sl.keepTrails()
		s.opt.Events(Event{Kind: "sealed", Detail: fmt.Sprintf("%d batches from %d, %d segments", g.next-g.first, g.first, len(sl.rows))})
	}
	return err == nil, err
}

// batchGroup is a run of batches of one quarter hour.
type batchGroup struct {
	hour        share.Hour
	first, next uint64
	from, to    uint64 // commits
}

// endedGroup gives the oldest batches of a quarter hour that has ended and is not
// sealed, as many as one group may have; nil if there are none. While signing is
// held no group goes across the newest checkpoint, so that those under it lead up to
// it.
func (r *reader) endedGroup() (*batchGroup, error) {
	first := r.v.state.SealFrom
	if first >= r.v.size {
		return nil, nil
	}
	end := r.v.size
	if first < r.v.signed {
		end = r.v.signed
	}
	g, err := r.batchesOfHour(first, end)
	if err != nil {
		return nil, err
	}
	for at := g.next; ; at++ { // over what is left for another group
		w, err := r.s.windowOf(r.snap, &r.v.state, at)
		if err != nil {
			return nil, err
		}
		if w.hour() != g.hour {
			return g, nil
		}
		if at == r.v.size { // the open window is of the same quarter hour
			return nil, nil
		}
	}
}

// sealer turns the commits of one group into segments.
type sealer struct {
	r       *reader
	group   batchGroup
	row     hourRow
	streams map[uint64]*sealing
	held    int
	site    []byte            // blocks of the open site part
	sitePt  uint32            // its number
	parts   map[uint32]uint32 // next part by compartment
	rows    []segmentRow
	index   []indexed
	live    *liveGroup // instead of rows; nil: the group is sealed for good
	hasher  reading.Hasher
	object  []byte // memory for one; a live group keeps its own
	behind  []byte // memory for a hidden part
}

// sealing is what waits of one stream.
type sealing struct {
	columns
	runs  []partRun
	trail *trail
}

type indexed struct {
	slot, first uint64
	row         indexRow
}

func newSealer(r *reader, g batchGroup) *sealer {
	l := &sealer{r: r, group: g, streams: map[uint64]*sealing{}, parts: map[uint32]uint32{}}
	l.row = hourRow{Hour: uint32(g.hour), Next: g.next, Nonce: drawNonce(), Pad: uint32(r.s.opt.Pad)}
	r.sealing = groupRow{g.first, l.row} // what is put can be opened
	r.curs, r.open = r.s.cursors, nil
	return l
}

// drawNonce gives a number that no sealing had: it makes every object's random
// bytes, so that nothing is sealed twice under one key.
func drawNonce() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

func (l *sealer) run(ctx context.Context) error {
	if err := l.clear(); err != nil {
		return err
	}
	site, err := l.r.siteKey(l.group.hour)
	if err != nil {
		return err
	}
	err = l.r.commits(l.group.from, l.group.to, func(rec *record) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if err := l.addCommit(rec, site); err != nil {
			return false, err
		}
		return true, l.keepHead(rec)
	})
	if err != nil {
		return err
	}
	for i := range l.r.v.streams {
		if err := l.finishStream(&l.r.v.streams[i]); err != nil {
			return err
		}
	}
	if err := l.flushSite(); err != nil {
		return err
	}
	if err := l.sealGroup(); err != nil {
		return err
	}
	// In the order of their keys, as a start finds them.
	sort.Slice(l.rows, func(i, j int) bool {
		a, b := &l.rows[i].key, &l.rows[j].key
		return a.Compartment < b.Compartment || a.Compartment == b.Compartment && a.Part < b.Part
	})
	return nil
}

// finishStream writes what is left of a stream. One that was open has a part
// even where nothing came, so that the objects do not tell.
func (l *sealer) finishStream(in *streamInfo) error {
	if l.streams[in.slot] == nil && !in.activeIn(l.group.first, l.group.next) {
		return nil
	}
	st, err := l.stream(in)
	if err == nil && (st.n > 0 || l.parts[in.envelope] == 0) {
		err = l.flush(in, st)
	}
	return err
}

// activeIn says whether a batch of [first, next) has a summary of the stream.
func (i *streamInfo) activeIn(first, next uint64) bool {
	return i.opened < next && (!i.closed || i.closedBy >= first)
}

// clear removes segments that an interrupted sealing left, one by one: there are
// seldom any, and each range that is deleted costs every reader of its table.
func (l *sealer) clear() error {
	if l.live != nil {
		return nil
	}
	db := l.r.s.db
	lower, upper := l.r.s.keys.segments(uint32(l.group.hour), l.group.first)
	return each(db, lower, upper, func(key, _ []byte) (bool, error) {
		return true, db.Delete(key, pebble.NoSync)
	})
}

// stream gives what waits of a stream, from the first reading that is not sealed.
func (l *sealer) stream(in *streamInfo) (*sealing, error) {
	if st := l.streams[in.slot]; st != nil {
		return st, nil
	}
	st := &sealing{columns: columns{scheme: in.classes.scheme, class: make([]dataColumns, len(in.classes.list))}}
	st.slot = in.slot
	var err error
	if st.trail, err = l.r.s.sealTrail(l.r, in, l.group.first); err != nil {
		return nil, err
	}
	l.streams[in.slot] = st
	return st, nil
}

// addCommit puts the readings of a commit behind what waits of its streams: from what
// was kept, or opened.
func (l *sealer) addCommit(rec *record, site share.HourKey) error {
	if kept := l.r.s.kept.commit(rec.number); kept != nil {
		return l.addKept(rec, kept)
	}
	all, _, err := l.r.s.openRecordWith(l.r, rec, site, l.group.hour)
	for i := 0; i < len(all) && err == nil; i++ {
		err = l.add(all[i], rec.batch)
	}
	return err
}

func (l *sealer) add(readings []stored, batch uint64) error {
	in := &l.r.v.streams[readings[0].slot]
	st, err := l.stream(in)
	if err != nil {
		return err
	}
	for i := range readings {
		if err := l.r.classify(in, &readings[i]); err != nil {
			return err
		}
		before := st.size()
		st.add(&readings[i])
		st.runs = addToRun(st.runs, batch, 1)
		if err := l.hold(in, st, st.size()-before); err != nil {
			return err
		}
	}
	return nil
}

// hold counts bytes that were put behind what waits of a stream, and writes what is
// full: the stream's part, or the largest of all.
func (l *sealer) hold(in *streamInfo, st *sealing, bytes int) error {
	l.held += bytes
	if st.n >= segmentReadings {
		if err := l.flush(in, st); err != nil {
			return err
		}
	}
	for l.held > heldBytes {
		big := st
		for _, x := range l.streams {
			if x.size() > big.size() {
				big = x
			}
		}
		if err := l.flush(&l.r.v.streams[big.slot], big); err != nil {
			return err
		}
	}
	return nil
}

// flush writes a stream's columns as one part of each of its compartments.
func (l *sealer) flush(in *streamInfo, st *sealing) error {
	k, err := l.r.hourKeys(in, l.group.hour, [16]byte{})
	if err != nil {
		return err
	}
	scheme := in.classes.scheme
	if st.n == 0 {
		st.first, st.device = st.trail.tree.Size(), l.r.v.deviceText(in)
	}
	part := l.parts[in.envelope]
	l.parts[in.envelope]++
	b := blocks{envelope: st.envelope(nil), data: make([][]byte, len(in.classes.list))}
	for i, x := range in.classes.list {
		b.data[i] = st.data(nil, i)
		if err := l.put(k.data[i], x.compartment, part, block(nil, in.slot, b.data[i]), nil); err != nil {
			return err
		}
	}
	if st.n > 0 {
		l.index = append(l.index, indexed{in.slot, st.first, indexRow{
			Hour: uint32(l.group.hour), Batch: l.group.first, Part: part, SitePart: l.sitePt, Count: uint32(st.n),
		}})
		key := l.key(share.Site, l.sitePt)
		random := l.r.objectRandom(&l.row, key)
		seal := k.sealPayloads(scheme, evidencePurpose(st.first), &random, l.r.s.segmentAAD(key))
		b.evidence = st.evidence(nil, seal)
		l.site = block(l.site, in.slot, b.evidence)
	}
	hidden, err := l.hidden(in, st, b)
	if err != nil {
		return err
	}
	if err := l.put(k.envelope, in.envelope, part, block(nil, in.slot, b.envelope), hidden); err != nil {
		return err
	}
	l.held -= st.size()
	st.reset(in.slot)
	st.runs = st.runs[:0]
	if len(l.site) > siteBytes {
		return l.flushSite()
	}
	return nil
}

// evidencePurpose sets the sealed payloads of the stretches of one stream apart
// that lie in one part.
func evidencePurpose(first uint64) string {
	return fmt.Sprintf("%s/%d", purposeEvidence, first)
}

func (l *sealer) flushSite() error {
	if len(l.site) == 0 {
		return nil
	}
	site, err := l.r.siteKey(l.group.hour)
	if err != nil {
		return err
	}
	if err := l.put(site, share.Site, l.sitePt, l.site, nil); err != nil {
		return err
	}
	l.site = l.site[:0]
	l.sitePt++
	return nil
}

func block(b []byte, slot uint64, columns []byte) []byte {
	return appendBytes(binary.AppendUvarint(b, slot), columns)
}

// segmentAAD binds a segment to its key.
func (s *Store) segmentAAD(k segmentKey) []byte { return s.keys.segment(k) }

// finish makes the segments count and the commits go.
func (l *sealer) finish(c *committer, b *pebble.Batch) error {
	s := c.s
	if c.state.SealFrom != l.group.first {
		return fmt.Errorf("batch %d is sealed already", l.group.first)
	}
	for _, x := range l.index {
		if err := s.putRow(b, s.keys.pair(kindIndex, x.slot, x.first), x.row, false); err != nil {
			return err
		}
	}
	for i := range l.r.v.streams {
		if s.bench.keepRuns {
			break
		}
		if st := l.streams[l.r.v.streams[i].slot]; st != nil {
			if err := l.putRuns(b, st.slot); err != nil {
				return err
			}
		}
	}
	l.row.Listed = c.logTree.Size()
	if err := s.putRowAs(b, formatObject, s.keys.u64(kindHour, l.group.first), l.row, false); err != nil {
		return err
	}
	if l.group.from < l.group.to { // something came
		if err := b.DeleteRange(s.keys.u64(kindCommit, l.group.from), s.keys.u64(kindCommit, l.group.to), nil); err != nil {
			return err
		}
	}
	c.listed = append(c.listed, l.rows...)
	c.state.SealFrom = l.group.next
	return nil
}

// keepHead keeps a commit's intake head and signature until a final anchor
// covers them; without a route there is nothing to wait for. Like the segments
// it is written ahead: while the commit is there the row says nothing new.
func (l *sealer) keepHead(rec *record) error {
	if len(l.r.s.opt.Routes) == 0 || l.live != nil {
		return nil
	}
	val := append(appendBytes([]byte{format}, rec.head), rec.signature...)
	return l.r.s.db.Set(l.r.s.keys.u64(kindHead, rec.number), val, pebble.NoSync)
}

// MarkFinal says that the batches below size are under a final anchor: the
// intake signatures of their readings may go.
func (s *Store) MarkFinal(ctx context.Context, size uint64) error {
	if size == 0 {
		return nil
	}
	w, err := s.windowOf(s.db, &s.view.Load().state, size-1)
	if err != nil {
		return err
	}
	return s.change(ctx, func(c *committer, b *pebble.Batch, _ int64) error {
		return b.DeleteRange(s.keys.u64(kindHead, 0), s.keys.u64(kindHead, w.NextCommit), nil)
	})
}

// segmentRows lists the segments of a group in the order of their keys.
func (s *Store) segmentRows(hour uint32, first, next uint64) ([]segmentRow, error) {
	var out []segmentRow
	lower, upper := s.keys.segments(hour, first)
	err := each(s.db, lower, upper, func(key, val []byte) (bool, error) {
		b := suffix(key)[12:]
		out = append(out, segmentRow{
			key:  segmentKey{Hour: hour, First: first, Compartment: binary.BigEndian.Uint32(b), Part: binary.BigEndian.Uint32(b[4:])},
			next: next, sealed: objectHash(val),
		})
		return true, nil
	})
	return out, err
}

// listedSegments are those that a batch's header lists, or the open one will.
func (s *Store) listedSegments(from pebble.Reader, batch uint64) ([]segmentRow, error) {
	it, err := from.NewIter(&pebble.IterOptions{LowerBound: s.keys.key(kindHour), UpperBound: s.keys.u64(kindHour, batch)})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var out []segmentRow
	for ok := s.seekListed(it, batch); ok; ok = it.Next() {
		first, h, err := hourAt(it)
		if err != nil {
			return nil, err
		}
		if h.Listed != batch {
			break
		}
		rows, err := s.segmentRows(h.Hour, first, h.Next)
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, it.Error()
}

// nearListed is how many groups a batch's header mostly lists, at most.
const nearListed = 4

// seekListed moves to the first group that a batch or a later one lists. Groups
// are sealed in order, so no group is listed before one that begins before it: it
// looks among the last ones, and where a long absence was closed at once, halves.
func (s *Store) seekListed(it *pebble.Iterator, batch uint64) bool {
	ok := it.Last()
	for range nearListed {
		_, h, err := hourAt(it)
		if !ok || err != nil { // whoever reads it next finds the damage
			break
		}
		if h.Listed < batch {
			return it.Next()
		}
		ok = it.Prev()
	}
	if !ok {
		return it.First()
	}
	return it.SeekGE(s.keys.u64(kindHour, uint64(sort.Search(int(batch), func(i int) bool {
		if !it.SeekGE(s.keys.u64(kindHour, uint64(i))) {
			return true
		}
		_, h, err := hourAt(it)
		return err != nil || h.Listed >= batch
	}))))
}

// hourAt reads the row of a group that an iterator is at.
func hourAt(it *pebble.Iterator) (first uint64, h hourRow, err error) {
	if !it.Valid() {
		return 0, h, it.Error()
	}
	val, err := it.ValueAndErr()
	if err != nil {
		return 0, h, err
	}
	h, err = decodeHour(it.Key(), val)
	return binary.BigEndian.Uint64(suffix(it.Key())), h, err
}

// lastSegment keeps the stretch that was opened last.
type lastSegment struct {
	slot     uint64
	readings []stored
}

// sealedAt gives the sealed stretch that holds a reading, or nil if the reading
// is not sealed yet.
func (r *reader) sealedAt(in *streamInfo, seq uint64) ([]stored, error) {
	if l := &r.last; l.slot == in.slot && len(l.readings) > 0 && seq >= l.readings[0].Sequence && seq <= l.readings[len(l.readings)-1].Sequence {
		return l.readings, nil
	}
	first, x, err := r.indexAt(in.slot, seq)
	if err != nil || x == nil {
		return nil, err
	}
	out, err := r.openStretch(in, x)
	if err == nil && (len(out) != int(x.Count) || out[0].Sequence != first) {
		err = fmt.Errorf("%w: stream %d: a segment holds other readings than its index row says", ErrDamaged, in.slot)
	}
	if err == nil {
		r.last = lastSegment{in.slot, out}
	}
	return out, err
}

// indexAt gives the index row of the sealed stretch that holds a reading, and the
// stretch's first; nil if the reading is not sealed.
func (r *reader) indexAt(slot, seq uint64) (first uint64, x *indexRow, err error) {
	it, err := r.snap.NewIter(&pebble.IterOptions{LowerBound: r.s.keys.u64(kindIndex, slot), UpperBound: r.s.keys.pair(kindIndex, slot, seq+1)})
	if err != nil {
		return 0, nil, err
	}
	defer it.Close()
	if !it.Last() {
		return 0, nil, it.Error()
	}
	val, err := it.ValueAndErr()
	if err != nil {
		return 0, nil, err
	}
	x = new(indexRow)
	if err := decodeRow(nil, it.Key(), val, x); err != nil {
		return 0, nil, err
	}
	if first = binary.BigEndian.Uint64(suffix(it.Key())[8:]); seq >= first+uint64(x.Count) {
		return 0, nil, nil
	}
	return first, x, nil
}

func (r *reader) openStretch(in *streamInfo, x *indexRow) ([]stored, error) {
	hour := share.Hour(x.Hour)
	if err := r.notDropped(hour, x.Batch); err != nil {
		return nil, err
	}
	k, err := r.hourKeys(in, hour, [16]byte{})
	if err != nil {
		return nil, err
	}
	site, err := r.siteKey(hour)
	if err != nil {
		return nil, err
	}
	key := segmentKey{Hour: x.Hour, First: x.Batch, Compartment: in.envelope, Part: x.Part}
	b := blocks{data: make([][]byte, len(in.classes.list))}
	if b.envelope, err = r.openSegment(k.envelope, key, in.slot); err != nil {
		return nil, err
	}
	for i, c := range in.classes.list {
		if k.lost != nil && k.lost[i] {
			continue
		}
		key.Compartment = c.compartment
		if b.data[i], err = r.openSegment(k.data[i], key, in.slot); err != nil {
			return nil, err
		}
	}
	if k.lost != nil {
		key.Compartment = in.envelope
		return r.openLeft(in, key, b)
	}
	key.Compartment, key.Part = share.Site, x.SitePart
	if b.evidence, err = r.openSite(site, key, in.slot, b.envelope); err != nil {
		return nil, err
	}
	return r.decodeStretch(in, k, key, b)
}

// decodeStretch puts the blocks of a sealed stretch together; key is the site's.
func (r *reader) decodeStretch(in *streamInfo, k *hourKeys, key segmentKey, b blocks) ([]stored, error) {
	var open func([]byte) ([]byte, error)
	if in.classes.scheme != schemeSite {
		row, err := r.groupRow(key.First)
		if err != nil {
			return nil, err
		}
		random := r.objectRandom(&row, key)
		first := (&cursor{b: b.envelope}).uvarint()
		open = k.openPayloads(in.classes.scheme, evidencePurpose(first), &random, r.s.segmentAAD(key))
	}
	out, err := decodeColumns(in.slot, in.classes.scheme, b, open)
	if err != nil {
		return nil, fmt.Errorf("%w: segment of stream %d: %w", ErrDamaged, in.slot, err)
	}
	return out, nil
}

// openContent opens and unpacks a segment.
func (r *reader) openContent(k share.HourKey, key segmentKey) ([]byte, error) {
	val, closer, err := r.snap.Get(r.s.keys.segment(key))
	if err != nil {
		return nil, fmt.Errorf("%w: segment of compartment %d, quarter hour %d, part %d: %w", ErrDamaged, key.Compartment, key.Hour, key.Part, err)
	}
	defer closer.Close()
	return r.openContentOf(k, key, val)
}

// openContentOf is openContent of a row that is at hand.
func (r *reader) openContentOf(k share.HourKey, key segmentKey, val []byte) (plain []byte, err error) {
	switch {
	case len(val) >= 33 && val[0] == format:
		random := [32]byte(val[1:33])
		if plain, err = k.OpenMessage(nil, purposeSegment, &random, r.s.segmentAAD(key), val[33:]); err == nil {
			plain, err = unpack(plain)
		}
	case len(val) == 33 && val[0] == formatObject:
		err = errGone
	case len(val) >= 33 && val[0] == formatObject:
		if plain, err = r.openPacked(k, key, val); err == nil {
			plain, err = unpackContent(plain)
		}
	default:
		err = errColumns
	}
	if err != nil {
		return nil, fmt.Errorf("%w: segment of compartment %d, quarter hour %d: %w", ErrDamaged, key.Compartment, key.Hour, err)
	}
	return plain, nil
}

// openSegment gives a stream's block of a segment.
func (r *reader) openSegment(k share.HourKey, key segmentKey, slot uint64) ([]byte, error) {
	content, err := r.openContent(k, key)
	if err != nil {
		return nil, err
	}
	return blockOf(content, key, slot)
}

// blockOf finds a stream's block in a segment's content.
func blockOf(content []byte, key segmentKey, slot uint64) ([]byte, error) {
	c := cursor{b: content}
	for len(c.b) > 0 && c.err == nil {
		if at, b := c.uvarint(), c.bytes(); at == slot && c.err == nil {
			return b, nil
		}
	}
	return nil, fmt.Errorf("%w: segment of compartment %d has no block of stream %d", ErrDamaged, key.Compartment, slot)
}

// openSite gives the evidence of the stretch whose envelope is given: a site
// part may hold several stretches of one stream.
func (r *reader) openSite(k share.HourKey, key segmentKey, slot uint64, envelope []byte) ([]byte, error) {
	content, err := r.openContent(k, key)
	if err != nil {
		return nil, err
	}
	want := binary.AppendUvarint(nil, (&cursor{b: envelope}).uvarint())
	c := cursor{b: content}
	for len(c.b) > 0 && c.err == nil {
		at, b := c.uvarint(), c.bytes()
		if at == slot && len(b) >= len(want) && string(b[:len(want)]) == string(want) {
			return b, nil
		}
	}
	return nil, fmt.Errorf("%w: no evidence of stream %d in quarter hour %d", ErrDamaged, slot, key.Hour)
}
