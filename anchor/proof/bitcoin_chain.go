package proof

import (
	"fmt"
	"math/big"
	"slices"
)

// bitcoinParams are the rules of a network, as far as headers show them.
type bitcoinParams struct {
	name    BitcoinNetwork
	limit   *big.Int // the easiest target
	easiest uint32   // its bits, which cut off its lower end

	interval uint32 // blocks between retargets
	timespan int64  // seconds that interval blocks should take

	fixed bool // no retarget: every block has the easiest target

	// testnet4 has three rules of its own (BIP 94). A block more than twice the
	// spacing after the one before it has the easiest target, and does not count
	// for those after it; a period's first block is never such a one. A retarget
	// starts from the bits of that first block. And that block is at most 600 s
	// older than the one before it.
	testnet4 bool

	// known are blocks that this network's chain has, by height; the first is
	// the genesis block.
	known []bitcoinCheckpoint
}

type bitcoinCheckpoint struct {
	height uint32
	hash   [32]byte // internal byte order
}

const timeWarp = 600 // seconds, BIP 94's MAX_TIMEWARP

// newest returns the highest block that the network is known to have.
func (p *bitcoinParams) newest() bitcoinCheckpoint { return p.known[len(p.known)-1] }

func (p *bitcoinParams) knownAt(height uint32) ([32]byte, bool) {
	i, ok := slices.BinarySearchFunc(p.known, height, func(c bitcoinCheckpoint, h uint32) int {
		return int(int64(c.height) - int64(h))
	})
	if !ok {
		return [32]byte{}, false
	}
	return p.known[i].hash, true
}

// chainCheck goes along headers that follow one another and holds each against
// the rules. Where it starts inside a period it knows less, and then asks for
// what can be known:
//
//	link   each names the hash of the one before it
//	work   its hash is at most its target, that at most the network's easiest
//	bits   its target is the one the rules give. At a retarget whose period
//	       began before the first header: at most four times easier or harder
//	       than that period's
//	time   later than the median of the eleven before it (with fewer, only
//	       from the genesis block on); testnet4's rule at a retarget
//	known  a checkpoint's height has the checkpoint's hash
//
// Not checked, because headers alone do not show it: that a time is at most two
// hours ahead of the clock of those who took the block, version numbers, and
// the signature in a signet block's coinbase.
type chainCheck struct {
	p       *bitcoinParams
	first   uint32
	headers []BitcoinHeader

	hash   [32]byte // of the last one checked
	target targetCache
	work   *big.Int // of all checked so far

	// real are the period's bits, without those of testnet4's exception.
	real      uint32
	realKnown bool
}

// checkBitcoinChain checks headers, of which the first has height first, and
// returns the hash of the last and the work in all. An error names the height.
func checkBitcoinChain(p *bitcoinParams, first uint32, headers []BitcoinHeader) (tip [32]byte, work *big.Int, err error) {
	c := chainCheck{p: p, first: first, headers: headers, work: new(big.Int)}
	for i := range headers {
		if err := c.next(i); err != nil {
			return tip, nil, fmt.Errorf("block %d: %w", int64(first)+int64(i), err)
		}
	}
	return c.hash, c.work, nil
}

func (c *chainCheck) next(i int) error {
	h := &c.headers[i]
	height := c.first + uint32(i)
	if i > 0 && h.Prev() != c.hash {
		return fmt.Errorf("%w: it names %x, that is %x", ErrBitcoinLink, reversed(h.Prev()), reversed(c.hash))
	}
	c.hash = h.Hash()
	if want, ok := c.p.knownAt(height); ok && c.hash != want {
		return fmt.Errorf("%w: hash %x, want %x", ErrBitcoinCheckpoint, reversed(c.hash), reversed(want))
	}
	if err := c.target.check(c.p, h, c.hash); err != nil {
		return err
	}
	if err := c.checkBits(i, height); err != nil {
		return err
	}
	if err := c.checkTime(i, height); err != nil {
		return err
	}
	c.work.Add(c.work, c.target.work)
	if height%c.p.interval == 0 || !c.p.testnet4 || h.Bits() != c.p.easiest {
		c.real, c.realKnown = h.Bits(), true
	}
	return nil
}

func (c *chainCheck) checkBits(i int, height uint32) error {
	bits := c.headers[i].Bits()
	want, known := c.bits(i, height)
	if !known && height%c.p.interval == 0 {
		return c.checkStep(bits)
	}
	if known && bits != want {
		return fmt.Errorf("%w: bits %08x, want %08x", ErrBitcoinBits, bits, want)
	}
	return nil
}

// bits gives the bits that the header at i must have, if the headers before it
// show that. Of header i itself it looks at the time alone.
func (c *chainCheck) bits(i int, height uint32) (bits uint32, known bool) {
	switch {
	case c.p.fixed:
		return c.p.easiest, true
	case i == 0:
		return 0, false
	case height%c.p.interval == 0 && uint32(i) >= c.p.interval:
		return c.retarget(i), true
	case height%c.p.interval == 0:
		return 0, false
	case c.p.testnet4 && c.headers[i].seconds() > c.headers[i-1].seconds()+2*c.p.timespan/int64(c.p.interval):
		return c.p.easiest, true
	}
	return c.real, c.realKnown
}

// retarget gives the bits of the block at i, the first of a period whose
// predecessor is all in headers: the old target times the time from that
// period's first block to its last, over the time that it should have been,
// the factor being at least a quarter and at most four. (That this span is one
// block short is part of the rules.)
func (c *chainCheck) retarget(i int) uint32 {
	begin, last := &c.headers[i-int(c.p.interval)], &c.headers[i-1]
	old := last.Bits()
	if c.p.testnet4 {
		old = begin.Bits()
	}
	span := last.seconds() - begin.seconds()
	return c.scaled(old, min(max(span, c.p.timespan/4), c.p.timespan*4))
}

func (c *chainCheck) scaled(bits uint32, span int64) uint32 {
	t, _ := expandBits(bits) // it has been checked
	t.Mul(t, big.NewInt(span)).Div(t, big.NewInt(c.p.timespan))
	if t.Cmp(c.p.limit) > 0 {
		t = c.p.limit
	}
	if t.Sign() == 0 { // cannot be mined, and no target
		return 0
	}
	return compactBits(t)
}

// checkStep is the retarget of a period whose beginning is not known.
func (c *chainCheck) checkStep(bits uint32) error {
	if !c.realKnown {
		return nil
	}
	got, _ := expandBits(bits)
	hard, easy := c.scaled(c.real, c.p.timespan/4), c.scaled(c.real, c.p.timespan*4)
	low, _ := expandBits(hard)
	high, _ := expandBits(easy)
	if low != nil && got.Cmp(low) < 0 || got.Cmp(high) > 0 {
		return fmt.Errorf("%w: bits %08x after %08x, more than four times", ErrBitcoinBits, bits, c.real)
	}
	return nil
}

func (c *chainCheck) checkTime(i int, height uint32) error {
	now := c.headers[i].seconds()
	if i == 0 {
		return nil
	}
	if i >= medianSpan || c.first == 0 {
		if m := c.median(i); now <= m {
			return fmt.Errorf("%w: time %d is not after the median %d of those before it", ErrBitcoinTime, now, m)
		}
	}
	if before := c.headers[i-1].seconds(); c.p.testnet4 && height%c.p.interval == 0 && now < before-timeWarp {
		return fmt.Errorf("%w: time %d is more than %d s before %d", ErrBitcoinTime, now, timeWarp, before)
	}
	return nil
}

// median is that of the times of the up to eleven headers before i; of an even
// number, the higher of the two in the middle.
func (c *chainCheck) median(i int) int64 {
	var times [medianSpan]int64
	n := 0
	for ; n < medianSpan && n < i; n++ {
		times[n] = c.headers[i-1-n].seconds()
	}
	slices.Sort(times[:n])
	return times[n/2]
}
