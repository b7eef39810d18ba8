package store

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// startTable knows the incarnation of every start.
type startTable struct {
	mu  sync.Mutex
	inc [][16]byte
}

// start gives the incarnation of the n-th start.
func (s *Store) start(n uint64) ([16]byte, error) {
	s.starts.mu.Lock()
	defer s.starts.mu.Unlock()
	if n >= uint64(len(s.starts.inc)) {
		return [16]byte{}, fmt.Errorf("%w: start %d is not on record", ErrDamaged, n)
	}
	return s.starts.inc[n], nil
}

// recover reads the ledger's state and appends what was committed after the last
// snapshot. It writes nothing.
func (s *Store) recover() error {
	c := &committer{
		s: s, devices: map[uint32]*device{}, signing: !s.opt.HoldSigning,
		siteCur: s.cursor(share.Site), ledgerCur: s.cursor(share.Ledger),
		hasher: make([]reading.Hasher, 1), free: make(chan *group, 2), keys: logKeys{{pub: s.first}},
	}
	if s.opt.HoldSigning {
		c.held = ErrHeld.Error()
	}
	c.free <- new(group)
	c.free <- new(group)
	s.com = c
	var err error
	c.state, err = s.readState(s.db)
	if errors.Is(err, pebble.ErrNotFound) {
		return s.recoverEmpty(c)
	}
	if err != nil {
		return err
	}
	steps := []func() error{c.loadStarts, c.loadStreams, c.loadDevices, c.loadLate, c.countRows, c.loadKeys, c.loadTrees, c.replay, c.loadListed}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("recover: %w", err)
		}
	}
	s.view.Store(c.makeView())
	return nil
}

// recoverEmpty makes sure that a folder without this ledger's state is empty.
func (s *Store) recoverEmpty(c *committer) error {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return err
	}
	defer it.Close()
	if it.First() {
		if len(it.Key()) < 33 || merkle.Hash(it.Key()[:32]) != s.keys.id {
			return ErrOtherKeyring
		}
		return fmt.Errorf("%w: there are rows but no ledger state", ErrDamaged)
	}
	if s.opt.ReadOnly {
		return fmt.Errorf("%s holds no ledger yet: start the service once: %w", s.opt.Dir, ErrNotFound)
	}
	s.view.Store(c.makeView())
	return nil
}

func (c *committer) loadStarts() error {
	k := c.s.keys.key(kindStart)
	return each(c.s.db, k, after(k), func(key, val []byte) (bool, error) {
		if n := binary.BigEndian.Uint64(suffix(key)); len(val) != 17 || val[0] != format || n != uint64(len(c.s.starts.inc)) {
			return false, fmt.Errorf("%w: start %x", ErrDamaged, suffix(key))
		}
		c.s.starts.inc = append(c.s.starts.inc, [16]byte(val[1:]))
		return true, nil
	})
}

func (c *committer) loadStreams() error {
	k := c.s.keys.key(kindStream)
	return each(c.s.db, k, after(k), func(key, val []byte) (bool, error) {
		r, classes, late, err := c.s.readStream(key, val)
		if err != nil {
			return false, err
		}
		slot := binary.BigEndian.Uint64(suffix(key))
		if slot != uint64(len(c.streams)) {
			return false, fmt.Errorf("%w: the row of stream %d is missing", ErrDamaged, len(c.streams))
		}
		st, err := c.makeStream(slot, &r, classes)
		if err != nil {
			return false, fmt.Errorf("stream %d: %w", slot, err)
		}
		st.late = late
		c.streams = append(c.streams, st)
		if !st.closed {
			c.active = append(c.active, st)
		}
		return true, nil
	})
}

func (c *committer) makeStream(slot uint64, r *streamRow, classes *classes) (*stream, error) {
	st := c.newStream(slot, compartments{r.Envelope, classes})
	st.opened, st.closedBy, st.closed, st.closing = r.Opened, r.ClosedBy, r.Closed, r.Closing
	st.runBatch, st.first, st.number = r.RunBatch, r.First, r.Device
	all := []uint32{r.Envelope}
	for _, x := range classes.list {
		all = append(all, x.compartment)
	}
	for _, id := range all {
		if _, ok := c.s.opt.Keyring.Compartment(id); !ok {
			return nil, fmt.Errorf("it lacks compartment %d: %w", id, ErrOldKeyring)
		}
	}
	var err error
	if st.tree, err = merkle.ParseTree(r.Tree); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if st.run, err = merkle.ParseTree(r.Run); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if st.stats, err = r.Stats.stats(classes.scheme); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return st, nil
}

func (c *committer) loadDevices() error {
	k := c.s.keys.key(kindDevice)
	return each(c.s.db, k, after(k), func(key, val []byte) (bool, error) {
		d, err := c.s.readDevice(key, val)
		if err != nil {
			return false, err
		}
		slot := d.binding.Slot
		if slot >= uint64(len(c.streams)) {
			return false, fmt.Errorf("%w: device %d has no stream", ErrDamaged, d.binding.Number)
		}
		c.streams[slot].device = d
		if !d.binding.Closed {
			d.stream = c.streams[slot]
			if _, ok := c.s.DeviceKey(d.binding.Number, d.binding.Epoch); !ok && d.binding.Kind == ledger.BindSecure {
				return false, fmt.Errorf("it lacks key %d of device %d: %w", d.binding.Epoch, d.binding.Number, ErrOldKeyring)
			}
		}
		c.devices[d.binding.Number] = d
		return true, nil
	})
}

// loadLate joins the late streams with their devices.
func (c *committer) loadLate() error {
	for _, st := range c.streams {
		if !st.late {
			continue
		}
		d := c.devices[st.number]
		if d == nil {
			return fmt.Errorf("%w: late stream %d is of device %d, which is not on record", ErrDamaged, st.slot, st.number)
		}
		st.device = d
		if !st.closed && !st.closing {
			d.late = st
		}
	}
	return nil
}

// countRows makes sure that no start, stream or device is missing.
func (c *committer) countRows() error {
	switch st := &c.state; {
	case uint64(len(c.s.starts.inc)) != st.Starts:
		return fmt.Errorf("%w: %d starts on record, want %d", ErrDamaged, len(c.s.starts.inc), st.Starts)
	case uint64(len(c.streams)) != st.Slots:
		return fmt.Errorf("%w: %d streams on record, want %d", ErrDamaged, len(c.streams), st.Slots)
	case len(c.devices) != int(st.Devices):
		return fmt.Errorf("%w: %d devices on record, want %d", ErrDamaged, len(c.devices), st.Devices)
	}
	return nil
}

func (c *committer) loadTrees() error {
	var err error
	if c.logTree, err = treeAt(nodeRows{c.s, kindLogNode}, c.state.Size); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if c.stTree, err = treeAt(nodeRows{c.s, kindStateNode}, c.state.Statements); err != nil {
		return fmt.Errorf("statements: %w", err)
	}
	var p checkpointRow
	err = row(c.s.db, nil, c.s.keys.key(kindCheckpoint), &p)
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return err
	}
	c.note, c.signed = p.Note, p.Size
	if err := c.checkSigned(); err != nil {
		return err
	}
	c.nextCommit, c.head = c.state.NextCommit, c.state.Head
	return nil
}

// checkSigned holds the log against its own newest checkpoint, so that a damaged
// one never signs another.
func (c *committer) checkSigned() error {
	if c.signed != c.state.Signed {
		return fmt.Errorf("%w: newest checkpoint of %d batches, %d were signed", ErrDamaged, c.signed, c.state.Signed)
	}
	if c.note == nil {
		return nil
	}
	cp, err := c.s.openCheckpoint(c.keys, c.note)
	if err != nil {
		return fmt.Errorf("%w: newest checkpoint: %w", ErrDamaged, err)
	}
	if cp.Size != c.signed || cp.Size > c.state.Size {
		return fmt.Errorf("%w: newest checkpoint of %d batches, log of %d", ErrDamaged, cp.Size, c.state.Size)
	}
	root, err := merkle.RootAt(nodeRows{c.s, kindLogNode}, cp.Size)
	if err != nil {
		return fmt.Errorf("newest checkpoint: %w", err)
	}
	if root != cp.Root {
		return fmt.Errorf("%w: the log is not the one that its newest checkpoint signed", ErrDamaged)
	}
	return nil
}

func treeAt(r merkle.NodeReader, size uint64) (merkle.Tree, error) {
	peaks, err := merkle.PeaksAt(r, size)
	if err != nil {
		return merkle.Tree{}, err
	}
	return merkle.TreeFromPeaks(size, peaks)
}

// replay appends the commits that came after the last snapshot.
func (c *committer) replay() error {
	lower := c.s.keys.u64(kindCommit, c.state.SnapCommit)
	next := c.state.SnapCommit
	err := each(c.s.db, lower, after(c.s.keys.key(kindCommit)), func(key, val []byte) (bool, error) {
		number := binary.BigEndian.Uint64(suffix(key))
		if number != next {
			return false, fmt.Errorf("%w: commit %d is missing", ErrDamaged, next)
		}
		next++
		r, err := parseRecord(number, val)
		if err != nil {
			return false, err
		}
		c.head = append([]byte(nil), r.head...)
		return true, c.replayRecord(r)
	})
	if err != nil {
		return err
	}
	if next < c.state.NextCommit {
		return fmt.Errorf("%w: commit %d is missing", ErrDamaged, next)
	}
	c.nextCommit = next
	return c.findOldest()
}

// findOldest finds since when readings wait for a signed checkpoint: exactly for
// the open window, else the beginning of the first window that had any.
func (c *committer) findOldest() error {
	c.oldest = c.openFirst
	if c.signed >= c.state.Size {
		return nil
	}
	first, err := c.s.windowOf(c.s.db, &c.state, c.signed)
	if err != nil {
		return err
	}
	i := c.signed + uint64(sort.Search(int(c.state.Size-c.signed), func(i int) bool {
		w, e := c.s.windowOf(c.s.db, &c.state, c.signed+uint64(i))
		if e != nil {
			err = e
			return false
		}
		return w.NextCommit > first.FirstCommit
	}))
	if err != nil || i == c.state.Size {
		return err
	}
	w, err := c.s.windowOf(c.s.db, &c.state, i)
	if err == nil {
		c.oldest = w.From
	}
	return err
}

func (c *committer) replayRecord(r *record) error {
	w, err := c.s.windowOf(c.s.db, &c.state, r.batch)
	if err != nil {
		return err
	}
	hour := w.hour()
	if err := c.siteKeys(hour); err != nil {
		return err
	}
	all, site, err := c.s.openRecord(r, c.siteKey, func(slot uint64) (streamInfo, *hourKeys, error) {
		if slot >= uint64(len(c.streams)) {
			return streamInfo{}, nil, fmt.Errorf("%w: commit %d has readings of unknown stream %d", ErrDamaged, r.number, slot)
		}
		st := c.streams[slot]
		err := c.streamKeys(st, hour)
		return streamInfo{slot: slot, envelope: st.envelope, classes: st.classes}, st.keys, err
	})
	if err != nil {
		return err
	}
	devices, err := c.s.openDevices(r, site)
	if err != nil {
		return err
	}
	for i := range r.streams {
		rs := &r.streams[i]
		st := c.streams[rs.slot]
		if st.tree.Size() != rs.first {
			return fmt.Errorf("%w: commit %d goes on at %d in stream %d of %d readings", ErrDamaged, r.number, rs.first, rs.slot, st.tree.Size())
		}
		st.beginRun(r.batch)
		st.dirty = true
		for j := range all[i] {
			leaf := reading.EntryLeaf(st.tag, all[i][j].Sequence, rs.root(j))
			st.tree.Append(leaf)
			st.run.Append(leaf)
			st.stats.add(&all[i][j].Reading)
			c.state.LastStamp = max(c.state.LastStamp, all[i][j].Received)
		}
		if r.batch == c.state.Size && c.openFirst == 0 {
			c.openFirst = all[i][0].Received
		}
	}
	for _, x := range devices {
		d := c.devices[x.device]
		if d == nil {
			return fmt.Errorf("%w: commit %d names unknown device %d", ErrDamaged, r.number, x.device)
		}
		d.dirty = true
		d.epoch = x.epoch
		for _, f := range x.recent {
			if f.counter > 0 {
				d.counter = f.counter
			}
			d.recent = append(d.recent, f)
		}
		if over := len(d.recent) - d.remembers(); over > 0 {
			d.recent = append(d.recent[:0], d.recent[over:]...)
		}
	}
	return nil
}

// loadListed finds segments that no header lists yet.
func (c *committer) loadListed() error {
	var err error
	c.listed, err = c.s.listedSegments(c.s.db, c.state.Size)
	return err
}

// start draws the incarnation, makes a new ledger's first statement, and closes
// what passed while the gateway was away.
func (c *committer) start() error {
	rand.Read(c.incarnation[:])
	for _, st := range c.streams {
		st.keys = nil // replay made them without an incarnation
	}
	b := c.s.db.NewBatch()
	n := c.state.Starts
	c.state.Starts++
	c.s.starts.inc = append(c.s.starts.inc, c.incarnation)
	if err := b.Set(c.s.keys.u64(kindStart, n), append([]byte{format}, c.incarnation[:]...), nil); err != nil {
		return err
	}
	now := c.s.opt.Now().UnixMilli()
	if now < 0 || now >= latest && n == 0 {
		return fmt.Errorf("the clock shows %s, which no quarter hour of the key trees holds", clockText(now))
	}
	err := c.firstStatement(b, now, n)
	if err == nil {
		err = c.snapshot(b)
	}
	if err != nil {
		b.Close()
		return err
	}
	done := make(chan error, 1)
	c.write(b, nil, func(err error) { done <- err })
	if err := <-done; err != nil {
		return err
	}
	c.tick()
	return c.s.Dead()
}

// firstStatement opens a new ledger, or declares the gap since the last sign of
// life of one that has been running.
func (c *committer) firstStatement(b *pebble.Batch, now int64, start uint64) error {
	if start == 0 {
		from := now - now%c.s.window
		c.state.Open = window{From: from, To: from + c.s.window}
		for _, s := range c.s.opt.Seen() {
			c.state.Open.Seen = append(c.state.Open.Seen, seenRow{Route: s.Route, Height: s.Height, Hash: s.Hash, Time: s.Time})
		}
		nonce := c.s.opt.Keyring.Nonce()
		routes := make([]any, len(c.s.opt.Routes))
		for i, r := range c.s.opt.Routes {
			routes[i] = r
		}
		return c.appendStatement(b, ledger.Statement{Kind: ledger.KindGenesis, At: now, Body: map[string]any{
			"log-key": []byte(c.s.first), "nonce": nonce[:], "window": c.s.window, "routes": routes,
		}})
	}
	w := &c.state.Open
	if span := w.To - w.From; w.Missed == 0 && span != c.s.window {
		return fmt.Errorf("the ledger's window is %d s and cannot be changed to %d s", span/1000, c.s.window/1000)
	}
	alive, reason := max(c.state.LastStamp, w.From), "the gateway left no sign of running"
	if c.state.Stopped >= alive {
		alive, reason = c.state.Stopped, "the gateway was not running"
	}
	if now >= latest {
		return nil // for the first look at the clock
	}
	if now <= alive {
		return c.firstClock(b, now, alive)
	}
	if alive < w.To { // several stops in one window are one gap in its summaries
		if w.GapFrom == 0 {
			w.GapFrom, w.GapReason = alive, reason
		}
		w.GapTo = min(now, w.To)
	}
	c.s.opt.Events(Event{Kind: "gap", Detail: fmt.Sprintf("%s from %s to %s", reason, clockText(alive), clockText(now))})
	return c.appendStatement(b, ledger.Statement{Kind: ledger.KindGap, At: now, Body: map[string]any{
		"from": alive, "to": now, "reason": reason, "missed": max(0, (now-w.To)/c.s.window),
	}})
}

// firstClock declares a clock that lies somewhat behind the newest that the
// ledger knows. One that is far behind is for the first look at the clock.
func (c *committer) firstClock(b *pebble.Batch, now, known int64) error {
	if behind := known - now; behind <= maxStep.Milliseconds() || behind > maxBehind {
		return nil
	}
	c.clock.stepped = true
	return c.appendStatement(b, ledger.Statement{Kind: ledger.KindClock, At: now, Body: map[string]any{
		"was": known, "now": now, "reason": "the clock is behind the newest reading",
	}})
}

// makeView is what readers see once the batch in hand is durable.
func (c *committer) makeView() *view {
	if c.infos == nil {
		c.infos = make([]streamInfo, len(c.streams))
		for i, st := range c.streams {
			c.infos[i] = streamInfo{
				slot: st.slot, envelope: st.envelope, classes: st.classes, opened: st.opened,
				closedBy: st.closedBy, closed: st.closed, tag: st.tag, device: st.number, late: st.late,
			}
		}
	}
	if c.bindings == nil {
		c.bindings = make([]ledger.Binding, 0, len(c.devices))
		for _, d := range c.devices {
			c.bindings = append(c.bindings, d.binding)
		}
		sort.Slice(c.bindings, func(i, j int) bool { return c.bindings[i].Number < c.bindings[j].Number })
	}
	return &view{
		size: c.logTree.Size(), state: c.state, checkpoint: c.note, signed: c.signed, held: c.held,
		keys: c.keys, devices: c.bindings, streams: c.infos, nextCommit: c.nextCommit, lastStamp: c.state.LastStamp, oldest: c.oldest,
	}
}
