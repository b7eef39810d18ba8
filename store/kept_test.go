package store

import (
	"bytes"
	"context"
	"testing"

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
		x.s.kept.mu.Lock()
		if len(x.s.kept.streams) != 3 || x.s.kept.held == 0 {
			t.Errorf("%d streams and %d bytes are kept", len(x.s.kept.streams), x.s.kept.held)
		}
		if hour == 2 { // as after a start: those of one stream are there in part
			k := x.s.kept.streams[0]
			x.s.kept.held -= k.size()
			delete(x.s.kept.streams, 0)
		}
		x.s.kept.mu.Unlock()
	}
	x.send(x.nodes...)
	x.pass(30 * minute)
	x.seal()
	x.s.kept.mu.Lock()
	if len(x.s.kept.streams) != 0 || x.s.kept.held != 0 {
		t.Errorf("%d streams and %d bytes are kept of what is sealed", len(x.s.kept.streams), x.s.kept.held)
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
	part := func(first uint64, n, size int) *keptStream {
		x := &keptStream{first: first}
		for range n {
			x.siblings = append(x.siblings, make([]byte, size)...)
			x.readings = append(x.readings, keptReading{end: len(x.siblings)})
		}
		return x
	}
	k.add(1, part(10, 4, 100))
	k.add(2, part(0, 1, maxKept)) // does not fit
	k.add(1, part(14, 2, 100))
	k.add(1, part(17, 2, 100)) // leaves a hole
	for _, c := range []struct {
		slot, first uint64
		n           int
		ok          bool
	}{{1, 10, 6, true}, {1, 13, 2, true}, {1, 16, 0, true}, {1, 9, 2, false}, {1, 12, 5, false}, {2, 0, 1, false}} {
		readings, siblings, ok := k.get(c.slot, c.first, c.n)
		if ok != c.ok || ok && (len(readings) != c.n || len(siblings) != 100*c.n) {
			t.Errorf("%+v: got %d readings of %d bytes, %v", c, len(readings), len(siblings), ok)
		}
	}
	k.drop(1, 13)
	if want := k.streams[1].size(); k.held != want {
		t.Errorf("%d bytes are held, want %d", k.held, want)
	}
	if _, siblings, ok := k.get(1, 13, 3); !ok || len(siblings) != 300 {
		t.Errorf("after some were dropped: %d bytes, %v", len(siblings), ok)
	}
	k.drop(1, 16)
	k.add(1, part(30, 1, 100)) // begins anew
	if _, _, ok := k.get(1, 30, 1); !ok || k.held != 100+keptSize {
		t.Errorf("after all were dropped: %v, %d bytes are held", ok, k.held)
	}
}
