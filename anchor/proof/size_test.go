package proof

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"

	"github.com/btcsuite/btcd/wire/v2"
)

// noise is bytes that do not pack.
func noise(label string, i int) merkle.Hash {
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte(label), uint64(i)))
}

// pathTo is a path of so many hashes that nobody else has a part in.
func pathTo(label string, depth int) Path {
	p := make(Path, depth)
	for i := range p {
		p[i] = noise(label, i)
	}
	return p
}

// Among how many one reading stands, each as a power of two: in the run of its
// stream, with that in its window, and its window in the log.
const (
	runDepth, batchDepth, logDepth = 14, 6, 20
)

// oneOfMany is a file of one reading of a busy ledger: a million readings in its
// window, of 64 streams, and a million batches in the log. The head's root comes
// with it.
func oneOfMany(t testing.TB, fields ...int) (*site, *File, merkle.Hash) {
	t.Helper()
	s := newSite("one of many")
	const slot, at, index = 37, 11_111, 765_432
	first := uint64(5_000_000)
	from := siteStart + index*siteWindow
	rec := s.record(3, first+at, from+31_415) // any of the site's devices
	n := len(rec.items)
	if len(fields) == 0 {
		for i := range n {
			fields = append(fields, i)
		}
	}
	r := Reading{Seq: rec.seq, Width: len(rec.leaves), Hidden: Cover(rec.leaves, fields), Run: pathTo("run", runDepth)}
	for _, i := range fields {
		r.Fields = append(r.Fields, Field{Index: i, Item: rec.items[i], Salt: s.salts.Salt(rec.seq, i, n)})
	}
	up := func(leaf merkle.Hash, index uint64, path Path) merkle.Hash {
		root, err := merkle.RootFromPerfectPath(leaf, index, path)
		if err != nil {
			t.Fatal(err)
		}
		return root
	}
	tag := ledger.Tag(s.tagKey, s.id, slot)
	sum := ledger.Summary{
		Slot: slot, From: from, To: from + siteWindow, First: first, Next: first + 1<<runDepth,
		Run: up(reading.EntryLeaf(tag, rec.seq, rec.root), at, r.Run), Stream: noise("stream", 0), Hidden: noise("rest", 0),
	}
	shown := Summary{Tag: tag, Item: sum.Append(nil), Salt: salt("summary", slot, index), Path: pathTo("batch", batchDepth)}
	entry := ledger.SummaryEntry(tag, shown.Item, shown.Salt)
	slots := Shown{Item: ledger.Slots{Depth: batchDepth}.Append(nil), Salt: salt("header", index, 2)}
	h := ledger.Header{
		Ledger: s.id, Index: index, From: from, To: from + siteWindow, Root: up(merkle.LeafHash(entry[:]), slot, shown.Path),
		Seen: []ledger.Seen{{Route: "bitcoin:mainnet", Height: 918_000, Hash: noise("seen", 0), Time: from - 500_000}},
	}
	for i := range h.Hidden {
		h.Hidden[i] = noise("hidden", i)
	}
	h.Hidden[ledger.HiddenSlots] = ledger.Hide(slots.Item, slots.Salt)
	header, path := h.Append(nil), pathTo("log", logDepth)
	cp := merkle.Checkpoint{Origin: ledger.Origin(s.id), Size: 1 << logDepth, Root: up(merkle.LeafHash(header), index, path)}
	note, err := merkle.SignCheckpoint(cp, s.key)
	if err != nil {
		t.Fatal(err)
	}
	b := NewBuilder(s.policyKey(), s.nonce)
	head, batch := b.Head(note), b.Batch(header, slots, nil)
	b.Cover(batch, head, path)
	r.Summary = b.Summary(shown)
	b.Reading(r)
	return s, b.File(), cp.Root
}

// busyBlock is a receipt for a root in a block of 4,000 transactions, with the
// headers to depth 6.
func busyBlock(t testing.TB, root merkle.Hash) BitcoinReceipt {
	t.Helper()
	tx := anchorTx(root)
	tx.TxIn[0].PreviousOutPoint.Hash = [32]byte(noise("spent", 0))
	script := noise("script", 0)
	tx.TxOut[0] = wire.NewTxOut(91_234, append([]byte{0, 20}, script[:20]...))
	r := btcBlock(t, txBytes(t, tx), 2345, 4000, 6)
	for i := range 1 + len(r.Following) { // no hash in them is of zeros, as those of mainnet are in part
		h, before := &r.Header, noise("before", 0)
		if i > 0 {
			h, before = &r.Following[i-1], r.Following[max(i-2, 0)].Hash()
			root := noise("transactions", i)
			copy(h[36:], root[:])
		}
		if i == 1 {
			before = r.Header.Hash()
		}
		copy(h[4:], before[:])
		mine(h)
	}
	return r
}

// TestSize bounds the bytes of a proof that is as long as they get: what one
// reading among a million, in a log of a million batches, costs to carry.
func TestSize(t *testing.T) {
	for _, c := range []struct {
		name          string
		fields        []int
		bare, receipt int // bytes at most, without a receipt and with Bitcoin's
	}{
		{"one field", []int{reading.IndexData}, 2300, 3300},
		{"one field and received", []int{reading.IndexReceived, reading.IndexData}, 2400, 3400},
		{"all fields", nil, 2600, 3600},
	} {
		s, f, root := oneOfMany(t, c.fields...)
		bare := mustEncode(t, f)
		if v := VerifyBytes(bare, Options{Require: LevelLogged}); v.Outcome != Verified {
			t.Fatal(v.Text())
		}
		r := busyBlock(t, root)
		with(f, btc(t, r))
		receipt := mustEncode(t, f)
		o := Options{Policy: s.only(BitcoinRoute{Network: BitcoinRegtest, Script: txScript(t, r), Depth: 6}), Trust: Pinned{shown(r.Following[4])}}
		o.Policy.Late = 0
		if v := VerifyBytes(receipt, o); v.Level != LevelAnchored {
			t.Fatal(v.Text())
		}
		t.Logf("%s: %d bytes, %d with a Bitcoin receipt; bodies %d, %d", c.name, len(bare), len(receipt), len(bodyOf(t, bare)), len(bodyOf(t, receipt)))
		if len(bare) > c.bare || len(receipt) > c.receipt {
			t.Errorf("%s: %d bytes, %d with a Bitcoin receipt; at most %d and %d", c.name, len(bare), len(receipt), c.bare, c.receipt)
		}
	}
}

// txScript is what a receipt's transaction pays its change to.
func txScript(t testing.TB, r BitcoinReceipt) []byte {
	t.Helper()
	tx, err := parseBitcoinTx(r.Tx)
	if err != nil {
		t.Fatal(err)
	}
	return tx.outputs[0].script
}
