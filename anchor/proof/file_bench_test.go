package proof

import (
	"runtime"
	"testing"

	"cairn/ingest/reading"
	"cairn/merkle"
	"cairn/merkle/ledger"
)

// rangeOf is a file that shows n readings of a stream, from its first on, with
// these fields or all. One summary shows them to be complete.
func rangeOf(t testing.TB, n int, fields ...int) *File {
	t.Helper()
	s := newSite("range")
	const slot = 3
	tag := ledger.Tag(s.tagKey, s.id, slot)
	r := Range{From: siteStart, To: siteStart + siteWindow, Readings: make([]Numbered, n)}
	leaves := make(merkle.Leaves, n)
	for i := range n {
		rec := s.record(slot, uint64(i), siteStart+int64(i)*siteWindow/int64(n))
		shown := fields
		if len(fields) == 0 {
			for k := range rec.items {
				shown = append(shown, k)
			}
		}
		v := &r.Readings[i]
		v.Seq, v.Width, v.Hidden = rec.seq, len(rec.leaves), Cover(rec.leaves, shown)
		for _, k := range shown {
			v.Fields = append(v.Fields, Field{Index: k, Item: rec.items[k], Salt: s.salts.Salt(rec.seq, k, len(rec.items))})
		}
		leaves[i] = reading.EntryLeaf(tag, rec.seq, rec.root)
	}
	root := merkle.RootOf(leaves)
	sum := ledger.Summary{Slot: slot, From: siteStart, To: r.To, Next: uint64(n), Run: root, Stream: root}
	shown := Summary{Tag: tag, Item: sum.Append(nil), Path: pathTo("batch", batchDepth)}
	entry := ledger.SummaryEntry(tag, shown.Item, shown.Salt)
	slots := Shown{Item: ledger.Slots{Depth: batchDepth}.Append(nil)}
	h := ledger.Header{Ledger: s.id, From: sum.From, To: sum.To}
	h.Root, _ = merkle.RootFromPerfectPath(merkle.LeafHash(entry[:]), slot, shown.Path)
	h.Hidden[ledger.HiddenSlots] = ledger.Hide(slots.Item, slots.Salt)
	header, path := h.Append(nil), pathTo("log", logDepth)
	top, _ := merkle.RootFromPerfectPath(merkle.LeafHash(header), 0, path)
	note, err := merkle.SignCheckpoint(merkle.Checkpoint{Origin: ledger.Origin(s.id), Size: 1 << logDepth, Root: top}, s.key)
	if err != nil {
		t.Fatal(err)
	}
	b := NewBuilder(s.policyKey(), s.nonce)
	shown.Batch = b.Batch(header, slots, nil)
	b.Cover(shown.Batch, b.Head(note), path)
	r.Summaries = []int{b.Summary(shown)}
	readings := r.Readings
	r.Readings = nil
	at := b.Range(r)
	for i := range readings {
		b.Numbered(at, readings[i])
	}
	return b.File()
}

// BenchmarkFile writes and reads files of many readings; a million of one field
// each stays within a few hundred megabytes.
func BenchmarkFile(b *testing.B) {
	for _, c := range []struct {
		name   string
		n      int
		fields []int
	}{
		{"10k-whole", 10_000, nil},
		{"10k-field", 10_000, []int{reading.IndexData}},
		{"1M-field", 1_000_000, []int{reading.IndexData}},
	} {
		b.Run(c.name, func(b *testing.B) {
			if c.n > 10_000 && testing.Short() {
				b.SkipNow()
			}
			f := rangeOf(b, c.n, c.fields...)
			var file []byte
			b.Run("encode", func(b *testing.B) {
				for b.Loop() {
					file = mustEncode(b, f)
				}
				b.ReportMetric(float64(len(file)), "bytes/file")
				b.ReportMetric(float64(len(bodyOf(b, file))), "bytes/body")
			})
			f = nil
			b.Run("decode", func(b *testing.B) {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				for b.Loop() {
					got, err := Decode(file)
					if err != nil {
						b.Fatal(err)
					}
					f = got
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(int64(after.HeapAlloc-before.HeapAlloc))/1e6, "MB/kept")
			})
			b.Run("verify", func(b *testing.B) {
				var v Verdict
				for b.Loop() {
					v = Verify(f, Options{Require: LevelLogged})
				}
				if v.Level != LevelLogged {
					b.Fatal(v.Text())
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(c.n), "ns/reading")
			})
		})
	}
}
