package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// history is what the closed windows hold, put together reading by reading from
// evidence that verify has checked up to the log.
type history struct {
	headers []ledger.Header
	streams []streamHistory
}

type streamHistory struct {
	Stream
	all    []*Evidence
	leaves merkle.Leaves // of the stream's tree
}

// history goes on from an earlier one: what was evidence then must be shown alike
// now.
func (x *site) history(t *testing.T, old *history) *history {
	t.Helper()
	h := new(history)
	for _, b := range x.batches() {
		h.headers = append(h.headers, b.Header)
	}
	for _, in := range x.s.AllStreams() {
		s := streamHistory{Stream: in}
		if n := len(h.streams); n < len(old.streams) {
			s.all, s.leaves = old.streams[n].all, old.streams[n].leaves
		}
		for seq := uint64(len(s.all)); ; seq++ {
			e, err := x.s.Evidence(in.Slot, seq)
			if errors.Is(err, ErrNotFound) || errors.Is(err, ErrNotBatched) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			verify(t, x, e)
			s.all = append(s.all, e)
			s.leaves = append(s.leaves, reading.EntryLeaf(e.Tag, seq, merkle.RootOf(e.Leaves)))
		}
		h.streams = append(h.streams, s)
	}
	return h
}

// checkRanges holds everything that a range's proof is made of against a plain
// recomputation from single readings.
func (x *site) checkRanges(t *testing.T, old *history) *history {
	t.Helper()
	h := x.history(t, old)
	h.checkWindows(t, x)
	for i := range h.streams {
		s := &h.streams[i]
		h.checkSummaries(t, x, s)
		s.checkPeaks(t, x)
		s.checkShown(t, x)
	}
	return h
}

func (h *history) checkWindows(t *testing.T, x *site) {
	t.Helper()
	for i, b := range h.headers {
		if from, to, err := x.s.Span(uint64(i)); err != nil || from != b.From || to != b.To {
			t.Errorf("window of batch %d: %d to %d, %v; the header says %d to %d", i, from, to, err, b.From, b.To)
		}
	}
	size := uint64(len(h.headers))
	if _, _, err := x.s.Span(size); !errors.Is(err, ErrNotFound) {
		t.Errorf("window of the open batch: %v, want ErrNotFound", err)
	}
	for _, b := range h.headers {
		for _, ms := range []int64{b.From - 1, b.From, b.To - 1, b.To} {
			h.checkBatchAt(t, x, ms)
		}
	}
	h.checkBatchAt(t, x, math.MinInt64)
	h.checkBatchAt(t, x, math.MaxInt64)
	for i := range h.streams {
		h.checkDeficits(t, x, &h.streams[i])
	}
}

func (h *history) checkBatchAt(t *testing.T, x *site, ms int64) {
	t.Helper()
	got, err := x.s.BatchAt(ms)
	switch n := len(h.headers); {
	case errors.Is(err, ErrNotFound):
		if n > 0 && h.headers[n-1].To > ms {
			t.Errorf("no batch ends after %d, but the newest does", ms)
		}
	case err != nil:
		t.Fatal(err)
	case h.headers[got].To <= ms, got > 0 && h.headers[got-1].To > ms:
		t.Errorf("batch %d at %d: it ends at %d, the one before at %d", got, ms, h.headers[got].To, h.headers[got-1].To)
	}
	for i := range h.streams {
		s := &h.streams[i]
		want, found := s.first(h, func(b *ledger.Header) bool { return b.To > ms })
		got, err := x.s.BatchAtIn(s.Slot, ms)
		if found != (err == nil) || found && got != want || err != nil && !errors.Is(err, ErrNotFound) {
			t.Errorf("stream %d at %d: batch %d, %v; want %d, %v", s.Slot, ms, got, err, want, found)
		}
	}
}

// closed bounds the closed batches with a summary of the stream.
func (s *streamHistory) closed(h *history) (from, to uint64) {
	if to = uint64(len(h.headers)); s.Closed {
		to = s.ClosedBy + 1
	}
	return s.Opened, to
}

func (s *streamHistory) first(h *history, is func(*ledger.Header) bool) (uint64, bool) {
	from, to := s.closed(h)
	for i := from; i < to; i++ {
		if is(&h.headers[i]) {
			return i, true
		}
	}
	return 0, false
}

func (h *history) checkDeficits(t *testing.T, x *site, s *streamHistory) {
	t.Helper()
	from, to := s.closed(h)
	if from >= to {
		return
	}
	var want []uint64
	for i := from + 1; i < to; i++ {
		if b := h.headers[i]; b.From != h.headers[i-1].To || b.To-b.From != time.Minute.Milliseconds() {
			want = append(want, i)
		}
	}
	for _, at := range [][2]uint64{{from, to - 1}, {from, from}, {from + (to-1-from)/3, to - 1}, {to - 1, to - 1}} {
		some := slices.DeleteFunc(slices.Clone(want), func(i uint64) bool { return i <= at[0] || i > at[1] })
		got, err := x.s.Deficits(context.Background(), at[0], at[1])
		if err != nil || !slices.Equal(got, some) {
			t.Errorf("deficits in %v: %v, %v; want %v", at, got, err, some)
		}
	}
}

func (h *history) checkSummaries(t *testing.T, x *site, s *streamHistory) {
	t.Helper()
	from, to := s.closed(h)
	next := uint64(0)
	stats := runStats{bare: true}
	for b := from; b < to; b++ {
		first := next
		stats.begin()
		for next < uint64(len(s.all)) && s.all[next].Batch == b {
			stats.add(&s.all[next].Reading)
			next++
		}
		e, err := x.s.SummaryAt(s.Slot, b)
		if err != nil {
			t.Fatal(err)
		}
		if e.Slot != s.Slot || e.Batch != b || e.Tag != s.Tag || e.First != first || e.Next != next {
			t.Errorf("summary of stream %d in batch %d: %+v, want numbers %d to %d", s.Slot, b, e, first, next)
		}
		want := ledger.Summary{
			Slot: s.Slot, From: h.headers[b].From, To: h.headers[b].To, First: first, Next: next, Closed: s.Closed && b == s.ClosedBy,
			Run: merkle.RootOf(s.leaves[first:next]), Stream: merkle.RootOf(s.leaves[:next]), Hidden: ledger.Hide(e.Rest, e.RestSalt),
		}
		if got, err := ledger.ParseSummary(e.Item); err != nil || got != want {
			t.Errorf("summary of stream %d in batch %d: %+v, %v; want %+v", s.Slot, b, got, err, want)
		}
		checkRest(t, e, &stats, x.gapsOf(b))
		entry := ledger.SummaryEntry(e.Tag, e.Item, e.Salt)
		root, err := merkle.RootFromPerfectPath(merkle.LeafHash(entry[:]), s.Slot, e.Path)
		if err != nil || root != h.headers[b].Root {
			t.Errorf("summary of stream %d in batch %d: root %v, %v; want %v", s.Slot, b, root, err, h.headers[b].Root)
		}
		for i := first; i < next; i++ {
			if batch, f, n, err := x.s.RunOf(s.Slot, i); err != nil || batch != b || f != first || n != next {
				t.Errorf("reading %d of stream %d: batch %d, run from %d to %d, %v; want %d, %d to %d", i, s.Slot, batch, f, n, err, b, first, next)
			}
		}
	}
	if next != uint64(len(s.all)) {
		t.Errorf("the summaries of stream %d name %d readings, it has %d", s.Slot, next, len(s.all))
	}
	s.checkNoSummary(t, x, from, to)
}

func (x *site) gapsOf(batch uint64) []ledger.Gap {
	x.t.Helper()
	w, err := x.s.windowRow(x.s.db, batch)
	if err != nil {
		x.t.Fatal(err)
	}
	return w.Window.gaps()
}

// checkRest holds a summary's rest against the readings of its run.
func checkRest(t *testing.T, e *SummaryEvidence, stats *runStats, gaps []ledger.Gap) {
	t.Helper()
	if want := stats.rest(gaps).Append(nil); !bytes.Equal(e.Rest, want) {
		t.Errorf("summary of stream %d in batch %d: rest %x, want %x", e.Slot, e.Batch, e.Rest, want)
	}
	if _, err := ledger.ParseRest(e.Rest); err != nil {
		t.Errorf("summary of stream %d in batch %d: %v", e.Slot, e.Batch, err)
	}
}

// checkNoSummary asks for summaries of batches that have none.
func (s *streamHistory) checkNoSummary(t *testing.T, x *site, from, to uint64) {
	t.Helper()
	size := x.s.LogSize()
	for _, c := range []struct {
		batch uint64
		want  error
		when  bool
	}{
		{from - 1, ErrNotFound, from > 0},
		{to, ErrNotFound, s.Closed},
		{size, ErrNotBatched, !s.Closed},
		{size + 1, ErrNotFound, true},
		{math.MaxUint64, ErrNotFound, true},
	} {
		if e, err := x.s.SummaryAt(s.Slot, c.batch); c.when && !errors.Is(err, c.want) {
			t.Errorf("summary of stream %d in batch %d of %d: %+v, %v; want %v", s.Slot, c.batch, size, e, err, c.want)
		}
	}
}

// sizesUpTo gives all small numbers, and of the others those around multiples of
// what trees and segments are cut by, and some more.
func sizesUpTo(n uint64) (out []uint64) {
	for i := uint64(0); i <= n; i++ {
		if i < 70 || i%64 < 2 || i%64 == 63 || i%1024 < 2 || i%97 == 0 || n-i < 3 {
			out = append(out, i)
		}
	}
	return out
}

func (s *streamHistory) checkPeaks(t *testing.T, x *site) {
	t.Helper()
	n := uint64(len(s.all))
	for _, i := range sizesUpTo(n) {
		want, err := merkle.PeaksAt(s.leaves, i)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := x.s.StreamPeaks(s.Slot, i); err != nil || !slices.Equal(got, want) {
			t.Errorf("peaks of the first %d of stream %d: %v, %v; want %v", i, s.Slot, got, err, want)
		}
	}
	if _, err := x.s.StreamPeaks(s.Slot, n+1); !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNotBatched) {
		t.Errorf("peaks of the first %d of stream %d, which has %d: %v", n+1, s.Slot, n, err)
	}
}

// checkShown shows some ranges and proves each in its stream's tree.
func (s *streamHistory) checkShown(t *testing.T, x *site) {
	t.Helper()
	n := uint64(len(s.all))
	rng := newRand(n)
	ranges := [][2]uint64{{0, n}, {0, 0}, {n, n}, {n / 2, n / 2}, {n / 2, n}, {0, n / 2}}
	for range 12 {
		if n > 0 {
			from := rng.Uint64N(n)
			ranges = append(ranges, [2]uint64{from, from + rng.Uint64N(min(n-from, 200)) + 1})
		}
	}
	for _, r := range ranges {
		s.checkRange(t, x, r[0], r[1])
	}
	fail := func(*Shown) error { t.Error("something was shown of a range that is not all there"); return nil }
	if err := x.s.ShowRange(context.Background(), s.Slot, 0, n+1, fail); !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNotBatched) {
		t.Errorf("one reading more than stream %d has: %v", s.Slot, err)
	}
	if err := x.s.ShowRange(context.Background(), s.Slot, n+1, n, fail); !errors.Is(err, ErrNotFound) {
		t.Errorf("a range of stream %d that runs backwards: %v", s.Slot, err)
	}
}

func (s *streamHistory) checkRange(t *testing.T, x *site, from, to uint64) {
	t.Helper()
	var leaves []merkle.Hash
	err := x.s.ShowRange(context.Background(), s.Slot, from, to, func(r *Shown) error {
		e := s.all[from+uint64(len(leaves))]
		if !reflect.DeepEqual(r.Reading, e.Reading) || !reflect.DeepEqual(r.Items, e.Items) || !reflect.DeepEqual(r.Salts, e.Salts) || !slices.Equal(r.Leaves, e.Leaves) {
			t.Errorf("reading %d of stream %d is shown otherwise than by its evidence", e.Seq, s.Slot)
		}
		record := slices.Clone(r.Leaves)
		for i := range r.Items {
			entry := reading.HiddenEntry(r.Items[i], r.Salts[i])
			record[i] = merkle.LeafHash(entry[:])
		}
		leaves = append(leaves, reading.EntryLeaf(s.Tag, r.Reading.Sequence, merkle.PerfectRoot(record)))
		return nil
	})
	if err != nil || uint64(len(leaves)) != to-from {
		t.Fatalf("readings %d to %d of stream %d: %d shown, %v", from, to, s.Slot, len(leaves), err)
	}
	if from == to {
		return
	}
	left, err := x.s.StreamPeaks(s.Slot, from)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := merkle.TreeFromPeaks(from, left)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range leaves { // the root at each of them: no consistency proof is needed
		tree.Append(l)
		run := s.all[from+uint64(i)]
		if run.Next != tree.Size() {
			continue
		}
		e, err := x.s.SummaryAt(s.Slot, run.Batch)
		if err != nil {
			t.Fatal(err)
		}
		if sum, _ := ledger.ParseSummary(e.Item); sum.Stream != tree.Root() {
			t.Errorf("readings %d to %d of stream %d give another root than the summary of batch %d", from, run.Next, s.Slot, run.Batch)
		}
	}
	if err := merkle.VerifyRange(leaves, from, to, left, merkle.RootOf(s.leaves[:to])); err != nil {
		t.Errorf("readings %d to %d of stream %d: %v", from, to, s.Slot, err)
	}
}

// checkRangesEverywhere does it with open commits, sealed, and after a restart.
func (x *site) checkRangesEverywhere(t *testing.T) {
	t.Helper()
	h := x.checkRanges(t, new(history))
	x.pass(time.Minute)
	h = x.checkRanges(t, h)
	x.pass(16 * time.Minute)
	x.seal()
	h = x.checkRanges(t, h)
	x.restart()
	x.checkRanges(t, h)
	x.check()
}

// TestRanges: gaps, restarts, lost frames, reboots, rotation, devices that come
// and go, windows without readings, a stream without any.
func TestRanges(t *testing.T) {
	x := newSite(t, 4)
	ctx := context.Background()
	for i := range 45 {
		switch i % 5 {
		case 0:
			x.send(x.nodes[:3]...)
		case 2:
			x.send(x.nodes[0], x.nodes[0], x.nodes[2])
			x.nodes[0].counter += 3 // lost
		}
		switch i {
		case 7: // a line, which has no counter
			x.submit(x.nodes[1].insecure("{}", 1), x.nodes[1].insecure("{}", 2))
		case 11:
			x.nodes[0].counter = 0x2b000000 // rebooted
		case 13:
			x.restart()
			x.send(x.nodes...)
		case 17:
			x.close()
			x.clock.add(40 * time.Minute)
			x.open()
		case 23:
			x.step(20 * time.Minute)
		case 25:
			key := frame.Key{9}
			b, err := x.s.RotateDevice(ctx, x.nodes[2].binding.Number, &key, 0)
			if err != nil {
				t.Fatal(err)
			}
			x.nodes[2].binding, x.nodes[2].counter = b, 5
			if x.nodes[2].opener, err = frame.NewOpener(key); err != nil {
				t.Fatal(err)
			}
		case 29:
			if err := x.s.RemoveDevice(ctx, x.nodes[1].binding.Number); err != nil {
				t.Fatal(err)
			}
			key, _ := x.s.DeviceKey(x.nodes[1].binding.Number, 1)
			b, err := x.s.AddDevice(ctx, NewDevice{ID: x.nodes[1].id, Name: "elsewhere", Kind: ledger.BindSecure, Key: &key})
			if err != nil {
				t.Fatal(err)
			}
			x.nodes[1].binding = b
		}
		x.pass(30 * time.Second)
	}
	x.checkRangesEverywhere(t)
}

// TestRangesAfterWrongFuture: the windows go back, and the same times are there
// twice, each in streams of its own.
func TestRangesAfterWrongFuture(t *testing.T) {
	x := newSite(t, 2)
	play := func(minutes int) {
		for i := range minutes {
			if i%3 != 1 {
				x.send(x.nodes...)
			}
			x.pass(time.Minute)
		}
	}
	play(5)
	x.step(5 * time.Hour)
	play(20)
	x.step(-5 * time.Hour)
	play(4)
	x.step(3 * time.Hour)
	play(3)
	x.step(-3 * time.Hour)
	play(20)
	streams := x.s.Streams(1)
	if len(streams) != 3 || !streams[0].Closed || streams[2].Closed || streams[1].Opened != streams[0].ClosedBy+1 {
		t.Fatalf("streams of device 1: %+v, want three, one after the other", streams)
	}
	if len(x.s.AllStreams()) != 6 || x.s.Streams(7) != nil {
		t.Errorf("%d streams in all, %v of a device that is not there", len(x.s.AllStreams()), x.s.Streams(7))
	}
	x.checkRangesEverywhere(t)
}

// TestRangesOfLongRuns: runs of several commits and segments.
func TestRangesOfLongRuns(t *testing.T) {
	x := newSite(t, 2)
	long := func(n int) {
		for n > 0 {
			all := make([]Arrival, min(n, 100))
			for i := range all {
				all[i] = x.nodes[0].arrival(t, 60+i%40)
			}
			x.submit(all...)
			n -= len(all)
		}
	}
	long(1)
	x.pass(time.Minute)
	long(64)
	x.pass(time.Minute)
	long(65)
	x.send(x.nodes[1])
	x.pass(2 * time.Minute)
	long(1100)
	x.pass(time.Minute)
	long(3)
	x.pass(time.Minute)
	x.checkRangesEverywhere(t)
}

func TestRangesOfNothing(t *testing.T) {
	x := newSite(t, 0)
	ctx := context.Background()
	for _, slot := range []uint64{0, math.MaxUint64} {
		_, e1 := x.s.SummaryAt(slot, 0)
		_, _, _, e2 := x.s.RunOf(slot, 0)
		_, e3 := x.s.StreamPeaks(slot, 0)
		e4 := x.s.ShowRange(ctx, slot, 0, 0, nil)
		_, e5 := x.s.BatchAtIn(slot, 0)
		_, e6 := x.s.BatchAt(0)
		_, e7 := x.s.Deficits(ctx, 0, 0)
		for i, err := range []error{e1, e2, e3, e4, e5, e6, e7} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("stream %d, call %d: %v, want ErrNotFound", slot, i, err)
			}
		}
	}
	if x.s.AllStreams() == nil && x.s.Streams(1) != nil {
		t.Error("a store without devices has streams")
	}
	x.addDevice()
	x.send(x.nodes...)
	_, e1 := x.s.SummaryAt(0, 0)
	_, _, _, e2 := x.s.RunOf(0, 0)
	_, e3 := x.s.StreamPeaks(0, 1)
	e4 := x.s.ShowRange(ctx, 0, 0, 1, func(*Shown) error { return errors.New("shown") })
	for i, err := range []error{e1, e2, e3, e4} {
		if !errors.Is(err, ErrNotBatched) {
			t.Errorf("in the open window, call %d: %v, want ErrNotBatched", i, err)
		}
	}
}

// TestRangeStops: by the context, by what it shows to, and where the rows are
// not what was committed.
func TestRangeStops(t *testing.T) {
	x := newSite(t, 1)
	for range 40 {
		x.send(x.nodes[0], x.nodes[0])
		x.pass(time.Minute)
	}
	x.seal()
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	err := x.s.ShowRange(ctx, 0, 0, 80, func(*Shown) error {
		if n++; n == 5 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n >= 80 {
		t.Errorf("%d readings shown under a cancelled context, %v", n, err)
	}
	if _, err := x.s.Deficits(ctx, 0, x.s.LogSize()-1); err != nil {
		t.Errorf("nothing to look for, but %v", err)
	}
	x.pass(20 * time.Minute)
	if _, err := x.s.Deficits(ctx, 0, x.s.LogSize()-1); !errors.Is(err, context.Canceled) {
		t.Errorf("deficits under a cancelled context: %v", err)
	}
	enough := errors.New("enough")
	if err := x.s.ShowRange(context.Background(), 0, 7, 80, func(*Shown) error { return enough }); err != enough {
		t.Errorf("%v, want what fn said", err)
	}
}

// TestDamagedRanges: a row that is not what was committed is never shown as if
// it were.
func TestDamagedRanges(t *testing.T) {
	x := newSite(t, 17) // a batch tree of two groups
	for range 80 {
		x.send(x.nodes[:3]...)
		x.pass(time.Minute)
	}
	x.pass(time.Minute)
	last := x.s.LogSize() - 1 // a heartbeat
	show := func() error {
		return x.s.ShowRange(context.Background(), 1, 3, 80, func(*Shown) error { return nil })
	}
	peaks := func() error { // which lead to another root
		return x.s.ShowRange(context.Background(), 1, 64, 80, func(*Shown) error { return nil })
	}
	summary := func(batch uint64) func() error {
		return func() error { _, err := x.s.SummaryAt(1, batch); return err }
	}
	item, err := x.s.Header(79)
	if err != nil {
		t.Fatal(err)
	}
	header, err := ledger.ParseHeader(item)
	if err != nil {
		t.Fatal(err)
	}
	rootAt := bytes.Index(item, header.Root[:])
	k := x.s.keys
	for _, c := range []struct {
		name string
		key  []byte
		at   int // byte that is changed
		do   func() error
	}{
		{"run's stream root", k.pair(kindRun, 1, 79), 5, show},
		{"run's stream root", k.pair(kindRun, 1, 79), 5, summary(79)},
		{"run's stream root", k.pair(kindRun, 1, 79), 5, summary(last)},
		{"another stream's run", k.pair(kindRun, 2, 79), 50, summary(79)},
		{"batch tree", k.u64(kindBatchNodes, 79), 1 + 32, summary(79)},
		{"batch tree", k.u64(kindBatchNodes, last), 1 + 32, summary(last)},
		{"header's root", k.u64(kindHeader, 79), 1 + rootAt, summary(79)},
		{"stream node", k.streamNode(1, 6, 0), 9, peaks},
	} {
		was, closer, err := x.s.db.Get(c.key)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		was = slices.Clone(was)
		closer.Close()
		bad := slices.Clone(was)
		bad[c.at] ^= 1
		if err := x.s.db.Set(c.key, bad, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.do(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", c.name, err)
		}
		if err := x.s.db.Set(c.key, was, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.do(); err != nil {
			t.Errorf("%s, as it was: %v", c.name, err)
		}
	}
}

// TestDeficitsAreFew: what it takes to find them does not grow with the windows.
func TestDeficitsAreFew(t *testing.T) {
	x := newSite(t, 1)
	want := map[uint64]bool{}
	for i := range 30 {
		for range 20 {
			x.pass(time.Minute)
		}
		if i%10 == 4 {
			before := x.s.LogSize()
			x.pass(3 * time.Minute)
			want[before+1] = true // the one before ended in time
		}
	}
	n := x.s.LogSize()
	r := x.s.reader()
	defer r.close()
	a, _ := r.endOf(0)
	b, _ := r.endOf(n - 1)
	asked := 0
	d := deficits{r: r, ctx: countedContext{context.Background(), &asked}, span: 60_000}
	if err := d.search(0, n-1, a, b); err != nil {
		t.Fatal(err)
	}
	if len(d.found) != len(want) || asked > len(want)*12 {
		t.Errorf("%d found of %d with %d halvings of %d batches", len(d.found), len(want), asked, n)
	}
	for _, i := range d.found {
		if !want[i] {
			t.Errorf("batch %d, want %v", i, want)
		}
	}
}

// countedContext counts how often it is asked whether to go on.
type countedContext struct {
	context.Context
	n *int
}

func (c countedContext) Err() error { *c.n++; return nil }

// TestRangesWhileWriting: a range stays as it was while readings come, windows
// close and quarter hours are sealed.
func TestRangesWhileWriting(t *testing.T) {
	x := newSite(t, 2)
	ctx := context.Background()
	for range 30 {
		x.send(x.nodes[0], x.nodes[0], x.nodes[1])
		x.pass(time.Minute)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := x.showNewest(ctx, uint64(i%2), w == 0); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	for range 60 {
		x.send(x.nodes[0], x.nodes[0], x.nodes[1])
		x.pass(time.Minute)
	}
	close(stop)
	wg.Wait()
	x.check()
}

// showNewest shows what the newest summary of a stream says that it has.
func (x *site) showNewest(ctx context.Context, slot uint64, slowly bool) error {
	size := x.s.LogSize()
	e, err := x.s.SummaryAt(slot, size-1)
	if err != nil {
		return err
	}
	sum, err := ledger.ParseSummary(e.Item)
	if err != nil {
		return err
	}
	from := e.Next - min(e.Next, 45)
	left, err := x.s.StreamPeaks(slot, from)
	if err != nil {
		return err
	}
	tree, err := merkle.TreeFromPeaks(from, left)
	if err != nil {
		return err
	}
	err = x.s.ShowRange(ctx, slot, from, e.Next, func(r *Shown) error {
		if r.Reading.Sequence != tree.Size() {
			return fmt.Errorf("reading %d is shown where %d was due", r.Reading.Sequence, tree.Size())
		}
		if slowly { // until more has come
			if _, err := x.s.Deficits(ctx, 0, x.s.LogSize()-1); err != nil {
				return err
			}
		}
		tree.Append(reading.EntryLeaf(e.Tag, r.Reading.Sequence, merkle.RootOf(r.Leaves)))
		return nil
	})
	if err == nil && tree.Root() != sum.Stream {
		err = fmt.Errorf("readings of stream %d up to %d give another root than batch %d says", slot, e.Next, size-1)
	}
	return err
}
