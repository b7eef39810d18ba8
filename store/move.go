package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"cairn/ingest/frame"
	"cairn/merkle/ledger"
)

// Limits of what is kept of a device beside its binding.
const (
	maxLabels = 16
	maxLabel  = 160 // bytes
)

// validLabels checks labels, which mean nothing to the store.
func validLabels(all []string) error {
	if len(all) > maxLabels || slices.ContainsFunc(all, func(l string) bool { return l == "" || len(l) > maxLabel }) {
		return fmt.Errorf("%w: a device has at most %d labels of 1 to %d bytes", ErrRefused, maxLabels, maxLabel)
	}
	return nil
}

// Move is how a device is bound anew.
type Move struct {
	Place, Thing string
	Labels       []string
	Rules        []Rule // as NewDevice has them
}

// MoveDevice ends a binding and begins another of the same device, with its key,
// in one commit: it gets a number and a stream of its own, with compartments
// that no holder of the old one was ever given a key of. Frames go on above the
// counters of the old binding, and messages that were taken under it stay known.
func (s *Store) MoveDevice(ctx context.Context, number uint32, m Move) (ledger.Binding, error) {
	var out ledger.Binding
	err := s.begin(ctx, true, func(c *committer, b *pebble.Batch, now int64) error {
		old, err := c.open(number)
		if err != nil {
			return err
		}
		was := old.binding
		if was.Place == m.Place && was.Thing == m.Thing {
			return fmt.Errorf("%w: device %d is there already", ErrRefused, number)
		}
		n := NewDevice{
			ID: was.ID, Name: was.Name, Kind: was.Kind, Floor: frame.Counter(was.Floor),
			Rules: m.Rules, Place: m.Place, Thing: m.Thing, Labels: m.Labels,
		}
		if key, has := s.DeviceKey(number, was.Epoch); has && was.Kind == ledger.BindSecure {
			n.Key = &key
		}
		d, err := c.prepare(&n, now, old)
		if err != nil {
			return err
		}
		if was.Kind != ledger.BindSecure {
			d.recent = slices.Clone(old.recent)
		}
		out, err = c.enter(b, d, &n, now, func() error { return c.unbind(b, old, now) })
		return err
	})
	return out, err
}

// ReplaceDevice ends a binding and begins one of another device where the old
// one was, in one commit; a statement tells of both. Place, Thing and Name of n
// are those of the old one.
func (s *Store) ReplaceDevice(ctx context.Context, number uint32, n NewDevice) (ledger.Binding, error) {
	var out ledger.Binding
	err := s.begin(ctx, s.had(n.ID), func(c *committer, b *pebble.Batch, now int64) error {
		old, err := c.open(number)
		if err != nil {
			return err
		}
		was := old.binding
		if was.ID == n.ID {
			return fmt.Errorf("%w: device %d is to be replaced by itself", ErrRefused, number)
		}
		n.Name, n.Place, n.Thing = was.Name, was.Place, was.Thing
		d, err := c.prepare(&n, now, old)
		if err != nil {
			return err
		}
		if out, err = c.enter(b, d, &n, now, func() error { return c.unbind(b, old, now) }); err != nil {
			return err
		}
		return c.appendStatement(b, ledger.Replacement{
			Number: out.Number, Slot: out.Slot, OldNumber: was.Number, OldSlot: was.Slot,
		}.Statement(now))
	})
	return out, err
}

// RetireDevice ends a binding for good: the device's ID is never bound again in
// this ledger.
func (s *Store) RetireDevice(ctx context.Context, number uint32, reason string) error {
	return s.change(ctx, func(c *committer, b *pebble.Batch, now int64) error {
		d, err := c.open(number)
		if err != nil {
			return err
		}
		for _, o := range c.devices {
			if o != d && o.binding.ID == d.binding.ID && !o.binding.Closed {
				return fmt.Errorf("%w: device %s is registered as number %d too: remove that first", ErrRefused, d.text, o.binding.Number)
			}
		}
		st := ledger.Retirement{Number: number, Slot: d.binding.Slot, Reason: reason}.Statement(now)
		if err := st.Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if err := c.appendStatement(b, st); err != nil {
			return err
		}
		d.retired = true
		return c.unbind(b, d, now)
	})
}

// Labels gives the labels that devices were added or moved with, by number; of those
// that have any.
func (s *Store) Labels(ctx context.Context) (map[uint32][]string, error) {
	all := map[uint32][]string{}
	read := func() error {
		for number, d := range s.com.devices {
			if len(d.labels) > 0 {
				all[number] = slices.Clone(d.labels)
			}
		}
		return nil
	}
	if s.opt.ReadOnly { // nobody changes them
		return all, read()
	}
	return all, s.do(ctx, read)
}

// Device gives a binding by its device's number, as it is now.
func (s *Store) Device(number uint32) (ledger.Binding, bool) {
	all := s.view.Load().devices
	i, ok := slices.BinarySearchFunc(all, number, func(b ledger.Binding, n uint32) int { return cmp.Compare(b.Number, n) })
	if !ok {
		return ledger.Binding{}, false
	}
	return all[i], true
}
