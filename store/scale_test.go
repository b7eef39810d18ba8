package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"cairn/ingest/frame"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// TestTenThousandStreams: a window closes with 10,000 open streams, some of them
// with readings.
func TestTenThousandStreams(t *testing.T) {
	const streams = 10_000 // a batch tree of 2^14 slots
	x := newSite(t, 0)
	err := x.s.change(context.Background(), func(c *committer, b *pebble.Batch, now int64) error {
		pairs, err := c.newCompartments(make([][]Rule, streams), func(*share.Edit) {}) // all at once: each change copies the keyring
		if err != nil {
			return err
		}
		for i := range streams {
			d := &device{binding: ledger.Binding{
				Number: c.state.Devices + 1, ID: frame.ID{1: byte(i >> 8), 2: byte(i)}, Name: fmt.Sprint(i), Epoch: 1, Kind: ledger.BindText, From: now,
			}}
			d.text = d.binding.Device()
			if err := c.bind(b, d, now, pairs[i]); err != nil {
				return err
			}
			c.state.Devices = d.binding.Number
			c.devices[d.binding.Number] = d
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	devices := x.s.Devices()
	for round := range 10 { // one stream with ten readings, a thousand with one
		all := []Arrival{(&node{binding: devices[5000]}).insecure("{}", int64(round))}
		if round == 0 {
			for i := 0; i < streams; i += 10 {
				all = append(all, (&node{binding: devices[i]}).insecure("{}", 1))
			}
		}
		for _, a := range x.submit(all...) {
			if a.err != nil {
				t.Fatal(a.err)
			}
		}
	}
	x.clock.add(time.Minute)
	begun := time.Now()
	x.sync()
	t.Logf("closed with %d streams in %v", streams, time.Since(begun))
	if x.s.LogSize() != 1 {
		t.Fatalf("%d windows closed", x.s.LogSize())
	}
	all := x.batches()
	if all[0].Streams != streams || all[0].Readings != 10+streams/10 {
		t.Errorf("%d streams, %d readings; want %d and %d", all[0].Streams, all[0].Readings, streams, 10+streams/10)
	}
	rep := x.check()
	if rep.Readings != 10+streams/10 {
		t.Errorf("fsck read %d readings", rep.Readings)
	}
	for _, at := range [][2]uint64{{0, 0}, {5000, 0}, {5000, 10}, {9990, 0}} {
		e, err := x.s.Evidence(at[0], at[1])
		if err != nil {
			t.Fatal(err)
		}
		verify(t, x, e)
		if len(e.SlotPath) != 14 {
			t.Errorf("path of %d in the batch tree, want 14", len(e.SlotPath))
		}
	}
	x.restart()
	x.check()
}
