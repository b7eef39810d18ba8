package proof

import (
	"testing"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// BenchmarkSpineVerify checks one whole reading in a log of 1,000,000 batches:
// it decodes the file and takes every step but the signature's and the
// chain's.
func BenchmarkSpineVerify(b *testing.B) {
	const size, index = 1_000_000, 765_432
	s := newSite("bench")
	s.header = func(h *ledger.Header) { h.Index = index }
	s.build(4)
	f := s.file(b, 4, pick{window: 3, slot: 2, at: 1})
	f.Receipts = nil
	log := make(merkle.Leaves, size)
	for i := range log {
		log[i] = merkle.LeafHash([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
	}
	log[index] = merkle.LeafHash(f.Batches[0].Header)
	path, err := merkle.ProveInclusion(log, index, size)
	if err != nil {
		b.Fatal(err)
	}
	f.Batches[0].Heads[0].Path = path
	heads := []merkle.Checkpoint{{Size: size, Root: merkle.RootOf(log)}}
	file := mustEncode(b, f)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		f, err := Decode(file)
		if err != nil {
			b.Fatal(err)
		}
		c := checker{f: f, heads: heads}
		for _, step := range []func() (string, *fault){
			c.file, c.ledger, c.headers, c.hidden, c.summaryEntries, c.records, c.runs, c.statements, c.receiptProofs, c.blocks, c.levels,
		} {
			if _, bad := step(); bad != nil {
				b.Fatal(bad.err)
			}
		}
		if c.v.Level != LevelLogged {
			b.Fatal(c.v.Level)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "µs/verify")
	b.ReportMetric(float64(len(file)), "bytes/file")
}

// BenchmarkVerifyFile is the same with signature and Ethereum receipt.
func BenchmarkVerifyFile(b *testing.B) {
	s := newSite("bench").build(4)
	file := mustEncode(b, s.file(b, 4, pick{window: 3, slot: 2, at: 1}))
	o := s.options(b, 4)
	for b.Loop() {
		if v := VerifyBytes(file, o); v.Level != LevelAnchored {
			b.Fatal(v.Reason)
		}
	}
}
