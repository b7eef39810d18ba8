package store

import (
	"encoding/binary"
	"testing"
	"time"
)

// TestListedAfterAbsence: what each header lists is found as by reading the rows of
// all groups, also where hundreds of them were sealed long after they had ended.
func TestListedAfterAbsence(t *testing.T) {
	x := newSite(t, 1)
	for _, away := range []time.Duration{time.Hour, 30 * time.Hour, time.Minute, 5 * time.Hour, 0, 50 * time.Hour} {
		x.send(x.nodes...)
		x.close()
		x.clock.add(away)
		x.open()
		for range 20 {
			x.pass(time.Minute)
			x.send(x.nodes...)
		}
		x.seal()
	}
	want := map[uint64][]uint64{} // first batches of groups, by the batch that lists them
	groups := 0
	err := each(x.s.db, x.s.keys.key(kindHour), after(x.s.keys.key(kindHour)), func(key, val []byte) (bool, error) {
		h, err := decodeHour(key, val)
		want[h.Listed] = append(want[h.Listed], binary.BigEndian.Uint64(suffix(key)))
		groups++
		return true, err
	})
	if err != nil || groups < 300 {
		t.Fatalf("%d groups, %v", groups, err)
	}
	for batch := range x.s.LogSize() + 1 {
		rows, err := x.s.listedSegments(x.s.db, batch)
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for _, s := range rows {
			if n := len(got); n == 0 || got[n-1] != s.key.First {
				got = append(got, s.key.First)
			}
		}
		if len(got) != len(want[batch]) {
			t.Fatalf("batch %d lists %d groups, want %d", batch, len(got), len(want[batch]))
		}
		for i := range got {
			if got[i] != want[batch][i] {
				t.Fatalf("batch %d lists group %d at place %d, want %d", batch, got[i], i, want[batch][i])
			}
		}
	}
	x.check()
}
