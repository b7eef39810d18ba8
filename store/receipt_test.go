package store

import (
	"crypto/ed25519"
	"errors"
	"testing"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// checkReceipt checks a receipt as a sender does, and gives its leaf.
func (x *site) checkReceipt(slot, seq uint64) merkle.Hash {
	x.t.Helper()
	r, err := x.s.Receipt(slot, seq)
	if err != nil {
		x.t.Fatal(err)
	}
	head, err := ledger.VerifyIntake(ed25519.PublicKey(x.s.FirstLogKey()), r.Head, r.Signature)
	if err != nil {
		x.t.Fatal(err)
	}
	for i, item := range r.Items {
		entry := reading.HiddenEntry(item, r.Salts[i])
		if merkle.LeafHash(entry[:]) != r.Leaves[i] {
			x.t.Errorf("item %d is not in the record", i)
		}
	}
	leaf := reading.EntryLeaf(r.Tag, seq, merkle.PerfectRoot(append([]merkle.Hash(nil), r.Leaves...)))
	if err := merkle.VerifyInclusion(leaf, r.Index, head.Count, r.Path, head.Root); err != nil {
		x.t.Errorf("reading %d of stream %d: %v", seq, slot, err)
	}
	if head.Ledger != x.s.Ledger() {
		x.t.Errorf("the head is of the ledger %v", head.Ledger)
	}
	return leaf
}

// TestReceipt: every reading has a receipt until its quarter hour is sealed, in the
// open window, after it, and after a start; its leaf is the one in the stream's tree.
func TestReceipt(t *testing.T) {
	x := newSite(t, 3)
	all := func(n uint64) (leaves [][]merkle.Hash) {
		for slot := range uint64(3) {
			var of []merkle.Hash
			for seq := range n {
				of = append(of, x.checkReceipt(slot, seq))
			}
			leaves = append(leaves, of)
		}
		return leaves
	}
	for range 5 {
		x.send(x.nodes[2], x.nodes[0], x.nodes[1])
	}
	first := all(5)
	x.pass(minute)
	x.send(x.nodes...)
	leaves := all(6)
	x.restart()
	for slot, of := range all(6) {
		for seq, leaf := range of {
			if leaf != leaves[slot][seq] || seq < 5 && leaf != first[slot][seq] {
				t.Errorf("reading %d of stream %d has another receipt now", seq, slot)
			}
		}
	}
	x.pass(minute)
	for slot, of := range leaves {
		for seq, leaf := range of {
			e, err := x.s.Evidence(uint64(slot), uint64(seq))
			if err != nil {
				t.Fatal(err)
			}
			if got := reading.EntryLeaf(e.Tag, e.Seq, merkle.PerfectRoot(append([]merkle.Hash(nil), e.Leaves...))); got != leaf {
				t.Errorf("reading %d of stream %d: its receipt has another leaf than its proof", seq, slot)
			}
		}
	}
	for _, c := range []struct {
		slot, seq uint64
	}{{0, 6}, {7, 0}} {
		if _, err := x.s.Receipt(c.slot, c.seq); !errors.Is(err, ErrNotFound) {
			t.Errorf("reading %d of stream %d: got %v, want ErrNotFound", c.seq, c.slot, err)
		}
	}
	x.pass(30 * minute)
	x.seal()
	if _, err := x.s.Receipt(0, 0); !errors.Is(err, ErrNoReceipt) {
		t.Errorf("after sealing: got %v, want ErrNoReceipt", err)
	}
}
