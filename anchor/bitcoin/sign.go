package bitcoin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/wire/v2"

	"cairn/anchor"
)

// rates are fee rates in satoshi per virtual byte.
type rates struct {
	estimate float64 // the node's, or the floor; never below floor and relay
	relay
	ceiling float64
}

// rates asks for the fee with which a transaction is in a block within a time.
func (c *Chain) rates(ctx context.Context, within time.Duration) (rates, error) {
	pool, err := c.node.relay(ctx)
	if err != nil {
		return rates{}, err
	}
	estimate, err := c.node.estimate(ctx, within)
	if err != nil {
		return rates{}, err
	}
	r := rates{relay: pool, ceiling: c.cfg.MaxSatPerVB}
	r.least = max(r.least, c.cfg.FloorSatPerVB)
	r.estimate = max(estimate, r.least)
	return r, nil
}

// offer returns the fee that a first attempt of a size offers.
func (r rates) offer(size int64) int64 { return asAmount(r.estimate * float64(size)) }

// replaced is what a new attempt takes the place of.
type replaced struct {
	fee, size int64
}

// replacement returns the least fee with which a transaction of a size replaces
// all of old (BIP-125): more than each of them paid, by the relay rate for its
// own size, and more per byte.
func (r rates) replacement(size int64, old []replaced) int64 {
	least := asAmount(r.least * float64(size))
	for _, o := range old {
		least = max(least, o.fee+asAmount(r.more*float64(size)), o.fee*size/o.size+1)
	}
	return least
}

// price returns the fee for a transaction of a size. A first one offers the
// estimate; a replacement offers what is wanted, if that is allowed and enough.
// Above what is allowed it is an ErrFees.
func (r rates) price(size int64, old []replaced, want, limit anchor.Amount) (int64, error) {
	most := int64(r.ceiling * float64(size))
	if limit < anchor.Amount(most) {
		most = int64(limit)
	}
	fee := r.offer(size)
	if len(old) > 0 {
		fee = r.replacement(size, old)
		if want > anchor.Amount(fee) {
			fee = int64(min(want, anchor.Amount(max(most, fee))))
		}
	}
	if fee > most {
		return 0, fmt.Errorf("%w: it would take %d satoshi (%.1f sat/vB), at most %d (%.1f sat/vB)",
			anchor.ErrFees, fee, float64(fee)/float64(size), most, float64(most)/float64(size))
	}
	return fee, nil
}

// plan is what is to be signed.
type plan struct {
	in  []coin
	fee int64
}

// Sign makes the transaction that carries the root.
func (c *Chain) Sign(ctx context.Context, o anchor.Order) (anchor.Attempt, error) {
	b, err := c.follow(ctx)
	if err != nil {
		return anchor.Attempt{}, err
	}
	defer c.release()
	if c.key.locked != nil {
		return anchor.Attempt{}, c.key.locked
	}
	if err := b.beganEarlier(); err != nil {
		return anchor.Attempt{}, err
	}
	if b.line.Root != o.Previous {
		return anchor.Attempt{}, fmt.Errorf("%w: the chain holds the head %s, not %s", anchor.ErrAgain, rootText(b.line.Root), rootText(o.Previous))
	}
	p, err := c.plan(ctx, b, o)
	if err != nil {
		return anchor.Attempt{}, err
	}
	return c.signPlan(b, p, o.Root)
}

// plan chooses inputs and fee. Input 0 is the line's tip. The largest top-up
// comes along if it is worth several times what that costs, or if the fee
// cannot be paid without it.
func (c *Chain) plan(ctx context.Context, b *book, o anchor.Order) (plan, error) {
	r, err := c.rates(ctx, o.Deadline)
	if err != nil {
		return plan{}, err
	}
	funds, err := c.inputs(ctx, b, o.Prior)
	if err != nil {
		return plan{}, err
	}
	if len(funds) == 0 {
		want := c.key.kind.dust() + r.offer(shape{c.key.kind, 1}.vsize())*int64(c.cfg.FundsFor)
		return plan{}, c.needs(0, want, fmt.Sprintf("for %d anchors", c.cfg.FundsFor))
	}
	if err := c.checkPool(ctx, funds[0], o.Prior); err != nil {
		return plan{}, err
	}
	if len(funds) > 1 && c.checkPool(ctx, funds[1], o.Prior) != nil {
		funds = funds[:1]
	}
	p, err := c.choose(r, funds, o)
	if err != nil {
		return plan{}, err
	}
	for _, coin := range p.in {
		ok, err := c.scan.holds(ctx, coin)
		if err != nil {
			return plan{}, err
		}
		if !ok {
			c.scan.unsure = true // it may be the book that is wrong
			return plan{}, fmt.Errorf("%w: the node does not have the output %s any more", anchor.ErrAgain, coin.Out)
		}
	}
	return p, nil
}

// choose returns the first choice of inputs that can pay within the order's
// bounds. If none can, lack of money is told before a ceiling.
func (c *Chain) choose(r rates, funds []coin, o anchor.Order) (plan, error) {
	var refused error
	for _, in := range c.choices(r, funds) {
		fee, err := r.price(shape{c.key.kind, len(in)}.vsize(), conflicts(in, o.Prior), o.Want, o.Limit)
		if err == nil {
			err = c.affords(in, fee)
		}
		if err == nil {
			return plan{in, fee}, nil
		}
		if refused == nil || errors.Is(err, anchor.ErrFunds) {
			refused = err
		}
	}
	return plan{}, refused
}

// choices returns the sets of inputs that come into question, the best first.
func (c *Chain) choices(r rates, funds []coin) [][]coin {
	alone := funds[:1:1]
	if len(funds) == 1 {
		return [][]coin{alone}
	}
	both := funds[:2:2]
	extra := r.offer(shape{c.key.kind, 2}.vsize()) - r.offer(shape{c.key.kind, 1}.vsize())
	if funds[1].Value > 4*extra {
		return [][]coin{both, alone}
	}
	return [][]coin{alone, both}
}

func (c *Chain) affords(in []coin, fee int64) error {
	var sum int64
	for _, coin := range in {
		sum += coin.Value
	}
	if want := fee + c.key.kind.dust(); sum < want {
		return c.needs(sum, want, "for this anchor")
	}
	return nil
}

// checkPool makes sure that no transaction waits in the node's mempool for the
// same output but those that are known. One that is not was signed by this key
// elsewhere, or before a journal was lost: it must be mined or go away first.
func (c *Chain) checkPool(ctx context.Context, tip coin, prior []anchor.Attempt) error {
	id, ok, err := c.node.spender(ctx, tip.Out)
	if err != nil || !ok {
		return err
	}
	for _, a := range prior {
		if known, ok := idOf(a.ID); ok && known == id {
			return nil
		}
	}
	return fmt.Errorf("%w: %s waits in the mempool on the output that is to be spent, and is none of this anchor's attempts", anchor.ErrAgain, txid(id))
}

// conflicts returns those of the attempts that cannot be mined beside a
// transaction with the inputs in.
func conflicts(in []coin, prior []anchor.Attempt) (old []replaced) {
	for _, a := range prior {
		tx, err := readTx(a.Raw)
		if err != nil || a.Dead || !shares(tx, in) {
			continue
		}
		old = append(old, replaced{fee: int64(min(a.Fee, maxMoney)), size: vsizeOf(tx)})
	}
	return old
}

func shares(tx *wire.MsgTx, in []coin) bool {
	for _, i := range tx.TxIn {
		for _, c := range in {
			if outpointOf(i.PreviousOutPoint) == c.Out {
				return true
			}
		}
	}
	return false
}

func (c *Chain) signPlan(b *book, p plan, root anchor.Root) (anchor.Attempt, error) {
	tx := buildTx(p.in, c.key.script, root, p.fee, b.height)
	if err := c.key.sign(tx, p.in); err != nil {
		return anchor.Attempt{}, fmt.Errorf("%w: %w", anchor.ErrLocked, err)
	}
	if err := checkTx(tx, p.in, c.key.script, root, p.fee); err != nil {
		return anchor.Attempt{}, fmt.Errorf("%w: another transaction was signed than the one asked for: %w", anchor.ErrLocked, err)
	}
	raw, err := serializeTx(tx)
	if err != nil {
		return anchor.Attempt{}, err
	}
	size := shape{c.key.kind, len(p.in)}.vsize()
	return anchor.Attempt{
		ID: idBytes(tx.TxHash()), Raw: raw, Root: root,
		Fee: anchor.Amount(p.fee), Place: p.in[0].Out.String(),
		Detail: fmt.Sprintf("%d in, %d vB, %.1f sat/vB, fee %d, change %d", len(p.in), size, float64(p.fee)/float64(size), p.fee, tx.TxOut[0].Value),
	}, nil
}
