package proof

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

// FuzzRange changes the parts of a file with two ranges as the input says: what
// still passes shows the readings that were there, and nothing panics.
func FuzzRange(f *testing.F) {
	s := newSite("fuzz").within().build(6)
	whole, err := s.complete(f, 6,
		asked{slot: 2, first: 1, windows: []int{3, 4}, rests: []int{3}}, asked{slot: 5, first: -1, windows: []int{2, 5}}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	o := s.options(f, 6)
	honest := VerifyBytes(whole, o)
	if honest.Outcome != Verified {
		f.Fatal(honest.Text())
	}
	f.Add(uint64(1), []byte{0})
	f.Add(uint64(7), []byte{8, 255, 255, 255, 255, 255, 255, 255, 127})
	f.Add(uint64(9), []byte{9, 0, 10, 1, 11, 2, 3, 4, 5, 6, 7})
	f.Fuzz(func(t *testing.T, seed uint64, changes []byte) {
		g, err := Decode(whole)
		if err != nil {
			t.Fatal(err)
		}
		rnd := rand.New(rand.NewPCG(seed, 1))
		number := func() uint64 {
			var b [8]byte
			n := copy(b[:], changes)
			changes = changes[n:]
			return binary.LittleEndian.Uint64(b[:]) & math.MaxInt64
		}
		for n := 0; len(changes) > 0 && n < 16; n++ {
			what := changes[0] % 14
			changes = changes[1:]
			r := &g.Ranges[rnd.IntN(len(g.Ranges))]
			switch what {
			default:
				mutate(rnd, r, g, int(what))
			case 8:
				r.First = number()
			case 9:
				r.From = int64(number())
			case 10:
				r.To = int64(number())
			case 11:
				if len(r.Readings) > 0 {
					r.Readings[rnd.IntN(len(r.Readings))].Seq = number()
				}
			case 12:
				r.Summaries[rnd.IntN(len(r.Summaries))] = rnd.IntN(len(g.Summaries))
			case 13:
				r.Left = append(r.Left, merkle.Hash{byte(what)})
			}
		}
		b, err := g.Encode()
		if err != nil {
			return // it cannot be written
		}
		v := VerifyBytes(b, o)
		if v.Outcome == Verified && !sameShown(v.Readings, honest.Readings) {
			t.Errorf("other readings pass:\n%s", v.Text())
		}
		_ = v.Text()
	})
}

func sameShown(a, b []ReadingVerdict) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Stream != b[i].Stream || a[i].Sequence != b[i].Sequence || !reflect.DeepEqual(a[i].Fields, b[i].Fields) {
			return false
		}
	}
	return true
}

// TestNumbersAtTheirLimits: no number of a range is so large that it is counted
// wrong, or that counting takes long.
func TestNumbersAtTheirLimits(t *testing.T) {
	s := newSite("limits").within().build(5)
	o := s.options(t, 5)
	for _, n := range []uint64{1, 1 << 31, 1<<62 + 1, math.MaxInt64 - 1, math.MaxInt64} {
		for what, change := range map[string]func(f *File){
			"first": func(f *File) { f.Ranges[0].First = n },
			"first, and its peaks": func(f *File) {
				f.Ranges[0].First, f.Ranges[0].Left = n, make(Path, len(peaksOf(n)))
				f.Ranges[0].Readings = nil
			},
			"reading": func(f *File) { f.Ranges[0].Readings[2].Seq = n },
		} {
			f := s.complete(t, 5, asked{slot: 2, first: 1, windows: []int{3}})
			change(f)
			if v := Verify(f, o); v.Outcome == Verified || v.Level != LevelNone {
				t.Errorf("%s %d: %v %v %q", what, n, v.Outcome, v.Level, v.Code)
			}
		}
		f := s.complete(t, 5, asked{slot: 2, first: 1, windows: []int{3}})
		f.Ranges[0].To = max(int64(n), f.Ranges[0].From+1)
		v := Verify(f, o)
		if f.Ranges[0].To > s.spanOf(t, 3).To {
			wantRange(t, &v, Unchecked, CodeTail)
		}
		f = s.complete(t, 5, asked{slot: 2, first: 1, windows: []int{3}})
		f.Ranges[0].From = min(int64(n), f.Ranges[0].From-1)
		v = Verify(f, o)
		wantRange(t, &v, Refused, CodeCoverage)
	}
}

// TestGiantClock: a gateway that declares a giant step of its clock explains the
// windows that are missing by that, but the verdict tells of it.
func TestGiantClock(t *testing.T) {
	const most = math.MaxInt64
	for _, span := range [][2]int64{{0, most}, {most - 1, most}, {0, 1}, {most, most}, {1 << 62, most}} {
		for _, window := range []int64{1, 1000, quarterHour} {
			d := newDeclaredTime([]declaredSpan{{kind: GapClock, from: span[0], to: span[1]}, {kind: GapDown, from: 5, to: 4}}, window)
			for _, asked := range [][2]int64{{0, most}, {most - 5, most}, {0, 0}, {7, 7 * window}} {
				from, to := asked[0], asked[1]
				if n, all := d.windows(from, to), uint64(to-from)/uint64(window); n > all {
					t.Errorf("span %v, window %d: %d windows of %d to %d are explained, there are %d", span, window, n, from, to, all)
				}
			}
		}
	}
	declared := func(at int64) ledger.Statement {
		return ledger.Statement{Kind: ledger.KindClock, At: at, Body: map[string]any{"was": int64(0), "now": at, "reason": "it lies"}}
	}
	st := declared(siteStart)
	parsed, err := ledger.ParseStatement(st.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	var d declarations
	d.take(1, &parsed)
	if len(d.spans) != 1 || d.spans[0].to != siteStart || d.spans[0].back {
		t.Errorf("got %s", fmt.Sprint(d.spans))
	}
}
