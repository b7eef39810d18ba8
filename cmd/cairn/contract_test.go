package main

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"cairn/anchor/proof"
	"cairn/contracts"
)

// The verifier repeats the contract's constants, so that it need not link what
// the contract's package does. They must be the same.
func TestVerifierKnowsTheContract(t *testing.T) {
	if got, want := common.Hash(proof.EthereumTopic()), contracts.AnchoredTopic; got != want {
		t.Errorf("got topic %s from the verifier, the contract's is %s", got, want)
	}
	sender, ledger := common.HexToAddress("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"), [32]byte{1, 2, 3}
	if got, want := common.Hash(proof.EthereumSlot(sender, ledger)), contracts.Slot(sender, ledger); got != want {
		t.Errorf("got slot %s from the verifier, the contract's is %s", got, want)
	}
}
