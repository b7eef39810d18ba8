package witness

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"testing"

	"cairn/merkle"
)

// testLog is a log with a key. Two of one origin and key share the leaves up to
// where one of them was forked.
type testLog struct {
	t      testing.TB
	origin string
	key    ed25519.PrivateKey
	tree   merkle.Tree
	nodes  map[[2]uint64]merkle.Hash
}

func newTestLog(t testing.TB, origin string) *testLog {
	return &testLog{t: t, origin: origin, key: testKey(origin), nodes: map[[2]uint64]merkle.Hash{}}
}

// testKey is a key that only this text gives.
func testKey(text string) ed25519.PrivateKey {
	var seed [ed25519.SeedSize]byte
	copy(seed[:], text)
	return ed25519.NewKeyFromSeed(seed[:])
}

func (l *testLog) vkey() string {
	return merkle.VerifierKey(l.origin, l.key.Public().(ed25519.PublicKey))
}

// Node implements merkle.NodeReader.
func (l *testLog) Node(level int, index uint64) (merkle.Hash, error) {
	h, ok := l.nodes[[2]uint64{uint64(level), index}]
	if !ok {
		return h, fmt.Errorf("no node %d of level %d", index, level)
	}
	return h, nil
}

// grow appends leaves, whose content is told apart by branch.
func (l *testLog) grow(size uint64, branch byte) *testLog {
	for l.tree.Size() < size {
		entry := binary.BigEndian.AppendUint64([]byte{branch}, l.tree.Size())
		l.tree.AppendCollect(merkle.LeafHash(entry), 0, func(level int, index uint64, h merkle.Hash) {
			l.nodes[[2]uint64{uint64(level), index}] = h
		})
	}
	return l
}

// fork is a log with the same key that goes its own way after the first size leaves.
func (l *testLog) fork(size uint64) *testLog {
	return (&testLog{t: l.t, origin: l.origin, key: l.key, nodes: map[[2]uint64]merkle.Hash{}}).grow(size, 0)
}

func (l *testLog) root(size uint64) merkle.Hash {
	l.t.Helper()
	h, err := merkle.RootAt(l, size)
	if err != nil {
		l.t.Fatal(err)
	}
	return h
}

// head signs the log's head at a size.
func (l *testLog) head(size uint64) []byte {
	l.t.Helper()
	return l.sign(merkle.Checkpoint{Origin: l.origin, Size: size, Root: l.root(size)})
}

func (l *testLog) sign(c merkle.Checkpoint) []byte {
	l.t.Helper()
	signed, err := merkle.SignCheckpoint(c, l.key)
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}

func (l *testLog) proof(old, size uint64) []merkle.Hash {
	l.t.Helper()
	p, err := merkle.ProveConsistency(l, old, size)
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

// request asks for a cosignature of the head at a size by one who knows of old.
func (l *testLog) request(old, size uint64) []byte {
	l.t.Helper()
	r := Request{Old: old, Checkpoint: l.head(size)}
	if old <= size {
		r.Proof = l.proof(old, size)
	}
	return r.Append(nil)
}

// prove is what Cosign asks.
func (l *testLog) prove(size uint64) func(uint64) ([]merkle.Hash, error) {
	return func(old uint64) ([]merkle.Hash, error) { return merkle.ProveConsistency(l, old, size) }
}

func newSigner(t testing.TB, name string) Signer {
	t.Helper()
	s, err := signerOf(name, testKey(name).Seed())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newWitness opens a witness that knows some logs.
func newWitness(t testing.TB, dir string, logs ...*testLog) *Witness {
	t.Helper()
	c := Config{Dir: dir, Signer: newSigner(t, "witness.example/w")}
	for _, l := range logs {
		c.Logs = append(c.Logs, l.vkey())
	}
	w, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// cosigned checks that the lines of an answer hold a cosignature of the head.
func cosigned(t testing.TB, w *Witness, l *testLog, size uint64, lines []byte) Cosignature {
	t.Helper()
	c, err := parseCosignatures(lines, w.signer.Key, NoteText(l.head(size)))
	if err != nil {
		t.Fatalf("size %d: %v in %q", size, err, lines)
	}
	return c
}
