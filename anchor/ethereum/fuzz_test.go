package ethereum

import (
	"bytes"
	"encoding/json"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethdb/memorydb"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"cairn/anchor/proof"
)

// seeds adds what real nodes answered: testdata/rpc holds answers of
// go-ethereum and anvil, one a file.
func seeds(f *testing.F, pattern string) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "rpc", pattern))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds %s: %v", pattern, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("null"))
	f.Add([]byte("{}"))
}

// FuzzHeader: whatever is taken for a header hashes to its name, can be written
// and read again, and has fields that fit where they go.
func FuzzHeader(f *testing.F) {
	seeds(f, "*_block.json")
	f.Fuzz(func(t *testing.T, b []byte) {
		var h *namedHeader
		if json.Unmarshal(b, &h) != nil || h == nil || h.check() != nil {
			return
		}
		raw, err := rlp.EncodeToBytes(&h.Header)
		if err != nil {
			t.Fatal(err)
		}
		again := new(types.Header)
		if err := rlp.DecodeBytes(raw, again); err != nil || again.Hash() != h.hash {
			t.Fatalf("read again it has hash %s, want %s: %v", again.Hash(), h.hash, err)
		}
		if at := block(&h.Header); at.Time < 0 || at.Hash != h.hash {
			t.Fatalf("block %+v", at)
		}
	})
}

// FuzzPlace: what a transaction did cost never exceeds what it allows, but for
// the data's fee.
func FuzzPlace(f *testing.F) {
	seeds(f, "*_receipt.json")
	tx := types.NewTx(&types.DynamicFeeTx{Gas: 100_000, GasTipCap: big.NewInt(gwei), GasFeeCap: big.NewInt(20 * gwei)})
	most := gweiUp(new(big.Int).Mul(tx.GasFeeCap(), big.NewInt(100_000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p *txPlace
		if json.Unmarshal(b, &p) != nil || p == nil {
			return
		}
		for _, base := range []*big.Int{nil, big.NewInt(1), new(big.Int).Lsh(common.Big1, 79)} {
			cost, err := costOf(tx, p, &types.Header{BaseFee: base})
			if err == nil && (cost == 0 || p.L1Fee == nil && cost > most) {
				t.Fatalf("cost %d, at most %d", cost, most)
			}
		}
	})
}

// FuzzReceipts: whatever is taken for the receipts of a block gives branches
// that go-ethereum's trie follows.
func FuzzReceipts(f *testing.F) {
	seeds(f, "*_receipts.json")
	f.Add([]byte(`[{"cumulativeGasUsed":"0x1","logsBloom":"0x","logs":[null],"transactionHash":"0x01","gasUsed":"0x1"},null]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var receipts types.Receipts
		if json.Unmarshal(b, &receipts) != nil || len(receipts) == 0 || len(receipts) > 64 {
			return
		}
		if _, _, err := receiptBranch(receipts, &types.Header{Number: big.NewInt(1)}, common.Hash{1}); err == nil {
			t.Fatal("a branch under the receipts root 0")
		}
		if slices.Contains(receipts, nil) {
			return
		}
		for i := range receipts {
			nodes, root := branch(receipts, uint64(i))
			db := memorydb.New()
			for _, node := range nodes {
				db.Put(crypto.Keccak256(node), node)
			}
			var want bytes.Buffer
			receipts.EncodeIndex(i, &want)
			got, err := trie.VerifyProof(root, rlp.AppendUint64(nil, uint64(i)), db)
			if err != nil || !bytes.Equal(got, want.Bytes()) {
				t.Fatalf("the branch to receipt %d of %d: %v", i, len(receipts), err)
			}
		}
	})
}

// FuzzStateProof: no proof that is made up becomes a receipt.
func FuzzStateProof(f *testing.F) {
	seeds(f, "*_proof.json")
	header, err := rlp.EncodeToBytes(&types.Header{Number: big.NewInt(1), Difficulty: new(big.Int)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var res *stateAnswer
		if json.Unmarshal(b, &res) != nil || res == nil || len(res.StorageProof) != 1 {
			return
		}
		r := proof.EthereumReceipt{
			ChainID: 1, Header: header, Root: rootOf(1), Ledger: testLedger,
			AccountProof: plain(res.AccountProof), StorageProof: plain(res.StorageProof[0].Proof),
		}
		if facts, err := proof.VerifyEthereum(r); err == nil {
			t.Fatalf("a proof under the state root 0 holds: %+v", facts)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Wed, 21 Oct 2015 07:28:00 GMT")
	now := time.Unix(1_445_412_000, 0)
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := retryAfter(http.Header{"Retry-After": {s}}, now); ok && (d < 0 || d > maxRetryAfter) {
			t.Fatalf("%q is %s", s, d)
		}
	})
}
