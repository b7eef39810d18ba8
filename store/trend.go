package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"cairn/store/share"
)

// TrendQuery asks how a measurement of a stream went.
type TrendQuery struct {
	Slot     uint64
	Field    string // name of the measurement
	From, To int64  // received in [From, To), Unix ms; of a late stream, measured
	Points   int    // at most so many; 1 to 10,000
}

// Trend is what a chart shows: as floating point numbers, which are near enough to be
// drawn, and no evidence.
type Trend struct {
	Unit   string // of the newest of them
	Width  int64  // ms that one point stands for
	Points []TrendPoint
	Gone   []TrendSpan // what was shredded or dropped, ascending
	Read   int         // readings that had it
}

// TrendPoint stands for the readings of a span that has some.
type TrendPoint struct {
	From          int64 // Unix ms; it ends Width later
	N             uint64
	Min, Max, Sum float64
}

// TrendSpan is a time of which nothing is left.
type TrendSpan struct {
	From, To int64 // Unix ms
	Why      error // ErrShredded or ErrDropped
}

const maxTrend = 10_000

// Trend reads a measurement of a time. Points are as wide as they must be, and where
// they can be, whole quarter hours, of which then no more is opened than the
// compartment of the measurement. ErrNotFound: there is no such stream.
func (s *Store) Trend(ctx context.Context, q TrendQuery) (Trend, error) {
	if q.Points < 1 || q.Points > maxTrend || q.From < 0 || q.To <= q.From {
		return Trend{}, fmt.Errorf("%w: a trend has a time, and 1 to %d points", ErrRefused, maxTrend)
	}
	r := s.reader()
	defer r.close()
	in, err := r.stream(q.Slot)
	if err != nil {
		return Trend{}, fmt.Errorf("stream %d: %w", q.Slot, err)
	}
	t := newTrend(&q, in)
	parts, next, err := r.trendParts(in, &t)
	if err == nil {
		err = t.sealed(ctx, s, in, parts)
	}
	if err == nil {
		err = t.rest(ctx, r, in, next)
	}
	if err != nil {
		return Trend{}, fmt.Errorf("stream %d: %w", q.Slot, err)
	}
	return t.out(), nil
}

// trend gathers a Trend; each worker has one of its own.
type trend struct {
	q     *TrendQuery
	class int   // of the measurement, in the stream's list
	base  int64 // where the first point begins
	width int64
	late  bool
	at    map[int64]*TrendPoint
	unit  string
	last  int64 // time of the newest that unit is of
	read  int
	gone  []TrendSpan
}

func newTrend(q *TrendQuery, in *streamInfo) trend {
	t := trend{q: q, class: in.classes.of(q.Field), base: q.From, late: in.late, at: map[int64]*TrendPoint{}}
	points := int64(q.Points)
	t.width = max((q.To-q.From+points-1)/points, 1)
	if t.width > hourMs {
		t.base -= t.base % hourMs
		t.width = (q.To - t.base + points - 1) / points
		t.width += (hourMs - t.width%hourMs) % hourMs
	}
	return t
}

// hourMs is a quarter hour.
const hourMs = 15 * 60 * 1000

// whole says whether all of a quarter hour falls into one point.
func (t *trend) whole(h share.Hour) bool {
	return !t.late && t.width%hourMs == 0 && h.Start() >= t.q.From && h.End() <= t.q.To
}

func (t *trend) add(ms int64, v float64) {
	if ms < t.q.From || ms >= t.q.To {
		return
	}
	i := (ms - t.base) / t.width
	p := t.at[i]
	if p == nil {
		p = &TrendPoint{From: t.base + i*t.width, Min: v, Max: v}
		t.at[i] = p
	}
	p.N++
	p.Min, p.Max, p.Sum = min(p.Min, v), max(p.Max, v), p.Sum+v
	t.read++
}

func (t *trend) named(ms int64, unit string) {
	if ms >= t.last {
		t.last, t.unit = ms, unit
	}
}

// join takes in what another worker gathered.
func (t *trend) join(o *trend) {
	for i, p := range o.at {
		have := t.at[i]
		if have == nil {
			t.at[i] = p
			continue
		}
		have.N += p.N
		have.Min, have.Max, have.Sum = min(have.Min, p.Min), max(have.Max, p.Max), have.Sum+p.Sum
	}
	if o.unit != "" {
		t.named(o.last, o.unit)
	}
	t.read += o.read
	t.gone = append(t.gone, o.gone...)
}

func (t *trend) out() Trend {
	out := Trend{Unit: t.unit, Width: t.width, Points: make([]TrendPoint, 0, len(t.at)), Read: t.read}
	for _, p := range t.at {
		out.Points = append(out.Points, *p)
	}
	slices.SortFunc(out.Points, func(a, b TrendPoint) int { return int(min(max(a.From-b.From, -1), 1)) })
	slices.SortFunc(t.gone, func(a, b TrendSpan) int { return int(min(max(a.From-b.From, -1), 1)) })
	for _, g := range t.gone {
		if n := len(out.Gone) - 1; n >= 0 && out.Gone[n].To >= g.From && out.Gone[n].Why == g.Why {
			out.Gone[n].To = max(out.Gone[n].To, g.To)
			continue
		}
		out.Gone = append(out.Gone, g)
	}
	return out
}

// trendParts lists the sealed stretches that may have something of the time, and the
// number of the first reading that is not sealed.
func (r *reader) trendParts(in *streamInfo, t *trend) (parts []indexed, next uint64, err error) {
	from, to := uint32(t.q.From/hourMs), uint32(min((t.q.To-1)/hourMs, math.MaxUint32))
	prefix := r.s.keys.u64(kindIndex, in.slot)
	err = each(r.snap, prefix, after(prefix), func(key, val []byte) (bool, error) {
		x := indexed{slot: in.slot, first: binary.BigEndian.Uint64(suffix(key)[8:])}
		if err := decodeRow(nil, key, val, &x.row); err != nil {
			return false, err
		}
		next = x.first + uint64(x.row.Count)
		if t.late || x.row.Hour >= from && x.row.Hour <= to {
			parts = append(parts, x)
		}
		return true, nil
	})
	return parts, next, err
}

// sealed reads sealed stretches on all cores, each its share of them in a row.
func (t *trend) sealed(ctx context.Context, s *Store, in *streamInfo, parts []indexed) error {
	workers := min(runtime.GOMAXPROCS(0), (len(parts)+63)/64)
	all, errs := make([]trend, workers), make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		all[w] = newTrend(t.q, in)
		mine := parts[w*len(parts)/workers : (w+1)*len(parts)/workers]
		wg.Go(func() {
			errs[w] = all[w].parts(ctx, s, in, mine)
		})
	}
	wg.Wait()
	for w := range all {
		t.join(&all[w])
	}
	return errors.Join(errs...)
}

// parts reads one stretch after the other, by iterators that go forward with them: to
// look each up by itself would take most of the time.
func (t *trend) parts(ctx context.Context, s *Store, in *streamInfo, mine []indexed) error {
	r := &trendReader{reader: s.reader()}
	defer r.close()
	for _, x := range []struct {
		it   **pebble.Iterator
		kind byte
	}{{&r.segments, kindSegment}, {&r.groups, kindHour}} {
		prefix := s.keys.key(x.kind)
		it, err := r.snap.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
		if err != nil {
			return err
		}
		defer it.Close()
		*x.it = it
	}
	for i := range mine {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.part(r, in, &mine[i]); err != nil {
			return err
		}
	}
	return nil
}

// trendReader is a reader with iterators over segments and groups.
type trendReader struct {
	*reader
	segments, groups *pebble.Iterator
}

// part reads one stretch: of one that falls into one point the values alone.
func (t *trend) part(r *trendReader, in *streamInfo, x *indexed) error {
	hour := share.Hour(x.row.Hour)
	times, err := t.times(r, in, x)
	var block []byte
	if err == nil {
		key := segmentKey{Hour: x.row.Hour, First: x.row.Batch, Compartment: in.classes.list[t.class].compartment, Part: x.row.Part}
		block, err = r.openTrend(in, key)
	}
	for _, why := range []error{ErrShredded, ErrDropped} {
		if errors.Is(err, why) {
			t.gone = append(t.gone, TrendSpan{hour.Start(), hour.End(), why})
			return nil
		}
	}
	if err != nil {
		return err
	}
	start := hour.Start()
	return eachNumber(block, in.classes.scheme, int(x.row.Count), t.q.Field, func(at int, unit string, v float64) {
		ms := start
		if times != nil {
			ms = times[at]
		}
		t.add(ms, v)
		t.named(ms, unit)
	})
}

// times are those of a stretch's readings; nil where all are of one point.
func (t *trend) times(r *trendReader, in *streamInfo, x *indexed) ([]int64, error) {
	if t.whole(share.Hour(x.row.Hour)) {
		return nil, nil
	}
	block, err := r.openTrend(in, segmentKey{Hour: x.row.Hour, First: x.row.Batch, Compartment: in.envelope, Part: x.row.Part})
	if err != nil {
		return nil, err
	}
	all, err := decodeEnvelope(in.slot, block, 1, maxColumns)
	if err == nil && len(all) != int(x.row.Count) {
		err = errColumns
	}
	if err != nil {
		return nil, fmt.Errorf("%w: segment of stream %d: %w", ErrDamaged, in.slot, err)
	}
	times := make([]int64, len(all))
	for i := range all {
		times[i] = t.timeOf(&all[i])
	}
	return times, nil
}

func (t *trend) timeOf(st *stored) int64 {
	if t.late && st.HasMeasured {
		return st.Measured
	}
	return st.Received
}

// openTrend opens a stream's block of one compartment.
func (r *trendReader) openTrend(in *streamInfo, key segmentKey) ([]byte, error) {
	hour := share.Hour(key.Hour)
	if err := r.notDropped(hour, key.First); err != nil {
		return nil, err
	}
	k, err := r.cursor(key.Compartment).Hour(hour)
	if err != nil {
		return nil, err
	}
	if r.group.first != key.First || r.group.row.Next == 0 {
		at := r.s.keys.u64(kindHour, key.First)
		if r.groups.SeekGE(at) && bytes.Equal(r.groups.Key(), at) {
			if r.group.first, r.group.row, err = hourAt(r.groups); err != nil {
				return nil, err
			}
		}
	}
	row := r.s.keys.segment(key)
	if !r.segments.SeekGE(row) || !bytes.Equal(r.segments.Key(), row) {
		return r.openSegment(k, key, in.slot) // which says what is wrong
	}
	val, err := r.segments.ValueAndErr()
	if err != nil {
		return nil, err
	}
	content, err := r.openContentOf(k, key, val)
	if err != nil {
		return nil, err
	}
	return blockOf(content, key, in.slot)
}

// rest reads what is not sealed yet.
func (t *trend) rest(ctx context.Context, r *reader, in *streamInfo, next uint64) error {
	from, to := t.q.From, t.q.To
	if t.late {
		from, to = 0, math.MaxInt64
	}
	if next > 0 { // sealed windows are passed over by their time
		w, err := r.s.windowOf(r.snap, &r.v.state, min(r.v.state.SealFrom, r.v.size))
		if err != nil {
			return err
		}
		from = max(from, w.From)
	}
	_, err := r.query(ctx, in, from, to, func(f *Found) (bool, error) {
		if f.Sequence < next {
			return true, nil
		}
		for i := range f.Measurements {
			m := &f.Measurements[i]
			if v, ok := m.Value.Float(); ok && m.Name == t.q.Field {
				ms := f.Received
				if t.late && f.HasMeasured {
					ms = f.Measured
				}
				t.add(ms, v)
				t.named(ms, m.Unit)
			}
		}
		return true, nil
	})
	return err
}

// eachNumber shows the numbers under one name in a data block of n readings, with the
// place of each among them.
func eachNumber(b []byte, scheme byte, n int, name string, show func(at int, unit string, v float64)) error {
	c := cursor{b: b}
	if _, got, err := c.head("data", 0, maxColumns); err != nil || got != n {
		return fmt.Errorf("%w: data: %w", ErrDamaged, errColumns)
	}
	schemas := make([][]column, c.count())
	for i := range schemas {
		schemas[i] = c.schema(scheme)
	}
	last := make([]int64, shareLast(schemas))
	at := 0
	for _, run := range c.runs(len(schemas), n) {
		s := schemas[run.id]
		if scheme == schemeSite {
			clear(last)
		}
		for range run.n {
			for j := range s {
				v := c.value(s[j].kind, &last[s[j].last])
				if s[j].name != name {
					continue
				}
				if f, ok := v.Float(); ok {
					show(at, s[j].unit, f)
				}
			}
			if c.err != nil {
				break
			}
			at++
		}
	}
	if c.err != nil || len(c.b) != 0 {
		return fmt.Errorf("%w: data: %w", ErrDamaged, errColumns)
	}
	return nil
}
