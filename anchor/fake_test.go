package anchor

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"cairn/merkle"
)

// fakeChain is a chain with one sender and the compare-and-swap contract. It
// mines when told to, forks when told to, and fails when told to.
type fakeChain struct {
	mu     sync.Mutex
	blocks []fakeBlock // blocks[0] is the genesis
	pool   map[string]fakeTx
	forks  uint64
	depth  uint64 // final = latest − depth
	floor  uint64 // lowest fee that a block takes
	least  uint64 // lowest fee that the pool takes, and keeps
	cap    uint64 // the sender's ceiling
	exact  bool   // a transaction costs its fee; else the floor of its block and 1
	noHead bool   // Stored says ErrNoHead
	purse  Funds
	at     map[string]int        // height of each transaction in a block
	fault  func(op string) error // before the operation is carried out
	after  func(op string) error // after it was
	calls  map[string]int
	signed int
	ready  error
}

type fakeTx struct {
	nonce, fee     uint64
	previous, root merkle.Hash
}

type fakeBlock struct {
	hash [32]byte
	time int64
	head merkle.Hash
	txs  []string
	ok   []bool // moved the head
	fail []bool // reverted
	raw  []fakeTx
	cost []uint64
	used uint64 // nonces, in all blocks up to this one
}

func newFakeChain() *fakeChain {
	c := &fakeChain{pool: map[string]fakeTx{}, depth: 6, cap: 1000, calls: map[string]int{}, at: map[string]int{}}
	c.purse = Funds{Unit: "pebble", Address: "fake1", Balance: 1 << 40, PerAnchor: 10}
	c.blocks = []fakeBlock{{hash: sha256.Sum256([]byte("genesis")), time: time.Now().UnixMilli()}}
	return c
}

func (t fakeTx) id() string {
	b := binary.BigEndian.AppendUint64(nil, t.nonce)
	b = binary.BigEndian.AppendUint64(b, t.fee)
	h := sha256.Sum256(slices.Concat(b, t.previous[:], t.root[:]))
	return string(h[:])
}

func (t fakeTx) raw() []byte {
	b := binary.BigEndian.AppendUint64(nil, t.nonce)
	b = binary.BigEndian.AppendUint64(b, t.fee)
	return slices.Concat(b, t.previous[:], t.root[:])
}

func parseTx(b []byte) (t fakeTx) {
	t.nonce, t.fee = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	copy(t.previous[:], b[16:])
	copy(t.root[:], b[48:])
	return t
}

func (c *fakeChain) nonce() uint64 { return c.blocks[len(c.blocks)-1].used }

// pending is the next nonce after those in blocks and, without a gap, the pool.
func (c *fakeChain) pending() uint64 {
	n := c.nonce()
	if len(c.pool) == 0 {
		return n
	}
	for {
		has := false
		for _, p := range c.pool {
			has = has || p.nonce == n
		}
		if !has {
			return n
		}
		n++
	}
}

// mine makes one block. The caller holds no lock.
func (c *fakeChain) mine() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mineLocked(true)
}

func (c *fakeChain) mineLocked(full bool) {
	last := c.blocks[len(c.blocks)-1]
	b := fakeBlock{time: time.Now().UnixMilli(), head: last.head}
	maps.DeleteFunc(c.pool, func(_ string, p fakeTx) bool { return p.fee < c.least })
	for full {
		id, tx, ok := c.best(c.nonce() + uint64(len(b.txs)))
		if !ok {
			break
		}
		moved, failed := tx.root != b.head && tx.previous == b.head, tx.root != b.head && tx.previous != b.head
		if c.noHead && tx.root != b.head {
			moved, failed = true, false // nothing is compared
		}
		if moved {
			b.head = tx.root
		}
		b.txs, b.raw = append(b.txs, id), append(b.raw, tx)
		b.ok, b.fail = append(b.ok, moved), append(b.fail, failed)
		cost := tx.fee
		if !c.exact {
			cost = min(cost, c.floor+1)
		}
		b.cost = append(b.cost, cost)
		c.at[id] = len(c.blocks)
		delete(c.pool, id)
	}
	for id, tx := range c.pool {
		if tx.nonce < c.nonce()+uint64(len(b.txs)) {
			delete(c.pool, id)
		}
	}
	c.forks++
	b.used = last.used + uint64(len(b.txs))
	b.hash = sha256.Sum256(binary.BigEndian.AppendUint64(last.hash[:], c.forks))
	c.blocks = append(c.blocks, b)
}

func (c *fakeChain) best(nonce uint64) (string, fakeTx, bool) {
	var id string
	var best fakeTx
	for _, k := range slices.Sorted(maps.Keys(c.pool)) {
		if t := c.pool[k]; t.nonce == nonce && t.fee >= c.floor && t.fee > best.fee {
			id, best = k, t
		}
	}
	return id, best, id != ""
}

// reorg replaces the newest n blocks by n+1 others. The transactions go back
// to the pool, or are lost.
func (c *fakeChain) reorg(n int, keep bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n = min(n, len(c.blocks)-1)
	cut := c.blocks[len(c.blocks)-n:]
	c.blocks = slices.Clone(c.blocks[:len(c.blocks)-n])
	for _, b := range cut {
		for i, id := range b.txs {
			delete(c.at, id)
			if keep {
				c.pool[id] = b.raw[i]
			}
		}
	}
	for range n + 1 {
		c.mineLocked(false)
	}
}

func (c *fakeChain) on(op string) error {
	c.calls[op]++
	if c.fault != nil {
		return c.fault(op)
	}
	return nil
}

func (c *fakeChain) done(op string) error {
	if c.after != nil {
		return c.after(op)
	}
	return nil
}

func (c *fakeChain) Name() string { return "fake:1" }

func (c *fakeChain) Ready(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.on("ready"); err != nil {
		return err
	}
	return c.ready
}

func (c *fakeChain) block(i int) Block {
	return Block{Height: uint64(i), Hash: c.blocks[i].hash, Time: c.blocks[i].time}
}

func (c *fakeChain) Tips(context.Context) (Tips, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := Tips{Latest: c.block(len(c.blocks) - 1), Rule: fmt.Sprintf("depth %d", c.depth)}
	if n := len(c.blocks) - 1 - int(c.depth); n > 0 {
		t.Final = c.block(n)
	}
	return t, c.on("tips")
}

func (c *fakeChain) Stored(context.Context) (merkle.Hash, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.noHead {
		return merkle.Hash{}, ErrNoHead
	}
	return c.blocks[len(c.blocks)-1].head, c.on("stored")
}

func (c *fakeChain) Funds(context.Context) (Funds, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.purse, c.on("funds")
}

func (c *fakeChain) Sign(_ context.Context, o Order) (Attempt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.on("sign"); err != nil {
		return Attempt{}, err
	}
	if head := c.blocks[len(c.blocks)-1].head; !c.noHead && head != o.Previous {
		return Attempt{}, fmt.Errorf("%w: the head is %s", ErrAgain, head)
	}
	used, pending := c.nonce(), c.pending()
	prior := o.Prior
	tx := fakeTx{nonce: pending, fee: max(10, c.floor, uint64(o.Want)), previous: o.Previous, root: o.Root}
	if len(prior) > 0 { // the newest one's place, unless it is used or lies above a gap
		if old := parseTx(prior[len(prior)-1].Raw); old.nonce >= used && old.nonce <= pending {
			tx.nonce = old.nonce
			tx.fee = uint64(o.Want) // a replacement: what is wanted, or the least
		}
	}
	for _, p := range prior {
		if old := parseTx(p.Raw); old.nonce == tx.nonce {
			tx.fee = max(tx.fee, old.fee+old.fee/8+1)
		}
	}
	if tx.fee > c.cap || Amount(tx.fee) > o.Limit {
		return Attempt{}, ErrFees
	}
	c.signed++
	return Attempt{ID: []byte(tx.id()), Raw: tx.raw(), Root: tx.root, Fee: Amount(tx.fee), Place: fmt.Sprint(tx.nonce)}, c.done("sign")
}

func (c *fakeChain) Send(_ context.Context, a Attempt) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.on("send"); err != nil {
		return err
	}
	tx := parseTx(a.Raw)
	if tx.nonce < c.nonce() {
		return fmt.Errorf("%w: nonce too low", ErrAsk)
	}
	if tx.nonce > c.pending() {
		return fmt.Errorf("%w: it would leave a gap", ErrAsk)
	}
	if tx.fee < c.least {
		return fmt.Errorf("%w: the pool takes no less than %d", ErrPrice, c.least)
	}
	for _, p := range c.pool {
		if p.nonce == tx.nonce && p.id() != tx.id() && tx.fee < p.fee+p.fee/10 {
			return fmt.Errorf("%w: replacement underpriced", ErrPrice)
		}
	}
	maps.DeleteFunc(c.pool, func(_ string, p fakeTx) bool { return p.nonce == tx.nonce })
	c.pool[tx.id()] = tx
	return c.done("send")
}

func (c *fakeChain) Find(_ context.Context, as []Attempt) (Found, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.on("find"); err != nil {
		return Found{}, false, err
	}
	var reverted *Found
	for i := len(as) - 1; i >= 0; i-- {
		h, ok := c.at[string(as[i].ID)]
		if !ok {
			continue
		}
		b := &c.blocks[h]
		k := slices.Index(b.txs, string(as[i].ID))
		f := Found{Which: i, Block: c.block(h), Reverted: b.fail[k], Cost: Amount(b.cost[k])}
		if !f.Reverted {
			return f, true, nil
		}
		if reverted == nil {
			reverted = &f
		}
	}
	if reverted != nil {
		return *reverted, true, nil
	}
	return Found{}, false, nil
}

func (c *fakeChain) Receipt(_ context.Context, a Attempt, b Block) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.on("receipt"); err != nil {
		return nil, err
	}
	if int(b.Height) >= len(c.blocks) || c.blocks[b.Height].hash != b.Hash {
		return nil, fmt.Errorf("%w: no such block", ErrAgain)
	}
	return slices.Concat([]byte("receipt"), b.Hash[:], a.Root[:]), nil
}

// Complete says what it was given, and that the block is final.
func (c *fakeChain) Complete(_ context.Context, _ Attempt, b Block, receipt []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.on("complete"); err != nil {
		return nil, err
	}
	if int(b.Height) >= len(c.blocks) || c.blocks[b.Height].hash != b.Hash {
		return nil, fmt.Errorf("%w: no such block", ErrAgain)
	}
	return append(slices.Clone(receipt), " complete"...), nil
}

// paid is what all transactions of the chain as it stands cost.
func (c *fakeChain) paid() (sum Amount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.blocks {
		for i := range b.txs {
			if b.raw[i].root != (merkle.Hash{}) { // of ours
				sum += Amount(b.cost[i])
			}
		}
	}
	return sum
}

// moves counts how often each root became the head in the chain as it stands,
// and idle how many transactions paid for nothing.
func (c *fakeChain) moves() (moves map[merkle.Hash]int, idle int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	moves = map[merkle.Hash]int{}
	for _, b := range c.blocks {
		for i := range b.txs {
			if b.ok[i] {
				moves[b.raw[i].root]++
			} else {
				idle++
			}
		}
	}
	return moves, idle
}

// memJournal keeps records in memory, and fails when told to.
type memJournal struct {
	mu   sync.Mutex
	m    map[string][]byte
	fail func(key string) (before, after error)
	puts int
}

func newMemJournal() *memJournal { return &memJournal{m: map[string][]byte{}} }

func (j *memJournal) Put(key string, value []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.puts++
	var before, after error
	if j.fail != nil {
		before, after = j.fail(key)
	}
	if before != nil {
		return before
	}
	j.m[key] = slices.Clone(value)
	return after
}

func (j *memJournal) Seek(key string) (string, []byte, bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(j.m)) {
		if k >= key {
			return k, slices.Clone(j.m[k]), true, nil
		}
	}
	return "", nil, false, nil
}

// fakeLog is a ledger whose size grows by one per window of the clock.
type fakeLog struct {
	mu     sync.Mutex
	start  time.Time
	window time.Duration
	frozen uint64 // not 0: the size stays
	forget uint64 // not 0: heads of at least this size are not known
}

func newFakeLog() *fakeLog { return &fakeLog{start: time.Now(), window: time.Minute} }

func rootOf(size uint64) merkle.Hash {
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte("root"), size))
}

func (l *fakeLog) size() uint64 {
	if l.frozen != 0 {
		return l.frozen
	}
	return uint64(time.Since(l.start) / l.window)
}

func (l *fakeLog) Head() (uint64, merkle.Hash, []byte, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.size()
	return n, rootOf(n), fmt.Appendf(nil, "note %d", n), n > 0
}

func (l *fakeLog) FindRoot(root merkle.Hash) (uint64, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := uint64(1); n <= l.size() && (l.forget == 0 || n < l.forget); n++ {
		if rootOf(n) == root {
			return n, true, nil
		}
	}
	return 0, false, nil
}

func (l *fakeLog) WindowStart(i uint64) (int64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.start.Add(time.Duration(i) * l.window).UnixMilli(), i < l.size()
}

var errCrash = errors.New("crash")
