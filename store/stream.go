package store

import (
	"context"
	"fmt"
)

// Stream is the readings of one binding: its batches are those from Opened on,
// up to ClosedBy if it is closed. A clock that is set back ends all streams, so
// the windows of one stream never go back.
type Stream struct {
	Slot             uint64
	Device           uint32 // number
	Tag              [12]byte
	Opened, ClosedBy uint64 // first and last batch with a summary of it
	Closed           bool   // ClosedBy counts
	Late             bool   // readings that came by another way, afterwards: see OpenLate
}

// Streams lists the streams of a device, all that it ever had, in order.
func (s *Store) Streams(device uint32) []Stream {
	var out []Stream
	for _, x := range s.AllStreams() {
		if x.Device == device {
			out = append(out, x)
		}
	}
	return out
}

// AllStreams lists all streams of the ledger by slot.
func (s *Store) AllStreams() []Stream {
	v := s.view.Load()
	out := make([]Stream, len(v.streams))
	for i := range v.streams {
		in := &v.streams[i]
		out[i] = Stream{Slot: in.slot, Device: in.device, Tag: in.tag, Opened: in.opened, ClosedBy: in.closedBy, Closed: in.closed, Late: in.late}
	}
	return out
}

// RunOf says which batch holds a reading, and the numbers [first, next) of the
// stream's readings in it. ErrNotBatched: its window is still open; ErrNotFound:
// there is no such reading.
func (s *Store) RunOf(slot, seq uint64) (batch, first, next uint64, err error) {
	r := s.reader()
	defer r.close()
	in, err := r.stream(slot)
	if err == nil {
		var run *runRow
		if run, err = r.closedRun(in, seq); err == nil {
			return run.batch, run.first, run.next, nil
		}
	}
	return 0, 0, 0, fmt.Errorf("reading %d of stream %d: %w", seq, slot, err)
}

func (r *reader) stream(slot uint64) (*streamInfo, error) {
	if slot >= uint64(len(r.v.streams)) {
		return nil, ErrNotFound
	}
	return &r.v.streams[slot], nil
}

// closedRun finds the closed run that holds a reading, or says why there is none.
func (r *reader) closedRun(in *streamInfo, seq uint64) (*runRow, error) {
	run, err := r.runOf(in, seq)
	if run != nil || err != nil {
		return run, err
	}
	if open, err := r.nextRun(in, r.v.size); err != nil || open == nil || seq >= open.next {
		if err == nil {
			err = ErrNotFound
		}
		return nil, err
	}
	return nil, ErrNotBatched
}

// Span gives a closed batch's window, in Unix milliseconds.
func (s *Store) Span(index uint64) (from, to int64, err error) {
	r := s.reader()
	defer r.close()
	w, err := r.closedWindow(index)
	if err != nil {
		return 0, 0, err
	}
	return w.From, w.To, nil
}

func (r *reader) closedWindow(batch uint64) (*window, error) {
	if batch >= r.v.size {
		return nil, fmt.Errorf("window of batch %d: there are %d: %w", batch, r.v.size, ErrNotFound)
	}
	return r.s.windowOf(r.snap, &r.v.state, batch)
}

// BatchAt finds the first closed batch whose window ends after a time (Unix ms),
// by bisection: it does, and the batch before it, if any, does not. ErrNotFound:
// none does yet. Where the clock was set back there may be several such batches,
// one on each side; BatchAtIn says which of the two is meant.
func (s *Store) BatchAt(ms int64) (uint64, error) {
	r := s.reader()
	defer r.close()
	return r.firstEnding(ms, 0, r.v.size)
}

// BatchAtIn is BatchAt among the closed batches that have a summary of a stream,
// whose windows never go back. ErrNotFound: none of them ends after that time,
// as the stream was closed before or the batch is not closed yet; or there is no
// such stream.
func (s *Store) BatchAtIn(slot uint64, ms int64) (uint64, error) {
	r := s.reader()
	defer r.close()
	in, err := r.stream(slot)
	if err != nil {
		return 0, fmt.Errorf("stream %d: %w", slot, err)
	}
	end := r.v.size
	if in.closed {
		end = min(end, in.closedBy+1)
	}
	batch, err := r.firstEnding(ms, in.opened, end)
	if err != nil {
		return 0, fmt.Errorf("stream %d: %w", slot, err)
	}
	return batch, nil
}

// firstEnding finds the first of the batches [lo, hi) whose window ends after ms.
func (r *reader) firstEnding(ms int64, lo, hi uint64) (uint64, error) {
	for end := hi; ; {
		if lo >= hi {
			if lo >= end {
				return 0, fmt.Errorf("no batch ends after %d: %w", ms, ErrNotFound)
			}
			return lo, nil
		}
		mid := lo + (hi-lo)/2
		w, err := r.closedWindow(mid)
		if err != nil {
			return 0, err
		}
		if w.To <= ms {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
}

// Deficits finds the closed batches in (a, b] whose window does not begin where
// the one before ended, or is longer than one, ascending. It compares spans with
// the number of batches and halves those that do not agree, so it costs the
// logarithm of b-a for each that it finds. The windows from a to b must be of
// one clock, as those of one stream are: else times may cancel out.
func (s *Store) Deficits(ctx context.Context, a, b uint64) ([]uint64, error) {
	r := s.reader()
	defer r.close()
	if a > b {
		return nil, fmt.Errorf("batches after %d up to %d: %w", a, b, ErrNotFound)
	}
	to, err := r.endOf(a)
	if err != nil {
		return nil, err
	}
	end, err := r.endOf(b)
	if err != nil {
		return nil, err
	}
	d := deficits{r: r, ctx: ctx, span: r.windowSpan()}
	err = d.search(a, b, to, end)
	return d.found, err
}

func (r *reader) endOf(batch uint64) (int64, error) {
	w, err := r.closedWindow(batch)
	if err != nil {
		return 0, err
	}
	return w.To, nil
}

// windowSpan is how long a window is, which stays as the ledger began with.
func (r *reader) windowSpan() int64 {
	if w := &r.v.state.Open; w.Missed == 0 {
		return w.To - w.From
	}
	return r.s.window
}

type deficits struct {
	r     *reader
	ctx   context.Context
	span  int64
	found []uint64
}

// search looks in (a, b], whose windows end at to and end. Each batch takes one
// window at least, so the sum is as small as can be only if each takes just one.
func (d *deficits) search(a, b uint64, to, end int64) error {
	if end-to == int64(b-a)*d.span {
		return nil
	}
	if b-a == 1 {
		d.found = append(d.found, b)
		return nil
	}
	if err := d.ctx.Err(); err != nil {
		return err
	}
	mid := a + (b-a)/2
	middle, err := d.r.endOf(mid)
	if err != nil {
		return err
	}
	if err := d.search(a, mid, to, middle); err != nil {
		return err
	}
	return d.search(mid, b, middle, end)
}
