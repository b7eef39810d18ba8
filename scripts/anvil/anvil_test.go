package anvil

import (
	"testing"

	"github.com/ethereum/go-ethereum/crypto"
)

func TestRestartKeepsChainAndAddress(t *testing.T) {
	n := Start(t)
	var id string
	if err := n.Call(&id, "eth_chainId"); err != nil || id != "0x7a69" {
		t.Fatalf("got chain id %s, %v; want %#x", id, err, ChainID)
	}
	if len(n.Keys) != 10 {
		t.Fatalf("got %d keys, want 10", len(n.Keys))
	}
	n.Mine(5)
	before, url := blockHash(t, n, "latest"), n.URL
	n.Restart()
	if n.URL != url {
		t.Errorf("got URL %s after a restart, want %s", n.URL, url)
	}
	if after := blockHash(t, n, "latest"); after != before {
		t.Errorf("got head %s after a restart, want %s", after, before)
	}
}

func TestFinalizedFollowsCloseBehind(t *testing.T) {
	n := Start(t)
	n.Mine(3)
	if got, want := blockHash(t, n, "finalized"), blockHash(t, n, "0x1"); got != want {
		t.Errorf("got finalized block %s, want block 1, %s", got, want)
	}
}

func TestKeysAreFunded(t *testing.T) {
	n := Start(t)
	var balance string
	address := crypto.PubkeyToAddress(n.Keys[0].PublicKey)
	if err := n.Call(&balance, "eth_getBalance", address.Hex(), "latest"); err != nil || len(balance) < 10 {
		t.Errorf("got balance %s of the first key, %v; want a fortune", balance, err)
	}
}

func TestKilledNodeStartsOver(t *testing.T) {
	n := Start(t)
	n.Mine(1)
	n.Kill()
	if err := n.Call(nil, "eth_chainId"); err == nil {
		t.Error("a killed node answers")
	}
	n.Resume()
	var number string
	if err := n.Call(&number, "eth_blockNumber"); err != nil || number != "0x0" {
		t.Errorf("got block %s after a kill, %v; want 0x0", number, err)
	}
}

func TestErrorsOfTheNodeAreErrors(t *testing.T) {
	n := Start(t)
	if err := n.Call(nil, "no_such_method"); err == nil {
		t.Error("got no error from a method that does not exist")
	}
}

func blockHash(t *testing.T, n *Node, block string) string {
	t.Helper()
	var header struct {
		Hash string `json:"hash"`
	}
	if err := n.Call(&header, "eth_getBlockByNumber", block, false); err != nil {
		t.Fatalf("block %s: %v", block, err)
	}
	return header.Hash
}
