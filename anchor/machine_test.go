package anchor

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

var testPace = pace{poll: 10 * time.Second, resend: time.Minute, reprice: 10 * time.Minute, prices: 3, deadline: time.Hour}

// flying returns a machine with n attempts made and journaled, in the state.
func flying(state State, n int) *machine {
	a := Anchor{Size: 5, Root: rootOf(5), State: state}
	for i := range n {
		a.Attempts = append(a.Attempts, Attempt{ID: []byte{byte(i)}, SignedAt: 1, Sent: state != Signed, Size: 5, Root: rootOf(5), Fee: 100, Place: fmt.Sprint(i)})
	}
	m := &machine{a: a, pace: testPace, book: new(book), sentAt: time.UnixMilli(1), head: head{5, rootOf(5), nil}, gone: map[string]uint64{}}
	if state == Included {
		m.a.Included = &Block{Height: 10, Hash: [32]byte{10}}
	}
	return m
}

// TestDecisions is the decision table: what happened, and what is done next.
func TestDecisions(t *testing.T) {
	now := time.UnixMilli(2)
	later := now.Add(45 * time.Second)
	at := func(h uint64) Found { return Found{Block: Block{Height: h, Hash: [32]byte{byte(h)}}} }
	final := func(h uint64) evTips {
		return evTips{Tips{Final: Block{Height: h, Hash: [32]byte{byte(h)}}, Rule: "finalized"}}
	}
	tests := []struct {
		name   string
		state  State
		n      int
		events []any
		state2 State
		next   []kind // after the journal has it, each answered by nothing
	}{
		{"accepted", Signed, 1, []any{evSent{}}, Broadcast, []kind{wait}},
		{"node away", Signed, 1, []any{evSent{err: ErrDown}}, Signed, []kind{send}},
		{"place taken", Signed, 1, []any{evSent{err: ErrAsk}}, Signed, []kind{find}},
		{"place taken, found", Signed, 1, []any{evSent{err: ErrAsk}, evFound{found: at(9), ok: true}}, Included, []kind{takeProof}},
		{"place taken once", Signed, 1, []any{evSent{err: ErrAsk}, evFound{}}, Signed, []kind{send}},
		{"place taken thrice", Signed, 1, []any{evSent{err: ErrAsk}, evFound{}, evSent{err: ErrAsk}, evFound{}, evSent{err: ErrAsk}, evFound{}}, Signed, []kind{askStored}},
		{"… but the head is ours", Signed, 1, []any{evSent{err: ErrAsk}, evFound{}, evSent{err: ErrAsk}, evFound{}, evSent{err: ErrAsk}, evFound{}, evStored{root: rootOf(5), size: 5, known: true}}, Signed, []kind{wait}},
		{"fee too low", Signed, 1, []any{evSent{err: ErrPrice}}, Signed, []kind{askStored}},
		{"refused for good", Signed, 1, []any{evSent{err: ErrRefused}}, Signed, []kind{askStored}},
		{"no fee is right", Signed, 1, []any{evSent{err: ErrPrice}, evStored{known: true}, evSigned{err: ErrFees}}, Signed, []kind{send}},
		{"not mined yet", Broadcast, 1, []any{evTips{}, evFound{}}, Broadcast, []kind{wait}},
		{"mined", Broadcast, 1, []any{evTips{}, evFound{found: at(9), ok: true}}, Included, []kind{takeProof}},
		{"cannot look", Broadcast, 1, []any{evTips{}, evFound{err: ErrDown}}, Broadcast, []kind{find}},
		{"reverted", Broadcast, 1, []any{evTips{}, evFound{found: Found{Reverted: true}, ok: true}}, Broadcast, []kind{askStored}},
		{"older one reverted", Broadcast, 2, []any{evTips{}, evFound{found: Found{Reverted: true}, ok: true}}, Broadcast, []kind{wait}},
		{"gone", Included, 1, []any{evTips{}, evFound{}}, Orphaned, []kind{send}},
		{"moved", Included, 1, []any{evTips{}, evFound{found: at(11), ok: true}}, Included, []kind{takeProof}},
		{"same block", Included, 1, []any{evTips{}, evFound{found: at(10), ok: true}}, Included, []kind{takeProof}},
		{"final without receipt", Included, 1, []any{final(12), evFound{found: at(10), ok: true}}, Included, []kind{takeProof}},
		{"receipt of another block", Included, 1, []any{evProof{block: at(9).Block, data: []byte{1}}}, Included, []kind{takeProof}},
		{"receipt", Included, 1, []any{evProof{block: at(10).Block, data: []byte{1}}}, Included, []kind{wait}},
		{"not final yet", Included, 1, []any{evProof{block: at(10).Block, data: []byte{1}}, final(9), evFound{found: at(10), ok: true}}, Included, []kind{wait}},
		{"final by the tips", Included, 1, []any{evProof{block: at(10).Block, data: []byte{1}}, final(10), evFound{found: at(10), ok: true}}, Included, []kind{complete}},
		{"final", Included, 1, []any{evProof{block: at(10).Block, data: []byte{1}}, final(10), evFound{found: at(10), ok: true}, evComplete{block: at(10).Block, data: []byte{2}}}, Final, []kind{file}},
		{"not completed", Included, 1, []any{evProof{block: at(10).Block, data: []byte{1}}, final(10), evFound{found: at(10), ok: true}, evComplete{block: at(10).Block, err: ErrAgain}}, Included, []kind{complete}},
		{"completed to nothing", Included, 1, []any{evProof{block: at(10).Block, data: []byte{1}}, final(10), evFound{found: at(10), ok: true}, evComplete{block: at(10).Block}}, Included, []kind{complete}},
		{"completed for another block", Included, 1, []any{evProof{block: at(10).Block, data: []byte{1}}, final(10), evFound{found: at(10), ok: true}, evComplete{block: at(9).Block, data: []byte{2}}}, Included, []kind{complete}},
		{"moved before it was completed", Included, 1, []any{evProof{block: at(10).Block, data: []byte{1}}, final(10), evFound{found: at(10), ok: true}, final(12), evFound{found: at(11), ok: true}}, Included, []kind{takeProof}},
		{"everything is final", Included, 1, []any{evProof{block: at(10).Block, data: []byte{1}}, final(Everything), evFound{found: at(10), ok: true}}, Included, []kind{complete}},
		{"chain without finality", Included, 1, []any{evProof{block: at(10).Block, data: []byte{1}}, evTips{}, evFound{found: at(10), ok: true}}, Included, []kind{wait}},
		{"filed", Final, 1, []any{evFiled{}}, Final, []kind{done}},
		{"not filed", Final, 1, []any{evFiled{errors.New("disk")}}, Final, []kind{file}},
		{"fee too low, another was taken", Broadcast, 2, []any{evSent{attempt: 1, err: ErrPrice}}, Broadcast, []kind{askStored}},
		{"refused for good, another was taken", Broadcast, 2, []any{evSent{attempt: 1, err: ErrRefused}}, Broadcast, []kind{askStored}},
		{"no fee is right, another was taken", Broadcast, 2, []any{evSent{attempt: 1, err: ErrPrice}, evStored{known: true}, evSigned{err: ErrFees}}, Broadcast, []kind{send}},
		{"no budget is left", Broadcast, 1, []any{evSent{err: ErrPrice}, evStored{known: true}, evSigned{err: ErrBudget}}, Broadcast, []kind{send}},
		{"place taken thrice, the head is an attempt's", Broadcast, 2, []any{evSent{attempt: 1, err: ErrAsk}, evFound{}, evSent{attempt: 1, err: ErrAsk}, evFound{}, evSent{attempt: 1, err: ErrAsk}, evFound{}, evStored{root: rootOf(5), size: 5, known: true, newest: head{size: 6, root: rootOf(6)}}}, Broadcast, []kind{wait}},
		{"… and still, and there is a newer one", Broadcast, 2, append(slices.Repeat([]any{evStored{root: rootOf(5), size: 5, known: true, newest: head{size: 6, root: rootOf(6)}}}, 3), evTips{}, evFound{}, evSent{attempt: 1, err: ErrAsk}, evFound{}, evSent{attempt: 1, err: ErrAsk}, evFound{}), Broadcast, []kind{sign}},
		{"all reverted", Broadcast, 2, []any{evTips{}, evFound{found: Found{Which: 1, Reverted: true}, ok: true}}, Broadcast, []kind{askStored}},
		{"reverted after it was included", Included, 1, []any{evFound{found: Found{Reverted: true}, ok: true}}, Orphaned, []kind{askStored}},
		{"new", Queued, 0, nil, Queued, []kind{askStored}},
		{"no head is kept", Queued, 0, []any{evStored{noHead: true}}, Queued, []kind{sign}},
		{"a newer head there", Queued, 0, []any{evStored{root: rootOf(6), size: 6, known: true, newest: head{size: 6, root: rootOf(6)}}}, Queued, []kind{done}},
		{"head known", Queued, 0, []any{evStored{root: rootOf(3), size: 3, known: true}}, Queued, []kind{sign}},
		{"no head", Queued, 0, []any{evStored{known: true}}, Queued, []kind{sign}},
		{"head unknown", Queued, 0, []any{evStored{root: rootOf(9)}}, Queued, []kind{askStored}},
		{"head newer", Queued, 0, []any{evStored{root: rootOf(9), size: 9, known: true}}, Queued, []kind{askStored}},
		{"head there", Queued, 0, []any{evStored{root: rootOf(5), size: 5, known: true}}, Queued, []kind{done}},
		{"signed", Queued, 0, []any{evStored{known: true}, evSigned{}}, Signed, []kind{send}},
		{"not signed", Queued, 0, []any{evStored{known: true}, evSigned{err: ErrLocked}}, Queued, []kind{askStored}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := flying(tt.state, tt.n)
			for i, e := range tt.events {
				m.on(now, e)
				if m.dirty && m.next(later).kind != put {
					t.Fatalf("after event %d: effect %d before the journal has it", i, m.next(later).kind)
				}
				m.dirty = false
			}
			if m.a.State != tt.state2 {
				t.Errorf("state %s, want %s", m.a.State, tt.state2)
			}
			for _, want := range tt.next {
				if got := m.next(later).kind; got != want {
					t.Errorf("next effect %d, want %d (reason %v)", got, want, m.reason)
				}
			}
		})
	}
}

func TestErrorsBackOff(t *testing.T) {
	m := flying(Signed, 1)
	now := time.UnixMilli(2)
	var last time.Duration
	for range 20 {
		if m.next(now).kind != send {
			t.Fatalf("effect %d, want send", m.next(now).kind)
		}
		m.on(now, evSent{err: ErrBusy})
		d := m.retry.Sub(now)
		if d < last || d > maxBackoff || d < testPace.poll {
			t.Fatalf("back-off %s after %s", d, last)
		}
		if m.next(now.Add(d-1)).kind != wait {
			t.Fatal("it does not wait")
		}
		last, now = d, m.retry
	}
	if last != maxBackoff {
		t.Errorf("back-off ends at %s, want %s", last, maxBackoff)
	}
	m.on(now, evSent{})
	if m.reason != nil || m.fails != 0 {
		t.Errorf("reason %v, fails %d after success", m.reason, m.fails)
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	m := flying(Broadcast, maxAttempts)
	m.resign = true
	now := time.UnixMilli(2)
	m.on(now, evStored{known: true})
	m.on(now, evSigned{})
	if len(m.a.Attempts) != maxAttempts || !errors.Is(m.reason, ErrRefused) {
		t.Errorf("%d attempts, reason %v", len(m.a.Attempts), m.reason)
	}
}

func TestSchedule(t *testing.T) {
	next := int64(0)
	s := schedule{every: 10 * time.Minute, jitter: 4 * time.Minute, random: func(n int64) int64 { return next % n }}
	at := func(min, sec int) time.Time {
		return time.Unix(1_800_000_000, 0).Add(time.Duration(min*60+sec) * time.Second)
	}
	if !s.due(time.Time{}).IsZero() {
		t.Error("the first anchor is not due at once")
	}
	next = int64(90 * time.Second)
	for _, last := range []time.Time{at(0, 0), at(3, 59), at(9, 59)} {
		if got, want := s.due(last), at(11, 30); !got.Equal(want) {
			t.Errorf("after %s: due %s, want %s", last, got, want)
		}
	}
	next = 0 // the offset of a slot is drawn once
	if got, want := s.due(at(5, 0)), at(11, 30); !got.Equal(want) {
		t.Errorf("asked again: due %s, want %s", got, want)
	}
	if got, want := s.due(at(11, 30)), at(20, 0); !got.Equal(want) {
		t.Errorf("next slot: due %s, want %s", got, want)
	}
	s = schedule{every: time.Minute, jitter: -1}
	if got, want := s.due(at(0, 30)), at(1, 0); !got.Equal(want) {
		t.Errorf("without jitter: due %s, want %s", got, want)
	}
}

func FuzzParseRecord(f *testing.F) {
	for _, state := range []State{Signed, Broadcast, Included, Final, Orphaned} {
		m := flying(state, 2)
		m.a.Included = &Block{Height: 7}
		b, err := record{Anchor: m.a, Recent: []uint64{1, 2}}.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err != nil {
			if !errors.Is(err, ErrRecord) {
				t.Fatalf("error %v is no ErrRecord", err)
			}
			return
		}
		r.Anchor.TxID()
		c, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseRecord(c)
		if err != nil || fmt.Sprint(again.Anchor.clone().Size, again.Recent) != fmt.Sprint(r.Anchor.Size, r.Recent) {
			t.Fatalf("second reading differs: %v", err)
		}
		resume(r.Anchor, testPace, &r.Book).next(time.UnixMilli(5))
	})
}
