package store

import (
	"context"
	"fmt"

	"cairn/store/share"
)

// Passed is a stretch of a stream's readings that [Store.Query] passes over, since
// their envelope was shredded or all was dropped: numbers First to Next-1, received in one quarter
// hour.
type Passed struct {
	Slot        uint64
	First, Next uint64
	Hour        share.Hour
}

// PassedOver visits, in order, what a query for [from, to) ms passes over of one
// stream, whole stretches.
func (s *Store) PassedOver(ctx context.Context, slot uint64, from, to int64, fn func(Passed) error) error {
	r := s.reader()
	defer r.close()
	in, err := r.stream(slot)
	if err != nil {
		return err
	}
	if before, err := r.goneBefore(in); before == 0 || err != nil {
		return err
	}
	b, err := r.batchAt(in, from)
	if err != nil {
		return err
	}
	run, err := r.nextRun(in, b)
	if err != nil || run == nil {
		return err
	}
	for seq := run.first; ; {
		x, err := r.goneAt(in, seq)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("stream %d: %w", slot, err)
		}
		if x == nil || share.Hour(x.row.Hour).Start() >= to {
			return nil
		}
		seq = x.first + uint64(x.row.Count)
		if err := fn(Passed{Slot: slot, First: x.first, Next: seq, Hour: share.Hour(x.row.Hour)}); err != nil {
			return err
		}
	}
}
