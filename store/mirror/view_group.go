package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"cairn/merkle/ledger"
	"cairn/store"
	"cairn/store/share"
)

// viewGroup is a group that was held against the log.
type viewGroup struct {
	ref     store.GroupRef
	g       *store.Group
	items   [][]byte        // the headers of its batches
	headers []ledger.Header // … and what they say
	key     share.HourKey   // the ledger's
}

// errOtherGroup says that a group or an object of it is not there any more, as a
// live one is replaced: ask for the list of groups again.
var errOtherGroup = errors.New("the group was replaced meanwhile")

// openGroup fetches a group's object and holds it against the log.
func (v *View) openGroup(ctx context.Context, ref store.GroupRef, key share.HourKey) (*viewGroup, error) {
	raw, hash, err := v.group(ctx, ref)
	if err != nil {
		return nil, err
	}
	lie := func(err error) error {
		return &Lie{What: "group object", Object: ref.Object, Compartment: ledgerName, Hour: ref.Hour, First: ref.First, Next: ref.Next, Err: err}
	}
	if hash != ref.Object {
		if ref.Live {
			return nil, errOtherGroup
		}
		return nil, lie(fmt.Errorf("its SHA-256 is %v", hash))
	}
	items, headers, err := v.log.headers(ctx, ref.First, ref.Next)
	if err != nil {
		return nil, err
	}
	g, err := store.OpenGroup(key, v.bundle.Ledger, ref.Hour, ref.First, raw)
	if err != nil {
		return nil, lie(err)
	}
	if g.Next != ref.Next {
		return nil, lie(fmt.Errorf("it ends before batch %d", g.Next))
	}
	if err := g.Check(items, key); err != nil {
		return nil, lie(err)
	}
	vg := &viewGroup{ref: ref, g: g, items: items, headers: headers, key: key}
	return vg, v.statements(vg)
}

// statements takes the statements that a group shows.
func (v *View) statements(vg *viewGroup) error {
	for i := range vg.g.Statements {
		s, number := &vg.g.Statements[i], vg.g.FirstStatement+uint64(i)
		if s.Item == nil {
			continue
		}
		if err := v.state(number, s.Item, s.Salt); err != nil {
			return &Lie{What: "group object", Object: vg.ref.Object, Compartment: ledgerName, Hour: vg.ref.Hour, First: vg.ref.First, Next: vg.ref.Next, Err: err}
		}
	}
	return nil
}

// objects are those of a compartment, by part.
func (vg *viewGroup) objects(compartment uint32) []store.ObjectRef {
	var all []store.ObjectRef
	for _, o := range vg.g.Objects {
		if o.Compartment == compartment {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b store.ObjectRef) int { return cmp.Compare(a.Part, b.Part) })
	return all
}

// lie names an object of the group.
func (vg *viewGroup) lie(o *store.ObjectRef, format string, args ...any) error {
	return &Lie{What: "object", Object: o.Hash, Compartment: o.Name, Hour: vg.ref.Hour, First: vg.ref.First, Next: vg.ref.Next, Err: fmt.Errorf(format, args...)}
}

// open fetches an object and opens it.
func (v *View) open(ctx context.Context, vg *viewGroup, o *store.ObjectRef, key share.HourKey) (content, hidden []byte, err error) {
	b, hash, err := v.object(ctx, vg.ref.First, o)
	if err != nil {
		return nil, nil, err
	}
	if hash != o.Hash {
		return nil, nil, vg.lie(o, "its SHA-256 is %v", hash)
	}
	content, hidden, err = key.OpenObject(store.ObjectAAD(v.bundle.Ledger, vg.ref.Hour, vg.ref.First, o.Compartment, o.Part), b)
	if err != nil {
		return nil, nil, vg.lie(o, "%w", err)
	}
	return content, hidden, nil
}

// why says what it means that an object cannot be had; not ok if that is an error.
func why(err error) (why Why, detail string, ok bool) {
	switch {
	case errors.Is(err, ErrNotFound):
		why = NotThere
	case errors.Is(err, ErrGone), errors.Is(err, store.ErrShredded):
		why = Gone
	case errors.Is(err, store.ErrOldGroup):
		return Gone, "it was sealed by an older version, and was never shared", true
	default:
		return "", "", false
	}
	return why, "", true
}

// removed finds the statement by which what a compartment had of an hour was
// shredded or dropped; "" if none is known.
func (v *View) removed(compartment string, h share.Hour) string {
	for _, n := range v.numbers() {
		s := v.stated[n].said
		words := "shredded"
		switch s.Kind {
		case ledger.KindShred:
		case ledger.KindDropped:
			words = "dropped by the site"
		default:
			continue
		}
		before, _ := s.Uint("before")
		if all, _ := s.Texts("compartments"); h.End() <= int64(before) && slices.Contains(all, compartment) {
			return fmt.Sprintf("%s, as statement %d says", words, n)
		}
	}
	return ""
}
