package store

import (
	"context"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"cairn/ingest/reading"
)

// hangingDisk is a file system whose writes wait while it is held.
type hangingDisk struct {
	gate  chan struct{} // holds one unless the disk is held
	waits chan struct{} // told of each write that has to wait
}

func (d *hangingDisk) hold()    { <-d.gate }
func (d *hangingDisk) release() { d.gate <- struct{}{} }

// MaybeError implements errorfs.Injector.
func (d *hangingDisk) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	select {
	case <-d.gate:
	default:
		select {
		case d.waits <- struct{}{}:
		default:
		}
		<-d.gate
	}
	d.release()
	return nil
}

func (d *hangingDisk) String() string { return "(hang)" }

// TestPulse: a store that works has a pulse, one whose disk does not answer has none
// until it answers, and one that is closed says so.
func TestPulse(t *testing.T) {
	disk := &hangingDisk{gate: make(chan struct{}, 1), waits: make(chan struct{}, 1)}
	disk.release()
	x := &site{t: t, fs: errorfs.Wrap(vfs.NewMem(), disk), keys: newKeys(), clock: newClock(), rng: newRand(1)}
	x.open()
	x.addDevice()
	if err := x.s.Pulse(t.Context()); err != nil {
		t.Fatalf("a store that works: %v", err)
	}

	disk.hold()
	acked := make(chan error, 1)
	a := x.nodes[0].arrival(t, 60)
	a.Done = func(_ reading.Verdict, _, _ uint64, _ int64, _ bool, err error) { acked <- err }
	if err := x.s.Submit(t.Context(), []Arrival{a}); err != nil {
		t.Fatal(err)
	}
	<-disk.waits
	ctx, giveUp := context.WithCancel(t.Context())
	beat := make(chan error, 1)
	go func() { beat <- x.s.Pulse(ctx) }()
	select {
	case err := <-beat:
		t.Fatalf("its disk hangs, and the pulse says %v", err)
	case err := <-acked:
		t.Fatalf("its disk hangs, and a reading is answered: %v", err)
	default:
	}
	giveUp()
	if err := <-beat; !errors.Is(err, context.Canceled) {
		t.Errorf("its disk hangs, and who gives up is told %v", err)
	}

	disk.release()
	if err := <-acked; err != nil {
		t.Error(err)
	}
	if err := x.s.Pulse(t.Context()); err != nil {
		t.Errorf("the disk answers again: %v", err)
	}
	s := x.s
	x.close()
	if err := s.Pulse(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed store: %v", err)
	}
}
