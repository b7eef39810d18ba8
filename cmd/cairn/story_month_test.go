package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/rogpeppe/go-internal/testscript"

	"cairn/ingest/frame"
	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// past gives a new site a past, up to now:
//
//	past SITE DAYS
//
// Each minute its device "fridge" sends one reading, and "neighbour" one an hour.
// The store that does it is the real one, in memory and on a clock that hurries.
func (s *stage) past(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: past SITE DAYS")
	}
	days, err := strconv.Atoi(args[1])
	ts.Check(err)
	site := ts.MkAbs(args[0])
	keyring, err := share.Open(filepath.Join(site, keyringFile), share.Wrap{Identity: filepath.Join(site, identityFile)})
	ts.Check(err)
	mem, dir := vfs.NewMem(), filepath.Join(site, dataDir)
	minutes := int64(days) * 24 * 60
	clock := &hurry{now: time.Now().Round(0).Truncate(time.Minute).Add(-time.Duration(minutes+1) * time.Minute)}
	clock.until = clock.now
	st, err := store.Open(store.Options{
		Dir: "data", FS: mem, Keyring: keyring, Now: clock.Now, Clock: func() reading.Clock { return reading.Synced },
		Free: func() (uint64, error) { return 1 << 40, nil },
	})
	ts.Check(err)
	ctx := context.Background()
	var nodes []ledger.Binding
	for i, name := range []string{"fridge", "neighbour"} {
		b, err := st.AddDevice(ctx, store.NewDevice{ID: frame.ID{0x80, 1, 2, 3, 4, 5, 6, byte(i)}, Name: name, Kind: ledger.BindSecure, Key: &frame.Key{byte(i)}})
		ts.Check(err)
		nodes = append(nodes, b)
	}
	for m := range minutes {
		ts.Check(clock.pass(ctx, st, time.Minute))
		all := []store.Arrival{arrivalOf(nodes[0], m, 40+m%7)}
		if m%60 == 0 {
			all = append(all, arrivalOf(nodes[1], m, -180))
		}
		ts.Check(st.Submit(ctx, all))
	}
	ts.Check(st.Close())
	ts.Check(os.Remove(dir))
	_, err = vfs.Clone(mem, vfs.Default, "data", dir)
	ts.Check(err)
}

func arrivalOf(b ledger.Binding, counter, tenths int64) store.Arrival {
	return store.Arrival{
		Device: b.Number, Epoch: b.Epoch, Verdict: reading.Authenticated, Transport: reading.TransportUDP, Counter: frame.Counter(1<<24 + counter),
		Measurements: []reading.Measurement{{Name: "T", Unit: "Cel", Value: reading.Decimal(tenths, -1)}},
		Wire:         []byte("a frame that is kept as it came"), Done: func(reading.Verdict, uint64, uint64, int64, bool, error) {},
	}
}

// hurry is a clock that goes on by some seconds whenever it is looked at, until
// it shows the time that it was given: who looks often sees no window missed.
type hurry struct {
	mu         sync.Mutex
	now, until time.Time
}

func (h *hurry) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(min(4*time.Second, h.until.Sub(h.now)))
	return h.now
}

// pass has the store look at the clock until the time has passed.
func (h *hurry) pass(ctx context.Context, st *store.Store, d time.Duration) error {
	h.mu.Lock()
	h.until = h.until.Add(d)
	h.mu.Unlock()
	for {
		h.mu.Lock()
		there := !h.now.Before(h.until)
		h.mu.Unlock()
		if there {
			return nil
		}
		if err := st.AllowSigning(ctx); err != nil { // any change has it look
			return err
		}
	}
}
