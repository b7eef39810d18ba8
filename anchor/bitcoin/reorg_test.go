package bitcoin

import (
	"fmt"
	"testing"

	"cairn/anchor"
	"cairn/scripts/btcd"
)

// A block goes away, and its transaction is mined again in another.
func TestReorgOfEachDepth(t *testing.T) {
	r := newRig(t, P2WPKH, 200_000)
	ctx := testContext(t)
	previous := anchor.Root{}
	for depth := 1; depth <= 8; depth++ {
		root := rootOf(depth)
		a := r.sign(order(previous, root))
		r.send(a)
		at := r.node.Mine(depth)[0]
		before := r.find(true, a)
		data, err := r.Receipt(ctx, a, before.Block)
		if err != nil {
			t.Fatal(err)
		}
		r.node.Invalidate(at)
		r.find(false, a)
		r.stored(previous)
		_, err = r.Receipt(ctx, a, before.Block)
		wantIs(t, "receipt of a block that went away", err, anchor.ErrAgain)
		_, err = r.Complete(ctx, a, before.Block, data)
		wantIs(t, "its completion", err, anchor.ErrAgain)
		r.node.MineBlock(nil) // without it
		r.send(a)             // the node may have done so by itself
		r.node.Mine(depth)
		after := r.find(true, a)
		if after.Block == before.Block || after.Block.Height != before.Block.Height+1 || after.Cost != a.Fee {
			t.Errorf("depth %d: got %+v, before %+v", depth, after, before)
		}
		r.stored(root)
		r.receipt(a, after.Block)
		previous = root
	}
	// The line is whole: each anchor spends the one before it.
	if n := r.scan.b.line.Count; n != 8 {
		t.Errorf("got a line of %d anchors, want 8", n)
	}
}

// The old chain comes back.
func TestReorgAndBack(t *testing.T) {
	r := newRig(t, P2TR, 200_000)
	a := r.anchor(anchor.Root{}, rootOf(1))
	at := r.find(true, a)
	r.node.Mine(2)
	b := r.anchor(rootOf(1), rootOf(2))
	before := r.find(true, b)
	r.node.Invalidate(txid(at.Block.Hash))
	r.stored(anchor.Root{})
	r.node.MineBlock(nil)
	r.find(false, a, b)
	r.node.Reconsider(txid(at.Block.Hash))
	if after := r.find(true, b); after != before {
		t.Errorf("got %+v, want %+v", after, before)
	}
	r.stored(rootOf(2))
	r.anchor(rootOf(2), rootOf(3))
}

// Two anchors go away; of the first another version is mined instead, so that
// the second can never be: the next is signed on the line's true end.
func TestReorgTakesAnotherVersion(t *testing.T) {
	r := newRig(t, P2WPKH, 200_000)
	first := r.anchor(anchor.Root{}, rootOf(1))
	a := r.sign(order(rootOf(1), rootOf(2)))
	r.send(a)
	b := r.sign(order(rootOf(1), rootOf(3), a))
	r.send(b)
	at := r.node.Mine(1)[0]
	r.stored(rootOf(3))
	c := r.anchor(rootOf(3), rootOf(4))
	r.node.Invalidate(at)
	r.stored(rootOf(1))
	r.node.MineBlock(nil, parsed(t, a))
	r.node.Mine(2)
	if f := r.find(true, a, b); f.Which != 0 {
		t.Errorf("got %+v, want the older version", f)
	}
	r.find(false, c)
	r.find(true, first)
	r.stored(rootOf(2))
	wantIs(t, "send on what is no more", r.Send(testContext(t), c), anchor.ErrAsk)
	d := r.sign(order(rootOf(2), rootOf(4), c))
	if got := parsed(t, d).TxIn[0].PreviousOutPoint.Hash; got != parsed(t, a).TxHash() || d.Place == c.Place {
		t.Errorf("the next attempt spends %s, want %s", got, parsed(t, a).TxHash())
	}
	r.send(d)
	r.node.Mine(1)
	r.find(true, d)
	r.stored(rootOf(4))
}

// The chain becomes shorter, and with it the lock time lies ahead.
func TestReorgToAShorterChain(t *testing.T) {
	r := newRig(t, P2WPKH, 200_000)
	r.anchor(anchor.Root{}, rootOf(1))
	hashes := r.node.Mine(3)
	a := r.sign(order(rootOf(1), rootOf(2)))
	r.node.Invalidate(hashes[0])
	// On this network btcd takes it early; others say that it is not final yet.
	if err := r.Send(testContext(t), a); err != nil {
		wantIs(t, "send before its lock time", err, anchor.ErrBusy)
	}
	r.find(false, a)
	r.node.Mine(3)
	r.node.Mine(1)
	r.find(true, a)
}

// Two nodes mine apart, and one finds that the other's chain is longer.
func TestReorgBetweenPeers(t *testing.T) {
	for _, depth := range []int{1, 3, 8} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			r := newRig(t, P2WPKH, 200_000)
			other := btcd.Start(t)
			r.node.Connect(other)
			_, tip := r.node.Tip()
			other.WaitFor(tip)
			r.anchor(anchor.Root{}, rootOf(1))
			_, tip = r.node.Tip()
			other.WaitFor(tip)
			r.node.Disconnect(other)

			a := r.sign(order(rootOf(1), rootOf(2)))
			r.send(a)
			r.node.Mine(depth)
			before := r.find(true, a)
			for range depth + 1 {
				other.MineBlock(nil)
			}
			_, tip = other.Tip()
			r.node.Connect(other)
			r.node.WaitFor(tip)
			r.find(false, a)
			r.stored(rootOf(1))
			if err := r.Send(testContext(t), a); err != nil {
				t.Errorf("send it again: %v", err)
			}
			r.node.Mine(1)
			if after := r.find(true, a); after.Block == before.Block {
				t.Errorf("got %+v, as before", after)
			}
			r.anchor(rootOf(2), rootOf(3))
		})
	}
}

// Deeper than what can be taken back, everything is read anew.
func TestReorgDeeperThanTheBook(t *testing.T) {
	r := newRig(t, P2WPKH, 200_000)
	r.anchor(anchor.Root{}, rootOf(1))
	at := r.node.Mine(1)[0]
	a := r.anchor(rootOf(1), rootOf(2))
	r.node.Mine(maxFollowed)
	r.stored(rootOf(2))
	if n := len(r.scan.b.blocks); n != maxFollowed {
		t.Errorf("got %d blocks, want %d", n, maxFollowed)
	}
	r.node.Invalidate(at)
	// A node that is so far behind may just have begun to fetch blocks.
	_, err := r.Stored(testContext(t))
	wantIs(t, "stored of a node far behind", err, anchor.ErrAgain)
	for range maxFollowed + 3 {
		r.node.MineBlock(nil)
	}
	r.stored(rootOf(1))
	r.find(false, a)
	r.send(a)
	r.node.Mine(1)
	r.find(true, a)
	r.anchor(rootOf(2), rootOf(3))
}

func TestRestartOfTheNodeAndOfTheRoute(t *testing.T) {
	r := newRig(t, P2WPKH, 200_000)
	ctx := testContext(t)
	a := r.anchor(anchor.Root{}, rootOf(1))
	b := r.sign(order(rootOf(1), rootOf(2)))
	r.send(b)
	r.node.Kill() // and its mempool
	_, err := r.Stored(ctx)
	wantIs(t, "stored of a node that is gone", err, anchor.ErrDown)
	_, err = r.Tips(ctx)
	wantIs(t, "its tips", err, anchor.ErrDown)
	wantIs(t, "send", r.Send(ctx, b), anchor.ErrDown)
	wantIs(t, "ready", r.Ready(ctx), anchor.ErrDown)
	r.node.Resume()
	r.find(false, b)
	r.again()
	r.stored(rootOf(1))
	r.find(true, a)
	r.send(b)
	r.node.Mine(1)
	r.again()
	r.find(true, b)
	r.stored(rootOf(2))
}
