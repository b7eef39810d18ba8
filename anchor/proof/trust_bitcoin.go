package proof

import (
	"fmt"
	"math"
	"math/big"
)

// Trusted implements HeaderTrust: it is TrustedDeep with DefaultDepth.
func (h *BitcoinHeaders) Trusted(route string, height uint64, hash [32]byte) (string, bool, error) {
	return h.TrustedDeep(route, height, hash, DefaultDepth)
}

// TrustedDeep implements DepthTrust. Headers that nothing ties to the network's
// chain vouch for no block: whoever likes to can make such.
func (h *BitcoinHeaders) TrustedDeep(route string, height uint64, hash [32]byte, depth uint64) (string, bool, error) {
	if route != bitcoinRoute(h.Network()) {
		return "", false, nil
	}
	tie, ok := h.Connected()
	if !ok {
		return "the headers file " + tie, false, nil
	}
	at, ok := h.hashAt(height)
	switch have := uint64(h.Tip()) - height + 1; {
	case !ok:
		return fmt.Sprintf("the headers file has blocks %d to %d", h.First(), h.Tip()), false, nil
	case at != hash:
		return fmt.Sprintf("in the headers file block %d is another", height), false, nil
	case have < depth:
		return fmt.Sprintf("it is one of the newest %d in the headers file, final as one of %d", have, depth), false, nil
	default:
		return fmt.Sprintf("it is in the headers file, %d deep under work of %s, and the file %s", have, workText(h.WorkFrom(uint32(height))), tie), true, nil
	}
}

func (h *BitcoinHeaders) hashAt(height uint64) ([32]byte, bool) {
	if height > math.MaxUint32 {
		return [32]byte{}, false
	}
	return h.Hash(uint32(height))
}

// BlockTime implements BlockTimer.
func (h *BitcoinHeaders) BlockTime(route string, hash [32]byte) (int64, bool) {
	if route != bitcoinRoute(h.Network()) {
		return 0, false
	}
	height, ok := h.Find(hash)
	if !ok {
		return 0, false
	}
	header, ok := h.At(height)
	return header.Time(), ok
}

// BlockAt implements BlockFinder.
func (h *BitcoinHeaders) BlockAt(route string, height uint64) (BitcoinHeader, bool) {
	if route != bitcoinRoute(h.Network()) || height > math.MaxUint32 {
		return BitcoinHeader{}, false
	}
	return h.At(uint32(height))
}

// workText writes a number of hashes as a power of two, rounded down.
func workText(w *big.Int) string {
	if w == nil || w.Sign() <= 0 {
		return "no hashes"
	}
	return fmt.Sprintf("2^%d hashes", w.BitLen()-1)
}
