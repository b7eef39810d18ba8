package proof

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"cairn/merkle"
	"cairn/merkle/ledger"
)

var (
	// ErrNothingNew says that there is nothing that a proof lacks: it is as
	// complete as the other files can make it.
	ErrNothingNew = errors.New("nothing to add")
	// ErrOtherHeads says that a file is of the same ledger, and nothing in it is
	// tied to a head of the proof: ask for an update that was made for it.
	ErrOtherHeads = errors.New("no head of it is tied to one of the proof's")
	// ErrFalse says that a file does not hold by itself, so that nothing is taken
	// from it.
	ErrFalse = errors.New("the file is false")
	// ErrContradict says that a proof and another file exclude one another:
	// compare them.
	ErrContradict = errors.New("the files contradict one another")
	// ErrWorse says that the proof would be less with what the files add.
	ErrWorse = errors.New("the proof would be less than before")
)

// Upgraded is a proof with what came later.
type Upgraded struct {
	File          *File
	Before, After Verdict
	Added         []string // in words
}

// Upgrade completes a proof by what other proof files of its ledger, and
// updates, know of its heads: cosignatures and receipts of them, and of those
// that they are shown to be the beginning of. It drops nothing, takes no more
// than is lacking, and gives a file of the newest version that verifies at the
// level of the proof or above. The options are for both verdicts.
func Upgrade(f *File, o Options, from ...*File) (*Upgraded, error) {
	u := &Upgraded{Before: Verify(f, o)}
	if u.Before.False() {
		return nil, fmt.Errorf("the proof: %w: %s", ErrFalse, u.Before.Reason)
	}
	b := Continue(f)
	tied := len(from) == 0
	for i, s := range from {
		j, err := newJoiner(b, s, o, u.Before.Level < LevelAnchored && o.Trust != nil)
		if err != nil {
			return nil, fmt.Errorf("file %d: %w", i+1, err)
		}
		if err := j.join(); err != nil {
			return nil, fmt.Errorf("file %d: %w", i+1, err)
		}
		tied = tied || j.tied
		u.Added = append(u.Added, j.added...)
	}
	if len(u.Added) == 0 {
		if !tied {
			return nil, ErrOtherHeads
		}
		return nil, ErrNothingNew
	}
	if err := u.finish(b.File(), f.Version, o); err != nil {
		return u, err
	}
	u.places(from, o)
	return u, nil
}

// places adds the statements that name other places of anchors: those of
// updates, which have them for that, and those of proofs if a policy does not
// reach as far without.
func (u *Upgraded) places(from []*File, o Options) {
	try := func(from []*File, least Level) bool {
		f, err := withPlaces(u.File, from, o)
		if err != nil || len(f.Statements) == len(u.File.Statements) {
			return false
		}
		v := &Upgraded{Before: u.After}
		if v.finish(f, f.Version, o) != nil || v.After.Level < least {
			return false
		}
		u.File, u.After = v.File, v.After
		u.Added = append(u.Added, "statements that name other places of anchors")
		return true
	}
	updates := slices.DeleteFunc(slices.Clone(from), func(s *File) bool { return len(s.Readings)+len(s.Ranges) != 0 })
	if !try(updates, u.After.Level) && o.Policy != nil && u.After.Level < LevelAnchored {
		try(from, u.After.Level+1)
	}
}

// Completed is as Upgrade, of a file that CompleteCalendars has given.
func Completed(f, completed *File, c Completion, o Options) (*Upgraded, error) {
	u := &Upgraded{Before: Verify(f, o), Added: c.Kept}
	if u.Before.False() {
		return nil, fmt.Errorf("the proof: %w: %s", ErrFalse, u.Before.Reason)
	}
	if len(c.Kept) == 0 {
		return nil, ErrNothingNew
	}
	return u, u.finish(Continue(completed).File(), f.Version, o)
}

// False reports whether something in the file is wrong, whoever is trusted. An
// update has no level, and nothing wrong with it.
func (v *Verdict) False() bool { return v.Level == LevelNone && v.Code != CodeUpdate }

// finish verifies what was made, by way of its bytes.
func (u *Upgraded) finish(f *File, version int, o Options) error {
	b, err := f.Encode()
	if err != nil {
		return err
	}
	if u.File, err = Decode(b); err != nil {
		return err
	}
	if u.After = Verify(u.File, o); u.After.Level < u.Before.Level || u.After.False() {
		return fmt.Errorf("%w: %v instead of %v: %s", ErrWorse, u.After.Level, u.Before.Level, u.After.Reason)
	}
	if version != u.File.Version {
		u.Added = append(u.Added, fmt.Sprintf("it is a file of version %d now, before it was of version %d", u.File.Version, version))
	}
	return nil
}

// withPlaces returns a file with the statements of others that name another
// place of anchors, and what these show them by: without those a policy knows
// only the first places.
func withPlaces(f *File, from []*File, o Options) (*File, error) {
	b := Continue(f)
	for _, s := range from {
		j, err := newJoiner(b, s, o, false)
		if err != nil {
			return nil, err
		}
		for i := range s.Statements {
			st, err := ledger.ParseStatement(s.Statements[i].Item)
			if err == nil && (st.Kind == ledger.KindRoute || st.Kind == ledger.KindRouteBitcoin) {
				j.statement(i)
			}
		}
		if err := j.keys(); err != nil {
			return nil, err
		}
	}
	return b.File(), nil
}

// HeadAt is a head of a file by size and root.
type HeadAt struct {
	Size uint64
	Root merkle.Hash
}

// HeadsOf returns the heads of a file, each once, the smallest first: what an
// update of it must be about.
func HeadsOf(f *File) ([]HeadAt, error) {
	var all []HeadAt
	for i := range f.Heads {
		h, err := headOf(f, i)
		if err != nil {
			return nil, err
		}
		if at := (HeadAt{h.size, h.root}); !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	slices.SortStableFunc(all, func(a, b HeadAt) int { return cmp.Compare(a.Size, b.Size) })
	return all, nil
}

// headOf reads a file's head.
func headOf(f *File, i int) (headKey, error) {
	id := ledger.ID(f.Ledger.Key[:], f.Ledger.Nonce)
	signed, _ := cutCosignatures(f.Heads[i].Note)
	p, err := packHead(signed, ledger.Origin(id))
	if err != nil {
		return headKey{}, fmt.Errorf("head %d: %w", i, err)
	}
	return headKey{p.checkpoint.Size, p.checkpoint.Root}, nil
}
