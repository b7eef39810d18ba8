package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"cairn/merkle/ledger"
	"cairn/store/share"
)

// ErrDropped is in errors about readings that the site keeps no longer, as mirrors
// do: their text says since when, and which.
var ErrDropped = errors.New("dropped here")

// DropOptions say what to drop.
type DropOptions struct {
	Before share.Hour // hours below it; all must be sealed
	// Next is the batch after the last of which the mirrors were asked. What is sealed
	// of those hours beyond it nobody has shown, so then nothing is dropped.
	Next uint64
	// Mirrors are the names of those who hold all of it, one at least. That they do,
	// and that the batches are anchored for good, is for the caller to find out.
	Mirrors  []string
	Progress func(string) // is told each step; may be nil
}

// DropReport is what was dropped.
type DropReport struct {
	Statement uint64     `json:"statement"` // number of the dropped statement
	Before    share.Hour `json:"before"`
	Readings  uint64     `json:"readings"`
	Objects   uint64     `json:"objects"` // whose content went
	Bytes     uint64     `json:"bytes"`   // of them
}

// dropRow is the row D: the newest drop.
type dropRow struct {
	_         struct{} `cbor:",toarray"`
	Statement uint64
	Before    uint32
	Next      uint64 // as DropOptions has it
	At        int64  // ms
	Mirrors   []string
	Through   bool // its contents are deleted
}

// Drop deletes the contents of all streams' sealed quarter hours below a time. The
// keys stay, and what proves all else: record roots and summaries, in rows X as for
// a shredded envelope, the log, headers, statements, trees, and the SHA-256 of each
// object. The steps, each durable before the next:
//
//  1. the rows X are written
//  2. the statement is recorded, and with it the row D
//  3. the contents are deleted, the tables compacted, and the row D says so
//
// After a crash between 2 and 3 the next start goes on. ErrRefused: there are no
// mirrors, nothing to drop, quarter hours that were sealed since the mirrors were
// asked, or streams and quarter hours of an earlier format; ErrNotSealed.
func (s *Store) Drop(ctx context.Context, o DropOptions) (DropReport, error) {
	s.shredding.Lock()
	defer s.shredding.Unlock()
	s.taken.Add(1)
	if err := s.refusal(); err != nil && !errors.Is(err, ErrDiskFull) {
		return DropReport{}, err
	}
	if err := s.finishDrop(ctx); err != nil {
		return DropReport{}, fmt.Errorf("an earlier drop: %w", err)
	}
	if err := s.finishShred(ctx, o.Progress); err != nil {
		return DropReport{}, fmt.Errorf("an earlier shredding: %w", err)
	}
	names, err := s.droppable(&o)
	if err != nil {
		return DropReport{}, fmt.Errorf("drop: %w", err)
	}
	d := s.dropper(ctx, o.Before, o.Next)
	d.tell = o.Progress
	row := dropRow{Before: uint32(o.Before), Next: o.Next, Mirrors: o.Mirrors}
	if err := d.beginDrop(&row, names); err != nil {
		return DropReport{}, fmt.Errorf("drop: %w", err)
	}
	if err := d.goOnDrop(row); err != nil {
		return DropReport{}, fmt.Errorf("drop: it has begun, and the next start goes on with it: %w", err)
	}
	return DropReport{Statement: row.Statement, Before: o.Before, Readings: d.readings, Objects: d.objects, Bytes: d.bytes}, nil
}

// droppable checks what to drop, and names its compartments.
func (s *Store) droppable(o *DropOptions) (names []string, err error) {
	if len(o.Mirrors) == 0 || o.Before == 0 || o.Before >= share.Hours {
		return nil, fmt.Errorf("%w: no mirror or no time", ErrRefused)
	}
	r := s.reader()
	defer r.close()
	was, err := r.drop()
	if err == nil && was.before() >= o.Before {
		err = fmt.Errorf("%w: %w", ErrRefused, was.err())
	}
	if err != nil {
		return nil, err
	}
	for i := range r.v.streams {
		in := &r.v.streams[i]
		if in.classes.scheme == schemeSite {
			return nil, fmt.Errorf("%w: stream %d began before compartments were set apart", ErrRefused, in.slot)
		}
		for _, id := range in.all() {
			if c, ok := s.opt.Keyring.Compartment(id); ok {
				names = append(names, c.Name)
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: there are no streams", ErrRefused)
	}
	if err := r.allObjects(o.Before); err != nil {
		return nil, err
	}
	return names, r.allSealed(o.Before)
}

// allShown makes sure that all that is to go was there when the mirrors were asked.
func (s *Store) allShown(row *dropRow) error {
	r := s.reader()
	defer r.close()
	if err := r.allSealed(row.before()); err != nil {
		return err
	}
	return r.groupsBefore(row.before(), func(first uint64, h *hourRow) error {
		if h.Next > row.Next {
			return fmt.Errorf("%w: batches %d to %d were sealed since the mirrors were asked, about those before %d: ask again", ErrRefused, first, h.Next-1, row.Next)
		}
		return nil
	})
}

// allObjects makes sure that there are objects of all groups below before.
func (r *reader) allObjects(before share.Hour) error {
	k := r.s.keys.key(kindHour)
	return each(r.snap, k, after(k), func(key, val []byte) (bool, error) {
		row, err := decodeHour(key, val)
		if err == nil && share.Hour(row.Hour) < before && !row.objects() {
			err = fmt.Errorf("%w: %w", ErrRefused, ErrOldGroup)
		}
		return err == nil, err
	})
}

// dropper goes through the steps with what a shredding does of all streams that have
// batches before next: those that began since, after a clock that was ahead, may have
// hours before that one too.
func (s *Store) dropper(ctx context.Context, before share.Hour, next uint64) *shredder {
	d := &shredder{s: s, ctx: ctx, row: shredRow{Before: uint32(before)}}
	v := s.view.Load()
	for i := range v.streams {
		if v.streams[i].opened < next {
			d.row.Compartments = append(d.row.Compartments, v.streams[i].all()...)
		}
	}
	return d
}

// beginDrop takes steps 1 and 2.
func (d *shredder) beginDrop(row *dropRow, names []string) error {
	d.s.sealing.Lock()
	defer d.s.sealing.Unlock()
	if err := d.s.allShown(row); err != nil { // nothing more is sealed from here on
		return err
	}
	d.say("keep what proves the readings that are left")
	if err := d.keep(); err != nil {
		return err
	}
	d.say("record the statement")
	return d.s.change(d.ctx, func(c *committer, b *pebble.Batch, now int64) error {
		row.Statement, row.At = c.stTree.Size(), now
		st := ledger.Dropped{Before: row.before().Start(), Compartments: names, Mirrors: row.Mirrors}.Statement(now)
		if err := st.Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if err := c.appendStatement(b, st); err != nil {
			return err
		}
		return d.s.putRow(b, d.s.keys.key(kindDrop), row, true)
	})
}

// goOnDrop takes step 3.
func (d *shredder) goOnDrop(row dropRow) error {
	d.say("delete what was dropped")
	if err := d.delete(); err != nil {
		return err
	}
	if err := d.deleteSite(row.Next); err != nil {
		return err
	}
	d.say("compact")
	if err := d.s.db.Compact(d.ctx, d.s.keys.id[:], after(d.s.keys.id[:]), false); err != nil {
		if d.ctx.Err() == nil {
			d.s.die(fmt.Errorf("compact: %w", err)) // it may have begun another log, and failed
		}
		return fmt.Errorf("compact: %w", err)
	}
	row.Through = true
	return d.s.change(d.ctx, func(c *committer, b *pebble.Batch, _ int64) error {
		return d.s.putRow(b, d.s.keys.key(kindDrop), row, true)
	})
}

// deleteSite deletes the evidence that goes with the readings of batches before next.
func (d *shredder) deleteSite(next uint64) error {
	r := d.s.reader()
	defer r.close()
	b := d.s.db.NewBatch()
	err := r.groupsBefore(share.Hour(d.row.Before), func(first uint64, row *hourRow) error {
		if first >= next {
			return nil
		}
		if err := d.deleteSegments(r, b, row.Hour, first, share.Site); err != nil || b.Len() < keptBytes {
			return err
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

// finishDrop goes on with a drop that had begun.
func (s *Store) finishDrop(ctx context.Context) error {
	r := s.reader()
	row, err := r.drop()
	r.close()
	if err != nil || row.Before == 0 || row.Through {
		return err
	}
	return s.dropper(ctx, row.before(), row.Next).goOnDrop(*row)
}

// drop gives the row D as the reader's snapshot has it; one of zeros if nothing
// was dropped.
func (r *reader) drop() (*dropRow, error) {
	if r.dropped == nil {
		x := new(dropRow)
		if err := row(r.snap, r.s.local, r.s.keys.key(kindDrop), x); err != nil && !errors.Is(err, pebble.ErrNotFound) {
			return nil, err
		}
		r.dropped = x
	}
	return r.dropped, nil
}

func (d *dropRow) before() share.Hour { return share.Hour(d.Before) }

func (d *dropRow) err() error {
	return fmt.Errorf("%w, what came before %s, on %s: held by %s", ErrDropped, clockText(d.before().Start()), clockText(d.At), strings.Join(d.Mirrors, ", "))
}

// notDropped fails with ErrDropped for a batch, of that hour, that was.
func (r *reader) notDropped(hour share.Hour, batch uint64) error {
	d, err := r.drop()
	if err == nil && hour < d.before() && batch < d.Next {
		err = d.err()
	}
	return err
}

// goneBefore gives the first hour that a stream still has readings of. Where the clock
// was ahead when something was dropped, and was put back, all streams began anew: what
// they have of hours before that time came after it.
func (r *reader) goneBefore(in *streamInfo) (share.Hour, error) {
	d, err := r.drop()
	if err != nil {
		return 0, err
	}
	if in.opened >= d.Next {
		return r.shreddedBefore(in.envelope), nil
	}
	return max(r.shreddedBefore(in.envelope), d.before()), nil
}

// Dropped is what the site keeps no longer. The zero Dropped: it has all.
type Dropped struct {
	Before  share.Hour // hours below it
	Next    uint64     // of batches before it
	At      int64      // when it went, Unix ms
	Mirrors []string   // who showed that they hold it
}

// Dropped says what the site has dropped.
func (s *Store) Dropped() (Dropped, error) {
	r := s.reader()
	defer r.close()
	d, err := r.drop()
	if err != nil {
		return Dropped{}, err
	}
	return Dropped{d.before(), d.Next, d.At, d.Mirrors}, nil
}

// dropCheck holds the row D against its statement.
func (f *fsck) dropCheck() error {
	d, err := f.drop()
	if err != nil || d.Before == 0 {
		return err
	}
	if d.Statement >= f.v.state.Statements {
		return nil // recorded since the view was taken
	}
	st, err := f.statement(d.Statement)
	if err != nil {
		return err
	}
	said, err := ledger.DroppedFrom(st)
	if err != nil || said.Before != d.before().Start() {
		f.find("what came before %s was dropped, and statement %d does not say so", clockText(d.before().Start()), d.Statement)
	}
	return nil
}
