package main

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/rogpeppe/go-internal/testscript"

	"cairn/scripts/btcd"
	"cairn/scripts/calendar"
)

// bitcoinStage is a Bitcoin node with a calendar on it.
type bitcoinStage struct {
	node     *btcd.Node
	calendar *calendar.Calendar

	mu     sync.Mutex // of all that node does
	ending chan struct{}
	ended  chan struct{}
}

// setup tells a story where the node ($BTC, its password in btc.pass, user
// cairn) and the calendar ($CALENDAR) are.
func (b *bitcoinStage) setup(e *testscript.Env) error {
	e.Setenv("BTC", b.node.URL)
	e.Setenv("BTCUSER", b.node.User)
	e.Setenv("CALENDAR", b.calendar.URL)
	if err := os.WriteFile(filepath.Join(e.WorkDir, "btckey.pass"), []byte("sesame\n"), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(e.WorkDir, "btc.pass"), []byte(b.node.Password+"\n"), 0o600)
}

// bitcoinPace is the time between blocks of a node that goes. A route must see
// its anchor in time: six blocks make it final.
const bitcoinPace = 300 * time.Millisecond

// bitcoin works on the node: fund ADDRESS SATOSHI (and a block for it), mine N,
// go (blocks without end, the calendar's transactions among them), halt, stop,
// resume, reorg N (the newest N blocks give way to N+1 others).
func (s *stage) bitcoin(ts *testscript.TestScript, neg bool, args []string) {
	b := s.btc
	if neg || len(args) == 0 || b == nil {
		ts.Fatalf("usage: bitcoin fund|mine|go|halt|stop|resume|reorg …")
	}
	switch args[0] {
	case "go":
		b.start(s)
		return
	case "halt":
		b.halt()
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case args[0] == "fund" && len(args) == 3:
		a, err := address.DecodeAddress(args[1], &chaincfg.RegressionNetParams)
		ts.Check(err)
		script, err := txscript.PayToAddrScript(a)
		ts.Check(err)
		amount, err := strconv.ParseInt(args[2], 10, 64)
		ts.Check(err)
		b.node.Fund(script, amount)
		b.node.Mine(1)
	case args[0] == "mine" && len(args) == 2:
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		b.node.Mine(n)
	case args[0] == "stop":
		b.node.Stop()
	case args[0] == "resume":
		b.node.Resume()
	case args[0] == "reorg" && len(args) == 2:
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		tip, _ := b.node.Tip()
		b.node.Invalidate(b.node.BlockHash(tip - n + 1))
		for range n + 1 {
			b.node.MineBlock(nil)
		}
	default:
		ts.Fatalf("bitcoin %v", args)
	}
}

func (b *bitcoinStage) start(s *stage) {
	b.ending, b.ended = make(chan struct{}), make(chan struct{})
	ending, ended := b.ending, b.ended
	s.t.Cleanup(b.halt)
	go func() {
		defer close(ended)
		tick := time.NewTicker(bitcoinPace)
		defer tick.Stop()
		for {
			select {
			case <-ending:
				return
			case <-tick.C:
				b.mu.Lock()
				b.calendar.Anchor()
				b.node.Mine(1)
				b.mu.Unlock()
			}
		}
	}()
}

func (b *bitcoinStage) halt() {
	if b.ending != nil {
		close(b.ending)
		<-b.ended
		b.ending = nil
	}
}
