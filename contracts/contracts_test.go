package contracts

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"math/big"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/ethclient/simulated"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rpc"
)

// forks are the rules that public chains run by now, newest last.
var forks = []fork{
	{
		name: "osaka", // Ethereum's main network
		change: func(c *params.ChainConfig) {
			c.AmsterdamTime, c.BogotaTime = nil, nil
		},
		gas: gas{first: 46566, steady: 29850, again: 25102},
	},
	{
		name: "amsterdam", // Sepolia
		change: func(c *params.ChainConfig) {
			c.AmsterdamTime, c.BogotaTime = new(uint64), nil
		},
		gas: gas{first: 128586, steady: 31050, again: 21400},
	},
}

type fork struct {
	name   string
	change func(*params.ChainConfig)
	gas    gas
}

// gas is what whole transactions cost whose ledger and roots have no zero byte, but for the first one's
// previous root, which is all zero. The numbers are golden: a change is a change of the contract, of the
// compiler or of the chain's rules, and every operator pays it. The package documentation repeats them.
type gas struct {
	first, steady, again uint64
}

// steadyLimit is the promise for Ethereum's main network.
const steadyLimit = 30000

// chain is a simulated chain with a deployed Registry and two funded senders.
type chain struct {
	backend  *simulated.Backend
	keys     [2]*ecdsa.PrivateKey
	address  common.Address
	registry *Registry
	bound    *bind.BoundContract
}

func newChain(t *testing.T) *chain { return newChainOf(t, forks[0]) }

func newChainOf(t *testing.T, f fork) *chain {
	t.Helper()
	c := &chain{registry: NewRegistry()}
	alloc := types.GenesisAlloc{}
	for i := range c.keys {
		key, err := crypto.GenerateKey()
		if err != nil {
			t.Fatalf("generate key: %v", err)
		}
		c.keys[i] = key
		alloc[crypto.PubkeyToAddress(key.PublicKey)] = types.Account{Balance: big.NewInt(1e18)}
	}
	c.backend = simulated.NewBackend(alloc, func(_ *node.Config, conf *ethconfig.Config) {
		config := *conf.Genesis.Config
		f.change(&config)
		conf.Genesis.Config = &config
	})
	t.Cleanup(func() { c.backend.Close() })
	address, tx, err := bind.DeployContract(c.opts(0), common.FromHex(RegistryMetaData.Bin), c.backend.Client(), nil)
	if err != nil {
		t.Fatalf("deploy: %v", err)
	}
	if r := c.mine(t, tx); r.Status != types.ReceiptStatusSuccessful {
		t.Fatalf("deployment failed: %+v", r)
	}
	c.address = address
	c.bound = c.registry.Instance(c.backend.Client(), address)
	return c
}

func (c *chain) sender(i int) common.Address { return crypto.PubkeyToAddress(c.keys[i].PublicKey) }

func (c *chain) opts(i int) *bind.TransactOpts {
	return bind.NewKeyedTransactor(c.keys[i], big.NewInt(1337))
}

func (c *chain) mine(t *testing.T, tx *types.Transaction) *types.Receipt {
	t.Helper()
	c.backend.Commit()
	r, err := c.backend.Client().TransactionReceipt(context.Background(), tx.Hash())
	if err != nil {
		t.Fatalf("receipt: %v", err)
	}
	return r
}

func (c *chain) anchor(t *testing.T, sender int, ledger, previous, root [32]byte) *types.Receipt {
	t.Helper()
	opts := c.opts(sender)
	opts.GasLimit = 1000000
	tx, err := bind.Transact(c.bound, opts, c.registry.PackAnchor(ledger, previous, root))
	if err != nil {
		t.Fatalf("send anchor: %v", err)
	}
	return c.mine(t, tx)
}

func (c *chain) head(t *testing.T, sender int, ledger [32]byte) [32]byte {
	t.Helper()
	head, err := bind.Call(c.bound, nil, c.registry.PackHead(c.sender(sender), ledger), c.registry.UnpackHead)
	if err != nil {
		t.Fatalf("call head: %v", err)
	}
	return head
}

// refusal calls anchor without sending it and returns the revert data.
func (c *chain) refusal(t *testing.T, sender int, ledger, previous, root [32]byte) []byte {
	t.Helper()
	opts := &bind.CallOpts{From: c.sender(sender)}
	_, err := c.bound.CallRaw(opts, c.registry.PackAnchor(ledger, previous, root))
	var data rpc.DataError
	if !errors.As(err, &data) {
		t.Fatalf("got %v, want a revert with data", err)
	}
	text, ok := data.ErrorData().(string)
	if !ok {
		t.Fatalf("got revert data %v, want hex", data.ErrorData())
	}
	return hexutil.MustDecode(text)
}

// word is 32 bytes without a zero: the dearest call data.
func word(b byte) (w [32]byte) {
	for i := range w {
		w[i] = b
	}
	return w
}

func TestGasIsGolden(t *testing.T) {
	for _, f := range forks {
		t.Run(f.name, func(t *testing.T) { testGas(t, f) })
	}
	if got := forks[0].gas.steady; got > steadyLimit {
		t.Errorf("a steady-state anchor costs %d gas, want at most %d", got, steadyLimit)
	}
}

func testGas(t *testing.T, f fork) {
	c := newChainOf(t, f)
	steps := []struct {
		name           string
		previous, root [32]byte
		want           uint64
		logs           int
	}{
		{"first", [32]byte{}, word(1), f.gas.first, 1},
		{"steady", word(1), word(2), f.gas.steady, 1},
		{"steady again", word(2), word(3), f.gas.steady, 1},
		{"same head", word(2), word(3), f.gas.again, 0},
	}
	for _, s := range steps {
		r := c.anchor(t, 0, word(0x1e), s.previous, s.root)
		if r.Status != types.ReceiptStatusSuccessful {
			t.Fatalf("%s: transaction failed after %d gas", s.name, r.GasUsed)
		}
		if r.GasUsed != s.want {
			t.Errorf("%s: got %d gas, want %d", s.name, r.GasUsed, s.want)
		}
		if len(r.Logs) != s.logs {
			t.Errorf("%s: got %d logs, want %d", s.name, len(r.Logs), s.logs)
		}
	}
}

func TestDeployedCodeIsTheGeneratedOne(t *testing.T) {
	c := newChain(t)
	got, err := c.backend.Client().CodeAt(context.Background(), c.address, nil)
	if err != nil {
		t.Fatalf("code: %v", err)
	}
	if !bytes.Equal(got, RuntimeCode) {
		t.Errorf("got deployed code %x, want %x", got, RuntimeCode)
	}
	if hash := crypto.Keccak256Hash(got); hash != RuntimeCodeHash {
		t.Errorf("got code hash %s, want %s", hash, RuntimeCodeHash)
	}
}

func TestStorageAndEventAreAsDocumented(t *testing.T) {
	c := newChain(t)
	ledger := word(0x1e)
	// A root with leading zero bytes is stored and logged whole.
	root := [32]byte{31: 7}
	r := c.anchor(t, 0, ledger, [32]byte{}, root)
	stored, err := c.backend.Client().StorageAt(context.Background(), c.address, Slot(c.sender(0), ledger), nil)
	if err != nil {
		t.Fatalf("storage: %v", err)
	}
	if !bytes.Equal(stored, root[:]) {
		t.Errorf("got %x in the slot, want %x", stored, root)
	}
	if len(r.Logs) != 1 {
		t.Fatalf("got %d logs, want 1", len(r.Logs))
	}
	event, err := ParseAnchored(c.address, r.Logs[0])
	if err != nil {
		t.Fatalf("parse event: %v", err)
	}
	if event.Sender != c.sender(0) || event.Ledger != ledger || event.Root != root {
		t.Errorf("got event %+v, want sender %s ledger %x root %x", event, c.sender(0), ledger, root)
	}
	generated, err := c.registry.UnpackAnchoredEvent(r.Logs[0])
	if err != nil || generated.Root != root || generated.Sender != event.Sender || generated.Ledger != event.Ledger {
		t.Errorf("binding read the event as %+v, %v; want %+v", generated, err, event)
	}
}

func TestRefusals(t *testing.T) {
	c := newChain(t)
	ledger := word(0x1e)
	c.anchor(t, 0, ledger, [32]byte{}, word(1))
	tests := []struct {
		name           string
		sender         int
		previous, root [32]byte
		head           [32]byte
		zero           bool
	}{
		{name: "stale previous", previous: word(9), root: word(2), head: word(1)},
		{name: "first again", root: word(2), head: word(1)},
		{name: "other sender with the right previous", sender: 1, previous: word(1), root: word(2)},
		{name: "zero root", previous: word(1), zero: true},
	}
	for _, tt := range tests {
		data := c.refusal(t, tt.sender, ledger, tt.previous, tt.root)
		head, ok := HeadIs(data)
		if tt.zero {
			zero := RegistryZeroRootErrorID()
			if ok || !bytes.Equal(data, zero[:4]) {
				t.Errorf("%s: got revert data %x, want ZeroRoot", tt.name, data)
			}
		} else if !ok || head != tt.head {
			t.Errorf("%s: got revert data %x, want HeadIs(%x)", tt.name, data, tt.head)
		}
		if r := c.anchor(t, tt.sender, ledger, tt.previous, tt.root); r.Status != types.ReceiptStatusFailed || len(r.Logs) != 0 {
			t.Errorf("%s: got status %d and %d logs, want a failed transaction without logs", tt.name, r.Status, len(r.Logs))
		}
		if got := c.head(t, 0, ledger); got != word(1) {
			t.Errorf("%s: got head %x afterwards, want %x", tt.name, got, word(1))
		}
	}
}

func TestHeadIsTakesAnything(t *testing.T) {
	id := RegistryHeadIsErrorID()
	good := append(bytes.Clone(id[:4]), bytes.Repeat([]byte{5}, 32)...)
	if head, ok := HeadIs(good); !ok || head != word(5) {
		t.Errorf("got %x %v, want the head", head, ok)
	}
	flipped := bytes.Clone(good)
	flipped[0] ^= 1
	for _, bad := range [][]byte{nil, good[:3], good[:4], good[:35], append(bytes.Clone(good), 0), flipped} {
		if head, ok := HeadIs(bad); ok {
			t.Errorf("got head %x from %x, want a refusal", head, bad)
		}
	}
}

func TestParseAnchoredRefusesOtherLogs(t *testing.T) {
	contract := common.Address{1}
	good := func() *types.Log {
		return &types.Log{
			Address: contract,
			Topics:  []common.Hash{AnchoredTopic, common.BytesToHash(contract[:]), word(3)},
			Data:    bytes.Repeat([]byte{4}, 32),
		}
	}
	if _, err := ParseAnchored(contract, good()); err != nil {
		t.Fatalf("good log: %v", err)
	}
	for name, spoil := range map[string]func(*types.Log){
		"contract":    func(l *types.Log) { l.Address[19]++ },
		"topic":       func(l *types.Log) { l.Topics[0][0]++ },
		"no topics":   func(l *types.Log) { l.Topics = nil },
		"few topics":  func(l *types.Log) { l.Topics = l.Topics[:2] },
		"many topics": func(l *types.Log) { l.Topics = append(l.Topics, common.Hash{}) },
		"no data":     func(l *types.Log) { l.Data = nil },
		"more data":   func(l *types.Log) { l.Data = append(l.Data, 0) },
		"sender":      func(l *types.Log) { l.Topics[1][0] = 1 },
	} {
		log := good()
		spoil(log)
		if event, err := ParseAnchored(contract, log); err == nil {
			t.Errorf("%s: got %+v, want an error", name, event)
		}
	}
}

// The documentation is where the offline verifier's author reads the constants.
func TestDocumentationHasTheConstants(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatalf("read doc.go: %v", err)
	}
	headIs, zeroRoot := RegistryHeadIsErrorID(), RegistryZeroRootErrorID()
	for _, want := range []string{
		RuntimeCodeHashHex, AnchoredTopicHex, strings.TrimPrefix(AnchorSelectorHex, "0x"),
		common.Bytes2Hex(headIs[:4]), common.Bytes2Hex(zeroRoot[:4]),
		commas(forks[0].gas.first), commas(forks[0].gas.steady), commas(forks[0].gas.again),
		commas(forks[1].gas.first), commas(forks[1].gas.steady), commas(forks[1].gas.again),
	} {
		if !bytes.Contains(doc, []byte(want)) {
			t.Errorf("doc.go does not say %s", want)
		}
	}
}

func commas(n uint64) string {
	s := strconv.FormatUint(n, 10)
	return s[:len(s)-3] + "," + s[len(s)-3:]
}
