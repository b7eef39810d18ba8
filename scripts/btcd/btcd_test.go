package btcd

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
)

func TestStopAndKillKeepChainAndAddresses(t *testing.T) {
	n := Start(t)
	n.Mine(5)
	url, peer := n.URL, n.Peer
	for _, end := range []func(){n.Stop, n.Kill, n.Stop} {
		// A shorter chain than the one kept before, the second time; a longer one, the third.
		height, tip := n.Tip()
		n.Invalidate(tip)
		if now, _ := n.Tip(); now != height-1 {
			t.Fatalf("got height %d, want %d", now, height-1)
		}
		_, before := n.Tip()
		end()
		if err := n.Call(nil, "getblockcount"); err == nil {
			t.Error("a node that was ended answers")
		}
		n.Resume()
		if n.URL != url || n.Peer != peer {
			t.Errorf("got addresses %s and %s after a restart, want %s and %s", n.URL, n.Peer, url, peer)
		}
		if now, after := n.Tip(); now != height-1 || after != before {
			t.Errorf("got tip %d, %s after a restart, want %d, %s", now, after, height-1, before)
		}
		if n.Mine(1); height > 4 {
			n.Invalidate(n.BlockHash(3))
		}
	}
}

func TestFundPaysFromCoinbases(t *testing.T) {
	n := Start(t)
	script := append([]byte{0x00, 0x14}, bytes.Repeat([]byte{7}, 20)...)
	for range 2 {
		point := n.Fund(script, 123_456)
		var pool []string
		if err := n.Call(&pool, "getrawmempool"); err != nil || !slices.Contains(pool, point.Hash.String()) {
			t.Fatalf("got mempool %v, %v; want %s in it", pool, err, point.Hash)
		}
		n.WaitForTx(point.Hash.String())
		block, err := n.Block(n.Mine(1)[0])
		if err != nil {
			t.Fatal(err)
		}
		if len(block.Transactions) != 2 {
			t.Fatalf("got %d transactions in the block, want 2", len(block.Transactions))
		}
		out := block.Transactions[1].TxOut[0]
		if block.Transactions[1].TxHash() != point.Hash || out.Value != 123_456 || !bytes.Equal(out.PkScript, script) {
			t.Errorf("got %d satoshi to %x, want 123456 to %x", out.Value, out.PkScript, script)
		}
	}
}

func TestMineBlockTakesWhatItIsGiven(t *testing.T) {
	n := Start(t)
	point := n.Fund(n.Script, 50_000)
	script := append([]byte{0x00, 0x14}, bytes.Repeat([]byte{9}, 20)...)
	empty, err := n.Block(n.MineBlock(script))
	if err != nil {
		t.Fatal(err)
	}
	if got := empty.Transactions; len(got) != 1 || !bytes.Equal(got[0].TxOut[0].PkScript, script) {
		t.Errorf("got %d transactions, the first to %x; want only the coinbase, to %x", len(got), got[0].TxOut[0].PkScript, script)
	}
	n.WaitForTx(point.Hash.String()) // still waits

	// A transaction that the mempool never had.
	tx, err := n.pay(point, 50_000, wire.NewTxOut(0, []byte{0x6a}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.mineBlock(nil, []*wire.MsgTx{tx}); err == nil {
		t.Error("a block with a transaction that spends what is not there was taken")
	}
	n.Mine(1)
	full, err := n.Block(n.MineBlock(nil, tx))
	if err != nil {
		t.Fatal(err)
	}
	if len(full.Transactions) != 2 || full.Transactions[1].TxHash() != tx.TxHash() {
		t.Errorf("got %d transactions, want the coinbase and %s", len(full.Transactions), tx.TxHash())
	}
}

func TestInvalidateAndReconsider(t *testing.T) {
	n := Start(t)
	point := n.Fund(n.Script, 50_000)
	old := n.Mine(3)
	n.Invalidate(old[0])
	if height, tip := n.Tip(); slices.Contains(old, tip) {
		t.Fatalf("still at block %d, %s, after it was invalidated", height, tip)
	}
	n.WaitForTx(point.Hash.String()) // its transactions wait again
	n.MineBlock(nil)
	n.Reconsider(old[0])
	if _, tip := n.Tip(); tip != old[2] {
		t.Errorf("got tip %s, want the reconsidered longer chain's, %s", tip, old[2])
	}
}

func TestTwoNodesReorganise(t *testing.T) {
	a, b := Start(t), Start(t)
	a.Mine(2)
	a.Connect(b)
	_, common := a.Tip()
	b.WaitFor(common)
	a.Disconnect(b)
	a.Mine(2)
	longer := b.Mine(4)
	if _, tip := a.Tip(); slices.Contains(longer, tip) {
		t.Fatal("disconnected nodes share blocks")
	}
	a.Connect(b)
	a.WaitFor(longer[3])
	more := a.Mine(1)
	b.WaitFor(more[0])
	point := b.Fund(b.Script, 10_000)
	a.WaitForTx(point.Hash.String())
}

func TestPayToNamesAnotherMiner(t *testing.T) {
	other := Start(t)
	n := Start(t, PayTo(other.Address), Flags("--rejectreplacement"))
	block, err := n.Block(n.Mine(1)[0])
	if err != nil {
		t.Fatal(err)
	}
	if got := block.Transactions[0].TxOut[0].PkScript; !bytes.Equal(got, other.Script) {
		t.Errorf("got the subsidy at %x, want %x", got, other.Script)
	}
}

func TestErrorsOfTheNodeAreErrors(t *testing.T) {
	n := Start(t)
	var failed *Error
	if err := n.Call(nil, "getblockhash", 99); !errors.As(err, &failed) || failed.Code == 0 {
		t.Errorf("got %v from a height that does not exist, want an Error with its code", err)
	}
	n.Password = "wrong"
	if err := n.Call(nil, "getblockcount"); err == nil {
		t.Error("a wrong password was good enough")
	}
}

// The password is for the node and its test alone, and nothing listens beyond this machine.
func TestNodeKeepsToItself(t *testing.T) {
	n := Start(t)
	for _, arg := range n.run.Args() {
		if strings.Contains(arg, n.Password) {
			t.Error("the password stands on the command line")
		}
	}
	resp, err := http.Post(n.URL, "application/json", strings.NewReader(`{"method":"getblockcount","params":[],"id":1}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("got status %d without a password, want %d", resp.StatusCode, http.StatusUnauthorized)
	}
	if !strings.HasPrefix(n.URL, "http://127.0.0.1:") || !strings.HasPrefix(n.Peer, "127.0.0.1:") {
		t.Errorf("listens at %s and %s", n.URL, n.Peer)
	}
	if _, err := os.Stat(n.dir); err != nil {
		t.Error(err)
	}
}
