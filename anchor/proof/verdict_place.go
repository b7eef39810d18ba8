package proof

import (
	"fmt"

	"cairn/merkle/ledger"
)

// PlacedVerdict is where a reading's device was, and what had been recorded of its
// installation, by statements that are shown and were there by the end of the reading's
// window: a note of that same window may be younger than the reading.
type PlacedVerdict struct {
	Place string   `json:"place,omitempty"`
	Thing string   `json:"thing,omitempty"` // what it is about: a fridge is not its sensor
	Notes []string `json:"notes,omitempty"` // calibrations and attached files, in words
}

// noted is what one statement says of a stream's binding.
type noted struct {
	slot, index  uint64 // of the stream, and of the statement
	batch        uint64 // index of the first batch that shows it
	place, thing string
	note         string
}

// installed reads what the statements say of installations, in their order in the file.
func (c *checker) installed() (all []noted) {
	seen := map[uint64]int{} // by number, the position in all
	for i := range c.f.Statements {
		s := &c.f.Statements[i]
		st, err := ledger.ParseStatement(s.Item)
		if err != nil {
			continue
		}
		n := noted{index: s.Index, batch: c.batches[s.Batch].header.Index}
		switch st.Kind {
		case ledger.KindPlace:
			p, _ := ledger.PlacedFrom(st)
			n.slot, n.place, n.thing = p.Slot, p.Place, p.Thing
		case ledger.KindCalibrate:
			k, _ := ledger.CalibrationFrom(st)
			n.slot, n.note = k.Slot, fmt.Sprintf("calibrated by %s at %s", k.By, timeText(k.Calibrated))
			if k.Offset != "" {
				n.note += fmt.Sprintf(", add %s to %s", k.Offset, k.Field)
			}
			if k.Certificate != nil {
				n.note += fmt.Sprintf(", certificate SHA-256 %x", *k.Certificate)
			}
		case ledger.KindAttach:
			a, _ := ledger.AttachmentFrom(st)
			n.slot, n.note = a.Slot, fmt.Sprintf("%s %s, SHA-256 %x", a.What, a.Name, a.Digest)
		default:
			continue
		}
		if at, was := seen[s.Index]; was {
			all[at].batch = min(all[at].batch, n.batch)
			continue
		}
		seen[s.Index] = len(all)
		all = append(all, n)
	}
	return all
}

// placed says of each reading where its device was. A stream is at one place.
func (c *checker) placed() *fault {
	all := c.installed()
	places := map[uint64]uint64{}
	for _, n := range all {
		if n.note != "" {
			continue
		}
		if other, twice := places[n.slot]; twice {
			return faultf(CodeBinding, "stream %d is placed twice, by number %d and %d", n.slot, other, n.index)
		}
		places[n.slot] = n.index
	}
	by := func(slot, batch uint64) *PlacedVerdict {
		var p PlacedVerdict
		for _, n := range all {
			switch {
			case n.slot != slot || n.batch > batch:
			case n.note != "":
				p.Notes = append(p.Notes, n.note)
			default:
				p.Place, p.Thing = n.place, n.thing
			}
		}
		if p.Place == "" && p.Thing == "" && len(p.Notes) == 0 {
			return nil
		}
		return &p
	}
	for i := range c.v.Readings {
		r := &c.v.Readings[i]
		r.Placed = by(r.Stream, c.earliest(r))
	}
	return nil
}

// lines tells it, for people: where first, if that is known.
func (p *PlacedVerdict) lines() (all []string) {
	switch {
	case p.Place != "" && p.Thing != "":
		all = append(all, fmt.Sprintf("%s, %s", p.Place, p.Thing))
	case p.Place != "" || p.Thing != "":
		all = append(all, p.Place+p.Thing)
	}
	return append(all, p.Notes...)
}
