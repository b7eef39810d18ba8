package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/ethclient/simulated"
	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/node"
)

const (
	chainID   = 1337 // the simulated chain's
	blockTime = time.Second
	// epoch is the number of blocks after which the simulated chain calls the
	// epoch before final.
	epoch = 32
	past  = 20
)

// chain is a development chain in this process, with JSON-RPC over HTTP on
// loopback. It makes a block a second; its clock is the machine's.
type chain struct {
	url      string
	keystore string // file of a funded account
	pass     string // file with what opens it

	mu      sync.Mutex // one block at a time
	backend *simulated.Backend
	stop    context.CancelFunc
	stopped chan struct{}
}

func startChain(dir string) (*chain, error) {
	log.SetDefault(log.NewLogger(log.DiscardHandler()))
	c := &chain{keystore: filepath.Join(dir, "anchor-key.json"), pass: filepath.Join(dir, "anchor-key.pass"), stopped: make(chan struct{})}
	account, err := c.makeAccount(dir)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	c.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	ether := new(big.Int).Exp(big.NewInt(10), big.NewInt(18), nil)
	c.backend = simulated.NewBackend(types.GenesisAlloc{account.Address: {Balance: new(big.Int).Mul(ether, big.NewInt(10))}},
		func(n *node.Config, _ *ethconfig.Config) {
			n.HTTPHost, n.HTTPPort, n.HTTPModules = "127.0.0.1", port, []string{"eth", "net", "web3"}
			n.AuthPort = 0
		})
	if err := c.history(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	go c.tick(ctx)
	return c, nil
}

// history makes the blocks of the last minute. They bring the chain close to
// the end of an epoch: hurrying to it makes the chain's clock run ahead by a
// second for each block, and so it is only a few.
func (c *chain) history() error {
	step := time.Duration(time.Now().Add(-time.Minute).Unix()) * time.Second
	for range past {
		if err := c.backend.AdjustTime(step); err != nil {
			return fmt.Errorf("make the chain's history: %w", err)
		}
		step = time.Second
	}
	return nil
}

// makeAccount makes a standard keystore file, as any wallet writes it.
func (c *chain) makeAccount(dir string) (a struct{ Address [20]byte }, err error) {
	var secret [16]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return a, fmt.Errorf("draw passphrase: %w", err)
	}
	pass := hex.EncodeToString(secret[:])
	if err := os.WriteFile(c.pass, []byte(pass+"\n"), 0o600); err != nil {
		return a, fmt.Errorf("write passphrase: %w", err)
	}
	account, err := keystore.StoreKey(dir, pass, keystore.LightScryptN, keystore.LightScryptP)
	if err != nil {
		return a, fmt.Errorf("make account: %w", err)
	}
	a.Address = account.Address
	if err := os.Rename(account.URL.Path, c.keystore); err != nil {
		return a, fmt.Errorf("keep account: %w", err)
	}
	return a, nil
}

// freePort finds a port that nobody listens on at this moment; the simulated
// node wants to be told one.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (c *chain) tick(ctx context.Context) {
	defer close(c.stopped)
	t := time.NewTicker(blockTime)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			c.block()
		}
	}
}

func (c *chain) block() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.backend.Commit()
}

// hurry adds blocks until the one of this number is final.
func (c *chain) hurry(ctx context.Context, number uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	want := (number + epoch - 1) / epoch * epoch
	for {
		have, err := c.backend.Client().BlockNumber(ctx)
		if err != nil {
			return fmt.Errorf("ask the chain: %w", err)
		}
		if have > want {
			return nil
		}
		c.backend.Commit()
	}
}

func (c *chain) close() {
	c.stop()
	<-c.stopped
	c.backend.Close()
}
