package store

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"cairn/merkle"
)

// TestHeldSigning: while signing is held batches go on and no checkpoint moves;
// once allowed, the newest head is signed at once.
func TestHeldSigning(t *testing.T) {
	x := newSite(t, 2)
	ctx := context.Background()
	x.send(x.nodes...)
	x.pass(time.Minute)
	note, size, ok := x.s.Checkpoint()
	if !ok || size != 1 || x.s.Held() != "" {
		t.Fatalf("checkpoint of %d, %v, held %q", size, ok, x.s.Held())
	}
	x.close()
	x.opt.HoldSigning = true
	x.open()
	held := func(why string) {
		t.Helper()
		if now, n, ok := x.s.Checkpoint(); !ok || n != size || !bytes.Equal(now, note) {
			t.Errorf("the checkpoint moved to %d while held", n)
		}
		if x.s.Held() != why || x.s.Status().Held != why {
			t.Errorf("held: %q, status %q; want %q", x.s.Held(), x.s.Status().Held, why)
		}
		if _, err := x.s.CheckpointAt(size + 1); !errors.Is(err, ErrNotFound) {
			t.Errorf("a checkpoint beyond the signed one: %v, want ErrNotFound", err)
		}
		x.check()
	}
	first := x.send(x.nodes...)[0]
	x.pass(time.Minute)
	x.send(x.nodes...)
	held(ErrHeld.Error())
	if got := x.s.Status().Unsigned; got != first.received {
		t.Errorf("oldest unsigned reading of %d, want %d", got, first.received)
	}
	x.pass(20 * time.Minute)
	x.seal()
	x.restart() // its commits are sealed now
	held(ErrHeld.Error())
	if got := x.s.Status().Unsigned; got == 0 || got > first.received || got < first.received-60_000 {
		t.Errorf("after a restart: oldest unsigned reading of %d, want the window of %d", got, first.received)
	}
	if x.s.LogSize() < 5 {
		t.Errorf("%d batches, want them to go on", x.s.LogSize())
	}
	last := x.send(x.nodes...)[0]
	root, err := x.s.RootAt(x.s.LogSize())
	if err != nil {
		t.Fatal(err)
	}
	if err := x.s.AllowSigning(ctx); err != nil {
		t.Fatal(err)
	}
	now, n, _ := x.s.Checkpoint()
	cp, err := merkle.OpenCheckpoint(now, x.s.Origin(), x.s.LogKey())
	if err != nil || n != x.s.LogSize() || cp.Size != n || cp.Root != root || x.s.Held() != "" {
		t.Fatalf("once allowed: checkpoint %+v of %d, %v, held %q", cp, n, err, x.s.Held())
	}
	if got := x.s.Status().Unsigned; got != last.received {
		t.Errorf("once allowed: oldest unsigned reading of %d, want that of the open window, %d", got, last.received)
	}
	x.pass(time.Minute)
	if got := x.s.Status().Unsigned; got != 0 {
		t.Errorf("all is signed, and status names an unsigned reading of %d", got)
	}
	note, size, _ = x.s.Checkpoint()
	if size != x.s.LogSize() {
		t.Errorf("checkpoint of %d, log of %d", size, x.s.LogSize())
	}
	for _, why := range []string{"the chain knows a longer log", ""} {
		if err := x.s.HoldSigning(ctx, why); err != nil {
			t.Fatal(err)
		}
		x.pass(time.Minute)
		if why == "" {
			why = ErrHeld.Error()
		}
		held(why)
	}
	if err := x.s.AllowSigning(ctx); err != nil {
		t.Fatal(err)
	}
	x.check()
}

func TestHeldFromTheFirstStart(t *testing.T) {
	x := &site{t: t, fs: newMem(), keys: newKeys(), clock: newClock(), rng: newRand(1)}
	x.opt.HoldSigning = true
	x.open()
	x.addDevice()
	x.send(x.nodes...)
	x.pass(2 * time.Minute)
	if note, size, ok := x.s.Checkpoint(); ok || size != 0 || note != nil {
		t.Errorf("a checkpoint of %d batches", size)
	}
	x.check()
	if err := x.s.AllowSigning(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, size, ok := x.s.Checkpoint(); !ok || size != x.s.LogSize() || size == 0 {
		t.Errorf("once allowed: a checkpoint of %d batches, log of %d", size, x.s.LogSize())
	}
	x.restart()
	x.check()
}

func TestFindRootAndFinal(t *testing.T) {
	x := newSite(t, 2)
	for range 5 {
		x.send(x.nodes...)
		x.pass(4 * time.Minute)
	}
	for size := range x.s.LogSize() + 1 {
		root, err := x.s.RootAt(size)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok, err := x.s.FindRoot(root); err != nil || !ok || got != size {
			t.Errorf("root of %d batches: found %d, %v, %v", size, got, ok, err)
		}
		rep, err := x.s.Fsck(context.Background(), FsckOptions{Heads: []AnchoredHead{{Size: size, Root: root, Where: "a chain"}}})
		if err != nil || !rep.OK() {
			t.Errorf("fsck with a head of %d batches: %v, %v", size, rep.Findings, err)
		}
	}
	if _, ok, err := x.s.FindRoot(merkle.Hash{1}); ok || err != nil {
		t.Errorf("a root that never was: %v, %v", ok, err)
	}
	for _, h := range []AnchoredHead{{Size: 3, Root: merkle.Hash{1}, Where: "a chain"}, {Size: 1000, Where: "a chain"}} {
		rep, err := x.s.Fsck(context.Background(), FsckOptions{Heads: []AnchoredHead{h}})
		if err != nil || rep.OK() {
			t.Errorf("fsck with head %+v: %v, no finding", h, err)
		}
	}
	x.seal()
	if err := x.s.MarkFinal(context.Background(), x.s.LogSize()); err != nil {
		t.Fatal(err)
	}
	if err := x.s.MarkFinal(context.Background(), x.s.LogSize()+10); err == nil {
		t.Error("batches that are not there were marked final")
	}
	x.check()
}
