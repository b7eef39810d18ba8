package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/store/share"
)

// reader answers one question from one state of the store.
type reader struct {
	s    *Store
	v    *view
	snap *pebble.Snapshot
	keys map[hourKey]*hourKeys
	curs map[uint32]*share.Cursor // by compartment
	last lastSegment

	group, sealing groupRow             // whose row was read last; that which is being sealed
	open           map[uint64]*openRuns // by stream, of that which is being sealed
	made           *streamGroups
	windows        map[uint64]*windowRow
	runs           struct { // the row r that was read last
		slot uint64
		row  *runsRow
	}
	at       unsealedPlace
	dropped  *dropRow // see drop
	lastGone struct {
		key segmentKey
		row *goneRow
	}
}

type hourKey struct {
	slot        uint64
	hour        share.Hour
	incarnation [16]byte
}

// reader must be closed.
func (s *Store) reader() *reader {
	for {
		if r := s.readerOf(s.view.Load()); r != nil {
			return r
		}
	}
}

// readerOf takes a snapshot for a view that was taken first: what the view knows of is in
// it, maybe sealed meanwhile. It is nil if the view's open window was closed in between: its
// commits, which only that view says where to find, may be gone.
func (s *Store) readerOf(v *view) *reader {
	snap := s.db.NewSnapshot()
	if s.view.Load().size != v.size {
		snap.Close()
		return nil
	}
	return &reader{s: s, v: v, snap: snap, made: &s.sealed, keys: map[hourKey]*hourKeys{}, curs: map[uint32]*share.Cursor{}}
}

func (r *reader) close() { r.snap.Close() }

// Found is a reading that a query met. Of one that was shredded in part it has
// what is left, without the measurements and the frame that are not.
type Found struct {
	reading.Reading
	Slot     uint64
	Batch    uint64   // by Query: the batch that holds it, or will when its window closes
	Late     bool     // of a late stream
	Shredded []string // the compartments whose part of it was shredded
}

// Query visits a device's readings with received in [from, to) ms, stream after
// stream, in order of received within each, until fn says that it wants no more.
// Readings that were shredded as a whole are passed over: Shredded names them.
func (s *Store) Query(ctx context.Context, device uint32, from, to int64, fn func(*Found) (more bool, err error)) error {
	return s.QueryAfter(ctx, device, nil, from, to, fn)
}

// After is a reading after which a query goes on.
type After struct {
	Slot, Sequence uint64
	Received       int64 // Unix ms
}

// QueryAfter is Query for what it visits after a reading, from the beginning for nil.
// What came before that one is not read again.
func (s *Store) QueryAfter(ctx context.Context, device uint32, after *After, from, to int64, fn func(*Found) (more bool, err error)) error {
	r := s.reader()
	defer r.close()
	for i := range r.v.streams {
		in := &r.v.streams[i]
		if in.device != device || after != nil && in.slot < after.Slot {
			continue
		}
		first, next := from, fn
		if after != nil && in.slot == after.Slot {
			first = max(from, after.Received)
			next = func(f *Found) (bool, error) {
				if f.Sequence <= after.Sequence {
					return true, nil
				}
				return fn(f)
			}
		}
		more, err := r.query(ctx, in, first, to, next)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// About is how many readings a Query visits. A window's others at either end count, and those that
// were shredded.
func (s *Store) About(device uint32, from, to int64) (n uint64, err error) {
	r := s.reader()
	defer r.close()
	for i := range r.v.streams {
		in := &r.v.streams[i]
		if in.device != device {
			continue
		}
		first, _, err := r.around(in, from)
		if err != nil {
			return 0, err
		}
		_, next, err := r.around(in, to)
		if err != nil {
			return 0, err
		}
		n += next - first
	}
	return n, nil
}

// around gives how many readings of a stream come before a time's window, and how many until
// its end.
func (r *reader) around(in *streamInfo, ms int64) (before, until uint64, err error) {
	b, err := r.batchAt(in, ms)
	if err != nil {
		return 0, 0, err
	}
	run, err := r.nextRun(in, b)
	switch {
	case err != nil:
		return 0, 0, err
	case run == nil:
		all, err := r.closedNext(in.slot)
		return all, all, err
	case run.batch != b:
		return run.first, run.first, nil
	}
	return run.first, run.next, nil
}

// QueryStream is Query for all readings of one stream. ErrNotFound: there is no such
// stream.
func (s *Store) QueryStream(ctx context.Context, slot uint64, fn func(*Found) (more bool, err error)) error {
	r := s.reader()
	defer r.close()
	in, err := r.stream(slot)
	if err == nil {
		_, err = r.query(ctx, in, 0, math.MaxInt64, fn)
	}
	if err != nil {
		return fmt.Errorf("stream %d: %w", slot, err)
	}
	return nil
}

func (r *reader) query(ctx context.Context, in *streamInfo, from, to int64, fn func(*Found) (bool, error)) (bool, error) {
	b0, err := r.batchAt(in, from)
	if err != nil {
		return false, err
	}
	for b := b0; b <= r.v.size && (!in.closed || b <= in.closedBy); {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		run, err := r.nextRun(in, b)
		if err != nil {
			return false, err
		}
		if run == nil {
			return true, nil
		}
		for at := run.first; at < run.next; { // a run may be too long for the memory
			if next, err := r.overShredded(in, at); err != nil {
				return false, err
			} else if next > at {
				at = next
				continue
			}
			all, err := r.stretch(in, at, run.next)
			if err != nil {
				return false, err
			}
			at += uint64(len(all))
			for i := range all {
				if all[i].Received < from {
					continue
				}
				if all[i].Received >= to {
					return true, nil
				}
				if err := r.complete(&all[i]); err != nil {
					return false, err
				}
				f := r.found(in, &all[i])
				f.Batch = run.batch
				if more, err := fn(f); err != nil || !more {
					return false, err
				}
			}
		}
		b = run.batch + 1
	}
	return true, nil
}

// batchAt gives the first batch of a stream that may hold readings received at
// or after a time.
func (r *reader) batchAt(in *streamInfo, from int64) (uint64, error) {
	lo, hi := in.opened, r.v.size
	if in.closed {
		hi = min(hi, in.closedBy)
	}
	for lo < hi {
		mid := lo + (hi-lo)/2
		w, err := r.s.windowOf(r.snap, &r.v.state, mid)
		if err != nil {
			return 0, err
		}
		if w.To <= from {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, nil
}

// nextRun gives the first non-empty run of a stream in batch b or later; in the
// open window, what it holds so far. It is nil if there is none.
func (r *reader) nextRun(in *streamInfo, b uint64) (*runRow, error) {
	run, err := r.seekRun(in.slot, b)
	if err != nil || run != nil && run.batch < r.v.size {
		return run, err
	}
	first, err := r.closedNext(in.slot)
	if err != nil {
		return nil, err
	}
	next := first
	err = r.commits(r.v.state.Open.FirstCommit, r.v.nextCommit, func(rec *record) (bool, error) {
		for i := range rec.streams {
			if rec.streams[i].slot == in.slot {
				next = rec.streams[i].first + uint64(rec.streams[i].n)
			}
		}
		return true, nil
	})
	if err != nil || next == first {
		return nil, err
	}
	return &runRow{batch: r.v.size, first: first, next: next}, nil
}

// closedNext is how many readings of a stream lie in closed windows.
func (r *reader) closedNext(slot uint64) (uint64, error) {
	run, err := r.lastRun(slot, r.v.size)
	if err != nil || run == nil {
		return 0, err
	}
	return run.next, nil
}

// runOf finds the closed run that holds a reading; nil if its window is open.
func (r *reader) runOf(in *streamInfo, seq uint64) (*runRow, error) {
	if run, err := r.indexedRun(in.slot, seq); run != nil || err != nil {
		return run, err
	}
	lo, hi := in.opened, r.v.size
	for lo < hi {
		mid := lo + (hi-lo)/2
		run, err := r.seekRun(in.slot, mid)
		if err != nil {
			return nil, err
		}
		switch {
		case run == nil || run.batch >= r.v.size || run.first > seq:
			hi = mid
		case run.next <= seq:
			lo = run.batch + 1
		default:
			return run, nil
		}
	}
	return nil, nil
}

// readings gives a stream's readings from…to-1, without what takes the device's
// key: see complete.
func (r *reader) readings(in *streamInfo, from, to uint64) ([]stored, error) {
	var out []stored
	for at := from; at < to; {
		all, err := r.stretch(in, at, to)
		if err != nil {
			return nil, err
		}
		at += uint64(len(all))
		if out == nil {
			out = all
			continue
		}
		out = append(slices.Clip(out), all...)
	}
	return out, nil
}

// stretch gives a stream's readings from one on, as many before to as lie
// together on disk: at least one.
func (r *reader) stretch(in *streamInfo, from, to uint64) ([]stored, error) {
	all, err := r.sealedAt(in, from)
	if err == nil && all == nil {
		all, err = r.unsealedAt(in, from)
	}
	if err != nil {
		return nil, err
	}
	if len(all) == 0 || all[0].Sequence > from || all[len(all)-1].Sequence < from {
		return nil, fmt.Errorf("%w: reading %d of stream %d is missing", ErrDamaged, from, in.slot)
	}
	all = all[from-all[0].Sequence:]
	return all[:min(uint64(len(all)), to-from)], nil
}

// unsealedPlace is where the search for a stream's next unsealed reading begins:
// what comes from sequence number seq on is in no commit before this one.
type unsealedPlace struct{ slot, seq, commit uint64 }

// unsealedAt finds a reading in the commits of its window and gives what of its
// stream is in the same commit.
func (r *reader) unsealedAt(in *streamInfo, seq uint64) (out []stored, err error) {
	w := &r.v.state.Open
	run, err := r.runOf(in, seq)
	if err != nil {
		return nil, err
	}
	from, to := w.FirstCommit, r.v.nextCommit
	if run != nil {
		if w, err = r.s.windowOf(r.snap, &r.v.state, run.batch); err != nil {
			return nil, err
		}
		from, to = w.FirstCommit, w.NextCommit
	}
	if p := &r.at; p.slot == in.slot && p.seq <= seq {
		from = max(from, min(p.commit, to))
	}
	err = r.commits(from, to, func(rec *record) (bool, error) {
		for i := range rec.streams {
			st := &rec.streams[i]
			if st.slot == in.slot && seq >= st.first && seq < st.first+uint64(st.n) {
				r.at = unsealedPlace{in.slot, st.first + uint64(st.n), rec.number + 1}
				out, err = r.openStream(rec, i, in, w)
				return false, err
			}
		}
		return true, nil
	})
	return out, err
}

// commits visits the records with numbers from…to-1 that are still there.
func (r *reader) commits(from, to uint64, fn func(*record) (bool, error)) error {
	return each(r.snap, r.s.keys.u64(kindCommit, from), r.s.keys.u64(kindCommit, to), func(key, val []byte) (bool, error) {
		rec, err := parseRecord(binary.BigEndian.Uint64(suffix(key)), val)
		if err != nil {
			return false, err
		}
		return fn(rec)
	})
}

// openStream opens one stream of a commit record.
func (r *reader) openStream(rec *record, i int, in *streamInfo, w *window) ([]stored, error) {
	hour := w.hour()
	k, err := r.hourKeys(in, hour, [16]byte{})
	if err != nil {
		return nil, err
	}
	b, err := r.s.openColumns(rec, i, in, k)
	if err != nil {
		return nil, err
	}
	site, err := r.siteKey(hour)
	if err != nil {
		return nil, err
	}
	plain, err := site.OpenMessage(nil, purposeCommit, &rec.random, r.s.commitAAD(rec.number, share.Site), rec.site)
	if err != nil {
		return nil, fmt.Errorf("%w: site chunk of commit %d: %w", ErrDamaged, rec.number, err)
	}
	evidence, _, err := rec.parseSite(plain)
	if err != nil {
		return nil, err
	}
	b.evidence = evidence[i]
	return r.s.decodeRecord(rec, i, in, k, b)
}

// decodeRecord puts the blocks of stream i of a commit record together.
func (s *Store) decodeRecord(rec *record, i int, in *streamInfo, k *hourKeys, b blocks) ([]stored, error) {
	scheme := in.classes.scheme
	out, err := decodeColumns(in.slot, scheme, b, k.openPayloads(scheme, purposeEvidence, &rec.random, s.commitAAD(rec.number, in.envelope)))
	if err != nil {
		return nil, fmt.Errorf("%w: commit %d: %w", ErrDamaged, rec.number, err)
	}
	if st := &rec.streams[i]; len(out) != st.n || out[0].Sequence != st.first {
		return nil, fmt.Errorf("%w: commit %d: stream %d holds other readings than its head says", ErrDamaged, rec.number, in.slot)
	}
	return out, nil
}

func (s *Store) openColumns(rec *record, i int, in *streamInfo, k *hourKeys) (b blocks, err error) {
	st := &rec.streams[i]
	if len(st.data) != len(in.classes.list) {
		return b, fmt.Errorf("%w: stream %d in commit %d has %d classes, want %d", ErrDamaged, st.slot, rec.number, len(st.data), len(in.classes.list))
	}
	b.data = make([][]byte, len(st.data))
	b.envelope, err = s.openMessage(&k.envelope, &rec.random, s.commitAAD(rec.number, in.envelope), st.envelope)
	for j, x := range in.classes.list {
		if err == nil {
			b.data[j], err = s.openMessage(&k.data[j], &rec.random, s.commitAAD(rec.number, x.compartment), st.data[j])
		}
	}
	if err != nil {
		return b, fmt.Errorf("%w: stream %d in commit %d: %w", ErrDamaged, st.slot, rec.number, err)
	}
	return b, nil
}

// openRecord opens a whole commit record: its readings, stream after stream, and
// what its site chunk has behind the evidence.
func (s *Store) openRecord(rec *record, site share.HourKey, keys func(slot uint64) (streamInfo, *hourKeys, error)) (out [][]stored, rest []byte, err error) {
	plain, err := s.openMessage(&site, &rec.random, s.commitAAD(rec.number, share.Site), rec.site)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: site chunk of commit %d: %w", ErrDamaged, rec.number, err)
	}
	evidence, rest, err := rec.parseSite(plain)
	if err != nil {
		return nil, nil, err
	}
	out = make([][]stored, len(rec.streams))
	for i := range rec.streams {
		slot := rec.streams[i].slot
		in, k, err := keys(slot)
		if err != nil {
			return nil, nil, err
		}
		b, err := s.openColumns(rec, i, &in, k)
		if err != nil {
			return nil, nil, err
		}
		b.evidence = evidence[i]
		if out[i], err = s.decodeRecord(rec, i, &in, k, b); err != nil {
			return nil, nil, err
		}
	}
	return out, rest, nil
}

// hourKeys derives a stream's keys; the incarnation matters for salts only.
func (r *reader) hourKeys(in *streamInfo, hour share.Hour, incarnation [16]byte) (*hourKeys, error) {
	id := hourKey{in.slot, hour, incarnation}
	if k := r.keys[id]; k != nil {
		return k, nil
	}
	env, err := r.cursor(in.envelope).Hour(hour)
	if err != nil {
		return nil, fmt.Errorf("stream %d envelope key: %w", in.slot, err)
	}
	data := make([]share.HourKey, len(in.classes.list))
	for i, x := range in.classes.list {
		if data[i], err = r.cursor(x.compartment).Hour(hour); errors.Is(err, ErrShredded) && in.classes.scheme != schemeSite {
			data[i] = share.HourKey{}
		} else if err != nil {
			return nil, fmt.Errorf("stream %d %s key: %w", in.slot, x.name, err)
		}
	}
	site, err := r.siteKey(hour)
	if err != nil {
		return nil, err
	}
	k := newHourKeys(in.slot, in.classes, hour, site, env, data, incarnation)
	if len(r.keys) > 4096 {
		clear(r.keys)
	}
	r.keys[id] = k
	return k, nil
}

// cursor keeps a cursor for each of the compartments that were read last, so that
// the next quarter hour's key costs little.
func (r *reader) cursor(compartment uint32) *share.Cursor {
	c := r.curs[compartment]
	if c == nil {
		if len(r.curs) >= maxCursors {
			clear(r.curs)
		}
		c = r.s.cursor(compartment)
		r.curs[compartment] = c
	}
	return c
}

// maxCursors bounds those kept: each holds a path of keys, under a kilobyte.
const maxCursors = 4096

func (r *reader) siteKey(hour share.Hour) (share.HourKey, error) {
	k, err := r.cursor(share.Site).Hour(hour)
	if err != nil {
		return k, fmt.Errorf("site key: %w", err)
	}
	return k, nil
}

// ledgerKeys are the keys and incarnation under which a window's header hides.
func (r *reader) ledgerKeys(w *window) (site, led share.HourKey, inc [16]byte, err error) {
	if inc, err = r.s.start(w.Start); err != nil {
		return
	}
	if site, err = r.siteKey(w.hour()); err != nil {
		return
	}
	led, err = r.cursor(share.Ledger).Hour(w.hour())
	return
}

// complete fills in what follows from the frame: it makes the frame again.
func (r *reader) complete(st *stored) error {
	wire, err := r.frameOf(st)
	if err != nil || wire == nil {
		return err
	}
	st.Frame, st.HasFrame = merkle.Hash(sha256.Sum256(wire)), true
	return nil
}

func (r *reader) frameOf(st *stored) ([]byte, error) {
	in := &r.v.streams[st.slot]
	var opener *frame.Opener
	var id frame.ID
	if st.form.kind == evidenceReseal || st.form.kind == evidenceBody {
		var err error
		if opener, id, err = r.s.opener(r.v, in, st); err != nil {
			return nil, err
		}
	}
	return resealed(st, id, opener)
}

// leaf computes a reading's leaf again, from its fields up.
func (r *reader) leaf(in *streamInfo, h *reading.Hasher, st *stored) (merkle.Hash, error) {
	if st.left != nil {
		return r.leftLeaf(in, st)
	}
	if err := r.complete(st); err != nil {
		return noHash, err
	}
	k, err := r.hourKeysOf(in, st)
	if err != nil {
		return noHash, err
	}
	return reading.EntryLeaf(in.tag, st.Sequence, h.Root(&st.Reading, k.of(st))), nil
}

// openRecordWith opens a record with a reader's keys.
func (s *Store) openRecordWith(r *reader, rec *record, site share.HourKey, hour share.Hour) (all [][]stored, rest []byte, err error) {
	return s.openRecord(rec, site, func(slot uint64) (streamInfo, *hourKeys, error) {
		if slot >= uint64(len(r.v.streams)) {
			return streamInfo{}, nil, fmt.Errorf("%w: commit %d has readings of unknown stream %d", ErrDamaged, rec.number, slot)
		}
		k, err := r.hourKeys(&r.v.streams[slot], hour, [16]byte{})
		return r.v.streams[slot], k, err
	})
}

// opener finds the cipher and id for a reading's frame.
func (s *Store) opener(v *view, in *streamInfo, st *stored) (*frame.Opener, frame.ID, error) {
	id, err := frame.ParseID(st.Device)
	if err != nil {
		return nil, id, fmt.Errorf("%w: device of stream %d: %w", ErrDamaged, in.slot, err)
	}
	at := openerKey{in.device, st.form.epoch}
	if o, ok := s.openers.Load(at); ok {
		return o.(*frame.Opener), id, nil
	}
	key, ok := s.DeviceKey(in.device, st.form.epoch)
	if !ok {
		return nil, id, fmt.Errorf("key %d of device %d is not in the keyring", st.form.epoch, in.device)
	}
	o, err := frame.NewOpener(key)
	if err != nil {
		return nil, id, err
	}
	s.openers.Store(at, o)
	return o, id, nil
}

type openerKey struct{ device, epoch uint32 }
