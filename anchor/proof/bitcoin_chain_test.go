package proof

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// tinyNet is a network whose blocks are found after 64 tries where they are
// easiest, and whose period has 12 blocks of 600 s.
func tinyNet(testnet4, fixed bool) *bitcoinParams {
	p := &bitcoinParams{
		name: "tiny", limit: lowOnes(250), easiest: compactBits(lowOnes(250)), interval: 12, timespan: 12 * 600,
		testnet4: testnet4, fixed: fixed,
	}
	h := p.genesis()
	p.known = []bitcoinCheckpoint{{0, h.Hash()}}
	return p
}

func (p *bitcoinParams) genesis() BitcoinHeader {
	h := BitcoinHeader{0: 4}
	binary.LittleEndian.PutUint32(h[68:], 1_700_000_000)
	binary.LittleEndian.PutUint32(h[72:], p.easiest)
	mine(&h)
	return h
}

// mine looks for a nonce that makes the header's hash fit its bits.
func mine(h *BitcoinHeader) {
	anyNet := &bitcoinParams{limit: lowOnes(256)}
	var t targetCache
	for nonce := uint32(0); ; nonce++ {
		binary.LittleEndian.PutUint32(h[76:], nonce)
		if err := t.check(anyNet, h, h.Hash()); err == nil || t.work == nil {
			return
		}
	}
}

// after returns a mined header on top of prev.
func after(prev *BitcoinHeader, seconds int64, bits uint32) BitcoinHeader {
	h := BitcoinHeader{0: 4}
	hash := prev.Hash()
	copy(h[4:], hash[:])
	binary.LittleEndian.PutUint32(h[68:], uint32(seconds))
	binary.LittleEndian.PutUint32(h[72:], bits)
	mine(&h)
	return h
}

// oracle has btcd judge a header by the same rules.
type oracle struct {
	p      *bitcoinParams
	params chaincfg.Params
}

func newOracle(p *bitcoinParams) *oracle {
	return &oracle{p, chaincfg.Params{
		PowLimit: p.limit, PowLimitBits: p.easiest, TargetTimespan: time.Duration(p.timespan) * time.Second,
		TargetTimePerBlock: 600 * time.Second, RetargetAdjustmentFactor: 4, ReduceMinDifficulty: p.testnet4,
		MinDiffReductionTime: 1200 * time.Second, EnforceBIP94: p.testnet4, PoWNoRetargeting: p.fixed,
	}}
}

func (o *oracle) ChainParams() *chaincfg.Params                         { return &o.params }
func (o *oracle) BlocksPerRetarget() int32                              { return int32(o.p.interval) }
func (o *oracle) MinRetargetTimespan() int64                            { return o.p.timespan / 4 }
func (o *oracle) MaxRetargetTimespan() int64                            { return o.p.timespan * 4 }
func (o *oracle) VerifyCheckpoint(int32, *chainhash.Hash) bool          { return true }
func (o *oracle) FindPreviousCheckpoint() (blockchain.HeaderCtx, error) { return nil, nil }

type oracleHeader struct {
	chain []BitcoinHeader
	at    int
}

func (h oracleHeader) Height() int32    { return int32(h.at) }
func (h oracleHeader) Bits() uint32     { return h.chain[h.at].Bits() }
func (h oracleHeader) Timestamp() int64 { return h.chain[h.at].seconds() }
func (h oracleHeader) Parent() blockchain.HeaderCtx {
	return h.RelativeAncestorCtx(1)
}
func (h oracleHeader) RelativeAncestorCtx(d int32) blockchain.HeaderCtx {
	if h.at < int(d) {
		return nil
	}
	return oracleHeader{h.chain, h.at - int(d)}
}

// judge returns which of our errors btcd's judgement of the last header is.
func (o *oracle) judge(t *testing.T, chain []BitcoinHeader) error {
	t.Helper()
	last := chain[len(chain)-1]
	var h wire.BlockHeader
	if err := h.Deserialize(bytes.NewReader(last[:])); err != nil {
		t.Fatal(err)
	}
	if err := blockchain.CheckBlockHeaderSanity(&h, o.params.PowLimit, blockchain.NewMedianTime(), 0); err != nil {
		if isRule(err, blockchain.ErrTimeTooNew) {
			return nil
		}
		return ErrBitcoinWork
	}
	err := blockchain.CheckBlockHeaderContext(&h, oracleHeader{chain, len(chain) - 2}, 0, o, true)
	switch {
	case err == nil:
		return nil
	case isRule(err, blockchain.ErrUnexpectedDifficulty):
		return ErrBitcoinBits
	case isRule(err, blockchain.ErrTimeTooOld), isRule(err, blockchain.ErrTimewarpAttack):
		return ErrBitcoinTime
	}
	t.Fatal(err)
	return nil
}

func isRule(err error, code blockchain.ErrorCode) bool {
	var rule blockchain.RuleError
	return errors.As(err, &rule) && rule.ErrorCode == code
}

// TestSyntheticChains mines chains of which every header is judged by btcd as
// well, among them such as break a rule: too old, too easy, too hard, out of
// testnet's exception, warped at a retarget.
func TestSyntheticChains(t *testing.T) {
	for _, net := range []struct {
		name            string
		testnet4, fixed bool
	}{{"mainnet", false, false}, {"testnet4", true, false}, {"regtest", false, true}} {
		t.Run(net.name, func(t *testing.T) {
			p := tinyNet(net.testnet4, net.fixed)
			for seed := range uint64(3) {
				syntheticChain(t, p, rand.New(rand.NewPCG(seed, 7)))
			}
		})
	}
}

func syntheticChain(t *testing.T, p *bitcoinParams, rng *rand.Rand) {
	t.Helper()
	o := newOracle(p)
	chain := []BitcoinHeader{p.genesis()}
	c := chainCheck{p: p, headers: chain, work: new(big.Int)}
	if err := c.next(0); err != nil {
		t.Fatal(err)
	}
	refused := map[error]int{}
	bitsSeen := map[uint32]bool{}
	pace := int64(600)
	for len(chain) < 200 {
		if rng.IntN(20) == 0 {
			pace = 60 + rng.Int64N(2000)
		}
		prev := &chain[len(chain)-1]
		now := prev.seconds() + rng.Int64N(2*pace)
		switch rng.IntN(8) {
		case 0:
			now = prev.seconds() - rng.Int64N(5000)
		case 1:
			now = prev.seconds() + 1195 + rng.Int64N(10)
		case 2:
			now = prev.seconds() - 598 - rng.Int64N(5)
		}
		i := len(chain)
		probe := BitcoinHeader{}
		binary.LittleEndian.PutUint32(probe[68:], uint32(now))
		c.headers = append(chain, probe)
		bits, known := c.bits(i, uint32(i))
		if !known {
			t.Fatalf("the bits of block %d are not known", i)
		}
		switch rng.IntN(12) {
		case 0:
			bits = p.easiest
		case 1:
			bits++
		case 2:
			bits--
		case 3:
			bits = prev.Bits()
		}
		if target, ok := expandBits(bits); !ok || target.BitLen() < 240 {
			continue // it would take long
		}
		next := after(prev, now, bits)
		c.headers = append(chain, next)
		state := c
		state.work = new(big.Int)
		got, want := state.next(i), o.judge(t, c.headers)
		if !errors.Is(got, want) || (got == nil) != (want == nil) {
			t.Fatalf("block %d, bits %08x, time %d after %d: %v, btcd says %v", i, bits, now, prev.seconds(), got, want)
		}
		if got != nil {
			refused[want]++
			continue
		}
		state.work.Add(state.work, c.work)
		c, chain = state, c.headers
		bitsSeen[bits] = true
	}
	if refused[ErrBitcoinTime] == 0 || refused[ErrBitcoinBits] == 0 || (len(bitsSeen) < 5) != p.fixed {
		t.Errorf("refused %v, %d different bits: the test is too mild", refused, len(bitsSeen))
	}
	checkParts(t, p, chain, c.work)
}

// checkParts reads every part of a good chain: whatever little is known of what
// was before, nothing is refused that is right.
func checkParts(t *testing.T, p *bitcoinParams, chain []BitcoinHeader, work *big.Int) {
	t.Helper()
	for from := range chain {
		h, err := newBitcoinHeaders(p, uint32(from), chain[from:])
		if err != nil {
			t.Fatalf("part from %d: %v", from, err)
		}
		if from == 0 && h.WorkFrom(0).Cmp(work) != 0 {
			t.Errorf("work %d, want %d", h.WorkFrom(0), work)
		}
	}
	sum := new(big.Int)
	for i := range chain {
		sum.Add(sum, blockchain.CalcWork(chain[i].Bits()))
	}
	if sum.Cmp(work) != 0 {
		t.Errorf("work %d, btcd has %d", work, sum)
	}
}

// steady returns a good chain of n headers, one each 600 s.
func steady(t testing.TB, p *bitcoinParams, n int) []BitcoinHeader {
	t.Helper()
	chain := []BitcoinHeader{p.genesis()}
	for i := 1; i < n; i++ {
		prev := &chain[i-1]
		c := chainCheck{p: p, headers: append(slices.Clone(chain), BitcoinHeader{}), work: new(big.Int)}
		for k := range chain {
			if err := c.next(k); err != nil {
				t.Fatal(err)
			}
		}
		binary.LittleEndian.PutUint32(c.headers[i][68:], uint32(prev.seconds()+600))
		bits, _ := c.bits(i, uint32(i))
		chain = append(chain, after(prev, prev.seconds()+600, bits))
	}
	return chain
}

// TestChainRefusals has one named reason for each way to break a chain. From
// the broken header on the chain is mined again, so that nothing else is wrong.
func TestChainRefusals(t *testing.T) {
	p := tinyNet(false, false)
	good := steady(t, p, 40)
	harder := func(bits uint32) uint32 { return bits - 0x000100 }
	for _, tt := range []struct {
		name  string
		first int // of what is read
		at    int // what is changed
		with  func(h *BitcoinHeader)
		want  error
	}{
		{"link", 0, 5, func(h *BitcoinHeader) { h[4] ^= 1; mine(h) }, ErrBitcoinLink},
		{"no work", 0, 5, func(h *BitcoinHeader) {
			for target, _ := expandBits(h.Bits()); ; h[76]++ {
				if s := reversed(h.Hash()); new(big.Int).SetBytes(s[:]).Cmp(target) > 0 {
					return
				}
			}
		}, ErrBitcoinWork},
		{"bits above the limit", 0, 5, func(h *BitcoinHeader) { h[74], h[75] = 0x7f, 0x21; mine(h) }, ErrBitcoinWork},
		{"negative bits", 0, 5, func(h *BitcoinHeader) { h[74] |= 0x80 }, ErrBitcoinWork},
		{"bits within a period", 0, 5, func(h *BitcoinHeader) { setBits(h, harder(h.Bits())) }, ErrBitcoinBits},
		{"bits within a period, begun before", 3, 5, func(h *BitcoinHeader) { setBits(h, harder(h.Bits())) }, ErrBitcoinBits},
		{"bits at a retarget", 0, 24, func(h *BitcoinHeader) { setBits(h, harder(h.Bits())) }, ErrBitcoinBits},
		{"five times harder where the period begins outside", 20, 24, func(h *BitcoinHeader) { setBits(h, fraction(h.Bits(), 5)) }, ErrBitcoinBits},
		{"three times harder where the period begins outside", 20, 24, func(h *BitcoinHeader) { setBits(h, fraction(h.Bits(), 3)) }, nil},
		{"before the median", 0, 30, func(h *BitcoinHeader) { setTime(h, good[24].seconds()) }, ErrBitcoinTime},
		{"after the median", 0, 30, func(h *BitcoinHeader) { setTime(h, good[24].seconds()+1) }, nil},
		{"before the median of fewer than eleven", 0, 2, func(h *BitcoinHeader) { setTime(h, good[1].seconds()) }, ErrBitcoinTime},
		{"with fewer than eleven before it known", 20, 30, func(h *BitcoinHeader) { setTime(h, 1) }, nil},
		{"another genesis block", 0, 0, func(h *BitcoinHeader) { h[40] ^= 1; mine(h) }, ErrBitcoinCheckpoint},
	} {
		chain := slices.Clone(good[:tt.at+1])
		tt.with(&chain[tt.at])
		_, _, err := checkBitcoinChain(p, uint32(tt.first), chain[tt.first:])
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	// The one that is known at a height must be there, wherever it is begun.
	q := *p
	q.known = append(slices.Clone(p.known), bitcoinCheckpoint{30, good[30].Hash()})
	if _, _, err := checkBitcoinChain(&q, 20, good[20:]); err != nil {
		t.Error(err)
	}
	q.known[1].hash[0] ^= 1
	if _, _, err := checkBitcoinChain(&q, 20, good[20:]); !errors.Is(err, ErrBitcoinCheckpoint) {
		t.Errorf("%v for another block 30", err)
	}
}

func setBits(h *BitcoinHeader, bits uint32) {
	binary.LittleEndian.PutUint32(h[72:], bits)
	mine(h)
}

func setTime(h *BitcoinHeader, seconds int64) {
	binary.LittleEndian.PutUint32(h[68:], uint32(seconds))
	mine(h)
}

func fraction(bits uint32, by int64) uint32 {
	t, _ := expandBits(bits)
	return compactBits(t.Div(t, big.NewInt(by)))
}

// TestBIP94 checks testnet4's rules on their borders.
func TestBIP94(t *testing.T) {
	p := tinyNet(true, false)
	chain := []BitcoinHeader{p.genesis()}
	add := func(bits uint32, spacing int64) {
		last := &chain[len(chain)-1]
		chain = append(chain, after(last, last.seconds()+spacing, bits))
	}
	for range 11 { // a fast period: the next is harder
		add(p.easiest, 300)
	}
	hard := (&chainCheck{p: p}).scaled(p.easiest, 11*300)
	add(hard, 300)
	for range 10 {
		add(hard, 300)
	}
	again := (&chainCheck{p: p}).scaled(hard, 10*300+1201) // from the first block's bits
	for _, tt := range []struct {
		name    string
		spacing int64  // of block 23
		bits    uint32 // of block 23
		back    int64  // of block 24
		last    uint32 // its bits
		want    error
	}{
		{"easy after 20 minutes and a second", 1201, p.easiest, -600, again, nil},
		{"easy after 20 minutes", 1200, p.easiest, -600, again, ErrBitcoinBits},
		{"hard after 20 minutes and a second", 1201, hard, -600, again, ErrBitcoinBits},
		{"retarget from the last block's bits", 1201, p.easiest, -600, p.easiest, ErrBitcoinBits},
		{"easy first block of a period", 1201, p.easiest, -1201, p.easiest, ErrBitcoinBits},
		{"600 s back at a retarget", 1201, p.easiest, 600, again, nil},
		{"601 s back at a retarget", 1201, p.easiest, 601, again, ErrBitcoinTime},
	} {
		kept := chain
		add(tt.bits, tt.spacing)
		add(tt.last, -tt.back)
		if _, _, err := checkBitcoinChain(p, 0, chain); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		chain = kept
	}
}

// TestRetargetNumbers holds single retargets of mainnet, done by hand: the
// first that was not 1, at block 32256 from the times of 30240 and 32255.
func TestRetargetNumbers(t *testing.T) {
	p := bitcoinNetworks[BitcoinMainnet]
	for _, tt := range []struct {
		first, last int64
		bits, want  uint32
	}{
		{1261130161, 1262152739, 0x1d00ffff, 0x1d00d86a}, // 32256
		{0, 1, 0x1d00ffff, 0x1c3fffc0},                   // never below a quarter
		{0, 1 << 30, 0x1c3fffc0, 0x1d00ffff},             // nor above four times, and the limit
		{0, 1 << 30, 0x1b0404cb, 0x1b10132c},
	} {
		got := (&chainCheck{p: p}).scaled(tt.bits, min(max(tt.last-tt.first, p.timespan/4), p.timespan*4))
		if got != tt.want {
			t.Errorf("bits %08x, want %08x", got, tt.want)
		}
	}
}

func ExampleBitcoinHeaders() {
	var genesis BitcoinHeader
	raw, _ := hex.DecodeString("01000000" + strings.Repeat("00", 32) +
		"3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c")
	copy(genesis[:], raw)
	h, err := NewBitcoinHeaders(BitcoinMainnet, 0, []BitcoinHeader{genesis})
	if err != nil {
		fmt.Println(err)
		return
	}
	how, ok := h.Connected()
	fmt.Println(h.Len(), h.Depth(0), h.WorkFrom(0), ok, how)
	// Output: 1 1 4295032833 false ends at block 0, before the known block 810000
}
