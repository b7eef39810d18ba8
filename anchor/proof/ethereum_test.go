package proof

import (
	"bytes"
	"errors"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethdb"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/ethereum/go-ethereum/triedb"
)

// nodeList takes the nodes that trie.Prove writes, in its order: root first.
type nodeList struct {
	ethdb.KeyValueWriter
	nodes [][]byte
}

func (l *nodeList) Put(_, value []byte) error {
	l.nodes = append(l.nodes, bytes.Clone(value))
	return nil
}

func prove(t testing.TB, tr *trie.Trie, key []byte) [][]byte {
	t.Helper()
	var l nodeList
	if err := tr.Prove(key, &l); err != nil {
		t.Fatal(err)
	}
	return l.nodes
}

func emptyTrie() *trie.Trie {
	return trie.NewEmpty(triedb.NewDatabase(rawdb.NewMemoryDatabase(), nil))
}

type account struct {
	Nonce         uint64
	Balance       *big.Int
	Storage, Code common.Hash
}

// testBlock is one block of a chain that is made by hand: it holds an anchor,
// and others' accounts, slots, transactions and logs around it.
type testBlock struct {
	Chain            uint64
	Contract, Sender common.Address
	Ledger, Root     common.Hash
	CodeHash         common.Hash
	Number, Time     uint64
	TxIndex          int
	Status           uint64
	Log              func(*types.Log) // changes the anchor's log
	Stored           common.Hash      // what the slot holds, if not Root
}

func (b testBlock) receipt(t testing.TB) EthereumReceipt {
	t.Helper()
	if b.Stored == (common.Hash{}) {
		b.Stored = b.Root
	}
	slot := EthereumSlot(b.Sender, b.Ledger)
	storage := emptyTrie()
	for i := range 40 {
		k := crypto.Keccak256([]byte{'s', byte(i)})
		storage.MustUpdate(crypto.Keccak256(k), mustRLP(t, k))
	}
	storage.MustUpdate(crypto.Keccak256(slot[:]), mustRLP(t, bytes.TrimLeft(b.Stored[:], "\x00")))

	accounts := emptyTrie()
	for i := range 200 {
		a := account{0, big.NewInt(int64(i)), types.EmptyRootHash, types.EmptyCodeHash}
		accounts.MustUpdate(crypto.Keccak256([]byte{'a', byte(i)}), mustRLP(t, &a))
	}
	accounts.MustUpdate(crypto.Keccak256(b.Contract[:]), mustRLP(t, &account{1, new(big.Int), storage.Hash(), b.CodeHash}))

	receipts := emptyTrie()
	for i := range 150 {
		r := &types.Receipt{Type: types.DynamicFeeTxType, Status: 1, CumulativeGasUsed: uint64(30000 * (i + 1))}
		other := &types.Log{Address: common.Address{byte(i)}, Topics: []common.Hash{{1}}, Data: []byte("other")}
		r.Logs = append(r.Logs, other)
		if i == b.TxIndex {
			l := &types.Log{
				Address: b.Contract,
				Topics:  []common.Hash{EthereumTopic(), common.BytesToHash(b.Sender[:]), b.Ledger},
				Data:    b.Root[:],
			}
			if b.Log != nil {
				b.Log(l)
			}
			r.Status = b.Status
			r.Logs = append(r.Logs, l)
		}
		enc, err := r.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		receipts.MustUpdate(rlp.AppendUint64(nil, uint64(i)), enc)
	}
	zero := uint64(0)
	header := mustRLP(t, &types.Header{
		Root: accounts.Hash(), ReceiptHash: receipts.Hash(), TxHash: common.Hash{1}, UncleHash: types.EmptyUncleHash,
		Difficulty: new(big.Int), Number: new(big.Int).SetUint64(b.Number), Time: b.Time, GasLimit: 30_000_000,
		BaseFee: big.NewInt(7), WithdrawalsHash: &common.Hash{}, BlobGasUsed: &zero, ExcessBlobGas: &zero,
		ParentBeaconRoot: &common.Hash{}, RequestsHash: &common.Hash{},
	})
	return EthereumReceipt{
		ChainID: b.Chain, Contract: b.Contract, Sender: b.Sender, Ledger: b.Ledger, Root: b.Root, Header: header,
		AccountProof: prove(t, accounts, crypto.Keccak256(b.Contract[:])),
		StorageProof: prove(t, storage, crypto.Keccak256(slot[:])),
		ReceiptProof: prove(t, receipts, rlp.AppendUint64(nil, uint64(b.TxIndex))),
		TxIndex:      uint64(b.TxIndex),
	}
}

func mustRLP(t testing.TB, v any) []byte {
	t.Helper()
	b, err := rlp.EncodeToBytes(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func aBlock() testBlock {
	return testBlock{
		Chain: 1, Contract: common.HexToAddress("0xc0ffee"), Sender: common.HexToAddress("0x5e4de2"),
		Ledger: common.Hash{31: 1}, Root: common.Hash{1: 0xaa, 31: 0xbb}, CodeHash: crypto.Keccak256Hash([]byte("code")),
		Number: 21_000_000, Time: 1_760_000_000, TxIndex: 130, Status: 1,
	}
}

func TestVerifyEthereum(t *testing.T) {
	b := aBlock()
	r := b.receipt(t)
	enc, err := r.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseEthereumReceipt(enc)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := VerifyEthereum(got)
	if err != nil {
		t.Fatal(err)
	}
	var h types.Header
	if err := rlp.DecodeBytes(r.Header, &h); err != nil {
		t.Fatal(err)
	}
	want := EthereumFacts{
		BlockHash: h.Hash(), Number: b.Number, Time: int64(b.Time) * 1000, CodeHash: b.CodeHash,
		Stored: true, Logged: true, LogIndex: 1,
	}
	if facts != want {
		t.Errorf("facts %+v, want %+v", facts, want)
	}
	if again, _ := got.MarshalBinary(); !bytes.Equal(again, enc) {
		t.Error("parsed and written again, the receipt differs")
	}
	for i := 0; i < 150; i += 1 + i%7 { // many shapes of path
		b.TxIndex = i
		if _, err := VerifyEthereum(b.receipt(t)); err != nil {
			t.Fatalf("transaction %d: %v", i, err)
		}
	}
}

func TestVerifyEthereumHalves(t *testing.T) {
	r := aBlock().receipt(t)
	stored := r
	stored.ReceiptProof, stored.TxIndex = nil, 0
	if f, err := VerifyEthereum(stored); err != nil || !f.Stored || f.Logged {
		t.Errorf("storage alone: %+v, %v", f, err)
	}
	logged := r
	logged.StorageProof = nil
	if f, err := VerifyEthereum(logged); err != nil || f.Stored || !f.Logged {
		t.Errorf("log alone: %+v, %v", f, err)
	}
}

func TestVerifyEthereumRefuses(t *testing.T) {
	cases := []struct {
		name  string
		block func(*testBlock)
		after func(*EthereumReceipt)
		want  error
	}{
		{"reverted", func(b *testBlock) { b.Status = 0 }, nil, ErrEthereumReverted},
		{"other contract logs", func(b *testBlock) { b.Log = func(l *types.Log) { l.Address[0]++ } }, nil, ErrEthereumLog},
		{"other event", func(b *testBlock) { b.Log = func(l *types.Log) { l.Topics[0][0]++ } }, nil, ErrEthereumLog},
		{"other sender in log", func(b *testBlock) { b.Log = func(l *types.Log) { l.Topics[1][31]++ } }, nil, ErrEthereumLog},
		{"other ledger in log", func(b *testBlock) { b.Log = func(l *types.Log) { l.Topics[2][0]++ } }, nil, ErrEthereumLog},
		{"other root in log", func(b *testBlock) { b.Log = func(l *types.Log) { l.Data = bytes.Repeat([]byte{1}, 32) } }, nil, ErrEthereumLog},
		{"longer data", func(b *testBlock) { b.Log = func(l *types.Log) { l.Data = append(bytes.Clone(l.Data), 0) } }, nil, ErrEthereumLog},
		{"fourth topic", func(b *testBlock) { b.Log = func(l *types.Log) { l.Topics = append(l.Topics, common.Hash{}) } }, nil, ErrEthereumLog},
		{"other root stored", func(b *testBlock) { b.Stored = common.Hash{9} }, nil, ErrEthereumHead},
		{"zero root", nil, func(r *EthereumReceipt) { r.Root = [32]byte{} }, ErrEthereumRoot},
		{"sender", nil, func(r *EthereumReceipt) { r.Sender[3]++ }, ErrEthereumStorage},
		{"ledger", nil, func(r *EthereumReceipt) { r.Ledger[3]++ }, ErrEthereumStorage},
		{"contract", nil, func(r *EthereumReceipt) { r.Contract[3]++ }, ErrEthereumAccount},
		{"index", nil, func(r *EthereumReceipt) { r.TxIndex++ }, ErrEthereumReceipt},
		{"nothing", nil, func(r *EthereumReceipt) { r.StorageProof, r.ReceiptProof, r.TxIndex = nil, nil, 0 }, ErrEthereumNothing},
		{"index alone", nil, func(r *EthereumReceipt) { r.ReceiptProof = nil }, ErrEthereumFormat},
		{"no account", nil, func(r *EthereumReceipt) { r.AccountProof = nil }, ErrEthereumFormat},
		{"short account", nil, func(r *EthereumReceipt) { r.AccountProof = r.AccountProof[:1] }, ErrEthereumAccount},
		{"node left over", nil, func(r *EthereumReceipt) { r.StorageProof = append(r.StorageProof, []byte{0xc0}) }, ErrEthereumStorage},
		{"node twice", nil, func(r *EthereumReceipt) {
			r.AccountProof = append([][]byte{r.AccountProof[0]}, r.AccountProof...)
		}, ErrEthereumAccount},
		{"header cut", nil, func(r *EthereumReceipt) { r.Header = r.Header[:len(r.Header)-1] }, ErrEthereumHeader},
		{"header long", nil, func(r *EthereumReceipt) { r.Header = append(bytes.Clone(r.Header), 0) }, ErrEthereumHeader},
		{"header short", nil, func(r *EthereumReceipt) { r.Header = []byte{0xc1, 0x80} }, ErrEthereumHeader},
		{"header empty", nil, func(r *EthereumReceipt) { r.Header = nil }, ErrEthereumFormat},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := aBlock()
			if c.block != nil {
				c.block(&b)
			}
			r := b.receipt(t)
			if c.after != nil {
				c.after(&r)
			}
			if _, err := VerifyEthereum(r); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestEthereumFlips changes every bit of a receipt: it must not be read, not
// hold, or be about another block, chain or code, which trust and policy see.
func TestEthereumFlips(t *testing.T) {
	enc, err := aBlock().receipt(t).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	r, _ := ParseEthereumReceipt(enc)
	full, err := VerifyEthereum(r)
	if err != nil {
		t.Fatal(err)
	}
	b := bytes.Clone(enc)
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		if got, err := ParseEthereumReceipt(b); err == nil && got.ChainID == r.ChainID {
			if facts, err := VerifyEthereum(got); err == nil && facts.BlockHash == full.BlockHash {
				t.Errorf("bit %d of byte %d flipped: still %+v", i%8, i/8, facts)
			}
		}
		b[i/8] ^= 1 << (i % 8)
	}
}

// TestTrieValue holds the trie reader against geth's, for keys of one length
// (hashes) and of several (indexes), with nodes that stand inside others.
func TestTrieValue(t *testing.T) {
	for _, n := range []int{1, 2, 3, 17, 300} {
		tr := emptyTrie()
		keys := make([][]byte, n)
		for i := range n {
			keys[i] = rlp.AppendUint64(nil, uint64(i))
			tr.MustUpdate(keys[i], append([]byte{byte(i) | 1}, bytes.Repeat([]byte{7}, i%40)...))
		}
		root := tr.Hash()
		for i, k := range keys {
			nodes := prove(t, tr, k)
			want, _ := tr.Get(k)
			got, err := trieValue(root, k, nodes)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d keys, key %d: got %x, %v, want %x", n, i, got, err, want)
			}
		}
		absent := rlp.AppendUint64(nil, uint64(n+1000))
		if v, err := trieValue(root, absent, prove(t, tr, absent)); !errors.Is(err, ErrTrie) {
			t.Errorf("%d keys, absent key: got %x, %v, want %v", n, v, err, ErrTrie)
		}
	}
}

func FuzzParseEthereumReceipt(f *testing.F) {
	enc, err := aBlock().receipt(f).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(enc)
	f.Add(enc[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseEthereumReceipt(b)
		if err != nil {
			if !errors.Is(err, ErrEthereumFormat) {
				t.Errorf("error without a name: %v", err)
			}
			return
		}
		again, err := r.MarshalBinary()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("accepted bytes are not written again: %v", err)
		}
		VerifyEthereum(r)
	})
}

func FuzzTrieValue(f *testing.F) {
	r := aBlock().receipt(f)
	for _, n := range r.ReceiptProof {
		f.Add(n, []byte{0x81, 0x82})
	}
	f.Fuzz(func(t *testing.T, node, key []byte) {
		if len(key) > 32 {
			key = key[:32]
		}
		trieValue(keccak256(node), key, [][]byte{node})
	})
}
