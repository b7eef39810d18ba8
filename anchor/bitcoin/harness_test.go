package bitcoin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"cairn/anchor"
	"cairn/anchor/proof"
	"cairn/scripts/btcd"
)

// memoryBook is a Book that counts.
type memoryBook struct {
	mu    sync.Mutex
	data  []byte
	saves int
	fail  error
}

func (b *memoryBook) Load() ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data, b.fail
}

func (b *memoryBook) Save(data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail == nil {
		b.data = data
		b.saves++
	}
	return b.fail
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// testSecret is a key that a test's name gives.
func testSecret(t testing.TB) *btcec.PrivateKey {
	sum := sha256.Sum256([]byte(t.Name()))
	secret, _ := btcec.PrivKeyFromBytes(sum[:])
	return secret
}

func keyFileOf(t testing.TB, kind Kind, secret *btcec.PrivateKey) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	text, err := secretText(kind, secret, networks["regtest"])
	if err == nil {
		_, err = ImportKey(path, "regtest", text, testPassphrase)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func configOf(t testing.TB, n *btcd.Node, kind Kind) Config {
	return Config{
		Network: "regtest", URL: n.URL, User: n.User, Password: n.Password,
		Key: keyFileOf(t, kind, testSecret(t)), Passphrase: testPassphrase, Book: &memoryBook{},
	}
}

func dial(t testing.TB, cfg Config) *Chain {
	t.Helper()
	c, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// rig is a chain on a node of its own.
type rig struct {
	*Chain
	t    testing.TB
	node *btcd.Node
	cfg  Config
}

// newRig starts a node, and a chain whose key has the amounts in blocks.
func newRig(t testing.TB, kind Kind, amounts ...int64) *rig {
	t.Helper()
	n := btcd.Start(t)
	cfg := configOf(t, n, kind)
	r := &rig{Chain: dial(t, cfg), t: t, node: n, cfg: cfg}
	for _, a := range amounts {
		r.node.Fund(r.Script(), a)
	}
	if len(amounts) > 0 {
		r.node.Mine(1)
	}
	return r
}

// again is the chain after a restart.
func (r *rig) again() {
	r.t.Helper()
	r.Chain.Close()
	r.Chain = dial(r.t, r.cfg)
}

func rootOf(n int) anchor.Root { return sha256.Sum256(fmt.Appendf(nil, "root %d", n)) }

func order(previous, root anchor.Root, prior ...anchor.Attempt) anchor.Order {
	return anchor.Order{Previous: previous, Root: root, Prior: prior, Limit: math.MaxUint64, Deadline: time.Hour}
}

func (r *rig) sign(o anchor.Order) anchor.Attempt {
	r.t.Helper()
	a, err := r.Sign(testContext(r.t), o)
	if err != nil {
		r.t.Fatalf("sign: %v", err)
	}
	if a.Root != o.Root || a.Fee == 0 || a.Place == "" {
		r.t.Fatalf("got attempt of root %s, fee %d at %q; want root %s", a.Root, a.Fee, a.Place, o.Root)
	}
	return a
}

func (r *rig) send(a anchor.Attempt) {
	r.t.Helper()
	if err := r.Send(testContext(r.t), a); err != nil {
		r.t.Fatalf("send: %v", err)
	}
}

// find looks for attempts, which must be there or not.
func (r *rig) find(want bool, attempts ...anchor.Attempt) anchor.Found {
	r.t.Helper()
	f, ok, err := r.Find(testContext(r.t), attempts)
	if err != nil || ok != want {
		r.t.Fatalf("find: got %v, %v; want %v", ok, err, want)
	}
	return f
}

func (r *rig) stored(want anchor.Root) {
	r.t.Helper()
	if got, err := r.Stored(testContext(r.t)); err != nil || got != want {
		r.t.Fatalf("stored: got %s, %v; want %s", got, err, want)
	}
}

func (r *rig) tips() anchor.Tips {
	r.t.Helper()
	tips, err := r.Tips(testContext(r.t))
	if err != nil {
		r.t.Fatalf("tips: %v", err)
	}
	return tips
}

// anchor takes one root through to a block.
func (r *rig) anchor(previous, root anchor.Root) anchor.Attempt {
	r.t.Helper()
	a := r.sign(order(previous, root))
	r.send(a)
	r.node.Mine(1)
	r.find(true, a)
	r.stored(root)
	return a
}

func parsed(t testing.TB, a anchor.Attempt) *wire.MsgTx {
	t.Helper()
	tx, err := readTx(a.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func (r *rig) receipt(a anchor.Attempt, b anchor.Block) proof.BitcoinReceipt {
	r.t.Helper()
	data, err := r.Receipt(testContext(r.t), a, b)
	if err != nil {
		r.t.Fatalf("receipt: %v", err)
	}
	return r.parseReceipt(data)
}

func (r *rig) parseReceipt(data []byte) proof.BitcoinReceipt {
	r.t.Helper()
	rec, err := proof.ParseBitcoinReceipt(data)
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

func wantIs(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}
