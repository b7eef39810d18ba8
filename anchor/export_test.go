package anchor

// FakeChain is the tests' chain, for the suite of package conform.
type FakeChain struct {
	*fakeChain
	down bool
}

// NewFakeChain returns one whose blocks are final under depth others.
func NewFakeChain(depth uint64) *FakeChain {
	c := &FakeChain{fakeChain: newFakeChain()}
	c.depth = depth
	c.fault = func(string) error {
		if c.down {
			return ErrDown
		}
		return nil
	}
	return c
}

// Open returns the chain as another process has it.
func (c *FakeChain) Open() Chain { return c.fakeChain }

// Mine makes blocks.
func (c *FakeChain) Mine(n int) {
	for range n {
		c.mine()
	}
}

// Reorg replaces the newest blocks.
func (c *FakeChain) Reorg(depth int, keep bool) {
	if !keep {
		c.mu.Lock()
		clear(c.pool)
		c.mu.Unlock()
	}
	c.reorg(depth, keep)
}

// Heads returns the roots that the chain moved to.
func (c *FakeChain) Heads() (roots []Root) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.blocks {
		for i := range b.raw {
			if !b.fail[i] {
				roots = append(roots, b.raw[i].root)
			}
		}
	}
	return roots
}

// Spent is what all transactions cost.
func (c *FakeChain) Spent() Amount { return c.paid() }

// Down has every call fail.
func (c *FakeChain) Down() { c.set(true) }

// Up ends that.
func (c *FakeChain) Up() { c.set(false) }

func (c *FakeChain) set(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
}

// NoHead makes the chain one that keeps no head.
func (c *FakeChain) NoHead() { c.noHead = true }

// Free returns a chain that has no purse.
func (c *FakeChain) Free() Chain { return bare{c.fakeChain} }
