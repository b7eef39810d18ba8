package store

import (
	"github.com/cockroachdb/pebble/v2"

	"cairn/ingest/reading"
)

// write is one Pebble batch and what to do when it is durable.
type write struct {
	batch *pebble.Batch
	view  *view // shown once the batch is durable
	acks  []ack
	then  func(error) // after the acks; may be nil
}

type ack struct {
	done     func(reading.Verdict, uint64, uint64, int64, bool, error)
	verdict  reading.Verdict
	slot     uint64
	seq      uint64
	received int64
	rebooted bool
	err      error
}

func (a *ack) call(err error) {
	if a.done == nil {
		return
	}
	if err == nil {
		err = a.err
	}
	if err != nil {
		a.done(a.verdict, 0, 0, 0, false, err)
		return
	}
	a.done(a.verdict, a.slot, a.seq, a.received, a.rebooted, nil)
}

// writer syncs batches one after the other, in the order given, and answers.
type writer struct {
	s    *Store
	ch   chan write
	done chan struct{}
}

func newWriter(s *Store) *writer {
	w := &writer{s: s, ch: make(chan write, 1), done: make(chan struct{})}
	go w.run()
	return w
}

func (w *writer) run() {
	defer close(w.done)
	for x := range w.ch {
		err := w.s.Dead()
		if err == nil && x.batch != nil {
			if err = x.batch.Commit(pebble.Sync); err != nil {
				w.s.die(err)
			}
			// A fatal error inside Pebble may have been reported without being returned.
			if d := w.s.Dead(); d != nil {
				err = d
			}
		}
		if err == nil && x.view != nil {
			w.s.view.Store(x.view)
		}
		for i := range x.acks {
			x.acks[i].call(err)
		}
		if x.then != nil {
			x.then(err)
		}
		if x.batch != nil {
			x.batch.Close()
		}
	}
}

func (w *writer) close() {
	close(w.ch)
	<-w.done
}
