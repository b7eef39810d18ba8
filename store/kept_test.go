package store

import (
	"bytes"
	"context"
	"testing"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/store/share"
)

// What is kept of intake gives the bytes that are made again without it.
func TestKeptSiblings(t *testing.T) {
	for width := 8; width <= 64; width *= 2 {
		for items := 7; items <= width; items++ {
			leaves := make([]merkle.Hash, width)
			for i := range leaves {
				leaves[i] = merkle.LeafHash([]byte{byte(i), byte(items)})
			}
			want, wantRoot := appendSiblings(nil, leaves, items), merkle.RootOf(leaves)
			if got, root := keepSiblings(nil, leaves, items); !bytes.Equal(got, want) || root != wantRoot {
				t.Errorf("%d items of %d: siblings or root differ", items, width)
			}
		}
	}
}

// Every object that was sealed from what was kept is made again, from the disk
// alone, with the same SHA-256; nothing is kept of what is sealed.
func TestKeptSealsAlike(t *testing.T) {
	x := newSite(t, 3)
	for hour := range 3 {
		x.pass(15 * minute)
		for range 20 {
			x.send(x.nodes...)
		}
		x.pass(minute)
		x.s.kept.mu.Lock()
		if len(x.s.kept.streams) != 3 || len(x.s.kept.leaves) == 0 || x.s.kept.held == 0 {
			t.Errorf("%d streams, %d batches and %d bytes are kept", len(x.s.kept.streams), len(x.s.kept.leaves), x.s.kept.held)
		}
		if hour == 2 { // as after a start: those of one stream are there in part
			k := x.s.kept.streams[0]
			for i := range k.parts {
				x.s.kept.held -= k.parts[i].size()
			}
			delete(x.s.kept.streams, 0)
		}
		x.s.kept.mu.Unlock()
	}
	x.send(x.nodes...)
	x.pass(30 * minute)
	x.seal()
	x.s.kept.mu.Lock()
	for batch := range x.s.kept.leaves {
		if batch < x.s.view.Load().state.SealFrom {
			t.Errorf("the leaves of batch %d are kept, which is sealed", batch)
		}
	}
	if held := merkle.HashSize * 8 * len(x.s.kept.leaves); len(x.s.kept.streams) != 0 || x.s.kept.held != held {
		t.Errorf("%d streams and %d bytes are kept, want none and %d", len(x.s.kept.streams), x.s.kept.held, held)
	}
	x.s.kept.mu.Unlock()
	refs, err := x.s.Groups(context.Background(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, ref := range refs {
		if ref.Live {
			continue
		}
		object, err := x.s.GroupObject(context.Background(), ref.First)
		if err != nil {
			t.Fatal(err)
		}
		g, err := OpenGroup(x.keyOf(share.Ledger, ref.Hour), x.s.keys.id, ref.Hour, ref.First, object)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range g.Objects {
			if _, err := x.s.SealedObject(context.Background(), ref.First, o.Hash); err != nil {
				t.Errorf("group %d, %s: %v", ref.First, o.Name, err)
			}
			made++
		}
	}
	if made < 20 {
		t.Errorf("%d objects were made again", made)
	}
}

// What is kept stays within its bound, has no holes, and is got or not as a whole.
func TestKeptBound(t *testing.T) {
	var k kept
	part := func(first uint64, n, size int) keptPart {
		x := keptPart{first: first}
		for range n {
			x.siblings = append(x.siblings, bytes.Repeat([]byte{byte(x.next())}, size)...)
			x.readings = append(x.readings, keptReading{end: len(x.siblings)})
		}
		return x
	}
	k.add(1, part(10, 4, 100))
	k.add(2, part(0, 1, maxKept)) // does not fit
	k.add(1, part(14, 2, 100))
	k.add(1, part(17, 2, 100)) // leaves a hole
	got := func(first uint64, n int) (all []byte) {
		parts, _ := k.get(1, first, n)
		for _, p := range parts {
			all = append(all, p.siblings...)
		}
		return all
	}
	for _, c := range []struct {
		slot, first uint64
		n           int
		ok          bool
	}{{1, 10, 6, true}, {1, 11, 2, true}, {1, 13, 2, true}, {1, 16, 0, true}, {1, 9, 2, false}, {1, 12, 5, false}, {2, 0, 1, false}} {
		if _, ok := k.get(c.slot, c.first, c.n); ok != c.ok {
			t.Errorf("%+v: got %v", c, ok)
		}
		if c.ok {
			if want := part(c.first, c.n, 100).siblings; !bytes.Equal(got(c.first, c.n), want) {
				t.Errorf("%+v: other siblings", c)
			}
		}
	}
	k.drop(1, 13) // in the middle of a commit, which stays
	if want := k.streams[1].parts[0].size() + k.streams[1].parts[1].size(); k.held != want {
		t.Errorf("%d bytes are held, want %d", k.held, want)
	}
	k.drop(1, 14)
	if want := k.streams[1].parts[0].size(); len(k.streams[1].parts) != 1 || k.held != want {
		t.Errorf("%d bytes are held, want %d", k.held, want)
	}
	if len(got(14, 2)) != 200 {
		t.Error("what was not dropped is not there")
	}
	k.drop(1, 16)
	k.add(1, part(30, 1, 100)) // begins anew
	if _, ok := k.get(1, 30, 1); !ok || k.held != k.streams[1].parts[0].size() {
		t.Errorf("after all were dropped: %v, %d bytes are held", ok, k.held)
	}
}

// A part has just the room that it takes.
func TestKeptPart(t *testing.T) {
	for items := reading.IndexData; items <= reading.MaxLeaves; items++ {
		p := newKeptPart(0, 3, items)
		room := cap(p.siblings)
		for range 3 {
			p.siblings, _ = keepSiblings(p.siblings, make([]merkle.Hash, reading.Width(items)), items)
		}
		if len(p.siblings) != room {
			t.Errorf("%d items: room for %d bytes, %d taken", items, room, len(p.siblings))
		}
	}
}
