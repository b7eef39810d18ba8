package store

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"cairn/ingest/reading"
	"cairn/merkle/ledger"
	"cairn/store/share"
)

// takes gives the stream that an arrival goes to, or says why it is none's. A device
// that is not bound any more has its late stream all the same.
func (d *device) takes(a *Arrival) (*stream, error) {
	switch {
	case d != nil && a.Late && d.late != nil && a.Verdict == reading.Vouched && a.HasMeasured:
		return d.late, nil
	case d != nil && a.Late:
		return nil, fmt.Errorf("device %d: %w: no late stream of it is open, or nobody says when that was measured", a.Device, ErrRefused)
	case d == nil || d.stream == nil || d.binding.Closed || a.Epoch > d.binding.Epoch:
		return nil, fmt.Errorf("device %d, key epoch %d: %w", a.Device, a.Epoch, ErrUnknown)
	}
	return d.stream, nil
}

// OpenLate gives a binding, also one that has ended, a stream for readings that come
// afterwards by another way than its device's own: what a logger's file says. It has
// compartments of its own, by the rules of the binding's stream, and holds the keys of
// the time at which readings are received, as any other. One that is open already
// stays; its slot is returned either way. What is stated with it is recorded in the
// same commit, with the stream's slot. ErrUnknown: there is no such device.
func (s *Store) OpenLate(ctx context.Context, number uint32, with func(b ledger.Binding) []ledger.Statement) (slot uint64, err error) {
	err = s.begin(ctx, true, func(c *committer, b *pebble.Batch, now int64) error {
		d := c.devices[number]
		if d == nil {
			return fmt.Errorf("device %d: %w", number, ErrUnknown)
		}
		slot = c.state.Slots
		if d.late != nil {
			slot = d.late.slot
		}
		said := d.binding.Late(slot, now)
		more := with(said)
		for i := range more {
			if err := more[i].Validate(); err != nil {
				return fmt.Errorf("%w: %w", ErrRefused, err)
			}
		}
		if d.late == nil {
			if err := c.openLate(b, d, &said, now); err != nil {
				return err
			}
		}
		for _, st := range more {
			st.At = now
			if err := c.appendStatement(b, st); err != nil {
				return err
			}
		}
		return nil
	})
	return slot, err
}

func (c *committer) openLate(b *pebble.Batch, d *device, said *ledger.Binding, now int64) error {
	made, err := c.newCompartments([][]Rule{c.streams[d.binding.Slot].classes.rules}, func(*share.Edit) {})
	if err != nil {
		return err
	}
	st := c.newStream(said.Slot, made[0])
	st.late, st.device, st.number, st.opened, st.dirty, st.runBatch = true, d, d.binding.Number, c.logTree.Size(), true, c.logTree.Size()
	c.state.Slots++
	d.late = st
	c.streams, c.active = append(c.streams, st), append(c.active, st)
	c.infos = nil
	if err := c.appendStatement(b, said.Statement()); err != nil {
		return err
	}
	if p, is := said.Placed(); is {
		if err := c.appendStatement(b, p.Statement(now)); err != nil {
			return err
		}
	}
	return c.recalibrate(b, d.binding.Number, said.Slot, now, c.found.of(d.binding.Number))
}

// CloseLate ends a device's late stream: its next summary says that it is closed. What
// comes after that goes to another one. ErrUnknown: none is open.
func (s *Store) CloseLate(ctx context.Context, number uint32) error {
	return s.change(ctx, func(c *committer, b *pebble.Batch, now int64) error {
		d := c.devices[number]
		if d == nil || d.late == nil {
			return fmt.Errorf("late stream of device %d: %w", number, ErrUnknown)
		}
		ended := d.binding.Late(d.late.slot, now)
		ended.Closed, ended.Until = true, now
		if err := c.appendStatement(b, ended.Unbind()); err != nil {
			return err
		}
		d.late.closing, d.late.dirty = true, true
		d.late = nil
		return nil
	})
}
