package store

import (
	"cmp"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"cairn/ingest/frame"
	"cairn/merkle/ledger"
)

// calibrated are the newest calibrations of bindings, as far as the statements were
// read: a calibration belongs to the device, and is said again where a stream of it
// begins anew. The committer's; the zero value has read none.
type calibrated struct {
	next uint64 // statement to read
	// by number and field; under the field "" those with a certificate alone
	by map[uint32]map[string]ledger.Calibration
}

// read takes in the statements that are durable, at most so many, and says whether
// these were all.
func (k *calibrated) read(s *Store, most uint64) (all bool, err error) {
	if k.by == nil {
		k.by = map[uint32]map[string]ledger.Calibration{}
	}
	size := s.Statements()
	for to := min(size, k.next+most); k.next < to; k.next++ {
		st, err := s.readStatement(s.db, k.next)
		if err != nil {
			return false, err
		}
		x, err := ledger.CalibrationFrom(st)
		if err != nil {
			continue // it is of another kind
		}
		if k.by[x.Number] == nil {
			k.by[x.Number] = map[string]ledger.Calibration{}
		}
		newest(k.by[x.Number], x)
	}
	return k.next == size, nil
}

// newest keeps of each field the calibration that was made last.
func newest(by map[string]ledger.Calibration, x ledger.Calibration) {
	if had, ok := by[x.Field]; !ok || x.Calibrated >= had.Calibrated {
		by[x.Field] = x
	}
}

// of gives the newest calibration of each field of a device that had these numbers.
func (k *calibrated) of(numbers ...uint32) []ledger.Calibration {
	all := map[string]ledger.Calibration{}
	for _, number := range numbers {
		for _, x := range k.by[number] {
			newest(all, x)
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b ledger.Calibration) int { return cmp.Compare(a.Field, b.Field) })
}

// recalibrate says of a stream that just began what was found out of its device before.
func (c *committer) recalibrate(b *pebble.Batch, number uint32, slot uint64, now int64, all []ledger.Calibration) error {
	for _, x := range all {
		x.Number, x.Slot = number, slot
		if err := c.appendStatement(b, x.Statement(now)); err != nil {
			return err
		}
	}
	return nil
}

// numbersOf are those of all bindings that a device ever had, ascending.
func (c *committer) numbersOf(id frame.ID) (numbers []uint32) {
	for number, d := range c.devices {
		if d.binding.ID == id {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers
}
