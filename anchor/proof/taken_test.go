package proof

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// takenSite makes intake receipts of a commit of three readings.
type takenSite struct {
	key    ed25519.PrivateKey
	ledger Ledger
	id     merkle.Hash
	tag    [12]byte // of the stream
}

func newTakenSite() *takenSite {
	x := &takenSite{key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)), tag: [12]byte{3}}
	x.ledger = Ledger{Key: [32]byte(x.key.Public().(ed25519.PublicKey)), Nonce: [32]byte{9}}
	x.id = ledger.ID(x.ledger.Key[:], x.ledger.Nonce)
	return x
}

// receipt is that of reading seq of the stream, which says a temperature.
func (x *takenSite) receipt(seq uint64, celsius int64, by ed25519.PrivateKey) *IntakeReceipt {
	r := &IntakeReceipt{Ledger: x.ledger, Tag: x.tag, Seq: seq, Width: 8, Index: 1}
	said := reading.Reading{
		Device: "00000000000000a1", Received: 1769163912000, Clock: reading.Synced, Sequence: seq,
		Origin:       reading.Origin{Transport: reading.TransportHTTP, Verdict: reading.Vouched},
		Measurements: []reading.Measurement{{Name: "temperature", Unit: "Cel", Value: reading.Int(celsius)}},
	}
	for i := 1; i < 8; i++ {
		r.Fields = append(r.Fields, Field{Index: i, Item: reading.AppendItem(nil, &said, i), Salt: [16]byte{byte(i)}})
	}
	r.Hidden = Path{{0xee}}
	leaf, bad := r.leaf()
	if bad != nil {
		panic(bad.err)
	}
	leaves := merkle.Leaves{{1}, leaf, {2}}
	path, err := merkle.ProveInclusion(leaves, 1, 3)
	if err != nil {
		panic(err)
	}
	r.Path = path
	head, sig := ledger.SignIntake(by, ledger.IntakeHead{
		Ledger: x.id, Number: 5, Count: 3, Root: merkle.RootOf(append([]merkle.Hash(nil), leaves...)),
	})
	r.Head, r.Signature = head, [64]byte(sig)
	return r
}

func TestIntakeReceipt(t *testing.T) {
	x := newTakenSite()
	r := x.receipt(17, 4, x.key)
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	v := VerifyIntake(b, Options{})
	if v.Outcome != Verified || v.Identity || v.Sequence != 17 || v.Commit != 5 || !strings.Contains(v.Text(), "temperature  4 Cel") {
		t.Errorf("got %+v\n%s", v, v.Text())
	}
	again, err := DecodeIntake(b)
	if err != nil {
		t.Fatal(err)
	}
	if twice, err := again.Encode(); err != nil || !bytes.Equal(twice, b) {
		t.Errorf("encoded again it is another: %v", err)
	}
	policy := &Policy{Ledger: x.id, Key: x.key.Public().(ed25519.PublicKey)}
	if v := VerifyIntake(b, Options{Policy: policy}); v.Outcome != Verified || !v.Identity {
		t.Errorf("with the policy: %+v", v)
	}
	for i := range b { // no byte is without a check
		bad := bytes.Clone(b)
		bad[i] ^= 1
		if v := VerifyIntake(bad, Options{Policy: policy}); v.Outcome == Verified {
			t.Errorf("byte %d of %d may be another", i, len(b))
		}
	}
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32))
	for want, make := range map[Code]func() *IntakeReceipt{
		CodeIntakeSignature: func() *IntakeReceipt { return x.receipt(17, 4, other) },
		CodeIntakePath:      func() *IntakeReceipt { r := x.receipt(17, 4, x.key); r.Index = 2; return r },
		CodeSequence: func() *IntakeReceipt {
			r := x.receipt(17, 4, x.key)
			r.Seq = 18
			return r
		},
	} {
		b, err := make().Encode()
		if err != nil {
			t.Fatal(err)
		}
		if v := VerifyIntake(b, Options{}); v.Outcome != Refused || v.Code != want {
			t.Errorf("want %s, got %s %s: %s", want, v.Outcome, v.Code, v.Reason)
		}
	}
	for text, want := range map[string]error{"cairn/proof/1\n": ErrNotIntake, "cairn/receipt/2\n": ErrVersion, IntakeMagic: ErrFile, IntakeMagic + "\x80": ErrFile} {
		if _, err := DecodeIntake([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", text, err, want)
		}
	}
	if _, err := DecodeIntake(append([]byte(IntakeMagic), bytes.Repeat([]byte{0}, MaxIntake)...)); !errors.Is(err, ErrFile) {
		t.Errorf("too long: %v", err)
	}
}

// TestIntakeReceiptHandover: a receipt of a log whose key was changed leads from the first
// key to the one that signed.
func TestIntakeReceiptHandover(t *testing.T) {
	x := newTakenSite()
	next := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32))
	r := x.receipt(3, 4, next)
	r.Handovers = [][]byte{ledger.SignLogKey(x.id, x.key, next, 1769163900000).Append(nil)}
	if v := r.Verify(Options{}); v.Outcome != Verified {
		t.Errorf("got %s: %s", v.Code, v.Reason)
	}
}

func FuzzIntakeReceipt(f *testing.F) {
	x := newTakenSite()
	b, err := x.receipt(17, 4, x.key).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeIntake(b)
		if err != nil {
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("encoded again it is another: %v", err)
		}
		r.Verify(Options{})
	})
}
