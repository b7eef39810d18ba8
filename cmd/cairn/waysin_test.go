package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"cairn/ingest"
	messages "cairn/ingest/message"
	"cairn/ingest/mqtt"
	"cairn/ingest/reading"
	"cairn/scripts/mosquitto"
	"cairn/store"
	"cairn/store/share"
)

// waySite is a store with one device, room, that senders speak for.
type waySite struct {
	t        testing.TB
	opt      store.Options
	l        *openLedger
	registry *ingest.Registry
}

func newWaySite(t testing.TB, opt store.Options) *waySite {
	t.Helper()
	if opt.FS == nil {
		opt.Dir = filepath.Join(t.TempDir(), "data")
	}
	opt.Keyring, opt.Clock = share.Memory(), func() reading.Clock { return reading.Synced }
	cfg := &LedgerConfig{Name: siteLedger}
	x := &waySite{t: t, opt: opt, registry: ingest.NewRegistry(), l: &openLedger{
		cfg: cfg, log: slog.New(slog.DiscardHandler), keyring: opt.Keyring,
		g: &gateway{cfg: &Config{Clock: clockTrusted, Window: time.Minute, Ledgers: []LedgerConfig{*cfg}}},
	}}
	x.open()
	id := ingest.AddressID("room")
	device, err := x.l.store.AddDevice(t.Context(), store.NewDevice{ID: id, Name: "room", Kind: ingest.KindVouched})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.registry.Set([]ingest.Device{{Number: device.Number, ID: id, Kind: ingest.KindVouched}}); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *waySite) open() {
	x.t.Helper()
	var err error
	if x.l.store, err = store.Open(x.opt); err != nil {
		x.t.Fatal(err)
	}
}

func (x *waySite) intake(events func(ingest.Event)) *ingest.Intake {
	in, err := ingest.New(ingest.Config{Registry: x.registry, Committer: newCommitter([]*openLedger{x.l}), Events: events})
	if err != nil {
		x.t.Fatal(err)
	}
	return in
}

// vouched reports whether n messages have been recorded.
func (x *waySite) vouched(n int) func(*ingest.Intake, bool) bool {
	return func(in *ingest.Intake, _ bool) bool {
		return in.Tally().Snapshot().Verdicts[reading.Vouched] >= uint64(n)
	}
}

// run runs an intake with one source until something holds of it, and of whether the
// source has a connection.
func (x *waySite) run(source ingest.Source, holds func(*ingest.Intake, bool) bool) {
	up := make(chan bool, 1)
	in := x.intake(func(e ingest.Event) {
		if e.Kind == ingest.EventUp {
			up <- true
		}
	})
	ctx, cancel := context.WithTimeout(x.t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx, source) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for isUp := false; !holds(in, isUp); {
		select {
		case isUp = <-up:
		case <-tick.C:
		case <-ctx.Done():
			x.t.Fatal(ctx.Err())
		}
	}
	cancel()
	if err := <-done; err != nil {
		x.t.Fatal(err)
	}
}

// values are the readings' values, in their order.
func (x *waySite) values() []string {
	x.t.Helper()
	answer, err := x.l.query(x.t.Context(), queryRequest{Device: "room", To: time.Now().Add(time.Hour).UnixMilli()})
	if err != nil {
		x.t.Fatal(err)
	}
	var all []string
	for _, r := range answer.Readings {
		all = append(all, r.Values[0].Value)
	}
	return all
}

// badDisk refuses writes while it is full, as the system does.
type badDisk struct{ full atomic.Bool }

func (d *badDisk) MaybeError(op errorfs.Op) error {
	if d.full.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
		return syscall.ENOSPC
	}
	return nil
}

func (d *badDisk) String() string { return "full" }

// TestBrokerFullDisk: while the disk is nearly full, and when it was full at once, which
// ends the store, messages stay at the broker and health says so; with space again each
// is recorded once.
func TestBrokerFullDisk(t *testing.T) {
	for _, version := range []string{mqtt.Version5, mqtt.Version311} {
		t.Run(version, func(t *testing.T) {
			broker := mosquitto.Start(t, mosquitto.Options{})
			disk, nearly := &badDisk{}, atomic.Bool{}
			x := newWaySite(t, store.Options{
				Dir: "data", FS: errorfs.Wrap(vfs.NewMem(), disk),
				Free: func() (uint64, error) { return map[bool]uint64{true: 1 << 20, false: 1 << 30}[nearly.Load()], nil },
			})
			source := func() ingest.Source {
				s, err := mqtt.New(mqtt.Config{Broker: broker.URL, Version: version, ClientID: "cairn-full", Mappings: []messages.Mapping{{Topic: "cold/{device}"}}})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			const n = 50
			sent := 0
			publish := func() {
				var in strings.Builder
				for range n {
					fmt.Fprintf(&in, `{"temperature":%d}`+"\n", sent)
					sent++
				}
				mosquittoClient(t, broker, "mosquitto_pub", []byte(in.String()), "-l")
			}
			refused := func(in *ingest.Intake, _ bool) bool {
				got := in.Tally().Snapshot().Reasons
				return got[ingest.CommitterRefused]+got[ingest.CommitFailed] > 0
			}
			health := func(want string) {
				t.Helper()
				if got := x.l.health().Reasons; !slices.ContainsFunc(got, func(r string) bool { return strings.Contains(r, want) }) {
					t.Errorf("health: %q, want %q", got, want)
				}
			}
			nearly.Store(true)
			x.run(source(), func(_ *ingest.Intake, up bool) bool { return up && x.l.store.DiskFull() })
			publish()
			x.run(source(), refused)
			health("disk nearly full")
			if got := x.values(); len(got) > 0 {
				t.Errorf("recorded while there was no space: %q", got)
			}
			x.run(source(), func(in *ingest.Intake, up bool) bool {
				if nearly.Load() && refused(in, up) { // in the middle of a connection
					publish()
					nearly.Store(false)
				}
				return len(x.values()) == sent
			})

			disk.full.Store(true)
			publish()
			x.run(source(), refused)
			health(syscall.ENOSPC.Error())
			if err := x.l.store.Close(); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("close: %v, want %v", err, syscall.ENOSPC)
			}
			disk.full.Store(false)
			x.open()
			x.run(source(), func(*ingest.Intake, bool) bool { return len(x.values()) >= sent })
			got := x.values()
			slices.Sort(got)
			if all := len(got); all != sent || len(slices.Compact(got)) != sent {
				t.Errorf("%d recorded of %d: %q", all, sent, got)
			}
			if err := x.l.store.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
