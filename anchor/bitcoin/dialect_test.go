package bitcoin

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"cairn/anchor"
	"cairn/anchor/proof"
)

// core answers as Bitcoin Core does, as far as this package asks: its methods,
// its spellings, and an HTTP status other than 200 with errors. It has a chain
// of its own on the regression test network.
type core struct {
	*httptest.Server
	t testing.TB

	mu      sync.Mutex
	blocks  []*wire.MsgBlock
	pool    map[chainhash.Hash]*wire.MsgTx
	answers map[string]string // instead of what it would say: a result
	errors  map[string]string // … or an error's message
	asked   map[string]int
}

func newCore(t testing.TB) *core {
	c := &core{
		t: t, blocks: []*wire.MsgBlock{networks["regtest"].GenesisBlock},
		pool: map[chainhash.Hash]*wire.MsgTx{}, answers: map[string]string{}, errors: map[string]string{}, asked: map[string]int{},
	}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *core) config(kind Kind) Config {
	return Config{Network: "regtest", URL: c.URL, User: "u", Password: "p", Key: keyFileOf(c.t, kind, testSecret(c.t)), Passphrase: testPassphrase}
}

// mine adds a block with the pool's transactions and a coinbase to script.
func (c *core) mine(script []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	prev := c.blocks[len(c.blocks)-1]
	base := wire.NewMsgTx(2)
	base.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Index: ^uint32(0)}, SignatureScript: fmt.Appendf(nil, "%08d", len(c.blocks))})
	base.AddTxOut(wire.NewTxOut(1_000_000, script))
	b := &wire.MsgBlock{Header: wire.BlockHeader{
		Version: 4, PrevBlock: prev.BlockHash(), Timestamp: prev.Header.Timestamp.Add(10 * time.Minute), Bits: prev.Header.Bits,
	}, Transactions: []*wire.MsgTx{base}}
	for id, tx := range c.pool {
		b.Transactions = append(b.Transactions, tx)
		delete(c.pool, id)
	}
	var txs []*btcutil.Tx
	for _, tx := range b.Transactions {
		txs = append(txs, btcutil.NewTx(tx))
	}
	b.Header.MerkleRoot = blockchain.CalcMerkleRoot(txs, false)
	target := blockchain.CompactToBig(b.Header.Bits)
	for {
		h := b.BlockHash()
		if blockchain.HashToBig(&h).Cmp(target) <= 0 {
			break
		}
		b.Header.Nonce++
	}
	c.blocks = append(c.blocks, b)
}

func (c *core) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var call struct {
		Method string
		Params []json.RawMessage
	}
	body, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(body, &call); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[call.Method]++
	if a, ok := c.answers[call.Method]; ok {
		fmt.Fprintf(w, `{"result":%s,"error":null,"id":1}`, a)
		return
	}
	result, code, err := any(nil), -1, error(nil)
	if text, ok := c.errors[call.Method]; ok {
		code, err = -26, errors.New(text)
	} else {
		result, code, err = c.answer(call.Method, call.Params)
	}
	if err != nil {
		status := http.StatusInternalServerError
		if code == -32601 {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"result":null,"error":{"code":%d,"message":%q},"id":1}`, code, err.Error())
		return
	}
	out, _ := json.Marshal(map[string]any{"result": result, "error": nil, "id": 1})
	_, _ = w.Write(out)
}

func (c *core) answer(method string, params []json.RawMessage) (any, int, error) {
	text := func(i int) (s string) { _ = json.Unmarshal(params[i], &s); return s }
	serial := func(to interface{ Serialize(io.Writer) error }) string {
		var b bytes.Buffer
		_ = to.Serialize(&b)
		return hex.EncodeToString(b.Bytes())
	}
	switch method {
	case "getblockcount":
		return len(c.blocks) - 1, 0, nil
	case "getblockhash":
		var height int
		_ = json.Unmarshal(params[0], &height)
		if height >= len(c.blocks) {
			return nil, -8, errors.New("Block height out of range")
		}
		return c.blocks[height].BlockHash().String(), 0, nil
	case "getblockheader", "getblock":
		for _, b := range c.blocks {
			if b.BlockHash().String() != text(0) {
				continue
			}
			if method == "getblock" {
				return serial(b), 0, nil
			}
			return serial(&b.Header), 0, nil
		}
		return nil, -5, errors.New("Block not found")
	case "getmempoolinfo":
		return map[string]any{"loaded": true, "size": len(c.pool), "mempoolminfee": json.Number("0.00002000"),
			"minrelaytxfee": json.Number("0.00001000"), "incrementalrelayfee": json.Number("0.00003000"), "fullrbf": true}, 0, nil
	case "estimatesmartfee":
		return map[string]any{"feerate": json.Number("0.00012345"), "blocks": 6}, 0, nil
	case "gettxout":
		var index uint32
		_ = json.Unmarshal(params[1], &index)
		return c.unspent(text(0), index), 0, nil
	case "gettxspendingprevout":
		var list []struct {
			Txid string
			Vout uint32
		}
		_ = json.Unmarshal(params[0], &list)
		out := map[string]any{"txid": list[0].Txid, "vout": list[0].Vout}
		for id, tx := range c.pool {
			if in := tx.TxIn[0].PreviousOutPoint; in.Hash.String() == list[0].Txid && in.Index == list[0].Vout {
				out["spendingtxid"] = id.String()
			}
		}
		return []any{out}, 0, nil
	case "testmempoolaccept":
		var list []string
		_ = json.Unmarshal(params[0], &list)
		raw, _ := hex.DecodeString(list[0])
		tx, err := readTx(raw)
		if err != nil {
			return nil, -22, errors.New("TX decode failed.")
		}
		return []any{map[string]any{"txid": tx.TxHash().String(), "allowed": true, "vsize": vsizeOf(tx)}}, 0, nil
	case "sendrawtransaction":
		raw, _ := hex.DecodeString(text(0))
		tx, err := readTx(raw)
		if err != nil {
			return nil, -22, errors.New("TX decode failed.")
		}
		for id, old := range c.pool {
			if old.TxIn[0].PreviousOutPoint == tx.TxIn[0].PreviousOutPoint {
				delete(c.pool, id)
			}
		}
		c.pool[tx.TxHash()] = tx
		return tx.TxHash().String(), 0, nil
	}
	return nil, -32601, errors.New("Method not found")
}

func (c *core) unspent(id string, index uint32) any {
	var out any
	for _, b := range c.blocks {
		for _, tx := range b.Transactions {
			if tx.TxHash().String() == id && int(index) < len(tx.TxOut) {
				o := tx.TxOut[index]
				out = map[string]any{"value": json.Number(fmt.Sprintf("%.8f", float64(o.Value)/1e8)),
					"scriptPubKey": map[string]any{"hex": hex.EncodeToString(o.PkScript)}, "confirmations": 1}
			}
			for _, in := range tx.TxIn {
				if in.PreviousOutPoint.Hash.String() == id && in.PreviousOutPoint.Index == index {
					return nil
				}
			}
		}
	}
	return out
}

func TestAnchorsThroughBitcoinCore(t *testing.T) {
	onBoth(t, func(t *testing.T, kind Kind) {
		node := newCore(t)
		c := dial(t, node.config(kind))
		r := &rig{Chain: c, t: t}
		ctx := testContext(t)
		node.mine(c.Script())
		for range 100 {
			node.mine([]byte{0x51})
		}
		if err := c.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		size := shape{kind, 1}.vsize()
		a := r.sign(order(anchor.Root{}, rootOf(1)))
		if want := anchor.Amount(asAmount(12.345 * float64(size))); a.Fee != want {
			t.Errorf("got fee %d, want the estimate's %d", a.Fee, want)
		}
		r.send(a)
		b := r.sign(order(anchor.Root{}, rootOf(2), a))
		if want := a.Fee + anchor.Amount(3*size); b.Fee != want {
			t.Errorf("got fee %d, want %d: 3 sat/vB more", b.Fee, want)
		}
		r.send(b)
		node.mine([]byte{0x51})
		f := r.find(true, a, b)
		if f.Which != 1 || f.Cost != b.Fee {
			t.Errorf("got %+v", f)
		}
		r.stored(rootOf(2))
		data, err := c.Receipt(ctx, b, f.Block)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			node.mine([]byte{0x51})
		}
		data, err = c.Complete(ctx, b, f.Block, data)
		if err != nil {
			t.Fatal(err)
		}
		if facts, err := proof.VerifyBitcoin(r.parseReceipt(data), rootOf(2)); err != nil || facts.Depth != 6 {
			t.Errorf("got %+v, %v", facts, err)
		}
		if node.asked["estimatefee"] > 0 || node.asked["testmempoolaccept"] != 2 {
			t.Errorf("asked %v", node.asked)
		}
	})
}

func TestDifferencesOfTheNodes(t *testing.T) {
	node := newCore(t)
	n, err := NewNode(NodeConfig{Network: "regtest", URL: node.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx := testContext(t)
	for name, c := range map[string]struct {
		answers, errors map[string]string
		estimate        float64
		err             error
	}{
		"core":               {nil, nil, 12.345, nil},
		"core knows nothing": {map[string]string{"estimatesmartfee": `{"errors":["Insufficient data or no feerate found"],"blocks":0}`}, nil, 0, nil},
		"core refuses":       {nil, map[string]string{"estimatesmartfee": "Fee estimation disabled"}, 0, nil},
		"nonsense":           {map[string]string{"estimatesmartfee": `{"feerate":"much"}`}, nil, 0, anchor.ErrAgain},
		"too high":           {map[string]string{"estimatesmartfee": `{"feerate":0.11}`}, nil, 0, anchor.ErrAgain},
		"negative":           {map[string]string{"estimatesmartfee": `{"feerate":-1}`}, nil, 0, nil},
		"a list":             {map[string]string{"estimatesmartfee": `[]`}, nil, 0, anchor.ErrAgain},
	} {
		node.answers, node.errors = c.answers, c.errors
		if node.answers == nil {
			node.answers = map[string]string{}
		}
		got, err := n.estimate(ctx, time.Hour)
		if !errors.Is(err, c.err) || fmt.Sprintf("%.3f", got) != fmt.Sprintf("%.3f", c.estimate) {
			t.Errorf("%s: got %v, %v; want %v, %v", name, got, err, c.estimate, c.err)
		}
	}
	node.answers, node.errors = map[string]string{"getmempoolinfo": `{"size":0,"bytes":0}`}, nil
	if r, err := n.relay(ctx); err != nil || r != (relay{more: 1}) {
		t.Errorf("btcd's pool: got %+v, %v", r, err)
	}
	node.answers = map[string]string{"getmempoolinfo": `{"mempoolminfee":0.00000100,"minrelaytxfee":0.00000100,"incrementalrelayfee":0.00000100}`}
	if r, err := n.relay(ctx); err != nil || r.more != 1 || r.least >= 1 {
		t.Errorf("a pool of Core 30: got %+v, %v; want not less than 1 sat/vB more", r, err)
	}
	// Without the methods of newer nodes.
	node.answers = map[string]string{}
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"result":null,"error":{"code":-32601,"message":"Method not found"},"id":1}`)
	}))
	defer old.Close()
	o, err := NewNode(NodeConfig{Network: "regtest", URL: old.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if got, err := o.estimate(ctx, time.Hour); err != nil || got != 0 {
		t.Errorf("no estimator: got %v, %v", got, err)
	}
	if _, ok, err := o.spender(ctx, outpoint{}); err != nil || ok {
		t.Errorf("no gettxspendingprevout: got %v, %v", ok, err)
	}
	if err := o.accepts(ctx, "00"); err != nil {
		t.Errorf("no testmempoolaccept: got %v", err)
	}
	if _, err := o.relay(ctx); err != nil {
		t.Errorf("no getmempoolinfo: got %v", err)
	}
}

func TestWhatNodesSayToATransaction(t *testing.T) {
	for text, want := range map[string]error{
		"txn-already-in-mempool":                                nil,
		"txn-same-nonwitness-data-in-mempool":                   nil,
		"TX rejected: already have transaction in mempool 00ff": nil,
		"txn-already-known":                                     anchor.ErrAsk,
		"Transaction already in block chain":                    anchor.ErrAsk,
		"Transaction outputs already in utxo set":               anchor.ErrAsk,
		"TX rejected: transaction already exists in blockchain": anchor.ErrAsk,
		"bad-txns-inputs-missingorspent":                        anchor.ErrAsk,
		"missing-inputs":                                        anchor.ErrAsk,
		"TX rejected: orphan transaction 00ff references outputs of unknown or fully-spent transaction ee": anchor.ErrAsk,
		"txn-mempool-conflict": anchor.ErrAsk,
		"TX rejected: output already spent in mempool: output=ee:0, tx=00":                                           anchor.ErrAsk,
		"insufficient fee, rejecting replacement 00ff; new feerate 0.00001 BTC/kvB <= old feerate 0.00002 BTC/kvB":   anchor.ErrPrice,
		"insufficient fee, rejecting replacement 00ff, not enough additional fees to relay; 0.00000010 < 0.00000153": anchor.ErrPrice,
		"TX rejected: 00ff: replacement transaction has an insufficient absolute fee: needs 306, has 200":            anchor.ErrPrice,
		"TX rejected: 00ff: replacement transaction has an insufficient fee rate: needs more than 1000, has 900":     anchor.ErrPrice,
		"min relay fee not met, 100 < 153":    anchor.ErrPrice,
		"mempool min fee not met, 153 < 1530": anchor.ErrPrice,
		"mempool full":                        anchor.ErrPrice,
		"TX rejected: transaction 00ff has 10 fees which is under the required amount of 153": anchor.ErrPrice,
		"TX rejected: transaction 00ff has been rejected by the rate limiter due to low fees": anchor.ErrPrice,
		"max-fee-exceeded": anchor.ErrFees,
		"Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)": anchor.ErrFees,
		"non-final":       anchor.ErrBusy,
		"non-BIP68-final": anchor.ErrBusy,
		"TX rejected: transaction 00ff is not standard: transaction is not finalized":                                  anchor.ErrBusy,
		"bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 3":                                     anchor.ErrBusy,
		"too-long-mempool-chain, too many unconfirmed ancestors [limit: 25]":                                           anchor.ErrBusy,
		"TX rejected: replacement transaction spends new unconfirmed input ee:0 not found in conflicting transactions": anchor.ErrBusy,
		"replacement-adds-unconfirmed":       anchor.ErrBusy,
		"Loading block index…":               anchor.ErrBusy,
		"something that nobody has heard of": anchor.ErrBusy,
		"dust":                               anchor.ErrRefused,
		"TX rejected: transaction 00ff is not standard: transaction output 0: payment is dust: 10": anchor.ErrRefused,
		"scriptpubkey": anchor.ErrRefused,
		"mandatory-script-verify-flag-failed (Signature must be zero for failed CHECK(MULTI)SIG operation)": anchor.ErrRefused,
		"mempool-script-verify-flag-failed (Witness program hash mismatch)":                                 anchor.ErrRefused,
		"bad-txns-in-belowout, value in (0.1) < value out (0.2)":                                            anchor.ErrRefused,
		"bad-txns-spends-conflicting-tx, 00ff spends conflicting transaction ee":                            anchor.ErrRefused,
		"TX decode failed. Make sure the tx has at least one input.":                                        anchor.ErrRefused,
	} {
		err := sendMeaning(&nodeError{method: "sendrawtransaction", message: text, code: -26})
		if want == nil && err != nil || !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", text, err, want)
		}
	}
	for _, line := range nodeTexts {
		if line.text != strings.ToLower(line.text) || strings.Contains(line.text, "-") {
			t.Errorf("%q can never match", line.text)
		}
	}
}

// Send acts on what either of the two calls says.
func TestSendFollowsTheTable(t *testing.T) {
	node := newCore(t)
	c := dial(t, node.config(P2WPKH))
	ctx := testContext(t)
	k := testKey(t, P2WPKH, "send")
	in := []coin{{Out: outpoint{Tx: rootOf(1)}, Value: 100_000}}
	tx := buildTx(in, k.script, rootOf(2), 153, 1)
	if err := k.sign(tx, in); err != nil {
		t.Fatal(err)
	}
	raw, err := serializeTx(tx)
	if err != nil {
		t.Fatal(err)
	}
	a := anchor.Attempt{ID: idBytes(tx.TxHash()), Raw: raw}
	node.answers["testmempoolaccept"] = `[{"txid":"00","allowed":false,"reject-reason":"bad-txns-inputs-missingorspent"}]`
	wantIs(t, "tested", c.Send(ctx, a), anchor.ErrAsk)
	if node.asked["sendrawtransaction"] > 0 {
		t.Error("it is sent all the same")
	}
	node.answers["testmempoolaccept"] = `[{"txid":"00","allowed":false}]`
	wantIs(t, "no reason", c.Send(ctx, a), anchor.ErrBusy)
	node.answers["testmempoolaccept"] = `[]`
	wantIs(t, "no answer", c.Send(ctx, a), anchor.ErrAgain)
	node.answers["testmempoolaccept"] = `[{"txid":"00","allowed":false,"reject-reason":"txn-already-in-mempool"}]`
	node.errors["sendrawtransaction"] = "insufficient fee, rejecting replacement 00"
	wantIs(t, "sent", c.Send(ctx, a), anchor.ErrPrice)
	delete(node.errors, "sendrawtransaction")
	if err := c.Send(ctx, a); err != nil {
		t.Error(err)
	}
	wantIs(t, "no transaction", c.Send(ctx, anchor.Attempt{Raw: raw[:50]}), anchor.ErrRefused)
}

// A node that has blocks to fetch shows the past: an older head, and outputs
// that were spent since.
func TestNodeThatIsCatchingUp(t *testing.T) {
	node := newCore(t)
	c := dial(t, node.config(P2WPKH))
	ctx := testContext(t)
	node.mine(c.Script())
	if _, err := c.Stored(ctx); err != nil {
		t.Fatal(err)
	}
	c.scan.stale = maxTipAge
	for what, call := range map[string]func() error{
		"stored": func() error { _, err := c.Stored(ctx); return err },
		"sign":   func() error { _, err := c.Sign(ctx, order(anchor.Root{}, rootOf(1))); return err },
		"find":   func() error { _, _, err := c.Find(ctx, nil); return err },
		"ready":  func() error { return c.Ready(ctx) },
	} {
		err := call()
		if wantIs(t, what, err, anchor.ErrAgain); err != nil && !strings.Contains(err.Error(), "others to fetch") {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if _, err := c.Tips(ctx); err != nil {
		t.Errorf("tips: %v", err)
	}
}
