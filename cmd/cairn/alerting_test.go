package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"cairn/ingest"
	"cairn/ingest/alert"
	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store"
)

// inbox is a receiver that keeps what it is told.
type inbox struct {
	mu   sync.Mutex
	got  []string
	dead bool
	more chan struct{}
}

func (x *inbox) Notify(_ context.Context, n alert.Notice) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dead {
		return errors.New("nobody there")
	}
	x.got = append(x.got, fmt.Sprintf("%s %s %s%s", n.News, n.Rule, n.Device, n.About))
	select {
	case x.more <- struct{}{}:
	default:
	}
	return nil
}

// want waits until it has been told just this, in any order.
func (x *inbox) want(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	late := time.After(20 * time.Second)
	for {
		x.mu.Lock()
		got := slices.Clone(x.got)
		x.mu.Unlock()
		slices.Sort(got)
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-x.more:
		case <-late:
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// watched is a ledger with one device, fridge-1, whose rules tell one receiver.
func watched(t *testing.T) (l *openLedger, number uint32) {
	t.Helper()
	l = escrowLedger(t)
	g := l.g
	g.log, g.ledgers, l.cfg = slog.New(slog.DiscardHandler), []*openLedger{l}, &g.cfg.Ledgers[0]
	number = bindDevice(t, l, "fridge-1")
	to := []string{"cook"}
	g.cfg.Alerts = []alert.Rule{
		{Name: "attack", On: []string{alert.EventForgery, alert.EventReplay}, To: to},
		{Name: "disk", On: []string{alert.EventDisk}, To: to},
		{Name: "source", On: []string{alert.EventSource}, To: to},
		{Name: "warm", Field: "T", Above: reading.Int(8), To: to},
	}
	return l, number
}

func bindDevice(t *testing.T, l *openLedger, name string) uint32 {
	t.Helper()
	key := frame.Key{1}
	b, err := l.store.AddDevice(t.Context(), store.NewDevice{ID: frame.ID{0x80, 1}, Name: name, Kind: ingest.KindSecure, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	return b.Number
}

// watch starts what watches, until stop.
func watch(t *testing.T, l *openLedger, cook *inbox) (a *alerting, stop func()) {
	t.Helper()
	a, err := newAlerting(l.g, []alert.Receiver{{Name: "cook", Notifier: cook}})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { a.run(ctx); close(ended) }()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-ended }) }
	t.Cleanup(stop)
	return a, stop
}

// TestAlerting: what the gateway knows of itself, what intake tells, and a start in
// between, after which nobody is told anything twice, and everybody what they missed.
func TestAlerting(t *testing.T) {
	l, number := watched(t)
	cook := &inbox{more: make(chan struct{}, 1)}
	a, stop := watch(t, l, cook)
	look := func() {
		a.change(t.Context(), func(out []alert.Change) []alert.Change { return append(out, a.look(time.Now())...) })
	}
	l.g.cfg.MinFree = 1 << 60
	look()
	look()
	a.event(ingest.Event{Kind: ingest.EventBadTag, Device: number, At: time.Now(), Count: 7})
	a.event(ingest.Event{Kind: ingest.EventDown, Source: "udp", At: time.Now(), Detail: "gone"})
	a.event(ingest.Event{Kind: ingest.EventDropped, At: time.Now()})
	told := []string{"raised disk disk-low", "raised attack fridge-1forgery", "raised source source-down udp"}
	cook.want(t, told...)
	l.g.cfg.MinFree = 1
	look()
	a.event(ingest.Event{Kind: ingest.EventUp, Source: "udp", At: time.Now()})
	told = append(told, "cleared disk disk-low", "cleared source source-down udp")
	cook.want(t, told...)
	cook.mu.Lock()
	cook.dead = true
	cook.mu.Unlock()
	a.tap.Put(alert.Reading{Device: number, Received: time.Now().UnixMilli(), Measurements: []reading.Measurement{{Name: "T", Value: reading.Int(9)}}})
	var warm uint64
	for late := time.Now().Add(20 * time.Second); warm == 0 && time.Now().Before(late); {
		err := l.withAlerts(func(x *ledger.Alerts) error {
			for _, r := range x.All() {
				if r.Rule == "warm" {
					warm = r.Number
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Millisecond)
	}
	if row, err := l.acknowledge(t.Context(), ackRequest{Alert: warm, Name: "Ana", Note: "on my way"}); err != nil || row.State != alertKnown || len(row.Untold) != 1 {
		t.Fatalf("acknowledged: %+v, %v", row, err)
	}
	stop()

	cook.dead = false
	a, stop = watch(t, l, cook)
	told = append(told, "raised warm fridge-1", "acknowledged warm fridge-1")
	cook.want(t, told...)
	a.event(ingest.Event{Kind: ingest.EventReplay, Device: number, At: time.Now()}) // another event of an open rule is another alert
	told = append(told, "raised attack fridge-1replay")
	cook.want(t, told...)
	stop()

	l.g.cfg.Alerts = l.g.cfg.Alerts[1:] // the rule is no more
	_, stop = watch(t, l, cook)
	told = append(told, "cleared attack fridge-1forgery", "cleared attack fridge-1replay")
	cook.want(t, told...)
	stop()
	if err := l.store.RemoveDevice(t.Context(), number); err != nil {
		t.Fatal(err)
	}
	_, stop = watch(t, l, cook)
	cook.want(t, append(told, "cleared warm fridge-1")...)
	stop()
	err := l.withAlerts(func(x *ledger.Alerts) error {
		for _, r := range x.All() {
			if r.Cleared == nil || !r.Was("cook", ledger.NewsRaised) || !r.Was("cook", ledger.NewsCleared) {
				t.Errorf("alert %d of %s: cleared %v, sent %+v", r.Number, r.Rule, r.Cleared != nil, r.Sent)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDeviceAddedAndRemoved: rules are on a device as soon as the command that adds it has
// answered, and its alerts are over as soon as it is removed.
func TestDeviceAddedAndRemoved(t *testing.T) {
	l, _ := watched(t)
	cook := &inbox{more: make(chan struct{}, 1)}
	a, _ := watch(t, l, cook)
	l.g.live = &live{registry: ingest.NewRegistry(), alerting: a}
	row, err := l.g.addDevice(t.Context(), "", deviceRequest{ID: "80c1a29384b5d6e8", Kind: "opaque", Name: "freezer"})
	if err != nil {
		t.Fatal(err)
	}
	a.tap.Put(alert.Reading{Device: row.Number, Received: time.Now().UnixMilli(), Measurements: []reading.Measurement{{Name: "T", Value: reading.Int(9)}}})
	cook.want(t, "raised warm freezer")
	if _, err := l.removeDevice(t.Context(), deviceRequest{Device: "freezer"}); err != nil {
		t.Fatal(err)
	}
	if open, _ := l.openAlerts(); open != 0 {
		t.Errorf("%d alerts of a device that is no more", open)
	}
	cook.want(t, "raised warm freezer", "cleared warm freezer")
}
