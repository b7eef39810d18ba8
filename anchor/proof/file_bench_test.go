package proof

import (
	"runtime"
	"testing"

	"cairn/ingest/reading"
)

// rangeOf is a file that shows n readings as a range does, with these fields or
// all. Its readings hang on nothing.
func rangeOf(t testing.TB, n int, fields ...int) *File {
	t.Helper()
	s, f, _ := oneOfMany(t)
	b := NewBuilder(f.Ledger.Key, f.Ledger.Nonce)
	b.Cover(b.Batch(f.Batches[0].Header, f.Batches[0].Slots, nil), b.Head(f.Heads[0].Note), f.Batches[0].Heads[0].Path)
	at := b.Range(Range{Summaries: []int{b.Summary(f.Summaries[0])}, To: 1})
	for i := range n {
		rec := s.record(3, uint64(i), siteStart+int64(i)*1000)
		shown := fields
		if len(fields) == 0 {
			for k := range rec.items {
				shown = append(shown, k)
			}
		}
		v := Numbered{Seq: rec.seq, Width: len(rec.leaves), Hidden: Cover(rec.leaves, shown)}
		for _, k := range shown {
			v.Fields = append(v.Fields, Field{Index: k, Item: rec.items[k], Salt: s.salts.Salt(rec.seq, k, len(rec.items))})
		}
		b.Numbered(at, v)
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
				runtime.KeepAlive(f)
			})
		})
	}
}
