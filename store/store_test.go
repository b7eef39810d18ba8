package store

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// verify checks evidence with the pure packages alone, up to a log root.
func verify(t *testing.T, x *site, e *Evidence) {
	t.Helper()
	s := x.s
	leaves := make([]merkle.Hash, reading.Width(len(e.Items)))
	copy(leaves, e.Leaves)
	for i := range e.Items {
		entry := reading.HiddenEntry(e.Items[i], e.Salts[i])
		if leaves[i] = merkle.LeafHash(entry[:]); leaves[i] != e.Leaves[i] {
			t.Fatalf("item %d: leaf %v, want %v", i, leaves[i], e.Leaves[i])
		}
	}
	leaf := reading.EntryLeaf(e.Tag, e.Seq, merkle.PerfectRoot(leaves))
	sum, err := ledger.ParseSummary(e.Summary)
	if err != nil {
		t.Fatal(err)
	}
	if err := merkle.VerifyInclusion(leaf, e.Seq-e.First, e.Next-e.First, e.RunPath, sum.Run); err != nil {
		t.Fatalf("run: %v", err)
	}
	if sum.First != e.First || sum.Next != e.Next || sum.Slot != e.Slot {
		t.Fatalf("summary of stream %d, %d to %d; evidence of %d, %d to %d", sum.Slot, sum.First, sum.Next, e.Slot, e.First, e.Next)
	}
	entry := ledger.SummaryEntry(e.Tag, e.Summary, e.SummarySalt)
	root, err := merkle.RootFromPerfectPath(merkle.LeafHash(entry[:]), e.Slot, e.SlotPath)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Batch(e.Batch)
	if err != nil {
		t.Fatal(err)
	}
	h, err := ledger.ParseHeader(b.Header)
	if err != nil {
		t.Fatal(err)
	}
	if h.Root != root {
		t.Fatalf("batch root %v, header says %v", root, h.Root)
	}
	if e.Reading.Received < h.From || e.Reading.Received >= h.To {
		t.Errorf("received %d outside of the window %d to %d", e.Reading.Received, h.From, h.To)
	}
	size := s.LogSize()
	path, err := s.LogPath(e.Batch, size)
	if err != nil {
		t.Fatal(err)
	}
	logRoot, err := s.RootAt(size)
	if err != nil {
		t.Fatal(err)
	}
	if err := merkle.VerifyInclusion(merkle.LeafHash(b.Header), e.Batch, size, path, logRoot); err != nil {
		t.Fatalf("log: %v", err)
	}
}

// proveAll verifies the evidence of every reading of every stream.
func proveAll(t *testing.T, x *site) (n int) {
	t.Helper()
	for i := range x.s.view.Load().streams {
		for seq := uint64(0); ; seq++ {
			e, err := x.s.Evidence(uint64(i), seq)
			if errors.Is(err, ErrNotFound) || errors.Is(err, ErrNotBatched) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			verify(t, x, e)
			n++
		}
	}
	return n
}

func TestReadingToLog(t *testing.T) {
	x := newSite(t, 3)
	for range 40 {
		x.send(x.nodes[0], x.nodes[1], x.nodes[0])
		x.pass(20 * time.Second)
	}
	x.pass(time.Minute)
	rep := x.check()
	if rep.Readings != 120 {
		t.Errorf("fsck read %d readings, want 120", rep.Readings)
	}
	if n := proveAll(t, x); n != 120 {
		t.Errorf("%d readings proved, want 120", n)
	}
	note, size, ok := x.s.Checkpoint()
	if !ok || size != x.s.LogSize() {
		t.Fatalf("checkpoint of %d batches, log of %d", size, x.s.LogSize())
	}
	if _, err := merkle.OpenCheckpoint(note, x.s.Origin(), x.s.LogKey()); err != nil {
		t.Error(err)
	}
	again, err := x.s.CheckpointAt(size)
	if err != nil || !bytes.Equal(again, note) {
		t.Errorf("signed again: %v, other bytes", err)
	}
}

func TestSealedLikeBefore(t *testing.T) {
	x := newSite(t, 20)
	for range 50 {
		x.send(x.nodes...)
		x.send(x.nodes[:2]...)
		x.pass(time.Minute)
	}
	x.seal()
	if x.s.view.Load().state.SealFrom == 0 {
		t.Fatal("nothing was sealed")
	}
	x.pass(time.Minute)
	x.check()
	if n := proveAll(t, x); n != 50*22 {
		t.Errorf("%d readings proved, want %d", n, 50*22)
	}
	x.restart()
	x.pass(time.Minute)
	x.check()
	if n := proveAll(t, x); n != 50*22 {
		t.Errorf("%d readings proved after a restart, want %d", n, 50*22)
	}
}

func TestLargeRun(t *testing.T) {
	x := newSite(t, 2)
	for range 30 {
		var all []Arrival
		for range 100 {
			all = append(all, x.nodes[0].arrival(t, 70), x.nodes[1].arrival(t, 80))
		}
		x.submit(all...)
	}
	x.pass(time.Minute)
	x.check()
	for _, seq := range []uint64{0, 63, 64, 2047, 2999} {
		e, err := x.s.Evidence(1, seq)
		if err != nil {
			t.Fatal(err)
		}
		verify(t, x, e)
	}
	x.pass(30 * time.Minute)
	x.seal()
	x.check()
	for _, seq := range []uint64{0, 63, 64, 2047, 2999} {
		e, err := x.s.Evidence(1, seq)
		if err != nil {
			t.Fatal(err)
		}
		verify(t, x, e)
	}
}

func TestVerdictsByCounter(t *testing.T) {
	x := newSite(t, 2)
	n := x.nodes[0]
	first := n.arrival(t, 60)
	got := x.submit(first, first)
	if got[0].verdict != reading.Authenticated || got[1].verdict != reading.Duplicate {
		t.Fatalf("twice the same frame: %v, %v", got[0], got[1])
	}
	older := n.arrivalAt(t, n.counter-1, 60)
	other := n.arrivalAt(t, n.counter, 61)
	want := []reading.Verdict{reading.Replay, reading.CounterConflict, reading.Duplicate}
	for _, when := range []string{"at once", "after a restart", "after a crash"} {
		for i, a := range x.submit(older, other, first) {
			if a.verdict != want[i] || a.err != nil {
				t.Errorf("%s: arrival %d: %v, %v; want %v", when, i, a.verdict, a.err, want[i])
			}
		}
		x.restart()
	}
	reboot := n.arrivalAt(t, 0x2b000000, 60)
	if a := x.submit(reboot)[0]; a.verdict != reading.Authenticated || !a.rebooted || a.seq != 1 {
		t.Errorf("higher restart counter: %+v", a)
	}
	x.pass(time.Minute)
	x.check()
}

func TestSaltsAndRowsHideDevice(t *testing.T) {
	x := newSite(t, 1)
	x.send(x.nodes[0])
	x.pass(time.Hour)
	x.seal()
	it, err := x.s.db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		for _, secret := range []string{"fridge", "T|C16", "Cel", x.nodes[0].id.String(), string(x.nodes[0].id[:])} {
			if bytes.Contains(it.Value(), []byte(secret)) || bytes.Contains(it.Key(), []byte(secret)) {
				t.Errorf("row %c holds %q in the clear", it.Key()[32], secret)
			}
		}
	}
}

// TestReadUnsealed reads runs that lie in many commits, in any order of streams.
func TestReadUnsealed(t *testing.T) {
	x := newSite(t, 3)
	const rounds = 40
	for i := range rounds {
		x.send(x.nodes[i%3], x.nodes[(i+1)%3])
		if i == rounds/2 {
			x.pass(time.Minute)
		}
	}
	r := x.s.reader()
	defer r.close()
	rng := newRand(4)
	for range 300 {
		in := &r.v.streams[rng.IntN(3)]
		run, err := r.nextRun(in, uint64(rng.IntN(2)))
		if err != nil || run == nil {
			t.Fatal(run, err)
		}
		from := run.first + rng.Uint64N(run.next-run.first)
		all, err := r.readings(in, from, run.next)
		if err != nil || uint64(len(all)) != run.next-from {
			t.Fatalf("%d readings of stream %d from %d to %d: %v", len(all), in.slot, from, run.next, err)
		}
		for i := range all {
			if all[i].Sequence != from+uint64(i) || all[i].slot != in.slot {
				t.Fatalf("reading %d of stream %d where %d was wanted", all[i].Sequence, all[i].slot, from+uint64(i))
			}
		}
	}
	n := 0
	for _, d := range x.nodes {
		if err := x.s.Query(context.Background(), d.binding.Number, 0, 1<<62, func(*Found) (bool, error) { n++; return true, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n != 2*rounds {
		t.Errorf("queries met %d readings, want %d", n, 2*rounds)
	}
}
