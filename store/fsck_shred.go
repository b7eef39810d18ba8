package store

import (
	"errors"
	"fmt"
	"slices"

	"cairn/merkle/ledger"
	"cairn/store/share"
)

// segment makes an object again, but for those whose keys are gone.
func (f *fsck) segment(key segmentKey) error {
	if f.shreddedBefore(key.Compartment) <= share.Hour(key.Hour) {
		if _, err := f.object(key); !errors.Is(err, ErrDropped) {
			return err
		}
		return nil
	}
	_, err := f.object(key)
	if errors.Is(err, ErrShredded) && !errors.Is(err, ErrDamaged) {
		return nil
	}
	return fmt.Errorf("%w: compartment %d has no keys of quarter hour %d, and yet its object can be made: %v", ErrDamaged, key.Compartment, key.Hour, err)
}

// shreddings holds the shred statements against the keyring: no keys are gone
// without one, and none are there in spite of one.
func (f *fsck) shreddings() error {
	all := f.s.Shredded()
	said := make([]int64, len(all))
	pending, err := f.s.pendingShred()
	if err != nil {
		return err
	}
	for n := range f.v.state.Statements {
		st, err := f.statement(n)
		if err != nil || st.Kind != ledger.KindShred {
			continue
		}
		d, err := ledger.ShredFrom(st)
		if err != nil {
			f.find("statement %d: %v", n, err)
			continue
		}
		for _, name := range d.Compartments {
			i := slices.IndexFunc(all, func(x Shredded) bool { return x.Name == name })
			switch {
			case i >= 0 && all[i].Before.Start() >= d.Before:
				said[i] = max(said[i], d.Before)
				f.rep.Shredded = append(f.rep.Shredded, fmt.Sprintf("%s before %s, by statement %d", name, clockText(d.Before), n))
			case pending != nil && pending.Statement == n:
				f.rep.Shredded = append(f.rep.Shredded, fmt.Sprintf("%s before %s, by statement %d, is not through: the next start goes on with it", name, clockText(d.Before), n))
			default:
				f.find("statement %d says that %s was shredded before %s, and the keyring has keys of it", n, name, clockText(d.Before))
			}
		}
	}
	for i := range all {
		if said[i] < all[i].Before.Start() {
			f.find("the keyring has no keys of %s before %s, and no statement says that it was shredded", all[i].Name, clockText(all[i].Before.Start()))
		}
	}
	return nil
}
