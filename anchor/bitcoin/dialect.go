package bitcoin

import (
	"context"
	"encoding/json"
	"time"
)

// What btcd and Bitcoin Core do differently, as far as it matters here:
//
//	                     btcd 0.26                      Bitcoin Core 22 … 30
//	fee for n blocks     estimatefee, n ≤ 25,           estimatesmartfee, n ≤ 1008,
//	                     ≤ 0 or an error: unknown       no feerate: unknown
//	what its pool wants  not told: 1 sat/vB             getmempoolinfo: mempoolminfee,
//	                                                    minrelaytxfee, incrementalrelayfee
//	testmempoolaccept    wants a maxfeerate             takes one
//	who spends in pool   gettxspendingprevout           the same, since 24
//	error answers        HTTP status 200                400, 404, 500
//	a busy server        closes the connection          HTTP status 503
//
// The rest is the same: getblockcount, getblockhash, getblockheader and getblock
// as hex, gettxout, sendrawtransaction. Where a method is unknown the next one
// of the table is tried, or it is done without; no version is asked for.
var estimators = []struct {
	method string
	most   int // blocks
	read   func(json.RawMessage) (satPerVB float64, err error)
}{
	{"estimatesmartfee", 1008, readSmartFee},
	{"estimatefee", 25, readFee},
}

// maxFeeRate is a rate in bitcoin per 1000 virtual bytes, above which a node is
// to refuse: testmempoolaccept's second argument.
const maxFeeRate = float64(maxSatPerVB) * 1000 / satoshis

func readSmartFee(b json.RawMessage) (float64, error) {
	var r struct {
		FeeRate json.Number `json:"feerate"`
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return 0, unusable("estimatesmartfee", err)
	}
	if r.FeeRate == "" {
		return 0, nil
	}
	rate, err := readRate(r.FeeRate)
	if err != nil {
		return 0, unusable("estimatesmartfee", err)
	}
	return rate, nil
}

func readFee(b json.RawMessage) (float64, error) {
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return 0, unusable("estimatefee", err)
	}
	rate, err := readRate(n)
	if err != nil {
		return 0, unusable("estimatefee", err)
	}
	return rate, nil
}

// estimate returns the node's estimate of the rate, in satoshi per virtual byte,
// for which a transaction is in a block within a time, or 0 if it has none.
func (n *Node) estimate(ctx context.Context, within time.Duration) (float64, error) {
	blocks := int(within / (10 * time.Minute))
	for _, e := range estimators {
		b, err := n.call(ctx, e.method, max(1, min(blocks, e.most)))
		switch {
		case unknownMethod(err):
			continue
		case isAnswer(err):
			return 0, nil // it has seen too few blocks
		case err != nil:
			return 0, err
		}
		return e.read(b)
	}
	return 0, nil
}

// relay is what a node's pool wants, in satoshi per virtual byte: least for
// any transaction, more than what is replaced for a replacement.
type relay struct{ least, more float64 }

func readRelay(b json.RawMessage) (relay, error) {
	var info struct {
		PoolMin   json.Number `json:"mempoolminfee"`
		RelayMin  json.Number `json:"minrelaytxfee"`
		Increment json.Number `json:"incrementalrelayfee"`
	}
	if err := json.Unmarshal(b, &info); err != nil {
		return relay{}, unusable("getmempoolinfo", err)
	}
	// Other nodes have rules of their own: never below what is usual.
	r := relay{least: 0, more: 1}
	for _, f := range []struct {
		n  json.Number
		to *float64
	}{{info.PoolMin, &r.least}, {info.RelayMin, &r.least}, {info.Increment, &r.more}} {
		if f.n == "" {
			continue
		}
		rate, err := readRate(f.n)
		if err != nil {
			return relay{}, unusable("getmempoolinfo", err)
		}
		*f.to = max(*f.to, rate)
	}
	return r, nil
}

func (n *Node) relay(ctx context.Context) (relay, error) {
	b, err := n.call(ctx, "getmempoolinfo")
	switch {
	case isAnswer(err):
		return relay{more: 1}, nil
	case err != nil:
		return relay{}, err
	}
	return readRelay(b)
}

// unspent returns an output that the node's chain has and that is not spent
// there, or nil; with pool also one that only a transaction in the mempool makes.
func (n *Node) unspent(ctx context.Context, out outpoint, pool bool) (*output, error) {
	b, err := n.ask(ctx, "gettxout", txid(out.Tx), out.Index, pool)
	if err != nil {
		return nil, err
	}
	return readOutput(b)
}

// spender returns the id of the transaction in the node's mempool that spends
// an output, if there is one and the node can tell.
func (n *Node) spender(ctx context.Context, out outpoint) ([32]byte, bool, error) {
	type place struct {
		Tx    string `json:"txid"`
		Index uint32 `json:"vout"`
	}
	b, err := n.call(ctx, "gettxspendingprevout", []place{{txid(out.Tx), out.Index}})
	switch {
	case unknownMethod(err):
		return [32]byte{}, false, nil
	case err != nil:
		return [32]byte{}, false, nodeMeaning(err)
	}
	return readSpender(b)
}

// accepts asks whether the node's pool would take a transaction.
func (n *Node) accepts(ctx context.Context, raw string) error {
	const method = "testmempoolaccept"
	b, err := n.call(ctx, method, []string{raw}, maxFeeRate)
	switch {
	case unknownMethod(err):
		return nil
	case err != nil:
		return sendMeaning(err)
	}
	reason, err := readAccept(b)
	if err != nil || reason == "" {
		return err
	}
	return sendMeaning(&nodeError{method: method, message: reason})
}
