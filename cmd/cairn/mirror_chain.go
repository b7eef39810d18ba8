package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"cairn/anchor/proof"
	"cairn/merkle"
	"cairn/store/mirror"
)

const (
	chainTimeout = 20 * time.Second
	maxChain     = 8 << 20 // bytes of a node's answer
)

// mirrorChain is the mirror's own access to the chains that a ledger is anchored on.
type mirrorChain struct {
	policy *proof.Policy
	nodes  *chainNodes
	trust  proof.AnyTrust
}

// openChain reads the policy and what the mirror trusts of chains.
func (f *mirrorFlags) openChain() (*mirrorChain, error) {
	if f.policy == "" {
		if len(f.rpc)+len(f.headers) > 0 {
			return nil, errors.New("--rpc and --headers check the anchors of a policy: give --policy FILE")
		}
		return nil, nil
	}
	b, err := os.ReadFile(f.policy)
	if err != nil {
		return nil, fmt.Errorf("--policy: %w", err)
	}
	c := &mirrorChain{}
	if c.policy, err = proof.ParsePolicy(b); err != nil {
		return nil, fmt.Errorf("--policy: %w", err)
	}
	for _, path := range f.headers {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--headers: %w", err)
		}
		t, err := proof.ParseTrust(b)
		if err != nil {
			return nil, fmt.Errorf("--headers: %s: %w", path, err)
		}
		c.trust = append(c.trust, t)
	}
	if len(f.rpc) == 0 {
		return c, nil
	}
	if c.nodes, err = newChainNodes(f.rpc, f.agree); err != nil {
		return nil, err
	}
	c.trust = append(c.trust, c.nodes)
	return c, nil
}

// anchors verifies the copy's receipts; nothing without a policy or anything to
// trust.
func (c *mirrorChain) anchors(ctx context.Context, of *mirror.Copy) (*mirror.AnchorReport, error) {
	if c == nil || len(c.trust) == 0 {
		return nil, nil
	}
	if c.nodes != nil {
		c.nodes.begin(ctx)
	}
	r, err := of.Anchors(c.policy, c.trust)
	if c.nodes != nil && c.nodes.failed != nil && ctx.Err() == nil {
		err = errors.Join(err, &mirror.Alarm{Kind: mirror.UncheckedAnchors, Text: c.nodes.failed.Error()})
	}
	return r, err
}

// chainHead is what a chain has as the ledger's newest root.
type chainHead struct {
	route string
	root  merkle.Hash
}

// heads asks each node for the newest root that each of the policy's contracts has
// of the ledger.
func (c *mirrorChain) heads(ctx context.Context, id merkle.Hash) (all []chainHead, err error) {
	if c == nil || c.nodes == nil {
		return nil, nil
	}
	var failed []error
	for _, r := range c.policy.Routes {
		place, ok := r.Place.(proof.EthereumRoute)
		if !ok {
			continue
		}
		slot := proof.EthereumSlot(place.Sender, id)
		for _, u := range c.nodes.urls {
			root, err := c.nodes.storage(ctx, u, place, slot)
			if err != nil {
				failed = append(failed, fmt.Errorf("%s: %s: %w", place.Chain(), u.Host, err))
				continue
			}
			if h := (chainHead{place.Chain(), root}); !slices.Contains(all, h) {
				all = append(all, h)
			}
		}
	}
	if len(failed) > 0 && ctx.Err() == nil {
		return all, &mirror.Alarm{Kind: mirror.UncheckedAnchors, Text: errors.Join(failed...).Error()}
	}
	return all, nil
}

// chainNodes are Ethereum nodes of the mirror's own choice. A block is final when
// enough of them say that they have it at or below the one that they call finalized.
type chainNodes struct {
	urls   []*url.URL
	agree  int
	http   *http.Client
	ctx    context.Context // of the pass that asks: proof.HeaderTrust has none
	failed error           // the last question that could not be asked
}

func newChainNodes(urls []string, agree int) (*chainNodes, error) {
	n := &chainNodes{agree: agree, ctx: context.Background()}
	n.http = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, errors.New("--rpc wants a URL that begins with http:// or https://")
		}
		u.Host = strings.ToLower(u.Host)
		if slices.ContainsFunc(n.urls, func(have *url.URL) bool { return have.String() == u.String() }) {
			return nil, fmt.Errorf("node %s was given twice: it has one voice", u.Host)
		}
		n.urls = append(n.urls, u)
	}
	if agree < 1 || agree > len(n.urls) {
		return nil, fmt.Errorf("--rpc-agree %d of %d nodes", agree, len(n.urls))
	}
	return n, nil
}

func (n *chainNodes) begin(ctx context.Context) { n.ctx, n.failed = ctx, nil }

// Trusted implements proof.HeaderTrust.
func (n *chainNodes) Trusted(route string, number uint64, hash [32]byte) (string, bool, error) {
	digits, ok := strings.CutPrefix(route, "ethereum:")
	chain, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil {
		return "", false, nil
	}
	yes, why := 0, []string(nil)
	var errs []error
	for _, u := range n.urls {
		same, err := n.has(u, chain, number, hash)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", u.Host, err))
		case same:
			yes++
		default:
			why = append(why, u.Host+" does not have it as final")
		}
	}
	if yes >= n.agree {
		return fmt.Sprintf("%d of %d nodes asked have it as final", yes, len(n.urls)), true, nil
	}
	if yes+len(errs) >= n.agree {
		n.failed = errors.Join(errs...)
		return "", false, n.failed
	}
	return strings.Join(why, "; "), false, nil
}

type chainBlock struct {
	Number string `json:"number"`
	Hash   string `json:"hash"`
}

// has asks one node whether it has a block as final.
func (n *chainNodes) has(u *url.URL, chain, number uint64, hash [32]byte) (bool, error) {
	ctx, cancel := context.WithTimeout(n.ctx, chainTimeout)
	defer cancel()
	if err := n.serves(ctx, u, chain); err != nil {
		return false, err
	}
	var final, at *chainBlock
	if err := n.call(ctx, u, &final, "eth_getBlockByNumber", "finalized", false); err != nil {
		return false, err
	}
	if final == nil {
		return false, errors.New("it knows no finalized block")
	}
	newest, err := quantity(final.Number)
	if err != nil || newest < number {
		return false, err
	}
	if err := n.call(ctx, u, &at, "eth_getBlockByNumber", "0x"+strconv.FormatUint(number, 16), false); err != nil {
		return false, err
	}
	if at == nil {
		return false, fmt.Errorf("it does not have block %d", number)
	}
	return strings.EqualFold(at.Hash, "0x"+hex.EncodeToString(hash[:])), nil
}

// serves holds that a node is of a chain.
func (n *chainNodes) serves(ctx context.Context, u *url.URL, chain uint64) error {
	var text string
	if err := n.call(ctx, u, &text, "eth_chainId"); err != nil {
		return err
	}
	got, err := quantity(text)
	if err == nil && got != chain {
		err = fmt.Errorf("it serves chain %d, not %d", got, chain)
	}
	return err
}

// storage asks one node for the newest value of a contract's storage slot.
func (n *chainNodes) storage(ctx context.Context, u *url.URL, at proof.EthereumRoute, slot [32]byte) (root merkle.Hash, err error) {
	ctx, cancel := context.WithTimeout(ctx, chainTimeout)
	defer cancel()
	if err := n.serves(ctx, u, at.ChainID); err != nil {
		return root, err
	}
	var text string
	if err := n.call(ctx, u, &text, "eth_getStorageAt", fmt.Sprintf("0x%x", at.Contract), fmt.Sprintf("0x%x", slot), "latest"); err != nil {
		return root, err
	}
	digits, ok := strings.CutPrefix(text, "0x")
	b, err := hex.DecodeString(strings.Repeat("0", max(0, 2*len(root)-len(digits))) + digits)
	if !ok || err != nil || len(b) != len(root) {
		return root, fmt.Errorf("%.80q is no word of storage", text)
	}
	return merkle.Hash(b), nil
}

// quantity reads a number as the Ethereum JSON-RPC writes it, "0x1a".
func quantity(text string) (uint64, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	n, err := strconv.ParseUint(digits, 16, 63)
	if !ok || err != nil {
		return 0, fmt.Errorf("%.40q is no quantity", text)
	}
	return n, nil
}

// call asks one question and reads the answer into result.
func (n *chainNodes) call(ctx context.Context, u *url.URL, result any, method string, params ...any) error {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: cannot ask", method)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := n.http.Do(req)
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // the URL may hold a key
	}
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxChain))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	var reply struct {
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err == nil {
		err = json.Unmarshal(b, &reply)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", method, err)
	case reply.Error != nil:
		return fmt.Errorf("%s: the node says %d, %.200q", method, reply.Error.Code, reply.Error.Message)
	case len(reply.Result) == 0:
		return fmt.Errorf("%s: the answer has no result", method)
	}
	if err := json.Unmarshal(reply.Result, result); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}
