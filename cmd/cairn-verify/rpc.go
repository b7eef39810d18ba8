//go:build !js

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
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	rpcTimeout  = 20 * time.Second // for all questions to one node about one block
	maxResponse = 8 << 20

	// A file may name blocks without end, all of which have to be asked about,
	// and a node may take its whole time over each.
	maxAsked    = 10_000
	maxTimeouts = 3
)

// nodes asks several Ethereum nodes about blocks. A block is final when enough
// of them say that they have it, on that chain, at or below their block tagged
// finalized.
type nodes struct {
	urls     []*url.URL
	agree    int
	http     *http.Client
	times    map[blockID]int64
	asked    int   // blocks
	timeouts []int // of each node
}

type blockID struct {
	route string
	hash  [32]byte
}

func newNodes(urls []string, agree int) (*nodes, error) {
	n := &nodes{agree: agree, times: make(map[blockID]int64), timeouts: make([]int, len(urls))}
	// A node is who was named, and no other that it sends the question on to.
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
	return n, nil
}

// answer is what one node says about one block.
type answer struct {
	same  bool // it has this block, and calls it final
	why   string
	ms    int64
	fault error
}

// Trusted implements proof.HeaderTrust. Of chains that are not Ethereum's the
// nodes know nothing, and are not asked.
func (n *nodes) Trusted(route string, number uint64, hash [32]byte) (string, bool, error) {
	chainID, ok := ethereumChain(route)
	if !ok {
		return "", false, nil
	}
	if n.asked++; n.asked > maxAsked {
		return "", false, fmt.Errorf("over %d blocks would have to be asked about; give a headers file by --headers", maxAsked)
	}
	answers := make([]answer, len(n.urls))
	var wg sync.WaitGroup
	for i := range n.urls {
		wg.Go(func() { answers[i] = n.askPatiently(i, chainID, number, hash) })
	}
	wg.Wait()
	yes, times := 0, make(map[int64]int)
	var errs, whys []string
	for i, a := range answers {
		name := n.urls[i].Host // never the whole URL: it may hold a key
		switch {
		case a.fault != nil:
			errs = append(errs, fmt.Sprintf("%s: %v", name, a.fault))
		case !a.same:
			whys = append(whys, name+": "+a.why)
		default:
			yes, times[a.ms] = yes+1, times[a.ms]+1
		}
	}
	switch {
	case yes >= n.agree:
		n.agreeOnTime(blockID{route, hash}, times)
		return fmt.Sprintf("%d of %d nodes asked have it as final", yes, len(n.urls)), true, nil
	case yes+len(errs) >= n.agree:
		return "", false, errors.New(strings.Join(errs, "; "))
	}
	return strings.Join(whys, "; "), false, nil
}

// agreeOnTime keeps the time of a block if enough nodes give it, and no other
// has as many: the hash in an answer does not hold it.
func (n *nodes) agreeOnTime(id blockID, votes map[int64]int) {
	enough := 0
	for ms, count := range votes {
		if count >= n.agree {
			n.times[id] = ms
			enough++
		}
	}
	if enough > 1 {
		delete(n.times, id)
	}
}

// BlockTime implements proof.BlockTimer.
func (n *nodes) BlockTime(route string, hash [32]byte) (int64, bool) {
	ms, ok := n.times[blockID{route, hash}]
	return ms, ok
}

// ethereumChain returns the chain id in an Ethereum route's text.
func ethereumChain(route string) (uint64, bool) {
	digits, ok := strings.CutPrefix(route, "ethereum:")
	id, err := strconv.ParseUint(digits, 10, 64)
	return id, ok && err == nil && strconv.FormatUint(id, 10) == digits
}

// askPatiently asks node i, unless it let too many questions pass before.
func (n *nodes) askPatiently(i int, chainID, number uint64, hash [32]byte) answer {
	if n.timeouts[i] >= maxTimeouts {
		return answer{fault: fmt.Errorf("it did not answer in time %d times before", maxTimeouts)}
	}
	a := n.ask(n.urls[i], chainID, number, hash)
	if errors.Is(a.fault, context.DeadlineExceeded) {
		n.timeouts[i]++
	}
	return a
}

func (n *nodes) ask(u *url.URL, chainID, number uint64, hash [32]byte) answer {
	ctx, cancel := context.WithTimeout(context.Background(), rpcTimeout)
	defer cancel()
	var chain *quantity
	if err := n.call(ctx, u, &chain, "eth_chainId"); err != nil {
		return answer{fault: err}
	}
	if chain == nil {
		return answer{fault: errors.New("it does not say which chain it serves")}
	}
	if uint64(*chain) != chainID {
		return answer{why: fmt.Sprintf("it serves chain %d, not %d", *chain, chainID)}
	}
	var final, at *block
	if err := n.call(ctx, u, &final, "eth_getBlockByNumber", "finalized", false); err != nil {
		return answer{fault: err}
	}
	if final == nil {
		return answer{fault: errors.New("it knows no finalized block")}
	}
	if uint64(final.Number) < number {
		return answer{why: fmt.Sprintf("its finalized block is %d, so %d is not final yet", final.Number, number)}
	}
	if err := n.call(ctx, u, &at, "eth_getBlockByNumber", "0x"+strconv.FormatUint(number, 16), false); err != nil {
		return answer{fault: err}
	}
	if at == nil || uint64(at.Number) != number {
		return answer{fault: fmt.Errorf("it does not have block %d", number)}
	}
	if want := "0x" + hex.EncodeToString(hash[:]); !strings.EqualFold(at.Hash, want) {
		return answer{why: fmt.Sprintf("its block %d has hash %.66q", number, at.Hash)}
	}
	return answer{same: true, ms: int64(at.Time) * 1000}
}

type block struct {
	Number quantity `json:"number"`
	Hash   string   `json:"hash"`
	Time   quantity `json:"timestamp"`
}

// quantity is a number as the Ethereum JSON-RPC writes it, "0x1a".
type quantity uint64

func (q *quantity) UnmarshalText(b []byte) error {
	digits, ok := strings.CutPrefix(string(b), "0x")
	n, err := strconv.ParseUint(digits, 16, 63)
	if !ok || err != nil {
		return fmt.Errorf("%.40q is no quantity", b)
	}
	*q = quantity(n)
	return nil
}

// call asks one question and reads the answer into result.
func (n *nodes) call(ctx context.Context, u *url.URL, result any, method string, params ...any) error {
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
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // without the URL
		}
		return fmt.Errorf("%s: %w", method, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: HTTP status %d", method, resp.StatusCode)
	}
	return readAnswer(b, result, method)
}

func readAnswer(b []byte, result any, method string) error {
	var reply struct {
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(b, &reply); err != nil {
		return fmt.Errorf("%s: the answer is no JSON-RPC: %w", method, err)
	}
	if reply.Error != nil {
		return fmt.Errorf("%s: the node says %d, %.200q", method, reply.Error.Code, reply.Error.Message)
	}
	if len(reply.Result) == 0 {
		return fmt.Errorf("%s: the answer has no result", method)
	}
	if err := json.Unmarshal(reply.Result, result); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}
