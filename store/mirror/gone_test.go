package mirror

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/merkle/ledger"
	"cairn/store"
)

// kinds are those of the alarms in an error.
func kinds(err error) (all []Kind) {
	for _, a := range Alarms(err) {
		if !slices.Contains(all, a.Kind) {
			all = append(all, a.Kind)
		}
	}
	return all
}

// TestGone holds that a source which says that it has an object no more is not called
// a liar: not if a statement says why, and without one not before an hour is over.
func TestGone(t *testing.T) {
	s := newSite(t)
	s.close(50)
	lies := &liar{Source: s, object: func(first uint64, r store.ObjectRef, b []byte) ([]byte, error) {
		if r.Name == "stream/1/data" && first == s.groups[0].First {
			return nil, ErrGone
		}
		return b, nil
	}}
	late := time.Duration(0)
	c := s.open(t.TempDir(), Options{Now: func() time.Time { return time.UnixMilli(s.now()).Add(late) }})
	err := c.Follow(t.Context(), lies, s.keys(), nil)
	if got := kinds(err); !slices.Equal(got, []Kind{NoMore}) || !strings.Contains(err.Error(), "no statement says why yet") {
		t.Errorf("an object that is gone: got %v", err)
	}
	if _, next, _ := c.Sealed(); next != s.sealed() {
		t.Errorf("the groups end with batch %d, want %d", next, s.sealed())
	}
	late = goneWithin
	if got := kinds(c.Follow(t.Context(), lies, s.keys(), nil)); !slices.Equal(got, []Kind{MissingObject}) {
		t.Errorf("an hour later and without a statement: got %v", got)
	}
	late = 0

	// The statement stands in a group after the hole: one that begins with it all, and
	// one that has waited for it, are both content.
	shred := ledger.Shred{Compartments: []string{"stream/1/data"}, Before: s.groups[1].Hour.Start(), Reason: "test"}.Statement(s.now())
	s.state(shred, false)
	s.close(20)
	fresh := s.open(t.TempDir(), Options{})
	for what, c := range map[string]*Copy{"one that waited": c, "a new one": fresh} {
		if err := c.Follow(t.Context(), lies, s.keys(), nil); err != nil {
			t.Errorf("%s: the statement says why, and got %v", what, err)
		}
		if c.Lacking() != 0 {
			t.Errorf("%s: %d objects are missing", what, c.Lacking())
		}
	}
}

// TestGoneAccess holds that access which ended is named as that.
func TestGoneAccess(t *testing.T) {
	s := newSite(t)
	s.close(20)
	c := s.open(t.TempDir(), Options{})
	ended := &liar{Source: s, checkpoint: func([]byte) ([]byte, error) {
		return nil, statusError(410, []byte("access under this grant has ended\n"))
	}}
	err := c.Follow(t.Context(), ended, s.keys(), nil)
	if got := kinds(err); !slices.Equal(got, []Kind{NoMore}) || !strings.Contains(err.Error(), "access under this grant has ended") {
		t.Errorf("got %v", err)
	}
	follow(t, c, s, s.keys())
	s.close(20)
	gone := &goneGroups{s}
	if got := kinds(c.Follow(t.Context(), gone, s.keys(), nil)); !slices.Equal(got, []Kind{NoMore}) {
		t.Errorf("groups that are gone: got %v", got)
	}
	follow(t, c, s, s.keys())
}

// goneGroups says that its groups are there no more.
type goneGroups struct{ Source }

func (goneGroups) Group(context.Context, store.GroupRef) ([]byte, error) {
	return nil, errors.Join(ErrGone, errors.New("dropped, and held by others"))
}
