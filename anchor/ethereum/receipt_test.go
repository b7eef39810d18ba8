package ethereum

import (
	"bytes"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethdb/memorydb"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
)

// TestBranch takes every branch of blocks of many sizes and lets go-ethereum's
// trie verify it.
func TestBranch(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 15, 16, 17, 127, 128, 129, 130, 255, 256, 257, 300} {
		receipts := make(types.Receipts, n)
		for i := range receipts {
			receipts[i] = &types.Receipt{
				Type: uint8(i % 3), Status: 1, CumulativeGasUsed: uint64(21000 * (i + 1)),
				Logs: []*types.Log{{Address: common.Address{byte(i)}, Data: make([]byte, i%7*32)}},
			}
		}
		want := types.DeriveSha(receipts, trie.NewStackTrie(nil))
		for i := range receipts {
			nodes, root := branch(receipts, uint64(i))
			if root != want {
				t.Fatalf("%d receipts: root %s, want %s", n, root, want)
			}
			db := memorydb.New()
			for _, node := range nodes {
				db.Put(crypto.Keccak256(node), node)
			}
			got, err := trie.VerifyProof(root, rlp.AppendUint64(nil, uint64(i)), db)
			if err != nil {
				t.Fatalf("%d receipts, %d: %v", n, i, err)
			}
			var buf bytes.Buffer
			receipts.EncodeIndex(i, &buf)
			if !bytes.Equal(got, buf.Bytes()) {
				t.Fatalf("%d receipts, %d: another receipt is proven", n, i)
			}
		}
	}
}
