// Package calendar is a small OpenTimestamps calendar for tests. It takes digests, commits those that it has in
// one Bitcoin transaction when it is told to, on the btcd of package btcd, and serves promises at first and the
// path to the block once there is one.
//
// A digest is answered with: prepend the time (4 bytes), append 8 random bytes, a promise of what is then the
// message. The messages of one transaction are hashed and paired up with SHA-256, left ‖ right, an odd one moving up
// as it is; the last hash stands in an OP_RETURN.
package calendar

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"cairn/anchor/proof"
	"cairn/scripts/btcd"
)

const (
	mediaType = "application/vnd.opentimestamps.v1"
	maxDigest = 64
	maxReorg  = 20 // blocks that a transaction may come out before where it was sent
)

var errPending = errors.New("pending confirmation in the Bitcoin block chain")

// Calendar is a running calendar. Its HTTP side may be used by any number of clients at once; Anchor is for the
// test's goroutine.
type Calendar struct {
	// URL is where it answers, and what its promises name.
	URL string

	t    testing.TB
	node *btcd.Node

	mu      sync.Mutex // covers what follows
	wanted  int        // confirmations before a path is served
	waiting [][]byte   // messages that no transaction holds yet
	batches []*batch
	through func(http.ResponseWriter, *http.Request) bool
	digests [][]byte
}

// batch is what one transaction commits to.
type batch struct {
	paths map[string][]proof.OTSOp // by message, to the hash in the transaction
	root  [32]byte
	tx    *wire.MsgTx
	from  int // height of the chain when it was sent

	// Where it was when asOf was the newest block: block is nil if nowhere.
	asOf   string
	block  *wire.MsgBlock
	height int
}

// Start serves a calendar on loopback until the test ends.
func Start(t testing.TB, node *btcd.Node) *Calendar {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("calendar: %v", err)
	}
	c := &Calendar{URL: "http://" + l.Addr().String(), t: t, node: node, wanted: 1}
	server := &http.Server{Handler: c, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(l)
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
		<-done
	})
	return c
}

// Confirmations sets how many blocks, the transaction's own included, a path waits for; 1 at first.
func (c *Calendar) Confirmations(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = n
}

// Through puts a function before all requests; it reports whether it has answered. nil takes it away.
func (c *Calendar) Through(f func(http.ResponseWriter, *http.Request) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.through = f
}

// Digests returns what was posted so far.
func (c *Calendar) Digests() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([][]byte(nil), c.digests...)
}

// Anchor commits everything that waits in one transaction and leaves it in the mempool, for the node to mine. It
// returns the transaction's id, "" if nothing waits.
func (c *Calendar) Anchor() string {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		return ""
	}
	b := &batch{paths: map[string][]proof.OTSOp{}}
	b.from, _ = c.node.Tip()
	b.root = b.aggregate(c.waiting)
	b.tx = c.node.Spend(wire.NewTxOut(0, append([]byte{0x6a, 0x20}, b.root[:]...)))
	c.waiting, c.batches = nil, append(c.batches, b)
	return b.tx.TxHash().String()
}

// Height returns the height of the block that holds a message, as the node's chain stands, or false.
func (c *Calendar) Height(message []byte) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.batches {
		if _, ok := b.paths[string(message)]; ok {
			_, height, err := c.place(b)
			return height, err == nil
		}
	}
	return 0, false
}

// aggregate hashes the messages into one and notes the path of each.
func (b *batch) aggregate(messages [][]byte) [32]byte {
	type node struct {
		hash  [32]byte
		below []string
	}
	var level []node
	for _, m := range messages {
		b.paths[string(m)] = []proof.OTSOp{{Tag: proof.OTSSHA256}}
		level = append(level, node{sha256.Sum256(m), []string{string(m)}})
	}
	for len(level) > 1 {
		var next []node
		for i := 0; i+1 < len(level); i += 2 {
			l, r := level[i], level[i+1]
			for _, m := range l.below {
				b.paths[m] = append(b.paths[m], proof.OTSOp{Tag: proof.OTSAppend, Arg: r.hash[:]}, proof.OTSOp{Tag: proof.OTSSHA256})
			}
			for _, m := range r.below {
				b.paths[m] = append(b.paths[m], proof.OTSOp{Tag: proof.OTSPrepend, Arg: l.hash[:]}, proof.OTSOp{Tag: proof.OTSSHA256})
			}
			next = append(next, node{sha256.Sum256(append(append([]byte(nil), l.hash[:]...), r.hash[:]...)), append(l.below, r.below...)})
		}
		if len(level)%2 == 1 {
			next = append(next, level[len(level)-1])
		}
		level = next
	}
	return level[0].hash
}

// ServeHTTP answers POST /digest and GET /timestamp/<hexadecimal message>.
func (c *Calendar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	through := c.through
	c.mu.Unlock()
	if through != nil && through(w, r) {
		return
	}
	var answer *proof.Timestamp
	var status int
	var err error
	message, isTimestamp := strings.CutPrefix(r.URL.Path, "/timestamp/")
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/digest":
		answer, status, err = c.take(r)
	case r.Method == http.MethodGet && isTimestamp:
		answer, status, err = c.find(message)
	default:
		status, err = http.StatusNotFound, errors.New("no such page")
	}
	var b []byte
	if err == nil {
		if b, err = answer.MarshalBinary(); err != nil {
			status = http.StatusInternalServerError
		}
	}
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Write(b)
}

// take promises something of a digest.
func (c *Calendar) take(r *http.Request) (*proof.Timestamp, int, error) {
	digest, err := io.ReadAll(io.LimitReader(r.Body, maxDigest+1))
	if err != nil || len(digest) == 0 || len(digest) > maxDigest || r.ContentLength != int64(len(digest)) {
		return nil, http.StatusBadRequest, errors.New("bad digest")
	}
	mark := make([]byte, 8)
	rand.Read(mark)
	t := proof.NewTimestamp(digest)
	at := binary.BigEndian.AppendUint32(nil, uint32(time.Now().Unix()))
	end, err := t.Path(proof.OTSOp{Tag: proof.OTSPrepend, Arg: at}, proof.OTSOp{Tag: proof.OTSAppend, Arg: mark})
	if err != nil {
		return nil, http.StatusBadRequest, err
	}
	promise, err := proof.PendingAttestation(c.URL)
	if err == nil {
		err = end.Attest(promise)
	}
	if err != nil {
		return nil, http.StatusInternalServerError, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.digests = append(c.digests, digest)
	c.waiting = append(c.waiting, end.Message())
	return t, http.StatusOK, nil
}

// find returns the path of a message to its block.
func (c *Calendar) find(message string) (*proof.Timestamp, int, error) {
	m, err := hex.DecodeString(message)
	if err != nil {
		return nil, http.StatusBadRequest, errors.New("commitment must be hexadecimal")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.waiting {
		if bytes.Equal(w, m) {
			return nil, http.StatusNotFound, errPending
		}
	}
	for _, b := range c.batches {
		path, ok := b.paths[string(m)]
		if !ok {
			continue
		}
		block, height, err := c.place(b)
		if err != nil {
			return nil, http.StatusNotFound, errPending
		}
		t := proof.NewTimestamp(m)
		up, err := b.climb(block)
		if err != nil {
			return nil, http.StatusInternalServerError, err
		}
		end, err := t.Path(append(append([]proof.OTSOp(nil), path...), up...)...)
		if err == nil {
			err = end.Attest(proof.BitcoinAttestation(uint32(height)))
		}
		return t, http.StatusInternalServerError, err
	}
	return nil, http.StatusNotFound, errors.New("not found")
}

// place finds the block that holds a batch's transaction and has enough confirmations. It asks the node each time:
// a reorganisation may have moved it. c.mu is held.
func (c *Calendar) place(b *batch) (*wire.MsgBlock, int, error) {
	var best struct {
		Hash   string `json:"hash"`
		Height int    `json:"height"`
	}
	if err := c.node.Call(&best, "getbestblock"); err != nil {
		return nil, 0, err
	}
	if b.asOf != best.Hash {
		block, height, err := c.search(b, best.Height)
		if err != nil {
			return nil, 0, err
		}
		b.asOf, b.block, b.height = best.Hash, block, height
	}
	if b.block == nil || b.height > best.Height+1-c.wanted {
		return nil, 0, errPending
	}
	return b.block, b.height, nil
}

// search returns the block of a batch and its height, nil if it is in none. Where it was last is looked at first.
func (c *Calendar) search(b *batch, tip int) (*wire.MsgBlock, int, error) {
	if b.block != nil && b.height <= tip {
		var hash string
		if err := c.node.Call(&hash, "getblockhash", b.height); err != nil || hash == b.block.BlockHash().String() {
			return b.block, b.height, err
		}
	}
	for height := tip; height > 0 && height >= b.from-maxReorg; height-- {
		var hash string
		if err := c.node.Call(&hash, "getblockhash", height); err != nil {
			return nil, 0, err
		}
		block, err := c.node.Block(hash)
		if err != nil {
			return nil, 0, err
		}
		for _, tx := range block.Transactions[1:] {
			if tx.TxHash() == b.tx.TxHash() {
				return block, height, nil
			}
		}
	}
	return nil, 0, nil
}

// climb returns the operations from the hash in a batch's transaction to the merkle root of its block.
func (b *batch) climb(block *wire.MsgBlock) ([]proof.OTSOp, error) {
	var raw bytes.Buffer
	if err := b.tx.SerializeNoWitness(&raw); err != nil {
		return nil, err
	}
	before, after, ok := bytes.Cut(raw.Bytes(), b.root[:])
	if !ok {
		return nil, errors.New("the transaction has lost its hash")
	}
	twice := []proof.OTSOp{{Tag: proof.OTSSHA256}, {Tag: proof.OTSSHA256}}
	ops := append([]proof.OTSOp{{Tag: proof.OTSPrepend, Arg: before}, {Tag: proof.OTSAppend, Arg: after}}, twice...)
	var level []chainhash.Hash
	at := -1
	for i, tx := range block.Transactions {
		if level = append(level, tx.TxHash()); tx.TxHash() == b.tx.TxHash() {
			at = i
		}
	}
	if at < 0 {
		return nil, fmt.Errorf("no such transaction in block %s", block.BlockHash())
	}
	for len(level) > 1 {
		if len(level)%2 == 1 {
			level = append(level, level[len(level)-1])
		}
		sibling := level[at^1]
		side := proof.OTSAppend
		if at%2 == 1 {
			side = proof.OTSPrepend
		}
		ops = append(append(ops, proof.OTSOp{Tag: side, Arg: sibling[:]}), twice...)
		var next []chainhash.Hash
		for i := 0; i < len(level); i += 2 {
			next = append(next, chainhash.DoubleHashH(append(append([]byte(nil), level[i][:]...), level[i+1][:]...)))
		}
		level, at = next, at/2
	}
	return ops, nil
}
