package ethereum

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"cairn/anchor"
	"cairn/anchor/proof"
	"cairn/merkle"
)

// TestLyingNode changes what the node says. Nothing of it may become a receipt
// or a block, and each has a reason.
func TestLyingNode(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	ctx := testContext(t)
	cfg := configOf(t, d)
	_, cfg = deployed(t, d, cfg)
	p := newProxy(t, d.url())
	cfg.URL = p.URL
	c := dial(t, cfg)
	a := mustSign(t, c, merkle.Hash{}, rootOf(1))
	mustSend(t, c, a)
	f := mustFind(t, c, d, a)
	mustReceipt(t, c, a, rootOf(1), f.Block)

	flip := func(b json.RawMessage, after string) json.RawMessage {
		i := strings.Index(string(b), after)
		if i < 0 {
			return b
		}
		i += len(after) + 20
		out := append(json.RawMessage(nil), b...)
		if out[i] == '1' {
			out[i] = '2'
		} else {
			out[i] = '1'
		}
		return out
	}
	null := json.RawMessage("null")
	receipt := func() error { _, err := c.Receipt(ctx, a, f.Block); return err }
	find := func() error { _, _, err := c.Find(ctx, []anchor.Attempt{a}); return err }
	tips := func() error { _, err := c.Tips(ctx); return err }
	stored := func() error { _, err := c.Stored(ctx); return err }
	tests := []struct {
		name, method string
		change       func(json.RawMessage) json.RawMessage
		do           func() error
		want         error
	}{
		{"state root", "eth_getBlockByNumber", func(b json.RawMessage) json.RawMessage { return flip(b, `"stateRoot":"`) }, receipt, anchor.ErrAgain},
		{"block hash", "eth_getBlockByNumber", func(b json.RawMessage) json.RawMessage { return flip(b, `"hash":"`) }, receipt, anchor.ErrAgain},
		{"null block", "eth_getBlockByNumber", func(json.RawMessage) json.RawMessage { return null }, tips, anchor.ErrAgain},
		{"empty block", "eth_getBlockByNumber", func(json.RawMessage) json.RawMessage { return json.RawMessage("{}") }, tips, anchor.ErrAgain},
		{"text for a block", "eth_getBlockByNumber", func(json.RawMessage) json.RawMessage { return json.RawMessage(`"x"`) }, tips, anchor.ErrAgain},
		{"account proof", "eth_getProof", func(b json.RawMessage) json.RawMessage { return flip(b, `"accountProof":["`) }, receipt, anchor.ErrAgain},
		{"null proof", "eth_getProof", func(json.RawMessage) json.RawMessage { return null }, receipt, anchor.ErrAgain},
		{"no slots", "eth_getProof", func(json.RawMessage) json.RawMessage { return json.RawMessage(`{"accountProof":["0x80"]}`) }, receipt, anchor.ErrAgain},
		{"another transaction's place", "eth_getTransactionReceipt", func(b json.RawMessage) json.RawMessage {
			return json.RawMessage(strings.ReplaceAll(string(b), fmt.Sprintf("%x", a.ID), strings.Repeat("ab", 32)))
		}, find, anchor.ErrAgain},
		{"another block", "eth_getTransactionReceipt", func(b json.RawMessage) json.RawMessage { return flip(b, `"blockHash":"`) }, find, anchor.ErrAgain},
		{"short head", "eth_call", func(json.RawMessage) json.RawMessage { return json.RawMessage(`"0x"`) }, stored, anchor.ErrContract},
		{"null chain id", "eth_chainId", func(json.RawMessage) json.RawMessage { return null }, stored, anchor.ErrAgain},
		{"huge chain id", "eth_chainId", func(json.RawMessage) json.RawMessage {
			return json.RawMessage(`"0x1` + strings.Repeat("0", 40) + `"`)
		}, stored, anchor.ErrWrongChain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.set(func(method string, _, result json.RawMessage) (json.RawMessage, *rpcFault) {
				if method == tt.method {
					result = tt.change(result)
				}
				return result, nil
			})
			defer p.set(nil)
			if err := tt.do(); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
	t.Run("pending receipt", func(t *testing.T) {
		p.set(func(method string, _, result json.RawMessage) (json.RawMessage, *rpcFault) {
			if method == "eth_getTransactionReceipt" {
				return json.RawMessage(fmt.Sprintf(`{"transactionHash":"0x%x","blockHash":null,"blockNumber":null}`, a.ID)), nil
			}
			return result, nil
		})
		defer p.set(nil)
		if _, ok, err := c.Find(ctx, []anchor.Attempt{a}); ok || err != nil {
			t.Errorf("Find = %v, %v, want nothing found", ok, err)
		}
	})
	// A wrong storage proof leaves the receipt proof, and the other way round.
	partial := func(method, after string) proof.EthereumFacts {
		p.set(func(m string, _, result json.RawMessage) (json.RawMessage, *rpcFault) {
			if m == method {
				result = flip(result, after)
			}
			return result, nil
		})
		defer p.set(nil)
		return mustReceipt(t, c, a, rootOf(1), f.Block)
	}
	if facts := partial("eth_getBlockReceipts", `"logsBloom":"`); !facts.Stored || facts.Logged {
		t.Errorf("with a wrong receipt: %+v", facts)
	}
	if facts := partial("eth_getProof", `"proof":["`); facts.Stored || !facts.Logged {
		t.Errorf("with a wrong storage proof: %+v", facts)
	}
}

// TestNodeWithoutBlockReceipts gives them one by one.
func TestNodeWithoutBlockReceipts(t *testing.T) {
	t.Parallel()
	d := newSim(t)
	cfg := configOf(t, d)
	_, cfg = deployed(t, d, cfg)
	p := newProxy(t, d.url())
	p.set(func(method string, _, result json.RawMessage) (json.RawMessage, *rpcFault) {
		if method == "eth_getBlockReceipts" || method == "eth_maxPriorityFeePerGas" {
			return nil, &rpcFault{-32601, "the method does not exist/is not available"}
		}
		return result, nil
	})
	cfg.URL = p.URL
	c := dial(t, cfg)
	a := mustSign(t, c, merkle.Hash{}, rootOf(1))
	mustSend(t, c, a)
	f := mustFind(t, c, d, a)
	if facts := mustReceipt(t, c, a, rootOf(1), f.Block); !facts.Stored || !facts.Logged {
		t.Errorf("facts = %+v", facts)
	}
}

// TestNodeTexts holds what the nodes say, in their own spelling.
func TestNodeTexts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		node, text string
		want       error
	}{
		{"geth", "already known", nil},
		{"geth", "nonce too low: next nonce 5, tx nonce 4", anchor.ErrAsk},
		{"geth", "nonce too high: tx nonce 9, gapped nonce 7", anchor.ErrAsk},
		{"geth", "gapped-nonce tx from delegated accounts", anchor.ErrAsk},
		{"geth", "replacement transaction underpriced: new tx gas fee cap 10 < 11", anchor.ErrPrice},
		{"geth", "transaction underpriced: tip needed 1, tip permitted 0", anchor.ErrPrice},
		{"geth", "transaction gas price below minimum: gas tip cap 0, minimum needed 1", anchor.ErrPrice},
		{"geth", "max fee per gas less than block base fee: address 0x71, maxFeePerGas: 1, baseFee: 7", anchor.ErrPrice},
		{"geth", "insufficient funds for gas * price + value: balance 0, tx cost 21000, overshot 21000", anchor.ErrFunds},
		{"geth", "insufficient funds for gas * price + value: balance 9, queued cost 8, tx bumped 2, overshot 1", anchor.ErrFunds},
		{"geth", "tx fee (1.10 ether) exceeds the configured cap (1.00 ether)", anchor.ErrFees},
		{"geth", "invalid sender: invalid chain id for signer: have 1 want 2", anchor.ErrWrongChain},
		{"geth", "invalid chain id for signer: have 1 want 2", anchor.ErrWrongChain},
		{"geth", "txpool is full", anchor.ErrBusy},
		{"geth", "out of capacity", anchor.ErrBusy},
		{"geth", "account limit exceeded: pooled 64 txs", anchor.ErrBusy},
		{"geth", "in-flight transaction limit reached for delegated accounts", anchor.ErrBusy},
		{"geth", "address already reserved", anchor.ErrBusy},
		{"geth", "future transaction tries to replace pending", anchor.ErrBusy},
		{"geth", "intrinsic gas too low: gas 20000, minimum needed 21000", anchor.ErrRefused},
		{"geth", "insufficient gas for floor data gas cost: gas 1, minimum needed 2", anchor.ErrRefused},
		{"geth", "exceeds block gas limit", anchor.ErrRefused},
		{"geth", "transaction gas limit too high (cap: 16777216, tx: 16777217)", anchor.ErrRefused},
		{"geth", "transaction type not supported: type 2 rejected, pool not yet in London", anchor.ErrRefused},
		{"geth", "max priority fee per gas higher than max fee per gas", anchor.ErrRefused},
		{"geth", "sender not an eoa: address 0x71, len(code): 5", anchor.ErrRefused},
		{"geth", "nonce has max value", anchor.ErrRefused},
		{"geth", "invalid sender", anchor.ErrRefused},
		{"nethermind", "already known", nil},
		{"nethermind", "nonce too low", anchor.ErrAsk},
		{"nethermind", "nonce too low, Current nonce: 5, nonce of rejected tx: 4", anchor.ErrAsk},
		{"nethermind", "nonce too high", anchor.ErrAsk},
		{"nethermind", "nonce too far in future", anchor.ErrAsk},
		{"nethermind", "delegation nonce gap", anchor.ErrAsk},
		{"nethermind", "transaction underpriced", anchor.ErrPrice},
		{"nethermind", "replacement transaction underpriced", anchor.ErrPrice},
		{"nethermind", "insufficient funds for gas * price + value", anchor.ErrFunds},
		{"nethermind", "insufficient MaxFeePerGas for sender balance", anchor.ErrFunds},
		{"nethermind", "gas limit reached", anchor.ErrRefused},
		{"nethermind", "sender not an eoa", anchor.ErrRefused},
		{"nethermind", "unsupported transaction type", anchor.ErrRefused},
		{"nethermind", "failed to recover sender", anchor.ErrRefused},
		{"nethermind", "pending transaction type conflict", anchor.ErrBusy},
		{"nethermind", "delegation authority has pending transaction", anchor.ErrBusy},
		{"nethermind", "node is syncing", anchor.ErrBusy},
		{"nethermind before 2026", "AlreadyKnown", nil},
		{"nethermind before 2026", "OldNonce, Current nonce: 5, nonce of rejected tx: 4", anchor.ErrAsk},
		{"nethermind before 2026", "OwnNonceAlreadyUsed", anchor.ErrAsk},
		{"nethermind before 2026", "NonceGap, Future nonce. Expected nonce: 5", anchor.ErrAsk},
		{"nethermind before 2026", "ReplacementNotAllowed, existing tx has higher fee", anchor.ErrPrice},
		{"nethermind before 2026", "FeeTooLow, MaxFeePerGas too low", anchor.ErrPrice},
		{"nethermind before 2026", "FeeTooLowToCompete", anchor.ErrPrice},
		{"nethermind before 2026", "InsufficientFunds, Account balance: 0, cumulative cost: 5", anchor.ErrFunds},
		{"nethermind before 2026", "GasLimitExceeded, Gas limit: 30000000", anchor.ErrRefused},
		{"nethermind before 2026", "SenderIsContract", anchor.ErrRefused},
		{"besu", "Known transaction", nil},
		{"besu", "Nonce too low", anchor.ErrAsk},
		{"besu", "Nonce too low (transaction nonce 0 below sender account nonce 3)", anchor.ErrAsk},
		{"besu", "Nonce too high", anchor.ErrAsk},
		{"besu", "Transaction nonce is too distant from current sender nonce", anchor.ErrAsk},
		{"besu", "An invalid transaction with a lower nonce exists", anchor.ErrAsk},
		{"besu", "Replacement transaction underpriced", anchor.ErrPrice},
		{"besu", "Gas price below configured minimum gas price", anchor.ErrPrice},
		{"besu", "Gas price below current base fee", anchor.ErrPrice},
		{"besu", "Upfront cost exceeds account balance", anchor.ErrFunds},
		{"besu", "transaction up-front cost 0x5 exceeds transaction sender account balance 0x0", anchor.ErrFunds},
		{"besu", "Transaction fee cap exceeded", anchor.ErrFees},
		{"besu", "Wrong chainId", anchor.ErrWrongChain},
		{"besu", "ChainId not supported", anchor.ErrWrongChain},
		{"besu", "ChainId is required", anchor.ErrWrongChain},
		{"besu", "Initial sync is still in progress", anchor.ErrBusy},
		{"besu", "Transaction pool not enabled. (Either txpool explicitly disabled, or node not yet in sync).", anchor.ErrBusy},
		{"besu", "Intrinsic gas exceeds gas limit", anchor.ErrRefused},
		{"besu", "Transaction gas limit exceeds block gas limit", anchor.ErrRefused},
		{"besu", "Invalid transaction type", anchor.ErrRefused},
		{"besu", "Invalid signature", anchor.ErrRefused},
		{"besu", "Max priority fee per gas exceeds max fee per gas", anchor.ErrRefused},
		{"besu", "Sender 0x71 has deployed code and so is not authorized to send transactions", anchor.ErrRefused},
		{"erigon", "ALREADY_EXISTS: already known", nil},
		{"erigon", "INTERNAL_ERROR: existing txn with same hash", nil},
		{"erigon", "INTERNAL_ERROR: existing tx with same hash", nil},
		{"erigon", "INTERNAL_ERROR: nonce too low", anchor.ErrAsk},
		{"erigon", "INTERNAL_ERROR: mined", anchor.ErrAsk},
		{"erigon", "INTERNAL_ERROR: replaced by transaction with higher tip", anchor.ErrAsk},
		{"erigon", "INTERNAL_ERROR: could not replace existing tx", anchor.ErrPrice},
		{"erigon", "FEE_TOO_LOW: replacement transaction underpriced", anchor.ErrPrice},
		{"erigon", "FEE_TOO_LOW: underpriced", anchor.ErrPrice},
		{"erigon", "INTERNAL_ERROR: fee too low", anchor.ErrPrice},
		{"erigon", "INTERNAL_ERROR: insufficient funds", anchor.ErrFunds},
		{"erigon", "tx fee (1.10 ether) exceeds the configured cap (1.00 ether)", anchor.ErrFees},
		{"erigon", "invalid chain id, expected: 1 got: 5", anchor.ErrWrongChain},
		{"erigon", "INTERNAL_ERROR: pending sub-pool is full", anchor.ErrBusy},
		{"erigon", "INTERNAL_ERROR: baseFee sub-pool is full", anchor.ErrBusy},
		{"erigon", "INTERNAL_ERROR: spammer", anchor.ErrBusy},
		{"erigon", "INTERNAL_ERROR: IntrinsicGas", anchor.ErrRefused},
		{"erigon", "INTERNAL_ERROR: gas limit is too high", anchor.ErrRefused},
		{"erigon", "INVALID: invalid sender", anchor.ErrRefused},
		{"erigon", "INTERNAL_ERROR: fork supporting this transaction type is not activated yet", anchor.ErrRefused},
		{"reth", "already known", nil},
		{"reth", "nonce too low: next nonce 5, tx nonce 4", anchor.ErrAsk},
		{"reth", "nonce too high", anchor.ErrAsk},
		{"reth", "replacement transaction underpriced", anchor.ErrPrice},
		{"reth", "transaction underpriced", anchor.ErrPrice},
		{"reth", "max fee per gas less than block base fee", anchor.ErrPrice},
		{"reth", "transaction priority fee below minimum required priority fee 100", anchor.ErrPrice},
		{"reth", "insufficient funds for gas * price + value: have 0 want 5", anchor.ErrFunds},
		{"reth", "tx fee (5 wei) exceeds the configured cap (4 wei)", anchor.ErrFees},
		{"reth", "invalid chain ID", anchor.ErrWrongChain},
		{"reth", "txpool is full", anchor.ErrBusy},
		{"reth", "address already reserved", anchor.ErrBusy},
		{"reth", "gas limit too high", anchor.ErrRefused},
		{"reth", "exceeds block gas limit", anchor.ErrRefused},
		{"reth", "exceeds max transaction gas limit", anchor.ErrRefused},
		{"reth", "intrinsic gas too low", anchor.ErrRefused},
		{"reth", "invalid transaction signature", anchor.ErrRefused},
		{"reth", "failed to decode signed transaction", anchor.ErrRefused},
		{"reth", "sender is not an EOA", anchor.ErrRefused},
		{"reth's pool", "[0x71]: already imported", nil},
		{"reth's pool", "[0x71]: insufficient gas price to replace existing transaction", anchor.ErrPrice},
		{"reth's pool", "[0x71]: transaction feeCap 6 below chain minimum", anchor.ErrPrice},
		{"reth's pool", "[0x71]: transaction overdraws from account", anchor.ErrFunds},
		{"reth's pool", "[0x71]: rejected due to 0x71 being identified as a spammer", anchor.ErrBusy},
		{"reth's pool", "[0x71]: transaction discarded outright due to pool size constraints", anchor.ErrBusy},
		{"anvil", "transaction already imported", nil},
		{"anvil", "Tx: [0x71] already Imported", nil},
		{"anvil", "nonce too low", anchor.ErrAsk},
		{"anvil", "Nonce too high", anchor.ErrAsk},
		{"anvil", "Transaction with cyclic dependent transactions", anchor.ErrAsk},
		{"anvil", "replacement transaction underpriced", anchor.ErrPrice},
		{"anvil", "Tx: [0x71] insufficient gas price to replace existing transaction", anchor.ErrPrice},
		{"anvil", "max fee per gas less than block base fee", anchor.ErrPrice},
		{"anvil", "Insufficient funds for gas * price + value", anchor.ErrFunds},
		{"anvil", "invalid chain id for signer", anchor.ErrWrongChain},
		{"anvil", "Incompatible EIP-155 transaction, signed for another chain", anchor.ErrWrongChain},
		{"anvil", "intrinsic gas too low", anchor.ErrRefused},
		{"anvil", "intrinsic gas too high -- tx.gas_limit > env.block.gas_limit", anchor.ErrRefused},
		{"anvil", "Transaction gas limit is greater than the block gas limit, gas_limit: 9, cap: 8", anchor.ErrRefused},
		{"anvil", "max priority fee per gas higher than max fee per gas", anchor.ErrRefused},
		{"anvil", "sender not an eoa", anchor.ErrRefused},
		{"anvil", "Failed to decode signed transaction", anchor.ErrRefused},
		{"any", "unknown transaction type", anchor.ErrRefused},
		{"any", "execution reverted", anchor.ErrAsk},
		{"any", "the cat sat on the mat", anchor.ErrBusy},
		{"any", "", anchor.ErrBusy},
	}
	for _, tt := range tests {
		err := sendMeaning(&serverError{what: "node", method: "eth_sendRawTransaction", message: tt.text})
		if tt.want == nil && err != nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %q means %v, want %v", tt.node, tt.text, err, tt.want)
		}
	}
	if err := sendMeaning(anchor.ErrDown); !errors.Is(err, anchor.ErrDown) {
		t.Errorf("no answer means %v", err)
	}
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                        "plain",
		"a\nb\x1b[31mc":                "a b [31mc",
		strings.Repeat("é", 150):       strings.Repeat("é", 100) + "…",
		"x" + strings.Repeat("é", 150): "x" + strings.Repeat("é", 99) + "…",
	} {
		if got := oneLine(in); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", in, got, want)
		}
	}
}
