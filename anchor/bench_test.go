package anchor

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkStep is one step of the machine: a look at the tips, the find after
// it, and the question what is to be done next.
func BenchmarkStep(b *testing.B) {
	for _, attempts := range []int{1, 8, 24} {
		b.Run(fmt.Sprintf("attempts=%d", attempts), func(b *testing.B) {
			m := flying(Broadcast, attempts)
			m.pace.budget, m.pace.monthly = 1000, 10_000
			for i := range m.a.Attempts {
				m.a.Attempts[i].Place = "0"
			}
			now := time.UnixMilli(2)
			b.ReportAllocs()
			for i := uint64(0); b.Loop(); i++ {
				m.on(now, evTips{Tips{Latest: Block{Height: i}, Final: Block{Height: i / 2}, Rule: "depth"}})
				m.on(now, evFound{})
				m.dirty = false
				m.next(now)
			}
		})
	}
}

// BenchmarkRecord is the journal's part of a step.
func BenchmarkRecord(b *testing.B) {
	a := flying(Broadcast, 4).a
	for i := range a.Attempts {
		a.Attempts[i].Raw, a.Attempts[i].Note = make([]byte, 250), make([]byte, 300)
	}
	b.ReportAllocs()
	for b.Loop() {
		v, err := record{Anchor: a}.encode()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := parseRecord(v); err != nil {
			b.Fatal(err)
		}
	}
}
