package ethereum

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"cairn/anchor"
	"cairn/merkle"
)

// onceStage has an attempt of one head after another, each of which is to be
// replaced and paid for once.
type onceStage struct {
	t    *testing.T
	d    *simChain
	c    *Chain // to the node itself
	size uint64
	used uint64
}

func newOnceStage(t *testing.T) (*onceStage, Config) {
	t.Helper()
	d := newSim(t)
	c, cfg := deployed(t, d, configOf(t, d))
	return &onceStage{t: t, d: d, c: c, used: 1}, cfg
}

// begin has an attempt of the next head wait in the pool. It returns what is to
// be asked of a sign that replaces it.
func (s *onceStage) begin() anchor.Order {
	s.t.Helper()
	previous := merkle.Hash{}
	if s.size > 0 {
		previous = rootOf(s.size)
	}
	s.size++
	a := mustSign(s.t, s.c, previous, rootOf(s.size))
	mustSend(s.t, s.c, a)
	return order(previous, rootOf(s.size), a)
}

// end sends the attempt, and the one that was signed to replace it if there was
// one, and sees that one of them alone is mined.
func (s *onceStage) end(what string, o anchor.Order, b anchor.Attempt, err error) {
	s.t.Helper()
	ctx := testContext(s.t)
	a := o.Prior[0]
	s.used++
	until(s.t, "the head", func() bool {
		s.c.Send(ctx, a)
		if err == nil {
			s.c.Send(ctx, b)
		}
		s.d.mine(1)
		head, err := s.c.Stored(ctx)
		return err == nil && head == o.Root
	})
	s.d.mine(2)
	if n, bad := usedNonces(s.t, s.c); bad != nil || n != s.used {
		s.t.Errorf("%s: %d transactions for one head, at %s and %s; sign: %v; %v", what, n-s.used+1, a.Place, b.Place, err, bad)
		s.used = n
	}
}

// takeOut makes the parent of the newest block the newest; what stood in it
// waits again.
func (s *onceStage) takeOut() {
	until(s.t, "the fork", func() bool {
		h, err := s.d.Client().HeaderByNumber(testContext(s.t), new(big.Int).SetUint64(s.d.height()-1))
		return err == nil && s.d.Fork(h.Hash()) == nil
	})
}

// TestSignMeanwhile has the attempt that is to be replaced come into a block, or go
// out of one, between any two answers of a node. It is replaced at its own
// nonce, or not at all: at another both would be paid for.
func TestSignMeanwhile(t *testing.T) {
	for _, out := range []bool{false, true} {
		t.Run(map[bool]string{false: "in", true: "out"}[out], func(t *testing.T) {
			t.Parallel()
			s, cfg := newOnceStage(t)
			p := newProxy(t, s.d.url())
			cfg.URL = p.URL
			c := dial(t, cfg)
			for at, moved := 1, true; moved; at++ {
				o := s.begin()
				if out {
					s.d.mine(1)
				}
				moved = false
				calls, where := 0, ""
				p.set(func(method string, params, result json.RawMessage) (json.RawMessage, *rpcFault) {
					if calls++; calls == at {
						moved, where = true, fmt.Sprintf("after %s %s", method, params)
						if out {
							s.takeOut()
						} else {
							s.d.mine(1)
						}
					}
					return result, nil
				})
				b, err := c.Sign(testContext(t), o)
				p.set(nil)
				s.end(where, o, b, err)
			}
		})
	}
}

// TestSignBehind has one URL stand for two nodes, as those of providers do. One
// is a block behind and has not seen that the attempt, which is to be replaced,
// is mined. Whichever of the two gives which answer, that is paid for once.
func TestSignBehind(t *testing.T) {
	t.Parallel()
	s, cfg := newOnceStage(t)
	p := newProxy(t, s.d.url())
	cfg.URL = p.URL
	c := dial(t, cfg)
	for late := range uint(1 << 6) { // those who answer after the sixth matter no more
		o := s.begin()
		s.d.mine(1)
		old, newest := s.twoHeads()
		calls := uint(0)
		p.set(func(method string, params, result json.RawMessage) (json.RawMessage, *rpcFault) {
			if method == "eth_chainId" || len(params) == 0 {
				return result, nil
			}
			calls++
			if late>>(calls-1)&1 == 0 {
				return result, nil
			}
			return s.answerAt(method, params, old, newest)
		})
		b, err := c.Sign(testContext(t), o)
		p.set(nil)
		s.end(fmt.Sprintf("late in %b", late), o, b, err)
	}
}

func (s *onceStage) twoHeads() (old string, newest common.Hash) {
	s.t.Helper()
	h, err := s.d.Client().HeaderByNumber(testContext(s.t), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprintf(`"0x%x"`, h.Number.Uint64()-1), h.Hash()
}

// answerAt is what a node answers whose newest block is of number old.
func (s *onceStage) answerAt(method string, params json.RawMessage, old string, newest common.Hash) (json.RawMessage, *rpcFault) {
	text := string(params)
	if strings.Contains(text, newest.Hex()) {
		return nil, &rpcFault{-32000, "header for hash not found"}
	}
	text = strings.NewReplacer(`"latest"`, old, `"pending"`, old).Replace(text)
	var args []any
	if err := json.Unmarshal([]byte(text), &args); err != nil {
		s.t.Error(err)
	}
	var result json.RawMessage
	if err := s.d.rpc(&result, method, args...); err != nil {
		return nil, &rpcFault{-32000, err.Error()}
	}
	return result, nil
}
