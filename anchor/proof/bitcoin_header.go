package proof

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// BitcoinNetwork is the name of a network that speaks Bitcoin's protocol.
type BitcoinNetwork = string

// The networks that are known. Work is worth something on mainnet only: on the
// others blocks are mined by whoever likes to, cheaply.
const (
	BitcoinMainnet  BitcoinNetwork = "mainnet"
	BitcoinTestnet4 BitcoinNetwork = "testnet4"
	BitcoinSignet   BitcoinNetwork = "signet"
	BitcoinRegtest  BitcoinNetwork = "regtest"
)

// BitcoinTimeSlack is how far the time of a block may be from the truth. A node
// takes no block whose time is more than two hours ahead of its clock
// (MAX_FUTURE_BLOCK_TIME in Bitcoin Core's chain.h); backwards the rule is only
// that a block's time is later than the median of the eleven before it, which
// honest miners leave about an hour behind.
const BitcoinTimeSlack = 2 * time.Hour

// medianSpan is of how many blocks the median time is taken (consensus rules,
// CBlockIndex::nMedianTimeSpan).
const medianSpan = 11

// What can be wrong with headers. Each says that they are no part of the named
// network's chain.
var (
	ErrBitcoinNetwork    = errors.New("unknown bitcoin network")
	ErrBitcoinWork       = errors.New("bitcoin header lacks its proof of work")
	ErrBitcoinLink       = errors.New("bitcoin header does not follow the one before it")
	ErrBitcoinBits       = errors.New("bitcoin header has another difficulty than the rules give")
	ErrBitcoinTime       = errors.New("bitcoin header's time breaks the rules")
	ErrBitcoinCheckpoint = errors.New("bitcoin header is not the one known at its height")
)

// BitcoinHeader is a block header as it is hashed:
//
//	version (4) ‖ previous hash (32) ‖ merkle root (32) ‖ time (4) ‖ bits (4) ‖ nonce (4)
//
// with little-endian integers, time in Unix seconds. Hashes stand in internal
// byte order; tools show them reversed.
type BitcoinHeader [80]byte

// Hash returns SHA256(SHA256(header)), in internal byte order.
func (h *BitcoinHeader) Hash() [32]byte { return sha256d(h[:]) }

// Prev returns the hash of the block before.
func (h *BitcoinHeader) Prev() [32]byte { return [32]byte(h[4:36]) }

// Merkle returns the root over the block's transaction ids.
func (h *BitcoinHeader) Merkle() [32]byte { return [32]byte(h[36:68]) }

// Time returns the block's time in Unix milliseconds.
func (h *BitcoinHeader) Time() int64 { return h.seconds() * 1000 }

func (h *BitcoinHeader) seconds() int64 { return int64(binary.LittleEndian.Uint32(h[68:72])) }

// Bits returns the compact form of the highest hash that the block may have.
func (h *BitcoinHeader) Bits() uint32 { return binary.LittleEndian.Uint32(h[72:76]) }

// Work returns how many hashes are expected to be tried for such a header,
// 2^256 / (target + 1); zero if its bits are no target.
func (h *BitcoinHeader) Work() *big.Int {
	target, ok := expandBits(h.Bits())
	if !ok {
		return new(big.Int)
	}
	return workOf(target)
}

// CheckWork tells whether the header's hash is at most the target in its own
// bits, and that target at most the network's easiest. Errors are
// ErrBitcoinNetwork and ErrBitcoinWork.
func (h *BitcoinHeader) CheckWork(network BitcoinNetwork) error {
	p, err := bitcoinParamsOf(network)
	if err != nil {
		return err
	}
	var t targetCache
	return t.check(p, h, h.Hash())
}

func sha256d(b []byte) [32]byte {
	once := sha256.Sum256(b)
	return sha256.Sum256(once[:])
}

// expandBits returns the target in a compact number: one byte of length and
// three of mantissa, the topmost of whose bits is a sign. It refuses what
// nodes refuse: zero, a negative number, one of more than 256 bits.
func expandBits(bits uint32) (*big.Int, bool) {
	size, word := bits>>24, bits&0x7fffff
	if size < 3 {
		word >>= 8 * (3 - size)
	}
	over := size > 34 || size > 33 && word > 0xff || size > 32 && word > 0xffff
	if word == 0 || bits&0x800000 != 0 || over {
		return nil, false
	}
	t := big.NewInt(int64(word))
	if size > 3 {
		t.Lsh(t, uint(8*(size-3)))
	}
	return t, true
}

// compactBits is the reverse of expandBits for a target above zero; what does
// not fit into three bytes is cut off, as the rules want it.
func compactBits(t *big.Int) uint32 {
	size := uint32((t.BitLen() + 7) / 8)
	var word uint32
	if size <= 3 {
		word = uint32(t.Uint64() << (8 * (3 - size)))
	} else {
		word = uint32(new(big.Int).Rsh(t, uint(8*(size-3))).Uint64())
	}
	if word&0x800000 != 0 {
		word >>= 8
		size++
	}
	return size<<24 | word
}

func workOf(target *big.Int) *big.Int {
	w := new(big.Int).Lsh(big.NewInt(1), 256)
	return w.Div(w, new(big.Int).Add(target, big.NewInt(1)))
}

// targetCache spares the arithmetic for a run of headers with the same bits.
type targetCache struct {
	bits   uint32
	target [32]byte // big-endian
	work   *big.Int // nil: nothing yet
}

func (t *targetCache) check(p *bitcoinParams, h *BitcoinHeader, hash [32]byte) error {
	if bits := h.Bits(); t.work == nil || t.bits != bits {
		target, ok := expandBits(bits)
		if !ok {
			return fmt.Errorf("%w: bits %08x are no target", ErrBitcoinWork, bits)
		}
		if target.Cmp(p.limit) > 0 {
			return fmt.Errorf("%w: bits %08x are easier than %s allows", ErrBitcoinWork, bits, p.name)
		}
		t.bits, t.work = bits, workOf(target)
		target.FillBytes(t.target[:])
	}
	shown := reversed(hash)
	for i := range shown {
		if shown[i] != t.target[i] {
			if shown[i] > t.target[i] {
				return fmt.Errorf("%w: hash %x is above the target of bits %08x", ErrBitcoinWork, shown, t.bits)
			}
			break
		}
	}
	return nil
}
