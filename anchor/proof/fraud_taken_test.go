package proof

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"

	"cairn/merkle/ledger"
)

// taking makes intake receipts as the gateway of a site does, for one of its streams.
func (s *site) taking(slot uint64) *takenSite {
	x := &takenSite{key: s.key, id: s.id, tag: ledger.Tag(s.tagKey, s.id, slot)}
	x.ledger = Ledger{Key: [32]byte(s.key.Public().(ed25519.PublicKey)), Nonce: s.nonce}
	return x
}

// brokenReceipts is one receipt for each kind of evidence, and the file that it excludes.
func brokenReceipts(t testing.TB) []brokenReceipt {
	s := newSite("fraud").build(8)
	x := s.taking(2)
	one := s.file(t, 8, pick{window: 3, slot: 2, at: 1})
	seq := one.Readings[0].Seq
	closed := newSite("fraud")
	closed.summary = func(sum *ledger.Summary) { sum.Closed = sum.Slot == 2 && sum.From == siteStart+3*siteWindow }
	closed.build(8)
	next := testKey("next")
	handed := x.receipt(seq, 4, next)
	handed.Handovers = [][]byte{ledger.SignLogKey(s.id, s.key, next, siteStart).Append(nil)}
	return []brokenReceipt{
		{"a reading", FraudReceiptRun, x.receipt(seq, 4, s.key), one},
		{"a reading, by a later key", FraudReceiptRun, handed, one},
		{"a range", FraudReceiptStream, x.receipt(seq, 4, s.key), s.ranged(t, 7, 2, 5, 0, 5)},
		{"the end", FraudReceiptEnd, x.receipt(1000, 4, s.key), closed.summaries(t, 8, 2, 3)},
	}
}

type brokenReceipt struct {
	name    string
	kind    FraudKind
	receipt *IntakeReceipt
	file    *File
}

// TestBrokenReceipts: a receipt and a proof that exclude one another are one file, which
// proves it alone, and of which no byte may be another.
func TestBrokenReceipts(t *testing.T) {
	policy := newSite("fraud").policy()
	for _, c := range brokenReceipts(t) {
		if v := c.receipt.Verify(Options{Policy: policy}); v.Outcome != Verified {
			t.Fatalf("%s: %s", c.name, v.Text())
		}
		f := c.receipt.Evidence(c.file)
		if f == nil || f.Kind != c.kind {
			t.Errorf("%s: got %+v, want %s", c.name, f, c.kind)
			continue
		}
		b := mustFraud(t, f)
		v := VerifyFraud(b, Options{Policy: policy})
		if v.Outcome != Verified || v.Fraud != c.kind || !v.Identity || !strings.HasPrefix(v.Signed[0].What, "that it took a reading as number") {
			t.Errorf("%s: %s", c.name, v.Text())
		}
		if seen, err := c.receipt.ShownBy(c.file); seen || err != nil {
			t.Errorf("%s: the file shows it: %t, %v", c.name, seen, err)
		}
		for _, shown := range c.receipt.Fields {
			if body := unwrapFraud(t, b); bytes.Contains(body, shown.Item) {
				t.Errorf("%s: field %d is shown", c.name, shown.Index)
			}
		}
		body := unwrapFraud(t, b)
		for i := range body {
			bad := bytes.Clone(body)
			bad[i] ^= 1
			if v := VerifyFraud(storedFraud(bad), Options{Policy: policy}); v.Outcome == Verified {
				t.Errorf("%s: byte %d of %d may be another: %s", c.name, i, len(body), v.What)
			}
		}
	}
}

// TestHonestReceipts: what is so, what is of another stream, number or ledger, and what
// somebody else signed is no evidence.
func TestHonestReceipts(t *testing.T) {
	s := newSite("fraud").build(8)
	one := s.file(t, 8, pick{window: 3, slot: 2, at: 1})
	seq := one.Readings[0].Seq
	x := s.taking(2)
	none := func(name string, r *IntakeReceipt, files ...*File) {
		t.Helper()
		if f := r.Evidence(files...); f != nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
	same := x.receipt(seq, 4, s.key)
	same.Fields, same.Hidden, same.Width = one.Readings[0].Fields, one.Readings[0].Hidden, one.Readings[0].Width
	none("signed over another", same, one) // its path leads elsewhere
	if seen, err := same.ShownBy(one); !seen || err != nil {
		t.Errorf("got %t, %v", seen, err)
	}
	none("another number", x.receipt(seq+1, 4, s.key), one)
	none("another stream", s.taking(5).receipt(seq, 4, s.key), one)
	none("a range that ends before it", x.receipt(1000, 4, s.key), s.ranged(t, 7, 2, 5, 0, 5), s.summaries(t, 8, 2, 3))
	none("a stranger", x.receipt(seq, 4, testKey("liar")), one)
	other := x.receipt(seq, 4, s.key)
	other.Ledger.Nonce[0] ^= 1
	none("another ledger", other, one)
	none("no file", x.receipt(seq, 4, s.key))

	// Nor is what is put together by hand.
	policy := s.policy()
	f := brokenReceipts(t)[0].receipt.Evidence(one)
	for name, spoil := range map[string]func(*Fraud){
		"another kind":     func(f *Fraud) { f.Kind = FraudReceiptStream },
		"the end":          func(f *Fraud) { f.Kind, f.Sides[1].Node = FraudReceiptEnd, nil },
		"sides changed":    func(f *Fraud) { f.Sides[0], f.Sides[1] = f.Sides[1], f.Sides[0] },
		"a head too":       func(f *Fraud) { f.Sides[0].Head = f.Sides[1].Head },
		"nothing taken":    func(f *Fraud) { f.Sides[0].Taken = nil },
		"taken twice":      func(f *Fraud) { f.Sides[1] = FraudSide{Taken: f.Sides[0].Taken} },
		"its own reading":  func(f *Fraud) { f.Sides[1].Node.Hash = f.Sides[0].Taken.leaf() },
		"a node above":     func(f *Fraud) { f.Sides[1].Node.Level = 1 },
		"of a later group": func(f *Fraud) { f.Sides[0].Taken.Index++ },
	} {
		bad := *f
		node, taken := *f.Sides[1].Node, *f.Sides[0].Taken
		bad.Sides[1].Node, bad.Sides[0].Taken = &node, &taken
		spoil(&bad)
		if _, err := bad.Encode(); err == nil {
			t.Errorf("%s: it was written", name)
		}
		b, err := bad.encode()
		if err != nil {
			t.Fatal(err)
		}
		if v := VerifyFraud(b, Options{Policy: policy}); v.Outcome == Verified || v.Code == "" {
			t.Errorf("%s: %s", name, v.Text())
		}
	}
}
