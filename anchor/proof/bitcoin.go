package proof

// Bitcoin receipts: kind "bitcoin/1".
//
// The data of such a receipt is the deterministic CBOR array
//
//	["cairn/bitcoin/1", network text, height uint, transaction bstr, index uint,
//	 branch bstr, header bstr80, following bstr]
//
// with the transaction in the form without witness, the branch the siblings of
// the transaction id from the leaf up (up to 15 of 32 bytes, one after the
// other), following the headers after the block's own (up to 1000 of 80 bytes).
// Hashes stand in internal byte order. [VerifyBitcoin] checks
//
//	transaction : its form; not 64 bytes long; exactly one output is an
//	              OP_RETURN, and that is 6a 20 ‖ root; output 0 is another
//	branch      : SHA256(SHA256(transaction)), at index among the block's
//	              transactions, leads to the header's merkle root by pairs
//	              SHA256(SHA256(left ‖ right))
//	headers     : the header's hash is at most the target in its own bits, that
//	              at most the network's easiest; each that follows names the one
//	              before it, has its own work, and the bits and times that the
//	              network's rules ask for as far as so few headers show it; the
//	              block's height is no known block's of another hash
//
// The traps of that tree, each with an error of its own: an inner node hashes
// 64 bytes, and so may be shown as a transaction, or a transaction of 64 bytes
// made that hides another below it (CVE-2017-12842): no transaction may have
// 64 bytes, and no pair of the branch may read as one. A level of odd length
// repeats its last hash (CVE-2012-2459), so that one leaf seems to stand at two
// places: it stands at the one that exists.
//
// The height is claimed: a header does not name it. Whether the network's chain
// has that block, and how deep, is for [BitcoinHeaders] or another HeaderTrust.

import (
	"errors"
	"fmt"
	"math"
	"math/big"
)

// KindBitcoin is the kind of a receipt whose data is a BitcoinReceipt.
const KindBitcoin = "bitcoin/1"

const (
	bitcoinType = "cairn/bitcoin/1"

	// maxBitcoinBranch is the depth of the tree of the fullest block: of one
	// million bytes without witness, in transactions of at least 60.
	maxBitcoinBranch = 15

	// maxBitcoinFollowing is far above any depth that one waits for.
	maxBitcoinFollowing = 1000

	maxBitcoin        = maxBitcoinTx + 80*(maxBitcoinFollowing+1) + 32*maxBitcoinBranch + 200
	maxBitcoinNetwork = 32 // bytes of a network's name
)

// What can be wrong with a Bitcoin receipt beside its transaction and headers.
var (
	ErrBitcoinFormat = errors.New("bitcoin receipt is malformed")
	ErrBitcoinBranch = errors.New("bitcoin transaction does not lead to the block's merkle root")
)

// BitcoinReceipt shows that a Bitcoin block holds a transaction that carries a
// root.
type BitcoinReceipt struct {
	Network   BitcoinNetwork
	Height    uint32
	Tx        []byte // without witness: what the id is the hash of
	Index     uint32 // of the transaction in the block
	Branch    [][32]byte
	Header    BitcoinHeader
	Following []BitcoinHeader
}

// BitcoinFacts is what a BitcoinReceipt proves.
type BitcoinFacts struct {
	Network            BitcoinNetwork
	Height             uint32
	Hash, Merkle, TxID [32]byte // internal byte order
	Time               int64    // of the block, Unix milliseconds, loose by BitcoinTimeSlack
	Root               [32]byte
	Spends             Outpoint // input 0: the previous anchor's change
	Script             []byte   // of output 0: the change that the next anchor spends
	Inputs             int
	Depth              int      // 1 + the headers that follow
	Work               *big.Int // of the block and those that follow
}

type bitcoinWire struct {
	_         struct{} `cbor:",toarray"`
	Type      string
	Network   string
	Height    uint32
	Tx        []byte
	Index     uint32
	Branch    []byte
	Header    [80]byte
	Following []byte
}

// MarshalBinary returns the receipt's CBOR, as above, and refuses what
// ParseBitcoinReceipt would.
func (r BitcoinReceipt) MarshalBinary() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	w := bitcoinWire{
		Type: bitcoinType, Network: r.Network, Height: r.Height, Tx: r.Tx, Index: r.Index,
		Header: r.Header, Following: joinHeaders(r.Following),
	}
	for _, h := range r.Branch {
		w.Branch = append(w.Branch, h[:]...)
	}
	b, err := marshal(w)
	if err != nil {
		return nil, fmt.Errorf("bitcoin receipt: %w", err)
	}
	return b, nil
}

// ParseBitcoinReceipt reads what MarshalBinary wrote, strictly. It checks the
// form alone; VerifyBitcoin checks what it says. Any error is an
// ErrBitcoinFormat.
func ParseBitcoinReceipt(b []byte) (BitcoinReceipt, error) {
	if len(b) > maxBitcoin {
		return BitcoinReceipt{}, fmt.Errorf("%w: %d bytes, at most %d", ErrBitcoinFormat, len(b), maxBitcoin)
	}
	var w bitcoinWire
	if err := unmarshal(b, &w); err != nil {
		return BitcoinReceipt{}, fmt.Errorf("%w: %w", ErrBitcoinFormat, err)
	}
	if w.Type != bitcoinType {
		return BitcoinReceipt{}, fmt.Errorf("%w: type %.40q, want %q", ErrBitcoinFormat, w.Type, bitcoinType)
	}
	if len(w.Branch)%32 != 0 {
		return BitcoinReceipt{}, fmt.Errorf("%w: branch of %d bytes", ErrBitcoinFormat, len(w.Branch))
	}
	following, err := splitHeaders(w.Following)
	if err != nil {
		return BitcoinReceipt{}, fmt.Errorf("%w: %w", ErrBitcoinFormat, err)
	}
	r := BitcoinReceipt{
		Network: w.Network, Height: w.Height, Tx: w.Tx, Index: w.Index,
		Header: w.Header, Following: following,
	}
	for at := 0; at < len(w.Branch); at += 32 {
		r.Branch = append(r.Branch, [32]byte(w.Branch[at:]))
	}
	if err := r.check(); err != nil {
		return BitcoinReceipt{}, err
	}
	return r, nil
}

func (r *BitcoinReceipt) check() error {
	if len(r.Tx) == 0 || len(r.Tx) > maxBitcoinTx {
		return fmt.Errorf("%w: transaction of %d bytes", ErrBitcoinFormat, len(r.Tx))
	}
	if len(r.Branch) > maxBitcoinBranch {
		return fmt.Errorf("%w: branch of %d hashes, at most %d", ErrBitcoinFormat, len(r.Branch), maxBitcoinBranch)
	}
	if r.Index>>len(r.Branch) != 0 {
		return fmt.Errorf("%w: index %d in a tree of depth %d", ErrBitcoinFormat, r.Index, len(r.Branch))
	}
	return checkSegment(ErrBitcoinFormat, r.Network, r.Height, len(r.Following))
}

// checkSegment checks the size of a block and those that follow it.
func checkSegment(name error, network string, height uint32, following int) error {
	if len(network) > maxBitcoinNetwork {
		return fmt.Errorf("%w: network's name of %d bytes", name, len(network))
	}
	if following > maxBitcoinFollowing {
		return fmt.Errorf("%w: %d headers follow, at most %d", name, following, maxBitcoinFollowing)
	}
	if uint64(height)+uint64(following) > math.MaxUint32 {
		return fmt.Errorf("%w: height %d", name, height)
	}
	return nil
}

func joinHeaders(headers []BitcoinHeader) []byte {
	b := make([]byte, 0, 80*len(headers))
	for _, h := range headers {
		b = append(b, h[:]...)
	}
	return b
}

func splitHeaders(b []byte) ([]BitcoinHeader, error) {
	if len(b)%80 != 0 {
		return nil, fmt.Errorf("headers of %d bytes", len(b))
	}
	var headers []BitcoinHeader
	for at := 0; at < len(b); at += 80 {
		headers = append(headers, BitcoinHeader(b[at:]))
	}
	return headers, nil
}

// VerifyBitcoin checks a receipt for a root and returns what it proves. Errors
// are the ErrBitcoin… of this package.
func VerifyBitcoin(r BitcoinReceipt, root [32]byte) (BitcoinFacts, error) {
	if err := r.check(); err != nil {
		return BitcoinFacts{}, err
	}
	tx, _, err := r.anchor(root)
	if err != nil {
		return BitcoinFacts{}, err
	}
	txid := sha256d(r.Tx)
	top, err := r.climb(txid)
	if err != nil {
		return BitcoinFacts{}, err
	}
	if top != r.Header.Merkle() {
		return BitcoinFacts{}, fmt.Errorf("%w: it leads to %x, the header has %x", ErrBitcoinBranch,
			reversed(top), reversed(r.Header.Merkle()))
	}
	work, err := checkBlock(r.Network, r.Height, r.Header, r.Following)
	if err != nil {
		return BitcoinFacts{}, err
	}
	return BitcoinFacts{
		Network: r.Network, Height: r.Height, Hash: r.Header.Hash(), Merkle: top, TxID: txid,
		Time: r.Header.Time(), Root: root, Spends: tx.inputs[0], Script: tx.outputs[0].script,
		Inputs: len(tx.inputs), Depth: 1 + len(r.Following), Work: work,
	}, nil
}

// anchor reads the transaction and finds the root in it.
func (r *BitcoinReceipt) anchor(root [32]byte) (tx bitcoinTx, at int, err error) {
	if len(r.Tx) == bitcoinNode {
		return tx, 0, fmt.Errorf("%w: it may be an inner node", ErrBitcoin64)
	}
	if tx, err = parseBitcoinTx(r.Tx); err != nil {
		return tx, 0, err
	}
	at, err = tx.anchor(root)
	return tx, at, err
}

// climb goes from the transaction's id up the branch. Bit k of the index says
// whether the hash at level k is the right one of its pair.
func (r *BitcoinReceipt) climb(txid [32]byte) ([32]byte, error) {
	if r.Index == 0 {
		return txid, fmt.Errorf("%w: index 0 is the coinbase's", ErrBitcoinBranch)
	}
	h := txid
	for level, sibling := range r.Branch {
		right := r.Index>>level&1 == 1
		if right && sibling == h {
			return h, fmt.Errorf("%w: at level %d it stands in the place of its own repetition", ErrBitcoinBranch, level)
		}
		pair := make([]byte, 0, bitcoinNode)
		if right {
			pair = append(append(pair, sibling[:]...), h[:]...)
		} else {
			pair = append(append(pair, h[:]...), sibling[:]...)
		}
		if _, err := parseBitcoinTx(pair); err == nil {
			return h, fmt.Errorf("%w: the pair at level %d reads as a transaction", ErrBitcoin64, level)
		}
		h = sha256d(pair)
	}
	return h, nil
}

// checkBlock checks a block's header and those that follow it by the rules of
// the network, and returns their work.
func checkBlock(network BitcoinNetwork, height uint32, header BitcoinHeader, following []BitcoinHeader) (*big.Int, error) {
	p, err := bitcoinParamsOf(network)
	if err != nil {
		return nil, err
	}
	headers := append([]BitcoinHeader{header}, following...)
	_, work, err := checkBitcoinChain(p, height, headers)
	return work, err
}
