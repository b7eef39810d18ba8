package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cairn/ingest"
	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/store"
	"cairn/store/share"
)

func TestJoinNumber(t *testing.T) {
	for _, tt := range []struct {
		index  int
		number uint32
		ok     bool
	}{
		{0, 0, true}, {0, 1, true}, {0, maxJoined, true}, {1, 1, true}, {maxLedgers - 1, maxJoined, true},
		{0, maxJoined + 1, false}, {maxLedgers, 1, false}, {-1, 1, false},
	} {
		joined, err := joinNumber(tt.index, tt.number)
		if (err == nil) != tt.ok {
			t.Errorf("%d/%d: got %v, want ok %t", tt.index, tt.number, err, tt.ok)
		}
		if index, number := splitNumber(joined); err == nil && (index != tt.index || number != tt.number) {
			t.Errorf("%d/%d: got %d/%d back", tt.index, tt.number, index, number)
		}
	}
	if joined, _ := joinNumber(0, 17); joined != 17 {
		t.Errorf("got %d for device 17 of the default ledger, want 17", joined)
	}
}

// shelf is a store that takes what it is given while it is not told otherwise.
type shelf struct {
	mu     sync.Mutex // covers all of it
	got    []uint32   // counters taken, in order
	refuse error
	stuck  bool
}

func (s *shelf) submit(ctx context.Context, a []store.Arrival) error {
	s.mu.Lock()
	stuck, refuse := s.stuck, s.refuse
	s.mu.Unlock()
	if stuck {
		<-ctx.Done()
		return ctx.Err()
	}
	if refuse != nil {
		return refuse
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range a {
		if a[i].Device > maxJoined {
			return fmt.Errorf("device %d is not a ledger's own number", a[i].Device)
		}
		s.got = append(s.got, uint32(a[i].Counter))
	}
	return nil
}

func (s *shelf) set(stuck bool, refuse error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck, s.refuse = stuck, refuse
}

func shelves(n int) ([]*shelf, committer) {
	var all []*shelf
	var c committer
	for i := range n {
		s := &shelf{}
		all = append(all, s)
		c = append(c, &lane{name: fmt.Sprint("l", i), submit: s.submit, log: slog.New(slog.DiscardHandler)})
	}
	return all, c
}

// arrivals are one for each ledger of indexes, with rising counters from first on.
// Their errors are written to told, by counter.
func arrivals(t *testing.T, first uint32, told map[uint32]error, indexes ...int) []ingest.Arrival {
	t.Helper()
	var all []ingest.Arrival
	for i, index := range indexes {
		number, err := joinNumber(index, 7)
		if err != nil {
			t.Fatal(err)
		}
		counter := first + uint32(i)
		all = append(all, ingest.Arrival{
			Device: number, Counter: frame.Counter(counter),
			Done: func(_ reading.Verdict, _, _ uint64, _ int64, _ bool, err error) {
				if told[counter] != nil {
					t.Errorf("arrival %d was told twice", counter)
				}
				told[counter] = err
			},
		})
	}
	return all
}

func TestCommitterKeepsTheOrderOfEachLedger(t *testing.T) {
	s, c := shelves(3)
	told := map[uint32]error{}
	if err := c.Submit(t.Context(), arrivals(t, 1, told, 0, 2, 0, 1, 2, 2, 0)); err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]uint32{{1, 3, 7}, {4}, {2, 5, 6}} {
		if !slices.Equal(s[i].got, want) {
			t.Errorf("ledger %d: got %v, want %v", i, s[i].got, want)
		}
	}
	if len(told) > 0 {
		t.Errorf("got %v before any store answered", told)
	}
	// A ledger that there is not.
	if err := c.Submit(t.Context(), arrivals(t, 10, told, 3, 0)); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(told[10], ingest.ErrRefused) || !errors.Is(told[10], store.ErrUnknown) || len(told) != 1 {
		t.Errorf("got %v, want arrival 10 refused as unknown", told)
	}
}

func TestCommitterRefusesForOneLedger(t *testing.T) {
	s, c := shelves(2)
	s[0].set(false, store.ErrDiskFull)
	told := map[uint32]error{}
	if err := c.Submit(t.Context(), arrivals(t, 1, told, 0, 1, 0)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s[1].got, []uint32{2}) {
		t.Errorf("got %v in the other ledger, want [2]", s[1].got)
	}
	for _, n := range []uint32{1, 3} {
		if err := told[n]; !errors.Is(err, ingest.ErrRefused) || !errors.Is(err, store.ErrDiskFull) || !strings.Contains(err.Error(), "ledger l0") {
			t.Errorf("arrival %d: got %v, want it refused for a full disk of ledger l0", n, err)
		}
	}
	// Alone, a ledger's refusal is the committer's own.
	s, c = shelves(1)
	s[0].set(false, store.ErrDiskFull)
	if err := c.Submit(t.Context(), arrivals(t, 1, told, 0)); !errors.Is(err, store.ErrDiskFull) {
		t.Errorf("got %v, want %v", err, store.ErrDiskFull)
	}
}

// A store that stands still costs the others one wait, and is tried again.
func TestCommitterStuckStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := shelves(2)
		s[0].set(true, nil)
		told := map[uint32]error{}
		for i, want := range []time.Duration{laneWait, laneTry, laneTry} {
			began := time.Now()
			first := uint32(10 * i)
			if err := c.Submit(t.Context(), arrivals(t, first, told, 0, 1)); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("submit %d took %v, want %v", i, took, want)
			}
			if !errors.Is(told[first], ingest.ErrRefused) {
				t.Errorf("submit %d: got %v, want it refused", i, told[first])
			}
		}
		s[0].set(false, nil)
		if err := c.Submit(t.Context(), arrivals(t, 30, told, 0, 1)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s[0].got, []uint32{30}) || !slices.Equal(s[1].got, []uint32{1, 11, 21, 31}) {
			t.Errorf("got %v and %v, want [30] and [1 11 21 31]", s[0].got, s[1].got)
		}
		if c[0].behind.Load() {
			t.Error("still taken for one that is behind")
		}

		// The end of intake is no store's fault.
		s[0].set(true, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Submit(ctx, arrivals(t, 40, told, 0)); err != nil || !errors.Is(told[40], context.DeadlineExceeded) {
			t.Errorf("got %v and %v, want the deadline's error told", err, told[40])
		}
		if c[0].behind.Load() {
			t.Error("a store is taken for one that is behind because intake ended")
		}
	})
}

// siteOf makes a gateway with stores on disk, as a service has it; those that are
// full refuse readings.
func siteOf(t *testing.T, full ...bool) *gateway {
	t.Helper()
	g := &gateway{cfg: &Config{Window: time.Minute}, log: slog.New(slog.DiscardHandler)}
	for i := range full {
		g.cfg.Ledgers = append(g.cfg.Ledgers, LedgerConfig{Name: fmt.Sprint("l", i), Quorum: "any"})
	}
	g.live = &live{registry: ingest.NewRegistry(), ended: func() bool { return false }}
	for i, isFull := range full {
		l := &openLedger{g: g, cfg: &g.cfg.Ledgers[i], log: g.log, keyring: share.Memory()}
		var err error
		l.store, err = store.Open(store.Options{
			Dir: t.TempDir(), Keyring: l.keyring,
			Free: func() (uint64, error) {
				if isFull {
					return 0, nil
				}
				return 1 << 40, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.store.Close() })
		g.ledgers = append(g.ledgers, l)
	}
	return g
}

func addSecure(t *testing.T, g *gateway, ledger string, id frame.ID, key frame.Key, name string) (deviceRow, error) {
	t.Helper()
	return g.addDevice(t.Context(), ledger, deviceRequest{ID: id.String(), Name: name, Kind: ingest.KindSecure, Key: hex.EncodeToString(key[:])})
}

// nodes is a source of frames that several devices take turns to send.
type nodes struct {
	all    []*ingest.Simulator
	rounds int
	done   func(node int, v reading.Verdict, seq uint64, err error)
}

func (nodes) Name() string { return "nodes" }

func (n nodes) Run(ctx context.Context, sink ingest.Sink) error {
	for range n.rounds {
		for i, node := range n.all {
			wire, err := node.Next(frame.Body{Valve: -1, Stats: []byte(`{"T|C16":68`)})
			if err != nil {
				return err
			}
			err = sink.Put(ctx, ingest.Packet{Form: ingest.FormWire, Data: wire, Transport: reading.TransportUDP,
				Done: func(v reading.Verdict, _, seq uint64, _ int64, _ bool, err error) { n.done(i, v, seq, err) }})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// One intake, three stores, one of which has no space: every reading of the
// others is recorded in its order, every one of the full one is refused, and each
// sender is told once.
func TestOneIntakeSeveralLedgers(t *testing.T) {
	g := siteOf(t, false, true, false)
	const rounds = 300
	var sim []*ingest.Simulator
	for i, l := range g.ledgers {
		id, key := frame.ID{0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, byte(i + 1)}, frame.Key{byte(i + 1)}
		if row, err := addSecure(t, g, l.cfg.Name, id, key, "node"); err != nil || row.Number != 1 {
			t.Fatalf("ledger %d: got %+v, %v, want its device 1", i, row, err)
		}
		s, err := ingest.NewSimulator(id, key, ingest.SimulatorOptions{Counter: 100})
		if err != nil {
			t.Fatal(err)
		}
		sim = append(sim, s)
	}
	var mu sync.Mutex
	seqs, errs := make([][]uint64, 3), make([][]error, 3)
	source := nodes{sim, rounds, func(node int, v reading.Verdict, seq uint64, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			errs[node] = append(errs[node], err)
		} else if v == reading.Authenticated {
			seqs[node] = append(seqs[node], seq)
		}
	}}
	in, err := ingest.New(ingest.Config{Registry: g.live.registry, Committer: newCommitter(g.ledgers)})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Run(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	for _, l := range g.ledgers { // so that all answers are in
		if err := l.store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	want := make([]uint64, rounds)
	for i := range want {
		want[i] = uint64(i)
	}
	for _, i := range []int{0, 2} {
		if !slices.Equal(seqs[i], want) || len(errs[i]) > 0 {
			t.Errorf("ledger %d: got %d readings and %d errors, want 0 to %d in order", i, len(seqs[i]), len(errs[i]), rounds-1)
		}
	}
	if len(seqs[1]) > 0 || len(errs[1]) != rounds {
		t.Fatalf("the full ledger: got %d readings and %d errors, want 0 and %d", len(seqs[1]), len(errs[1]), rounds)
	}
	for _, err := range errs[1] {
		if !errors.Is(err, ingest.ErrRefused) || !errors.Is(err, store.ErrDiskFull) {
			t.Fatalf("got %v, want it refused for a full disk", err)
		}
	}
}

// One store that dies ends the service, and the reason names its ledger.
func TestDeadStoreEndsTheService(t *testing.T) {
	for name, want := range map[string]string{siteLedger: "the store stopped: bad disk", "bakery": "ledger bakery: the store stopped: bad disk"} {
		s := &service{gateway: &gateway{cfg: &Config{}, log: slog.New(slog.DiscardHandler)}}
		ctx, died := context.WithCancelCause(t.Context())
		s.died = died
		s.storeEvent(&LedgerConfig{Name: name}, store.Event{Kind: "dead", Detail: "bad disk"})
		if err := context.Cause(ctx); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}
