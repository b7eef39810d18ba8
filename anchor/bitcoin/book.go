package bitcoin

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"cairn/anchor"
)

// outpoint is proof.Outpoint in the book's encoding.
type outpoint struct {
	_     struct{} `cbor:",toarray"`
	Tx    [32]byte
	Index uint32
}

// String returns the outpoint as tools write it: "txid:index".
func (o outpoint) String() string {
	return fmt.Sprintf("%s:%d", chainhash.Hash(o.Tx), o.Index)
}

func outpointOf(o wire.OutPoint) outpoint { return outpoint{Tx: o.Hash, Index: o.Index} }

// coin is an unspent output of ours that stands in a block.
type coin struct {
	_        struct{} `cbor:",toarray"`
	Out      outpoint
	Value    int64  // satoshi
	Height   uint32 // of its block
	Coinbase bool
	// Change is set for output 0 of a transaction in an anchor's form. Only the
	// line spends it: it may be another ledger's.
	Change bool
}

// line is what is known of the chain of anchors. Each anchor's input spends
// Tip, and its output 0 is the next Tip. Tip is zero before the first anchor,
// and after a transaction that is no anchor spent it: the key was used
// elsewhere. The next anchor begins on another output then.
type line struct {
	_     struct{} `cbor:",toarray"`
	First outpoint // which the first anchor spent
	Tip   outpoint
	Root  [32]byte // of the newest anchor
	Count uint64   // of anchors
}

// spend is a transaction in a block that spends outputs of ours.
type spend struct {
	_      struct{} `cbor:",toarray"`
	Tx     [32]byte
	Height uint32
	Cost   uint64 // satoshi; 0 if others paid as well
}

// followed is a block that the book has taken in, and what undoes that.
type followed struct {
	_      struct{} `cbor:",toarray"`
	Hash   [32]byte
	Time   uint32     // Unix seconds, as in the header
	Spent  []coin     // coins that it spent
	Made   []outpoint // coins that it made
	Before *line      // the line before it, nil if it did not change
	Spends uint32     // entries that it added to the book's spends
}

const (
	maxFollowed = 400  // blocks that can be undone; deeper, the scan begins anew
	maxSpends   = 1024 // some days of anchors
	maxCoins    = 4096
	// minTopUp is the smallest output of others that is noticed, in satoshi.
	// Anyone can send any number of tiny ones to a public address.
	minTopUp = 5000
)

// book is the outputs of one script as the blocks up to its tip leave them,
// and the line of anchors in them. It only ever believes blocks. apply and
// undo are inverses, as long as the block is among the newest maxFollowed; only
// spends that fell off the end do not come back.
type book struct {
	script []byte
	first  outpoint // that the line must begin with, zero for any
	coins  map[outpoint]coin
	line   line
	spends []spend // oldest first
	// blocks are the newest ones, oldest first, without holes; the first of all
	// is the one before the birthday, which was not read and is not undone.
	blocks []followed
	height uint32 // of the last of blocks
	since  uint32 // time of the block before the birthday, Unix seconds
	// late is set when the line seems to have begun before the birthday.
	late *lateness
}

type lateness struct {
	_      struct{} `cbor:",toarray"`
	Tx     [32]byte
	Height uint32
}

func newBook(script []byte, first outpoint) *book {
	return &book{script: script, first: first, coins: map[outpoint]coin{}}
}

// begin makes the block before the birthday the book's tip.
func (b *book) begin(height uint32, hash [32]byte, time uint32) {
	b.blocks, b.height, b.since = []followed{{Hash: hash, Time: time}}, height, time
}

func (b *book) tip() *followed { return &b.blocks[len(b.blocks)-1] }

// at returns the block that the book has at a height, if it still knows.
func (b *book) at(height uint32) (followed, bool) {
	back := int64(b.height) - int64(height)
	if back < 0 || back >= int64(len(b.blocks)) {
		return followed{}, false
	}
	return b.blocks[len(b.blocks)-1-int(back)], true
}

// apply takes in the block after the tip.
func (b *book) apply(block *wire.MsgBlock) {
	b.height++
	f := followed{Hash: block.BlockHash(), Time: uint32(block.Header.Timestamp.Unix())}
	before, spends := b.line, len(b.spends)
	for i, tx := range block.Transactions {
		b.applyTx(&f, tx, i == 0)
	}
	f.Spends = uint32(len(b.spends) - spends)
	if b.line != before {
		f.Before = &before
	}
	if over := len(b.spends) - maxSpends; over > 0 {
		b.spends = slices.Delete(b.spends, 0, over)
	}
	if over := len(b.blocks) + 1 - maxFollowed; over > 0 {
		b.blocks = slices.Delete(b.blocks, 0, over)
	}
	b.blocks = append(b.blocks, f)
}

func (b *book) applyTx(f *followed, tx *wire.MsgTx, coinbase bool) {
	root, anchors := anchorRoot(tx, b.script)
	spent := b.take(f, tx, coinbase)
	pays := slices.ContainsFunc(tx.TxOut, func(o *wire.TxOut) bool { return bytes.Equal(o.PkScript, b.script) })
	if len(spent) == 0 && !pays {
		return
	}
	id := [32]byte(tx.TxHash())
	ours := len(spent) > 0 && spent[0].Out == outpointOf(tx.TxIn[0].PreviousOutPoint)
	if anchors && !ours && b.late == nil && witnessIsOurs(tx.TxIn[0].Witness, b.script) {
		b.late = &lateness{Tx: id, Height: b.height}
	}
	for i, out := range tx.TxOut {
		change := anchors && i == 0
		if !bytes.Equal(out.PkScript, b.script) || len(b.coins) >= maxCoins && !(change && ours) || out.Value < minTopUp && !(change && ours) {
			continue
		}
		c := coin{Out: outpoint{Tx: id, Index: uint32(i)}, Value: out.Value, Height: b.height, Coinbase: coinbase, Change: change}
		b.coins[c.Out] = c
		f.Made = append(f.Made, c.Out)
	}
	if len(spent) > 0 {
		b.spends = append(b.spends, spend{Tx: id, Height: b.height, Cost: costOf(tx, spent)})
		b.moveLine(tx, id, root, anchors && ours, spent)
	}
}

// take removes the coins that tx spends, and returns them in the order of its
// inputs.
func (b *book) take(f *followed, tx *wire.MsgTx, coinbase bool) (spent []coin) {
	if coinbase {
		return nil
	}
	for _, in := range tx.TxIn {
		out := outpointOf(in.PreviousOutPoint)
		if c, ok := b.coins[out]; ok {
			spent = append(spent, c)
			delete(b.coins, out)
		}
	}
	f.Spent = append(f.Spent, spent...)
	return spent
}

// moveLine says what a transaction that spends coins of ours does to the line.
func (b *book) moveLine(tx *wire.MsgTx, id, root [32]byte, anchors bool, spent []coin) {
	onTip := slices.ContainsFunc(spent, func(c coin) bool { return c.Out == b.line.Tip })
	switch {
	case b.line.Tip != (outpoint{}) && !onTip:
		return // some other output: a top-up that was taken back, another ledger's
	case !anchors:
		b.line.Tip = outpoint{}
		return
	case b.line.Tip == (outpoint{}) && !b.mayBegin(spent[0].Out):
		return
	}
	if b.line.Count == 0 {
		b.line.First = spent[0].Out
	}
	b.line.Count++
	b.line.Root, b.line.Tip = root, outpoint{Tx: id}
}

// mayBegin tells whether the line may begin on an output: any, or the one that
// is prescribed as long as that one is there.
func (b *book) mayBegin(out outpoint) bool {
	if b.first == (outpoint{}) || b.line.Count > 0 || out == b.first {
		return true
	}
	_, there := b.coins[b.first]
	return !there
}

// undo takes back the newest block. It is false if that is not possible.
func (b *book) undo() bool {
	if len(b.blocks) < 2 {
		return false
	}
	f := b.tip()
	for _, c := range f.Spent {
		b.coins[c.Out] = c
	}
	for _, out := range f.Made {
		delete(b.coins, out)
	}
	if f.Before != nil {
		b.line = *f.Before
	}
	b.spends = b.spends[:max(0, len(b.spends)-int(f.Spends))]
	if b.late != nil && b.late.Height == b.height {
		b.late = nil
	}
	b.blocks = b.blocks[:len(b.blocks)-1]
	b.height--
	return true
}

// find returns the spend of an id in the chain.
func (b *book) find(id [32]byte) (spend, bool) {
	for _, s := range slices.Backward(b.spends) {
		if s.Tx == id {
			return s, true
		}
	}
	return spend{}, false
}

// ripe tells whether a coin may be spent in the block after the tip.
func (b *book) ripe(c coin, maturity uint16) bool {
	return !c.Coinbase || b.height+1-c.Height >= uint32(maturity)
}

// funds returns what the line can spend: the tip first, if there is one, else
// the output it would begin on; then top-ups, the largest first.
func (b *book) funds(maturity uint16) []coin {
	var tip, rest []coin
	for _, c := range slices.SortedFunc(maps.Values(b.coins), larger) {
		switch {
		case c.Out == b.line.Tip:
			tip = append(tip, c)
		case b.line.Count == 0 && c.Out == b.first:
			tip = append(tip, c) // ripe or not: on no other
		case !b.ripe(c, maturity):
		case !c.Change:
			rest = append(rest, c)
		}
	}
	if len(tip)+len(rest) == 0 && b.line.Tip == (outpoint{}) {
		// Nothing but the change of anchors that do not hang together with what
		// the book knows: the line itself, if the birthday is too late.
		for _, c := range b.coins {
			if c.Change {
				rest = append(rest, c)
			}
		}
		slices.SortFunc(rest, larger)
	}
	return append(tip, rest...)
}

func larger(x, y coin) int {
	return cmp.Or(cmp.Compare(y.Value, x.Value), bytes.Compare(x.Out.Tx[:], y.Out.Tx[:]), cmp.Compare(x.Out.Index, y.Out.Index))
}

// beganEarlier is an error if the line seems to have begun before the birthday.
// The witness that says so can be forged, at the cost of a transaction that only
// a miner puts into a block; it counts for nothing once the line was seen to
// begin where it was said to.
func (b *book) beganEarlier() error {
	asSaid := b.line.Count > 0 && b.first != (outpoint{}) && b.line.First == b.first
	if b.late == nil || asSaid {
		return nil
	}
	return fmt.Errorf("%w: %s in block %d continues anchors from before the birthday: set it to a block before the first of them",
		anchor.ErrUnknownHead, chainhash.Hash(b.late.Tx), b.late.Height)
}

// costOf returns the fee of a transaction, or 0 if not all inputs are ours.
func costOf(tx *wire.MsgTx, spent []coin) uint64 {
	if len(spent) != len(tx.TxIn) {
		return 0
	}
	var sum int64
	for _, c := range spent {
		sum += c.Value
	}
	for _, o := range tx.TxOut {
		sum -= o.Value
	}
	return uint64(max(sum, 0))
}

// anchorRoot returns the root in a transaction of an anchor's form: the change
// to script, OP_RETURN with 32 bytes, and no other output.
func anchorRoot(tx *wire.MsgTx, script []byte) (root [32]byte, ok bool) {
	if len(tx.TxOut) != 2 || !bytes.Equal(tx.TxOut[0].PkScript, script) {
		return root, false
	}
	data := tx.TxOut[1].PkScript
	if len(data) != 34 || data[0] != 0x6a || data[1] != 0x20 || tx.TxOut[1].Value != 0 {
		return root, false
	}
	return [32]byte(data[2:]), true
}
