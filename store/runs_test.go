package store

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// randomRuns draws the runs of a stream in one group.
func randomRuns(rng *rand.Rand) *runsRow {
	x := &runsRow{group: rng.Uint64N(1 << 40)}
	batch, first := x.group+rng.Uint64N(3), rng.Uint64N(1<<40)
	for range 1 + rng.IntN(30) {
		n := uint64(1)
		if rng.IntN(4) == 0 {
			n = 1 + rng.Uint64N(2*longRun)
		}
		r := runRow{batch: batch, first: first, next: first + n, sealed: true, group: x.group, hasHidden: n > longRun}
		if r.hasHidden {
			r.hidden[rng.IntN(32)] = byte(rng.Uint32())
		}
		x.runs = append(x.runs, r)
		batch, first = batch+1, r.next
		if rng.IntN(3) == 0 {
			batch += rng.Uint64N(5)
		}
	}
	return x
}

func TestRunsRow(t *testing.T) {
	for seed := range uint64(500) {
		want := randomRuns(rand.New(rand.NewPCG(seed, 3)))
		b := want.append(nil)
		got, err := parseRuns(want.group, b)
		if err != nil || !slices.Equal(got.runs, want.runs) {
			t.Fatalf("seed %d: %v, got %+v, want %+v", seed, err, got, want)
		}
		for _, bad := range [][]byte{b[:len(b)-1], append(slices.Clone(b), 0), {format}} {
			if _, err := parseRuns(want.group, bad); err == nil {
				t.Errorf("seed %d: %d of %d bytes are taken", seed, len(bad), len(b))
			}
		}
		for _, r := range want.runs {
			for _, seq := range []uint64{r.first, r.next - 1} {
				if run := got.find(seq); run == nil || run.batch != r.batch {
					t.Fatalf("seed %d: reading %d is in %+v, want batch %d", seed, seq, run, r.batch)
				}
			}
		}
		if run := got.find(want.runs[len(want.runs)-1].next); run != nil {
			t.Errorf("seed %d: a reading behind the last run is in %+v", seed, run)
		}
	}
}

func FuzzRuns(f *testing.F) {
	for seed := range uint64(10) {
		x := randomRuns(rand.New(rand.NewPCG(seed, 4)))
		f.Add(x.append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := parseRuns(7, b)
		if err != nil {
			return
		}
		for i := range x.runs {
			if r := &x.runs[i]; r.next <= r.first || r.batch < 7 || i > 0 && (r.batch <= x.runs[i-1].batch || r.first != x.runs[i-1].next) {
				t.Fatalf("run %d is %+v", i, r)
			}
		}
		again, err := parseRuns(7, x.append(nil))
		if err != nil || !slices.Equal(again.runs, x.runs) {
			t.Fatalf("%v: %+v became %+v", err, x, again)
		}
	})
}
