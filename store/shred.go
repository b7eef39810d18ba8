package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// ShredOptions say what to shred.
type ShredOptions struct {
	// Compartments are names of streams' compartments. An envelope goes only
	// together with all of its stream's data, or after it.
	Compartments []string
	Before       share.Hour // hours below it; all must be sealed
	Holders      []string   // who may have copies, for the statement: all its readers see them
	Reason       string
	Progress     func(string) // is told each step; may be nil
}

// ShredReport is what was shredded.
type ShredReport struct {
	Statement uint64     `json:"statement"` // number of the shred statement
	Before    share.Hour `json:"before"`
	Readings  uint64     `json:"readings"` // of which something or all went
	Objects   uint64     `json:"objects"`  // whose content went
	Bytes     uint64     `json:"bytes"`    // of them
}

// ErrNotSealed tells that what is to be shredded has not been sealed yet.
var ErrNotSealed = errors.New("not sealed yet: wait until the quarter hour has ended, and some minutes")

// shredRow is the row z: a shredding that has begun.
type shredRow struct {
	_            struct{} `cbor:",toarray"`
	Statement    uint64
	Compartments []uint32
	Before       uint32
}

// Shred forgets the keys of compartments' hours for good, and what stands under
// them. The steps, each durable before the next:
//
//  1. what everything above the shredded readings is made of is written as rows x
//     and X
//  2. the statement is recorded, and with it the row z
//  3. the keyring forgets the keys, gets another local key, and is wrapped anew
//  4. the rows under the old local key are written again under the new one
//  5. the keyring forgets the old local key; the contents are deleted, and the
//     tables that held them compacted; the row z goes
//
// After a crash or a failure between 2 and 5 the next start goes on, by row z and
// by what the keyring has. ErrRefused: what cannot be shredded; ErrNotSealed.
func (s *Store) Shred(ctx context.Context, o ShredOptions) (ShredReport, error) {
	s.shredding.Lock()
	defer s.shredding.Unlock()
	s.taken.Add(1)
	if err := s.refusal(); err != nil && !errors.Is(err, ErrDiskFull) {
		return ShredReport{}, err
	}
	if err := s.finishDrop(ctx); err != nil {
		return ShredReport{}, fmt.Errorf("an earlier drop: %w", err)
	}
	if err := s.finishShred(ctx, o.Progress); err != nil {
		return ShredReport{}, fmt.Errorf("an earlier shredding: %w", err)
	}
	if err := s.opt.Keyring.CanRewrap(); err != nil {
		return ShredReport{}, fmt.Errorf("shred: %w", err)
	}
	ids, err := s.shreddable(&o)
	if err != nil {
		return ShredReport{}, fmt.Errorf("shred: %w", err)
	}
	d := shredder{s: s, ctx: ctx, row: shredRow{Compartments: ids, Before: uint32(o.Before)}, tell: o.Progress}
	if err := d.begin(&o); err != nil {
		return ShredReport{}, fmt.Errorf("shred: %w", err)
	}
	if err := d.goOn(); err != nil {
		return ShredReport{}, fmt.Errorf("shred: it has begun, and the next start goes on with it: %w", err)
	}
	return ShredReport{Statement: d.row.Statement, Before: o.Before, Readings: d.readings, Objects: d.objects, Bytes: d.bytes}, nil
}

// CanShred says whether Shred would begin, by what is there now.
func (s *Store) CanShred(o ShredOptions) error {
	err := s.opt.Keyring.CanRewrap()
	if err == nil {
		_, err = s.shreddable(&o)
	}
	return err
}

// shreddable checks what to shred and gives the compartments' ids.
func (s *Store) shreddable(o *ShredOptions) (ids []uint32, err error) {
	if len(o.Compartments) == 0 || o.Before == 0 || o.Before >= share.Hours {
		return nil, fmt.Errorf("%w: no compartment or no time", ErrRefused)
	}
	r := s.reader()
	defer r.close()
	streams := map[uint64]*streamInfo{}
	for _, name := range o.Compartments {
		c, ok := s.opt.Keyring.CompartmentNamed(name)
		if !ok {
			return nil, fmt.Errorf("%w: there is no compartment %q", ErrRefused, name)
		}
		in := r.v.streamWith(c.ID)
		if in == nil {
			return nil, fmt.Errorf("%w: %s is no compartment of a stream: without its keys nothing could be proven any more", ErrRefused, name)
		}
		if in.classes.scheme == schemeSite {
			return nil, fmt.Errorf("%w: %s: its stream began before compartments were set apart, so that the site's own keys would tell whether a guess is right; remove the device and register it again, which begins another stream", ErrRefused, name)
		}
		if c.Tree.First() >= o.Before {
			return nil, fmt.Errorf("%w: %s was shredded up to then already", ErrRefused, name)
		}
		if !slices.Contains(ids, c.ID) {
			ids = append(ids, c.ID)
		}
		streams[in.slot] = in
	}
	for _, in := range streams {
		if !slices.Contains(ids, in.envelope) {
			continue
		}
		for _, c := range in.classes.list {
			if !slices.Contains(ids, c.compartment) && s.shreddedBefore(c.compartment) < o.Before {
				return nil, fmt.Errorf("%w: the envelope of stream %d goes only together with all of its data: class %s is left", ErrRefused, in.slot, c.name)
			}
		}
	}
	slices.Sort(ids)
	return ids, r.allSealed(o.Before)
}

// allSealed makes sure that all batches of hours below before are sealed.
func (r *reader) allSealed(before share.Hour) error {
	for batch := r.v.state.SealFrom; batch <= r.v.size; batch++ {
		w, err := r.s.windowOf(r.snap, &r.v.state, batch)
		if err != nil {
			return err
		}
		if w.hour() < before {
			return fmt.Errorf("%w: the window from %s", ErrNotSealed, clockText(w.From))
		}
	}
	return nil
}

// streamWith gives the stream that a compartment belongs to.
func (v *view) streamWith(compartment uint32) *streamInfo {
	for i := range v.streams {
		if slices.Contains(v.streams[i].all(), compartment) {
			return &v.streams[i]
		}
	}
	return nil
}

// shredder goes through the steps of Shred.
type shredder struct {
	s    *Store
	ctx  context.Context
	row  shredRow
	tell func(string)

	readings, objects, bytes uint64
}

func (d *shredder) say(text string) {
	if d.tell != nil {
		d.tell(text)
	}
}

// begin takes steps 1 and 2.
func (d *shredder) begin(o *ShredOptions) error {
	d.s.sealing.Lock()
	defer d.s.sealing.Unlock()
	d.say("keep what proves the readings that are left")
	if err := d.keep(); err != nil {
		return err
	}
	d.say("record the statement")
	err := d.s.change(d.ctx, func(c *committer, b *pebble.Batch, now int64) error {
		d.row.Statement = c.stTree.Size()
		st := ledger.Shred{Compartments: o.Compartments, Before: o.Before.Start(), Holders: o.Holders, Reason: o.Reason}.Statement(now)
		if err := st.Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if err := c.appendStatement(b, st); err != nil {
			return err
		}
		return d.s.putRow(b, d.s.keys.key(kindShred), d.row, true)
	})
	return err
}

// goOn takes steps 3 to 5: those that were not taken yet.
func (d *shredder) goOn() error {
	if err := d.puncture(); err != nil {
		return err
	}
	if len(d.s.opt.Keyring.LocalKeys()) > 1 {
		d.say("write the site's own rows under another key")
		if err := d.rewrite(); err != nil {
			return err
		}
		if err := d.s.opt.Keyring.Change(func(e *share.Edit) error { e.DropOldLocalKey(); return nil }); err != nil {
			return fmt.Errorf("drop the old local key: %w", err)
		}
	}
	if err := d.s.local.use(d.s.opt.Keyring.LocalKeys()); err != nil {
		return err
	}
	d.say("delete what was shredded")
	if err := d.delete(); err != nil {
		return err
	}
	d.say("compact")
	if err := d.s.db.Compact(d.ctx, d.s.keys.id[:], after(d.s.keys.id[:]), false); err != nil {
		if d.ctx.Err() == nil {
			d.s.die(fmt.Errorf("compact: %w", err)) // it may have begun another log, and failed
		}
		return fmt.Errorf("compact: %w", err)
	}
	return d.s.change(d.ctx, func(c *committer, b *pebble.Batch, _ int64) error {
		return b.Delete(d.s.keys.key(kindShred), nil)
	})
}

// pendingShred reads the row z; nil if there is none.
func (s *Store) pendingShred() (*shredRow, error) {
	z := new(shredRow)
	err := row(s.db, s.local, s.keys.key(kindShred), z)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	return z, err
}

// ShredStopped reports whether a shredding has begun that is not through, and that
// nothing goes on with.
func (s *Store) ShredStopped() bool {
	if !s.shredding.TryLock() {
		return false
	}
	defer s.shredding.Unlock()
	z, err := s.pendingShred()
	return z != nil || err != nil
}

// finishShred goes on with a shredding that had begun.
func (s *Store) finishShred(ctx context.Context, tell func(string)) error {
	z, err := s.pendingShred()
	if err != nil {
		return err
	}
	if z == nil {
		if len(s.opt.Keyring.LocalKeys()) == 1 {
			return nil
		}
		z = new(shredRow) // data of before the statement, with a keyring of after it
	}
	return (&shredder{s: s, ctx: ctx, row: *z, tell: tell}).goOn()
}

// goOnShredding is what a start does with a shredding that had begun.
func (s *Store) goOnShredding() {
	ctx, cancel := s.untilStop()
	defer cancel()
	s.shredding.Lock()
	defer s.shredding.Unlock()
	s.taken.Add(1)
	if err := s.finishDrop(ctx); err != nil && ctx.Err() == nil && s.Dead() == nil {
		s.opt.Logger.Error("a drop that has begun is not through: the next start goes on with it", "error", err)
	}
	if err := s.finishShred(ctx, nil); err != nil && ctx.Err() == nil && s.Dead() == nil {
		s.opt.Logger.Error("a shredding that has begun is not through: the next start goes on with it", "error", err)
	}
}

// untilStop gives a context that ends with the store.
func (s *Store) untilStop() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// affected are the streams that lose something, with the envelope's or without.
func (d *shredder) affected(v *view) (out []*streamInfo) {
	for i := range v.streams {
		if slices.ContainsFunc(v.streams[i].all(), func(id uint32) bool { return slices.Contains(d.row.Compartments, id) }) {
			out = append(out, &v.streams[i])
		}
	}
	return out
}

// keep is step 1.
func (d *shredder) keep() error {
	r := d.s.reader()
	defer r.close()
	w := keeper{shredder: d, r: r, b: d.s.db.NewBatch()}
	for _, in := range d.affected(r.v) {
		if err := w.stream(in); err != nil {
			w.b.Close()
			return fmt.Errorf("stream %d: %w", in.slot, err)
		}
	}
	return d.sync(w.b)
}

// sync makes a batch durable, and with it what was written before: that is in the
// same log, so it takes a batch that is not empty.
func (d *shredder) sync(b *pebble.Batch) error {
	defer b.Close()
	err := d.s.Dead()
	if err == nil {
		err = b.LogData([]byte("shredding"), nil)
	}
	if err == nil {
		err = b.Commit(pebble.Sync)
	}
	// A fatal error inside Pebble may have been reported without being returned.
	if dead := d.s.Dead(); dead != nil {
		return dead
	}
	return err
}

// write gives a batch to Pebble and returns the next one.
func (d *shredder) write(b *pebble.Batch) (*pebble.Batch, error) {
	err := d.s.Dead()
	if err == nil {
		err = b.Commit(pebble.NoSync)
	}
	b.Close()
	return d.s.db.NewBatch(), err
}

// keeper writes rows x and X.
type keeper struct {
	*shredder
	r *reader
	b *pebble.Batch
	h reading.Hasher
}

// keptBytes is how much is written at once.
const keptBytes = 1 << 20

func (w *keeper) put(key []byte, v any) error {
	if err := w.s.putRow(w.b, key, v, true); err != nil || w.b.Len() < keptBytes {
		return err
	}
	var err error
	w.b, err = w.write(w.b)
	return err
}

// stream keeps what is needed of one stream's hours.
func (w *keeper) stream(in *streamInfo) error {
	whole := slices.Contains(w.row.Compartments, in.envelope)
	parts, err := w.r.partsBefore(in, share.Hour(w.row.Before))
	if err != nil {
		return err
	}
	gone, err := w.r.goneBefore(in)
	if err != nil {
		return err
	}
	return w.r.groupsBefore(share.Hour(w.row.Before), func(first uint64, row *hourRow) error {
		if !in.activeIn(first, row.Next) || share.Hour(row.Hour) < gone {
			return w.ctx.Err()
		}
		for _, x := range parts[first] {
			w.readings += uint64(x.row.Count)
			if err := w.part(in, &x, whole, row); err != nil {
				return err
			}
		}
		if whole && len(parts[first]) == 0 {
			return w.roots(in, indexed{slot: in.slot, row: indexRow{Hour: row.Hour, Batch: first}}, row)
		}
		return w.ctx.Err()
	})
}

func (w *keeper) part(in *streamInfo, x *indexed, whole bool, row *hourRow) error {
	if whole {
		return w.roots(in, *x, row)
	}
	key := segmentKey{Hour: x.row.Hour, First: x.row.Batch, Compartment: in.envelope, Part: x.row.Part}
	k, err := w.r.cursor(in.envelope).Hour(share.Hour(x.row.Hour))
	if err != nil {
		return err
	}
	val, closer, err := w.r.snap.Get(w.s.keys.segment(key))
	if err != nil {
		return missing(notFound(err, "envelope of stream %d", in.slot))
	}
	packed, err := w.r.openPacked(k, key, val)
	closer.Close()
	if err != nil {
		return fmt.Errorf("%w: envelope of stream %d: %w", ErrDamaged, in.slot, err)
	}
	hidden, err := w.r.hiddenOf(key, packed)
	if err != nil {
		return err
	}
	return w.put(w.s.keys.part(kindHidden, key), hidden)
}

// roots keeps what is above the readings of a part.
func (w *keeper) roots(in *streamInfo, x indexed, row *hourRow) error {
	g := goneRow{Version: rootsVersion, First: x.first}
	for at := x.first; at < x.first+uint64(x.row.Count); {
		all, err := w.r.stretch(in, at, x.first+uint64(x.row.Count))
		if err != nil {
			return err
		}
		for i := range all {
			root, err := w.root(in, &all[i])
			if err != nil {
				return err
			}
			g.Roots = append(g.Roots, root[:]...)
		}
		at += uint64(len(all))
	}
	if x.row.Count > 0 {
		var stats runStats
		if err := w.r.carry(in, &stats, x.first+uint64(x.row.Count)); err != nil {
			return err
		}
		g.HasCarry, g.Carry = stats.hasPrev, uint64(stats.prev)
	}
	if x.row.Part == 0 {
		if err := w.summaries(in, &g, x.row.Batch, row.Next); err != nil {
			return err
		}
	}
	key := segmentKey{Hour: x.row.Hour, First: x.row.Batch, Compartment: in.envelope, Part: x.row.Part}
	return w.put(w.s.keys.part(kindRoots, key), g)
}

func (w *keeper) root(in *streamInfo, st *stored) (root merkle.Hash, err error) {
	if st.left != nil {
		t, _, err := w.r.leftTree(in, st)
		if err != nil {
			return root, err
		}
		return t.root(), nil
	}
	if err := w.r.complete(st); err != nil {
		return root, err
	}
	k, err := w.r.hourKeysOf(in, st)
	if err != nil {
		return root, err
	}
	return w.h.Root(&st.Reading, k.of(st)), nil
}

// summaries keeps the leaves of the batches [first, next) that have a summary of
// the stream.
func (w *keeper) summaries(in *streamInfo, g *goneRow, first, next uint64) error {
	for batch := first; batch < next; batch++ {
		if !in.active(batch) {
			continue
		}
		x, err := w.r.s.windowRow(w.r.snap, batch)
		if err != nil {
			return err
		}
		leaf, err := w.r.slotLeaf(in.slot, x, batch)
		if err != nil {
			return err
		}
		if g.Summaries == nil {
			g.Batch = batch
		}
		g.Summaries = append(g.Summaries, leaf[:]...)
	}
	return nil
}

// partsBefore gives the sealed stretches of a stream's hours below before, by the
// first batch of their group.
func (r *reader) partsBefore(in *streamInfo, before share.Hour) (map[uint64][]indexed, error) {
	out := map[uint64][]indexed{}
	k := r.s.keys.u64(kindIndex, in.slot)
	err := each(r.snap, k, after(k), func(key, val []byte) (bool, error) {
		x := indexed{slot: in.slot, first: binary.BigEndian.Uint64(suffix(key)[8:])}
		if err := decodeRow(nil, key, val, &x.row); err != nil {
			return false, err
		}
		if share.Hour(x.row.Hour) < before {
			out[x.row.Batch] = append(out[x.row.Batch], x)
		}
		return true, nil
	})
	return out, err
}

// groupsBefore visits the sealed groups of hours below before.
func (r *reader) groupsBefore(before share.Hour, fn func(first uint64, row *hourRow) error) error {
	k := r.s.keys.key(kindHour)
	return each(r.snap, k, after(k), func(key, val []byte) (bool, error) {
		row, err := decodeHour(key, val)
		if err != nil || share.Hour(row.Hour) >= before || !row.objects() {
			return err == nil, err
		}
		err = fn(binary.BigEndian.Uint64(suffix(key)), &row)
		return err == nil, err
	})
}

// puncture is step 3, in one change of the keyring: either all of it is done or
// none. While a quarter hour is being sealed it waits, since that reads what comes
// before.
func (d *shredder) puncture() error {
	left := slices.ContainsFunc(d.row.Compartments, func(id uint32) bool {
		return d.s.shreddedBefore(id) < share.Hour(d.row.Before)
	})
	if !left {
		return nil
	}
	d.s.sealing.Lock()
	defer d.s.sealing.Unlock()
	d.say("forget the keys")
	err := d.s.opt.Keyring.Change(func(e *share.Edit) error {
		for _, id := range d.row.Compartments {
			e.Puncture(id, share.Hour(d.row.Before))
		}
		e.NewLocalKey()
		e.Rewrap()
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget the keys: %w", err)
	}
	return nil
}

// rewrite is step 4. Rows that change are the committer's to write: it writes all
// of them at once. The others never do, so they can be written beside it. What the
// commits that are not sealed say of devices stays under the old key and goes with
// it: nobody needs it once the devices' own rows are written.
func (d *shredder) rewrite() error {
	err := d.s.change(d.ctx, func(c *committer, b *pebble.Batch, _ int64) error {
		if err := d.s.local.use(d.s.opt.Keyring.LocalKeys()); err != nil {
			return err
		}
		if err := d.forgetFrames(c); err != nil {
			return err
		}
		for _, st := range c.streams {
			st.dirty = true
		}
		for _, x := range c.devices {
			x.dirty = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	// From here on whatever was written before that change is in the database.
	snap := d.s.db.NewSnapshot()
	defer snap.Close()
	b := d.s.db.NewBatch()
	for _, kind := range []byte{kindStatement, kindLogKey, kindHidden, kindRoots, kindShred, kindDrop} {
		k := d.s.keys.key(kind)
		err := each(snap, k, after(k), func(key, val []byte) (bool, error) {
			if err := d.s.reseal(b, key, val); err != nil || b.Len() < keptBytes {
				return err == nil, err
			}
			var err error
			b, err = d.write(b)
			return err == nil, err
		})
		if err != nil {
			b.Close()
			return err
		}
	}
	return d.sync(b)
}

func (s *Store) reseal(b *pebble.Batch, key, val []byte) error {
	if len(val) == 0 {
		return fmt.Errorf("%w: row %c is empty", ErrDamaged, key[32])
	}
	plain, err := s.local.open(key, val[1:])
	if err != nil {
		return fmt.Errorf("%w: row %c: %w", ErrDamaged, key[32], err)
	}
	defer clear(plain)
	return b.Set(key, append([]byte{val[0]}, s.local.seal(key, plain)...), nil)
}

// forgetFrames forgets the digests of those of the devices' last frames that were
// shredded, as a digest tells whether a guess of the frame is right. The counters
// that were accepted stay.
func (d *shredder) forgetFrames(c *committer) error {
	r := d.s.reader()
	defer r.close()
	for _, in := range d.affected(r.v) {
		x := c.devices[in.device]
		if x == nil || in.late { // nothing of a late stream is remembered
			continue
		}
		parts, err := r.partsBefore(in, share.Hour(d.row.Before))
		if err != nil {
			return err
		}
		gone := uint64(0)
		for _, all := range parts {
			for _, p := range all {
				gone = max(gone, p.first+uint64(p.row.Count))
			}
		}
		keep := c.streams[in.slot].tree.Size() - gone
		for i := range r.v.streams[in.slot+1:] {
			if later := &r.v.streams[in.slot+1:][i]; later.device == in.device && !later.late {
				keep += c.streams[later.slot].tree.Size()
			}
		}
		if n := uint64(len(x.recent)); n > keep {
			x.recent = slices.Clone(x.recent[n-keep:])
		}
	}
	return nil
}

// delete takes the contents out of the rows of what was shredded, but for the
// hashes that headers list.
func (d *shredder) delete() error {
	r := d.s.reader()
	defer r.close()
	b := d.s.db.NewBatch()
	streams := d.affected(r.v)
	err := r.groupsBefore(share.Hour(d.row.Before), func(first uint64, row *hourRow) error {
		for _, in := range streams {
			for _, id := range in.all() {
				if !slices.Contains(d.row.Compartments, id) {
					continue
				}
				if err := d.deleteSegments(r, b, row.Hour, first, id); err != nil {
					return err
				}
				if id == in.envelope {
					lower := d.s.keys.part(kindHidden, segmentKey{Hour: row.Hour, First: first, Compartment: id})
					upper := d.s.keys.part(kindHidden, segmentKey{Hour: row.Hour, First: first, Compartment: id + 1})
					if err := b.DeleteRange(lower, upper, nil); err != nil {
						return err
					}
				}
			}
		}
		if b.Len() < keptBytes {
			return d.ctx.Err()
		}
		var err error
		b, err = d.write(b)
		return err
	})
	if err != nil {
		b.Close()
		return err
	}
	return d.sync(b)
}

func (d *shredder) deleteSegments(r *reader, b *pebble.Batch, hour uint32, first uint64, compartment uint32) error {
	lower := d.s.keys.segment(segmentKey{Hour: hour, First: first, Compartment: compartment})
	upper := d.s.keys.segment(segmentKey{Hour: hour, First: first, Compartment: compartment + 1})
	return each(r.snap, lower, upper, func(key, val []byte) (bool, error) {
		if len(val) <= 33 || val[0] != formatObject {
			return true, nil
		}
		d.objects++
		d.bytes += uint64(len(val) - 33)
		return true, b.Set(key, val[:33], nil)
	})
}
