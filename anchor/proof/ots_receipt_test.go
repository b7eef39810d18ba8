package proof

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"
)

// otsReceipt is a receipt of two calendars: one whose transaction carries a
// digest made of the root, with its block shown, the other pending.
func otsReceipt(t testing.TB) OTSReceipt {
	t.Helper()
	ts := NewTimestamp(btcRoot[:])
	digest, err := ts.Path(OTSOp{OTSAppend, []byte("nonce of sixteen")}, OTSOp{Tag: OTSSHA256})
	if err != nil {
		t.Fatal(err)
	}
	r := btcBlock(t, txBytes(t, anchorTx([32]byte(digest.Message()))), 5, 40, 6)
	tail, err := BitcoinTimestamp(r, [32]byte(digest.Message()))
	if err != nil {
		t.Fatal(err)
	}
	if err := digest.Merge(tail); err != nil {
		t.Fatal(err)
	}
	other, err := ts.Path(OTSOp{OTSPrepend, []byte("sixteen, a nonce")}, OTSOp{Tag: OTSSHA256})
	if err != nil {
		t.Fatal(err)
	}
	promise, err := PendingAttestation("https://b.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Attest(promise); err != nil {
		t.Fatal(err)
	}
	return OTSReceipt{
		Network: BitcoinRegtest, Timestamp: mustMarshal(t, ts),
		Blocks: []OTSBlock{{r.Height, r.Header, r.Following}},
	}
}

func TestVerifyOTS(t *testing.T) {
	r := otsReceipt(t)
	facts, err := VerifyOTS(r, btcRoot)
	if err != nil {
		t.Fatal(err)
	}
	if len(facts) != 1 {
		t.Fatalf("%d attestations, want 1", len(facts))
	}
	h := &r.Blocks[0].Header
	f := facts[0]
	if !f.Shown || f.Network != BitcoinRegtest || f.Height != 900 || f.Merkle != h.Merkle() || f.Hash != h.Hash() ||
		f.Time != h.Time() || f.Depth != 6 || f.Work.Int64() != 12 {
		t.Errorf("%+v", f)
	}
	if got := r.Pending(); !slices.Equal(got, []string{"https://b.example"}) {
		t.Errorf("pending %v", got)
	}

	r.Blocks = nil // then all that is known is what the block must hold
	if facts, err = VerifyOTS(r, btcRoot); err != nil || len(facts) != 1 {
		t.Fatalf("%v, %v", facts, err)
	}
	if want := (OTSFacts{Network: BitcoinRegtest, Height: 900, Merkle: h.Merkle()}); facts[0] != want {
		t.Errorf("%+v, want %+v", facts[0], want)
	}

	r.Timestamp = fromHex(t, otsPendingA)
	if facts, err = VerifyOTS(r, btcRoot); err != nil || len(facts) != 0 {
		t.Errorf("%v, %v for a promise", facts, err)
	}
}

// TestOTSReceiptRefusals has a named reason for each thing that is wrong.
func TestOTSReceiptRefusals(t *testing.T) {
	wrongRoot := btcRoot
	wrongRoot[0] ^= 1
	if _, err := VerifyOTS(otsReceipt(t), wrongRoot); !errors.Is(err, ErrOTSBlock) {
		t.Errorf("%v for another root", err)
	}
	two := OTSBlock{Height: 2}
	for _, tt := range []struct {
		name string
		with func(r *OTSReceipt)
		want error
	}{
		{"network", func(r *OTSReceipt) { r.Network = "x" }, ErrBitcoinNetwork},
		{"network's name", func(r *OTSReceipt) { r.Network = strings.Repeat("x", 33) }, ErrOTSFormat},
		{"merkle root", func(r *OTSReceipt) { r.Blocks[0].Header[40] ^= 1; mine(&r.Blocks[0].Header) }, ErrOTSBlock},
		{"no work", func(r *OTSReceipt) { unmine(&r.Blocks[0].Header) }, ErrBitcoinWork},
		{"link", func(r *OTSReceipt) { r.Blocks[0].Following[1][9] ^= 1; mine(&r.Blocks[0].Following[1]) }, ErrBitcoinLink},
		{"block of no attestation", func(r *OTSReceipt) { r.Blocks[0].Height++ }, ErrOTSFormat},
		{"a block twice", func(r *OTSReceipt) { r.Blocks = append(r.Blocks, r.Blocks[0]) }, ErrOTSFormat},
		{"another block before", func(r *OTSReceipt) { r.Blocks = append([]OTSBlock{two}, r.Blocks...) }, ErrOTSFormat},
		{"too many blocks", func(r *OTSReceipt) { r.Blocks = make([]OTSBlock, maxOTSBlocks+1) }, ErrOTSFormat},
		{"too many followers", func(r *OTSReceipt) {
			r.Blocks[0].Following = make([]BitcoinHeader, maxBitcoinFollowing+1)
		}, ErrOTSFormat},
		{"no timestamp", func(r *OTSReceipt) { r.Timestamp = nil }, ErrOTSFormat},
		{"timestamp cut off", func(r *OTSReceipt) { r.Timestamp = r.Timestamp[:len(r.Timestamp)-1] }, ErrOTSFormat},
		{"timestamp in another order", func(r *OTSReceipt) {
			r.Timestamp = fromHex(t, "ff"+otsPendingA+otsBitcoin1)
		}, ErrOTSFormat},
		{"a longer number than need be", func(r *OTSReceipt) {
			r.Timestamp, r.Blocks = fromHex(t, "00 0588960d73d71901 02 8100"), nil
		}, ErrOTSFormat},
		{"a value of 33 bytes", func(r *OTSReceipt) {
			r.Timestamp, r.Blocks = fromHex(t, "f0 01 01"+otsBitcoin1), nil
		}, ErrOTSBlock},
		{"a height of 33 bits", func(r *OTSReceipt) {
			r.Timestamp, r.Blocks = fromHex(t, "00 0588960d73d71901 05 8080808010"), nil
		}, ErrOTSBlock},
	} {
		r := otsReceipt(t)
		tt.with(&r)
		if facts, err := VerifyOTS(r, btcRoot); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, %v, want %v", tt.name, facts, err, tt.want)
		}
		if _, err := r.MarshalBinary(); (err != nil) != (tt.want == ErrOTSFormat) {
			t.Errorf("%s: written with %v", tt.name, err)
		}
	}
}

func TestOTSReceiptForm(t *testing.T) {
	b := mustMarshal(t, otsReceipt(t))
	golden(t, "v1.ots-receipt", b)
	for n := range b {
		if _, err := ParseOTSReceipt(b[:n]); !errors.Is(err, ErrOTSFormat) {
			t.Fatalf("the first %d bytes: %v", n, err)
		}
	}
	for _, bad := range [][]byte{append(slices.Clone(b), 0), make([]byte, maxOTSData+1), bytes.Replace(b, []byte("ots/1"), []byte("ots/2"), 1)} {
		if _, err := ParseOTSReceipt(bad); !errors.Is(err, ErrOTSFormat) {
			t.Errorf("%.20x: %v", bad, err)
		}
	}
	r, err := ParseOTSReceipt(b)
	if err != nil {
		t.Fatal(err)
	}
	if again := mustMarshal(t, r); !bytes.Equal(again, b) {
		t.Error("it is not written again")
	}
	t.Logf("%d bytes", len(b))
}

// TestBitcoinTimestamp writes a receipt as a detached file, whose path leads
// from the root to the block's merkle root by hashing alone.
func TestBitcoinTimestamp(t *testing.T) {
	for index := range 9 {
		if index == 0 {
			continue
		}
		r := btcBlock(t, txBytes(t, anchorTx(btcRoot)), index, 9, 1)
		ts, err := BitcoinTimestamp(r, btcRoot)
		if err != nil {
			t.Fatal(err)
		}
		leaves := ts.Leaves()
		merkle := r.Header.Merkle()
		if len(leaves) != 1 || leaves[0].String() != "bitcoin block 900" || !bytes.Equal(leaves[0].Node.Message(), merkle[:]) {
			t.Fatalf("%d: %+v", index, leaves)
		}
		if n := len(leaves[0].Path); n != 4+3*len(r.Branch) {
			t.Errorf("%d: %d operations", index, n)
		}
	}
	r := btcReceipt(t)
	ts, err := BitcoinTimestamp(r, btcRoot)
	if err != nil {
		t.Fatal(err)
	}
	b, err := WriteOTS(ts)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "v1.bitcoin.ots", b)
	f, err := ParseOTS(b)
	if err != nil || f.Hash != OTSSHA256 || [32]byte(f.Tree.Message()) != btcRoot {
		t.Errorf("%v, %+v", err, f)
	}
	t.Logf("%d bytes, %d operations", len(b), len(f.Tree.Leaves()[0].Path))

	if _, err := BitcoinTimestamp(r, sha256.Sum256(nil)); !errors.Is(err, ErrBitcoinRoot) {
		t.Errorf("%v for another root", err)
	}
	// The reference reads no message of more than 4096 bytes.
	tx := anchorTx(btcRoot)
	tx.TxOut[0].PkScript = make([]byte, maxOTSMessage)
	if _, err := BitcoinTimestamp(btcBlock(t, txBytes(t, tx), 1, 2, 1), btcRoot); !errors.Is(err, ErrOTS) {
		t.Errorf("%v for a long transaction", err)
	}
}

func FuzzOTSReceipt(f *testing.F) {
	r := otsReceipt(f)
	f.Add(mustMarshal(f, r))
	f.Add(mustMarshal(f, OTSReceipt{Network: BitcoinMainnet, Timestamp: fromHex(f, otsPendingA)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseOTSReceipt(b)
		if err != nil {
			if !errors.Is(err, ErrOTSFormat) {
				t.Errorf("error without a name: %v", err)
			}
			return
		}
		if again, err := r.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("accepted bytes are not written again: %v", err)
		}
		facts, err := VerifyOTS(r, btcRoot)
		if err != nil && !isNamed(err) {
			t.Errorf("error without a name: %v", err)
		}
		for _, f := range facts {
			if f.Shown != (f.Work != nil) || f.Shown != (f.Depth > 0) {
				t.Errorf("%+v", f)
			}
		}
	})
}
