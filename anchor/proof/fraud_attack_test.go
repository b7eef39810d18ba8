package proof

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

func mustFraud(t testing.TB, f *Fraud) []byte {
	t.Helper()
	b, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestHonest: of one history, whatever is compared, no evidence comes.
func TestHonest(t *testing.T) {
	s := newSite("fraud").build(8)
	next := testKey("next")
	handed := handsOver(newSite("fraud"), next).build(8)
	var files []*File
	for size := 1; size <= 8; size++ {
		for w := range size {
			files = append(files, s.file(t, size, pick{window: w, slot: 5}, pick{window: w, slot: 2}))
		}
		files = append(files, s.summaries(t, 8, 0, 0, 3, 7), s.bare(t, size))
	}
	all, err := Compare(files...)
	if err != nil || len(all.Frauds) != 0 || len(all.NotCompared) != 0 {
		t.Errorf("%v, %+v", err, all)
	}
	t.Logf("%q", all.Compared)
	p := pick{window: 1, slot: 5}
	all, err = Compare(handed.telling(t, 8, p, 2), handed.telling(t, 7, p, 4), handed.file(t, 2, p))
	if err != nil || len(all.Frauds) != 0 {
		t.Errorf("with a later key: %v, %+v", err, all)
	}
	// Far apart, and nothing between: not compared, and said.
	all, err = Compare(s.file(t, 3, p), s.bare(t, 7))
	if err != nil || len(all.Frauds) != 0 || len(all.NotCompared) != 1 || !strings.Contains(all.NotCompared[0], "3, 7") {
		t.Errorf("apart: %v, %+v", err, all)
	}
	if _, err := Compare(s.file(t, 3, p), newSite("b").build(3).file(t, 3, p)); !errors.Is(err, ErrOtherLedger) {
		t.Errorf("two ledgers: %v", err)
	}
	if _, err := CheckpointFile(s.head(t, 3)); !errors.Is(err, ErrNoLedger) {
		t.Errorf("a checkpoint alone: %v", err)
	}
	if _, err := CheckpointFile(s.head(t, 3), newSite("b").build(3).file(t, 3, p)); !errors.Is(err, ErrOtherLedger) {
		t.Errorf("a checkpoint of another ledger: %v", err)
	}
	forged, _ := merkle.SignCheckpoint(merkle.Checkpoint{Origin: ledger.Origin(s.id), Size: 3}, next)
	if _, err := CheckpointFile(forged, s.file(t, 3, p)); !errors.Is(err, merkle.ErrUnsigned) {
		t.Errorf("a checkpoint by another key: %v", err)
	}
}

// TestFraudPairs tries all heads of two histories against one another: whatever
// is found is evidence, and where one holds the batch on which they part, or the
// log's last, it is found.
func TestFraudPairs(t *testing.T) {
	s, forked := twoHistories(3, 8)
	found := 0
	for m := 1; m <= 8; m++ {
		for n := 1; n <= 8; n++ {
			for i := range m {
				for j := range n {
					a, b := s.file(t, m, pick{window: i, slot: 5}), forked.file(t, n, pick{window: j, slot: 5})
					all, err := FindFraud(a, b)
					if err != nil {
						t.Fatal(err)
					}
					for _, f := range all {
						if v := VerifyFraud(mustFraud(t, f), Options{Policy: s.policy()}); v.Outcome != Verified {
							t.Fatalf("%d of %d and %d of %d: %s", i, m, j, n, v.Text())
						}
						found++
					}
					if m <= 3 && n <= 3 && len(all) != 0 {
						t.Errorf("%d of %d and %d of %d: %s before they part", i, m, j, n, all[0].Kind)
					}
					if len(all) == 0 && m > 3 && n > 3 && (m == n || i == j && i >= 3 || m < n && (j == m-1 || j == m) || n < m && (i == n-1 || i == n)) {
						t.Errorf("%d of %d and %d of %d: nothing found", i, m, j, n)
					}
				}
			}
		}
	}
	t.Logf("%d contradictions", found)
}

// TestFraudFlipped: evidence of each kind with any bit changed is refused by
// name, is no other evidence, and does no harm. With the checksum right again it
// is never evidence of anything else than before.
func TestFraudFlipped(t *testing.T) {
	policy := newSite("fraud").policy()
	for _, c := range fraudCases(t) {
		f := find(t, c)
		good := mustFraud(t, f)
		for i := range good {
			b := bytes.Clone(good)
			b[i] ^= 1 << (i % 8)
			if v := VerifyFraud(b, Options{Policy: policy}); v.Outcome == Verified || v.Code == "" {
				t.Fatalf("%s: byte %d: %s", c.name, i, v.Text())
			}
		}
		body := unwrapFraud(t, good)
		for i := range body {
			b := bytes.Clone(body)
			b[i] ^= 1 << (i % 8)
			if v := VerifyFraud(storedFraud(b), Options{Policy: policy}); v.Outcome == Verified || v.Code == "" {
				t.Fatalf("%s: byte %d of the body: %s", c.name, i, v.Text())
			}
		}
		for _, b := range [][]byte{append(bytes.Clone(good), 0), resumFraud(append(bytes.Clone(good), make([]byte, 16)...)), good[:len(good)-1], good[:len(FraudMagic)+3]} {
			if v := VerifyFraud(b, Options{}); v.Outcome == Verified {
				t.Errorf("%s: of another length: %s", c.name, v.Text())
			}
		}
	}
	if v := VerifyFraud([]byte("cairn/fraud/2\n"), Options{}); v.Outcome != Unchecked || v.Code != CodeVersion {
		t.Error(v.Text())
	}
	if v := VerifyFraud([]byte(Magic), Options{}); v.Outcome != Unchecked || v.Code != CodeNotProof {
		t.Error(v.Text())
	}
}

// storedFraud returns a body as a file of evidence, not packed, with the right
// checksum: how it is packed is free.
func storedFraud(body []byte) []byte {
	n := len(body)
	b := binary.BigEndian.AppendUint32([]byte(FraudMagic), uint32(n))
	b = append(b, 1, byte(n), byte(n>>8), ^byte(n), ^byte(n>>8))
	b = append(b, body...)
	return resumFraud(append(b, make([]byte, sumSize)...))
}

// TestFraudForged: who has no log key, but all that is public, every proof and a
// key of his own, can make no evidence: not from honest parts in any order, not
// with heads of his own, and not by handing the log over to himself.
func TestFraudForged(t *testing.T) {
	s := newSite("fraud").build(8)
	liar := testKey("liar")
	policy := s.policy()
	head := func(size int, root merkle.Hash, key ed25519.PrivateKey) *FraudHead {
		note, err := merkle.SignCheckpoint(merkle.Checkpoint{Origin: ledger.Origin(s.id), Size: uint64(size), Root: root}, key)
		if err != nil {
			t.Fatal(err)
		}
		p, err := packHead(note, ledger.Origin(s.id))
		if err != nil {
			t.Fatal(err)
		}
		return &FraudHead{Size: uint64(size), Root: root, Key: p.key, Signature: p.signature}
	}
	honest := func(size int) *FraudHead { return head(size, merkle.RootOf(s.log[:size]), s.key) }
	l := Ledger{Key: [32]byte(s.key.Public().(ed25519.PublicKey)), Nonce: s.nonce}
	path, _ := merkle.ProveConsistency(s.log, 3, 7)
	batch := func(size, i int) *FraudBatch {
		p, _ := merkle.ProveInclusion(s.log, uint64(i), uint64(size))
		return &FraudBatch{Header: s.windows[i].header, Path: p}
	}
	other := honest(5)
	other.Root = sha256.Sum256([]byte("x"))
	claimed := head(5, other.Root, liar)
	claimed.Key = honest(5).Key // says that it is the log's
	mine := ledger.SignLogKey(s.id, liar, testKey("liar 2"), siteStart)
	stolen := ledger.SignLogKey(s.id, s.key, liar, siteStart)
	k, _ := ledger.LogKeyFrom(stolen)
	k.OldSignature[0] ^= 1
	for name, f := range map[string]*Fraud{
		"the same head twice":              {Kind: FraudTwoRoots, Sides: [2]FraudSide{{Head: honest(5)}, {Head: honest(5)}}},
		"two heads that extend":            {Kind: FraudNotExtended, Sides: [2]FraudSide{{Head: honest(3)}, {Head: honest(7)}}, Prefix: &FraudPrefix{Root: merkle.RootOf(s.log[:3]), Path: path}},
		"another prefix":                   {Kind: FraudNotExtended, Sides: [2]FraudSide{{Head: honest(3)}, {Head: honest(7)}}, Prefix: &FraudPrefix{Root: merkle.RootOf(s.log[:2]), Path: path}},
		"the greater first":                {Kind: FraudNotExtended, Sides: [2]FraudSide{{Head: honest(7)}, {Head: honest(3)}}, Prefix: &FraudPrefix{Root: merkle.RootOf(s.log[:3]), Path: path}},
		"two sizes of different roots":     {Kind: FraudTwoSizes, Sides: [2]FraudSide{{Head: honest(5)}, {Head: honest(6)}}},
		"a root changed":                   {Kind: FraudTwoRoots, Sides: [2]FraudSide{{Head: honest(5)}, {Head: other}}},
		"a head by another key":            {Kind: FraudTwoRoots, Sides: [2]FraudSide{{Head: honest(5)}, {Head: head(5, other.Root, liar)}}},
		"a head by a key that claims":      {Kind: FraudTwoRoots, Sides: [2]FraudSide{{Head: honest(5)}, {Head: claimed}}},
		"a handover to oneself by oneself": {Kind: FraudTwoRoots, Handovers: [][]byte{mine.Append(nil)}, Sides: [2]FraudSide{{Head: honest(5)}, {Head: head(5, other.Root, testKey("liar 2"))}}},
		"a handover with a wrong signature": {Kind: FraudTwoRoots, Handovers: [][]byte{k.Statement(siteStart).Append(nil)},
			Sides: [2]FraudSide{{Head: honest(5)}, {Head: head(5, other.Root, liar)}}},
		"two handovers by a stranger": {Kind: FraudTwoHandovers, Sides: [2]FraudSide{{Handover: mine.Append(nil)}, {Handover: ledger.SignLogKey(s.id, liar, testKey("liar 3"), siteStart).Append(nil)}}},
		"a handover twice":            {Kind: FraudTwoHandovers, Sides: [2]FraudSide{{Handover: stolen.Append(nil)}, {Handover: stolen.Append(nil)}}},
		"two batches of two numbers":  {Kind: FraudTwoHeaders, Sides: [2]FraudSide{{Head: honest(5), Batch: batch(5, 2)}, {Head: honest(7), Batch: batch(7, 3)}}},
		"one batch twice":             {Kind: FraudTwoHeaders, Sides: [2]FraudSide{{Head: honest(5), Batch: batch(5, 2)}, {Head: honest(7), Batch: batch(7, 2)}}},
		"a batch under another head":  {Kind: FraudTwoHeaders, Sides: [2]FraudSide{{Head: honest(5), Batch: batch(5, 2)}, {Head: honest(7), Batch: batch(5, 2)}}},
		"a node of another level": {Kind: FraudTwoParts, Sides: [2]FraudSide{
			{Head: honest(8), Node: &FraudNode{Level: 0, Index: 1, Hash: merkle.LeafHash(s.windows[1].header), Path: batch(8, 1).Path}},
			{Head: honest(8), Node: &FraudNode{Level: 1, Index: 1, Hash: merkle.RootOf(s.log[2:4]), Path: batch(8, 2).Path[1:]}}}},
		"a last node that is not whole": {Kind: FraudTwoParts, Sides: [2]FraudSide{
			{Head: honest(7), Node: &FraudNode{Level: 1, Index: 3, Hash: merkle.LeafHash(s.windows[6].header), Path: batch(7, 6).Path}},
			{Head: honest(8), Node: &FraudNode{Level: 1, Index: 3, Hash: merkle.RootOf(s.log[6:8]), Path: batch(8, 6).Path[1:]}}}},
	} {
		f.Ledger = l
		b, err := f.encode()
		if err != nil {
			t.Fatal(err)
		}
		if v := VerifyFraud(b, Options{Policy: policy}); v.Outcome == Verified || v.Code == "" || strings.Contains(v.Text(), "FRAUD PROVEN") {
			t.Errorf("%s: %s", name, v.Text())
		}
		if _, err := f.Encode(); err == nil {
			t.Errorf("%s: it was written", name)
		}
	}
}

// FuzzDecodeFraud gives the decoder a body, and puts magic and checksum around
// it.
func FuzzDecodeFraud(f *testing.F) {
	for _, c := range fraudCases(f) {
		f.Add(unwrapFraud(f, mustFraud(f, find(f, c))))
	}
	for _, c := range brokenReceipts(f) {
		f.Add(unwrapFraud(f, mustFraud(f, c.receipt.Evidence(c.file))))
	}
	policy := newSite("fraud").policy()
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 60_000 {
			return
		}
		b := storedFraud(body)
		e, err := DecodeFraud(b)
		if err != nil {
			if !errors.Is(err, ErrFile) {
				t.Errorf("error without a name: %v", err)
			}
			return
		}
		if again, err := e.encode(); err != nil || !bytes.Equal(unwrapFraud(t, again), body) {
			t.Errorf("accepted bytes are not written again: %v", err)
		}
		v := VerifyFraud(b, Options{Policy: policy})
		if (v.Outcome == Verified) != (v.Code == "") || v.Text() == "" || len(v.JSON()) == 0 {
			t.Errorf("verdict without words: %+v", v)
		}
	})
}
