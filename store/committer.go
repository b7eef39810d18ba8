package store

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// committer owns everything that is numbered. Its methods run in its own
// goroutine, but for hashGroup's workers, each of which owns the streams it is
// given while the committer waits.
type committer struct {
	s *Store

	state   ledgerState
	logTree merkle.Tree
	stTree  merkle.Tree
	streams []*stream // by slot; nil or closed ones stay for their slot's sake
	active  []*stream // open during the current window, by slot
	devices map[uint32]*device
	found   calibrated

	incarnation [16]byte
	nextCommit  uint64
	head        []byte // newest intake head item
	sinceSnap   int

	signing bool
	held    string
	keys    logKeys
	note    []byte // newest signed checkpoint
	signed  uint64

	siteCur, ledgerCur *share.Cursor
	siteHour           share.Hour
	siteKey            share.HourKey

	clock     clockState
	listed    []segmentRow // segments finished since the last header
	oldest    int64        // first received that no signed checkpoint covers
	openFirst int64        // first received in the open window
	diskCheck time.Time

	infos    []streamInfo     // for views; nil when stale
	bindings []ledger.Binding // likewise

	free   chan *group
	hasher []reading.Hasher
}

// pending is one arrival on its way through a group commit.
type pending struct {
	a      Arrival
	r      stored
	digest merkle.Hash
	leaf   merkle.Hash
	order  int
}

// group is the working memory of one group commit.
type group struct {
	items   []*pending
	n       int
	acks    []ack
	touched []*stream
	leaves  []merkle.Hash
	buf     []byte
	reboots []ledger.Statement
	devices []*device
}

func (g *group) reset() {
	for i := range g.n {
		*g.items[i] = pending{}
	}
	g.n, g.acks, g.touched, g.leaves = 0, nil, g.touched[:0], g.leaves[:0]
	g.reboots, g.devices = nil, g.devices[:0]
}

func (g *group) add() *pending {
	if g.n == len(g.items) {
		g.items = append(g.items, new(pending))
	}
	p := g.items[g.n]
	p.order = g.n
	g.n++
	return p
}

// run is the committer's loop: windows by the clock, then control calls, then
// whatever waits in the queue as one group.
func (c *committer) run() {
	s := c.s
	defer close(s.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		c.tick()
		timer.Reset(c.untilClose())
		select {
		case fn := <-s.ctl:
			c.tick() // while it waited, the window may have passed
			fn()
		case a := <-s.in:
			c.tick()
			c.commit(c.gather(a))
		case <-timer.C:
		case <-s.stop:
			c.tick()
			c.finish()
			return
		}
	}
}

// finish commits what was queued before Close. Whoever is queueing just now
// gives up or is through before the lock is had; after it nobody begins.
func (c *committer) finish() {
	c.s.closing.Lock()
	c.s.closed = true
	c.s.closing.Unlock()
	for {
		select {
		case a := <-c.s.in:
			c.commit(c.gather(a))
		default:
			b := c.s.db.NewBatch()
			c.state.Stopped = c.clock.ms(c.s.opt.Now())
			if err := c.snapshot(b); err == nil {
				c.write(b, nil, nil)
			}
			return
		}
	}
}

// gather takes what else waits, up to one commit's worth.
func (c *committer) gather(a []Arrival) []Arrival {
	for len(a) < maxCommit {
		select {
		case more := <-c.s.in:
			a = append(a, more...)
		default:
			return a
		}
	}
	return a
}

// commit numbers, hashes, seals and writes one group.
func (c *committer) commit(arrivals []Arrival) {
	if err := c.s.refusal(); err != nil {
		refuse(arrivals, err)
		return
	}
	g := <-c.free
	c.number(g, arrivals)
	b := c.s.db.NewBatch()
	if g.n > 0 {
		if err := c.fill(g, b); err != nil {
			// Nothing was written, but counters and trees in memory have moved on.
			c.s.die(err)
			for i := range g.acks {
				g.acks[i].err = err
			}
		}
	}
	c.write(b, g.acks, func(error) { g.reset(); c.free <- g })
}

// write hands a batch to the writer, with the view that readers get once it is
// durable.
func (c *committer) write(b *pebble.Batch, acks []ack, then func(error)) {
	if b.Empty() {
		b.Close()
		b = nil
	}
	c.s.wr.ch <- write{batch: b, view: c.makeView(), acks: acks, then: then}
}

// number gives every arrival its verdict and, if it becomes a reading, its
// stamp and sequence number. All of a group get one stamp, so that no group
// spans a window's border.
func (c *committer) number(g *group, arrivals []Arrival) {
	g.acks = make([]ack, 0, len(arrivals))
	stamp, clock := c.stamp()
	for i := range arrivals {
		a := &arrivals[i]
		k := ack{done: a.Done, verdict: a.Verdict}
		d := c.devices[a.Device]
		var st *stream
		if st, k.err = d.takes(a); k.err != nil {
			g.acks = append(g.acks, k)
			continue
		}
		digest := merkle.Hash(sha256.Sum256(a.Wire))
		if k.err = c.check(a, d, stamp); k.err != nil {
			g.acks = append(g.acks, k)
			continue
		}
		if a.Verdict == reading.Authenticated || a.Verdict == reading.Opaque {
			if k.verdict = d.admit(a, [8]byte(digest[:8])); k.verdict != a.Verdict {
				g.acks = append(g.acks, k)
				continue
			}
			k.rebooted = c.noteReboot(g, d, a, stamp)
			d.accept(a, [8]byte(digest[:8]))
		} else if a.Verdict == reading.Vouched && a.Once != [8]byte{} && !a.Late {
			if a.Again && d.has(a.Once) {
				k.verdict = reading.Duplicate
				g.acks = append(g.acks, k)
				continue
			}
			d.accept(a, a.Once)
		}
		p := g.add()
		p.a, p.digest = *a, digest
		if len(st.pending) == 0 {
			g.touched = append(g.touched, st)
		}
		c.setReading(p, st, stamp, clock)
		st.pending = append(st.pending, p)
		k.slot, k.seq, k.received = st.slot, p.r.Sequence, stamp
		g.acks = append(g.acks, k)
		if c.openFirst == 0 {
			c.openFirst = stamp
		}
		if c.oldest == 0 {
			c.oldest = stamp
		}
	}
}

// check refuses what could not be encoded, before anything is changed by it.
func (c *committer) check(a *Arrival, d *device, stamp int64) error {
	switch a.Verdict {
	case reading.Authenticated, reading.Opaque, reading.Insecure, reading.Vouched:
	default:
		return fmt.Errorf("device %d: %w: an arrival of verdict %s is no reading", a.Device, ErrRefused, a.Verdict)
	}
	r := reading.Reading{
		Device: d.text, Received: stamp, Clock: reading.Synced, Measurements: a.Measurements,
		Measured: a.Measured, HasMeasured: a.HasMeasured,
		Origin: reading.Origin{Transport: a.Transport, Verdict: a.Verdict},
	}
	if err := r.Validate(); err != nil {
		return fmt.Errorf("device %d: %w", a.Device, err)
	}
	return nil
}

func (c *committer) noteReboot(g *group, d *device, a *Arrival, stamp int64) bool {
	if a.Verdict != reading.Authenticated || d.counter == 0 || a.Epoch != d.epoch || a.Counter.Restart() == d.counter.Restart() {
		return false
	}
	g.reboots = append(g.reboots, ledger.Statement{Kind: "reboot", At: stamp, Body: map[string]any{
		"device-number": int64(d.binding.Number), "slot": int64(d.stream.slot),
		"sequence":    int64(d.stream.tree.Size()) + int64(len(d.stream.pending)),
		"restart-old": int64(d.counter.Restart()), "restart-new": int64(a.Counter.Restart()),
	}})
	c.s.opt.Events(Event{Kind: "reboot", Device: d.binding.Number, Detail: fmt.Sprintf("restart counter %d to %d", d.counter.Restart(), a.Counter.Restart())})
	return true
}

func (c *committer) setReading(p *pending, st *stream, stamp int64, clock reading.Clock) {
	r := &p.r
	r.slot, r.incarnation = st.slot, c.incarnation
	r.Device = st.device.text
	r.Received, r.Clock = stamp, clock
	r.Sequence = st.tree.Size() + uint64(len(st.pending))
	r.Origin = reading.Origin{Transport: p.a.Transport, Verdict: p.a.Verdict}
	if p.a.Verdict == reading.Authenticated {
		r.Origin.Counter, r.Origin.HasCounter = uint64(p.a.Counter), true
	}
	if len(p.a.Wire) > 0 {
		r.Frame, r.HasFrame = p.digest, true
	}
	r.Measured, r.HasMeasured = p.a.Measured, p.a.HasMeasured
	r.Measurements = p.a.Measurements
	r.form, r.payload = evidenceOf(&p.a, nil)
}

// fill hashes and seals a numbered group and puts all of it into one batch: the
// commit record, tree nodes, reboot statements, and now and then a snapshot.
func (c *committer) fill(g *group, b *pebble.Batch) error {
	hour := c.state.Open.hour()
	if err := c.siteKeys(hour); err != nil {
		return err
	}
	rec := record{batch: c.logTree.Size(), number: c.nextCommit}
	rec.draw()
	if err := c.hashGroup(g, hour, &rec); err != nil {
		return err
	}
	for _, p := range g.items[:g.n] {
		g.leaves = append(g.leaves, p.leaf)
	}
	previous := merkle.Hash{}
	if c.head != nil {
		previous = sha256.Sum256(c.head)
	}
	head := ledger.IntakeHead{
		Ledger: c.s.keys.id, Incarnation: c.incarnation, Number: rec.number,
		Previous: previous, Count: uint64(g.n), Root: merkle.RootInPlace(g.leaves),
	}
	key, err := c.s.signer(c.keys.newest())
	if err != nil {
		return err
	}
	rec.head, rec.signature = ledger.SignIntake(key, head)
	g.buf = rec.encode(g.buf[:0], c, g)
	if c.keeps() {
		c.s.kept.addCommit(rec.number, g.touched)
	}
	if err := b.Set(c.s.keys.u64(kindCommit, rec.number), g.buf, nil); err != nil {
		return err
	}
	for _, st := range g.touched {
		for _, n := range st.out.nodes {
			if err := b.Set(n.key, hashValue(n.hash), nil); err != nil {
				return err
			}
		}
		st.pending = st.pending[:0]
		st.dirty = true
	}
	for _, st := range g.reboots {
		if err := c.appendStatement(b, st); err != nil {
			return err
		}
	}
	c.head = rec.head
	c.nextCommit++
	if c.sinceSnap += g.n; c.sinceSnap >= snapshotEvery {
		return c.snapshot(b)
	}
	if len(g.reboots) > 0 {
		return c.putState(b) // it says how many statements there are
	}
	return nil
}

// snapshotEvery is how many readings a start may have to append again.
const snapshotEvery = 200_000

// siteKeys makes sure that the site compartment's keys of the hour are at hand.
func (c *committer) siteKeys(hour share.Hour) error {
	if c.siteHour == hour && hour != 0 {
		return nil
	}
	k, err := c.siteCur.Hour(hour)
	if err != nil {
		return fmt.Errorf("site key: %w", err)
	}
	c.siteHour, c.siteKey = hour, k
	return nil
}

// hashGroup computes record roots, grows the streams' trees and seals their
// columns, one worker per core, each taking whole streams.
func (c *committer) hashGroup(g *group, hour share.Hour, rec *record) error {
	workers := min(runtime.GOMAXPROCS(0), len(g.touched))
	if len(c.hasher) < workers {
		c.hasher = make([]reading.Hasher, workers)
	}
	if workers <= 1 || g.n < 16 {
		for _, st := range g.touched {
			if err := c.hashStream(st, &c.hasher[0], hour, rec); err != nil {
				return err
			}
		}
		return nil
	}
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := w; i < len(g.touched) && errs[w] == nil; i += workers {
				errs[w] = c.hashStream(g.touched[i], &c.hasher[w], hour, rec)
			}
		}()
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// sealed is what hashStream leaves for the commit record.
type sealed struct {
	envelope []byte
	data     [][]byte // by class
	evidence []byte   // but for payloads plain: the site's chunk holds all streams'
	roots    []merkle.Hash
	nodes    []nodePut
	plain    []byte // envelope and data
	ends     []int  // of each in plain
}

type nodePut struct {
	key  []byte
	hash merkle.Hash
}

func (c *committer) hashStream(st *stream, h *reading.Hasher, hour share.Hour, rec *record) error {
	if err := c.streamKeys(st, hour); err != nil {
		return err
	}
	batch := rec.batch
	st.beginRun(batch)
	out := &st.out
	out.nodes, out.roots = out.nodes[:0], out.roots[:0]
	putStream := func(level int, index uint64, n merkle.Hash) {
		out.nodes = append(out.nodes, nodePut{c.s.keys.streamNode(st.slot, level, index), n})
	}
	putRun := func(level int, index uint64, n merkle.Hash) {
		out.nodes = append(out.nodes, nodePut{c.s.keys.runNode(st.slot, batch, level, index), n})
	}
	st.cols.reset(st.slot)
	var kept keptPart
	keep := c.keeps() && c.s.kept.takes()
	if keep {
		kept = newKeptPart(st.tree.Size(), len(st.pending), st.pending[0].r.Items())
	}
	for _, p := range st.pending {
		p.r.class = st.classes.classOf(p.r.class, p.r.Measurements, st.known)
		var root merkle.Hash
		leaves := h.Leaves(&p.r.Reading, st.keys.of(&p.r))
		if keep {
			kept.siblings, root = keepSiblings(kept.siblings, leaves, h.Items().Len())
		} else {
			root = merkle.PerfectRoot(leaves)
		}
		p.leaf = reading.EntryLeaf(st.tag, p.r.Sequence, root)
		if keep {
			kept.readings = append(kept.readings, keptReading{
				leaf: p.leaf, end: len(kept.siblings), counter: frame.Counter(p.r.Origin.Counter), counted: p.r.Origin.HasCounter,
			})
		}
		out.roots = append(out.roots, root)
		st.tree.AppendCollect(p.leaf, st.classes.nodeLevel(), putStream)
		st.run.AppendCollect(p.leaf, nodeLevel, putRun)
		st.stats.add(&p.r.Reading)
		st.cols.add(&p.r)
	}
	if keep {
		c.s.kept.add(st.slot, kept)
	}
	out.plain = st.cols.envelope(out.plain[:0])
	out.ends = append(out.ends[:0], len(out.plain))
	out.envelope = c.s.sealMessage(&st.keys.envelope, out.envelope[:0], &rec.random, c.s.commitAAD(rec.number, st.envelope), out.plain)
	if out.data == nil {
		out.data = make([][]byte, len(st.classes.list))
	}
	for i, x := range st.classes.list {
		from := len(out.plain)
		out.plain = st.cols.data(out.plain, i)
		out.ends = append(out.ends, len(out.plain))
		out.data[i] = c.s.sealMessage(&st.keys.data[i], out.data[i][:0], &rec.random, c.s.commitAAD(rec.number, x.compartment), out.plain[from:])
	}
	seal := st.keys.sealPayloads(st.classes.scheme, purposeEvidence, &rec.random, c.s.commitAAD(rec.number, st.envelope))
	out.evidence = st.cols.evidence(out.evidence[:0], seal)
	return nil
}

// keeps says whether what is at hand is kept for sealing.
func (c *committer) keeps() bool { return !c.s.bench.noSealing && !c.s.bench.noGroups }

// sealMessage seals a part of a commit.
func (s *Store) sealMessage(k *share.HourKey, dst []byte, random *[32]byte, aad, plain []byte) []byte {
	if s.bench.noSealing {
		return append(dst, plain...)
	}
	return k.SealMessage(dst, purposeCommit, random, aad, plain)
}

// openMessage gives back what sealMessage was given.
func (s *Store) openMessage(k *share.HourKey, random *[32]byte, aad, sealed []byte) ([]byte, error) {
	if s.bench.noSealing {
		return sealed, nil
	}
	return k.OpenMessage(nil, purposeCommit, random, aad, sealed)
}

// beginRun starts the run of a batch if it has not begun.
func (st *stream) beginRun(batch uint64) {
	if st.runBatch == batch {
		return
	}
	st.runBatch, st.run, st.first = batch, merkle.Tree{}, st.tree.Size()
	st.stats.begin()
}

// streamKeys makes sure that a stream's keys of the hour are at hand.
func (c *committer) streamKeys(st *stream, hour share.Hour) error {
	if st.keys != nil && st.keys.hour == hour {
		return nil
	}
	all := make([]share.HourKey, len(st.cursors))
	for i, cur := range st.cursors {
		var err error
		if all[i], err = cur.Hour(hour); err != nil {
			return fmt.Errorf("keys of stream %d: %w", st.slot, err)
		}
	}
	st.keys = newHourKeys(st.slot, st.classes, hour, c.siteKey, all[0], all[1:], c.incarnation)
	return nil
}

// snapshot writes the frontiers of what changed, and the ledger's state.
func (c *committer) snapshot(b *pebble.Batch) error {
	for _, st := range c.streams {
		if st.dirty {
			if err := c.s.putStream(b, st); err != nil {
				return err
			}
			st.dirty = false
		}
	}
	for _, d := range c.devices {
		if d.dirty {
			if err := c.s.putDevice(b, d); err != nil {
				return err
			}
			d.dirty = false
		}
	}
	c.sinceSnap = 0
	c.state.SnapCommit = c.nextCommit
	return c.putState(b)
}

func (c *committer) putState(b *pebble.Batch) error {
	c.state.NextCommit, c.state.Head = c.nextCommit, c.head
	key := c.s.keys.key(kindState)
	if c.state.Keys > 0 {
		return c.s.putRowAs(b, formatRotated, key, rotatedState{State: c.state, Keys: c.state.Keys}, true)
	}
	return c.s.putRow(b, key, c.state, true)
}
