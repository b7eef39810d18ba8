package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"cairn/store/share"
)

// BenchmarkGroup plays one quarter hour of sites of some kinds and measures what
// its group object costs: to make (as sealing does once, and each copy that takes
// it), and to hold for a mirror, which has all objects but the site's, and for an
// auditor of one stream, who has its compartments and the group object.
func BenchmarkGroup(b *testing.B) {
	for _, k := range []struct{ streams, every int }{{1, 10}, {10, 10}, {200, 10}, {200, 300}} {
		b.Run(fmt.Sprintf("streams=%d,seconds=%d", k.streams, k.every), func(b *testing.B) {
			x := newSite(b, k.streams)
			x.pass(15*minute - 7*time.Second) // a quarter hour begins
			for range 15 * 60 / k.every {
				x.send(x.nodes...)
				x.pass(time.Duration(k.every) * time.Second)
			}
			x.pass(minute)
			x.seal()
			refs, err := x.s.Groups(context.Background(), 0, 100)
			if err != nil {
				b.Fatal(err)
			}
			ref := refs[1]
			b.ResetTimer()
			for b.Loop() {
				if _, err := x.s.GroupObject(context.Background(), ref.First); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			object, _ := x.s.GroupObject(context.Background(), ref.First)
			g, err := OpenGroup(x.keyOf(share.Ledger, ref.Hour), x.s.keys.id, ref.Hour, ref.First, object)
			if err != nil {
				b.Fatal(err)
			}
			mirror, auditor := ref.Size, ref.Size
			for _, o := range g.Objects {
				switch o.Name {
				case "site", Statements:
				case "stream/0/envelope", "stream/0/data":
					auditor += o.Size
					fallthrough
				default:
					mirror += o.Size
				}
			}
			each := 900 / k.every
			readings := float64(each * k.streams)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/readings, "ns/reading")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(ref.Next-ref.First), "ns/batch")
			b.ReportMetric(float64(ref.Size)/readings, "group-B/reading")
			b.ReportMetric(float64(mirror)/readings, "mirror-B/reading")
			b.ReportMetric(float64(auditor)/float64(each), "auditor-B/reading")
		})
	}
}

// BenchmarkLive measures what a live group of a nearly full quarter hour costs: each
// window that closes while somebody follows costs one.
func BenchmarkLive(b *testing.B) {
	for _, streams := range []int{10, 200} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			x := newSite(b, streams)
			x.pass(15*minute - 7*time.Second)
			x.seal()
			for range 84 {
				x.send(x.nodes...)
				x.pass(10 * time.Second)
			}
			x.s.sealing.Lock()
			defer x.s.sealing.Unlock()
			for b.Loop() {
				r := x.s.reader()
				g, err := r.batchesOfHour(r.v.state.SealFrom, r.v.signed)
				if err == nil {
					_, err = r.makeLive(context.Background(), g, drawNonce(), noHash)
				}
				if err != nil {
					b.Fatal(err)
				}
				r.close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(84*streams), "ns/reading")
		})
	}
}
