package proof

// Bitcoin headers file.
//
//	"cairn/headers/1" 0a ‖ length of the network's name (1) ‖ name ‖
//	height of the first header (4) ‖ count (4) ‖ count × header (80) ‖
//	SHA-256 of all before it (32)
//
// with big-endian integers. The headers follow one another. The checksum tells
// a damaged file from a false one; what makes the headers true is that they
// keep the network's rules, which chainCheck lists, and that they are tied to a
// block that is known (see Connected). A file should begin at [BitcoinStart]:
// then every retarget in it is checked.

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
)

const bitcoinHeadersMagic = "cairn/headers/1\n"

// maxBitcoinHeaders is the most that a file has: forty years of blocks.
const maxBitcoinHeaders = 1 << 21

// ErrBitcoinHeaders says that bytes are no headers file, or a damaged one.
var ErrBitcoinHeaders = errors.New("malformed bitcoin headers file")

// BitcoinHeaders is a part of a network's chain whose headers have been checked
// against one another. It is never changed, so that many may read it.
type BitcoinHeaders struct {
	p       *bitcoinParams
	first   uint32
	headers []BitcoinHeader
	tip     [32]byte // hash of the last
}

// ParseBitcoinHeaders reads a headers file and checks all its headers. Errors
// are ErrBitcoinHeaders for the file and the ErrBitcoin… of its headers.
func ParseBitcoinHeaders(b []byte) (*BitcoinHeaders, error) {
	network, first, raw, err := unwrapHeaders(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBitcoinHeaders, err)
	}
	headers := make([]BitcoinHeader, len(raw)/80)
	for i := range headers {
		headers[i] = BitcoinHeader(raw[80*i:])
	}
	return NewBitcoinHeaders(network, first, headers)
}

// NewBitcoinHeaders checks headers that are at hand, of which the first has
// height first, as ParseBitcoinHeaders does. It keeps the slice.
func NewBitcoinHeaders(network BitcoinNetwork, first uint32, headers []BitcoinHeader) (*BitcoinHeaders, error) {
	p, err := bitcoinParamsOf(network)
	if err != nil {
		return nil, err
	}
	return newBitcoinHeaders(p, first, headers)
}

func newBitcoinHeaders(p *bitcoinParams, first uint32, headers []BitcoinHeader) (*BitcoinHeaders, error) {
	switch n := len(headers); {
	case n == 0:
		return nil, fmt.Errorf("%w: it has no header", ErrBitcoinHeaders)
	case n > maxBitcoinHeaders:
		return nil, fmt.Errorf("%w: %d headers, at most %d", ErrBitcoinHeaders, n, maxBitcoinHeaders)
	case uint64(first)+uint64(n)-1 > math.MaxUint32:
		return nil, fmt.Errorf("%w: %d headers from height %d on", ErrBitcoinHeaders, n, first)
	}
	tip, _, err := checkBitcoinChain(p, first, headers)
	if err != nil {
		return nil, err
	}
	return &BitcoinHeaders{p: p, first: first, headers: headers, tip: tip}, nil
}

// unwrapHeaders parts a file into its fields.
func unwrapHeaders(b []byte) (network string, first uint32, raw []byte, err error) {
	body, ok := cutPrefix(b, bitcoinHeadersMagic)
	if !ok {
		return "", 0, nil, fmt.Errorf("it does not begin with %q", bitcoinHeadersMagic)
	}
	const fixed = 1 + 8 + sha256.Size
	if len(body) < fixed || len(body) < fixed+int(body[0]) || body[0] > maxBitcoinNetwork {
		return "", 0, nil, fmt.Errorf("no network's name and heights in %d bytes", len(b))
	}
	if sum := sha256.Sum256(b[:len(b)-sha256.Size]); string(sum[:]) != string(b[len(b)-sha256.Size:]) {
		return "", 0, nil, errors.New("the checksum is another: it is damaged")
	}
	body = body[:len(body)-sha256.Size]
	name := int(body[0])
	network, body = string(body[1:1+name]), body[1+name:]
	first, count := binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
	if raw = body[8:]; uint64(len(raw)) != 80*uint64(count) {
		return "", 0, nil, fmt.Errorf("%d bytes for %d headers", len(raw), count)
	}
	if count > maxBitcoinHeaders {
		return "", 0, nil, fmt.Errorf("%d headers, at most %d", count, maxBitcoinHeaders)
	}
	return network, first, raw, nil
}

func cutPrefix(b []byte, prefix string) ([]byte, bool) {
	if len(b) < len(prefix) || string(b[:len(prefix)]) != prefix {
		return nil, false
	}
	return b[len(prefix):], true
}

// WriteBitcoinHeaders returns a headers file. It checks the headers and refuses
// what ParseBitcoinHeaders would.
func WriteBitcoinHeaders(network BitcoinNetwork, first uint32, headers []BitcoinHeader) ([]byte, error) {
	h, err := NewBitcoinHeaders(network, first, headers)
	if err != nil {
		return nil, err
	}
	return h.File(), nil
}

// File returns the headers file with these headers.
func (h *BitcoinHeaders) File() []byte {
	b := make([]byte, 0, len(bitcoinHeadersMagic)+1+len(h.p.name)+8+80*len(h.headers)+sha256.Size)
	b = append(b, bitcoinHeadersMagic...)
	b = append(append(b, byte(len(h.p.name))), h.p.name...)
	b = binary.BigEndian.AppendUint32(b, h.first)
	b = binary.BigEndian.AppendUint32(b, uint32(len(h.headers)))
	for i := range h.headers {
		b = append(b, h.headers[i][:]...)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// Network returns the network whose rules the headers keep.
func (h *BitcoinHeaders) Network() BitcoinNetwork { return h.p.name }

// First returns the height of the first header.
func (h *BitcoinHeaders) First() uint32 { return h.first }

// Tip returns the height of the last header.
func (h *BitcoinHeaders) Tip() uint32 { return h.first + uint32(len(h.headers)-1) }

// TipHash returns the hash of the last header, in internal byte order.
func (h *BitcoinHeaders) TipHash() [32]byte { return h.tip }

// Len returns the number of headers.
func (h *BitcoinHeaders) Len() int { return len(h.headers) }

// Connected tells in words what ties these headers to the network's chain, or
// why nothing does. It is ok if the newest block that this program knows is
// among them. An older one would not do: work of its time is cheap today, so
// that a false chain could branch off there. Nor would it do that they begin
// just after it: of the first header the difficulty cannot be checked, and the
// easiest is for all. Only on the genesis block, which has the easiest itself,
// they may stand so.
func (h *BitcoinHeaders) Connected() (how string, ok bool) {
	c := h.p.newest()
	name := fmt.Sprintf("the known block %d", c.height)
	if c.height == 0 {
		name = "the genesis block"
	}
	switch {
	case h.first <= c.height && c.height <= h.Tip():
		return "contains " + name, true
	case h.first == 1 && c.height == 0 && h.headers[0].Prev() == c.hash:
		return "follows " + name, true
	case h.Tip() < c.height:
		return fmt.Sprintf("ends at block %d, before %s", h.Tip(), name), false
	}
	return fmt.Sprintf("begins at block %d, after %s, and so shows nothing of the difficulty there; it should begin at block %d",
		h.first, name, c.height/h.p.interval*h.p.interval), false
}

// At returns the header at a height.
func (h *BitcoinHeaders) At(height uint32) (BitcoinHeader, bool) {
	if height < h.first || height > h.Tip() {
		return BitcoinHeader{}, false
	}
	return h.headers[height-h.first], true
}

// Hash returns the hash of the header at a height, in internal byte order.
func (h *BitcoinHeaders) Hash(height uint32) ([32]byte, bool) {
	switch {
	case height < h.first || height > h.Tip():
		return [32]byte{}, false
	case height == h.Tip():
		return h.tip, true
	}
	return h.headers[height-h.first+1].Prev(), true
}

// Find returns the height of the header with this hash.
func (h *BitcoinHeaders) Find(hash [32]byte) (height uint32, ok bool) {
	if hash == h.tip {
		return h.Tip(), true
	}
	for i := len(h.headers) - 1; i > 0; i-- { // each names the one before it
		if [32]byte(h.headers[i][4:36]) == hash {
			return h.first + uint32(i-1), true
		}
	}
	return 0, false
}

// Depth returns how many blocks from this height to the last there are, that
// one included, as confirmations are counted; 0 if the height is not inside.
func (h *BitcoinHeaders) Depth(height uint32) int {
	if height < h.first || height > h.Tip() {
		return 0
	}
	return int(h.Tip()-height) + 1
}

// WorkFrom returns the work of the block at this height and all after it: how
// many hashes whoever forged them is expected to try. Zero if the height is not
// inside.
func (h *BitcoinHeaders) WorkFrom(height uint32) *big.Int {
	sum := new(big.Int)
	if h.Depth(height) == 0 {
		return sum
	}
	rest := h.headers[height-h.first:]
	for len(rest) > 0 { // runs of equal bits are long
		n := 1
		for n < len(rest) && rest[n].Bits() == rest[0].Bits() {
			n++
		}
		w := rest[0].Work()
		sum.Add(sum, w.Mul(w, big.NewInt(int64(n))))
		rest = rest[n:]
	}
	return sum
}
