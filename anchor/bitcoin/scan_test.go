package bitcoin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cairn/anchor"
	"cairn/anchor/proof"
)

func TestBookIsKeptAndCheckedAgainstTheChain(t *testing.T) {
	r := newRig(t, P2WPKH, 200_000)
	keep := r.cfg.Book.(*memoryBook)
	r.anchor(anchor.Root{}, rootOf(1))
	r.again()
	if len(keep.data) == 0 {
		t.Fatal("nothing is kept")
	}
	saved := bytes.Clone(keep.data)
	if !r.scan.unsure || len(r.scan.b.blocks) == 0 {
		t.Error("the kept book is not read")
	}
	r.stored(rootOf(1))
	if r.scan.unsure {
		t.Error("the kept book is not compared")
	}
	saves := keep.saves
	for i := range 5 {
		r.anchor(rootOf(1+i), rootOf(2+i))
	}
	if keep.saves > saves+1 {
		t.Errorf("kept %d times in a moment", keep.saves-saves)
	}

	// An old one, from before five anchors.
	r.Chain.Close()
	keep.data = saved
	r.Chain = dial(t, r.cfg)
	r.stored(rootOf(6))

	// One that lies: its coins are none.
	b, err := parseBook(saved, "regtest", r.Script(), 0, outpoint{})
	if err != nil {
		t.Fatal(err)
	}
	b.line.Root, b.line.Tip = rootOf(66), outpoint{Tx: rootOf(66)}
	b.coins = map[outpoint]coin{b.line.Tip: {Out: b.line.Tip, Value: 1e8}}
	lie, err := b.encode("regtest", 0)
	if err != nil {
		t.Fatal(err)
	}
	r.Chain.Close()
	keep.data = lie
	r.Chain = dial(t, r.cfg)
	_, err = r.Stored(testContext(t))
	wantIs(t, "stored of a book that lies", err, anchor.ErrAgain)
	r.stored(rootOf(6))

	// Of another birthday, damaged, gone, and not to be had.
	for name, data := range map[string][]byte{"cut": saved[:len(saved)/2], "gone": nil, "text": []byte("book")} {
		r.Chain.Close()
		keep.data = data
		r.Chain = dial(t, r.cfg)
		if r.scan.unsure {
			t.Errorf("%s: it is used", name)
		}
		r.stored(rootOf(6))
	}
	r.Chain.Close()
	keep.fail = errors.New("disk is full")
	r.Chain = dial(t, r.cfg)
	r.stored(rootOf(6))
	if err := r.Ready(testContext(t)); err == nil || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("ready: got %v, want why nothing is kept", err)
	}
}

// A block goes away between the look at the tip and the question for its outputs:
// the book is right, and is not made anew from the birthday.
func TestBookIsNotBlamedForAMovingChain(t *testing.T) {
	r := newRig(t, P2WPKH, 200_000)
	r.anchor(anchor.Root{}, rootOf(1))
	r.again()
	if err := r.scan.follow(testContext(t)); err != nil {
		t.Fatal(err)
	}
	r.scan.unsure = true
	known := len(r.scan.b.blocks)
	_, tip := r.node.Tip()
	r.node.Invalidate(tip)
	wantIs(t, "compare", r.scan.audit(testContext(t)), anchor.ErrAgain)
	if got := len(r.scan.b.blocks); got != known || !r.scan.unsure {
		t.Errorf("got a book of %d blocks, unsure %v; want %d, still unsure", got, r.scan.unsure, known)
	}
	r.stored(anchor.Root{})
	r.node.Mine(1)
	r.stored(rootOf(1))
}

func TestScanGoesOnAfterItsTimeIsOver(t *testing.T) {
	r := newRig(t, P2WPKH, 200_000)
	a := r.anchor(anchor.Root{}, rootOf(1))
	r.node.Mine(100)
	cfg := r.cfg
	cfg.Book = &memoryBook{}
	c := dial(t, cfg)
	height, hash, err := c.node.Tip(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.scan.advance(testContext(t), height, hash, time.Now())
	if wantIs(t, "no time at all", err, anchor.ErrAgain); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("at block 0 of %d", height)) {
		t.Errorf("got %v, want how far it came", err)
	}
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		_, ok, err := c.Find(ctx, []anchor.Attempt{a})
		cancel()
		if err == nil {
			if !ok {
				t.Error("it is not found")
			}
			break
		}
		if !errors.Is(err, anchor.ErrAgain) && !errors.Is(err, anchor.ErrDown) {
			t.Fatalf("got %v, want ErrAgain", err)
		}
	}
}

func TestBirthday(t *testing.T) {
	onBoth(t, func(t *testing.T, kind Kind) {
		r := newRig(t, kind, 200_000)
		funded, _ := r.node.Tip()
		a := r.anchor(anchor.Root{}, rootOf(1))
		first := uint32(funded) + 1
		r.node.Mine(2)
		r.anchor(rootOf(1), rootOf(2))
		r.node.Mine(1)
		ctx := testContext(t)
		at := func(birthday uint32) *Chain {
			cfg := r.cfg
			cfg.Birthday, cfg.Book = birthday, &memoryBook{}
			return dial(t, cfg)
		}
		// The very block of the first payment.
		if got, err := at(uint32(funded)).Stored(ctx); err != nil || got != rootOf(2) {
			t.Errorf("right birthday: got %s, %v", got, err)
		}
		// After it. A P2TR witness does not say whose it is; but the money is
		// found, and from the next anchor on the head too.
		late := at(first)
		got, err := late.Stored(ctx)
		if kind == P2WPKH {
			wantIs(t, "stored", err, anchor.ErrUnknownHead)
			wantIs(t, "ready", late.Ready(ctx), anchor.ErrUnknownHead)
			_, err := late.Sign(ctx, order(anchor.Root{}, rootOf(3)))
			wantIs(t, "sign", err, anchor.ErrUnknownHead)
		} else if err != nil || got != rootOf(2) {
			t.Errorf("stored: got %s, %v; want %s", got, err, rootOf(2))
		}
		// After all: nothing is known of the key, and the error says since when.
		tip, _ := r.node.Tip()
		never := at(uint32(tip))
		if err := never.Ready(ctx); !errors.Is(err, anchor.ErrFunds) || !strings.Contains(err.Error(), "in blocks since") {
			t.Errorf("ready: got %v, want ErrFunds with the birthday", err)
		}
		// What was signed long before the birthday may stand before it.
		a.SignedAt = time.Now().Add(-24 * time.Hour).UnixMilli()
		_, _, err = never.Find(ctx, []anchor.Attempt{a})
		wantIs(t, "find", err, anchor.ErrUnknownHead)
		// Ahead of the node.
		_, err = at(uint32(tip) + 10).Stored(ctx)
		wantIs(t, "stored before the birthday", err, anchor.ErrAgain)
	})
}

func TestFirstOutputCanBeNamed(t *testing.T) {
	r := newRig(t, P2WPKH, 30_000)
	small, err := r.FirstOutpoint(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	r.node.Fund(r.Script(), 90_000)
	r.node.Mine(1)
	if got, err := r.FirstOutpoint(testContext(t)); err != nil || got == small {
		t.Errorf("got %s, %v; want the larger", got, err)
	}
	r.cfg.First = small
	r.again()
	if got, err := r.FirstOutpoint(testContext(t)); err != nil || got != small {
		t.Errorf("got %s, %v; want %s", got, err, small)
	}
	a := r.anchor(anchor.Root{}, rootOf(1))
	if got := outpointOf(parsed(t, a).TxIn[0].PreviousOutPoint); got != (outpoint{Tx: small.TxID, Index: small.Index}) {
		t.Errorf("the first anchor spends %s, want %s", got, small)
	}
	r.anchor(rootOf(1), rootOf(2))
	r.cfg.First = proof.Outpoint{}
	r.again()
	r.stored(rootOf(2))
}

// What was said of the line holds in the same run, and after it.
func TestLineBeginsWithWhatWasSaid(t *testing.T) {
	r := newRig(t, P2WPKH, 30_000)
	said, err := r.FirstOutpoint(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.BeginWith(testContext(t), said); err != nil {
		t.Fatal(err)
	}
	r.node.Fund(r.Script(), 90_000)
	r.node.Mine(1)
	want := outpoint{Tx: said.TxID, Index: said.Index}
	if got := outpointOf(parsed(t, r.sign(order(anchor.Root{}, rootOf(1)))).TxIn[0].PreviousOutPoint); got != want {
		t.Errorf("the first anchor would spend %s, want %s", got, want)
	}
	keep := r.cfg.Book.(*memoryBook)
	r.cfg.First = said
	r.again()
	if keep.saves == 0 || !r.scan.unsure {
		t.Error("the book is not taken over by a start that knows of it")
	}
	if got := outpointOf(parsed(t, r.anchor(anchor.Root{}, rootOf(1))).TxIn[0].PreviousOutPoint); got != want {
		t.Errorf("the first anchor spends %s, want %s", got, want)
	}
	if err := r.BeginWith(testContext(t), proof.Outpoint{}); err != nil {
		t.Fatal(err)
	}
	r.anchor(rootOf(1), rootOf(2))
}

// A stranger sends us a transaction in an anchor's form.
func TestStrangersAnchorCountsForNothing(t *testing.T) {
	r := newRig(t, P2WPKH, 200_000)
	r.anchor(anchor.Root{}, rootOf(1))
	out := r.node.Fund(r.node.Script, 50_000)
	r.node.Mine(1)
	k := &key{kind: P2WPKH, script: r.node.Script, secret: r.node.Key}
	in := []coin{{Out: outpointOf(out), Value: 50_000}}
	tx := buildTx(in, r.Script(), rootOf(66), 1000, 0)
	if err := k.sign(tx, in); err != nil {
		t.Fatal(err)
	}
	r.node.MineBlock(nil, tx)
	r.stored(rootOf(1))
	if err := r.Ready(testContext(t)); err != nil {
		t.Error(err)
	}
	if a := r.anchor(rootOf(1), rootOf(2)); len(parsed(t, a).TxIn) != 1 {
		t.Error("it is swept, though it may be another ledger's change")
	}
}

func TestCoinbasesAreLeftToRipen(t *testing.T) {
	r := newRig(t, P2WPKH, 60_000)
	r.node.MineBlock(r.Script())
	a := r.anchor(anchor.Root{}, rootOf(1))
	if len(parsed(t, a).TxIn) != 1 {
		t.Error("a coinbase is spent at once")
	}
	r.node.Mine(97)
	if b := r.sign(order(rootOf(1), rootOf(2))); len(parsed(t, b).TxIn) != 1 {
		t.Error("a coinbase is spent a block too early")
	}
	r.node.Mine(1)
	if b := r.anchor(rootOf(1), rootOf(2)); len(parsed(t, b).TxIn) != 2 {
		t.Error("a ripe coinbase is not spent")
	}
}
