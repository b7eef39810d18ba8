package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
)

// The load of BenchmarkTrees: readings of 52 bytes come in turn from all
// streams. Each is leaf-hashed once and appended to its stream's tree and to
// its run's. When a window closes, each stream gives a summary of 52 bytes
// from both roots, and a perfect tree stands over the summaries.
const (
	benchStreams   = 200
	benchWindows   = 10
	benchPerWindow = 500 // readings of one stream in one window
	benchReadings  = benchStreams * benchWindows * benchPerWindow
	benchEntry     = 52
	benchSlots     = 256 // summaries and decoys in a batch tree
)

func benchEntries() []byte {
	b := make([]byte, benchReadings*benchEntry)
	for i := range benchReadings {
		e := b[i*benchEntry:]
		binary.BigEndian.PutUint64(e, uint64(i%benchStreams))
		binary.BigEndian.PutUint64(e[12:], uint64(i/benchStreams))
		binary.BigEndian.PutUint64(e[20:], uint64(i)*0x9e3779b97f4a7c15)
	}
	return b
}

// benchWork returns how many entries and how many nodes the load hashes.
func benchWork() (entries, nodes int) {
	peaks := func(n int) int { return bits.OnesCount(uint(n)) }
	for w := 1; w <= benchWindows; w++ {
		n := w * benchPerWindow
		roots := peaks(n) - 1 + peaks(benchPerWindow) - 1
		appends := benchPerWindow - peaks(benchPerWindow)
		nodes += benchStreams * (roots + appends)
		entries += benchStreams * (benchPerWindow + 1)
		nodes += benchSlots - 1
	}
	n := benchWindows * benchPerWindow
	nodes += benchStreams * (n - peaks(n))
	return entries, nodes
}

// forest is one implementation under the load.
type forest interface {
	read(stream int, entry []byte)
	roots(stream int) (streamRoot, runRoot [HashSize]byte)
	newRun(stream int)
	batch(summaries []byte) [HashSize]byte // of benchEntry bytes each
}

// runLoad puts the load through f and returns a hash over all batch roots.
func runLoad(f forest, entries []byte) (sum [HashSize]byte) {
	summaries := make([]byte, benchSlots*benchEntry)
	for w := range benchWindows {
		window := entries[w*benchStreams*benchPerWindow*benchEntry:]
		for i := range benchStreams * benchPerWindow {
			f.read(i%benchStreams, window[i*benchEntry:(i+1)*benchEntry])
		}
		for s := range benchStreams {
			streamRoot, runRoot := f.roots(s)
			f.newRun(s)
			copy(summaries[s*benchEntry:], streamRoot[:26])
			copy(summaries[s*benchEntry+26:], runRoot[:26])
		}
		root := f.batch(summaries)
		for i := range sum {
			sum[i] ^= root[i] + byte(w)
		}
	}
	return sum
}

type cairnForest struct {
	streams, runs [benchStreams]Tree
	slots         [benchSlots]Hash
}

func (f *cairnForest) read(s int, entry []byte) {
	h := LeafHash(entry)
	f.streams[s].Append(h)
	f.runs[s].Append(h)
}
func (f *cairnForest) roots(s int) (a, b [HashSize]byte) {
	return f.streams[s].Root(), f.runs[s].Root()
}
func (f *cairnForest) newRun(s int) { f.runs[s] = Tree{} }
func (f *cairnForest) batch(summaries []byte) [HashSize]byte {
	for s := range f.slots {
		f.slots[s] = Hash{}
		if s < benchStreams {
			f.slots[s] = LeafHash(summaries[s*benchEntry : (s+1)*benchEntry])
		}
	}
	return PerfectRoot(f.slots[:])
}

var compactFactory = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

type compactForest struct {
	streams, runs [benchStreams]*compact.Range
}

func newCompactForest() *compactForest {
	f := new(compactForest)
	for s := range benchStreams {
		f.streams[s], f.runs[s] = compactFactory.NewEmptyRange(0), compactFactory.NewEmptyRange(0)
	}
	return f
}

func (f *compactForest) read(s int, entry []byte) {
	h := rfc6962.DefaultHasher.HashLeaf(entry)
	_ = f.streams[s].Append(h, nil)
	_ = f.runs[s].Append(h, nil)
}
func (f *compactForest) roots(s int) (a, b [HashSize]byte) {
	x, _ := f.streams[s].GetRootHash(nil)
	y, _ := f.runs[s].GetRootHash(nil)
	return [HashSize]byte(x), [HashSize]byte(y)
}
func (f *compactForest) newRun(s int) { f.runs[s] = compactFactory.NewEmptyRange(0) }
func (f *compactForest) batch(summaries []byte) [HashSize]byte {
	r := compactFactory.NewEmptyRange(0)
	for s := range benchSlots {
		h := make([]byte, HashSize)
		if s < benchStreams {
			h = rfc6962.DefaultHasher.HashLeaf(summaries[s*benchEntry : (s+1)*benchEntry])
		}
		_ = r.Append(h, nil)
	}
	root, _ := r.GetRootHash(nil)
	return [HashSize]byte(root)
}

// tlogTree keeps the stored hashes of tlog in memory.
type tlogTree struct {
	n      int64
	hashes []tlog.Hash
}

func (t *tlogTree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = t.hashes[x]
	}
	return out, nil
}

func (t *tlogTree) add(h tlog.Hash) {
	hashes, _ := tlog.StoredHashesForRecordHash(t.n, h, t)
	t.hashes = append(t.hashes, hashes...)
	t.n++
}

func (t *tlogTree) root() [HashSize]byte {
	h, _ := tlog.TreeHash(t.n, t)
	return h
}

type tlogForest struct{ streams, runs [benchStreams]tlogTree }

func (f *tlogForest) read(s int, entry []byte) {
	h := tlog.RecordHash(entry)
	f.streams[s].add(h)
	f.runs[s].add(h)
}
func (f *tlogForest) roots(s int) (a, b [HashSize]byte) { return f.streams[s].root(), f.runs[s].root() }
func (f *tlogForest) newRun(s int)                      { f.runs[s] = tlogTree{hashes: f.runs[s].hashes[:0]} }
func (f *tlogForest) batch(summaries []byte) [HashSize]byte {
	var t tlogTree
	for s := range benchSlots {
		var h tlog.Hash
		if s < benchStreams {
			h = tlog.RecordHash(summaries[s*benchEntry : (s+1)*benchEntry])
		}
		t.add(h)
	}
	return t.root()
}

// BenchmarkTrees measures trees over 1,000,000 readings, as ns per reading.
//
//	raw      the same number of compression blocks, in one long hash: the floor
//	calls    the same number of calls of sha256.Sum256 at the same lengths
//	cairn    this package
//	compact  transparency-dev/merkle, compact ranges
//	tlog     golang.org/x/mod/sumdb/tlog, stored hashes in memory
func BenchmarkTrees(b *testing.B) {
	input := benchEntries()
	perLeaf := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchReadings, "ns/leaf")
		b.ReportMetric(0, "ns/op")
	}
	b.Run("raw", func(b *testing.B) {
		entries, nodes := benchWork()
		for b.Loop() {
			d := sha256.New()
			for left := (entries + 2*nodes) * sha256.BlockSize; left > 0; left -= 1 << 16 {
				d.Write(input[:min(left, 1<<16)])
			}
		}
		perLeaf(b)
	})
	b.Run("calls", func(b *testing.B) {
		entries, nodes := benchWork()
		for b.Loop() {
			for i := range entries {
				sha256.Sum256(input[i&0xffff:][:1+benchEntry])
			}
			for i := range nodes {
				sha256.Sum256(input[i&0xffff:][:1+2*HashSize])
			}
		}
		perLeaf(b)
	})
	var roots [][HashSize]byte
	run := func(name string, newForest func() forest) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var sum [HashSize]byte
			for b.Loop() {
				sum = runLoad(newForest(), input)
			}
			perLeaf(b)
			roots = append(roots, sum)
		})
	}
	run("cairn", func() forest { return new(cairnForest) })
	run("compact", func() forest { return newCompactForest() })
	run("tlog", func() forest { return new(tlogForest) })
	for _, r := range roots {
		if r != roots[0] {
			b.Fatalf("roots differ: %x, %x", r, roots[0])
		}
	}
}

// BenchmarkInclusion proves and verifies one leaf in a tree of 1<<20.
func BenchmarkInclusion(b *testing.B) {
	const size = 1 << 20
	var stored tlogTree
	for i := range uint64(size) {
		var e [8]byte
		binary.BigEndian.PutUint64(e[:], i)
		stored.add(tlog.RecordHash(e[:]))
	}
	nodes := storedNodes{&stored}
	root := Hash(stored.root())
	at := func(i int) uint64 { return uint64(i*7919) % size }
	leaf := func(i uint64) Hash { h, _ := nodes.Node(0, i); return h }

	b.Run("prove/cairn", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := ProveInclusion(nodes, at(i), size); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("prove/tlog", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := tlog.ProveRecord(size, int64(at(i)), &stored); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("prove/transparency-dev", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := devInclusion(nodes, at(i), size); err != nil {
				b.Fatal(err)
			}
		}
	})

	const x = 777_777
	path, err := ProveInclusion(nodes, x, size)
	if err != nil {
		b.Fatal(err)
	}
	h := leaf(x)
	b.Run("verify/cairn", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := VerifyInclusion(h, x, size, path, root); err != nil {
				b.Fatal(err)
			}
		}
	})
	tpath := toTlog(path)
	b.Run("verify/tlog", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := tlog.CheckRecord(tpath, size, tlog.Hash(root), x, tlog.Hash(h)); err != nil {
				b.Fatal(err)
			}
		}
	})
	dpath := toDev(path)
	b.Run("verify/transparency-dev", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := proof.VerifyInclusion(rfc6962.DefaultHasher, x, size, h[:], dpath, root[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkNodeHash(b *testing.B) {
	l, r := LeafHash([]byte("l")), LeafHash([]byte("r"))
	for b.Loop() {
		l = NodeHash(l, r)
	}
}

func BenchmarkLeafHash(b *testing.B) {
	var e [benchEntry]byte
	for b.Loop() {
		h := LeafHash(e[:])
		e[0] = h[0]
	}
}
