package main

import (
	"testing"

	"cairn/anchor/proof"
)

// A place and its successor may hold one head: a file shows both receipts.
func TestOneHeadUnderTwoPlaces(t *testing.T) {
	p := &prover{b: proof.NewBuilder([32]byte{}, [32]byte{})}
	for _, data := range []string{"successor's", "first's", "successor's"} {
		p.receipt(proof.Receipt{Route: "ethereum:1", Kind: proof.KindEthereum, Data: []byte(data)})
	}
	p.receipt(proof.Receipt{Route: "ots", Kind: proof.KindOTS, Data: []byte("first's")})
	if got := len(p.b.File().Receipts); got != 3 {
		t.Errorf("got %d receipts, want 3", got)
	}
	if len(p.used) != 2 {
		t.Errorf("got the routes %v, want both, each once", p.used)
	}
}

// How far a batch is anchored goes by the routes that are configured where more
// than one must hold it, else by any that ever did.
func TestQuorumOfRoutes(t *testing.T) {
	eth := AnchorConfig{Type: typeEthereum, Ethereum: EthereumConfig{ChainID: 1}}
	btc := AnchorConfig{Type: typeBitcoin, Bitcoin: BitcoinConfig{Node: BitcoinNode{Network: "mainnet"}}}
	ots := AnchorConfig{Type: typeOTS}
	all := []AnchorConfig{eth, btc, ots}
	for _, c := range []struct {
		anchors []AnchorConfig
		quorum  string
		states  map[string]string
		want    string
	}{
		{all, "any", map[string]string{}, stateLogged},
		{all, "any", map[string]string{"ots": statePending}, statePending},
		{all, "any", map[string]string{"ots": statePending, "ethereum:1": stateFinal}, stateFinal},
		{all, "all", map[string]string{"ots": statePending, "ethereum:1": stateFinal}, stateLogged},
		{all, "all", map[string]string{"ots": statePending, "ethereum:1": stateFinal, "bitcoin:mainnet": stateFinal}, statePending},
		{all, "all", map[string]string{"ots": stateFinal, "ethereum:1": stateFinal, "bitcoin:mainnet": stateFinal}, stateFinal},
		{all, "2", map[string]string{"ots": statePending, "ethereum:1": stateFinal}, statePending},
		{all, "2", map[string]string{"ots": stateFinal, "ethereum:1": stateFinal}, stateFinal},
		{all, "2", map[string]string{"ethereum:5": stateFinal, "ethereum:1": stateFinal}, stateLogged},
		{all[:1], "all", map[string]string{"ethereum:5": stateFinal}, stateFinal},
		{nil, "all", map[string]string{"ethereum:5": stateFinal}, stateFinal},
		{nil, "any", nil, stateLogged},
	} {
		l := &openLedger{cfg: &LedgerConfig{Anchors: c.anchors, Quorum: c.quorum}}
		if got := l.quorumOf(c.states); got != c.want {
			t.Errorf("%d routes, quorum %s, %v: got %s, want %s", len(c.anchors), c.quorum, c.states, got, c.want)
		}
	}
}
