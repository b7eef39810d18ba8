package proof

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/rlp"
)

// KindEthereum is the kind of a receipt whose data is an EthereumReceipt.
const KindEthereum = "ethereum/1"

const (
	ethereumType = "cairn/ethereum/1"

	// AnchoredEvent is the event of the registry contract: sender and ledger
	// are topics 1 and 2, the root is the data.
	AnchoredEvent = "Anchored(address,bytes32,bytes32)"

	// Limits of an Ethereum receipt. A header is about 600 bytes, a receipt of
	// our transaction about 600, a full branch node 532; the room is for other
	// chains' headers and for transactions that do more than anchor.
	maxEthereum     = 1 << 20
	maxEthHeader    = 16 << 10
	maxEthNode      = 256 << 10
	maxHeaderFields = 64
	maxEthTime      = 1 << 40 // seconds
)

// RegistryCode is the keccak256 of the code of this project's registry. What is
// said of anchors that they follow one another, and of storage that each change
// is also logged, holds for that code.
var RegistryCode = [32]byte{
	0x76, 0x94, 0xc3, 0x1e, 0xd8, 0xd8, 0x5f, 0x92, 0x99, 0xa1, 0x50, 0x24, 0x80, 0xba, 0x66, 0x69,
	0x70, 0xc0, 0x28, 0xa1, 0xbd, 0x9a, 0x1a, 0x27, 0x1a, 0x68, 0x63, 0xff, 0x72, 0x0e, 0x57, 0x9a,
}

// What can be wrong with an Ethereum receipt. Each of them means that the
// receipt proves nothing; take it again from the chain.
var (
	ErrEthereumFormat   = errors.New("ethereum receipt is malformed")
	ErrEthereumNothing  = errors.New("ethereum receipt shows neither storage nor log")
	ErrEthereumRoot     = errors.New("ethereum receipt is for the zero root")
	ErrEthereumHeader   = errors.New("ethereum block header is malformed")
	ErrEthereumAccount  = errors.New("ethereum account proof does not hold")
	ErrEthereumStorage  = errors.New("ethereum storage proof does not hold")
	ErrEthereumHead     = errors.New("ethereum storage holds another root")
	ErrEthereumReceipt  = errors.New("ethereum transaction receipt proof does not hold")
	ErrEthereumReverted = errors.New("ethereum transaction failed")
	ErrEthereumLog      = errors.New("ethereum transaction logged no such anchor")
)

// EthereumReceipt shows that an Ethereum block made Root the head of Ledger
// for Sender in the registry Contract. The account proof leads from the
// header's state root to the contract (keccak256 of its address), the storage
// proof from there to keccak256(slot), slot = keccak256(Sender ‖ Ledger); the
// receipt proof from the header's receipts root to RLP(TxIndex). Nodes stand
// root first, as eth_getProof gives them.
//
// Storage proves the head at the block's end, the log that this block set it.
// Either may be missing (StorageProof or ReceiptProof empty), not both: a
// second anchor in the same block hides the first one's storage, and sending
// the same head again logs nothing. Whatever is there must hold.
type EthereumReceipt struct {
	ChainID          uint64 // claimed: a header does not name its chain
	Contract, Sender [20]byte
	Ledger, Root     [32]byte
	Header           []byte // RLP, its keccak256 is the block hash

	AccountProof, StorageProof, ReceiptProof [][]byte

	TxIndex uint64 // 0 when there is no receipt proof

	// TxHash is for the one who takes the receipt. It is not encoded, and
	// ParseEthereumReceipt leaves it zero: nothing in a receipts trie binds it,
	// block and index find the transaction as well.
	TxHash [32]byte
}

// EthereumFacts is what an EthereumReceipt proves about the block whose hash
// is BlockHash. Whether the chain has that block is another question.
type EthereumFacts struct {
	BlockHash [32]byte
	Number    uint64
	Time      int64    // of the block, Unix milliseconds
	CodeHash  [32]byte // keccak256 of the contract's code at this block
	Stored    bool     // the root is the head at the end of this block
	Logged    bool     // a transaction of this block set it
	LogIndex  int      // of the log among its transaction's; meaningful if Logged
}

type ethereumWire struct {
	_            struct{} `cbor:",toarray"`
	Type         string
	ChainID      uint64
	Contract     [20]byte
	Sender       [20]byte
	Ledger       [32]byte
	Root         [32]byte
	Header       []byte
	AccountProof [][]byte
	StorageProof [][]byte
	ReceiptProof [][]byte
	TxIndex      uint64
}

// MarshalBinary returns the receipt as the deterministic CBOR array
//
//	["cairn/ethereum/1", chain id uint, contract bstr20, sender bstr20,
//	 ledger bstr32, root bstr32, header bstr, account proof [+bstr],
//	 storage proof [*bstr], receipt proof [*bstr], transaction index uint]
//
// and refuses what ParseEthereumReceipt would.
func (r EthereumReceipt) MarshalBinary() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	b, err := marshal(ethereumWire{
		Type: ethereumType, ChainID: r.ChainID, Contract: r.Contract, Sender: r.Sender,
		Ledger: r.Ledger, Root: r.Root, Header: r.Header, AccountProof: r.AccountProof,
		StorageProof: r.StorageProof, ReceiptProof: r.ReceiptProof, TxIndex: r.TxIndex,
	})
	if err != nil {
		return nil, fmt.Errorf("ethereum receipt: %w", err)
	}
	if len(b) > maxEthereum {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrEthereumFormat, len(b), maxEthereum)
	}
	return b, nil
}

// ParseEthereumReceipt reads what MarshalBinary wrote, strictly. It checks the
// form alone; VerifyEthereum checks what it says. Any error is an
// ErrEthereumFormat.
func ParseEthereumReceipt(b []byte) (EthereumReceipt, error) {
	if len(b) > maxEthereum {
		return EthereumReceipt{}, fmt.Errorf("%w: %d bytes, at most %d", ErrEthereumFormat, len(b), maxEthereum)
	}
	var w ethereumWire
	if err := unmarshal(b, &w); err != nil {
		return EthereumReceipt{}, fmt.Errorf("%w: %w", ErrEthereumFormat, err)
	}
	if w.Type != ethereumType {
		return EthereumReceipt{}, fmt.Errorf("%w: type %.40q, want %q", ErrEthereumFormat, w.Type, ethereumType)
	}
	r := EthereumReceipt{
		ChainID: w.ChainID, Contract: w.Contract, Sender: w.Sender, Ledger: w.Ledger,
		Root: w.Root, Header: w.Header, AccountProof: w.AccountProof,
		StorageProof: w.StorageProof, ReceiptProof: w.ReceiptProof, TxIndex: w.TxIndex,
	}
	return r, r.check()
}

func (r *EthereumReceipt) check() error {
	if len(r.Header) == 0 || len(r.Header) > maxEthHeader {
		return fmt.Errorf("%w: header of %d bytes", ErrEthereumFormat, len(r.Header))
	}
	for _, p := range [][][]byte{r.AccountProof, r.StorageProof, r.ReceiptProof} {
		if len(p) > maxTrieNodes {
			return fmt.Errorf("%w: proof of %d nodes", ErrEthereumFormat, len(p))
		}
		for _, n := range p {
			if len(n) == 0 || len(n) > maxEthNode {
				return fmt.Errorf("%w: trie node of %d bytes", ErrEthereumFormat, len(n))
			}
		}
	}
	if len(r.AccountProof) == 0 {
		return fmt.Errorf("%w: no account proof", ErrEthereumFormat)
	}
	if len(r.ReceiptProof) == 0 && r.TxIndex != 0 {
		return fmt.Errorf("%w: transaction index %d without a receipt proof", ErrEthereumFormat, r.TxIndex)
	}
	return nil
}

// EthereumSlot returns the registry's storage slot for a sender's head of a
// ledger: keccak256(sender ‖ ledger), 52 bytes.
func EthereumSlot(sender [20]byte, ledger [32]byte) [32]byte {
	return keccak256(sender[:], ledger[:])
}

// EthereumTopic returns topic 0 of the registry's event.
func EthereumTopic() [32]byte { return keccak256([]byte(AnchoredEvent)) }

// VerifyEthereum checks a receipt against its own header and returns what it
// proves. It does not know whether the block is on the chain (HeaderTrust), nor
// whether contract, code, sender and chain id are the right ones (Policy).
// Errors are the ErrEthereum… above.
func VerifyEthereum(r EthereumReceipt) (EthereumFacts, error) {
	if err := r.check(); err != nil {
		return EthereumFacts{}, err
	}
	if r.Root == [32]byte{} {
		return EthereumFacts{}, ErrEthereumRoot
	}
	if len(r.StorageProof) == 0 && len(r.ReceiptProof) == 0 {
		return EthereumFacts{}, ErrEthereumNothing
	}
	h, err := parseEthereumHeader(r.Header)
	if err != nil {
		return EthereumFacts{}, fmt.Errorf("%w: %w", ErrEthereumHeader, err)
	}
	facts := EthereumFacts{BlockHash: keccak256(r.Header), Number: h.number, Time: int64(h.time) * 1000}
	storage, code, err := r.account(h.stateRoot)
	if err != nil {
		return EthereumFacts{}, fmt.Errorf("%w: %w", ErrEthereumAccount, err)
	}
	facts.CodeHash = code
	if len(r.StorageProof) != 0 {
		if err := r.verifyStorage(storage); err != nil {
			return EthereumFacts{}, err
		}
		facts.Stored = true
	}
	if len(r.ReceiptProof) != 0 {
		if facts.LogIndex, err = r.verifyLog(h.receiptsRoot); err != nil {
			return EthereumFacts{}, err
		}
		facts.Logged = true
	}
	return facts, nil
}

type ethereumHeader struct {
	stateRoot, receiptsRoot [32]byte
	number, time            uint64
}

// parseEthereumHeader reads the fields that count by their places, which no
// fork has moved. Forks add fields at the end, so that a reader which knew
// them all would refuse tomorrow's headers.
func parseEthereumHeader(b []byte) (h ethereumHeader, err error) {
	f, err := listOf(b, 15, maxHeaderFields)
	if err != nil {
		return h, err
	}
	if h.stateRoot, err = hashField(f[3]); err != nil {
		return h, fmt.Errorf("state root: %w", err)
	}
	if h.receiptsRoot, err = hashField(f[5]); err != nil {
		return h, fmt.Errorf("receipts root: %w", err)
	}
	if h.number, _, err = rlp.SplitUint64(f[8]); err != nil {
		return h, fmt.Errorf("number: %w", err)
	}
	if h.time, _, err = rlp.SplitUint64(f[11]); err != nil {
		return h, fmt.Errorf("time: %w", err)
	}
	if h.time > maxEthTime {
		return h, fmt.Errorf("time %d is no time in seconds", h.time)
	}
	return h, nil
}

// account returns the contract's storage root and code hash under stateRoot.
func (r *EthereumReceipt) account(stateRoot [32]byte) (storage, code [32]byte, err error) {
	key := keccak256(r.Contract[:])
	v, err := trieValue(stateRoot, key[:], r.AccountProof)
	if err != nil {
		return storage, code, err
	}
	f, err := listOf(v, 4, 4)
	if err != nil {
		return storage, code, err
	}
	if storage, err = hashField(f[2]); err != nil {
		return storage, code, fmt.Errorf("storage root: %w", err)
	}
	if code, err = hashField(f[3]); err != nil {
		return storage, code, fmt.Errorf("code hash: %w", err)
	}
	return storage, code, nil
}

func (r *EthereumReceipt) verifyStorage(storage [32]byte) error {
	slot := EthereumSlot(r.Sender, r.Ledger)
	key := keccak256(slot[:])
	v, err := trieValue(storage, key[:], r.StorageProof)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEthereumStorage, err)
	}
	word, rest, err := rlp.SplitString(v)
	if err != nil || len(rest) != 0 || len(word) > 32 || len(word) == 0 || word[0] == 0 {
		return fmt.Errorf("%w: value is no word", ErrEthereumStorage)
	}
	var head [32]byte
	copy(head[32-len(word):], word)
	if head != r.Root {
		return fmt.Errorf("%w: %x, want %x", ErrEthereumHead, head, r.Root)
	}
	return nil
}

// verifyLog checks the transaction receipt, [status, gas, bloom, logs] with a
// type byte before it in typed ones (EIP-2718), and returns the place of the
// first log that says what r does. Some chains add fields at the end.
func (r *EthereumReceipt) verifyLog(receiptsRoot [32]byte) (int, error) {
	v, err := trieValue(receiptsRoot, rlp.AppendUint64(nil, r.TxIndex), r.ReceiptProof)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrEthereumReceipt, err)
	}
	if v[0] < 0x80 {
		v = v[1:]
	}
	f, err := listOf(v, 4, 16)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrEthereumReceipt, err)
	}
	status, _, err := rlp.SplitString(f[0])
	if err != nil {
		return 0, fmt.Errorf("%w: status: %w", ErrEthereumReceipt, err)
	}
	if !bytes.Equal(status, []byte{1}) {
		return 0, ErrEthereumReverted
	}
	logs, err := rlp.SplitListValues(f[3])
	if err != nil {
		return 0, fmt.Errorf("%w: logs: %w", ErrEthereumReceipt, err)
	}
	for i, l := range logs {
		if r.isAnchored(l) {
			return i, nil
		}
	}
	return 0, ErrEthereumLog
}

// isAnchored reports whether a log, [address, topics, data], is the contract's
// event for this sender, ledger and root.
func (r *EthereumReceipt) isAnchored(log []byte) bool {
	f, err := listOf(log, 3, 3)
	if err != nil {
		return false
	}
	topics, err := listOf(f[1], 3, 3)
	if err != nil {
		return false
	}
	topic, sender := EthereumTopic(), [32]byte{}
	copy(sender[12:], r.Sender[:])
	return isString(f[0], r.Contract[:]) && isString(topics[0], topic[:]) &&
		isString(topics[1], sender[:]) && isString(topics[2], r.Ledger[:]) &&
		isString(f[2], r.Root[:])
}

// listOf returns the encoded elements of an RLP list that is all of b and has
// at least low and at most high of them.
func listOf(b []byte, low, high int) ([][]byte, error) {
	if _, rest, err := rlp.SplitList(b); err != nil {
		return nil, err
	} else if len(rest) != 0 {
		return nil, fmt.Errorf("%d bytes after the list", len(rest))
	}
	f, err := rlp.SplitListValues(b)
	if err != nil {
		return nil, err
	}
	if len(f) < low || len(f) > high {
		return nil, fmt.Errorf("list of %d elements", len(f))
	}
	return f, nil
}

func hashField(elem []byte) (h [32]byte, err error) {
	s, _, err := rlp.SplitString(elem)
	if err != nil {
		return h, err
	}
	if len(s) != 32 {
		return h, fmt.Errorf("%d bytes, want 32", len(s))
	}
	copy(h[:], s)
	return h, nil
}

func isString(elem, want []byte) bool {
	s, rest, err := rlp.SplitString(elem)
	return err == nil && len(rest) == 0 && bytes.Equal(s, want)
}
