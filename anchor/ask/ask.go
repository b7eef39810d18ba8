// Package ask asks Ethereum nodes what they call final, for those who believe no
// single one of them: the verifier, and mirrors. It reads and never writes, needs no
// chain client, and its questions are three of the Ethereum JSON-RPC:
//
//	eth_chainId                             every question begins by it: a node of another chain says nothing
//	eth_getBlockByNumber(n | "finalized")   number, hash and timestamp of a block
//	eth_getStorageAt(contract, slot, "latest")
//
// A node is who was named: no redirect is followed, since the URL may hold a key, and
// no error or word tells more of the URL than the host. An answer is read up to
// 8 MiB. A block is final when enough nodes have it, by its hash, at or below the
// block that they call finalized. How many that is, whoever asks decides; a node has
// one voice however often it is named.
package ask

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
	"strconv"
	"strings"
	"time"
)

const (
	// timeout is for all questions to one node about one block.
	timeout   = 20 * time.Second
	maxAnswer = 8 << 20 // bytes
)

// node is one node.
type node struct {
	url      *url.URL
	client   *http.Client
	timeouts int // questions that it let pass, since Begin
}

func parseNode(text string) (*node, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("a node wants a URL that begins with http:// or https://")
	}
	u.Host = strings.ToLower(u.Host)
	return &node{url: u, client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// otherChainError says that a node is of another chain, and has nothing to say.
type otherChainError struct{ got, want uint64 }

func (e otherChainError) Error() string {
	return fmt.Sprintf("it serves chain %d, not %d", e.got, e.want)
}

// serves holds that a node is of a chain.
func (n *node) serves(ctx context.Context, chain uint64) error {
	var got *quantity
	if err := n.call(ctx, &got, "eth_chainId"); err != nil {
		return err
	}
	if got == nil {
		return errors.New("it does not say which chain it serves")
	}
	if uint64(*got) != chain {
		return otherChainError{uint64(*got), chain}
	}
	return nil
}

// answer is what one node says about one block.
type answer struct {
	same  bool // it has this block, and calls it final
	why   string
	ms    int64 // Unix milliseconds that it gives as the block's
	fault error
}

// has asks whether a node has a block as final.
func (n *node) has(ctx context.Context, chain, number uint64, hash [32]byte) answer {
	err := n.serves(ctx, chain)
	if other := (otherChainError{}); errors.As(err, &other) {
		return answer{why: other.Error()}
	}
	if err != nil {
		return answer{fault: err}
	}
	var final, at *block
	if err := n.call(ctx, &final, "eth_getBlockByNumber", "finalized", false); err != nil {
		return answer{fault: err}
	}
	if final == nil {
		return answer{fault: errors.New("it knows no finalized block")}
	}
	if uint64(final.Number) < number {
		return answer{why: fmt.Sprintf("its finalized block is %d, so %d is not final yet", final.Number, number)}
	}
	if err := n.call(ctx, &at, "eth_getBlockByNumber", "0x"+strconv.FormatUint(number, 16), false); err != nil {
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

// storage asks for the newest value of a contract's storage slot.
func (n *node) storage(ctx context.Context, chain uint64, contract [20]byte, slot [32]byte) (value [32]byte, err error) {
	if err := n.serves(ctx, chain); err != nil {
		return value, err
	}
	var text string
	if err := n.call(ctx, &text, "eth_getStorageAt", fmt.Sprintf("0x%x", contract), fmt.Sprintf("0x%x", slot), "latest"); err != nil {
		return value, err
	}
	digits, ok := strings.CutPrefix(text, "0x")
	b, err := hex.DecodeString(strings.Repeat("0", max(0, 2*len(value)-len(digits))) + digits)
	if !ok || err != nil || len(b) != len(value) {
		return value, fmt.Errorf("%.80q is no word of storage", text)
	}
	return [32]byte(b), nil
}

type block struct {
	Number quantity `json:"number"`
	Hash   string   `json:"hash"`
	Time   quantity `json:"timestamp"`
}

// quantity is a number as the Ethereum JSON-RPC writes it, "0x1a".
type quantity uint64

// UnmarshalText implements encoding.TextUnmarshaler.
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
func (n *node) call(ctx context.Context, result any, method string, params ...any) error {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: cannot ask", method)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := n.client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // without the URL
		}
		return fmt.Errorf("%s: %w", method, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
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
