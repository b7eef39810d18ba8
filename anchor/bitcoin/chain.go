package bitcoin

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"time"

	"cairn/anchor"
	"cairn/anchor/proof"
)

// Chain is one key's line of anchors on one network. It is safe for concurrent
// use: one call at a time works on the book of outputs, the others wait for it
// or for their contexts.
type Chain struct {
	cfg  Config
	node *Node
	key  key
	scan *scanner      // nil if not even the key's address is known
	busy chan struct{} // holds one token while scan is in use
}

var (
	_ anchor.Chain = (*Chain)(nil)
	_ anchor.Purse = (*Chain)(nil)
)

// Name returns "bitcoin:<network>".
func (c *Chain) Name() string { return "bitcoin:" + c.cfg.Network }

// Address returns the key's address, or nothing if the key file cannot be read
// at all.
func (c *Chain) Address() string { return c.key.address }

// Script returns the output script of Address.
func (c *Chain) Script() []byte { return append([]byte(nil), c.key.script...) }

// Node returns the node.
func (c *Chain) Node() *Node { return c.node }

// Close ends the calls that are under way, keeps the book, and ends the
// connections.
func (c *Chain) Close() {
	c.node.Close()
	c.busy <- struct{}{}
	defer c.release()
	if c.scan != nil {
		c.scan.save(true)
	}
	c.node.Close()
}

func (c *Chain) release() { <-c.busy }

// hold waits for the book. release gives it back.
func (c *Chain) hold(ctx context.Context) error {
	if c.scan == nil {
		return c.key.locked
	}
	select {
	case c.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: still looking for outputs of the key", anchor.ErrAgain)
	}
}

// follow holds the book at the node's tip, the node being on the right
// network. On success the caller must release it.
func (c *Chain) follow(ctx context.Context) (*book, error) {
	if err := c.node.CheckNetwork(ctx); err != nil {
		return nil, err
	}
	if err := c.hold(ctx); err != nil {
		return nil, err
	}
	if err := c.scan.follow(ctx); err != nil {
		c.release()
		return nil, err
	}
	return c.scan.b, nil
}

// Ready checks network, key, book and funds, in this order.
func (c *Chain) Ready(ctx context.Context) error {
	if err := c.node.CheckNetwork(ctx); err != nil {
		return err
	}
	if c.key.locked != nil {
		return c.key.locked
	}
	b, err := c.follow(ctx)
	if err != nil {
		return err
	}
	defer c.release()
	if err := b.beganEarlier(); err != nil {
		return err
	}
	if err := c.scan.saveErr; err != nil {
		return fmt.Errorf("%w: keep the outputs of the key: %w", anchor.ErrBusy, err)
	}
	f, err := c.funds(ctx, b)
	if err != nil {
		return err
	}
	want := f.PerAnchor*anchor.Amount(c.cfg.FundsFor) + anchor.Amount(c.key.kind.dust())
	if f.Balance < want {
		return c.needs(int64(f.Balance), int64(want), fmt.Sprintf("for %d anchors", c.cfg.FundsFor))
	}
	return nil
}

// needs is an ErrFunds that names address and amount of what would help.
func (c *Chain) needs(has, want int64, what string) error {
	return fmt.Errorf("%w: %s has %d satoshi in blocks since %d, want %d %s: send at least %d satoshi to it",
		anchor.ErrFunds, c.key.address, has, c.cfg.Birthday, want, what, max(want-has, minTopUp))
}

// Funds returns what the line can spend now: outputs in blocks, ripe ones if
// they were mined.
func (c *Chain) Funds(ctx context.Context) (anchor.Funds, error) {
	b, err := c.follow(ctx)
	if err != nil {
		return anchor.Funds{}, err
	}
	defer c.release()
	return c.funds(ctx, b)
}

func (c *Chain) funds(ctx context.Context, b *book) (anchor.Funds, error) {
	r, err := c.rates(ctx, time.Hour)
	if err != nil {
		return anchor.Funds{}, err
	}
	f := anchor.Funds{Unit: "satoshi", Address: c.key.address, PerAnchor: anchor.Amount(r.offer(shape{c.key.kind, 1}.vsize()))}
	for _, coin := range b.funds(c.scan.maturity) {
		f.Balance += anchor.Amount(coin.Value)
	}
	return f, nil
}

// Tips returns the newest block, and the newest one with Depth confirmations,
// its own among them. It also moves the book on, as far as it comes.
func (c *Chain) Tips(ctx context.Context) (anchor.Tips, error) {
	if err := c.node.CheckNetwork(ctx); err != nil {
		return anchor.Tips{}, err
	}
	height, hash, err := c.node.Tip(ctx)
	if err != nil {
		return anchor.Tips{}, err
	}
	t := anchor.Tips{Rule: fmt.Sprintf("depth %d", c.cfg.Depth)}
	if t.Latest, err = c.block(ctx, height, hash); err != nil {
		return anchor.Tips{}, err
	}
	if back := uint32(c.cfg.Depth) - 1; height >= back && height-back > 0 {
		hash, err := c.node.HeaderHash(ctx, height-back)
		if err != nil {
			return anchor.Tips{}, err
		}
		if t.Final, err = c.block(ctx, height-back, hash); err != nil {
			return anchor.Tips{}, err
		}
	}
	c.moveOn(ctx)
	return t, nil
}

// moveOn lets the book follow for half of the time that is left, unless it is
// in use. What goes wrong is said by those who need the book.
func (c *Chain) moveOn(ctx context.Context) {
	if c.scan == nil {
		return
	}
	select {
	case c.busy <- struct{}{}:
		defer c.release()
	default:
		return
	}
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, time.Now().Add(time.Until(end)/2))
		defer cancel()
	}
	_ = c.scan.follow(ctx)
}

// Seen returns the newest block.
func (c *Chain) Seen(ctx context.Context) (anchor.Block, error) {
	if err := c.node.CheckNetwork(ctx); err != nil {
		return anchor.Block{}, err
	}
	height, hash, err := c.node.Tip(ctx)
	if err != nil {
		return anchor.Block{}, err
	}
	return c.block(ctx, height, hash)
}

func (c *Chain) block(ctx context.Context, height uint32, hash [32]byte) (anchor.Block, error) {
	h, err := c.node.Header(ctx, hash)
	if err != nil {
		return anchor.Block{}, err
	}
	return anchor.Block{Height: uint64(height), Hash: hash, Time: h.Time()}, nil
}

// Stored returns the root of the newest anchor of the line that is in a block.
func (c *Chain) Stored(ctx context.Context) (anchor.Root, error) {
	b, err := c.follow(ctx)
	if err != nil {
		return anchor.Root{}, err
	}
	defer c.release()
	return anchor.Root(b.line.Root), b.beganEarlier()
}

// FirstOutpoint returns the output that the line's first anchor spent or, as
// long as there is none, would spend now.
func (c *Chain) FirstOutpoint(ctx context.Context) (proof.Outpoint, error) {
	b, err := c.follow(ctx)
	if err != nil {
		return proof.Outpoint{}, err
	}
	defer c.release()
	first := b.line.First
	if b.line.Count == 0 {
		in := b.funds(c.scan.maturity)
		if len(in) == 0 {
			return proof.Outpoint{}, c.needs(0, minTopUp, "to begin with")
		}
		first = in[0].Out
	}
	return proof.Outpoint{TxID: first.Tx, Index: first.Index}, nil
}

// BeginWith has the first anchor spend an output, as Config.First does from the
// start: what was said of the line elsewhere holds at once. Once there is an
// anchor it changes nothing.
func (c *Chain) BeginWith(ctx context.Context, first proof.Outpoint) error {
	if err := c.hold(ctx); err != nil {
		return err
	}
	defer c.release()
	c.scan.b.first, c.scan.dirty = outpoint{Tx: first.TxID, Index: first.Index}, true
	return nil
}

// Send hands an attempt to the node, after asking whether it would take it.
func (c *Chain) Send(ctx context.Context, a anchor.Attempt) error {
	if err := c.node.CheckNetwork(ctx); err != nil {
		return err
	}
	if _, err := readTx(a.Raw); err != nil {
		return fmt.Errorf("%w: %w", anchor.ErrRefused, err)
	}
	raw := hex.EncodeToString(a.Raw)
	if err := c.node.accepts(ctx, raw); err != nil {
		return err
	}
	_, err := c.node.call(ctx, "sendrawtransaction", raw)
	return sendMeaning(err)
}

// Find looks for the attempts in the book, newest first. The book has the
// newest thousand transactions that spent outputs of the key; one that stands
// in no block, or whose block went away, is not among them. That none is there
// is said only if they cannot stand in a block from before the birthday.
func (c *Chain) Find(ctx context.Context, attempts []anchor.Attempt) (anchor.Found, bool, error) {
	b, err := c.follow(ctx)
	if err != nil {
		return anchor.Found{}, false, err
	}
	defer c.release()
	for i := len(attempts) - 1; i >= 0; i-- {
		id, ok := idOf(attempts[i].ID)
		if !ok {
			continue
		}
		s, ok := b.find(id)
		if !ok {
			continue
		}
		f := anchor.Found{Which: i, Cost: anchor.Amount(s.Cost)}
		f.Block, err = c.blockAt(ctx, b, s.Height)
		return f, err == nil, err
	}
	return anchor.Found{}, false, b.covers(attempts)
}

// blockAt returns the block of the book's chain at a height.
func (c *Chain) blockAt(ctx context.Context, b *book, height uint32) (anchor.Block, error) {
	if f, ok := b.at(height); ok {
		return anchor.Block{Height: uint64(height), Hash: f.Hash, Time: int64(f.Time) * 1000}, nil
	}
	hash, err := c.node.HeaderHash(ctx, height)
	if err != nil {
		return anchor.Block{}, err
	}
	return c.block(ctx, height, hash)
}

// covers is an error if attempts may stand in blocks that were not read.
func (b *book) covers(attempts []anchor.Attempt) error {
	if err := b.beganEarlier(); err != nil {
		return err
	}
	for _, a := range attempts {
		if at := time.UnixMilli(a.SignedAt); a.SignedAt > 0 && at.Add(proof.BitcoinTimeSlack).Before(time.Unix(int64(b.since), 0)) {
			return fmt.Errorf("%w: %x was signed at %s, before the key's birthday: set that to an earlier block",
				anchor.ErrUnknownHead, a.ID, at.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// asAmount bounds a computed fee.
func asAmount(satoshi float64) int64 {
	if satoshi > math.MaxInt32*1000 {
		return math.MaxInt32 * 1000
	}
	return int64(math.Ceil(satoshi))
}

func rootText(r [32]byte) string {
	if r == ([32]byte{}) {
		return "none"
	}
	return hex.EncodeToString(r[:])
}
