package store

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// mergeable are columns of scheme 1 with classes, and readings whose measurements are
// spread over them.
func mergeable(rng *rand.Rand, classes, n int) (*columns, []stored) {
	all := randomRun(rng, n)
	if classes > 1 {
		for i := range all {
			all[i].class = make([]byte, len(all[i].Measurements))
			for j := range all[i].class {
				all[i].class[j] = byte(j*7) % byte(classes)
			}
		}
	}
	return &columns{scheme: schemeJoint, class: make([]dataColumns, classes)}, all
}

func encoded(c *columns) blocks {
	b := blocks{envelope: c.envelope(nil), evidence: c.evidence(nil, nil)}
	for i := range c.class {
		b.data = append(b.data, c.data(nil, i))
	}
	return b
}

func sameBlocks(a, b blocks) bool {
	for i := range a.data {
		if !bytes.Equal(a.data[i], b.data[i]) {
			return false
		}
	}
	return bytes.Equal(a.envelope, b.envelope) && bytes.Equal(a.evidence, b.evidence)
}

// TestMerge: commits' columns that are merged give the bytes that adding all of their
// readings gives.
func TestMerge(t *testing.T) {
	rng := newRand(3)
	for range 300 {
		want, all := mergeable(rng, 1+rng.IntN(3), 1+rng.IntN(80))
		got := &columns{scheme: want.scheme, class: make([]dataColumns, len(want.class))}
		commit := &columns{scheme: want.scheme, class: make([]dataColumns, len(want.class))}
		for at := 0; at < len(all); {
			next := min(at+1+rng.IntN(12), len(all))
			commit.reset(7)
			for ; at < next; at++ {
				want.add(&all[at])
				commit.add(&all[at])
			}
			if err := got.merge(encoded(commit), nil); err != nil {
				t.Fatal(err)
			}
		}
		if got.n != want.n || got.first != want.first || got.device != want.device || !sameBlocks(encoded(got), encoded(want)) {
			t.Fatalf("%d readings of %d classes: merged columns differ from added ones", len(all), len(want.class))
		}
	}
}

// TestMergeRefuses: columns of other readings, or that are cut off, are an error.
func TestMergeRefuses(t *testing.T) {
	rng := newRand(4)
	c, all := mergeable(rng, 2, 20)
	for i := range all[:10] {
		c.add(&all[i])
	}
	good := encoded(c)
	into := func() *columns { return &columns{scheme: schemeJoint, class: make([]dataColumns, 2)} }
	twice := into()
	if err := twice.merge(good, nil); err != nil {
		t.Fatal(err)
	}
	if err := twice.merge(good, nil); !errors.Is(err, errColumns) {
		t.Errorf("the same readings again: %v", err)
	}
	for n := range good.envelope {
		if err := into().merge(blocks{good.envelope[:n], good.data, good.evidence}, nil); !errors.Is(err, errColumns) {
			t.Fatalf("envelope cut off at %d: %v", n, err)
		}
	}
	for i := range good.data {
		for n := range good.data[i] {
			cut := [][]byte{good.data[0], good.data[1]}
			cut[i] = cut[i][:n]
			if err := into().merge(blocks{good.envelope, cut, good.evidence}, nil); !errors.Is(err, errColumns) {
				t.Fatalf("data of class %d cut off at %d: %v", i, n, err)
			}
		}
	}
	for n := range good.evidence {
		if err := into().merge(blocks{good.envelope, good.data, good.evidence[:n]}, nil); !errors.Is(err, errColumns) {
			t.Fatalf("evidence cut off at %d: %v", n, err)
		}
	}
	if err := into().merge(blocks{good.envelope, good.data[:1], good.evidence}, nil); !errors.Is(err, errColumns) {
		t.Errorf("a class is missing: %v", err)
	}
}
